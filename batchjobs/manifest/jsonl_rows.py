"""Rows as objects: JSON Lines, read strictly, and the mappings that a program hands over."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import orjson

from batchjobs.jobs import BadRow, derive_id
from batchjobs.manifest.columns import ColumnNames, RowError
from batchjobs.manifest.notes import Notes, Oddity
from batchjobs.manifest.source import BOM, Rows, decode_lines

_Item = TypeVar("_Item")
_ERROR_FIELDS = {"class", "code", "message"}
_FAILURE_FIELDS = {"error", "line", "attempts"}


def read_jsonl(
    pages: Iterable[Sequence[bytes]], name: str, notes: Notes
) -> Iterator[tuple[int, dict[str, object]] | BadRow]:
    """Read JSON Lines.

    Args:
        pages: The manifest's lines, many at a time.
        name: The manifest, for messages.
        notes: Gets what is passed over.

    Yields:
        Line number and row, or what is wrong with the line. Blank lines are passed over.

    Raises:
        ManifestError: A line that is not UTF-8, or holds a NUL byte.
    """
    return _check_rows(_read_texts(pages, name), _parse_object, notes)


def _read_texts(pages: Iterable[Sequence[bytes]], name: str) -> Iterator[tuple[int, str]]:
    """Read the lines that are not blank, with their numbers."""
    first = 1
    for lines in pages:
        for number, line in enumerate(decode_lines(lines, first, name), first):
            text = line.removeprefix(BOM)
            if not text.isspace():
                yield number, text
        first += len(lines)


def read_mappings(rows: Rows, notes: Notes) -> Iterator[tuple[int, dict[str, object]] | BadRow]:
    """Take rows from a program, each as if it were a line of JSON Lines.

    Args:
        rows: The rows.
        notes: Gets what is passed over.

    Yields:
        Number from 1 and row, or what is wrong with it.
    """
    return _check_rows(enumerate(rows, 1), _copy_row, notes)


def _check_rows(
    items: Iterable[tuple[int, _Item]],
    parse: Callable[[_Item], dict[str, object]],
    notes: Notes,
) -> Iterator[tuple[int, dict[str, object]] | BadRow]:
    columns = ColumnNames()
    for number, item in items:
        row: dict[str, object] = {}
        try:
            row = _without_failure(parse(item))
            if renamed := columns.find(tuple(row)):
                row = {renamed.get(name, name): value for name, value in row.items()}
        except RowError as error:
            given = row or (item if isinstance(item, Mapping) else {"": item})
            yield error.to_bad_row(number, _id_of(given), row)
        else:
            if _is_header(row):
                notes.add(Oddity.HEADER_AGAIN, number)
            else:
                yield number, row


def _is_header(row: Mapping[str, object]) -> bool:
    """Whether a row only repeats its columns' names: a CSV header, made a row by a conversion."""
    for name, value in row.items():  # a loop, since nearly every row is told by its first value
        if not isinstance(value, str) or value.strip().casefold() != name:
            return False
    return len(row) > 1


def _id_of(row: Mapping[str, object]) -> str:
    given = row.get("id")
    usable = isinstance(given, str | int) and not isinstance(given, bool) and given != ""
    return str(given) if usable else derive_id(row)


def _without_failure(row: dict[str, object]) -> dict[str, object]:
    """Take out of a row of a run's ``failed.jsonl`` what the run put into it."""
    error = row.get("error")
    if not isinstance(error, dict) or error.keys() != _ERROR_FIELDS:
        return row
    own = {name: value for name, value in row.items() if name not in _FAILURE_FIELDS}
    hidden = own.get("row")
    if isinstance(hidden, dict) and hidden.keys() <= {"id", "row", *_FAILURE_FIELDS}:
        del own["row"]
        own = hidden | own  # its id stays the one it had in the run
    return own


def _check_writable(value: object) -> None:
    """Make sure that a row can be hashed, and written to the results.

    Raises:
        RowError: It holds lone surrogates, integers beyond 64 bits, or is nested too deeply.
    """
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise _unwritable(error) from error


def _unwritable(error: Exception) -> RowError:
    message = f"holds a value that cannot be written as JSON again: {error}"
    return RowError("", message, hint="write long numbers and odd characters as text")


def _copy_row(given: object) -> dict[str, object]:
    """Read a program's row as the line that it would be.

    Raises:
        RowError: It is no mapping, or holds what a line cannot.
    """
    if not isinstance(given, Mapping):
        hint = 'give {"id": "…", "text": "…"}'
        raise RowError("", f"is no mapping of columns to values but {given!r:.60}", hint=hint)
    row = dict(given)
    _check_writable(row)
    try:
        text = json.dumps(row)
    except TypeError as error:  # a date, for one, which has no form in JSON of its own
        raise _unwritable(error) from error
    return _parse_object(text)


def _parse_object(text: str) -> dict[str, object]:
    """Read one line.

    Raises:
        RowError: It is no JSON object, or one that cannot be written again as it is.
    """
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        hint = "write one JSON object a line; a line break in a text is \\n"
        message = f"not JSON: {error.msg} at character {error.pos + 1}"
        raise RowError("", message, hint=hint) from error
    except RecursionError as error:
        raise RowError("", "the JSON is nested too deeply") from error
    except ValueError as error:  # an integer of more digits than Python converts
        raise RowError("", "a number is too long", hint="write it as text") from error
    _check_writable(value)
    if not isinstance(value, dict):
        hint = 'write {"id": "…", "text": "…"}'
        raise RowError("", "the line is JSON, but no object", hint=hint)
    return value


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise RowError(twice, "stands twice in the object", hint="keep one of them")
    return row


def _constant(name: str) -> object:
    raise RowError("", f"{name} is no JSON", hint="leave the value out")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise RowError("", f"the number {digits} is too large", hint="write it as text")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_finite)
