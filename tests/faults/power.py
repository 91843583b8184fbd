"""Cuts the power of a recorded run at every moment, and looks at what the disk may hold then.

    python -m tests.faults.power --long

records the system calls of real runs with strace and rebuilds, for every cut between two of them,
run folders as a disk may legally hold them. Each folder is then opened by the product itself: what
was told to be done must be done, with its files right, and every session must be counted. Of some,
the run is continued to its end.
"""

import argparse
import hashlib
import json
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import BatchjobsError
from batchjobs.jobs import Status
from batchjobs.outputs.reuse import find_changes
from tests.faults.bench import Bench, benches, strace_is_missing
from tests.faults.crash import commit_id
from tests.faults.disk import Recording
from tests.faults.doubted import Doubted, DoubtedCase
from tests.faults.oracle import Case, Work
from tests.faults.power_recording import record, record_accept

__all__ = ["HEADER", "Tally", "check_states"]


# -- looking --------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was looked at, and what was wrong with it.

    Attributes:
        cuts: Moments at which the power was cut.
        states: Different folders looked at.
        continued: Of these, how many runs went on to their end.
        bad: Folders that broke a promise.
        notes: Why.
        kinds: How many states of each kind.
    """

    cuts: int = 0
    states: int = 0
    continued: int = 0
    bad: int = 0
    notes: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def has_noted(self, signs: Collection[str]) -> bool:
        """Whether each of these stands in a note."""
        return all(any(sign in note for note in self.notes) for sign in signs)

    def line(self, what: str) -> str:
        """A line of the table."""
        figures = f"{self.cuts:,} | {self.states:,} | {self.continued:,} | {self.bad:,}"
        return f"| {what} | {figures} | {'kept' if not self.bad else 'BROKEN'} |"


HEADER = (
    "| power cut in | cuts | different states | continued | bad states | status |\n"
    "|---|---|---|---|---|---|"
)


def check_states(
    recording: Recording,
    work: Work,
    bench: Bench,
    *,
    seed: int,
    most: int,
    mixed: int = 3,
    continued: int = 0,
    doubted: Doubted | None = None,
    until: Collection[str] = (),
) -> Tally:
    """Look at the states that cuts of a recorded run leave.

    Args:
        recording: The run.
        work: What it did.
        bench: Where runs are continued.
        seed: Of the dice.
        most: Look at no more than about so many states, from cuts chosen at random.
        mixed: States at random for each cut.
        continued: Let so many runs go on.
        doubted: What of the work is in doubt, and accepted in the end; None if nothing is.
        until: Look no further once each of these stands in a note.
    """
    dice = random.Random(seed)
    tally = Tally()
    seen: set[tuple[str, str, int]] = set()
    cuts = list(dict.fromkeys([0, *recording.cuts]))
    dice.shuffle(cuts)
    kept: list[tuple[str, dict[str, bytes | None]]] = []
    with tempfile.TemporaryDirectory(dir=_memory()) as name:
        for cut in cuts:
            if tally.states >= most or (until and tally.has_noted(until)):
                break
            tally.cuts += 1
            told, connects = recording.told(cut), recording.connects(cut)
            for kind, state in recording.states(cut, dice, mixed):
                mark = (_digest(state), str(told), connects)
                if mark in seen:
                    continue
                seen.add(mark)
                tally.states += 1
                tally.kinds[kind] += 1
                place = Path(name) / str(tally.states)
                fewest = work.rows - (doubted is not None)
                wrong = _looked_at(place, state, work, told, connects, fewest=fewest)
                shutil.rmtree(place)
                tally.bad += bool(wrong)
                tally.notes += [f"cut {cut}, {kind}: {what}" for what in wrong]
                if not wrong:
                    kept.append((f"cut {cut}, {kind}", state))
    for label, state in dice.sample(kept, min(continued, len(kept))):
        tally.continued += 1
        wrong = _continued(bench, work, label, state, doubted)
        tally.bad += bool(wrong)
        tally.notes += wrong
    return tally


def _memory() -> str | None:
    """A place that needs no disk, if there is one."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() else None


def _digest(state: Mapping[str, bytes | None]) -> str:
    digest = hashlib.blake2b()
    for path, content in sorted(state.items()):
        if not path.endswith("-shm"):
            digest.update(f"{path}\0{-1 if content is None else len(content)}\0".encode())
            digest.update(content or b"")
    return digest.hexdigest()


def _put(place: Path, state: Mapping[str, bytes | None]) -> None:
    place.mkdir(exist_ok=True)
    for path, content in state.items():
        if content is None:
            (place / path).mkdir()
        else:
            (place / path).write_bytes(content)


