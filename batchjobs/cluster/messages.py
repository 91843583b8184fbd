"""What an owner and its hosts say to each other: orders one way, reports the other, in batches."""

from typing import Final, TypeAlias

import msgspec

from batchjobs import errors
from batchjobs.errors import (
    BatchjobsError,
    ConfigurationError,
    InternalError,
    JobsFailedError,
    MissingExtraError,
    SessionError,
)
from batchjobs.jobs import Doubt, Ending, Evidence, Segment, SpeakerTrait
from batchjobs.outputs.writing import Parts
from batchjobs.plausibility.clips import MeasuredSound
from batchjobs.plausibility.transcripts import MeasuredSpeech
from batchjobs.providers import Provider

_OF_OTHER_ARGUMENTS: Final = (MissingExtraError, JobsFailedError)


class Fault(msgspec.Struct, frozen=True, array_like=True):
    """An error on its way to another process.

    Attributes:
        name: Of its class.
        message: What is wrong.
        hint: What to do about it.
        code: The service's code, of an attempt's error.
        retry_after_seconds: How long the service asks to wait, likewise.
    """

    name: str
    message: str
    hint: str = ""
    code: str = ""
    retry_after_seconds: float | None = None


def to_fault(error: Exception) -> Fault:
    """Pack an error; what is none of ours becomes one of `InternalError`."""
    if isinstance(error, SessionError):
        name, message, after = type(error).__name__, error.message, error.retry_after_seconds
        return Fault(name, message, error.hint, error.code, after)
    if isinstance(error, MissingExtraError):
        return Fault(ConfigurationError.__name__, error.message, error.hint)
    if isinstance(error, BatchjobsError):
        return Fault(type(error).__name__, error.message, error.hint)
    return Fault(InternalError.__name__, f"{type(error).__name__}: {error}")


def to_error(fault: Fault) -> BatchjobsError:
    """Make the error again; one of a class that is not known here is an `InternalError`."""
    kind: object = getattr(errors, fault.name, None)
    if not isinstance(kind, type) or not issubclass(kind, BatchjobsError):
        return InternalError(fault.message, hint=fault.hint)
    if issubclass(kind, _OF_OTHER_ARGUMENTS):
        return InternalError(fault.message, hint=fault.hint)
    if not issubclass(kind, SessionError):
        return kind(fault.message, hint=fault.hint)
    return kind(
        fault.message,
        code=fault.code,
        retry_after_seconds=fault.retry_after_seconds,
        hint=fault.hint,
    )


def unseen_recording(host: str, audio: str) -> ConfigurationError:
    """Say that a worker does not see a recording that its owner sees."""
    return ConfigurationError(
        f"the worker {host} does not see the recording {audio}",
        hint="it has to be under the same path on every machine: a shared folder",
    )


# -- what a host is given first --------------------------------------------------------------------


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """One provider as a host is to reach it.

    Attributes:
        name: What orders call it.
        provider: The provider.
        base_url: Where it is.
        key: Its key; None to take it from the environment there.
        encoding: How to write the chunks of recordings.
        compresses: Whether to offer permessage-deflate.
        library_hooks: Whether to put faster parts of ours into libraries.
    """

    name: str
    provider: Provider
    base_url: str
    key: str | None
    encoding: str
    compresses: bool
    library_hooks: bool


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What a host has to know.

    Attributes:
        token: Who gives it orders; begins the names of what it writes.
        folder: The run folder.
        note: A file in it that holds the token: who reads it there sees the same folder.
        sites: The providers.
        recording: One of those that are to be heard; empty if none is.
    """

    token: str
    folder: str
    note: str
    sites: tuple[Site, ...]
    recording: str = ""


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a host answers.

    Attributes:
        host: The machine and the process.
        python: The version of Python there.
        package: The version of this package there.
        code: A hash of its files.
        fault: Why no session can be had there.
    """

    host: str
    python: str
    package: str
    code: str
    fault: Fault | None = None


# -- orders ----------------------------------------------------------------------------------------


