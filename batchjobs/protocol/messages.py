"""Every message of the three services, and how each is written: exactly as documented."""

import enum
from typing import TypeAlias

import msgspec

from batchjobs.errors import TransientError
from batchjobs.protocol import codec, fields
from batchjobs.protocol.codec import ChunkEncoding
from batchjobs.speech import (
    DEFAULT_OUTPUT_FORMAT,
    DEFAULT_SIMILARITY_BOOST,
    DEFAULT_SPEED,
    DEFAULT_STABILITY,
)


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

    stability: float = DEFAULT_STABILITY
    similarity_boost: float = DEFAULT_SIMILARITY_BOOST
    speed: float = DEFAULT_SPEED


class InitConnection(
    msgspec.Struct, tag="initConnection", tag_field="type", frozen=True, kw_only=True
):
    """The client's first TTS message."""

    model_id: str = "faseeh-mini-v1-preview"
    voice_id: str
    voice_settings: VoiceSettings = VoiceSettings()
    output_format: str = DEFAULT_OUTPUT_FORMAT
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
        TypeError: An `Unknown` message: it can only be received.
    """
    match message:
        case AudioChunk(data=data):
            return codec.encode_audio_chunk(data, encoding).decode("ascii")
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
