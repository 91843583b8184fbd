"""Kills whatever has to do with a result in doubt, at every disk call: a run, a retry, `accept`.

    python -m tests.faults.doubt --long          # every point, by strace and by its twin
    python -m tests.faults.doubt --step 5        # each fifth

One row's audio is digital silence each time, so it always ends suspect; a recording beside it is
good. Whatever is killed, and when: what was kept is paid for once, and once it is accepted it stands
under the final name, byte by byte.
"""

import argparse
import csv
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from batchjobs.checkpoint import Checkpoint, JobRecord
from batchjobs.jobs import Status
from tests.faults.bench import Bench, benches, strace_is_missing
from tests.faults.crash import LANES, Point, commit_id, until_survived
from tests.faults.driver import CALLS
from tests.faults.oracle import (
    HEADER,
    SPEECH_RATE,
    Case,
    Toll,
    Work,
    sha256_of,
    sha256_of_wav,
    tones,
)

__all__ = ["HEADER", "LIVES", "TWIN", "Doubted", "DoubtedCase", "kills"]

TWIN = "in-process"
"""In place of a system call: the process kills itself."""
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


# -- what is killed ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What is killed at each of its disk calls, and what is done then.

    Attributes:
        what: It, in words.
        is_begun: Whether something is kept in doubt already.
        arguments: The command that is killed.
        code: How it ends if it survives.
        settle: What is done after it; given the number of the kill.
        is_bettered: Whether it brings a better result than the one that is kept.
    """

    what: str
    is_begun: bool
    arguments: Callable[[DoubtedCase], list[str]]
    code: int
    settle: Callable[[DoubtedCase, int], None]
    is_bettered: bool = False


def _run_on(case: DoubtedCase, _: int) -> None:
    """Run again until the text is in doubt: it was paid for once, and once for each that is lost."""
    case.do(case.run(), 1)
    if not case.kept:
        case.note("lost", "nothing is kept of the text")
    if case.paid != 1 + case.destroyed:
        case.note("again", f"{case.paid} sessions paid, {case.destroyed} of them destroyed")
    case.accept_and_check()


def _accept_on(case: DoubtedCase, number: int) -> None:
    """Accept again, every second time after a run, which buys nothing."""
    if number % 2 == 0:
        case.do(case.run(), 1 if case.kept else 0)
    case.accept_and_check()


def _accept_either(case: DoubtedCase, number: int) -> None:
    """Accept whichever of the two is kept, every second time after a run, which buys nothing."""
    if not case.kept:
        case.note("lost", "neither is kept")
    _accept_on(case, number)


LIVES = {
    "run": Life(
        what="a run whose result is in doubt",
        is_begun=False,
        arguments=DoubtedCase.run,
        code=1,
        settle=_run_on,
    ),
    "accept": Life(
        what="`accept --all`",
        is_begun=True,
        arguments=DoubtedCase.accept,
        code=0,
        settle=_accept_on,
    ),
    "retry": Life(
        what="`run --retry-failed` that brings a better one",
        is_begun=True,
        arguments=DoubtedCase.retry,
        code=1,
        settle=_accept_either,
        is_bettered=True,
    ),
}


def kills(
    several: Sequence[Bench],
    doubted: Doubted,
    life: Life,
    *,
    calls: Sequence[str] = tuple(CALLS),
    step: int = 1,
    broken: str = "",
) -> Toll:
    """Kill a command at each, or each so-manieth, of its disk calls, and go on from there.

    Args:
        several: Where.
        doubted: What is to be done.
        life: What is killed.
        calls: At which calls; `TWIN` for those that the process counts itself.
        step: How many calls from one kill to the next.
        broken: A mistake for the command to make.
    """

    def strike(bench: Bench, point: Point) -> tuple[bool, Toll]:
        case = DoubtedCase(bench, doubted, f"{life.what}, {point}", is_begun=life.is_begun)
        count, arguments = 1 + (point.count - 1) * step, life.arguments(case)
        if point.call == TWIN:
            code = bench.run(case, arguments=arguments, broken=broken, die_at=count)
        else:
            code = bench.struck(case, point.call, count, arguments=arguments, broken=broken)
        was_killed = code == -signal.SIGKILL
        case.judge(was_killed=was_killed)
        case.toll.points[point.call] += was_killed
        if not was_killed and code != life.code:
            case.note("wrong", f"it ended with {code}")
        if not was_killed and life.is_bettered and case.kept != doubted.better:
            case.note("wrong", "the better one is not what is kept")
        case.rebought = frozenset()
        life.settle(case, point.count)
        shutil.rmtree(case.folder.parent)
        return not was_killed, case.toll

    toll = Toll()
    for call in calls:
        toll.add(until_survived(several, strike, call))
    return toll


# -- the long form -------------------------------------------------------------------------------


def main() -> int:
    """Kill at every point, or at each so-manieth; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="every point")
    parser.add_argument("--step", type=int, default=5)
    given = parser.parse_args()
    print(f"commit {commit_id()}\n\n{HEADER}", flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        tolls = list(_shown(Path(name), 1 if given.long else given.step))
    for toll in tolls:
        print(*(f"  {note}" for note in toll.notes), sep="\n", end="")
    return 1 if any(toll.bad for toll in tolls) else 0


def _shown(folder: Path, step: int) -> Iterator[Toll]:
    began = time.monotonic()
    how = {CALLS: "strace inject", (TWIN,): "in-process twin"}
    if missing := strace_is_missing():
        print(f"  {missing}: the in-process twin stands in", flush=True)
        del how[CALLS]
    with (
        benches(folder / "silent", LANES, "--fault", "silence") as silent,
        benches(folder / "torn", LANES, "--fault", "half-sample") as torn,
    ):
        doubted = Doubted.made(folder / "work", silent[0])
        for name, life in LIVES.items():
            for calls, shown in how.items():
                several = torn if name == "retry" else silent
                toll = kills(several, doubted, life, calls=calls, step=step)
                print(toll.line(f"SIGKILL at every disk call of {life.what}", shown), flush=True)
                print("  " + ", ".join(f"{n} {call}" for call, n in toll.points.items()))
                yield toll
    print(f"  {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
