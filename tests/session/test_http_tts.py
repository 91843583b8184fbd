"""A text becomes its audio by one request, and only the marked end of the answer is an end."""

import gzip
import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest
import trio

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.errors import (
    MuteError,
    PermanentError,
    QuotaSpentError,
    SessionError,
    StopError,
    ThrottledError,
    TimedOutError,
    TransientError,
    WrongFormatError,
)
from batchjobs.jobs import Ending, Verdict
from batchjobs.session import HttpLine, HttpTtsSession
from tests.builders import LenientJudge, make_endpoint, make_segment, make_speech
from tests.canary import place_in
from tests.session.http_scripted import (
    CHUNKED,
    LAST_CHUNK,
    OVER_HTTP,
    PCM,
    Answer,
    Asked,
    ask,
    chunk,
    run_desk,
    says,
    speech_over,
    whole,
)
from tests.session.scripted import ARABIC, KEY, CancelAt

SPEAKS = says(CHUNKED, chunk(PCM[:10_001]), chunk(PCM[10_001:]), LAST_CHUNK)
HALF = len(PCM) // 2


async def test_a_text_becomes_its_audio_byte_for_byte(autojump_clock: object) -> None:
    """Odd cuts included; the text arrives as it was, the key in a header and nowhere else."""
    async with run_desk(SPEAKS) as (line, desk, _):
        speech = make_speech(48_000, dialect="emirati", speed=1.1)
        segment = make_segment(ARABIC, speech=speech)
        session = HttpTtsSession(line, segment, judge=LenientJudge())
        assert (session.was_connected, session.sent_characters) == (False, 0)
        result = await session.run()
    (asked,) = desk.asked
    assert asked.line == "POST /api/v1/text-to-speech/m HTTP/1.1"
    assert ARABIC.encode() in asked.body  # no escape, no normalisation
    assert asked.content == {
        "voice_id": "v",
        "text": ARABIC,
        "stability": 0.5,
        "speed": 1.1,
        "streaming": True,
        "sample_rate": 48_000,
        "dialect": "emirati",
    }
    assert asked.headers.pop("x-api-key") == KEY
    assert not place_in(repr((asked.line, asked.headers, asked.body)))
    assert (bytes(result.pcm), result.sample_rate) == (PCM, 48_000)
    assert result.evidence.ending is Ending.WHOLE_BODY
    assert result.evidence.sent_characters == session.sent_characters == len(ARABIC)
    assert result.doubts == ()
    assert session.was_connected
    assert session.sent_audio_seconds == 0.0


async def test_no_dialect_is_named_that_was_not_asked_for(autojump_clock: object) -> None:
    """A service that knows none is not asked for one."""
    async with run_desk(SPEAKS) as (line, desk, _):
        await speech_over(line).run()
    assert "dialect" not in desk.asked[0].content


async def test_the_model_and_the_key_go_where_they_cannot_be_mistaken(
    autojump_clock: object,
) -> None:
    """The model is one part of the path, whatever is in it; a bearer's key is a bearer's."""
    provider = replace(OVER_HTTP, tts_auth=("bearer",))
    async with run_desk(SPEAKS, provider) as (line, desk, _):
        segment = make_segment("x", speech=make_speech(model_id="../a b?c"))
        await HttpTtsSession(line, segment, judge=LenientJudge()).run()
    assert desk.asked[0].line == "POST /api/v1/text-to-speech/..%2Fa%20b%3Fc HTTP/1.1"
    assert desk.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert "x-api-key" not in desk.asked[0].headers


async def test_a_connection_serves_one_text_after_the_other(autojump_clock: object) -> None:
    """As long as it is kept; one that the service has closed meanwhile is not used."""
    async with run_desk(SPEAKS) as (line, desk, service):
        for _ in range(3):
            await speech_over(line).run()
        assert (len(desk.asked), len(service.streams)) == (3, 1)