class Start(msgspec.Struct, frozen=True, kw_only=True, tag="start"):
    """Open a session.

    Attributes:
        number: The owner's, for this session alone.
        site: Whom it is with.
        segment: What it is asked to do.
        wait_seconds: The quiet time, or the settling time.
        ample_seconds: So much audio is about what the voice takes for the text.
        ending: Of the result's main file; empty to write nothing.
        wants_proof: Whether its owner is to hear at once that the service does useful work.
    """

    number: int
    site: str
    segment: Segment
    wait_seconds: float
    ample_seconds: float = float("inf")
    ending: str = ""
    wants_proof: bool = False


class Cut(msgspec.Struct, frozen=True, kw_only=True, tag="cut"):
    """Cut a session off, unless its outcome is decided."""

    number: int


Order: TypeAlias = Start | Cut


# -- reports ---------------------------------------------------------------------------------------


class Proven(msgspec.Struct, frozen=True, kw_only=True, tag="proven"):
    """A service has done useful work in a session."""

    number: int


class Warned(msgspec.Struct, frozen=True, kw_only=True, tag="warned"):
    """Something is true of all connections to a provider that is worth telling once."""

    site: str
    message: str


class Deciding(msgspec.Struct, frozen=True, kw_only=True, tag="deciding"):
    """A session that was to be cut off is decided, and its result is being written."""

    number: int


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag="failed"):
    """A session has no result.

    Attributes:
        number: Whose.
        fault: How it failed; None if it was cut off.
        was_connected: Whether the service took the connection.
        sent_characters: Characters sent.
        sent_audio_seconds: Seconds of audio sent.
        is_unseen: Whether its recording does not stand where it was said to be, as seen from there.
    """

    number: int
    fault: Fault | None
    was_connected: bool = False
    sent_characters: int = 0
    sent_audio_seconds: float = 0.0
    is_unseen: bool = False


class Spoke(msgspec.Struct, frozen=True, kw_only=True, tag="spoke"):
    """A session has brought speech, which is written and synced.

    Attributes:
        number: Whose.
        evidence: What was seen of it.
        sample_rate: In hertz.
        frames: How many samples there are.
        doubts: What speaks against it already.
        support: What speaks for it already.
        judged_as: The ending, as far as a judge may trust it.
        sound: What a judge has to know of it.
        parts: Where it is.
        fault: Why it is nowhere.
    """

    number: int
    evidence: Evidence
    sample_rate: int
    frames: int
    doubts: tuple[Doubt, ...]
    support: tuple[str, ...]
    judged_as: Ending
    sound: MeasuredSound
    parts: Parts
    fault: Fault | None = None


class Heard(msgspec.Struct, frozen=True, kw_only=True, tag="heard"):
    """A session has brought a transcript, which is written and synced, if it is of a whole job.

    Attributes:
        number: Whose.
        verbatim: As it came.
        evidence: What was seen of it.
        doubts: What speaks against it already.
        revision_seconds: As in `SttResult`.
        settled_seconds: Likewise.
        word_start_seconds: Likewise.
        word_end_seconds: Likewise.
        traits: Likewise.
        speech: What a judge has to know of the recording.
        parts: Where the files are.
        fault: Why they are nowhere.
    """

    number: int
    verbatim: str
    evidence: Evidence
    doubts: tuple[Doubt, ...]
    revision_seconds: float
    settled_seconds: float
    word_start_seconds: tuple[float, ...]
    word_end_seconds: tuple[float, ...]
    traits: tuple[SpeakerTrait, ...]
    speech: MeasuredSpeech
    parts: Parts
    fault: Fault | None = None


Report: TypeAlias = Proven | Warned | Deciding | Failed | Spoke | Heard


class Orders(msgspec.Struct, frozen=True, array_like=True):
    """A batch of orders: one that comes a second time has the same number, and is not carried out."""

    number: int
    orders: list[Order]


class Reports(msgspec.Struct, frozen=True, array_like=True):
    """A batch of reports, which is sent again until the next question says that it came."""

    number: int
    reports: list[Report]


encode: Final = msgspec.msgpack.Encoder().encode
decode_opening: Final = msgspec.msgpack.Decoder(Opening).decode
decode_welcome: Final = msgspec.msgpack.Decoder(Welcome).decode
decode_orders: Final = msgspec.msgpack.Decoder(Orders).decode
decode_reports: Final = msgspec.msgpack.Decoder(Reports).decode
