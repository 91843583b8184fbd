"""What a faultless run makes of a manifest, and how far a run that met faults is from it."""

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchjobs.audio import encoding
from batchjobs.checkpoint import Checkpoint, JobRecord
from batchjobs.errors import BatchjobsError, NoRunError
from batchjobs.outputs.reuse import find_changes
from batchjobs.server.engines.registry import make_synthesiser
from tests.builders import make_speech
from tests.faults.bench import Bench
from tests.whole_runs import ARABIC, write_manifest

__all__ = ["HEADER", "SPEECH_RATE", "Case", "Toll", "Work", "sha256_of", "sha256_of_wav", "tones"]


SPEECH_RATE = 8_000


def sha256_of(path: Path) -> str:
    """Hash a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sha256_of_wav(pcm: bytes) -> str:
    """Hash the file that speech is written to."""
    wav = encoding.encode(pcm, sample_rate=SPEECH_RATE, format="wav")
    return hashlib.sha256(wav).hexdigest()


def tones(text: str, rate: int) -> bytes:
    """Give the samples that a text must give."""
    engine = make_synthesiser("tone")
    try:
        return b"".join(engine.synthesise(text, make_speech(rate)))
    finally:
        engine.close()


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
        rows: list[dict[str, str]] = []
        sold: dict[str, str] = {}
        contents: dict[str, str] = {}
        for number in range(speech + copies):
            text = f"{ARABIC[number % 5][:12]} {number}" if number < speech else rows[0]["text"]
            name = f"s{number}"
            rows.append(
                {"id": name, "text": text, "audio": "", "output_format": f"pcm_{SPEECH_RATE}"}
            )
            contents[f"audio/{name}.wav"] = sha256_of_wav(tones(text, SPEECH_RATE))
            if number < speech:
                sold[name] = hashlib.sha256(text.encode()).hexdigest()
        for number in range(recordings):
            name, text = f"r{number}", f"سلام {number}"
            pcm = tones(text, 16_000)
            wav = encoding.encode(pcm, sample_rate=16_000, format="wav")
            (folder / f"{name}.wav").write_bytes(wav)
            rows.append({"id": name, "text": "", "audio": f"{name}.wav", "output_format": ""})
            sold[name] = hashlib.sha256(pcm).hexdigest()
            contents[f"transcripts/{name}.txt"] = hashlib.sha256(text.encode()).hexdigest()
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


class Case:
    """One run folder on its way through faults, and what they have cost so far.

    Call `judge` after each of its processes.

    Args:
        bench: Where it runs; one case at a time.
        work: What is to be done.
        label: What to call it when something is wrong.

    Attributes:
        folder: The run folder.
        toll: What the faults have cost so far.
        rebought: Ids of what the next process is told to buy again.
    """

    def __init__(self, bench: Bench, work: Work, label: str) -> None:
        self.bench = bench
        self.work = work
        self.folder = bench.new_folder()
        self.toll = Toll()
        self.rebought: frozenset[str] = frozenset()
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
        had = {sold for name, sold in self.work.sold.items() if name in self._done - self.rebought}
        for line in ended:
            if (line["text_sha256"] or line["audio_sha256"]) in had:
                self.note("again", f"session {line['session']} was for work already done")
        starts = sum(line["event"] == "start" for line in lines)
        if starts > len(self.work.sold) - len(had):
            self.note("again", f"{starts} sessions for {len(self.work.sold) - len(had)} jobs")

    def may_hold(self, path: str) -> Collection[str]:
        """The hashes of what may stand under a final name."""
        return (self.work.contents[path],)

    def had(self, checkpoint: Checkpoint) -> list[JobRecord]:
        """What must not be paid for again: finished jobs."""
        return list(checkpoint.lookups.stream_done())

    def _looked_at(self) -> tuple[set[str], int]:
        """Who is done, their files being right, and how many attempts were counted."""
        for path in self.work.contents:
            file = self.folder / path
            if file.exists() and sha256_of(file) not in self.may_hold(path):
                self.note("corrupt", f"{path} holds something else")
        with tempfile.TemporaryDirectory(dir=self.folder.parent) as name:
            copy = Path(name)
            for file in self.folder.glob("checkpoint.sqlite3*"):
                if not file.name.endswith("-shm"):
                    shutil.copy(file, copy)
            try:
                with Checkpoint.read(copy) as checkpoint:
                    records = self.had(checkpoint)
                    attempts = checkpoint.totals.count_rows().attempts
            except NoRunError:
                return set(), 0
            except BatchjobsError as error:
                self.note("wrong", f"the checkpoint cannot be read: {error}")
                return set(), 0
        for record in records:
            for change in find_changes(self.folder, record.files):
                self.note("corrupt", f"{record.id} is {record.status}, but {change}")
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
