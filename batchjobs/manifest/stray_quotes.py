"""The proof that no quote is astray: one swallows rows, and the csv module says nothing."""

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from batchjobs.errors import ManifestError
from batchjobs.jobs import BadRow, derive_id
from batchjobs.manifest.columns import NUMBERS, SOURCES
from batchjobs.manifest.csv_header import Header
from batchjobs.manifest.tape import MULTILINE_HINT, Tape


def explain_broken_row(tape: Tape, line: int, delimiter: str, error: csv.Error) -> BadRow:
    """Say what is wrong with a row that the csv module refused.

    Args:
        tape: Has the row's lines.
        line: Where the row starts.
        delimiter: The manifest's.
        error: The refusal.

    Raises:
        ManifestError: The row goes over several lines, or to the file's end: it may hold others.
    """
    quoted = _find_quoted(tape.row, line, delimiter)
    astray = [item for item in quoted if not item.closed]
    if astray:
        raise ManifestError(
            f"{tape.name}:{astray[0].first_line}: a quote opens here and is never closed",
            hint=MULTILINE_HINT,
        ) from error
    several = [item for item in quoted if item.last_line > item.first_line]
    if several:
        raise ManifestError(
            f"{tape.name}:{several[-1].first_line}: a quote opens here and closes on line "
            f"{several[-1].last_line} in the middle of a field",
            hint=MULTILINE_HINT,
        ) from error
    return BadRow(
        line=line,
        column="",
        message="text follows a closing quote",
        hint="double every quote inside a quoted text",
        id=derive_id({"": tape.row}),
    )


def refuse_swallowed_rows(tape: Tape, line: int, header: Header, fields: Sequence[str]) -> None:
    """Refuse a row of several lines, one of which is a row by itself.

    A stray quote makes one row of all lines up to the next quote, without an error: measured, two
    quotes merged 51 rows into one.

    Args:
        tape: Has the row's lines.
        line: Where the row starts.
        header: The manifest's.
        fields: The row's fields.

    Raises:
        ManifestError: Naming the line where the quote opened.
    """
    # With a width that is wrong anyway, a line of the right one is proof enough.
    pattern = fields if len(fields) == len(header.columns) else None
    quoted = _find_quoted(tape.row, line, header.delimiter)
    for place, text in _inner_lines(tape.row, line, quoted[0]):
        if not _is_row(text, header, pattern):
            continue
        opened = next(item for item in quoted if item.first_line <= place <= item.last_line)
        raise ManifestError(
            f"{tape.name}:{opened.first_line}: a quote opens here and swallows line {place}, "
            "which is a row by itself",
            hint=MULTILINE_HINT,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quoted:
    """Where a quoted field stands: the lines of its quotes, and what the last holds before one."""

    first_line: int
    last_line: int
    last_width: int
    closed: bool


def _find_quoted(lines: Sequence[str], first_line: int, delimiter: str) -> list[_Quoted]:
    """Find the quoted fields of a row, in order."""
    text = "".join(lines)
    ends = [0]
    for line in lines:
        ends.append(ends[-1] + len(line))
    # Possessive: no second thoughts, so its time is linear.
    pattern = re.compile(rf'(?:^|(?<={delimiter}))"[^"]*+(?:""[^"]*+)*+("?)')
    found = []
    place = 0
    for match in pattern.finditer(text):
        start = place  # one field ends on the line where the next begins
        while ends[place + 1] < match.end():
            place += 1
        found.append(
            _Quoted(
                first_line=first_line + start,
                last_line=first_line + place,
                last_width=match.start(1) - ends[place],
                closed=bool(match[1]),
            )
        )
    return found


def _inner_lines(
    lines: Sequence[str], first_line: int, first_quoted: _Quoted
) -> Iterator[tuple[int, str]]:
    """Give the lines of a row that may be rows by themselves, with their numbers."""
    texts = list(lines)
    if texts[0].startswith('"') and first_quoted.last_line > first_line:
        # The first field goes over the lines: by its last one, which holds all the other fields
        # too, every such row would look like two.
        last = first_quoted.last_line - first_line
        texts[last] = texts[last][: first_quoted.last_width]
        texts[0] = texts[0][1:]
        yield first_line, texts[0]
    yield from enumerate(texts[1:], first_line + 1)


def _is_row(line: str, header: Header, pattern: Sequence[str] | None) -> bool:
    """Say whether a line inside a quoted field has the width and shape of a row.

    Args:
        line: The line as it stands in the file.
        header: The manifest's.
        pattern: The fields of the row that holds the line; None to look at the width alone.
    """
    try:
        fields = next(csv.reader([line], delimiter=header.delimiter, strict=True), [])
    except csv.Error:
        return False
    width = len(header.columns)
    if len(fields) < width or any(cell.strip(" \t") for cell in fields[width:]):
        return False
    del fields[width:]
    if pattern is None:
        return True
    # "Well, hello": after the comma of a sentence comes a space, after a manifest's none; unless
    # this manifest is written so.
    if any(cell[:1] == " " for cell in fields[1:]) and not any(
        cell[:1] == " " for cell in pattern[1:]
    ):
        return False
    return _has_shape_of(
        dict(zip(header.columns, fields, strict=True)),
        dict(zip(header.columns, pattern, strict=True)),
    )


def _has_shape_of(cells: dict[str, str], pattern: dict[str, str]) -> bool:
    own, other = cells.get("id", ""), pattern.get("id", "")
    if other and (not own.strip() or (len(own.split()) > 1 and len(other.split()) < 2)):
        return False
    if sum(bool(cells.get(column, "").strip()) for column in SOURCES) != 1:
        return False
    return all(_is_number_or_empty(cells.get(column, "")) for column in NUMBERS)


def _is_number_or_empty(cell: str) -> bool:
    if not cell.strip():
        return True
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
