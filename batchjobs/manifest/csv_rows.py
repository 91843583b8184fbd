"""CSV: a header, then rows; strict about quotes, because one astray swallows rows."""

import csv
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from batchjobs.errors import ManifestError
from batchjobs.formatting import plural
from batchjobs.jobs import BadRow, derived_id
from batchjobs.manifest.columns import KNOWN_COLUMNS, meant, named
from batchjobs.manifest.source import ROW_LIMIT_BYTES, decoded

__all__ = ["csv_rows"]

_DELIMITERS = (",", ";", "\t")
_SOURCES = ("text", "text_file", "audio")
_NUMBERS = ("stability", "similarity_boost", "speed", "take")
_MULTILINE_HINT = (
    "close the quote, and double every quote inside a quoted text; "
    "a text that really has such lines can stand in a 'text_file' or in JSON Lines"
)


@dataclass(slots=True, kw_only=True)
class _Tape:
    """Gives the csv module its lines, and keeps those of the row it is in."""

    lines: Iterator[bytes]
    name: str
    number: int = 0
    row: list[str] = field(default_factory=list)
    size: int = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        self.number += 1
        self.size += len(line)
        text = decoded(line, self.number, self.name)
        self.row.append(text)
        if self.size > ROW_LIMIT_BYTES:
            first = self.number - len(self.row) + 1
            raise ManifestError(
                f"{self.name}:{first}: the row goes on for more than 16 MiB", hint=_MULTILINE_HINT
            )
        return text

    def forget(self) -> None:
        """Begin the next row."""
        self.row.clear()
        self.size = 0


def csv_rows(lines: Iterator[bytes], name: str) -> Iterator[tuple[int, dict[str, object]] | BadRow]:
    """Read CSV whose first row names the columns.

    Args:
        lines: The manifest's lines.
        name: The manifest, for messages.

    Yields:
        The line on which a row starts, and the row; or what is wrong with it.

    Raises:
        ManifestError: The header is wrong; a line is not UTF-8 or holds a NUL byte; or a quote is
            astray, so that nobody can tell what the rows are.
    """
    # The csv module's limit belongs to the whole process, so it is only ever raised.
    if csv.field_size_limit() < ROW_LIMIT_BYTES:
        csv.field_size_limit(ROW_LIMIT_BYTES)
    tape = _Tape(lines=lines, name=name)
    first = next((line for line in tape if not line.isspace()), "")
    delimiter = _declared_delimiter(first, f"{name}:{tape.number}")
    if delimiter:
        first = next((line for line in tape if not line.isspace()), "")
    delimiter = delimiter or _delimiter(first)
    columns, header_line = _header(tape, first, delimiter)
    width = len(columns)
    for line, fields in _records(tape, delimiter):
        if isinstance(fields, BadRow):
            yield fields
            continue
        if len(tape.row) > 1 and width > 1:
            _refuse_swallowed_rows(tape, line, delimiter, fields, columns)
        if len(fields) == width:
            yield line, dict(zip(columns, fields, strict=True))
        else:
            yield _wrong_width(line, fields, columns, header_line)


def _records(tape: _Tape, delimiter: str) -> Iterator[tuple[int, list[str] | BadRow]]:
    reader = csv.reader(tape, delimiter=delimiter, strict=True)
    while True:
        tape.forget()
        line = tape.number + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, _broken(tape, line, delimiter, error)
        else:
            if not _blank(tape, delimiter):
                yield line, fields


def _blank(tape: _Tape, delimiter: str) -> bool:
    """Say whether the row is a line with nothing on it, or, as Excel has it, with delimiters only.

    Nothing but delimiters and ASCII spaces: a letter that cannot be seen is somebody's mistake.
    """
    return len(tape.row) == 1 and not tape.row[0].strip(f"{delimiter} \t\r\n")


def _wrong_width(
    line: int, fields: Sequence[str], columns: Sequence[str], header_line: int
) -> BadRow:
    many = len(fields) > len(columns)
    row: dict[str, object] = dict(zip(columns, fields, strict=False))
    return BadRow(
        line=line,
        column="",
        message=f"has {plural(len(fields), 'field')}, the header on line {header_line} has {len(columns)}",
        hint="put quotes around a text that holds the delimiter"
        if many
        else "an empty field still needs its delimiter",
        id=str(row.get("id") or derived_id({"": list(fields)})),
        row=row,
    )


# -- the header ----------------------------------------------------------------------------------


def _declared_delimiter(line: str, where: str) -> str:
    """Take the delimiter from a first line ``sep=;``, as Excel does; empty if it is no such line.

    Raises:
        ManifestError: It declares a delimiter that is none of ours.
    """
    declared = re.fullmatch(r'"?sep=(.)"?', line.rstrip("\r\n"), re.IGNORECASE)
    if declared is None:
        return ""
    if declared[1] not in _DELIMITERS:
        hint = "use a comma, a semicolon or a tab"
        raise ManifestError(f"{where}: '{declared[1]}' is no delimiter of ours", hint=hint)
    return declared[1]


def _delimiter(line: str) -> str:
    """Choose the delimiter that splits the header into the most known columns."""

    def score(delimiter: str) -> tuple[int, int]:
        names = next(csv.reader([line], delimiter=delimiter))
        return (
            sum(name in KNOWN_COLUMNS for name in names),
            sum(bool(meant(name, ())) for name in names),
        )

    return max(_DELIMITERS, key=score)