def _looked_at(
    place: Path,
    state: Mapping[str, bytes | None],
    work: Work,
    told: Mapping[str, str],
    connects: int,
    *,
    fewest: int,
) -> list[str]:
    """What is wrong with a state, as the product sees it; results have at least so many lines."""
    _put(place, state)
    folder = place / "run"
    wrong = []
    try:
        with Checkpoint.open(folder) as checkpoint:
            checkpoint.recover(time.time())
            with checkpoint._database.use() as database:
                sound = database.execute("PRAGMA integrity_check").fetchone()[0]
            suspects = [record for _, record in checkpoint.rows.stream_records(Status.SUSPECT)]
            records = [*checkpoint.lookups.stream_done(), *suspects]
            attempts = checkpoint.totals.count_rows().attempts
    except (BatchjobsError, sqlite3.Error) as error:
        return [f"the checkpoint does not open: {error}"]
    if sound != "ok":
        wrong.append(f"the checkpoint is damaged: {sound}")
    found = {record.id: record.status.value for record in records}
    wrong += [
        f"{name} was told to be {status}, and is not"
        for name, status in sorted(told.items())
        if found.get(name) not in {status, "done"}
    ]
    wrong += [
        f"{r.id} is {r.status}, but {c}" for r in records for c in find_changes(folder, r.files)
    ]
    if attempts < connects:
        wrong.append(f"{connects} sessions were begun, {attempts} are on the disk")
    return wrong + list(_wrong_files(folder, work, fewest))


def _wrong_files(folder: Path, work: Work, fewest: int) -> Iterator[str]:
    """Files under a final name that hold anything but what they must."""
    for path, right in work.contents.items():
        file = folder / path
        if file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() != right:
            yield f"{path} holds something else"
    for name in ("results.jsonl", "failed.jsonl", "summary.json"):
        file = folder / name
        if file.exists():
            try:
                content = file.read_bytes()
                lines = [content] if name == "summary.json" else content.splitlines()
                found = [json.loads(line) for line in lines]
            except ValueError:
                yield f"{name} is torn"
            else:
                if name == "results.jsonl" and not fewest <= len(found) <= work.rows:
                    yield f"{name} has {len(found)} lines"


def _continued(
    bench: Bench,
    work: Work,
    label: str,
    state: Mapping[str, bytes | None],
    doubted: Doubted | None,
) -> list[str]:
    case = Case(bench, work, label) if doubted is None else DoubtedCase(bench, doubted, label)
    _put(case.folder.parent, state)
    if isinstance(case, DoubtedCase):
        case.go_on()
    else:
        case.take_over()
        case.finish()
    shutil.rmtree(case.folder.parent)
    return case.toll.notes


# -- the long form --------------------------------------------------------------------------------


def main() -> int:
    """Record runs, cut their power, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--long", action="store_true", help="up to 8,000 states of each recorded run"
    )
    parser.add_argument("--states", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    most, continued = (8_000, 100) if given.long else (given.states, 10)
    print(f"seed {given.seed}, commit {commit_id()}\n")
    if missing := strace_is_missing():
        print(f"{missing}: without it SQLite's writes cannot be seen, and this proves nothing")
        return 2
    print(HEADER, flush=True)
    failed = False
    runs: list[tuple[str, str, list[tuple[str, int]]]] = [
        ("a run", "", []),
        ("a run after a kill at a rename", "", [("rename", 1)]),
        ("a run after a kill before a commit's sync", "", [("fdatasync", 4)]),
        ("a run after two kills", "", [("fsync", 4), ("pwrite64", 30)]),
        ("a run without the folder's sync", "no-folder-sync", []),
        ("a run without the file's sync", "no-file-sync", []),
        ("a run that commits first", "commit-first", []),
        ("a run whose commits are not synced", "commits-not-synced", []),
        ("a run that counts attempts afterwards", "attempts-counted-after", []),
    ]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        place = Path(name)
        work = Work.made(place / "work", speech=2, recordings=1, copies=1, concurrency=2)
        with benches(place / "quick", 1) as (bench,):
            for what, broken, killed_at in runs:
                recording = record(bench, work, broken=broken, killed_at=killed_at)
                tally = check_states(
                    recording,
                    work,
                    bench,
                    seed=given.seed,
                    most=most // 8 if broken else most,
                    mixed=40 if given.long else 4,
                    continued=0 if broken else continued,
                )
                print(tally.line(what), flush=True)
                failed |= bool(tally.bad) is not bool(broken)
                if not broken:
                    print(*(f"  {note}" for note in tally.notes[:20]), sep="\n", end="")
        with benches(place / "silent", 1, "--fault", "silence") as (bench,):
            doubted = Doubted.made(place / "doubted", bench)
            for what, broken in (
                ("a run with something in doubt, and what accepts it", ""),
                ("the same without the folder's sync", "no-folder-sync"),
            ):
                tally = check_states(
                    record_accept(bench, doubted, broken=broken),
                    doubted.work,
                    bench,
                    seed=given.seed,
                    most=most,
                    mixed=40 if given.long else 4,
                    continued=0 if broken else continued,
                    doubted=doubted,
                )
                print(tally.line(what), flush=True)
                failed |= bool(tally.bad) is not bool(broken)
                if not broken:
                    print(*(f"  {note}" for note in tally.notes[:20]), sep="\n", end="")
    print("\nwhat is broken on purpose must be BROKEN, everything else kept:", end=" ")
    print("it is not" if failed else "it is")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