async def test_no_log_holds_the_key_or_the_address(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the level of the logs."""
    caplog.set_level(logging.DEBUG)
    async with run_desk(SPEAKS) as (line, _, _):
        await speech_over(line).run()
    assert not place_in(caplog.text)
    assert "text-to-speech" not in caplog.text


@pytest.mark.parametrize("cut", [1, 2, HALF, HALF + 1, len(PCM)])
async def test_a_body_in_chunks_that_lacks_its_last_one_is_no_audio(
    autojump_clock: object, cut: int
) -> None:
    """Not even one that ends behind a whole chunk and a whole sample: that is how crashes look."""
    with pytest.raises(TransientError, match="ended early"):
        await ask(says(CHUNKED, chunk(PCM[:cut]), then_closes=True))


async def test_a_body_shorter_than_its_length_is_no_audio(autojump_clock: object) -> None:
    """A length that was told is one that has to come."""
    answer = whole("200 OK", PCM, Content_Type="audio/pcm")
    with pytest.raises(TransientError, match="ended early"):
        await ask(says(answer[:-2], then_closes=True))
    assert bytes((await ask(says(answer))).pcm) == PCM


async def test_a_body_without_any_marked_end_shows_less(autojump_clock: object) -> None:
    """It ends with the connection: so does one that breaks."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\n\r\n"
    result = await ask(says(head, PCM, then_closes=True))
    assert result.evidence.ending is Ending.CLOSED_BY_SERVER
    assert bytes(result.pcm) == PCM


async def test_a_connection_that_breaks_in_mid_body_is_one_failure(autojump_clock: object) -> None:
    """With what was sent, and as reached: the text was taken."""
    async with run_desk(SPEAKS, break_reads_after=9_000) as (line, _, _):
        session = speech_over(line)
        with pytest.raises(TransientError, match="the connection broke"):
            await session.run()
    assert session.was_connected
    assert session.sent_characters == len(ARABIC)


@pytest.mark.parametrize(
    ("status", "body", "kind", "words", "was_taken"),
    [
        (
            "400 Bad",
            b'{"errorCode":40001,"errorMessage":"\xd9\x84\xd8\xa7"}',
            PermanentError,
            "لا",
            True,
        ),
        ("400 Bad", b'{"detail":"text"}', PermanentError, "HTTP 400: text", True),
        ("401 No", b"", StopError, "401", True),
        ("402 Pay", b'{"errorMessage":"wallet"}', QuotaSpentError, "wallet", True),
        ("403 No", b"{}", StopError, "403", True),
        ("404 No", b'{"errorMessage":"no such voice"}', PermanentError, "no such voice", True),
        ("404 No", b"<html>", PermanentError, "nothing is served at /text-to-speech/m", False),
        ("408 Late", b"", TransientError, "408", True),
        ("422 No", b'{"error":{"message":"speed","code":"x"}}', PermanentError, "speed", True),
        ("429 Slow", b"", ThrottledError, "429", True),
        ("500 Oops", b'{"errorMessage":"engine"}', TransientError, "engine", True),
        ("502 Oops", b"<html>", TransientError, "502", False),
        ("503 Oops", b"", TransientError, "503", False),
        ("504 Oops", b"", TransientError, "504", False),
        ("301 Away", b"", PermanentError, "redirects", False),
        ("307 Away", b"", PermanentError, "redirects", False),
        ("204 None", b"", TransientError, "in place of audio", False),
    ],
)
async def test_a_status_means_what_it_means_on_the_sockets(
    autojump_clock: object,
    status: str,
    body: bytes,
    kind: type[SessionError],
    words: str,
    was_taken: bool,
) -> None:
    """One table of reactions; what the service says is told, and whether it was the service."""
    headers = {"Content_Type": "application/json", "Retry_After": "7", "Location": "http://e.org/"}
    answer = whole(status, body, **headers)
    if status.startswith("204"):
        answer = answer.replace(b"Content-Length: 0\r\n", b"")
    async with run_desk(says(answer)) as (line, desk, service):
        session = speech_over(line)
        with pytest.raises(kind, match=words) as caught:
            await session.run()
        assert type(caught.value) is kind
        assert (len(desk.asked), len(service.streams)) == (1, 1)  # the key went nowhere else
    assert session.was_connected is was_taken
    waits = not status.startswith(("400", "404", "408", "422", "301", "307", "204"))
    assert caught.value.retry_after_seconds == (7.0 if waits else None)


@pytest.mark.parametrize(
    ("content_type", "body", "kind", "words"),
    [
        ("application/json", b'{"errorCode":42901,"errorMessage":"busy"}', ThrottledError, "busy"),
        ("application/json", b'{"errorCode":40401,"message":"voice"}', PermanentError, "voice"),
        ("text/html", b"<html>", TransientError, "text/html in place of audio"),
        ("", b"abc", TransientError, "without a type in place of audio"),
        ("audio/mpeg", b"ID3", WrongFormatError, "sends audio/mpeg"),
        ("audio/wav", b"RIFF\0\0\0\0WAVEdata\0\0\0\0", WrongFormatError, "format is missing"),
        ("audio/pcm", b"", MuteError, "without any audio"),
        ("audio/pcm", b"a", MuteError, "half a sample"),
    ],
)
async def test_a_success_without_samples_is_none(
    autojump_clock: object,
    content_type: str,
    body: bytes,
    kind: type[SessionError],
    words: str,
) -> None:
    """What is no audio is a failure, with the service's own words where it has some."""
    with pytest.raises(kind, match=words) as caught:
        await ask(says(whole("200 OK", body, Content_Type=content_type)))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "parts",
    [[b""], [b"SSH-2.0-x\r\n"], [b"HTTP/1.1 200 OK\r\n"], [b"HTTP/1.1 20"]],
)
async def test_what_is_no_answer_is_a_failure(
    autojump_clock: object, parts: Sequence[bytes]
) -> None:
    """Closed without a word, or in the head, or another protocol."""
    with pytest.raises(TransientError):
        await ask(says(*parts, then_closes=True))


