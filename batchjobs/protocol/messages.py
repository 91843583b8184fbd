"""Every message of the three services: exact in what is sent, liberal in what is accepted."""

import enum
from typing import Annotated, Final, TypeAlias

import msgspec

from batchjobs.errors import TransientError
from batchjobs.protocol import codec, fields
from batchjobs.protocol.codec import ChunkEncoding

__all__ = [
    "Audio",
    "AudioChunk",
    "Clear",
    "CloseConnection",
    "Failure",
    "InitConnection",
    "InvalidMessageError",
    "Message",
    "Ready",
    "Role",
    "Text",
    "Transcription",
    "TranscriptionError",
    "Unknown",
    "VoiceSettings",
    "encode",
    "parse_stt_reply",
    "parse_stt_request",
    "parse_tts_reply",
    "parse_tts_request",
]

_HIGHEST_RATE: Final = 384_000
"""Hertz; beyond it a number is no sample rate, and at worst fits into no WAV header."""


class Role(enum.StrEnum):
    """Which side of the connection speaks."""

    CLIENT = "client"
    SERVER = "server"

    @property
    def peer(self) -> "Role":
        """The other side."""
        return Role.SERVER if self is Role.CLIENT else Role.CLIENT


class InvalidMessageError(TransientError):
    """A message that is not JSON, or whose fields have no meaning."""

    label = "garbage"


# -- text to speech ----------------------------------------------------------------------------


class VoiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the voice is to sound."""

    stability: float = 0.5
    similarity_boost: float = 0.75
    speed: float = 1.0


class InitConnection(
    msgspec.Struct, tag="initConnection", tag_field="type", frozen=True, kw_only=True
):
    """The client's first TTS message."""

    model_id: str = "faseeh-mini-v1-preview"
    voice_id: str
    voice_settings: VoiceSettings = VoiceSettings()
    output_format: str = "pcm_24000"
    x_api_key: str | msgspec.UnsetType = msgspec.UNSET

    def __repr__(self) -> str:
        """Show all but the key."""
        return f"InitConnection(voice_id={self.voice_id!r}, output_format={self.output_format!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """Show the same to rich, whose tracebacks would ask msgspec for every field."""
        return [("voice_id", self.voice_id), ("output_format", self.output_format)]


class Text(msgspec.Struct, tag="text", tag_field="type", frozen=True, kw_only=True):
    """A piece of text to speak."""

    text: str
    flush: bool = False
    try_trigger_generation: bool = False


class Clear(msgspec.Struct, tag="clear", tag_field="type", frozen=True):
    """Empty the server's text buffer; has no reply."""


class CloseConnection(msgspec.Struct, tag="closeConnection", tag_field="type", frozen=True):
    """Ask the server to close."""


class Ready(msgspec.Struct, tag="connectionInitialized", tag_field="type", frozen=True):
    """The server's answer to `InitConnection`."""


