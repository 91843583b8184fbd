"""A run folder with something in doubt, and what may come of it."""

import csv
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from batchjobs.checkpoint import Checkpoint, JobRecord
from batchjobs.jobs import Status
from tests.faults.bench import Bench
from tests.faults.oracle import (
    SPEECH_RATE,
    Case,
    Work,
    sha256_of,
    sha256_of_wav,
    tones,
)

_FINAL = "audio/s0.wav"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubted:
    """A text whose audio is in doubt each time, and a recording that is not.

    Attributes:
        work: Both, with silence in place of the text's tones.
        better: The hash of the text's file where all its tones came, and half a sample after them.
        seconds: How long either is.
        begun: A run folder in which the silence is kept and the recording is done.
    """

    work: Work
    better: str
    seconds: float
    begun: Path

    @classmethod
    def made(cls, folder: Path, silent: Bench) -> "Doubted":
        """Write the manifest, and run it once against a service whose speech is silence."""
        work = Work.made(folder, speech=1, recordings=1, concurrency=1)
        with work.manifest.open(encoding="utf-8", newline="") as lines:
            pcm = tones(next(csv.DictReader(lines))["text"], SPEECH_RATE)
        silence = sha256_of_wav(bytes(len(pcm)))
        made = cls(
            work=replace(work, contents={**work.contents, _FINAL: silence}),
            better=work.contents[_FINAL],
            seconds=round(len(pcm) / 2 / SPEECH_RATE, 6),
            begun=folder / "begun",
        )
        case = DoubtedCase(silent, made, "the beginning")
        code = silent.run(case, arguments=case.run())
        case.judge(was_killed=False)
        if code != 1 or case.toll.bad or not case.kept:
            raise RuntimeError(f"it ended with {code}: {case.toll.notes}")
        shutil.copytree(case.folder, made.begun)
        return made


class DoubtedCase(Case):
    """A run folder with a result in doubt on its way through kills.

    Args:
        bench: Where it runs.
        doubted: What is to be done.
        label: What to call it when something is wrong.
        is_begun: Whether it begins with the result kept.

    Attributes:
        kept: The hash of what is kept of the text; empty if nothing is, or if it is accepted.
        paid: Sessions of the text whose audio came to its end.
        destroyed: Those of them whose audio a kill destroyed before it was kept.
        lost_attempts: Attempts that kills have cut off, up to the last process.
    """

    def __init__(
        self, bench: Bench, doubted: Doubted, label: str, *, is_begun: bool = False
    ) -> None:
        super().__init__(bench, doubted.work, label)
        self.kept = ""
        self.paid = 0
        self.destroyed = 0
        self.lost_attempts = 0
        self._better = doubted.better
        self._seconds = doubted.seconds
        self._may_accept = False
        if is_begun:
            shutil.copytree(doubted.begun, self.folder)
            self.take_over()

    # -- commands -------------------------------------------------------------------------------

    def run(self, *more: object) -> list[str]:
        """Run with one attempt more than the last kill has used up: each buys at most once."""
        return self.bench.command(self, "-q", "--attempts", 1 + self.lost_attempts, *more)

    def retry(self) -> list[str]:
        """Buy again what is in doubt."""
        self.rebought = frozenset({"s0"})
        return self.run("--retry-failed")

    def accept(self) -> list[str]:
        """Accept what is in doubt."""
        self.rebought = frozenset()
        self._may_accept = True
        return ["accept", str(self.folder), "--all"]

    def do(self, arguments: Sequence[str], *codes: int, broken: str = "") -> None:
        """Let a command come to its end, and judge what it leaves."""
        code = self.bench.run(self, arguments=arguments, broken=broken)
        if code not in codes:
            shown = (self.folder.parent / "stderr").read_text(encoding="utf-8")[-400:]
            self.note("wrong", f"{arguments[0]} ended with {code}: {shown}")
        self.judge(was_killed=False)

    # -- judging --------------------------------------------------------------------------------

    def may_hold(self, path: str) -> Collection[str]:
        """The text's place holds nothing until it is accepted, then one of the two."""
        if path != _FINAL:
            return super().may_hold(path)
        return (self.work.contents[path], self._better) if self._may_accept else ()

    def had(self, checkpoint: Checkpoint) -> list[JobRecord]:
        """Finished jobs, and what is kept in doubt."""
        self.kept = ""
        suspects = [record for _, record in checkpoint.rows.stream_records(Status.SUSPECT)]
        for record in suspects:
            place = self.folder / record.output
            self.kept = sha256_of(place) if place.exists() else ""
            if not record.output.startswith("suspect/"):
                self.note("corrupt", f"{record.output} is in doubt, under a final name")
            if self.kept not in {self.work.contents[_FINAL], self._better}:
                self.note("corrupt", f"{record.output} holds something else")
        totals = checkpoint.totals.count_rows()
        self.lost_attempts = totals.attempts_open + totals.attempts_lost
        return [*super().had(checkpoint), *suspects]

    def judge(self, *, was_killed: bool) -> None:
        """Compare what the last process has left with what the server says, and what it cost."""
        before = self.paid
        super().judge(was_killed=was_killed)
        if "s0" not in self._done:
            self.destroyed += self.paid - before
            self.toll.repeated += self.paid - before

    def _look_for_sessions_too_many(
        self, lines: Sequence[Mapping[str, object]], ended: Sequence[Mapping[str, object]]
    ) -> None:
        asked = self.work.sold["s0"]
        self.paid += sum(
            line["text_sha256"] == asked and line["audio_seconds"] == self._seconds
            for line in ended
        )
        super()._look_for_sessions_too_many(lines, ended)

    def go_on(self) -> None:
        """Go on with whatever stands in the folder, to its good end."""
        self._may_accept = True  # it may have begun
        self.take_over()
        self.do(self.run(), 0, 1)
        self.accept_and_check()

    def accept_and_check(self, *, broken: str = "") -> None:
        """Accept what is kept: it is the result then, nothing else is left, nothing was bought."""
        kept, paid = self.kept, self.paid
        self.do(self.accept(), 0, broken=broken)
        self.check_end()
        file = self.folder / _FINAL
        if kept and file.exists() and sha256_of(file) != kept:
            self.note("corrupt", "another audio than the one that was kept is the result")
        if (self.folder / "suspect").exists():
            left = sorted(path.name for path in (self.folder / "suspect").iterdir())
            self.note("wrong", f"left in suspect/: {left}")
        if not (self.folder / "summary.json").exists():
            self.note("wrong", "there is no summary")
        if self.paid != paid:
            self.note("again", "to accept it was paid for")
