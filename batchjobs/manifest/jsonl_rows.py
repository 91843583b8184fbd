"""Rows as objects: JSON Lines, read strictly, and the mappings that a program hands over."""

import functools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import orjson

from batchjobs.jobs import BadRow, Cell, derive_id
from batchjobs.manifest.columns import ColumnNames, RowError
from batchjobs.manifest.notes import Notes, Oddity
from batchjobs.manifest.plain_pages import PageJudge, PlainPage, Records
from batchjobs.manifest.source import BOM, Rows, decode_line

_Item = TypeVar("_Item")
_SCALARS = {str, int, float, bool, type(None)}
_EXACT = 2.0**53
"""Below, a number is the one that was written, whoever reads it: orjson makes long integers floats."""
_ERROR_FIELDS = {"class", "code", "message"}
_FAILURE_FIELDS = {"error", "line", "attempts"}


def read_jsonl(
    pages: Iterable[Sequence[bytes]], name: str, notes: Notes, judge: PageJudge
) -> Iterator[tuple[int, dict[str, object]] | BadRow | PlainPage]:
    """Read JSON Lines.

    Args:
        pages: The manifest's lines, many at a time.
        name: The manifest, for messages.
        notes: Gets what is passed over.
        judge: Judges rows that are plainly good, many at a time.

    Yields:
        Line number and row; or what is wrong with the line; or many that are good. Blank lines are
        passed over.

    Raises:
        ManifestError: A line that is not UTF-8, or holds a NUL byte.
    """
    columns = ColumnNames()
    split = functools.partial(_split_plainly, columns)
    first = 1
    for lines in pages:
        place = 0
        while place < len(lines):
            number = first + place
            peek = functools.partial(_slice, lines, place)
            if page := judge.find_page(number, peek, split):
                yield page
                place += len(page)
                continue
            text = decode_line(lines[place], number, name).removeprefix(BOM)
            place += 1
            if not text.isspace():
                yield from _check_row(number, text, _parse_object, columns, notes)
        first += len(lines)


def _slice(lines: Sequence[bytes], place: int, most: int) -> Sequence[bytes]:
    return lines[place : place + most]


def _split_plainly(columns: ColumnNames, lines: Sequence[bytes]) -> Records | None:
    """Make rows of lines that are an object each, all of the same columns, of texts and numbers.

    Returns:
        None if anything about one of them is to be looked at.
    """
    try:
        rows = list(map(orjson.loads, lines))
        if set(map(type, rows)) != {dict} or len(sets := set(map(tuple, rows))) != 1:
            return None
        (given,) = sets
        renamed = columns.find(given)
    except (orjson.JSONDecodeError, RowError):
        return None
    names = tuple(renamed.get(name, name) for name in given)
    cells = list(zip(*map(dict.values, rows), strict=True))
    if not all(map(_are_scalars, cells)):
        return None
    if b"".join(lines).count(b'"') != _count_quotes(lines, given, cells):
        return None
    return Records(names, cells)


def _are_scalars(cells: Sequence[object]) -> bool:
    types = set(map(type, cells))
    return types <= _SCALARS and (
        float not in types or all(abs(cell) < _EXACT for cell in cells if isinstance(cell, float))
    )


def _count_quotes(
    lines: Sequence[bytes], names: Sequence[str], cells: Sequence[Sequence[Cell]]
) -> int:
    """Count the quotes that rows would have if none of them said anything twice.

    What an object says once more is lost on the way, and its name had quotes.

    Returns:
        -1 if that is not sure.
    """
    block = b"".join(lines)
    texts = [cell for column in cells for cell in column if isinstance(cell, str)]
    around = 2 * (len(texts) + len(names) * len(lines))
    if b"\\" not in block:
        return around
    if b"\\u0022" in block:
        return -1
    return around + "".join(texts).count('"') + "".join(names).count('"') * len(lines)


def read_mappings(rows: Rows, notes: Notes) -> Iterator[tuple[int, dict[str, object]] | BadRow]:
    """Take rows from a program, each as if it were a line of JSON Lines.

    Args:
        rows: The rows.
        notes: Gets what is passed over.

    Yields:
        Number from 1 and row, or what is wrong with it.
    """
    columns = ColumnNames()
    for number, row in enumerate(rows, 1):
        yield from _check_row(number, row, _copy_row, columns, notes)


def _check_row(
    number: int,
    item: _Item,
    parse: Callable[[_Item], dict[str, object]],
    columns: ColumnNames,
    notes: Notes,
) -> Iterator[tuple[int, dict[str, object]] | BadRow]:
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