class Audio(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of audio.

    Attributes:
        pcm: 16-bit little-endian mono samples; may be empty, may end in half a sample.
        sample_rate: In hertz; 0 if the message did not say.
        is_final: Whether the server marked it ``isFinal``, which alone means nothing.
    """

    pcm: bytes
    sample_rate: int
    is_final: bool = False


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The server's error message; `code` is as text, empty if there is none."""

    code: str
    message: str


# -- speech to text ----------------------------------------------------------------------------


class AudioChunk(msgspec.Struct, frozen=True):
    """A chunk of the recording: a WAV file's bytes, or raw samples after the first."""

    data: bytes


class Transcription(msgspec.Struct, frozen=True):
    """The whole transcript so far; replaces the one before."""

    text: str


class TranscriptionError(msgspec.Struct, frozen=True):
    """The recogniser's failure, in free text without a code."""

    message: str


class Unknown(msgspec.Struct, frozen=True):
    """A well-formed message of no known type: logged once and ignored."""

    shown: str


Message: TypeAlias = (
    InitConnection
    | Text
    | Clear
    | CloseConnection
    | Ready
    | Audio
    | Failure
    | AudioChunk
    | Transcription
    | TranscriptionError
    | Unknown
)

# -- sending: exactly the documents' forms -----------------------------------------------------

_encoder = msgspec.json.Encoder()


class _AudioForm(msgspec.Struct, frozen=True, omit_defaults=True):
    audio: str
    sample_rate: int = msgspec.field(name="sampleRate")
    is_final: bool = msgspec.field(name="isFinal", default=False)


class _FailureForm(msgspec.Struct, tag="error", tag_field="type", frozen=True):
    error_code: int | str = msgspec.field(name="errorCode")
    error_message: str = msgspec.field(name="errorMessage")


class _EventForm(msgspec.Struct, frozen=True):
    event: str
    data: str


def encode(message: Message, encoding: ChunkEncoding = ChunkEncoding.COMPACT) -> str:
    """Write a message as the JSON text that goes over the wire.

    Args:
        message: What to write.
        encoding: How to write a chunk of audio.

    Raises:
        TypeError: An `Unknown` message, which nobody sends.
    """
    match message:
        case AudioChunk(data=data):
            return codec.encode_audio_chunk(data, encoding)
        case Audio(pcm=pcm, sample_rate=sample_rate, is_final=is_final):
            form = _AudioForm(codec.encode_base64(pcm), sample_rate, is_final)
            return _encoder.encode(form).decode()
        case Failure(code=code, message=text):
            number = int(code) if fields.is_plain_number(code) else code
            return _encoder.encode(_FailureForm(number, text)).decode()
        case Transcription(text=text):
            return _encoder.encode(_EventForm("transcription", text)).decode()
        case TranscriptionError(message=text):
            return _encoder.encode(_EventForm("transcription_error", text)).decode()
        case Unknown():
            raise TypeError("an unknown message cannot be sent")
        case _:
            return _encoder.encode(message).decode()


# -- receiving ---------------------------------------------------------------------------------


class _TtsReply(msgspec.Struct):
    """The usual shapes of a TTS reply, for the fast path."""

    type: str | None = None
    audio: str | None = None
    sample_rate: int | None = msgspec.field(name="sampleRate", default=None)
    is_final: bool | None = msgspec.field(name="isFinal", default=None)
    error_code: int | str | None = msgspec.field(name="errorCode", default=None)
    error_message: str | None = msgspec.field(name="errorMessage", default=None)
    error: object = None


_Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]


class _ChunkData(msgspec.Struct):
    audio_buffer: list[_Byte] = msgspec.field(name="audioBuffer")


class _ChunkEvent(msgspec.Struct):
    data: _ChunkData
    event: str = "audio_chunk"


# All that msgspec raises, whatever comes: UnicodeError also for text that cannot be UTF-8 (a lone
# surrogate), RecursionError for deep nesting.
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeError, RecursionError)

_TtsRequest: TypeAlias = InitConnection | Text | Clear | CloseConnection
_tts_reply_decoder = msgspec.json.Decoder(_TtsReply)
_tts_request_decoder = msgspec.json.Decoder(_TtsRequest)
_chunk_event_decoder = msgspec.json.Decoder(_ChunkEvent)
_chunk_decoder = msgspec.json.Decoder(_ChunkData)


def parse_tts_reply(payload: str | bytes) -> Message:
    """Read what a TTS server sent.

    Raises:
        InvalidMessageError: Not JSON, or audio that is not base64 or has no possible rate.
    """
    try:
        reply = _tts_reply_decoder.decode(payload)
    except _UNREADABLE:
        return _liberal_tts_reply(payload)
    # An error beside audio is an error: the audio cannot be all of it. It has more forms than this.
    if reply.type == "error" or reply.error_code or reply.error_message or reply.error:
        return _liberal_tts_reply(payload)
    if reply.audio:
        return _audio(reply.audio, reply.sample_rate or 0, is_final=bool(reply.is_final))
    if reply.type == "connectionInitialized":
        return Ready()
    return _liberal_tts_reply(payload)


