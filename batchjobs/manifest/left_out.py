"""What a scan leaves out: each with its cause, counted for people and listed beside the manifest."""

import contextlib
import enum
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from batchjobs.files.atomic import write_whole
from batchjobs.formatting import plural

_KINDS_SHOWN: Final = 8
_NO_ENDING: Final = "without ending"
_ENDING_CHARACTERS: Final = 8


class Cause(enum.StrEnum):
    """Why something below the folder is not in the manifest, as it stands behind a count."""

    UNREADABLE = "cannot be transcribed"
    EXTRA = "the extra 'book' reads them"
    ARRIVING = "still arriving"
    DUPLICATE = "the same as others"
    LINK = "not followed"
    UNLISTED = "cannot be read"
    SPECIAL = "no files"
    HIDDEN = "left alone"
    NO_RECORDING = "no recordings"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """One thing that a scan came upon and did not take.

    Attributes:
        path: Below the folder that the manifest's paths are relative to; bytes that are no text are
            escaped.
        kind: What it is counted as: its ending, or what it is.
        cause: Why.
        reason: Why in its own case: what is wrong with it, or what it is the same as.
    """

    path: str
    kind: str
    cause: Cause
    reason: str = ""


def kind_of(path: Path) -> str:
    """Say what a file is counted as: its ending, if it has one that looks like one."""
    ending = path.suffix.lower()
    if not ending or len(ending) > _ENDING_CHARACTERS or not ending.isprintable():
        return _NO_ENDING
    return show_path(ending)


def show_path(path: str | Path) -> str:
    """Write a path for a line of text: what is no text, or would break the line, is escaped."""
    text = str(path)
    shown = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def sum_up(items: Sequence[LeftOut]) -> str:
    """Count what was left out by cause and kind: ``12 .3gp: the extra 'book' reads them; …``."""
    parts = []
    for cause in Cause:
        kinds = Counter(item.kind for item in items if item.cause is cause).most_common()
        if kinds:
            shown = [f"{count:,} {kind}" for kind, count in kinds[:_KINDS_SHOWN]]
            if more := sum(count for _, count in kinds[_KINDS_SHOWN:]):
                shown.append(plural(more, "other"))
            parts.append(f"{', '.join(shown)}: {cause}")
    return "; ".join(parts)


def list_beside(manifest: Path) -> Path:
    """Say where a manifest's list of what was left out stands."""
    return manifest.with_suffix(".left-out.jsonl")


def write_list(manifest: Path, items: Iterable[LeftOut]) -> None:
    """Write what was left out beside the manifest, a line of JSON each; no list if there is nothing.

    Args:
        manifest: The manifest's path.
        items: What was left out.

    Raises:
        OutputError: The list cannot be created.
        DiskError: The disk failed or is full.
    """
    path = list_beside(manifest)
    content = bytearray()
    for item in items:  # one by one: each comes in 4 KiB of orjson's (measured)
        content += _encode(item)
    with contextlib.suppress(OSError):
        if path.read_bytes() == content:
            return
    if content:
        write_whole(path, bytes(content))
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _encode(item: LeftOut) -> bytes:
    row = {"path": item.path, "kind": item.kind, "cause": item.cause, "reason": item.reason}
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
