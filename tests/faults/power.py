"""Cuts the power of a recorded run at every moment, and looks at what the disk may hold then.

    python -m tests.faults.power --long

records the system calls of real runs with strace and rebuilds, for every cut between two of them,
run folders as a disk may legally hold them: what was not synced may be there, or not, or torn; a
folder's entries appear in order, up to any one. Each folder is then opened by the product itself:
what was told to be done must be done, with its files right, and every session must be counted. Of
some, the run is continued to its end.

The model is harder than most file systems: a synced file whose name was not synced is gone.
"""

import argparse
import hashlib
import json
import random
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import BatchjobsError
from batchjobs.outputs import file_changes
from tests.faults.crash import (
    Bench,
    Case,
    Work,
    benches,
    commit_id,
    strace_is_missing,
)

__all__ = ["Recording", "Tally", "check_states", "record"]

_CALLS = (
    "openat,write,pwrite64,fsync,fdatasync,?rename,?renameat,?renameat2,?unlink,?unlinkat,"
    "?mkdir,?mkdirat,ftruncate,close,connect"
)
_SECTOR_BYTES = 512
_NEVER = sys.maxsize
_FEW_KINDS = ("nothing", "everything", "names only", "data only")


# -- a disk that remembers ------------------------------------------------------------------------


@dataclass(slots=True)
class _Change:
    """A change of a file or folder: when it was made, and since when it survives a power cut."""

    at: int
    apply: tuple[object, ...]
    durable_at: int = _NEVER


@dataclass(slots=True, eq=False)
class _Node:
    """A file or a folder with all that was done to it, in order."""

    is_folder: bool
    changes: list[_Change] = field(default_factory=list)
    entries: dict[str, "_Node"] = field(default_factory=dict)

    def change(self, at: int, *apply: object) -> None:
        """Note a change."""
        self.changes.append(_Change(at, apply))

    def sync(self, began: int, ended: int) -> None:
        """Make durable what was done before a sync began."""
        for change in self.changes:
            if change.at <= began and change.durable_at == _NEVER:
                change.durable_at = ended

    def until(self, cut: int) -> tuple[list[_Change], list[_Change]]:
        """What survives a cut for certain, and what may."""
        sure = [c for c in self.changes if c.durable_at <= cut]
        return sure, [c for c in self.changes if c.at <= cut < c.durable_at]


