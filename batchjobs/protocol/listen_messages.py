"""The messages of the newer transcription socket, ``/listen``, and how each is written and read.

Source: the vendor's own clients (`livekit-plugins-munsit` 0.4.0, `pipecat-plugins-munsit` 0.2.0) and
third parties' notes of live use, 2026-10. Times are in seconds of audio, from the session's start.
"""

import contextlib
from typing import Annotated, Final, TypeAlias, cast

import msgspec

from batchjobs.protocol import fields
from batchjobs.protocol.messages import InvalidMessageError, Unknown

_MOST_BILLED_SECONDS: Final = 1e9
"""What is no number, or none of a recording's length, is no receipt."""

# -- what a client says --------------------------------------------------------------------------


class AudioFrame(msgspec.Struct, frozen=True):
    """Samples of the recording: 16-bit little-endian mono PCM, as a binary frame."""

    pcm: bytes


class KeepAlive(msgspec.Struct, tag="KeepAlive", tag_field="type", frozen=True):
    """Keeps a session open that has no audio to send just now; it is not billed."""


class Configure(msgspec.Struct, tag="Configure", tag_field="type", frozen=True):
    """Changes how many milliseconds of silence end a turn."""

    endpointing: int


class CloseStream(msgspec.Struct, tag="CloseStream", tag_field="type", frozen=True):
    """Says that all audio was sent: the server finalises, sends its receipt and closes."""


# -- what a server says --------------------------------------------------------------------------


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Whatever a server says.

    Attributes:
        correlation_id: What the request asked to have said with everything; may be empty.
    """

    correlation_id: str = ""


class Opened(Event, frozen=True, kw_only=True):
    """The server's first message.

    Attributes:
        session_id: The service's name of the session.
        model: What hears.
        dropped_hotwords: Those of the hot words that it does not take.
    """

    session_id: str = ""
    model: str = ""
    dropped_hotwords: tuple[str, ...] = ()


class SpeechStarted(Event, frozen=True, kw_only=True):
    """Somebody began to speak."""


class HeardWord(msgspec.Struct, frozen=True):
    """A word, and when it was said, in seconds from the session's start."""

    word: str
    start: float
    end: float


class Results(Event, frozen=True, kw_only=True):
    """What was heard of a turn.

    Attributes:
        transcript: One that is final stands, and is appended to those before; any other is replaced by
            the next.
        is_final: Which of the two it is.
        speech_final: Whether the turn ended there; False of a final splits unbroken speech.
        words: With their times; may be empty.
        confidence: From 0 to 1.
        language: As the service names it.
    """

    transcript: str = ""
    is_final: bool = False
    speech_final: bool = False
    words: tuple[HeardWord, ...] = ()
    confidence: float = 0.0
    language: str = ""


class UtteranceEnd(Event, frozen=True, kw_only=True):
    """A turn is over."""


class Trait(Event, frozen=True, kw_only=True):
    """What was noticed of the speaker in a turn.

    Attributes:
        kind: ``gender`` or ``sentiment``.
        label: What it is.
        score: How sure that is, from 0 to 1.
    """

    kind: str
    label: str
    score: float = 0.0


class ListenError(Event, frozen=True, kw_only=True):
    """The server's error; one that is recoverable ends nothing.

    Attributes:
        code: As text; on the wire it may be a number.
        message: What the service says.
        recoverable: Whether the session goes on.
    """

    code: str = ""
    message: str = ""
    recoverable: bool = False


class Receipt(Event, frozen=True, kw_only=True):
    """The server's last message: all was heard, so much of it was billed."""

    audio_seconds_billed: Annotated[float, msgspec.Meta(ge=0, le=_MOST_BILLED_SECONDS)]
    turn_count: int = 0
    session_id: str = ""


ClientMessage: TypeAlias = AudioFrame | KeepAlive | Configure | CloseStream
ServerMessage: TypeAlias = (
    Opened | SpeechStarted | Results | UtteranceEnd | Trait | ListenError | Receipt
)
ListenMessage: TypeAlias = ClientMessage | ServerMessage | Unknown