async def test_every_wait_has_an_end(autojump_clock: object) -> None:
    """For the connection, for the request to be taken, for audio, for more, and for all of it."""
    provider = OVER_HTTP

    async def never(asked: Asked) -> None:
        await trio.sleep_forever()

    async def stops(asked: Asked) -> None:
        await asked.stream.send_all(CHUNKED + chunk(PCM))
        await trio.sleep_forever()

    async def only_head(asked: Asked) -> None:
        await asked.stream.send_all(CHUNKED)
        await trio.sleep_forever()

    async def drips(asked: Asked) -> None:
        await asked.stream.send_all(CHUNKED)
        while True:
            await asked.stream.send_all(chunk(b"\1\0"))
            await trio.sleep(10)

    for answer, kind, words, seconds in (
        (never, MuteError, "no audio came", provider.first_audio_seconds),
        (only_head, MuteError, "no audio came", provider.first_audio_seconds),
        (stops, TimedOutError, "stopped before its end", provider.http_gap_seconds),
        (drips, TimedOutError, "slower than a tenth", 40.0),
    ):
        began = trio.current_time()
        with pytest.raises(kind, match=words) as caught:
            await ask(answer)
        assert type(caught.value) is kind
        assert trio.current_time() - began == pytest.approx(seconds, abs=0.1)
    began = trio.current_time()
    with pytest.raises(TimedOutError, match="did not take the text"):
        await ask(SPEAKS, stall_sends_after=0)
    assert trio.current_time() - began == pytest.approx(provider.ready_seconds, abs=0.1)


async def test_no_connection_in_time_is_one_failure(autojump_clock: object) -> None:
    """Nothing was sent, so nothing counts."""

    async def dial(*_: object) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    session = speech_over(HttpLine(make_endpoint(dial, OVER_HTTP)))
    with pytest.raises(TimedOutError, match="handshake"):
        await session.run()
    assert (session.was_connected, session.sent_characters) == (False, 0)