class Recording:
    """The system calls of one or more processes after each other, as a disk sees them.

    Args:
        root: The folder that all happens in; it is there, durably.
        stdout: The file that the runs' standard output goes to.

    Attributes:
        cuts: The moments between which something changed.
    """

    def __init__(self, root: Path, stdout: Path) -> None:
        self.root = root
        self.tree = _Node(is_folder=True)
        self.cuts: list[int] = []
        self._stdout = str(stdout)
        self._now = 0
        self._told: list[tuple[int, str]] = []
        self._connects: list[int] = []
        self._files: dict[int, _Node] = {}

    def told(self, cut: int) -> set[str]:
        """The jobs that a run had told to be done by then."""
        return {name for at, name in self._told if at <= cut}

    def connects(self, cut: int) -> int:
        """How many sessions had been begun by then."""
        return sum(at <= cut for at in self._connects)

    def read(self, log: Path) -> None:
        """Take in one process's calls."""
        self._files = {}
        begun: dict[str, tuple[int, str]] = {}
        for line in log.read_text(encoding="ascii").splitlines():
            thread, _, call = line.partition(" ")
            call = call.strip()
            self._now += 1
            if call.endswith("<unfinished ...>"):
                begun[thread] = self._now, call.removesuffix("<unfinished ...>")
                continue
            began = self._now
            if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", call):
                began, first = begun.pop(thread)
                call = first + resumed[1]
            if found := re.match(r"(\w+)\((.*)\)\s+= (-?\d+)", call):
                self._take(found[1], found[2], int(found[3]), began)

    def _take(self, name: str, arguments: str, result: int, began: int) -> None:
        if name == "connect":
            if "AF_INET" in arguments:
                self._connects.append(self._now)
                self.cuts.append(self._now)
            return
        if result < 0:
            return
        texts = [bytes.fromhex(t.replace("\\x", "")) for t in re.findall(r'"([^"]*)"', arguments)]
        match name:
            case "openat":
                self._open(texts[0].decode(), arguments, result)
            case "close":
                self._files.pop(int(arguments), None)
                return
            case "write" if arguments.startswith("1,"):
                self._tell(texts[0])
            case "write" | "pwrite64" | "ftruncate" | "fsync" | "fdatasync":
                self._change_file(name, arguments, texts, began, result)
            case _:
                self._change_names(name, [text.decode() for text in texts])
        self.cuts.append(self._now)

    def _tell(self, text: bytes) -> None:
        for line in text.splitlines():
            event = json.loads(line)
            record = event.get("record")
            if record and record["status"] == "done":
                self._told.append((self._now, record["id"]))

    def _find(self, path: str) -> tuple[_Node, str] | None:
        """The folder that a path's last name stands in; None for what is elsewhere."""
        if not Path(path).is_relative_to(self.root) or path == str(self.root):
            return None
        parts = Path(path).relative_to(self.root).parts
        if parts[0] in {"stderr", "stdout", "gate"}:
            return None
        node = self.tree
        for part in parts[:-1]:
            node = node.entries[part]
        return node, parts[-1]

    def _open(self, path: str, arguments: str, result: int) -> None:
        if path == str(self.root):
            self._files[result] = self.tree
            return
        found = self._find(path)
        if found is None:
            return
        folder, name = found
        if name not in folder.entries:
            folder.entries[name] = _Node(is_folder=False)
            folder.change(self._now, "link", name, folder.entries[name])
        elif "O_TRUNC" in arguments:
            folder.entries[name].change(self._now, "truncate", 0)
        self._files[result] = folder.entries[name]

    def _change_file(
        self, name: str, arguments: str, texts: Sequence[bytes], began: int, result: int
    ) -> None:
        numbers = re.sub(r'"[^"]*"', "", arguments).replace(" ", "").split(",")
        node = self._files.get(int(numbers[0]))
        if node is None:
            return
        match name:
            case "fsync" | "fdatasync":
                node.sync(began - 1, self._now)
            case "ftruncate":
                node.change(self._now, "truncate", int(numbers[1]))
            case "pwrite64":
                node.change(self._now, "write", int(numbers[3]), texts[0][:result])
            case _:
                node.change(self._now, "append", texts[0][:result] if texts else b"")

    def _change_names(self, name: str, paths: Sequence[str]) -> None:
        found = [self._find(path) for path in paths]
        if found[0] is None:
            return
        folder, old = found[0]
        if name.startswith("mkdir"):
            folder.entries[old] = _Node(is_folder=True)
            folder.change(self._now, "link", old, folder.entries[old])
        elif name.startswith("unlink"):
            del folder.entries[old]
            folder.change(self._now, "unlink", old)
        else:
            assert found[1] is not None
            assert found[1][0] is folder, "a rename from one folder to another is not atomic here"
            new = found[1][1]
            folder.entries[new] = folder.entries.pop(old)
            folder.change(self._now, "rename", old, new)

    # -- what the disk may hold -----------------------------------------------------------------

    def states(
        self, cut: int, dice: random.Random, mixed: int
    ) -> Iterator[tuple[str, dict[str, bytes | None]]]:
        """Folders that a cut may leave: the extremes, one thing apart, and so many at random."""
        pending = self._pending(self.tree, cut)
        if not pending:
            yield "nothing", self._built(cut, {})
            return
        everything = {id(node): len(changes) for node, changes in pending}
        names = {id(node): len(changes) for node, changes in pending if node.is_folder}
        data = {id(node): len(changes) for node, changes in pending if not node.is_folder}
        for kind, kept in zip(_FEW_KINDS, ({}, everything, names, data), strict=True):
            yield kind, self._built(cut, kept)
        for node, changes in pending:
            yield "only one", self._built(cut, {id(node): len(changes)})
            yield "all but one", self._built(cut, everything | {id(node): 0})
        for _ in range(mixed):
            chosen = {id(node): dice.randint(0, len(changes)) for node, changes in pending}
            yield "mixed", self._built(cut, chosen, dice)

    def _pending(self, node: _Node, cut: int) -> list[tuple[_Node, list[_Change]]]:
        """Every node that a cut may leave in more than one state."""
        seen: dict[int, tuple[_Node, list[_Change]]] = {}
        waiting = [node]
        while waiting:
            node = waiting.pop()
            _, maybe = node.until(cut)
            if maybe and id(node) not in seen:
                seen[id(node)] = node, maybe
            waiting += [
                c.apply[2]  # type: ignore[misc]
                for c in node.changes
                if c.apply[0] == "link" and c.at <= cut
            ]
        return list(seen.values())

    def _built(
        self, cut: int, kept: Mapping[int, int], dice: random.Random | None = None
    ) -> dict[str, bytes | None]:
        """A folder's files by path; None for folders."""
        built: dict[str, bytes | None] = {}

        def build(folder: _Node, path: str) -> None:
            sure, maybe = folder.until(cut)
            entries: dict[str, _Node] = {}
            for change in sure + maybe[: kept.get(id(folder), 0)]:
                match change.apply:
                    case ("link", str(name), _Node() as node):
                        entries[name] = node
                    case ("unlink", str(name)):
                        entries.pop(name, None)
                    case ("rename", str(old), str(new)):
                        entries[new] = entries.pop(old)
            for name, node in entries.items():
                place = f"{path}{name}"
                if node.is_folder:
                    built[place] = None
                    build(node, f"{place}/")
                else:
                    built[place] = _content(node, cut, kept.get(id(node), 0), dice)

        build(self.tree, "")
        return built


