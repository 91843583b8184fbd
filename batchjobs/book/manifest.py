"""Books to manifests: a job a chapter, each with a text file that a person may edit."""

import re
import unicodedata
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import orjson

from batchjobs.book.chapters import Book
from batchjobs.book.cover import picture_kind
from batchjobs.errors import OutputError, UsageError
from batchjobs.files.atomic import write_whole

_ID_CHARACTERS: Final = 40


def select_chapters(book: Book, chosen: str) -> list[int]:
    """Read which chapters are wanted, such as ``1-3,7``; all if empty.

    Returns:
        Their numbers from 1, in the book's order.

    Raises:
        UsageError: It names no chapters of the book.
    """
    every = range(1, len(book.chapters) + 1)
    if not chosen:
        return list(every)
    wanted: set[int] = set()
    for item in chosen.split(","):
        found = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", item)
        first = int(found[1]) if found else 0
        last = int(found[2] or first) if found else 0
        if not found or first not in every or last not in every or last < first:
            raise UsageError(
                f"'{item.strip()}' names no chapters", hint=f"there are 1 to {len(book.chapters)}"
            )
        wanted.update(range(first, last + 1))
    return sorted(wanted)


def write_manifest(
    book: Book,
    numbers: Collection[int],
    target: str | Path,
    *,
    voice: str = "",
    overwrite: bool = False,
) -> int:
    """Write a manifest, and beside it a folder with a text file for each chapter.

    Args:
        book: The book.
        numbers: Of the chapters to speak, from 1.
        target: The manifest, JSON Lines; the folder has its name without the ending.
        voice: The voice of every chapter; empty for the run's.
        overwrite: Whether to replace files that are there, and may have been edited.

    Returns:
        How many characters there are to speak.

    Raises:
        OutputError: A file is there already, or cannot be written.
        DiskError: The disk failed or is full.
    """
    target = Path(target)
    folder = target.with_suffix("")
    if folder == target:
        raise OutputError(f"{target} needs an ending", hint="call it BOOK.jsonl")
    files = dict(_make_files(book, numbers, folder, target, voice))
    for path in files:
        if path.exists() and not overwrite:
            raise OutputError(
                f"{path} is there already",
                hint="edit it and run it, choose another --output, or give --force",
            )
    for path, content in files.items():  # the manifest comes last: what it names is there
        write_whole(path, content)
    return sum(len(book.chapters[number - 1].text) for number in numbers)


def _make_files(
    book: Book, numbers: Collection[int], folder: Path, target: Path, voice: str
) -> Iterator[tuple[Path, bytes]]:
    cover = ""
    picture = picture_kind(book.cover)
    if picture:
        cover = f"{folder.name}/cover.{picture}"
        yield target.parent / cover, book.cover
    rows: list[dict[str, object]] = []
    for number in numbers:
        chapter = book.chapters[number - 1]
        name = _make_id(number, chapter.title)
        yield folder / f"{name}.txt", chapter.text.encode()
        row = {
            "id": name,
            "text_file": f"{folder.name}/{name}.txt",
            "title": chapter.title,
            "chapter": number,
            "book": book.title,
            "author": ", ".join(book.authors),
            "language": book.language,
            "cover": cover,
        }
        facts = {name: value for name, value in book.facts.items() if name not in row}
        description = facts.pop("description", "")
        row |= facts
        if not rows:  # long texts stand once
            told = {"description": description, "left_out": "; ".join(book.left_out)}
            row |= {name: value for name, value in told.items() if value}
        rows.append(row | ({"voice_id": voice} if voice else {}))
    lines = (orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
    yield target, b"".join(lines)


def _make_id(number: int, title: str) -> str:
    """Make an id that is a good file name: the number puts them in order, the title is for people.

    Letters, their marks and numbers of any script stay: ``002-الثاني``.
    """
    kept = (c if unicodedata.category(c)[0] in "LMN" else "-" for c in title.lower())
    slug = re.sub("-+", "-", "".join(kept))[:_ID_CHARACTERS].strip("-")
    return f"{number:03}-{slug}" if slug else f"{number:03}"