def _liberal_tts_reply(payload: str | bytes) -> Message:
    """Read a reply whose fields are unusual."""
    reply = _any_object(payload)
    if isinstance(reply, str):
        return Failure(code="", message=reply)
    if not isinstance(reply, dict):
        return Unknown(fields.shown(payload))
    if _tells_error(reply):
        return _failure(reply)
    audio = reply.get("audio")
    is_final = reply.get("isFinal") in (True, "true")
    if isinstance(audio, str):
        return _audio(audio, fields.sample_rate(reply.get("sampleRate")), is_final=is_final)
    if is_final:
        return Audio(pcm=b"", sample_rate=0, is_final=True)
    return Unknown(fields.shown(payload))


def _audio(text: str, sample_rate: int, *, is_final: bool) -> Audio:
    if sample_rate > _HIGHEST_RATE:
        raise InvalidMessageError("the server sent audio at an impossible sample rate")
    try:
        pcm = codec.decode_base64(text)
    except ValueError as error:
        raise InvalidMessageError("the server sent audio that is not base64") from error
    return Audio(pcm=pcm, sample_rate=max(0, sample_rate), is_final=is_final)


def parse_tts_request(payload: str | bytes) -> Message:
    """Read what a TTS client sent; a field that is null counts as left out.

    Raises:
        InvalidMessageError: Not JSON, or not one of the messages with fields of their types.
    """
    message: _TtsRequest
    try:
        message = _tts_request_decoder.decode(payload)
    except _UNREADABLE:
        try:
            given = fields.without_nulls(msgspec.json.decode(payload))
            message = msgspec.convert(given, _TtsRequest)
        except _UNREADABLE as error:
            # Without the payload itself: it may hold the key.
            shown = fields.shown(str(error))
            raise InvalidMessageError(f"not a text-to-speech message: {shown}") from error
    return message


def parse_stt_request(payload: str | bytes) -> Message:
    """Read what an STT client sent, in the documented or the compatibility form.

    Raises:
        InvalidMessageError: Not JSON, or without an array of byte values.
    """
    try:
        chunk = _chunk_event_decoder.decode(payload)
    except _UNREADABLE:
        try:
            return AudioChunk(bytes(_chunk_decoder.decode(payload).audio_buffer))
        except _UNREADABLE as error:
            raise InvalidMessageError(f"not an audio chunk: {fields.shown(str(error))}") from error
    if chunk.event != "audio_chunk":
        return Unknown(fields.shown(chunk.event))
    return AudioChunk(bytes(chunk.data.audio_buffer))


def parse_stt_reply(payload: str | bytes) -> Message:
    """Read what an STT server sent.

    Raises:
        InvalidMessageError: Not JSON.
    """
    reply = _any_object(payload)
    if isinstance(reply, str):
        return TranscriptionError(reply)
    if not isinstance(reply, dict):
        return Unknown(fields.shown(payload))
    event = reply.get("event") or reply.get("type")
    if event in ("transcription_error", "error") or _tells_error(reply):
        failure = _failure(reply)
        return failure if failure.code else TranscriptionError(failure.message)
    text = fields.first(reply, "data", "text", "message") if event == "transcription" else None
    # One without any text is no transcription: as an empty one it would wipe out what was heard.
    return Unknown(fields.shown(payload)) if text is None else Transcription(text)


def _tells_error(reply: dict[object, object]) -> bool:
    names = ("error", "errorCode", "errorMessage")
    return reply.get("type") == "error" or any(reply.get(name) for name in names)


def _failure(reply: dict[object, object]) -> Failure:
    error = reply.get("error")
    told = error if isinstance(error, dict) else reply
    code = fields.first(told, "errorCode", "error_code", "code")
    text = fields.first(told, "errorMessage", "error_message", "message", "data", "text", "error")
    return Failure(code=code or fields.first(reply, "errorCode") or "", message=text or "")


def _any_object(payload: str | bytes) -> object:
    try:
        decoded: object = msgspec.json.decode(payload)
    except _UNREADABLE as error:
        raise InvalidMessageError(f"not JSON: {fields.shown(payload)}") from error
    return decoded