def _content(node: _Node, cut: int, kept: int, dice: random.Random | None) -> bytes:
    """A file's bytes after a cut: a torn write or lost sectors if there are dice for it."""
    sure, maybe = node.until(cut)
    content = bytearray()
    for change in sure:
        _write(content, change.apply)
    how = dice.choice(("whole", "torn", "sectors")) if dice else "whole"
    if how == "sectors":
        assert dice is not None
        for change in maybe:
            _write_some(content, change.apply, dice)
        return bytes(content)
    for change in maybe[:kept]:
        _write(content, change.apply)
    if how == "torn" and kept < len(maybe) and maybe[kept].apply[0] != "truncate":
        assert dice is not None
        *start, data = maybe[kept].apply
        assert isinstance(data, bytes)
        _write(content, (*start, data[: dice.randint(0, len(data))]))
    return bytes(content)


def _write(content: bytearray, change: tuple[object, ...]) -> None:
    match change:
        case ("append", bytes(data)):
            content += data
        case ("write", int(offset), bytes(data)):
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(data)] = data
        case ("truncate", int(size)):
            del content[size:]
            content.extend(bytes(size - len(content)))


def _write_some(content: bytearray, change: tuple[object, ...], dice: random.Random) -> None:
    """Write some sectors of a write and leave the others as they were, or zeros."""
    if change[0] == "truncate":
        _write(content, change)
        return
    offset = change[1] if change[0] == "write" else len(content)
    data = change[-1]
    assert isinstance(offset, int)
    assert isinstance(data, bytes)
    for start in range(0, len(data), _SECTOR_BYTES):
        if dice.random() < 0.5:
            _write(content, ("write", offset + start, data[start : start + _SECTOR_BYTES]))


# -- recording ------------------------------------------------------------------------------------


