"""Runs with workers, under kills of all that takes part: ``python -m tests.proofs.workers [PART …]``.

`local`: 2,000 jobs on ``--workers 2``; every two seconds a worker is killed, five times the owner.
`cluster`: the same on a cluster of three processes started by hand, and once its scheduler is killed.
`limit`: three workers at a service with room for 40 sessions that it tells nobody of.
`budget`: budgets in characters and in money, at 1, 2 and 3 workers.
`signals`: Ctrl-C once and twice, to all processes of a run, as a terminal sends it.
`frozen`: an owner that is stopped for a while, as a laptop that is closed, and goes on.

The oracle stands outside: the ledger of the server, the checkpoint as a reader sees it, the files. Prints what
it saw, and ends with 1 if a bound is broken.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeAlias

from tests.clocks import until
from tests.clusters import HandMade, Owner, hand_made, workers_of
from tests.faults.broken import BUGS
from tests.faults.oracle import Work
from tests.faults.struck_host import MISTAKES, mistaken
from tests.proofs.struck import Session, Watched, done_in, judge, read_checkpoint, read_sessions
from tests.whole_runs import run_server, write_manifest

CONCURRENCY: Final = 32
WORKER_KILL_SECONDS: Final = 2.0
ORPHANS_SECONDS: Final = 2.0
"""After so long no worker of an owner that is dead opens another session."""
CUT_SECONDS: Final = 3.0
"""Sessions are cut within a second; what was bought is written down, and processes end."""
UNAVAILABLE: Final = 69
ROOM: Final = 40
LEAST_USED, MOST_REFUSED = 0.70, 0.03
PRICES: Final = "[providers.local]\ntts_price_per_million_characters = 1000.0\n"


@contextlib.contextmanager
def killing_workers(
    watched: Watched, find: Callable[[], Sequence[int]], kill: Callable[[int], None]
) -> Iterator[None]:
    """Kill a worker every two seconds for as long as the block lasts."""
    ended = threading.Event()

    def go() -> None:
        dice = random.Random(15)
        while not ended.wait(WORKER_KILL_SECONDS):
            if pids := find():
                watched.kills.append((time.time(), "worker"))
                with contextlib.suppress(ProcessLookupError):
                    kill(dice.choice(pids))

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


Found: TypeAlias = tuple[Mapping[str, object], list[str]]
"""Figures, and the bounds that are broken."""


# -- the parts --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where a part of the proof plays.

    Attributes:
        home: A folder of its own.
        jobs: How many jobs the long runs have.
        owner_kills: How often their owners are killed.
        program: The module that is run as the owner, with its arguments: the command, or one with a mistake
            in it.
        environment: Of owner and workers: what strikes the workers, or mistakes that they make.
    """

    home: Path
    jobs: int = 2_000
    owner_kills: int = 5
    program: Sequence[str] = ("batchjobs",)
    environment: Mapping[str, str] = field(default_factory=dict)

    def make(self, mistake: str) -> "Stage":
        """Have a mistake made, by its name: of the owner, or of its workers."""
        if mistake in MISTAKES:
            return replace(self, environment=mistaken(mistake))
        return replace(self, program=("tests.faults.broken", mistake)) if mistake else self

    @property
    def run_folder(self) -> Path:
        """The run's."""
        return self.home / "run"

    def make_work(self, jobs: int, concurrency: int = CONCURRENCY) -> Work:
        """Write a manifest of so many Arabic texts, each its own."""
        return Work.made(self.home / "work", speech=jobs, concurrency=concurrency)

    def run(self, work: Work, base_url: str, *more: object) -> Owner:
        """Start a run; the same command continues it."""
        given = [work.manifest, "-o", self.run_folder, "--base-url", base_url, "-q"]
        given += ["-c", work.concurrency or "auto", "--attempts", 40, *more]
        return Owner(self.home, *given, program=self.program, **self.environment)


