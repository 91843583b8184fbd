"""A model of a disk: what the system calls of a run leave on it when the power is cut.

What was not synced may be there, or not, or torn; a folder's entries appear in order, up to any one.
The model is harder than most file systems: a synced file whose name was not synced is gone.
"""

import json
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchjobs.files.run_folder import CONTROL

__all__ = ["NEVER", "Recording"]

_SECTOR_BYTES = 512
NEVER = sys.maxsize
_FEW_KINDS = ("nothing", "everything", "names only", "data only")


@dataclass(slots=True)
class _Change:
    """A change of a file or folder: when it was made, and since when it survives a power cut."""

    at: int
    apply: tuple[object, ...]
    durable_at: int = NEVER


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
            if change.at <= began and change.durable_at == NEVER:
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
        self._told: list[tuple[int, str, str]] = []
        self._connects: list[int] = []
        self._files: dict[int, _Node] = {}

    def told(self, cut: int) -> dict[str, str]:
        """The jobs that a run had told to be done or kept in doubt by then: status by id."""
        return {name: status for at, name, status in self._told if at <= cut}

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
        if text.startswith(b"{\n"):  # the one answer of a command that is no run
            self._told += [(self._now, name, "done") for name in json.loads(text)["accepted"]]
            return
        for line in text.splitlines():
            event = json.loads(line)
            record = event.get("record")
            if record and record["status"] in {"done", "suspect"}:
                self._told.append((self._now, record["id"], record["status"]))

    def _find(self, path: str) -> tuple[_Node, str] | None:
        """The folder that a path's last name stands in; None for what is elsewhere."""
        if not Path(path).is_relative_to(self.root) or path == str(self.root):
            return None
        parts = Path(path).relative_to(self.root).parts
        if parts[0] in {"stderr", "stdout", "gate"}:
            return None
        if parts[-1].startswith(
            CONTROL
        ):  # a socket holds nothing, and one that is left is replaced
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
            linked = [c.apply[2] for c in node.changes if c.apply[0] == "link" and c.at <= cut]
            waiting += [entry for entry in linked if isinstance(entry, _Node)]
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
                    case other:
                        raise AssertionError(other)
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
        case _:
            raise AssertionError(change)


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
