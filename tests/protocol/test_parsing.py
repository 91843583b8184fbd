"""Messages of every shape are read as far as they make sense."""

import json

import pytest

from batchjobs.protocol import parsing
from batchjobs.protocol.messages import (
    Audio,
    AudioChunk,
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
from tests.protocol.samples import ARABIC, BASE64, PCM


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"type": "connectionInitialized"}, Ready()),
        ({"type": "connectionInitialized", "sessionId": "x", "code": 200}, Ready()),
        ({"audio": BASE64, "sampleRate": 24000}, Audio(pcm=PCM, sample_rate=24000)),
        ({"audio": BASE64}, Audio(pcm=PCM, sample_rate=0)),
        ({"audio": BASE64, "sampleRate": None, "isFinal": None}, Audio(pcm=PCM, sample_rate=0)),
        ({"audio": BASE64, "sampleRate": "16000"}, Audio(pcm=PCM, sample_rate=16000)),
        ({"audio": BASE64, "sampleRate": 16000.0}, Audio(pcm=PCM, sample_rate=16000)),
        ({"audio": BASE64, "sampleRate": -5}, Audio(pcm=PCM, sample_rate=0)),
        ({"audio": BASE64, "sampleRate": []}, Audio(pcm=PCM, sample_rate=0)),
        ({"type": "audio", "audio": BASE64}, Audio(pcm=PCM, sample_rate=0)),
        ({"type": 5, "audio": BASE64}, Audio(pcm=PCM, sample_rate=0)),
        ({"audio": BASE64, "isFinal": True}, Audio(pcm=PCM, sample_rate=0, is_final=True)),
        ({"audio": BASE64, "isFinal": "true"}, Audio(pcm=PCM, sample_rate=0, is_final=True)),
        ({"audio": BASE64, "isFinal": "no"}, Audio(pcm=PCM, sample_rate=0)),
        ({"audio": "", "isFinal": []}, Audio(pcm=b"", sample_rate=0)),
        ({"audio": "", "isFinal": True}, Audio(pcm=b"", sample_rate=0, is_final=True)),
        ({"audio": None, "isFinal": True}, Audio(pcm=b"", sample_rate=0, is_final=True)),
        ({"isFinal": True}, Audio(pcm=b"", sample_rate=0, is_final=True)),
        ({"audio": BASE64, "errorCode": 0, "error": None}, Audio(pcm=PCM, sample_rate=0)),
        ({"audio": BASE64, "errorCode": None, "message": "x"}, Audio(pcm=PCM, sample_rate=0)),
        ({"type": "error", "errorCode": 40101, "errorMessage": "m"}, ("40101", "m")),
        ({"type": "error", "errorCode": "40101", "errorMessage": "m"}, ("40101", "m")),
        ({"type": "error", "errorCode": 40101.0, "errorMessage": "m"}, ("40101", "m")),
        ({"type": "error", "errorCode": 42901, "message": "m"}, ("42901", "m")),
        ({"type": "error"}, ("", "")),
        ({"type": "error", "errorCode": None, "message": None}, ("", "")),
        ({"type": "error", "audio": BASE64}, ("", "")),
        ({"type": "error", "code": 50001, "message": ["x"]}, ("50001", "")),
        ({"type": "error", "errorCode": [], "code": 50001, "message": "m"}, ("50001", "m")),
        ({"errorCode": 40201, "errorMessage": "m"}, ("40201", "m")),
        ({"errorCode": "40201"}, ("40201", "")),
        ({"errorMessage": "m"}, ("", "m")),
        ({"error": "m"}, ("", "m")),
        ({"error": {"code": 50001, "message": "m"}}, ("50001", "m")),
        ({"error": {"message": "m"}, "errorCode": 40101}, ("40101", "m")),
        ({"audio": BASE64, "errorCode": 50001, "errorMessage": "m"}, ("50001", "m")),
        ({"audio": "", "error": "m"}, ("", "m")),
        ({"audio": 5, "errorCode": 50001}, ("50001", "")),
        ("Unauthorized", ("", "Unauthorized")),
        ({}, None),
        ({"type": "ping"}, None),
        ({"type": "status", "code": 200, "message": "ok"}, None),
        ({"audio": 5}, None),
        ([], None),
        (5, None),
        (None, None),
    ],
)
def test_tts_replies_of_every_shape(payload: object, expected: object) -> None:
    """Audio, readiness and errors are known in all the forms seen; the rest is unknown."""
    got = parsing.parse_tts_reply(json.dumps(payload))
    match expected:
        case None:
            assert isinstance(got, Unknown)
        case (str() as code, str() as message):
            assert got == Failure(code=code, message=message)
        case _:
            assert got == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"event": "transcription", "data": ARABIC}, Transcription(ARABIC)),
        ({"type": "transcription", "data": "x"}, Transcription("x")),
        ({"event": None, "type": "transcription", "text": "x"}, Transcription("x")),
        ({"event": "transcription", "text": "x"}, Transcription("x")),
        ({"event": "transcription", "message": "x"}, Transcription("x")),
        ({"event": "transcription", "data": {"text": "x"}}, Transcription("x")),
        ({"event": "transcription", "data": {"text": ""}}, Transcription("")),
        ({"event": "transcription", "data": ""}, Transcription("")),
        ({"event": "transcription", "data": 5}, Transcription("5")),
        ({"event": "transcription"}, None),
        ({"event": "transcription", "data": None}, None),
        ({"event": "transcription", "data": []}, None),
        ({"event": "transcription_error", "data": "x"}, TranscriptionError("x")),
        ({"event": "transcription_error", "data": {"message": "x"}}, TranscriptionError("x")),
        ({"event": "transcription_error"}, TranscriptionError("")),
        ({"type": "error", "message": "x"}, TranscriptionError("x")),
        ({"type": "error", "errorCode": 42901, "errorMessage": "x"}, ("42901", "x")),
        ({"event": "error", "errorCode": "40101"}, ("40101", "")),
        ({"errorCode": 40101, "message": "x"}, ("40101", "x")),
        ({"error": "x"}, TranscriptionError("x")),
        ({"event": "transcription", "data": "x", "error": None}, Transcription("x")),
        ({"event": "transcription", "data": "x", "errorCode": 50001}, ("50001", "x")),
        ("Not a valid WAV file", TranscriptionError("Not a valid WAV file")),
        ({"event": {}}, None),
        ({"event": []}, None),
        ({"event": "connected"}, None),
        ({}, None),
        ([1], None),
    ],
)
def test_stt_replies_of_every_shape(payload: object, expected: object) -> None:
    """Transcripts and errors are known in all accepted forms; a transcript without text is none."""
    got = parsing.parse_stt_reply(json.dumps(payload))
    match expected:
        case None:
            assert isinstance(got, Unknown)
        case (str() as code, str() as message):
            assert got == Failure(code=code, message=message)
        case _:
            assert got == expected


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"type": "text", "text": ARABIC}, Text(text=ARABIC)),
        ({"text": "x", "flush": True, "type": "text"}, Text(text="x", flush=True)),
        ({"type": "text", "text": "x", "flush": None}, Text(text="x")),
        ({"type": "text", "text": "x", "more": [1]}, Text(text="x")),
        ({"type": "initConnection", "voice_id": "v"}, InitConnection(voice_id="v")),
        (
            {"type": "initConnection", "voice_id": "v", "model_id": None, "voice_settings": None},
            InitConnection(voice_id="v"),
        ),
        (
            {"type": "initConnection", "voice_id": "v", "voice_settings": {"speed": 1}},
            InitConnection(voice_id="v"),
        ),
        (
            {"type": "initConnection", "voice_id": "v", "voice_settings": {"speed": None}},
            InitConnection(voice_id="v"),
        ),
    ],
)
def test_tts_requests_with_fields_left_out(payload: object, expected: Message) -> None:
    """Optional fields have the documents' defaults, also when they are null."""
    assert parsing.parse_tts_request(json.dumps(payload)) == expected


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "{",
        "null",
        "[]",
        '"text"',
        "{}",
        '{"type":"text"}',
        '{"type":"text","text":null}',
        '{"type":"text","text":5}',
        '{"type":"text","text":"x","flush":"yes"}',
        '{"type":"initConnection"}',
        '{"type":"initConnection","voice_id":null}',
        '{"type":"initConnection","voice_id":"v","voice_settings":{"speed":"fast"}}',
        '{"type":"initConnection","voice_id":"v","voice_settings":[]}',
        '{"type":"speak"}',
        '{"type":[]}',
        '{"type":"text","text":"\\ud800"}',
        "\ud800",
        '{"x":' * 50_000,
    ],
)
def test_tts_requests_without_meaning(payload: str) -> None:
    """What is no request is told as such."""
    with pytest.raises(InvalidMessageError, match="text-to-speech"):
        parsing.parse_tts_request(payload)