def prove_kills(stage: Stage, cluster: HandMade | None) -> Found:
    """Kill whoever takes part in a long run, and count what came of it."""
    work = stage.make_work(stage.jobs)
    deaths = ["owner"] * stage.owner_kills
    if cluster is not None:
        deaths.insert(stage.owner_kills // 2, "scheduler")
    ledger = stage.home / "ledger"
    with run_server(stage.home, "--engine", "tone", "--ledger", ledger, "--pace", 1) as base_url:
        siege = Siege(stage, cluster, work, base_url)
        for number, death in enumerate(deaths, 1):
            if not siege.kill(death, after=stage.jobs * number // (len(deaths) + 1)):
                break
        siege.finish()
    watched = siege.watched
    if len(watched.kills) < stage.jobs / 200:
        watched.wrong.append(f"only {len(watched.kills)} kills struck")
    figures = judge(watched, stage.run_folder, work, ledger)
    latest = f"{siege.latest_seconds:.2f} s"
    return {**figures, "latest session after the owner's death": latest}, watched.wrong


class Siege:
    """A run that is started again and again, whose workers are killed all the time.

    Args:
        stage: Where.
        cluster: Whose workers open the sessions; None for those of ``--workers 2``.
        work: What is to be done.
        base_url: The server's.

    Attributes:
        watched: What was seen of it.
        latest_seconds: How long after its owner's death a worker still opened a session.
    """

    def __init__(self, stage: Stage, cluster: HandMade | None, work: Work, base_url: str) -> None:
        self.watched = Watched()
        self.latest_seconds = 0.0
        self._stage = stage
        self._cluster = cluster
        self._work = work
        self._base_url = base_url

    def kill(self, whom: str, *, after: int) -> bool:
        """Let it run until so many jobs are done, and kill the owner or the scheduler.

        Returns:
            Whether it came to that.
        """
        wrong = self.watched.wrong
        with self._running() as owner:
            while owner.code is None and len(self.watched.seen_done) < after:
                self._look()
            if owner.code is not None:
                wrong.append(f"a run ended with {owner.code}: {owner.said()[-600:]}")
                return False
            at = time.time()
            self.watched.kills.append((at, whom))
            if whom == "owner":
                owner.kill()
                self._wait_for_orphans(at)
            else:
                self._kill_scheduler(owner, at)
        self._look()
        return True

    def finish(self) -> None:
        """Let it run to its end, its workers killed as before."""
        with self._running() as owner:
            while owner.code is None:
                self._look()
            if code := owner.wait():
                self.watched.wrong.append(f"the run ended with {code}: {owner.said()[-600:]}")
            if "Traceback" in owner.said():
                self.watched.wrong.append(f"a traceback: {owner.said()[:2_000]}")
        self._look()

    @contextlib.contextmanager
    def _running(self) -> Iterator[Owner]:
        """Have a run whose workers are killed for as long as the block lasts."""
        cluster = self._cluster
        where = ("--workers", 2) if cluster is None else ("--cluster", cluster.address)
        ledger = self._stage.home / "ledger"
        before = len(read_sessions(ledger)) if ledger.exists() else 0
        with self._stage.run(self._work, self._base_url, *where) as owner:

            def find() -> Sequence[int]:
                if not ledger.exists() or len(read_sessions(ledger)) == before:
                    return []  # it is not under way yet
                return workers_of(owner.pid) if cluster is None else cluster.workers

            kill = _kill if cluster is None else cluster.kill_worker
            with killing_workers(self.watched, find, kill):
                yield owner

    def _look(self) -> None:
        self.watched.look(self._stage.run_folder, self._work)
        time.sleep(0.2)

    def _wait_for_orphans(self, at: float) -> None:
        ledger = self._stage.home / "ledger"
        time.sleep(2 * ORPHANS_SECONDS)
        late = [s.began - at for s in read_sessions(ledger) if s.began > at]
        self.latest_seconds = max([self.latest_seconds, *late])
        if orphans := sum(seconds > ORPHANS_SECONDS for seconds in late):
            self.watched.wrong.append(f"{orphans} sessions opened after the owner's death")

    def _kill_scheduler(self, owner: Owner, at: float) -> None:
        assert self._cluster is not None
        self._cluster.kill_scheduler()
        code = owner.wait()
        said = owner.said().strip().splitlines()[-3:]
        print(f"  without a scheduler, after {time.time() - at:.1f} s: {code}", *said, sep="\n  ")
        if code != UNAVAILABLE or not any("scheduler" in line for line in said):
            self.watched.wrong.append(f"without a scheduler: {code}, {said}")
        self._cluster.start_scheduler()
        self._cluster.start_workers(3)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def prove_local(stage: Stage) -> Found:
    """Two workers on this machine."""
    return prove_kills(stage, None)


def prove_cluster(stage: Stage) -> Found:
    """Three workers that somebody started by hand."""
    with hand_made(stage.home / "cluster", 3, **stage.environment) as cluster:
        return prove_kills(stage, cluster)


def prove_limit(stage: Stage) -> Found:
    """A limit that nobody knows, found by three workers together."""
    work = stage.make_work(stage.jobs, concurrency=0)
    ledger = stage.home / "ledger"
    limits = ("--pace", 1, "--session-limit", ROOM)
    with (
        run_server(stage.home, "--engine", "tone", "--ledger", ledger, *limits) as base_url,
        stage.run(work, base_url, "--workers", 3) as owner,
    ):
        code = owner.wait()
    wrong = [] if code == 0 else [f"the run ended with {code}: {owner.said()[-600:]}"]
    sessions = read_sessions(ledger)
    began, ended = sessions[0].began, max(s.began for s in sessions)
    # Half of it to find the room, and what is left at the end without work for all.
    since = began + (ended - began) / 2
    used = sum(
        max(0.0, min(s.ended, ended) - max(s.began, since)) for s in sessions if s.ended > since
    )
    share = used / (ended - since) / ROOM
    attempts = read_checkpoint(stage.home / "run", "SELECT count(*) FROM attempts")[0][0]
    refused = (attempts - len(sessions)) / attempts
    if not LEAST_USED <= share <= 1.0:
        wrong.append(f"{share:.0%} of the room was used")
    if refused > MOST_REFUSED:
        wrong.append(f"{refused:.1%} of the sessions were refused")
    figures = {
        "room": ROOM,
        "used in the second half": f"{share:.0%}",
        "refused": f"{refused:.1%} of {attempts}",
        "seconds": round(ended - began),
    }
    return figures, wrong


def prove_budget(stage: Stage) -> Found:
    """Budgets that end within the manifest, at any number of workers."""
    texts = [f"صَباحُ الخَيرِ {n:04}" for n in range(200)]
    rows = [{"id": f"r{n}", "text": text} for n, text in enumerate(texts)]
    manifest = write_manifest(stage.home / "rows.csv", rows)
    (stage.home / "batchjobs.toml").write_text(PRICES, encoding="utf-8")
    each, affordable = len(texts[0]), 137
    budgets = {
        "--max-characters": each * affordable + each // 2,
        "--budget": f"{(each * affordable + each // 2) / 1_000:.6f}",
    }
    wrong, figures = [], {}
    for workers, (option, most) in itertools.product((1, 2, 3), budgets.items()):
        ledger = stage.home / f"ledger{workers}{option}"
        with run_server(stage.home, "--engine", "tone", "--ledger", ledger) as base_url:
            given = [manifest, "-o", f"run{workers}{option}", "--base-url", base_url, "-q"]
            given += ["-c", 16, "--workers", workers, option, most]
            with Owner(stage.home, *given, program=stage.program, **stage.environment) as owner:
                code = owner.wait()
        sold = sum(session.characters for session in read_sessions(ledger))
        figures[f"{option} at {workers}"] = f"{sold} characters, exit code {code}"
        if (code, sold) != (80, each * affordable):
            wrong.append(f"{option} {most} at {workers}: {code}, {sold}, not {each * affordable}")
    return figures, wrong


def prove_signals(stage: Stage) -> Found:
    """Ctrl-C once lets open sessions end, twice cuts them; nothing is left behind."""
    with hand_made(stage.home / "cluster", 3, **stage.environment) as cluster:
        return interrupt(stage, (("--workers", 2), ("--cluster", cluster.address)))


def interrupt(stage: Stage, places: Sequence[Sequence[object]]) -> Found:
    """Press Ctrl-C once and twice in runs that have their sessions there."""
    rows = [{"id": f"r{n}", "text": f"صباح الخير {n} " * 8} for n in range(60)]
    manifest = write_manifest(stage.home / "rows.csv", rows)
    wrong: list[str] = []
    figures: dict[str, object] = {}
    for presses, where in itertools.product((1, 2), places):
        name = f"{where[0]}, pressed {presses}"
        figures[name], found = _interrupted(stage, manifest, presses, where)
        wrong += [f"{name}: {line}" for line in found]
    return figures, wrong


def _interrupted(
    stage: Stage, manifest: Path, presses: int, where: Sequence[object]
) -> tuple[str, list[str]]:
    home = stage.home / f"{presses}{where[0]}"
    home.mkdir()
    ledger, wrong = home / "ledger", list[str]()
    with run_server(home, "--engine", "tone", "--ledger", ledger, "--pace", 1) as base_url:
        given = [manifest, "-o", "run", "--base-url", base_url, "-c", 8, "--attempts", 40, *where]
        with Owner(home, *given, program=stage.program, **stage.environment) as owner:
            until(lambda: owner.code is not None or len(_open_in(ledger)) >= 6)
            at = time.time()
            owner.press_ctrl_c()
            if presses > 1:
                time.sleep(0.5)
                owner.press_ctrl_c()
            again = time.time()
            code, took = owner.wait(), time.time() - again
            left = owner.left()
            until(lambda: not _open_in(ledger))
    sessions = read_sessions(ledger)
    later = sum(session.began > at + 0.5 for session in sessions)
    whole, done = sum(session.is_whole for session in sessions), len(done_in(home / "run"))
    if code != -signal.SIGINT:
        wrong.append(f"ended with {code}: {owner.said()[-600:]}")
    if left:
        wrong.append(f"left behind: {left}")
    if later:
        wrong.append(f"{later} sessions opened afterwards")
    if presses == 1 and not len(sessions) == whole == done:
        wrong.append(f"{len(sessions)} sessions, {whole} whole, {done} done")
    if presses > 1 and (whole == len(sessions) or took > CUT_SECONDS):
        wrong.append(f"{whole} of {len(sessions)} sessions were whole; it took {took:.1f} s")
    if "Traceback" in owner.said():
        wrong.append(f"a traceback: {owner.said()[-600:]}")
    shown = f"{len(sessions)} sessions, {whole} whole, {done} done, {len(left)} processes left"
    return f"exit {code} after {took:.2f} s, {shown}", wrong


def _open_in(ledger: Path) -> list[Session]:
    if not ledger.exists():
        return []
    return [session for session in read_sessions(ledger) if session.ended == float("inf")]


def prove_frozen(stage: Stage) -> Found:
    """An owner that stands still for a while: its workers stop, and go on with it."""
    work = stage.make_work(stage.jobs // 5)
    ledger, folder = stage.home / "ledger", stage.home / "run"
    wrong = []
    with (
        hand_made(stage.home / "cluster", 3, **stage.environment) as cluster,
        run_server(stage.home, "--engine", "tone", "--ledger", ledger, "--pace", 1) as base_url,
        stage.run(work, base_url, "--cluster", cluster.address) as owner,
    ):
        until(lambda: len(done_in(folder)) >= work.rows // 4 or owner.code is not None)
        at = time.time()
        owner.kill(signal.SIGSTOP)
        time.sleep(8 * ORPHANS_SECONDS)
        late = [s for s in read_sessions(ledger) if s.began > at + ORPHANS_SECONDS]
        resumed = time.time()
        owner.kill(signal.SIGCONT)
        code = owner.wait()
    if code:
        wrong.append(f"the run ended with {code}: {owner.said()[-600:]}")
    if late:
        wrong.append(f"{len(late)} sessions opened while the owner stood still")
    watched = Watched(pauses=[(at, resumed)])
    figures = judge(watched, folder, work, ledger)
    shown = {name: figures[name] for name in ("jobs done", "sessions", "repeated")}
    return shown, [*wrong, *watched.wrong]


Prove: TypeAlias = Callable[[Stage], Found]
PARTS: Final[Mapping[str, Prove]] = {
    "local": prove_local,
    "cluster": prove_cluster,
    "limit": prove_limit,
    "budget": prove_budget,
    "signals": prove_signals,
    "frozen": prove_frozen,
}


def main() -> int:
    """Prove what was asked for; 1 if a bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[*PARTS])
    parser.add_argument("--jobs", type=int, default=2_000)
    parser.add_argument("--mistake", choices=[*BUGS, *MISTAKES], help="make it: must be noticed")
    given = parser.parse_args()
    is_bad = False
    for part in given.parts:
        began = time.monotonic()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            stage = Stage(home=Path(name), jobs=given.jobs).make(given.mistake or "")
            figures, wrong = PARTS[part](stage)
        print(f"{part}, {time.monotonic() - began:.0f} s: {json.dumps(figures, indent=2)}")
        print(*(f"  WRONG: {line}" for line in wrong), sep="\n", end="\n" if wrong else "")
        is_bad = is_bad or bool(wrong)
    return int(is_bad)


if __name__ == "__main__":
    sys.exit(main())
