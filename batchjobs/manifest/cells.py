"""A row's cells, each converted once from what a manifest holds to what the rules take."""

import contextlib
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from batchjobs.manifest.columns import RowError
from batchjobs.speech import FASTEST, SLOWEST

NUMBER_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "stability": (0.0, 1.0),
    "similarity_boost": (0.0, 1.0),
    "speed": (SLOWEST, FASTEST),
}
VOICE_COLUMNS: Final = ("voice_id", "model_id", *NUMBER_RANGES, "output_format", "dialect")
"""The columns that say how to speak; in most manifests they hold a few combinations."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# A tatweel stretches the letter before it and is nothing by itself.
_SPEAKABLE = re.compile(r"[^\W_\u0640]")
_ARABIC_DECIMAL_SEPARATOR = str.maketrans("\u066b", ".")
_JSON_TYPES: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
}
_QUOTED_CHARACTERS = 60
_ID_LIMIT_CHARACTERS = 1000
_TAKE_LIMIT = 10**9

_Errors = dict[str, RowError]


class Cells(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a row says by itself: its columns of `KNOWN_COLUMNS` but those of `VoiceCells`.

    Attributes:
        errors: What is wrong, by column; a cell named here is empty. Which columns matter, and
            which of several mistakes is the one to tell, is for the rules to say.
    """

    errors: Mapping[str, RowError]
    id: str
    text: str
    text_file: str
    audio: str
    provider: str
    output: str
    reference: str
    take: int


