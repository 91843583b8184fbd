"""Every message of the documents: exact in what is sent, read by the other side."""

import json

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batchjobs.protocol import parsing
from batchjobs.protocol.codec import ChunkEncoding
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
    Role,
    Text,
    Transcription,
    TranscriptionError,
    Unknown,
    VoiceSettings,
    encode,
)
from tests.canary import KEY
from tests.protocol.samples import ARABIC, BASE64, PCM

_PARSERS = (
    parsing.parse_tts_request,
    parsing.parse_tts_reply,
    parsing.parse_stt_request,
    parsing.parse_stt_reply,
)

_NAMES = sorted(
    {"type", "event", "data", "text", "message", "audio", "sampleRate", "isFinal", "error", "code"}
    | {"errorCode", "errorMessage", "audioBuffer", "voice_id", "voice_settings", "speed", "flush"}
)

_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(_NAMES),
            st.one_of(
                inner,
                st.sampled_from(
                    ["text", "clear", "initConnection", "closeConnection", "connectionInitialized"]
                ),
                st.sampled_from(["error", "transcription", "transcription_error", "audio_chunk"]),
                st.just([0, 255]),
                st.just(BASE64),
            ),
            max_size=5,
        ),
    ),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            InitConnection(
                model_id="faseeh-v1-preview", voice_id="ar-najdi-male-2", x_api_key="YOUR_API_KEY"
            ),
            (
                '{"type":"initConnection","model_id":"faseeh-v1-preview",'
                '"voice_id":"ar-najdi-male-2",'
                '"voice_settings":{"stability":0.5,"similarity_boost":0.75,"speed":1.0},'
                '"output_format":"pcm_24000","x_api_key":"YOUR_API_KEY"}'
            ),
        ),
        (
            InitConnection(voice_id="v", voice_settings=VoiceSettings(stability=0.0, speed=0.7)),
            (
                '{"type":"initConnection","model_id":"faseeh-mini-v1-preview","voice_id":"v",'
                '"voice_settings":{"stability":0.0,"similarity_boost":0.75,"speed":0.7},'
                '"output_format":"pcm_24000"}'
            ),
        ),
        (
            Text(text="مرحبا بك في فصيح "),
            (
                '{"type":"text","text":"مرحبا بك في فصيح ",'
                '"flush":false,"try_trigger_generation":false}'
            ),
        ),
        (
            Text(text="", flush=True, try_trigger_generation=True),
            '{"type":"text","text":"","flush":true,"try_trigger_generation":true}',
        ),
        (Clear(), '{"type":"clear"}'),
        (CloseConnection(), '{"type":"closeConnection"}'),
        (Ready(), '{"type":"connectionInitialized"}'),
        (Audio(pcm=PCM, sample_rate=24_000), '{"audio":"AAH/fw==","sampleRate":24000}'),
        (
            Audio(pcm=b"", sample_rate=16_000, is_final=True),
            '{"audio":"","sampleRate":16000,"isFinal":true}',
        ),
        (
            Failure(code="40101", message="Invalid API key"),
            '{"type":"error","errorCode":40101,"errorMessage":"Invalid API key"}',
        ),
        (Failure(code="E1", message=""), '{"type":"error","errorCode":"E1","errorMessage":""}'),
        (AudioChunk(b"\x01\x02\x03"), '{"event":"audio_chunk","data":{"audioBuffer":[1,2,3]}}'),
        (Transcription("نعم"), '{"event":"transcription","data":"نعم"}'),
        (TranscriptionError("لا"), '{"event":"transcription_error","data":"لا"}'),
    ],
)
def test_what_is_sent_is_the_documents_json(message: Message, expected: str) -> None:
    """Each message has the documents' fields, names, types and order, and nothing else."""
    assert encode(message) == expected


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000])
def test_all_four_formats_are_asked_for(rate: int) -> None:
    """The output format goes out as it was given."""
    sent = json.loads(encode(InitConnection(voice_id="v", output_format=f"pcm_{rate}")))
    assert sent["output_format"] == f"pcm_{rate}"


@pytest.mark.parametrize("code", ["9" * 5000, "040", "٤٠١٠١", "", "-1"])
def test_odd_error_codes_stay_text(code: str) -> None:
    """A code that is no plain number is sent as the text it is."""
    assert json.loads(encode(Failure(code=code, message="")))["errorCode"] == code


def test_an_unknown_message_is_never_sent() -> None:
    """What nobody understands is not repeated."""
    with pytest.raises(TypeError, match="unknown"):
        encode(Unknown("{}"))


def test_the_roles_are_each_others_peers() -> None:
    """A client speaks with a server and a server with a client."""
    assert (Role.CLIENT.peer, Role.SERVER.peer) == (Role.SERVER, Role.CLIENT)


_TEXTS = st.one_of(st.text(max_size=60), st.just(ARABIC))