def _header(tape: _Tape, first: str, delimiter: str) -> tuple[tuple[str, ...], int]:
    line = tape.number
    reader = csv.reader(chain((first,), tape), delimiter=delimiter, strict=True)
    try:
        columns = tuple(next(reader, ()))
    except csv.Error as error:
        raise ManifestError(
            f"{tape.name}:{line}: the header cannot be read: {error}", hint=_MULTILINE_HINT
        ) from error
    _check_header(columns, f"{tape.name}:{line}")
    return columns, line


def _check_header(columns: tuple[str, ...], where: str) -> None:
    guesses = {column: meant(column, columns) for column in columns}
    if not any(column in KNOWN_COLUMNS or guesses[column] for column in columns):
        raise ManifestError(
            f"{where}: the header is missing: none of the known columns is named here",
            hint=f"the first line names the columns: {', '.join(KNOWN_COLUMNS)}",
        )
    seen: set[str] = set()
    for place, column in enumerate(columns, 1):
        if not column.strip():
            hint = "name it, or remove a delimiter too many"
            raise ManifestError(f"{where}: column {place} of the header has no name", hint=hint)
        if "\n" in column or "\r" in column:
            raise ManifestError(
                f"{where}: the name of column {place} goes over several lines", hint=_MULTILINE_HINT
            )
        if column in seen:
            hint = "remove or rename one of them"
            raise ManifestError(
                f"{where}: column '{column}': stands twice in the header", hint=hint
            )
        seen.add(column)
        if guesses[column]:
            hint = f"did you mean {named(guesses[column])}?"
            raise ManifestError(f"{where}: column '{column}': no such column", hint=hint)


# -- quotes --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Quoted:
    """Where a quoted field stands: the lines of its quotes, and what the last holds before one."""

    first_line: int
    last_line: int
    last_width: int
    closed: bool


def _quoted_fields(lines: Sequence[str], first_line: int, delimiter: str) -> list[_Quoted]:
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


def _broken(tape: _Tape, line: int, delimiter: str, error: csv.Error) -> BadRow:
    """Say what is wrong with a row that the csv module refused.

    Raises:
        ManifestError: The row goes over several lines, or to the file's end: it may hold others.
    """
    quoted = _quoted_fields(tape.row, line, delimiter)
    astray = [item for item in quoted if not item.closed]
    if astray:
        raise ManifestError(
            f"{tape.name}:{astray[0].first_line}: a quote opens here and is never closed",
            hint=_MULTILINE_HINT,
        ) from error
    several = [item for item in quoted if item.last_line > item.first_line]
    if several:
        raise ManifestError(
            f"{tape.name}:{several[-1].first_line}: a quote opens here and closes on line "
            f"{several[-1].last_line} in the middle of a field",
            hint=_MULTILINE_HINT,
        ) from error
    return BadRow(
        line=line,
        column="",
        message="text follows a closing quote",
        hint="double every quote inside a quoted text",
        id=derived_id({"": tape.row}),
    )


def _refuse_swallowed_rows(
    tape: _Tape, line: int, delimiter: str, fields: Sequence[str], columns: tuple[str, ...]
) -> None:
    """Refuse a row of several lines, one of which is a row by itself.

    A stray quote makes one row of all lines up to the next quote, without an error: measured, two
    quotes merged 51 rows into one.

    Raises:
        ManifestError: Naming the line where the quote opened.
    """
    # With a width that is wrong anyway, a line of the right one is proof enough.
    pattern = fields if len(fields) == len(columns) else None
    quoted = _quoted_fields(tape.row, line, delimiter)
    for place, text in _contained_lines(tape.row, line, quoted[0]):
        if not _reads_as_row(text, delimiter, columns, pattern):
            continue
        opened = next(item for item in quoted if item.first_line <= place <= item.last_line)
        raise ManifestError(
            f"{tape.name}:{opened.first_line}: a quote opens here and swallows line {place}, "
            "which is a row by itself",
            hint=_MULTILINE_HINT,
        )


def _contained_lines(
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


def _reads_as_row(
    line: str, delimiter: str, columns: tuple[str, ...], pattern: Sequence[str] | None
) -> bool:
    """Say whether a line inside a quoted field has the width and shape of a row.

    Args:
        line: The line as it stands in the file.
        delimiter: The manifest's.
        columns: The manifest's.
        pattern: The fields of the row that holds the line; None to look at the width alone.
    """
    try:
        fields = next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return False
    if len(fields) != len(columns):
        return False
    if pattern is None:
        return True
    # "Well, hello": after the comma of a sentence comes a space, after a manifest's none; unless
    # this manifest is written so.
    if any(cell[:1] == " " for cell in fields[1:]) and not any(
        cell[:1] == " " for cell in pattern[1:]
    ):
        return False
    return _shape_fits(
        dict(zip(columns, fields, strict=True)), dict(zip(columns, pattern, strict=True))
    )


def _shape_fits(cells: dict[str, str], pattern: dict[str, str]) -> bool:
    own, other = cells.get("id", ""), pattern.get("id", "")
    if other and (not own.strip() or (len(own.split()) > 1 and len(other.split()) < 2)):
        return False
    if sum(bool(cells.get(column, "").strip()) for column in _SOURCES) != 1:
        return False
    return all(_number_or_empty(cells.get(column, "")) for column in _NUMBERS)


def _number_or_empty(cell: str) -> bool:
    if not cell.strip():
        return True
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False
