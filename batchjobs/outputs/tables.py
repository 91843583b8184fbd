"""Results as a file: JSON Lines, or a flat table whose cells no spreadsheet would run."""

import csv
import dataclasses
import functools
import io
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import orjson

from batchjobs.checkpoint import Checkpoint
from batchjobs.jobs import Evidence, Status
from batchjobs.outputs.reports import result_lines

_RUNS: Final = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")
"""What makes a spreadsheet take a cell for a formula, or hides from it what does."""
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)
_SPREAD: Final = frozenset({"check", "error", "evidence", "kept", "kept.evidence", "row"})
"""Facts of ours that are records themselves; a row's own are JSON in one cell."""
_TABLE_BYTES: Final = 16 * 1024 * 1024
_BLOCK_BYTES: Final = 1024 * 1024
_PIECE_CHARACTERS: Final = 1 << 18

_FIRST: Final = ("id", "line", "status")
_EVIDENCE: Final = tuple(f"evidence.{field.name}" for field in dataclasses.fields(Evidence))
_DONE: Final = (
    "kind",
    "provider",
    "output",
    "files",
    "audio_seconds",
    "sample_rate",
    "frames",
    "pcm_sha256",
    "text",
    "transcript",
    "no_speech",
    "attempts",
    "cost",
    "copied_from",
    "started_at",
    "finished_at",
)
_FAILED: Final = ("attempts", "error.class", "error.code", "error.message")
_KEPT: Final = ("output", "files", "audio_seconds", "against", "for", "transcript", *_EVIDENCE)
_OURS: Final[Mapping[str, tuple[str, ...]]] = {
    "done": (*_DONE, *_EVIDENCE),
    "failed": _FAILED,
    "suspect": (*_FAILED, "cost", *(f"kept.{name}" for name in _KEPT)),
}
"""The columns that are there whatever the results are, so that a table's reader can rely on them."""


def encode_results(
    form: str, folder: str | Path, statuses: Collection[str] | None = None
) -> Iterator[bytes]:
    """Give a run's results as a file's content, in pieces.

    Args:
        form: ``jsonl`` or ``csv``.
        folder: The run folder.
        statuses: As for `read_results`; a table says the status in any case.

    Raises:
        UsageError: There is no such status.
        NoRunError: There is no run in the folder.
    """
    if form == "jsonl":
        with Checkpoint.read(Path(folder)) as checkpoint:
            yield from result_lines(checkpoint, statuses)
        return
    asked = (Status.DONE.value,) if statuses is None else statuses
    with tempfile.SpooledTemporaryFile(_TABLE_BYTES) as table:
        # One state for both readings, whatever a run does meanwhile; but only as long as it takes,
        # and not as long as somebody looks at a page of it: a run's log grows all that time.
        with Checkpoint.read(Path(folder)) as checkpoint, checkpoint.hold_steady():
            lines = functools.partial(result_lines, checkpoint, asked)
            for piece in csv_pieces(lambda: map(orjson.loads, lines()), asked):
                table.write(piece)
        table.seek(0)
        while piece := table.read(_BLOCK_BYTES):
            yield piece


def csv_pieces(
    read: Callable[[], Iterable[Mapping[str, object]]], statuses: Collection[str]
) -> Iterator[bytes]:
    """Write results as CSV: UTF-8, with a header, line ends as spreadsheets write them.

    They are read twice, first for the columns: a million rows take no more memory than one. The
    columns are ``id``, ``line`` and ``status``, the manifest's own, and what came of the jobs.

    Args:
        read: Gives the results, the same ones each time it is called.
        statuses: What they may be.

    Yields:
        The file, in pieces.
    """
    found: dict[str, None] = {}
    for result in read():
        found.update(dict.fromkeys(flatten(result)))
    ours = dict.fromkeys(name for status in statuses for name in _OURS.get(status, ()))
    own = [name for name in found if name not in ours]
    columns = dict.fromkeys((*_FIRST, *own, *ours))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\r\n")
    writer.writerow({column: guard(column) for column in columns})
    for result in read():
        writer.writerow(flatten(result))
        if text.tell() >= _PIECE_CHARACTERS:
            yield _take(text)
    yield _take(text)


def _take(text: io.StringIO) -> bytes:
    piece = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return piece


def flatten(result: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Spread a result out into cells: ``evidence.ending``; lists and a row's own records as JSON.

    A column of the row's that is called so goes below ``row``, as in ``results.jsonl``.
    """
    cells: dict[str, str] = {}
    for name, value in result.items():
        column = f"{prefix}{name}"
        if column not in _SPREAD or not isinstance(value, Mapping | None):
            cells[column] = _cell(value)
            continue
        spread = flatten(value or {}, f"{column}.")
        cells |= {f"row.{name}": cells[name] for name in spread if name in cells}
        cells |= spread
    return cells


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return guard(value)
        case bool() | int() | float():
            return orjson.dumps(value).decode()
        case _:
            return guard(orjson.dumps(value).decode())


def guard(text: str) -> str:
    """Keep a spreadsheet from running a text: an apostrophe before it makes it one, as typed there.

    Numbers stay numbers. JSON Lines keep every character as it is.
    """
    runs = text.startswith(_RUNS) and not _NUMBER.fullmatch(text)
    return f"'{text}" if runs else text
