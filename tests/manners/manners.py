"""What is known of the manners of speech services, a field a column of the table."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Closing", "Fault", "Hearing", "Manners", "Marks"]


class Closing(enum.Enum):
    """How a service ends a session."""

    DRAINS = enum.auto()
    """Asked to close, it sends what is pending first."""
    DROPS = enum.auto()
    """Asked to close, it closes at once, whatever is pending."""
    ITSELF = enum.auto()
    """It closes with 1000 after the last audio or transcript, unasked."""
    NEVER = enum.auto()
    """It does not close, asked or not."""
    DEAF = enum.auto()
    """Asked to close, it hears nothing more, not even the client's close of the connection."""


class Marks(enum.Enum):
    """Where a service says ``isFinal``."""

    NEVER = enum.auto()
    EACH = enum.auto()
    """On every message of audio."""
    LAST = enum.auto()
    """On a message without audio, after the last."""
    MIDDLE = enum.auto()
    """On one message of audio in the middle."""
    MIDDLE_EMPTY = enum.auto()
    """On a message without audio, in the middle."""


class Hearing(enum.Enum):
    """When a service answers with transcripts."""

    EACH_CHUNK = enum.auto()
    """After every chunk, with all that was said so far."""
    AT_END = enum.auto()
    """Once, when the last chunk is there."""
    ROUGH_THEN_REFINED = enum.auto()
    """After every chunk with a rough version, and 0.3 s later with a better one."""
    REVISES_LATE = enum.auto()
    """As after every chunk; 1.5 s after the last answer the last word is another."""
    STARTS_LATE = enum.auto()
    """Nothing for five seconds after the first chunk."""
    ENDS_LATE = enum.auto()
    """The answer to the last chunk comes five seconds after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that goes wrong in some sessions.

    Attributes:
        error: The message that tells of it; None if it is not told.
        share: How much of the clip comes before it.
        close_code: How the connection ends after it; 0 without a close message, None not at all.
        hears_nothing: Whether all transcripts are empty.
        of: Part of the texts, or names of the recordings, that it happens to; empty is in all.
        times: In how many sessions of each it happens.
        after_clips: It happens only once so many clips were fetched whole.
    """

    error: Mapping[str, object] | None = None
    share: float = 0.0
    close_code: int | None = None
    hears_nothing: bool = False
    of: str = ""
    times: int = 1
    after_clips: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How a service speaks and hears.

    Attributes:
        closing: How it ends a session.
        is_loud: Whether its clips end on a sound at full level, or softly.
        final: Where it says ``isFinal``.
        message_bytes: Audio in a message; an odd number splits samples.
        pause_seconds: How long it pauses in the middle of a clip.
        says_rate: Whether its audio comes with a ``sampleRate``.
        sends_empty: Whether a message without audio comes in the middle.
        sends_unknown: Whether messages of other types come in between.
        ready_seconds: How late ``connectionInitialized`` comes.
        first_audio_seconds: How late the first audio comes.
        is_mute: Whether audio never comes.
        room: How many sessions it serves at a time; 0 is any number.
        full: What it says to one session too many.
        hearing: When it answers with transcripts.
        event: The field that holds a transcript's type.
        is_object: Whether transcripts come as ``{"text": …}`` or as strings.
        prefix: What stands before every transcript.
        fault: What goes wrong.
    """

    closing: Closing = Closing.DROPS
    is_loud: bool = True
    final: Marks = Marks.NEVER
    message_bytes: int = 12_000
    pause_seconds: float = 0.0
    says_rate: bool = True
    sends_empty: bool = False
    sends_unknown: bool = False
    ready_seconds: float = 0.0
    first_audio_seconds: float = 0.0
    is_mute: bool = False
    room: int = 0
    full: Mapping[str, object] = field(default_factory=dict)
    hearing: Hearing = Hearing.EACH_CHUNK
    event: str = "event"
    is_object: bool = False
    prefix: str = ""
    fault: Fault | None = None
