"""Kills real runs at random moments and at every change of the disk, and counts what it cost.

    python -m tests.faults.crash --long          # 1,000 random kills, every point, 200 nested pairs
    python -m tests.faults.crash --kills 50      # less

prints a table with seed and commit, and exits with 1 if anything was lost, paid again or corrupt.
The oracle stands outside: the server's ledger of sessions, the tones that each text must give, and
the checkpoint as a copy of it reads.
"""

import argparse
import concurrent.futures
import contextlib
import hashlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchjobs import audio
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import BatchjobsError, NoRunError
from batchjobs.jobs import SpeechSettings
from batchjobs.outputs import file_changes
from batchjobs.server.engines import synthesiser
from tests.faults.driver import CALLS
from tests.test_end_to_end import ARABIC, KEY, ROOT, environment, served, write_manifest

__all__ = [
    "Bench",
    "Case",
    "Toll",
    "Work",
    "benches",
    "commit_id",
    "every_point",
    "nested",
    "random_kills",
    "strace_is_missing",
]

LANES = 2
_LONGEST_RUN_SECONDS = 60.0
_SYSTEM_CALLS = {
    "rename": "?rename,?renameat,?renameat2",
    "unlink": "?unlink,?unlinkat",
    "mkdir": "?mkdir,?mkdirat",
    "pwrite64": "?pwrite64,?pwritev",
}
"""Where processors differ: each has one of these."""


def commit_id() -> str:
    """The commit that the figures are of; starred if the tree has changes of the product."""
    git = ["git", "-C", str(ROOT)]
    named = subprocess.run(
        [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "batchjobs"], check=False)
    return (named.stdout.strip() or "unknown") + ("*" if changed.returncode else "")


def strace_is_missing() -> str:
    """Why strace cannot be used here; empty if it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    inject = ["-e", "trace=mkdir", "-e", f"inject={_SYSTEM_CALLS['mkdir']}:signal=SIGKILL"]
    command = ["strace", "-f", "-qq", "-o", os.devnull, *inject, "mkdir", "/proc/none"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != -signal.SIGKILL:
        return f"strace cannot kill here: {done.stderr.strip() or done.returncode}"
    return ""


# -- what is to be done, and what must come of it ------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A manifest, and what a faultless run makes of it.

    Attributes:
        manifest: Its path.
        rows: How many rows it has.
        sold: For each id that is bought, the hash the server's ledger has of what it gets.
        contents: For each file under a final name, the SHA-256 of what may stand there.
        concurrency: Sessions at once.
    """

    manifest: Path
    rows: int
    sold: Mapping[str, str]
    contents: Mapping[str, str]
    concurrency: int

    @classmethod
    def made(
        cls, folder: Path, *, speech: int, recordings: int = 0, copies: int = 0, concurrency: int
    ) -> "Work":
        """Write a manifest of rows to speak, to transcribe, and that ask the same as the first."""
        folder.mkdir(parents=True, exist_ok=True)
        engine = synthesiser("tone")
        rows, sold, contents = [], {}, {}

        def tones(text: str, rate: int) -> bytes:
            settings = SpeechSettings(
                voice_id="any", model_id="any", output_format=f"pcm_{rate}", speed=1.0
            )
            return b"".join(engine.synthesise(text, settings))

        for number in range(speech + copies):
            text = f"{ARABIC[number % 5][:12]} {number}" if number < speech else rows[0]["text"]
            name = f"s{number}"
            rows.append({"id": name, "text": text, "audio": "", "output_format": "pcm_8000"})
            wav = audio.encode([tones(text, 8_000)], sample_rate=8_000, format="wav")
            contents[f"audio/{name}.wav"] = hashlib.sha256(wav).hexdigest()
            if number < speech:
                sold[name] = hashlib.sha256(text.encode()).hexdigest()
        for number in range(recordings):
            name, text = f"r{number}", f"سلام {number}"
            pcm = tones(text, 16_000)
            wav = audio.encode([pcm], sample_rate=16_000, format="wav")
            (folder / f"{name}.wav").write_bytes(wav)
            rows.append({"id": name, "text": "", "audio": f"{name}.wav", "output_format": ""})
            sold[name] = hashlib.sha256(pcm).hexdigest()
            contents[f"transcripts/{name}.txt"] = hashlib.sha256(text.encode()).hexdigest()
        engine.close()
        return cls(
            manifest=write_manifest(folder / "work.csv", rows),
            rows=len(rows),
            sold=sold,
            contents=contents,
            concurrency=concurrency,
        )


