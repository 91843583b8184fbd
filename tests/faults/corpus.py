"""The fixed corpus of bad input: manifests, names and texts, each with the verdict it must get.

Recordings stand in ``corpus_recordings.py``, server messages in ``corpus_messages.py``. No verdict
was taken from the product: each follows from RELIABILITY's promises and the formats themselves.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "GOOD",
    "Bad",
    "ManifestCase",
    "NameCase",
    "cell_cases",
    "csv_case",
    "jsonl_case",
    "prepare",
    "refused_case",
]

GOOD = "السَّلامُ عَلَيْكُمْ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A row that must be refused: its line, and words of the message (the column among them)."""

    line: int
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestCase:
    """A manifest and its verdict.

    Attributes:
        name: What is hostile about it.
        file: Its file name.
        content: Its bytes.
        good: Rows that must become jobs.
        bad: Rows that must be refused one by one.
        refused: Words of the message if all of it must be refused; empty if it is read.
    """

    name: str
    file: str
    content: bytes
    good: int = 0
    bad: tuple[Bad, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NameCase:
    """An id or an output path; `refused` holds words of the message, empty if it is taken."""

    value: str
    refused: tuple[str, ...] = ()


def prepare(folder: Path) -> None:
    """Put the files and traps into a folder that the manifests name."""
    (folder / "fine.txt").write_bytes("\ufeffنص في ملف\r\nسطر ثانٍ".encode())
    (folder / "wide.txt").write_bytes("نص".encode("utf-16"))
    (folder / "cp1256.txt").write_bytes("نص".encode("cp1256"))
    (folder / "nul.txt").write_bytes(b"a\0b")
    (folder / "void.txt").write_bytes(b"")
    (folder / "blank.txt").write_bytes(" \n\u200f".encode())
    (folder / "huge.txt").write_bytes(b"a" * (16 * 1024 * 1024 + 1))
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe.txt")
    (folder / "out.txt").symlink_to("/etc/hostname")
    (folder / "loop.txt").symlink_to("loop.txt")
    (folder / "dangling.txt").symlink_to("nowhere.txt")
    (folder / "device.txt").symlink_to("/dev/zero")
    (folder / "up").symlink_to("..")


# -- manifests -----------------------------------------------------------------------------------


def csv_case(
    name: str,
    text: str | bytes,
    good: int = 0,
    *bad: Bad,
    refused: tuple[str, ...] = (),
    file: str = "m.csv",
) -> ManifestCase:
    """Make a case of a CSV manifest."""
    content = text.encode() if isinstance(text, str) else text
    return ManifestCase(name=name, file=file, content=content, good=good, bad=bad, refused=refused)


def jsonl_case(
    name: str, *lines: str | bytes, good: int = 0, bad: tuple[Bad, ...] = ()
) -> ManifestCase:
    """Make a case of a JSON Lines manifest."""
    content = b"\n".join(x.encode() if isinstance(x, str) else x for x in lines) + b"\n"
    return ManifestCase(name=name, file="m.jsonl", content=content, good=good, bad=bad)


def refused_case(name: str, content: bytes | str, *words: str, file: str = "m.csv") -> ManifestCase:
    """Make a case of a manifest that is refused as a whole."""
    return csv_case(name, content, refused=words, file=file)


def cell_cases(column: str, value: object, *words: str) -> Iterator[ManifestCase]:
    """One hostile cell between two good rows; without words it has to be taken."""
    bad = (Bad(line=2, words=(f"'{column}'", *words)),) if words else ()
    rows: list[dict[str, object]] = [
        {"id": "a", "text": GOOD},
        {"id": "b", "text": GOOD, column: value},
        {"id": "c", "text": GOOD},
    ]
    if column in {"text_file", "audio"}:
        del rows[1]["text"]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    yield jsonl_case(f"{column}={value!r:.60}, JSON Lines", *lines, good=3 - len(bad), bad=bad)
    if not isinstance(value, str) or any(c in value for c in '"\r\n\0'):
        return
    columns = ["id", "text", column] if column not in {"id", "text"} else ["id", "text"]
    cells = [";".join(str(row.get(name, "")) for name in columns) for row in rows]
    if value.count(";") or (column == "id" and not value):
        return
    moved = tuple(Bad(line=3, words=item.words) for item in bad)
    text = "\n".join([";".join(columns), *cells, ""])
    yield csv_case(f"{column}={value!r:.60}, CSV", text, 3 - len(bad), *moved)


# -- names ---------------------------------------------------------------------------------------
