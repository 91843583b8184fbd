"""What a row says of the channels and the track of its recording."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec
import orjson

from batchjobs.jobs import Hearing
from batchjobs.manifest.cells import holds_control, is_blank, shorten, to_whole_number
from batchjobs.manifest.columns import RowError
from batchjobs.options import Defaults
from batchjobs.speech import Channels

HEARING_COLUMNS: Final = ("channels", "channel_names", "track")
"""The columns that say what of a recording is heard."""
_CHANNELS_HINT: Final = "give mix, apart, left or right, or leave it empty"
_NAMES_HINT: Final = "give a name for each channel: Agent,Customer"
_TRACK_HINT: Final = "give a whole number from 1, or leave it empty for the default track"
_COUNTS: Final = frozenset({"mono", "stereo"})
"""How many channels there are, in words."""
_DIRECTIONS: Final = re.compile(r"[\u202a-\u202e\u2066-\u2069]")
"""What turns the rest of a line round, and what ends that: not the marks of direction, which do not."""
_LONGEST_NAME: Final = 60
_MOST_TRACKS: Final = 1_000


def convert_hearing(row: Mapping[str, object], defaults: Defaults) -> Hearing:
    """Convert the cells of `HEARING_COLUMNS`.

    How many channels there are, as many data sets have it, travels along and asks for nothing. Names
    are looked at only where channels are heard apart.

    Args:
        row: Column to value.
        defaults: What holds where the row says nothing.

    Raises:
        RowError: A cell is none of what there is.
    """
    channels = _to_channels(row.get("channels")) or Channels(defaults.channels or Channels.MIX)
    names: tuple[str, ...] = ()
    if channels is Channels.APART:
        names = _to_names(row.get("channel_names")) or _to_names(defaults.channel_names)
    return Hearing(channels=channels, names=names, track=_to_track(row.get("track"), defaults))


def _to_channels(value: object) -> Channels | None:
    """Take a word; None for an empty cell, or a number of channels."""
    if value is None or value == "":
        return None  # by far the most cells
    word = value.strip().casefold() if isinstance(value, str) else value
    if not word or _is_count(word):
        return None
    try:
        return Channels(str(word))
    except ValueError:
        message = f"'{shorten(str(value))}' is no way to hear channels"
        raise RowError("channels", message, hint=_CHANNELS_HINT) from None


def _is_count(value: object) -> bool:
    """Whether a cell holds how many there are, as ``2``, ``2.0`` and ``stereo`` do."""
    if isinstance(value, str) and value in _COUNTS:
        return True
    return to_whole_number(value, "channels", least=0) is not None


def _to_names(value: object) -> tuple[str, ...]:
    """Take names: a list, or a text with commas between them.

    Raises:
        RowError: They are none, or two are the same.
    """
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            raise _names_error("is no list in JSON") from None
    if isinstance(value, str):
        value = value.replace("،", ",").split(",") if value.strip() else None
    try:
        given = msgspec.convert(value or [], list[str])
    except msgspec.ValidationError:
        raise _names_error("must be names") from None
    names = tuple(name.strip() for name in given)
    for name in names:
        _check_name(name)
    if len(set(names)) < len(names):
        raise _names_error("two channels have the same name")
    return names


def _check_name(name: str) -> None:
    """Refuse what cannot stand before what somebody says.

    Raises:
        RowError: It is no name.
    """
    if is_blank(name):
        raise _names_error("a name is empty")
    if holds_control(name) or _DIRECTIONS.search(name):
        raise _names_error("a name holds a control character")
    if len(name) > _LONGEST_NAME:
        raise _names_error(f"a name is longer than {_LONGEST_NAME} characters")


def _names_error(message: str) -> RowError:
    return RowError("channel_names", message, hint=_NAMES_HINT)


def _to_track(value: object, defaults: Defaults) -> int:
    """Take the number of a track; 0 if neither the row nor the defaults name one."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return defaults.track or 0
    number = to_whole_number(value, "track", least=1)
    if number is not None and number <= _MOST_TRACKS:
        return number
    message = f"{shorten(str(value))} is no track's number"
    raise RowError("track", message, hint=_TRACK_HINT)