def record(
    bench: Bench, work: Work, *, broken: str = "", killed_at: Sequence[tuple[str, int]] = ()
) -> Recording:
    """Record a run from an empty folder to its end.

    Args:
        bench: Where.
        work: What is to be done.
        broken: A mistake for it to make.
        killed_at: Kill so many runs before, each at a call and its number.
    """
    case = Case(bench, work, "recorded")
    place = case.folder.parent
    stdout, log = place / "stdout", place.parent / f"{place.name}.strace"
    recording = Recording(place, stdout)
    options = ["-o", str(log), "-xx", "-s", str(1 << 24), "-e", f"trace={_CALLS}"]
    for call, count in killed_at:
        inject = ["-e", f"inject={call}:signal=SIGKILL:when={count}"]
        with bench.strace(
            case, options + inject, "--json", broken=broken, one_thread=True, stdout=stdout
        ) as child:
            if child.wait() != -signal.SIGKILL:
                raise RuntimeError(f"the run survived {call} {count}")
        recording.read(log)
    with bench.strace(case, options, "--json", broken=broken, stdout=stdout) as child:
        code = child.wait()
    if code:
        raise RuntimeError((place / "stderr").read_text(encoding="utf-8"))
    recording.read(log)
    log.unlink()
    shutil.rmtree(place)
    if len(recording.told(_NEVER)) != work.rows:
        raise RuntimeError(f"told of {len(recording.told(_NEVER))} of {work.rows} jobs")
    return recording


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
    """
    dice = random.Random(seed)
    tally = Tally()
    seen: set[tuple[str, int, int]] = set()
    cuts = list(dict.fromkeys([0, *recording.cuts]))
    dice.shuffle(cuts)
    kept: list[tuple[str, dict[str, bytes | None]]] = []
    with tempfile.TemporaryDirectory(dir=_memory()) as name:
        for cut in cuts:
            if tally.states >= most:
                break
            tally.cuts += 1
            told, connects = recording.told(cut), recording.connects(cut)
            for kind, state in recording.states(cut, dice, mixed):
                mark = (_digest(state), len(told), connects)
                if mark in seen:
                    continue
                seen.add(mark)
                tally.states += 1
                tally.kinds[kind] += 1
                place = Path(name) / str(tally.states)
                wrong = _looked_at(place, state, work, told, connects)
                shutil.rmtree(place)
                tally.bad += bool(wrong)
                tally.notes += [f"cut {cut}, {kind}: {what}" for what in wrong]
                if not wrong:
                    kept.append((f"cut {cut}, {kind}", state))
    for label, state in dice.sample(kept, min(continued, len(kept))):
        tally.continued += 1
        wrong = _continued(bench, work, label, state)
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
    place: Path, state: Mapping[str, bytes | None], work: Work, told: set[str], connects: int
) -> list[str]:
    """What is wrong with a state, as the product sees it."""
    _put(place, state)
    folder = place / "run"
    wrong = []
    try:
        with Checkpoint.open(folder) as checkpoint:
            checkpoint.recover(time.time())
            with checkpoint._database.reading() as database:
                sound = database.execute("PRAGMA integrity_check").fetchone()[0]
            records = list(checkpoint.done_records())
            attempts = checkpoint.totals().attempts
    except (BatchjobsError, sqlite3.Error) as error:
        return [f"the checkpoint does not open: {error}"]
    if sound != "ok":
        wrong.append(f"the checkpoint is damaged: {sound}")
    done = {r.id for r in records}
    wrong += [f"{name} was told to be done, and is not" for name in sorted(told - done)]
    wrong += [f"{r.id} is done, but {c}" for r in records for c in file_changes(folder, r.files)]
    if attempts < connects:
        wrong.append(f"{connects} sessions were begun, {attempts} are on the disk")
    return wrong + list(_wrong_files(folder, work))


def _wrong_files(folder: Path, work: Work) -> Iterator[str]:
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
                if name == "results.jsonl" and len(found) != work.rows:
                    yield f"{name} has {len(found)} lines"


def _continued(
    bench: Bench, work: Work, label: str, state: Mapping[str, bytes | None]
) -> list[str]:
    case = Case(bench, work, label)
    _put(case.folder.parent, state)
    case.take_over()
    toll = case.finish()
    shutil.rmtree(case.folder.parent)
    return toll.notes


# -- the long form --------------------------------------------------------------------------------


def main() -> int:
    """Record runs, cut their power, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", action="store_true", help="20,000 states of each recorded run")
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
        ("a run after a kill before a commit's sync", "", [("fdatasync", 9)]),
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
    print("\nwhat is broken on purpose must be BROKEN, everything else kept:", end=" ")
    print("it is not" if failed else "it is")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
