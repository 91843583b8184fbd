"""A row's cells, read as text, names and numbers."""

import contextlib
import math
import re
import unicodedata
from collections.abc import Mapping

from batchjobs.manifest.columns import RowError

__all__ = [
    "holds_control",
    "is_blank",
    "is_speakable",
    "name_in",
    "number_in",
    "shortened",
    "string_in",
    "take_in",
]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# A tatweel stretches the letter before it and is nothing by itself.
_SPEAKABLE = re.compile(r"[^\W_\u0640]")
_ARABIC_DECIMAL_SEPARATOR = str.maketrans("\u066b", ".")
_QUOTED_CHARACTERS = 60
_TAKE_LIMIT = 10**9


def holds_control(text: str) -> bool:
    """Say whether a text holds a line break or another control character."""
    return _CONTROL.search(text) is not None


def is_speakable(text: str) -> bool:
    """Say whether a text holds a letter or number: something a voice can say."""
    return _SPEAKABLE.search(text) is not None


def is_blank(text: str) -> bool:
    """Say whether a text shows nothing: white space, control and format characters, bare marks."""
    return not is_speakable(text) and all(
        unicodedata.category(character)[0] in "ZCM" for character in text
    )


def string_in(row: Mapping[str, object], column: str) -> str:
    """Give a cell of text; none and null are empty.

    Raises:
        RowError: The value is no text.
    """
    value = row.get(column)
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise RowError(column, f"must be text, not {_json_type(value)}", hint="put it in quotes")


def name_in(row: Mapping[str, object], column: str) -> str:
    """Give a cell that names something; white space alone is empty.

    Raises:
        RowError: The value is no text, or holds a line break or another control character.
    """
    value = string_in(row, column)
    if not value or value.isspace():
        return ""
    if holds_control(value):
        raise RowError(column, "holds a control character", hint="a stray quote can do that")
    return value


def _json_type(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case _:
            return "an object"


def number_in(
    row: Mapping[str, object], column: str, default: float | None, low: float, high: float
) -> float | None:
    """Give a cell that holds a number, or the default if it is empty.

    Raises:
        RowError: The value is no number, or it or the default is not from `low` to `high`.
    """
    value = row.get(column)
    if default is None and (value is None or value == ""):
        return None  # by far the most cells: no time is spent on a hint
    hint = f"give a number from {low:g} to {high:g}"
    number = default if _is_empty(value) else _as_float(value, column, hint)
    if number is not None and not low <= number <= high:
        message = f"{shortened(str(number))} is not between {low:g} and {high:g}"
        raise RowError(column, message, hint=hint)
    return number


def take_in(row: Mapping[str, object]) -> int:
    """Give the cell ``take``: 0 if it is empty.

    Raises:
        RowError: The value is no whole number from 0 to a thousand million.
    """
    value = row.get("take")
    if _is_empty(value):
        return 0
    hint = "give a whole number from 0"
    number = _as_float(value, "take", hint)
    if not (0 <= number < _TAKE_LIMIT and number == int(number)):
        message = f"{shortened(str(value))} is no whole number from 0"
        raise RowError("take", message, hint=hint)
    return int(number)


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _as_float(value: object, column: str, hint: str) -> float:
    """Read a number as JSON or a person writes it, Arabic digits included."""
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    elif isinstance(value, str):
        plain = value.translate(_ARABIC_DECIMAL_SEPARATOR)
        # Python's own "1_0" is nobody's 10.
        with contextlib.suppress(ValueError):
            number = math.nan if "_" in plain else float(plain)
    else:
        raise RowError(column, f"must be a number, not {_json_type(value)}", hint=hint)
    if not math.isfinite(number):
        text = shortened(str(value))
        if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", text.strip()):
            hint = f"write {text.strip().replace(',', '.')}, with a point"
        raise RowError(column, f"'{text}' is no number", hint=hint)
    return number


def shortened(text: str) -> str:
    """Keep a quoted value from filling the message."""
    return text if len(text) <= _QUOTED_CHARACTERS else f"{text[: _QUOTED_CHARACTERS - 1]}…"