@pytest.mark.parametrize(
    "payload",
    [
        {"event": "audio_chunk", "data": {"audioBuffer": [1, 2, 255]}},
        {"data": {"audioBuffer": [1, 2, 255]}},
        {"audioBuffer": [1, 2, 255]},
        {"event": "audio_chunk", "audioBuffer": [1, 2, 255]},
    ],
)
def test_audio_chunks_in_both_forms(payload: object) -> None:
    """The documented form and the compatibility form are the same chunk."""
    assert parsing.parse_stt_request(json.dumps(payload)) == AudioChunk(b"\x01\x02\xff")


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "[1]",
        "{}",
        '{"event":"audio_chunk"}',
        '{"event":"audio_chunk","data":null}',
        '{"audioBuffer":[256]}',
        '{"audioBuffer":[-1]}',
        '{"audioBuffer":[1.5]}',
        '{"audioBuffer":"AAAA"}',
        "\ud800",
        '{"x":' * 50_000,
    ],
)
def test_chunks_that_are_no_bytes(payload: str) -> None:
    """A chunk without an array of byte values is told."""
    with pytest.raises(InvalidMessageError, match="audio chunk"):
        parsing.parse_stt_request(payload)


def test_another_event_is_unknown_to_the_recogniser() -> None:
    """A well-formed event that is no chunk is not taken for one."""
    payload = {"event": "reset", "data": {"audioBuffer": [1]}}
    assert parsing.parse_stt_request(json.dumps(payload)) == Unknown("reset")


@pytest.mark.parametrize("audio", ["A", "AAAA ", "نعم", "AA-_", "====", "A" * 5])
def test_damaged_audio_is_garbage(audio: str) -> None:
    """Audio that is not base64 fails the attempt, not the sound."""
    with pytest.raises(InvalidMessageError, match="base64"):
        parsing.parse_tts_reply(json.dumps({"audio": audio, "sampleRate": 24000}))


@pytest.mark.parametrize("rate", [400_000, 1e300, 10**18])
def test_an_impossible_rate_is_garbage(rate: float) -> None:
    """A rate that no file can hold ends the attempt, not the run."""
    with pytest.raises(InvalidMessageError, match="sample rate"):
        parsing.parse_tts_reply(json.dumps({"audio": BASE64, "sampleRate": rate}))
