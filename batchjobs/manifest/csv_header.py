"""The header of a CSV manifest: its delimiter and its columns, checked."""

import csv
import re
from dataclasses import dataclass
from itertools import chain

from batchjobs.errors import ManifestError
from batchjobs.manifest.columns import (
    KNOWN_COLUMNS,
    find_own_name,
    guess_columns,
    quote_names,
)
from batchjobs.manifest.tape import MULTILINE_HINT, Tape

_DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What the first row says.

    Attributes:
        columns: The names in order, without those at the end that are empty; known columns have
            their own names.
        line: Where they stand.
        delimiter: What separates fields.
        nameless: Places that have no name, also behind the last of `columns`.
    """

    columns: tuple[str, ...]
    line: int
    delimiter: str
    nameless: tuple[int, ...] = ()


def read_header(tape: Tape) -> Header:
    """Read the row that names the columns, behind a line ``sep=`` if there is one.

    Raises:
        ManifestError: The header is wrong.
    """
    first = _next_line(tape)
    delimiter = _parse_separator(first, f"{tape.name}:{tape.number}")
    if delimiter:
        first = _next_line(tape)
    delimiter = delimiter or _guess_delimiter(first)
    line = tape.number
    reader = csv.reader(chain((first,), tape.texts), delimiter=delimiter, strict=True)
    try:
        columns = tuple(next(reader, ()))
    except csv.Error as error:
        raise ManifestError(
            f"{tape.name}:{line}: the header cannot be read: {error}", hint=MULTILINE_HINT
        ) from error
    nameless = tuple(place for place, column in enumerate(columns) if not column.strip())
    columns = _name_columns(columns, f"{tape.name}:{line}")
    return Header(columns=columns, line=line, delimiter=delimiter, nameless=nameless)


def _next_line(tape: Tape) -> str:
    return next((line for line in tape.texts if not line.isspace()), "")


def _parse_separator(line: str, where: str) -> str:
    """Take the delimiter from a first line ``sep=;``, as Excel does; empty if it is no such line.

    Delimiters behind it are those of the sheet's other columns.

    Raises:
        ManifestError: It declares a delimiter that is none of ours.
    """
    declared = re.fullmatch(r'"?sep=(.)"?\1*', line.rstrip("\r\n"), re.IGNORECASE)
    if declared is None:
        return ""
    if declared[1] not in _DELIMITERS:
        hint = "use a comma, a semicolon or a tab"
        raise ManifestError(f"{where}: '{declared[1]}' is no delimiter of ours", hint=hint)
    return declared[1]


def _guess_delimiter(line: str) -> str:
    """Guess the delimiter: the one that splits the header into the most known columns."""

    def score(delimiter: str) -> tuple[int, int]:
        names = next(csv.reader([line], delimiter=delimiter))
        return (
            sum(find_own_name(name, ()) in KNOWN_COLUMNS for name in names),
            sum(bool(guess_columns(name, ())) for name in names),
        )

    return max(_DELIMITERS, key=score)


def _name_columns(given: tuple[str, ...], where: str) -> tuple[str, ...]:
    """Check the header's names, and give known columns their own.

    Raises:
        ManifestError: No known column is there, one is misspelt, or one stands there twice.
    """
    columns = tuple(find_own_name(column, given) if column.strip() else "" for column in given)
    while columns and not columns[-1]:
        columns = columns[:-1]
    guesses = {column: guess_columns(column, columns) for column in columns}
    if not any(column in KNOWN_COLUMNS or guesses[column] for column in columns):
        raise ManifestError(
            f"{where}: the header is missing: none of the known columns is named here",
            hint=f"the first line names the columns: {', '.join(KNOWN_COLUMNS)}",
        )
    seen: set[str] = set()
    for place, column in enumerate(columns, 1):
        if "\n" in column or "\r" in column:
            raise ManifestError(
                f"{where}: the name of column {place} goes over several lines", hint=MULTILINE_HINT
            )
        if column and column in seen:
            hint = "remove or rename one of them"
            raise ManifestError(
                f"{where}: column '{column}': stands twice in the header", hint=hint
            )
        seen.add(column)
        if guesses[column]:
            hint = f"did you mean {quote_names(guesses[column])}?"
            raise ManifestError(f"{where}: column '{column}': no such column", hint=hint)
    return columns
