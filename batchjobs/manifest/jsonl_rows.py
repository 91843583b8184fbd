"""JSON Lines: one object a line, read strictly."""

import json
import math
from collections import Counter
from collections.abc import Iterator

import orjson

from batchjobs.jobs import BadRow, derived_id
from batchjobs.manifest.columns import RowError, meant, named
from batchjobs.manifest.source import decoded

__all__ = ["jsonl_rows"]

_MISSPELT_REMEMBERED = 1000
_ERROR_FIELDS = {"class", "code", "message"}
_FAILURE_FIELDS = {"error", "line", "attempts"}


def jsonl_rows(
    lines: Iterator[bytes], name: str
) -> Iterator[tuple[int, dict[str, object]] | BadRow]:
    """Read JSON Lines.

    Args:
        lines: The manifest's lines.
        name: The manifest, for messages.

    Yields:
        Line number and row, or what is wrong with the line. Blank lines are passed over.

    Raises:
        ManifestError: A line that is not UTF-8, or holds a NUL byte.
    """
    good: set[tuple[str, ...]] = set()
    for number, line in enumerate(lines, 1):
        text = decoded(line, number, name)
        if text.isspace():
            continue
        try:
            row = _as_it_came(_object(text))
        except RowError as error:
            yield BadRow(
                line=number,
                column=error.column,
                message=error.message,
                hint=error.hint,
                id=derived_id({"": text}),
            )
            continue
        # Rows of one manifest mostly have the same columns: look at each set of them once.
        columns = tuple(row)
        if columns in good:
            yield number, row
        elif misspelt := _misspelt(columns):
            column, hint = misspelt
            yield BadRow(
                line=number,
                column=column,
                message="no such column",
                hint=hint,
                id=_id_of(row),
                row=row,
            )
        else:
            if len(good) < _MISSPELT_REMEMBERED:
                good.add(columns)
            yield number, row


def _as_it_came(row: dict[str, object]) -> dict[str, object]:
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


def _id_of(row: dict[str, object]) -> str:
    given = row.get("id")
    usable = isinstance(given, str | int) and not isinstance(given, bool) and given != ""
    return str(given) if usable else derived_id(row)


def _misspelt(columns: tuple[str, ...]) -> tuple[str, str] | None:
    for column in columns:
        if guesses := meant(column, columns):
            return column, f"did you mean {named(guesses)}?"
    return None


def _object(text: str) -> dict[str, object]:
    """Read one line.

    Raises:
        RowError: It is no JSON object, or one that cannot be written again as it is.
    """
    try:
        value: object = _DECODER.decode(text)
        # Also finds lone surrogates, integers beyond 64 bits and too deep nesting: what passes here
        # can be hashed, and written to the results.
        orjson.dumps(value)
    except json.JSONDecodeError as error:
        hint = "write one JSON object a line; a line break in a text is \\n"
        message = f"not JSON: {error.msg} at character {error.pos + 1}"
        raise RowError("", message, hint=hint) from error
    except RecursionError as error:
        raise RowError("", "the JSON is nested too deeply") from error
    except orjson.JSONEncodeError as error:
        message = f"holds a value that cannot be written as JSON again: {error}"
        raise RowError("", message, hint="write long numbers and odd characters as text") from error
    except ValueError as error:  # an integer of more digits than Python converts
        raise RowError("", "a number is too long", hint="write it as text") from error
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