async def test_a_slow_first_byte_is_waited_for(autojump_clock: object) -> None:
    """Within the time for it; and audio that comes bit by bit is whole as well."""

    async def slow(asked: Asked) -> None:
        await trio.sleep(20)
        await asked.stream.send_all(CHUNKED)
        for start in range(0, len(PCM), 999):
            await trio.sleep(0.2)
            await asked.stream.send_all(chunk(PCM[start : start + 999]))
        await asked.stream.send_all(LAST_CHUNK)

    result = await ask(slow, slice_bytes=7)
    assert bytes(result.pcm) == PCM
    assert result.evidence.first_result_seconds == pytest.approx(20.2)
    assert result.evidence.longest_gap_seconds == pytest.approx(0.2, abs=0.01)


async def test_far_too_much_audio_ends_the_request(autojump_clock: object) -> None:
    """Of a service that runs away no more is taken than the longest speech of such a text."""

    async def runs_away(asked: Asked) -> None:
        await asked.stream.send_all(CHUNKED)
        while True:
            await asked.stream.send_all(chunk(PCM))

    result = await ask(runs_away)
    assert result.evidence.ending is Ending.STOPPED
    assert [doubt.sign for doubt in result.doubts] == ["long"]
    assert result.evidence.received_audio_seconds < 60 + 3 * len(ARABIC) + 2


async def test_all_that_a_refusal_says_is_not_waited_for(autojump_clock: object) -> None:
    """One that never ends is taken at its status."""

    async def goes_on(asked: Asked) -> None:
        await asked.stream.send_all(
            whole("400 Bad", b"x", Content_Type="text/plain", Content_Length="99")
        )
        await trio.sleep_forever()

    with pytest.raises(PermanentError, match="HTTP 400"):
        await ask(goes_on)


async def test_the_service_is_proven_by_its_first_audio(autojump_clock: object) -> None:
    """The callback comes once."""
    proofs: list[float] = []
    async with run_desk(SPEAKS) as (line, _, _):
        await speech_over(line, on_proven=lambda: proofs.append(trio.current_time())).run()
    assert len(proofs) == 1


class WatchingJudge(LenientJudge):
    """A judge that knows whether it was asked: then the outcome stands."""

    was_asked = False

    def verdict(self, pcm: ReceivedAudio, sample_rate: int, ending: Ending) -> Verdict:
        """Say what its kind says."""
        self.was_asked = True
        return super().verdict(pcm, sample_rate, ending)


PACKED = CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
RUNS_AWAY = says(PACKED, chunk(gzip.compress(bytes(40_000_000))))


@pytest.mark.parametrize(
    ("answer", "ending"), [(SPEAKS, Ending.WHOLE_BODY), (RUNS_AWAY, Ending.STOPPED)]
)
async def test_a_cancellation_at_any_step_leaves_a_result_or_nothing(
    autojump_clock: object, answer: Answer, ending: Ending
) -> None:
    """What is decided is paid for and stands; before that, what was sent is known."""
    step = outcomes = 0
    while True:
        step += 1
        judge, result = WatchingJudge(), None
        async with run_desk(answer) as (line, _, _):
            session = HttpTtsSession(line, make_segment(ARABIC), judge=judge)
            with trio.CancelScope() as scope:
                instrument = CancelAt(scope, step)
                trio.lowlevel.add_instrument(instrument)
                try:
                    result = await session.run()
                finally:
                    trio.lowlevel.remove_instrument(instrument)
        assert judge.was_asked is (result is not None)
        if result is not None:
            assert result.evidence.ending is ending
            assert ending is Ending.STOPPED or bytes(result.pcm) == PCM
            outcomes += 1
        if instrument.steps < step:
            break
    assert step > 10
    assert outcomes >= 1


async def test_what_is_kept_after_a_cancellation_serves_no_other_text(
    autojump_clock: object,
) -> None:
    """A connection with an answer that was not read to its end is closed."""

    async def stops_once(asked: Asked) -> None:
        await asked.stream.send_all(CHUNKED + chunk(PCM[:HALF]))
        if len(desk.asked) == 1:
            await trio.sleep_forever()
        await asked.stream.send_all(chunk(PCM[HALF:]) + LAST_CHUNK)

    async with run_desk(stops_once) as (line, desk, service):
        with trio.move_on_after(1):
            await speech_over(line).run()
        assert bytes((await speech_over(line).run()).pcm) == PCM
        assert len(service.streams) == 2