_TYPES: Final[dict[type, str]] = {
    Opened: "Metadata",
    Receipt: "Metadata",
    SpeechStarted: "SpeechStarted",
    Results: "Results",
    UtteranceEnd: "UtteranceEnd",
    ListenError: "Error",
}
_READABLE: Final[dict[str, type[msgspec.Struct]]] = {
    "SpeechStarted": SpeechStarted,
    "Results": Results,
    "UtteranceEnd": UtteranceEnd,
    "Error": ListenError,
}
_TRAITS: Final = ("Gender", "Sentiment")
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)
_request_decoder = msgspec.json.Decoder(KeepAlive | Configure | CloseStream)


def encode(message: ListenMessage) -> str | bytes:
    """Write a message: audio as a binary frame, all else as JSON text.

    Raises:
        TypeError: An `Unknown` message: it can only be received.
    """
    if isinstance(message, AudioFrame):
        return message.pcm
    if isinstance(message, Unknown):
        raise TypeError("an unknown message cannot be sent")
    if isinstance(message, KeepAlive | Configure | CloseStream):
        return msgspec.json.encode(message).decode()
    form = {"type": "", **msgspec.to_builtins(message)}
    form["type"] = (
        form.pop("kind").capitalize() if isinstance(message, Trait) else _TYPES[type(message)]
    )
    if not message.correlation_id:
        del form["correlation_id"]
    if isinstance(message, ListenError) and message.code.isdecimal():
        form["code"] = int(message.code)  # the vendor's own client takes numbers only
    return msgspec.json.encode(form).decode()


def parse_request(payload: str | bytes) -> ListenMessage:
    """Read what a client sent.

    Raises:
        InvalidMessageError: A text frame that is not JSON, or half a sample.
    """
    if isinstance(payload, bytes):
        if len(payload) % 2:
            raise InvalidMessageError("a frame of audio ends in half a sample")
        return AudioFrame(payload)
    message: KeepAlive | Configure | CloseStream
    try:
        message = _request_decoder.decode(payload)
    except msgspec.ValidationError:
        return Unknown(fields.excerpt(payload))
    except _UNREADABLE as error:
        raise InvalidMessageError(f"not JSON: {fields.excerpt(payload)}") from error
    return message


def parse_reply(payload: str | bytes) -> ListenMessage:
    """Read what a server sent; fields that are missing, null or of another type are let pass.

    Raises:
        InvalidMessageError: Not JSON.
    """
    try:
        reply: object = msgspec.json.decode(payload)
    except _UNREADABLE as error:
        raise InvalidMessageError(f"not JSON: {fields.excerpt(payload)}") from error
    if not isinstance(reply, dict):
        return Unknown(fields.excerpt(payload))
    name = str(reply.get("type"))
    given = {key: value for key, value in reply.items() if value is not None and key != "type"}
    if name == "Metadata":
        kind: type[msgspec.Struct] = Receipt if "audio_seconds_billed" in given else Opened
    elif name in _TRAITS:
        kind, given = Trait, given | {"kind": name.lower()}
    elif name in _READABLE:
        kind = _READABLE[name]
    else:
        return Unknown(fields.excerpt(payload))
    return _convert(given, kind, payload)


def _convert(
    given: dict[str, object], kind: type[msgspec.Struct], payload: str | bytes
) -> ListenMessage:
    """Make a message of its fields, without those that make no sense; what needs one is unknown."""
    try:
        return cast("ListenMessage", msgspec.convert(given, kind))
    except _UNREADABLE:
        pass  # one of them is of another type
    found: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        value = given.get(field.name)
        if field.type is str and isinstance(
            value, int
        ):  # a service's codes and names may be numbers
            value = str(value)
        if value is not None:
            with contextlib.suppress(*_UNREADABLE):
                found[field.name] = msgspec.convert(value, field.type, strict=False)
    try:
        return cast("ListenMessage", kind(**found))
    except TypeError:
        return Unknown(fields.excerpt(payload))