@dataclass(slots=True, kw_only=True)
class Toll:
    """What faults have cost.

    Attributes:
        faults: Kills, or other faults, that struck.
        runs: Processes started.
        lost: Jobs once done that no longer are, and rows without an answer at the end.
        again: Sessions opened for work that was done already.
        repeated: Sessions whose result a kill destroyed: inevitable, up to the concurrency a kill.
        corrupt: Files under a final name with another content than the right one.
        wrong: Anything else that must not be: counts, codes, errors.
        points: Where faults struck.
        notes: What was found, in words.
    """

    faults: int = 0
    runs: int = 0
    lost: int = 0
    again: int = 0
    repeated: int = 0
    most_repeated: int = 0
    corrupt: int = 0
    wrong: int = 0
    points: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)

    @property
    def bad(self) -> int:
        """Broken promises."""
        return self.lost + self.again + self.corrupt + self.wrong

    def note(self, kind: str, what: str) -> None:
        """Count a broken promise."""
        setattr(self, kind, getattr(self, kind) + 1)
        self.notes.append(f"{kind}: {what}")

    def add(self, other: "Toll") -> None:
        """Add what was counted elsewhere."""
        for name in ("faults", "runs", "lost", "again", "repeated", "corrupt", "wrong"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.most_repeated = max(self.most_repeated, other.most_repeated)
        self.points += other.points
        self.notes += other.notes

    def line(self, fault: str, how: str) -> str:
        """A line of the table of faults."""
        status = "kept" if not self.bad else "BROKEN"
        figures = (self.faults, self.runs, self.lost, self.again, self.repeated, self.corrupt)
        shown = " | ".join(f"{figure:,}" for figure in figures)
        return f"| {fault} | {how} | {shown} | {status} |"


HEADER = (
    "| fault | how injected | faults | runs | lost | done and paid again | repeated | corrupt | status |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


# -- a server, and processes that run against it -------------------------------------------------


class _Ledger:
    """What a server wrote down, line by line as it comes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._open = 0

    def has_grown(self) -> bool:
        """Whether there is something new."""
        return self._path.exists() and self._path.stat().st_size > self._offset

    def count(self, words: str) -> int:
        """How often these words stand in what is new."""
        if not self.has_grown():
            return 0
        with self._path.open("rb") as file:
            file.seek(self._offset)
            return file.read().count(words.encode())

    def settled(self) -> list[dict[str, object]]:
        """The lines since the last time, once every session that was begun has ended."""
        lines: list[dict[str, object]] = []
        deadline = time.monotonic() + 30
        while True:
            if self.has_grown():
                with self._path.open("rb") as file:
                    file.seek(self._offset)
                    content = file.read()
                self._offset += len(content)
                new = [json.loads(line) for line in content.splitlines()]
                self._open += sum(1 if line["event"] == "start" else -1 for line in new)
                lines += new
            elif not self._open:
                return lines
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._open} sessions never ended")
            time.sleep(0.001)


class Bench:
    """A tone server with a ledger, and forked or freshly started runs against it.

    Args:
        folder: Where everything goes.
        base_url: The server's.
    """

    def __init__(self, folder: Path, base_url: str) -> None:
        self.folder = folder
        self.base_url = base_url
        self.ledger = _Ledger(folder / "ledger.jsonl")
        self.environment = {
            name: value
            for name, value in environment(BATCHJOBS_LOCAL_KEY=KEY).items()
            if not name.startswith("COVERAGE_")  # its files would be disk writes to strike, too
        }
        self._numbers = itertools.count(1)
        self._driver = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("driver.py"))],
            env=self.environment,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the driver."""
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.close()
        self._driver.wait(30)
        self._driver.stdout.close()

    def new_folder(self) -> Path:
        """A run folder that nobody has used; its parent is there."""
        folder = self.folder / f"case{next(self._numbers)}" / "run"
        folder.parent.mkdir()
        return folder

    def command(self, case: "Case", *more: object) -> list[str]:
        """The arguments of a run."""
        work = case.work
        given = ["run", work.manifest, "-o", case.folder, "--base-url", self.base_url]
        return [*map(str, given), "-c", str(work.concurrency), "--attempts", "40", *map(str, more)]

    @contextlib.contextmanager
    def forked(
        self,
        case: "Case",
        *more: object,
        broken: str = "",
        one_thread: bool = False,
        die_at: int = 0,
        gate: Path | None = None,
        stdout: Path | None = None,
    ) -> Iterator["Forked"]:
        """Start a run in a process forked from one that has imported everything already."""
        request = {
            "arguments": self.command(case, *(more or ("-q",))),
            "cwd": str(self.folder),
            "broken": broken,
            "one_thread": one_thread,
            "die_at": die_at,
            "gate": str(gate or ""),
            "stdout": str(stdout or ""),
            "stderr": str(case.folder.parent / "stderr"),
        }
        pid = int(str(self._exchange(request)["pid"]))
        child = Forked(self, pid)
        timer = threading.Timer(_LONGEST_RUN_SECONDS, child.give_up)
        timer.start()
        try:
            yield child
        finally:
            timer.cancel()
            if child.code is None:
                os.kill(pid, signal.SIGKILL)
                self.ended()

    def run(self, case: "Case", *, broken: str = "", die_at: int = 0) -> int:
        """Run to the end, or to wherever it ends; gives the exit code."""
        with self.forked(case, broken=broken, die_at=die_at) as child:
            return child.wait()

    @contextlib.contextmanager
    def strace(
        self,
        case: "Case",
        options: Sequence[str],
        *more: object,
        broken: str = "",
        one_thread: bool = False,
        stdout: Path | None = None,
    ) -> Iterator["Forked"]:
        """Start a run that strace has hold of from its first moment."""
        gate = case.folder.parent / "gate"
        gate.unlink(missing_ok=True)
        os.mkfifo(gate)
        with self.forked(
            case, *more, broken=broken, one_thread=one_thread, gate=gate, stdout=stdout
        ) as child:
            command = ["strace", "-f", *options, "-p", str(child.pid)]
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
                try:
                    assert strace.stderr is not None
                    said = strace.stderr.readline()
                    if "attached" not in said:
                        raise RuntimeError(f"strace does not attach: {said}")
                    gate.open("wb").close()
                    yield child
                finally:
                    if child.code is None:
                        strace.kill()

    def struck(self, case: "Case", call: str, count: int, *, broken: str = "") -> int:
        """Run, and be killed as the `count`-th such call begins; gives the exit code."""
        names = _SYSTEM_CALLS.get(call, call)
        inject = f"inject={names}:signal=SIGKILL:when={count}"
        options = ["-o", os.devnull, "-e", f"trace={names}", "-e", inject]
        with self.strace(case, options, broken=broken, one_thread=True) as child:
            return child.wait()

    def _exchange(self, request: Mapping[str, object] | None = None) -> dict[str, object]:
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        if request is not None:
            self._driver.stdin.write(json.dumps(request) + "\n")
            self._driver.stdin.flush()
        line = self._driver.stdout.readline()
        if not line:
            raise RuntimeError("the driver died")
        return dict(json.loads(line))

    def ended(self) -> int:
        """Wait for the forked run's end; gives its exit code, negative for a signal."""
        return int(str(self._exchange()["code"]))


class Forked:
    """A run's process.

    Args:
        bench: Whose it is.
        pid: Its id.
    """

    def __init__(self, bench: Bench, pid: int) -> None:
        self._bench = bench
        self.pid = pid
        self.code: int | None = None
        self._hung = False

    def give_up(self) -> None:
        """Kill it, because it takes too long."""
        self._hung = True
        os.kill(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill it."""
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end; gives its exit code, negative for a signal."""
        if self.code is None:
            self.code = self._bench.ended()
        if self._hung:
            raise TimeoutError(f"a run took over {_LONGEST_RUN_SECONDS:g} s")
        return self.code


@contextlib.contextmanager
def benches(folder: Path, count: int, *server: object) -> Iterator[list[Bench]]:
    """So many servers, each with its ledger and its driver."""
    with contextlib.ExitStack() as stack:
        made = []
        for number in range(count):
            place = folder / f"bench{number}"
            place.mkdir(parents=True)
            ledger = ("--engine", "tone", "--ledger", place / "ledger.jsonl")
            bench = Bench(place, stack.enter_context(served(place, *ledger, *server)))
            stack.callback(bench.close)
            made.append(bench)
        yield made


# -- the oracle ----------------------------------------------------------------------------------


class Case:
    """One run folder on its way through faults, and what they have cost so far.

    Call `judge` after each of its processes.

    Args:
        bench: Where it runs; one case at a time.
        work: What is to be done.
        label: What to call it when something is wrong.
    """

    def __init__(self, bench: Bench, work: Work, label: str) -> None:
        self.bench = bench
        self.work = work
        self.folder = bench.new_folder()
        self.toll = Toll()
        self._label = label
        self._done: set[str] = set()
        self._started = 0
        bench.ledger.settled()

    def note(self, kind: str, what: str) -> None:
        """Count a broken promise."""
        self.toll.note(kind, f"{self._label}: {what}")

    def take_over(self) -> None:
        """Begin with what stands in the folder."""
        self._done, _ = self._looked_at()

    def judge(self, *, was_killed: bool) -> None:
        """Compare what the last process has left with what the server says."""
        self.toll.runs += 1
        self.toll.faults += was_killed
        lines = self.bench.ledger.settled()
        self._started += sum(line["event"] == "start" for line in lines)
        ended = [line for line in lines if line["event"] == "end"]
        self._look_for_sessions_too_many(lines, ended)
        before, self._done, attempts = self._done, *self._looked_at()
        for name in sorted(before - self._done):
            self.note("lost", f"{name} was done and is not any more")
        if attempts < self._started:
            self.note("wrong", f"{self._started} sessions, but {attempts} attempts on the disk")
        bought = {line["text_sha256"] or line["audio_sha256"] for line in ended if line["complete"]}
        unsaved = sum(
            sold in bought for name, sold in self.work.sold.items() if name not in self._done
        )
        self.toll.repeated += unsaved
        self.toll.most_repeated = max(self.toll.most_repeated, unsaved)
        if unsaved > self.work.concurrency:
            self.note("again", f"{unsaved} paid sessions were lost to one kill")

    def _look_for_sessions_too_many(
        self, lines: Sequence[Mapping[str, object]], ended: Sequence[Mapping[str, object]]
    ) -> None:
        had = {sold for name, sold in self.work.sold.items() if name in self._done}
        for line in ended:
            if (line["text_sha256"] or line["audio_sha256"]) in had:
                self.note("again", f"session {line['session']} was for work already done")
        starts = sum(line["event"] == "start" for line in lines)
        if starts > len(self.work.sold) - len(had):
            self.note("again", f"{starts} sessions for {len(self.work.sold) - len(had)} jobs")

    def _looked_at(self) -> tuple[set[str], int]:
        """Who is done, their files being right, and how many attempts were counted."""
        for path, right in self.work.contents.items():
            file = self.folder / path
            if file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() != right:
                self.note("corrupt", f"{path} holds something else")
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as name:
            copy = Path(name)
            for file in self.folder.glob("checkpoint.sqlite3*"):
                if not file.name.endswith("-shm"):
                    shutil.copy(file, copy)
            try:
                with Checkpoint.read(copy) as checkpoint:
                    records = list(checkpoint.done_records())
                    attempts = checkpoint.totals().attempts
            except NoRunError:
                return set(), 0
            except BatchjobsError as error:
                self.note("wrong", f"the checkpoint cannot be read: {error}")
                return set(), 0
        for record in records:
            for change in file_changes(self.folder, record.files):
                self.note("corrupt", f"{record.id} is done, but {change}")
        return {record.id for record in records}, attempts

    def finish(self, *, broken: str = "") -> Toll:
        """Let it run to its end, and check that everything is there."""
        code = self.bench.run(self, broken=broken)
        if code:
            shown = (self.folder.parent / "stderr").read_text(encoding="utf-8")[-400:]
            self.note("wrong", f"the last run ended with {code}: {shown}")
        self.judge(was_killed=False)
        self.check_end()
        return self.toll

    def check_end(self) -> None:
        """Check that every row has its answer and every file its content, and no other is left."""
        rows = self.work.rows
        for missing in range(rows - len(self._done)):
            self.note("lost", f"row {missing} of those not done at the end")
        for path in self.work.contents:
            if not (self.folder / path).exists():
                self.note("lost", f"{path} is missing")
        with contextlib.suppress(FileNotFoundError):
            counted = json.loads((self.folder / "summary.json").read_bytes())
            shown = {name: counted[name] for name in ("rows", "done", "failed", "not_run")}
            if shown != {"rows": rows, "done": rows, "failed": 0, "not_run": 0}:
                self.note("wrong", f"the summary says {shown}")
            lines = (self.folder / "results.jsonl").read_bytes().splitlines()
            if [json.loads(line)["line"] for line in lines] != sorted(range(2, rows + 2)):
                self.note("wrong", f"results.jsonl has {len(lines)} lines that are not the rows'")
        for part in self.folder.rglob("*.part"):
            self.note("wrong", f"{part.name} was left behind")


# -- kills at random moments ---------------------------------------------------------------------


def random_kills(
    bench: Bench, work: Work, kills: int, dice: random.Random, *, forked: float = 0.0
) -> Toll:
    """Kill runs at random moments, over and over, one run folder after another.

    Args:
        bench: Where.
        work: What is to be done.
        kills: How many processes to kill.
        dice: When.
        forked: Share of the runs that are forked, which is quicker, and not started as a command.
    """
    toll = Toll()
    while toll.faults < kills:
        case = Case(bench, work, f"random kill {toll.faults + 1}")
        while toll.faults + case.toll.faults < kills:
            code = (
                _killed_fork(case, dice) if dice.random() < forked else _killed_command(case, dice)
            )
            case.judge(was_killed=code == -signal.SIGKILL)
            if code == 0:
                break
            if code != -signal.SIGKILL:
                case.note("wrong", f"a run ended with {code}")
        toll.add(case.finish())
        shutil.rmtree(case.folder.parent)
    return toll


def _killed_command(case: Case, dice: random.Random) -> int:
    bench = case.bench
    command = [sys.executable, "-m", "batchjobs", *bench.command(case, "-q")]
    with (case.folder.parent / "stderr").open("ab") as stderr:
        process = subprocess.Popen(
            command, cwd=bench.folder, env=bench.environment, stderr=stderr, stdout=stderr
        )
    # Most of a process's life before its first session is Python's; little of it is worth a kill.
    if dice.random() < 0.85:
        while process.poll() is None and not bench.ledger.has_grown():
            time.sleep(0.002)
        moment = dice.uniform(0, 0.35)
    else:
        moment = dice.uniform(0.05, 0.5)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(moment)
    process.kill()
    return process.wait(30)


def _killed_fork(case: Case, dice: random.Random) -> int:
    with case.bench.forked(case) as child:
        time.sleep(dice.uniform(0, 0.4))
        child.kill()
        return child.wait()


# -- kills at every point ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Point:
    """The `count`-th call of this kind."""

    call: str
    count: int

    def __str__(self) -> str:
        """How to name it."""
        return f"{self.call} {self.count}"


_Strike = Callable[[Bench, Point], tuple[bool, Toll]]


def every_point(
    several: Sequence[Bench], work: Work, *, calls: Sequence[str] = tuple(CALLS), broken: str = ""
) -> Toll:
    """Kill a run once at each of its disk calls, and let each recover."""

    def strike(bench: Bench, point: Point) -> tuple[bool, Toll]:
        case = Case(bench, work, str(point))
        code = bench.struck(case, point.call, point.count, broken=broken)
        return _recovered(case, point.call, code, broken)

    toll = Toll()
    for call in calls:
        toll.add(_until_survived(several, strike, call))
    return toll


def every_point_in_process(several: Sequence[Bench], work: Work, *, step: int = 1) -> Toll:
    """Do the same without strace: the run kills itself at each, or each so-manieth, disk call."""

    def strike(bench: Bench, point: Point) -> tuple[bool, Toll]:
        case = Case(bench, work, str(point))
        code = bench.run(case, die_at=1 + (point.count - 1) * step)
        return _recovered(case, point.call, code, "")

    return _until_survived(several, strike, "in-process")


def _recovered(case: Case, call: str, code: int, broken: str) -> tuple[bool, Toll]:
    """Judge what a kill left, and what a run after it makes of that."""
    was_killed = code == -signal.SIGKILL
    case.judge(was_killed=was_killed)
    case.toll.points[call] += was_killed
    if was_killed:
        case.finish(broken=broken)
    elif code:
        case.note("wrong", f"the run ended with {code}")
    else:
        case.check_end()
    shutil.rmtree(case.folder.parent)
    return not was_killed, case.toll


def _until_survived(several: Sequence[Bench], strike: _Strike, call: str) -> Toll:
    """Strike at 1, 2, 3 … until a run survives, the benches taking turns."""

    def lane(number: int) -> Toll:
        toll = Toll()
        for count in itertools.count(number + 1, len(several)):
            survived, found = strike(several[number], Point(call, count))
            toll.add(found)
            if survived:
                return toll
        raise AssertionError

    total = Toll()
    with concurrent.futures.ThreadPoolExecutor(len(several)) as pool:
        for toll in pool.map(lane, range(len(several))):
            total.add(toll)
    return total


def nested(
    several: Sequence[Bench], work: Work, pairs: int, seed: int, *, most: Mapping[str, int]
) -> Toll:
    """Kill a run at one point, its recovery at another, and let that recover.

    Args:
        several: Where.
        work: What is to be done.
        pairs: How many pairs of points.
        seed: Of the dice that choose them.
        most: For each call, about how many points a run has.
    """

    def lane(number: int) -> Toll:
        dice = random.Random(f"{seed} {number}")
        bench, toll = several[number], Toll()
        for _ in range(number, pairs, len(several)):
            points = [_thrown(dice, most) for _ in range(dice.choice((2, 2, 2, 3)))]
            case = Case(bench, work, ", then ".join(map(str, points)))
            for point in points:
                code = bench.struck(case, point.call, point.count)
                case.judge(was_killed=code == -signal.SIGKILL)
                case.toll.points[point.call] += code == -signal.SIGKILL
                if code not in {0, -signal.SIGKILL}:
                    case.note("wrong", f"a run ended with {code}")
            toll.add(case.finish())
            shutil.rmtree(case.folder.parent)
        return toll

    total = Toll()
    with concurrent.futures.ThreadPoolExecutor(len(several)) as pool:
        for toll in pool.map(lane, range(len(several))):
            total.add(toll)
    return total


def _thrown(dice: random.Random, most: Mapping[str, int]) -> Point:
    call = dice.choices(list(most), weights=[count**0.5 for count in most.values()])[0]
    return Point(call, dice.randint(1, most[call]))


# -- the long form -------------------------------------------------------------------------------


def main() -> int:
    """Do the long form, or what was asked for; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="1,000 kills and 200 nested pairs")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    kills, pairs = (1_000, 200) if given.long else (given.kills, given.pairs)
    print(f"seed {given.seed}, commit {commit_id()}\n\n{HEADER}", flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        tolls = list(_shown(Path(name), kills, pairs, given.seed))
    for toll in tolls:
        print(*(f"  {note}" for note in toll.notes), sep="\n", end="")
    return 1 if any(toll.bad for toll in tolls) else 0


def _shown(folder: Path, kills: int, pairs: int, seed: int) -> Iterator[Toll]:
    began = time.monotonic()

    def show(toll: Toll, fault: str, how: str) -> Toll:
        print(toll.line(fault, how), flush=True)
        return toll

    big = Work.made(folder / "big", speech=50, recordings=2, copies=3, concurrency=4)
    small = Work.made(folder / "small", speech=1, recordings=1, concurrency=2)
    with benches(folder / "paced", LANES, "--pace", 10) as several:
        total = Toll()
        with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
            dice = [random.Random(f"{seed} {lane}") for lane in range(LANES)]
            for toll in pool.map(
                random_kills, several, [big] * LANES, [kills // LANES] * LANES, dice
            ):
                total.add(toll)
        yield show(total, "SIGKILL at a random moment", "real command, 4 sessions at once")
        print(f"  at most {total.most_repeated} repeated by one kill", flush=True)
    missing = strace_is_missing()
    with benches(folder / "quick", LANES) as several:
        if missing:
            print(f"  {missing}: the in-process twin stands in", flush=True)
        else:
            points = every_point(several, small)
            yield show(points, "SIGKILL at every disk call", "strace inject, enumerated")
            print("  " + ", ".join(f"{n} {call}" for call, n in points.points.items()), flush=True)
            both = nested(several, small, pairs, seed, most=points.points)
            yield show(both, "SIGKILL at two or three, nested", "strace inject, pairs at random")
        twin = every_point_in_process(several, small)
        yield show(twin, "SIGKILL at every disk call", "in-process twin, enumerated")
    print(f"  {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
