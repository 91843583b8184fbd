"""Reads what clients and servers say: liberal in what is accepted, for both protocols."""

from typing import Annotated, Final, TypeAlias

import msgspec

from batchjobs.protocol import codec, fields
from batchjobs.protocol.messages import (
    Audio,
    AudioChunk,
    Clear,
    CloseConnection,
    Failure,
    InitConnection,
    InvalidMessageError,
    Message,
    Ready,
    Text,
    Transcription,
    TranscriptionError,
    Unknown,
)

_HIGHEST_RATE: Final = 384_000
"""Hertz; beyond it a number is no sample rate, and at worst fits into no WAV header."""


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
        return _parse_odd_tts_reply(payload)
    # An error beside audio is an error: the audio cannot be all of it. It has more forms than this.
    if reply.type == "error" or reply.error_code or reply.error_message or reply.error:
        return _parse_odd_tts_reply(payload)
    if reply.audio:
        return _to_audio(reply.audio, reply.sample_rate or 0, is_final=bool(reply.is_final))
    if reply.type == "connectionInitialized":
        return Ready()
    return _parse_odd_tts_reply(payload)


def _parse_odd_tts_reply(payload: str | bytes) -> Message:
    """Read a reply whose fields are unusual."""
    reply = _decode(payload)
    if isinstance(reply, str):
        return Failure(code="", message=reply)
    if not isinstance(reply, dict):
        return Unknown(fields.excerpt(payload))
    if _has_error(reply):
        return _to_failure(reply)
    audio = reply.get("audio")
    is_final = reply.get("isFinal") in (True, "true")
    if isinstance(audio, str):
        return _to_audio(audio, fields.to_sample_rate(reply.get("sampleRate")), is_final=is_final)
    if is_final:
        return Audio(pcm=b"", sample_rate=0, is_final=True)
    return Unknown(fields.excerpt(payload))


def _to_audio(text: str, sample_rate: int, *, is_final: bool) -> Audio:
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
            shown = fields.excerpt(str(error))
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
            raise InvalidMessageError(
                f"not an audio chunk: {fields.excerpt(str(error))}"
            ) from error
    if chunk.event != "audio_chunk":
        return Unknown(fields.excerpt(chunk.event))
    return AudioChunk(bytes(chunk.data.audio_buffer))


def parse_stt_reply(payload: str | bytes) -> Message:
    """Read what an STT server sent.

    Raises:
        InvalidMessageError: Not JSON.
    """
    reply = _decode(payload)
    if isinstance(reply, str):
        return TranscriptionError(reply)
    if not isinstance(reply, dict):
        return Unknown(fields.excerpt(payload))
    event = reply.get("event") or reply.get("type")
    if event in ("transcription_error", "error") or _has_error(reply):
        failure = _to_failure(reply)
        return failure if failure.code else TranscriptionError(failure.message)
    text = fields.find_text(reply, "data", "text", "message") if event == "transcription" else None
    # One without any text is no transcription: as an empty one it would wipe out what was heard.
    return Unknown(fields.excerpt(payload)) if text is None else Transcription(text)


def _has_error(reply: dict[object, object]) -> bool:
    names = ("error", "errorCode", "errorMessage")
    return reply.get("type") == "error" or any(reply.get(name) for name in names)


def _to_failure(reply: dict[object, object]) -> Failure:
    error = reply.get("error")
    details = error if isinstance(error, dict) else reply
    code = fields.find_text(details, "errorCode", "error_code", "code")
    text = fields.find_text(
        details, "errorMessage", "error_message", "message", "data", "text", "error"
    )
    return Failure(code=code or fields.find_text(reply, "errorCode") or "", message=text or "")


def _decode(payload: str | bytes) -> object:
    try:
        decoded: object = msgspec.json.decode(payload)
    except _UNREADABLE as error:
        raise InvalidMessageError(f"not JSON: {fields.excerpt(payload)}") from error
    return decoded
