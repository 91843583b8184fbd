"""Reads fields of JSON objects, of whatever type they come, as far as they make sense."""

import re
from typing import Final

_SHOWN_CHARACTERS: Final = 200
_PLAIN_NUMBER: Final = re.compile("0|[1-9][0-9]{0,14}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def is_plain_number(text: str) -> bool:
    """Whether a text reads the same once it has been a number.

    A leading zero, a digit of another script and 5,000 digits (which `int` refuses) do not.
    """
    return _PLAIN_NUMBER.fullmatch(text) is not None


def find_text(values: dict[object, object], *names: str) -> str | None:
    """Find the first named field that holds text or a number, looking one level down."""
    for name in names:
        value = values.get(name)
        below = (
            [value.get(key) for key in ("text", "message", "data")]
            if isinstance(value, dict)
            else [value]
        )
        for item in below:
            if isinstance(item, float) and item.is_integer():
                return str(int(item))
            if isinstance(item, str | int | float):
                return str(item)
    return None


def to_sample_rate(value: object) -> int:
    """Read a sample rate in hertz; 0 if there is none."""
    if isinstance(value, str):
        return int(value) if is_plain_number(value) else 0
    return int(value) if isinstance(value, int | float) else 0


def without_nulls(value: object) -> object:
    """Leave out an object's null fields, and those of the objects in it."""
    if not isinstance(value, dict):
        return value
    return {
        name: {key: item for key, item in field.items() if item is not None}
        if isinstance(field, dict)
        else field
        for name, field in value.items()
        if field is not None
    }


def excerpt(payload: str | bytes) -> str:
    """Cut out the beginning, fit for a log line: no control characters, nothing UTF-8 cannot hold."""
    start = payload[: _SHOWN_CHARACTERS + 1]
    raw = start.encode(errors="replace") if isinstance(start, str) else start
    text = _CONTROL.sub(" ", raw.decode(errors="replace"))
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