@given(
    st.one_of(
        st.builds(Text, text=_TEXTS, flush=st.booleans(), try_trigger_generation=st.booleans()),
        st.builds(
            InitConnection,
            voice_id=_TEXTS,
            model_id=_TEXTS,
            x_api_key=_TEXTS,
            voice_settings=st.builds(
                VoiceSettings, stability=st.floats(0, 1), speed=st.floats(0.7, 1.2)
            ),
        ),
        st.sampled_from([Clear(), CloseConnection()]),
    )
)
@settings(max_examples=100, deadline=None)
def test_a_server_reads_what_a_client_sent(message: Message) -> None:
    """TTS requests come through unchanged, text to the last byte."""
    assert parsing.parse_tts_request(encode(message)) == message
    assert parsing.parse_tts_request(encode(message).encode()) == message


@given(
    st.one_of(
        st.builds(
            Audio,
            pcm=st.binary(max_size=50),
            sample_rate=st.integers(1, 192_000),
            is_final=st.booleans(),
        ),
        st.builds(Failure, code=st.integers(10_000, 59_999).map(str), message=_TEXTS),
        st.builds(Failure, code=st.sampled_from(["E1", "0401"]), message=_TEXTS),
        st.just(Ready()),
    )
)
@settings(max_examples=100, deadline=None)
def test_a_client_reads_what_a_server_sent(message: Message) -> None:
    """TTS replies come through unchanged, samples to the last byte."""
    assert parsing.parse_tts_reply(encode(message)) == message
    assert parsing.parse_tts_reply(encode(message).encode()) == message


@given(st.binary(max_size=200), _TEXTS)
@settings(max_examples=100, deadline=None)
def test_transcription_goes_both_ways(data: bytes, text: str) -> None:
    """STT messages come through unchanged."""
    for encoding in ChunkEncoding:
        written = encode(AudioChunk(data), encoding)
        assert parsing.parse_stt_request(written) == AudioChunk(data)
    assert parsing.parse_stt_reply(encode(Transcription(text))) == Transcription(text)
    assert parsing.parse_stt_reply(encode(TranscriptionError(text))) == TranscriptionError(text)


def _read_by_everyone(payload: str | bytes) -> None:
    for parse in _PARSERS:
        try:
            outcome: object = parse(payload)
        except InvalidMessageError as error:
            outcome = error
            str(error).encode()
        assert isinstance(outcome, msgspec.Struct) or len(str(outcome)) < 400


@given(_JSON)
@example({"audio": "", "isFinal": []})
@example({"event": {}})
@example({"audio": "", "sampleRate": "9" * 5000})
@example({"errorCode": float("nan")})
@settings(max_examples=100, deadline=None)
def test_any_json_is_a_message_or_garbage(value: object) -> None:
    """No JSON value makes a parser raise anything but `InvalidMessageError`."""
    payload = json.dumps(value)
    _read_by_everyone(payload)


@given(st.one_of(st.binary(max_size=80), st.text(st.characters(), max_size=80)))
@example(b"\xff")
@example("\ud800")
@example('"\ud800"')
@example("[" * 100_000)
@example('{"x":' * 100_000)
@example('{"audio":' * 990 + "1" + "}" * 990)
@example('{"data":' * 900 + "1" + "}" * 900)
@example("9" * 5000)
@example('{"errorCode":' + "9" * 5000 + "}")
@example('{"sampleRate":1e400}')
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_a_message_or_garbage(payload: str | bytes) -> None:
    """No payload at all makes a parser raise anything but `InvalidMessageError`."""
    _read_by_everyone(payload)


def test_garbage_is_shown_without_hiding_what_it_was() -> None:
    """The error begins with the payload's own beginning, on one line."""
    with pytest.raises(InvalidMessageError, match="not JSON: <html> 502 Bad Gateway"):
        parsing.parse_tts_reply("<html>\n502 Bad Gateway" + "x" * 10_000)
    with pytest.raises(InvalidMessageError, match="not JSON: <html>"):
        parsing.parse_stt_reply(b"<html>")


def test_the_key_is_in_no_representation() -> None:
    """Neither repr, str, format nor rich's view of the first message shows the key."""
    message = InitConnection(voice_id="v", x_api_key=KEY)
    shown = f"{message!r} {message} {[message]} {message.__rich_repr__()}"
    assert KEY not in shown
    assert "pcm_24000" in shown


@pytest.mark.parametrize("broken", [",}", '"}', ',"voice_settings":5}', ',"voice_id":7}'])
def test_a_broken_first_message_does_not_show_its_key(broken: str) -> None:
    """A server's complaint about a request holds nothing of it, whatever is wrong."""
    payload = encode(InitConnection(voice_id="v", x_api_key=KEY))[:-1] + broken
    with pytest.raises(InvalidMessageError) as caught:
        parsing.parse_tts_request(payload)
    assert KEY not in f"{caught.value!r} {caught.value}"