class VoiceCells(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a row says of how to speak; a number is None where the row is silent.

    Attributes:
        errors: As in `Cells`.
    """

    errors: Mapping[str, RowError]
    voice_id: str
    model_id: str
    stability: float | None
    similarity_boost: float | None
    speed: float | None
    output_format: str
    dialect: str


def raise_first(errors: Mapping[str, RowError], *columns: str) -> None:
    """Refuse a row if one of these cells could not be converted.

    Raises:
        RowError: The first one's.
    """
    if errors:
        for column in columns:
            if column in errors:
                raise errors[column]


def convert_row(row: Mapping[str, object]) -> Cells:
    """Convert the cells that nearly every row has for itself."""
    errors: _Errors = {}
    get = row.get
    return Cells(
        errors=errors,
        id=_to_id(get("id"), errors),
        text=_to_text(get("text"), "text", errors),
        text_file=_to_text(get("text_file"), "text_file", errors),
        audio=_to_text(get("audio"), "audio", errors),
        provider=_to_name(get("provider"), "provider", errors),
        output=_to_text(get("output"), "output", errors),
        reference=_to_text(get("reference"), "reference", errors),
        take=_to_take(get("take"), errors),
    )


def convert_voice(row: Mapping[str, object]) -> VoiceCells:
    """Convert the cells of `VOICE_COLUMNS`."""
    errors: _Errors = {}
    stability, similarity_boost, speed = (
        _to_number(row.get(column), column, errors) for column in NUMBER_RANGES
    )
    return VoiceCells(
        errors=errors,
        voice_id=_to_name(row.get("voice_id"), "voice_id", errors),
        model_id=_to_name(row.get("model_id"), "model_id", errors),
        stability=stability,
        similarity_boost=similarity_boost,
        speed=speed,
        output_format=_to_name(row.get("output_format"), "output_format", errors),
        dialect=_to_name(row.get("dialect"), "dialect", errors),
    )


# -- one cell --------------------------------------------------------------------------------------


def _to_text(value: object, column: str, errors: _Errors) -> str:
    """Take a text; none and null are empty."""
    if isinstance(value, str):
        return value
    if value is not None:
        message = f"must be text, not {_JSON_TYPES.get(type(value), 'an object')}"
        errors[column] = RowError(column, message, hint="put it in quotes")
    return ""


def _to_name(value: object, column: str, errors: _Errors) -> str:
    """Take the name of something, without white space about it."""
    if value is None or value == "":
        return ""  # by far the most cells
    name = _to_text(value, column, errors).strip()
    if holds_control(name):
        hint = "a stray quote can do that"
        errors[column] = RowError(column, "holds a control character", hint=hint)
        return ""
    return name


def _to_id(value: object, errors: _Errors) -> str:
    """Take an id: a text, or a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    job_id = _to_text(value, "id", errors)
    message, hint = "", ""
    if len(job_id) > _ID_LIMIT_CHARACTERS:
        message = f"is longer than {_ID_LIMIT_CHARACTERS} characters"
    elif job_id.isalnum():
        return job_id  # letters and numbers alone, as most are
    elif holds_control(job_id):
        message, hint = "holds a control character", "a line break in an id often is a stray quote"
    elif job_id and is_blank(job_id):
        message, hint = "is blank", "give an id, or leave it empty to get one"
    if message:
        errors["id"] = RowError("id", message, hint=hint)
        return ""
    return job_id


def _to_number(value: object, column: str, errors: _Errors) -> float | None:
    """Take a number in its range; None for an empty cell."""
    if _is_empty(value):
        return None
    try:
        return check_range(_to_float(value, column, _range_hint(column)), column)
    except RowError as error:
        errors[column] = error
        return None


def check_range(number: float, column: str) -> float:
    """Give a number back.

    Raises:
        RowError: It is not in the column's range.
    """
    low, high = NUMBER_RANGES[column]
    if not low <= number <= high:
        message = f"{shorten(str(number))} is not between {low:g} and {high:g}"
        raise RowError(column, message, hint=_range_hint(column))
    return number


def _range_hint(column: str) -> str:
    low, high = NUMBER_RANGES[column]
    return f"give a number from {low:g} to {high:g}"


def _to_take(value: object, errors: _Errors) -> int:
    """Take the number of a take: a whole one from 0 to a thousand million; 0 for an empty cell."""
    if _is_empty(value):
        return 0
    hint = "give a whole number from 0"
    try:
        number = _to_float(value, "take", hint)
    except RowError as error:
        errors["take"] = error
        return 0
    if 0 <= number < _TAKE_LIMIT and number == int(number):
        return int(number)
    message = f"{shorten(str(value))} is no whole number from 0"
    errors["take"] = RowError("take", message, hint=hint)
    return 0


def to_whole_number(value: object, column: str, *, least: int) -> int | None:
    """Take a whole number up to a thousand million, Arabic digits included; None for anything else.

    Args:
        value: The cell.
        column: Its column.
        least: The least number.
    """
    try:
        number = _to_float(value, column, "")
    except RowError:
        return None
    return int(number) if least <= number < _TAKE_LIMIT and number == int(number) else None


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _to_float(value: object, column: str, hint: str) -> float:
    """Read a number as JSON or a person writes it, Arabic digits included.

    Raises:
        RowError: It is none.
    """
    number = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    elif isinstance(value, str):
        plain = value.translate(_ARABIC_DECIMAL_SEPARATOR)
        # "1_0" is a number to Python alone.
        with contextlib.suppress(ValueError):
            number = math.nan if "_" in plain else float(plain)
    else:
        raise RowError(
            column, f"must be a number, not {_JSON_TYPES.get(type(value), 'an object')}", hint=hint
        )
    if not math.isfinite(number):
        text = shorten(str(value))
        if re.fullmatch(r"[+-]?[0-9]+,[0-9]+", text.strip()):
            hint = f"write {text.strip().replace(',', '.')}, with a point"
        raise RowError(column, f"'{text}' is no number", hint=hint)
    return number


# -- what a text shows -----------------------------------------------------------------------------


def holds_control(text: str) -> bool:
    """Say whether a text holds a line break or another control character."""
    return _CONTROL.search(text) is not None


def is_speakable(text: str) -> bool:
    """Say whether a text holds a letter or number: something a voice can say."""
    return _SPEAKABLE.search(text) is not None


def are_speakable(texts: Iterable[str]) -> bool:
    """Say whether all texts are."""
    return all(map(_SPEAKABLE.search, texts))


def are_plain_ids(ids: Sequence[str]) -> bool:
    """Say whether all of these are ids as they stand; False if one is to be looked at by itself."""
    if not all(ids) or max(map(len, ids)) > _ID_LIMIT_CHARACTERS:
        return False
    joined = "".join(ids)
    return joined.isalnum() or (not holds_control(joined) and are_speakable(ids))


def is_blank(text: str) -> bool:
    """Say whether a text shows nothing: white space, control and format characters, bare marks."""
    return not is_speakable(text) and all(
        unicodedata.category(character)[0] in "ZCM" for character in text
    )


def shorten(text: str) -> str:
    """Keep a quoted value from filling the message."""
    return text if len(text) <= _QUOTED_CHARACTERS else f"{text[: _QUOTED_CHARACTERS - 1]}…"
