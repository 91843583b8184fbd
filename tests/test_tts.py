"""A synthesis on a clock of plain numbers: what is sent, how long is waited, when it ends."""

import base64
import dataclasses
import json
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.errors import (
    MuteError,
    PermanentError,
    SessionError,
    StopError,
    SuspectError,
    ThrottledError,
    TimedOutError,
    TransientError,
)
from batchjobs.jobs import Doubt, Ending, Sign, SpeechSettings, Verdict, severity
from batchjobs.protocol.messages import InvalidMessageError
from batchjobs.protocol.tts import SpeechResult, TtsClient
from batchjobs.providers import BUILT_IN, Provider
from tests.canary import KEY

_SPEECH = SpeechSettings(voice_id="ar-najdi-male-2", model_id="faseeh-v1-preview", speed=0.9)
_TEXTS = ("مَرْحَبًا بِكـم. ", "العدد ١٢٣ في Faseeh\u200d\u200c. ", "End 😀")
_READY = '{"type":"connectionInitialized"}'
_FINAL = '{"audio":"","sampleRate":24000,"isFinal":true}'
_HOSTED = BUILT_IN["munsit"]
_DRAINING = dataclasses.replace(_HOSTED, name="drains", close_drains=True)


@dataclass(slots=True)
class _Judge:
    """A judge that says what it was told to say, and remembers what it was asked."""

    minimum_seconds: float = 0.0
    doubts: tuple[Doubt, ...] = ()
    endings: list[Ending] = field(default_factory=list)
    finds_ample: bool = True

    def is_ample(self, pcm: bytes, sample_rate: int) -> bool:
        return self.finds_ample

    def verdict(self, pcm: bytes, sample_rate: int, ending: Ending) -> Verdict:
        assert sample_rate > 0
        assert len(pcm) % 2 == 0
        self.endings.append(ending)
        return Verdict(doubts=self.doubts, support=("it is known",))


def _audio(
    seconds: float = 1.0, *, rate: int = 24_000, final: bool = False, fill: bytes = b"\1\2"
) -> str:
    pcm = fill * round(seconds * rate)
    return _message(pcm, rate, final=final)


def _message(pcm: bytes, rate: int | None = 24_000, *, final: bool = False) -> str:
    message: dict[str, object] = {"audio": base64.b64encode(pcm).decode()}
    if rate is not None:
        message["sampleRate"] = rate
    return json.dumps(message | ({"isFinal": True} if final else {}))


class _Session:
    """One machine, a clock, and what was sent."""

    def __init__(
        self,
        provider: Provider = _HOSTED,
        *,
        texts: tuple[str, ...] = _TEXTS,
        judge: _Judge | None = None,
        key: str = KEY,
        start: float = 100.0,
        quiet_seconds: float | None = None,
    ) -> None:
        self.judge = judge or _Judge()
        self.now = start
        self.sent: list[str] = []
        self.machine = TtsClient(
            texts=texts,
            speech=_SPEECH,
            provider=provider,
            key=key,
            judge=self.judge,
            now=start,
            quiet_seconds=quiet_seconds,
        )

    def send(self) -> None:
        """Send all that may be sent now."""
        while (payload := self.machine.next_payload()) is not None:
            self.sent.append(payload)
            self.machine.sent(self.now)

    def after(self, seconds: float) -> "_Session":
        """Let time pass, waking the machine whenever it wants to be."""
        end = self.now + seconds
        while not self.machine.ended and self.machine.wait_until <= end:
            self.now = max(self.now, self.machine.wait_until)
            self.machine.woken(self.now)
            self.send()
        self.now = end
        return self

    def hear(self, *payloads: str | bytes) -> "_Session":
        """Receive messages now."""
        for payload in payloads:
            self.machine.received(payload, self.now)
        self.send()
        return self

    def close(self, code: int | None, reason: str = "") -> "_Session":
        """Let the peer close now."""
        self.machine.closed(code, reason, self.now)
        return self

    @property
    def kinds(self) -> list[str]:
        """The types of what was sent."""
        return [json.loads(payload)["type"] for payload in self.sent]

    def failure(self) -> SessionError:
        """The error the attempt ended with."""
        assert self.machine.ended
        with pytest.raises(SessionError) as caught:
            self.machine.result()
        assert KEY not in f"{caught.value!r} {caught.value}"
        return caught.value


def _open(provider: Provider = _HOSTED, **options: object) -> _Session:
    """Give a session whose texts have all gone out."""
    session = _Session(provider, **options)  # type: ignore[arg-type]
    session.send()
    return session.after(0.5).hear(_READY)


# -- what is sent ------------------------------------------------------------------------------


def test_first_the_connection_is_initialised() -> None:
    """Only the first message goes out before the service is ready, with settings and key."""
    session = _Session()
    session.send()
    (sent,) = session.sent
    assert json.loads(sent) == {
        "type": "initConnection",
        "model_id": "faseeh-v1-preview",
        "voice_id": "ar-najdi-male-2",
        "voice_settings": {"stability": 0.5, "similarity_boost": 0.75, "speed": 0.9},
        "output_format": "pcm_24000",
        "x_api_key": KEY,
    }
    assert session.machine.sent_characters == 0
    assert not session.machine.proven


def test_a_key_that_travels_elsewhere_is_not_in_the_message() -> None:
    """Without a key the first message has no field for one."""
    session = _Session(key="")
    session.send()
    assert "x_api_key" not in session.sent[0]


def test_texts_go_out_byte_for_byte_the_last_with_flush() -> None:
    """Each text is one message, as it came; only the last flushes."""
    session = _open()
    texts = [json.loads(payload) for payload in session.sent[1:]]
    assert [text["text"] for text in texts] == list(_TEXTS)
    assert [text["flush"] for text in texts] == [False, False, True]
    assert not any(text["try_trigger_generation"] for text in texts)
    assert session.machine.sent_characters == sum(map(len, _TEXTS))
    assert "مَرْحَبًا بِكـم. " in session.sent[1]


def test_a_service_that_does_not_drain_is_not_asked_to_close_yet() -> None:
    """For a hosted service closeConnection waits for the quiet time."""
    session = _open()
    assert session.kinds == ["initConnection", "text", "text", "text"]
    session.after(1).hear(_audio()).after(2.4)
    assert session.kinds[-1] == "text"
    session.after(0.2)
    assert session.kinds[-1] == "closeConnection"
    assert session.machine.next_payload() is None


def test_a_service_that_drains_is_asked_to_close_at_once() -> None:
    """Where closing drains, closeConnection follows the last text."""
    session = _open(_DRAINING)
    assert session.kinds == ["initConnection", "text", "text", "text", "closeConnection"]


def test_nothing_is_sent_after_the_end() -> None:
    """A decided session has no more messages, whatever was waiting."""
    session = _Session()
    session.send()
    session.machine.received(_READY, session.now)
    assert session.machine.next_payload() is not None
    session.close(1011)
    assert session.machine.next_payload() is None
    assert session.machine.sent_characters == len(_TEXTS[0])


# -- completeness ------------------------------------------------------------------------------


def test_quiet_then_close_is_complete() -> None:
    """First audio, quiet time, closeConnection, the server's close: done, with the evidence."""
    session = _open().after(1).hear(_audio(0.5)).after(1.5).hear(_audio(0.25, fill=b"\3\4"))
    session.after(3).close(1000)
    result = session.machine.result()
    assert bytes(result.pcm) == b"\1\2" * 12_000 + b"\3\4" * 6_000
    assert result.sample_rate == 24_000
    evidence = result.evidence
    assert (evidence.ending, evidence.close_code, evidence.messages) == (Ending.QUIET, 1000, 2)
    assert (evidence.first_result_seconds, evidence.longest_gap_seconds) == (1.0, 1.5)
    assert evidence.session_seconds == 0.5 + 1 + 1.5 + 3
    assert evidence.sent_characters == sum(map(len, _TEXTS))
    assert evidence.received_audio_seconds == 0.75
    assert evidence.sent_audio_seconds == 0.0
    assert session.judge.endings == [Ending.QUIET]


def test_a_peer_that_never_closes_is_complete_all_the_same() -> None:
    """After quiet time and drain time the outcome is decided without the server's close."""
    session = _open().after(1).hear(_audio()).after(2.5 + 4.9)
    assert not session.machine.ended
    session.after(0.2)
    assert session.machine.result().evidence.ending is Ending.QUIET
    assert session.machine.result().evidence.close_code is None


def test_audio_while_draining_belongs_to_the_result() -> None:
    """What comes after closeConnection is kept, and its gap is told from the audio before."""
    session = (
        _open().after(1).hear(_audio()).after(3).hear(_audio(fill=b"\5\6")).after(1).close(1000)
    )
    result = session.machine.result()
    assert bytes(result.pcm).endswith(b"\5\6")
    assert len(result.pcm) == 96_000
    assert result.evidence.longest_gap_seconds == 3.0


def test_the_draining_ends_only_when_the_server_closes() -> None:
    """Where closing drains, pauses do not end it; the server's close does."""
    session = _open(_DRAINING).after(20).hear(_audio()).after(4.9).hear(_audio()).after(4.9)
    assert not session.machine.ended
    session.close(1000)
    result = session.machine.result()
    assert (result.evidence.ending, result.evidence.close_code) == (Ending.DRAINED, 1000)
    assert session.judge.endings == [Ending.DRAINED]


@pytest.mark.parametrize("code", [None, 1000, 1005])
def test_a_normal_close_in_mid_audio_may_be_the_end(code: int | None) -> None:
    """A close with 1000 or without a code after audio is an end that the judge is told of."""
    session = _open().after(1).hear(_audio()).after(0.1).close(code)
    assert session.machine.result().evidence.ending is Ending.CLOSED_BY_SERVER
    assert session.machine.result().evidence.close_code == code
    assert session.judge.endings == [Ending.CLOSED_BY_SERVER]


def test_a_close_before_ours_went_out_is_not_called_drained() -> None:
    """What the server closed before it was asked to is told as its own doing."""
    session = _Session(_DRAINING, texts=("واحد",))
    session.send()
    session.machine.received(_READY, session.now)
    session.machine.next_payload()
    session.machine.sent(session.now)
    session.machine.received(_audio(), session.now)
    session.close(1000)
    assert session.machine.result().evidence.ending is Ending.CLOSED_BY_SERVER


@pytest.mark.parametrize("provider", [_HOSTED, _DRAINING])
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1001, TransientError),
        (1006, TransientError),
        (1008, TransientError),
        (1009, TransientError),
        (1011, TransientError),
        (1012, TransientError),
        (1013, ThrottledError),
        (4321, TransientError),
    ],
)
def test_any_other_close_in_mid_audio_fails(
    provider: Provider, code: int, kind: type[SessionError]
) -> None:
    """Whatever audio has come, a close that is not normal is a failed attempt."""
    error = _open(provider).after(1).hear(_audio(60)).close(code, "why").failure()
    assert type(error) is kind
    assert error.code == str(code)
    assert "in mid-audio (why)" in error.message


@pytest.mark.parametrize("provider", [_HOSTED, _DRAINING])
@pytest.mark.parametrize("code", [None, 1000, 1006])
def test_a_close_before_any_audio_fails(provider: Provider, code: int | None) -> None:
    """No audio at all is a failure, however politely it was said."""
    error = _open(provider).after(1).close(code).failure()
    assert type(error) is (TransientError if code == 1006 else MuteError)
    assert ("before any audio" if code == 1006 else "without any audio") in error.message


@pytest.mark.parametrize("code", [None, 1000, 1011])
def test_a_close_while_texts_are_going_out_fails(code: int | None) -> None:
    """A close before the last text went out cannot be the end, even after audio."""
    session = _Session()
    session.send()
    session.machine.received(_READY, session.now)
    session.machine.next_payload()
    session.machine.received(_audio(), session.now)
    assert "in mid-audio" in session.close(code).failure().message


def test_a_line_dropped_after_the_quiet_time_is_complete() -> None:
    """The audio was complete before the peer dropped the line instead of closing."""
    session = _open().after(1).hear(_audio()).after(3).close(1006)
    assert session.machine.result().evidence.ending is Ending.QUIET
    assert session.machine.result().evidence.close_code == 1006


def test_a_line_dropped_after_the_quiet_was_belied_fails() -> None:
    """If audio came after closeConnection, a break is in mid-audio again."""
    session = _open().after(1).hear(_audio()).after(3).hear(_audio()).after(0.1).close(1006)
    assert type(session.failure()) is TransientError


@pytest.mark.parametrize("code", [1011, 1013])
def test_an_abnormal_close_after_the_quiet_time_fails(code: int) -> None:
    """A server that says it failed is believed."""
    assert _open().after(1).hear(_audio()).after(3).close(code).failure().code == str(code)


# -- quiet time --------------------------------------------------------------------------------


def test_each_audio_message_starts_the_quiet_time_anew() -> None:
    """As long as gaps are shorter than the quiet time, nothing ends."""
    session = _open().after(5)
    for _ in range(100):
        session.hear(_audio(1)).after(2.4)
    assert "closeConnection" not in session.kinds
    assert len(session.after(10).machine.result().pcm) == 100 * 48_000


def test_audio_marked_final_ends_nothing() -> None:
    """`isFinal` on a message with audio is ignored: it was seen in mid-speech."""
    session = _open().after(1).hear(_audio(final=True)).after(2.4).hear(_audio(final=True))
    assert "closeConnection" not in session.after(2.4).kinds


def test_an_empty_final_message_shortens_the_quiet_time() -> None:
    """An empty `isFinal` message after audio leaves the shorter wait, measured from the audio."""
    session = _open().after(1).hear(_audio()).after(0.2).hear(_FINAL).after(0.7)
    assert "closeConnection" not in session.kinds
    assert "closeConnection" in session.after(0.2).kinds


def test_an_empty_final_message_shortens_nothing_while_there_may_be_more() -> None:
    """It was seen between two parts of the audio: what is not ample has the whole quiet time."""
    judge = _Judge(finds_ample=False)
    session = _open(judge=judge).after(1).hear(_audio(), _FINAL).after(2.4)
    assert "closeConnection" not in session.kinds
    assert "closeConnection" in session.after(0.2).kinds


def test_audio_after_a_final_message_brings_the_quiet_time_back() -> None:
    """What was marked final was not: the whole quiet time counts again."""
    session = _open().after(1).hear(_audio(), _FINAL).after(0.5).hear(_audio()).after(2.4)
    assert "closeConnection" not in session.kinds


def test_final_before_any_audio_ends_nothing() -> None:
    """An empty `isFinal` message without audio is no audio."""
    session = _open().after(1).hear(_FINAL, '{"isFinal":true}').after(28)
    assert not session.machine.ended
    assert type(session.after(2).failure()) is MuteError


def test_a_longer_final_wait_never_lengthens_the_quiet_time() -> None:
    """The shorter of both waits counts after an empty final message."""
    slow = dataclasses.replace(_HOSTED, final_quiet_seconds=9.0)
    assert "closeConnection" in _open(slow).hear(_audio(), _FINAL).after(2.6).kinds


def test_a_pause_is_a_pause_while_the_audio_is_too_short() -> None:
    """With less audio than the text can take, the quiet time is that of the first audio."""
    session = _open(judge=_Judge(minimum_seconds=2.0)).after(1).hear(_audio(1), _FINAL).after(29)
    assert "closeConnection" not in session.kinds
    session.hear(_audio(1)).after(2.6)
    assert "closeConnection" in session.kinds


def test_audio_before_the_last_text_does_not_start_the_quiet_time() -> None:
    """After the last text the first audio has its own time, also if there was audio before it."""
    session = _Session()
    session.send()
    session.machine.received(_READY, session.now)
    session.machine.next_payload()
    session.machine.sent(session.now)
    session.after(1).machine.received(_audio(), session.now)
    session.after(1).send()
    assert session.kinds.count("closeConnection") == 0
    session.after(29)
    assert session.kinds.count("closeConnection") == 0
    session.hear(_audio()).after(2.6)
    assert session.kinds.count("closeConnection") == 1
    result = session.after(6).machine.result()
    assert len(result.pcm) == 96_000
    assert result.evidence.first_result_seconds == 0.0
    assert result.evidence.longest_gap_seconds == 30.0


def test_all_audio_before_the_last_text_is_not_lost() -> None:
    """If nothing more comes after the last text, what came is the result after the longer wait."""
    session = _Session(texts=("نعم",))
    session.send()
    session.machine.received(_READY, session.now)
    session.machine.next_payload()
    session.machine.received(_audio(), session.now)
    session.now += 1
    session.machine.sent(session.now)
    assert session.machine.wait_until == session.now + 30
    assert session.after(40).machine.result().evidence.ending is Ending.QUIET


# -- deadlines ---------------------------------------------------------------------------------

_NOISE = ("{}", '{"type":"ping"}', '{"audio":"","sampleRate":24000}', _FINAL, "[]", "5")


@pytest.mark.parametrize("provider", [_HOSTED, _DRAINING])
@pytest.mark.parametrize("noise", _NOISE)
def test_only_audio_feeds_the_deadlines(provider: Provider, noise: str) -> None:
    """Unknown and empty messages, however many, keep no session alive."""
    session = _open(provider)
    for _ in range(40):
        session.hear(noise).after(1)
    assert "no audio came" in session.failure().message
    session = _open(provider).after(1).hear(_audio())
    for _ in range(40):
        session.hear(noise).after(0.5)
    assert session.machine.ended


def test_a_service_that_never_gets_ready() -> None:
    """Without connectionInitialized the attempt ends after its own time."""
    session = _Session()
    session.send()
    session.after(19.9).hear('{"type":"ping"}')
    assert not session.machine.ended
    error = session.after(0.2).failure()
    assert type(error) is TimedOutError
    assert "did not answer the first message (20.0 s into the session)" in error.message


def test_a_service_that_stops_taking_text() -> None:
    """A text that does not go out ends the attempt after its own time, each text anew."""
    session = _Session()
    session.send()
    session.machine.received(_READY, session.now)
    for _ in range(2):
        assert session.machine.next_payload()
        session.after(19).machine.sent(session.now)
    assert not session.machine.ended
    session.machine.next_payload()
    assert "stopped taking text" in session.after(21).failure().message


@pytest.mark.parametrize("provider", [_HOSTED, _DRAINING])
def test_a_service_that_stays_silent(provider: Provider) -> None:
    """No audio within its time is a failure, never an empty file."""
    session = _open(provider).after(29.9)
    assert not session.machine.ended
    error = session.after(0.2).failure()
    assert type(error) is MuteError
    assert "no audio came" in error.message


def test_a_draining_service_that_stops_in_the_middle() -> None:
    """Where the close is the end, silence is not: the attempt fails after the drain time."""
    session = _open(_DRAINING).after(1).hear(_audio()).after(5.1)
    error = session.failure()
    assert type(error) is TimedOutError
    assert "before the service closed" in error.message


def test_a_byte_a_second_is_no_audio() -> None:
    """Audio far below its own pace ends the attempt, however steadily it drips."""
    session = _open(judge=_Judge(minimum_seconds=1.0)).after(1)
    for _ in range(60):
        session.hear(_message(b"\0")).after(1)
    error = session.failure()
    assert type(error) is TimedOutError
    assert "slower than a tenth" in error.message
    assert session.now - 100 < 65


def test_audio_without_end_ends_at_the_limit() -> None:
    """A stream that never stops is not taken for a quiet one when the session's time is over."""
    short = dataclasses.replace(_HOSTED, session_limit_seconds=60.0)
    session = _open(short, texts=("كلمة " * 100,)).after(1)
    for _ in range(100):
        session.hear(_audio(0.5)).after(1)
    error = session.failure()
    assert type(error) is TimedOutError
    assert "limit" in error.message
    assert session.judge.endings == []


def test_a_quiet_that_began_before_the_limit_counts() -> None:
    """If the limit falls into the draining after a quiet time, the audio is complete."""
    short = dataclasses.replace(_HOSTED, session_limit_seconds=5.0)
    session = _open(short).hear(_audio()).after(2.6)
    assert session.kinds[-1] == "closeConnection"
    assert session.after(2).machine.result().evidence.ending is Ending.QUIET


def test_the_limit_grows_with_the_text() -> None:
    """A text that takes long to speak has the time for it."""
    session = _Session(judge=_Judge(minimum_seconds=1_000.0))
    assert session.machine._limit() == 100 + 900 + 10_000


def test_far_more_audio_than_text_ends_the_session() -> None:
    """A service that does not stop talking fills no memory; what came until then is kept."""
    session = _open(texts=("نعم",))
    for _ in range(100):
        session.hear(_audio(1))
    result = session.machine.result()
    assert [doubt.sign for doubt in result.doubts] == [Sign.LONG]
    assert "far more audio" in result.doubts[0].message
    assert result.evidence.ending is Ending.STOPPED
    assert result.evidence.received_audio_seconds == 70  # 60 s, and 3 for each of 3 characters
    assert len(result.pcm) == 70 * 48_000


# -- what makes it suspect ---------------------------------------------------------------------


def test_a_doubt_is_handed_out_with_the_audio() -> None:
    """What the judge finds implausible was paid for: it is a result, and says what is wrong."""
    doubt = Doubt(sign=Sign.SHORT, message="0.10 s is too short", severity=0.9)
    session = _open(judge=_Judge(doubts=(doubt,))).hear(_audio(0.1)).after(9)
    result = session.machine.result()
    assert result.doubts == (doubt,)
    assert result.support == ("the line was silent for 2.5 s", "it is known")
    assert len(result.pcm) == 4_800


@pytest.mark.parametrize("name", ["munsit", "faseeh"])
@pytest.mark.parametrize(
    ("asked", "messages", "ending", "shown"),
    [
        (2.5, [_audio()], Ending.QUIET, "silent for 2.5 s"),
        (None, [_audio()], Ending.QUIET, "silent for 2.5 s"),
        (0.5, [_audio()], Ending.CLOSED_BY_SERVER, "silent for 0.5 s"),
        (2.5, [_audio(), _FINAL], Ending.CLOSED_BY_SERVER, "silent for 1 s"),
    ],
)
def test_only_a_silence_below_the_providers_is_a_short_one(
    name: str, asked: float | None, messages: list[str], ending: Ending, shown: str
) -> None:
    """A run always hands a quiet time: one that is whole is believed, one that is short less."""
    session = _open(BUILT_IN[name], quiet_seconds=asked).hear(*messages).after(9)
    result = session.machine.result()
    assert session.judge.endings == [ending]
    assert result.evidence.ending is Ending.QUIET
    assert shown in result.support[0]


def test_what_showed_the_end_is_said() -> None:
    """A drain, a close, and audio that came after a silence each in their words."""
    drained = _open(_DRAINING).hear(_audio()).close(1000).machine.result()
    assert drained.support[0] == "asked to close, the service sent what was pending and closed"
    closed = _open().hear(_audio()).close(1000).machine.result()
    assert closed.support[0] == "the service closed normally by itself"
    late = _open().hear(_audio()).after(2.6).hear(_audio()).after(9).machine.result()
    assert late.support[0] == "asked to close, the service sent more, and then nothing"


def test_odd_bytes_are_carried_over() -> None:
    """A sample cut in two by messages is whole in the result."""
    pcm = bytes(range(256)) * 4
    session = _open()
    for start in range(0, len(pcm), 3):
        session.hear(_message(pcm[start : start + 3]))
    assert bytes(session.after(9).machine.result().pcm) == pcm


def test_half_a_sample_at_the_end_is_cut_off_and_told() -> None:
    """An odd number of bytes in all may show that something is missing."""
    result = _open().hear(_message(b"\1\2\3")).after(9).machine.result()
    assert bytes(result.pcm) == b"\1\2"
    assert [doubt.sign for doubt in result.doubts] == [Sign.BROKEN]
    assert "half a sample" in result.doubts[0].message


def test_half_a_sample_alone_is_nothing_to_keep() -> None:
    """One byte is no audio."""
    error = _open().hear(_message(b"\1")).after(9).failure()
    assert type(error) is SuspectError
    assert "half a sample" in error.message


def test_a_sample_rate_that_changes_ends_the_session() -> None:
    """One rate throughout, read from each message; what came of the first is kept."""
    session = _open().hear(_audio(2, rate=24_000), _audio(rate=16_000))
    result = session.machine.result()
    assert (len(result.pcm), result.sample_rate) == (96_000, 24_000)
    assert [doubt.sign for doubt in result.doubts] == [Sign.BROKEN]
    assert "from 24000 to 16000" in result.doubts[0].message
    assert result.evidence.ending is Ending.STOPPED
    half = _open().hear(_message(b"\1\2\3")).after(9).machine.result()
    assert severity(half.doubts) < severity(result.doubts)


def test_the_services_rate_counts_not_the_asked_one() -> None:
    """Audio at another rate than asked for is kept at its own; a message without one goes on."""
    session = _open().hear(_message(b"\0\0" * 8_000, 16_000), _message(b"\0\0" * 8_000, None))
    result = session.after(9).machine.result()
    assert result.sample_rate == 16_000
    assert result.evidence.received_audio_seconds == 1.0


def test_without_any_rate_the_asked_one_counts() -> None:
    """A service that never says its rate has the one it was asked for."""
    session = _open().hear(_message(b"\0\0" * 12_000, None)).after(9)
    assert session.machine.result().sample_rate == 24_000
    assert session.machine.result().evidence.received_audio_seconds == 0.5


def test_an_empty_message_of_another_rate_changes_nothing() -> None:
    """Only audio has a rate."""
    session = _open().hear(_audio(), '{"audio":"","sampleRate":8000}').after(9)
    assert session.machine.result().sample_rate == 24_000


# -- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["at once", "ready", "in mid-audio", "draining"])
@pytest.mark.parametrize(
    ("payload", "kind", "code"),
    [
        ('{"type":"error","errorCode":40101,"errorMessage":"no"}', StopError, "40101"),
        ('{"type":"error","errorCode":"40201","errorMessage":"no"}', StopError, "40201"),
        ('{"errorCode":40301,"message":"no"}', StopError, "40301"),
        ('{"type":"error","errorCode":40001,"errorMessage":"no"}', PermanentError, "40001"),
        ('{"type":"error","errorCode":"42901","message":"no"}', ThrottledError, "42901"),
        ('{"type":"error","errorCode":50001,"errorMessage":"no"}', TransientError, "50001"),
        ('{"type":"error","message":"no"}', TransientError, ""),
        ('{"audio":"AAA=","sampleRate":24000,"errorCode":50202}', TransientError, "50202"),
        ("<html>", InvalidMessageError, ""),
        (b"\xff\xfe", InvalidMessageError, ""),
        ('{"audio":"AAA","sampleRate":24000}', InvalidMessageError, ""),
    ],
)
def test_an_error_fails_the_attempt_at_any_time(
    when: str, payload: str | bytes, kind: type[SessionError], code: str
) -> None:
    """Whatever has come before, an error message or garbage ends the attempt in its class."""
    if when == "at once":
        session = _Session()
        session.send()
    else:
        session = _open().after(1)
    if when in {"in mid-audio", "draining"}:
        session.hear(_audio(30))
    if when == "draining":
        session.after(3)
    error = session.hear(payload).failure()
    assert type(error) is kind
    assert error.code == code


def test_messages_out_of_turn_fail_the_attempt() -> None:
    """Audio before readiness, or readiness twice, is garbage; no text is bought twice."""
    session = _Session()
    session.send()
    assert type(session.hear(_audio()).failure()) is InvalidMessageError
    session = _open().hear(_READY)
    assert type(session.failure()) is InvalidMessageError
    assert session.kinds.count("text") == 3


def test_readiness_after_closing_sends_nothing_again() -> None:
    """A second connectionInitialized while draining is passed over."""
    session = _open(_DRAINING).hear(_READY)
    assert not session.machine.ended
    assert session.kinds.count("text") == 3


def test_nothing_after_the_end_changes_the_result() -> None:
    """A peer that goes on sending, closing and erring after the decision is not heard."""
    done = _open().hear(_audio()).after(9)
    result = done.machine.result()
    failed = _open().close(1011)
    error = failed.failure()
    for session in (done, failed):
        session.hear(_audio(), _READY, "<html>", '{"type":"error","errorCode":40101}')
        session.close(1006).close(1000).after(1_000)
        session.machine.sent(session.now)
        session.machine.woken(session.now)
    assert done.machine.result() is result
    assert failed.failure() is error
    assert done.machine.wait_until <= done.now


def test_a_result_before_the_end_is_a_failed_attempt() -> None:
    """A session given up half-way says so, in a class that is tried again."""
    session = _open()
    with pytest.raises(TransientError, match="given up"):
        session.machine.result()
    assert not session.machine.ended


def test_waking_early_does_nothing() -> None:
    """A wake before its time changes neither the deadline nor the phase."""
    session = _open().after(1)
    before = session.machine.wait_until
    session.machine.woken(before - 0.001)
    assert session.machine.wait_until == before
    assert not session.machine.ended


def test_audio_proves_the_key() -> None:
    """Readiness proves nothing, one piece of audio does."""
    session = _open()
    assert not session.machine.proven
    session.hear(_FINAL)
    assert not session.machine.proven
    assert session.hear(_audio(0.1)).machine.proven


def test_the_key_shows_nowhere() -> None:
    """Neither the machine nor its result nor any failure shows the key."""
    session = _open().hear(_audio()).after(9)
    shown = f"{session.machine!r} {session.machine.result().evidence!r}"
    assert KEY not in shown


# -- anything at all ---------------------------------------------------------------------------

_PAYLOADS = st.sampled_from(
    [
        _READY,
        _audio(0.1),
        _audio(2.0),
        _audio(0.1, rate=16_000),
        _audio(0.1, final=True),
        _message(b"\0"),
        _message(b"\0\0", None),
        _FINAL,
        "{}",
        "<html>",
        b"\xff",
        '{"type":"error","errorCode":50001}',
        '{"type":"error","errorCode":"42901"}',
        '{"event":"transcription","data":"x"}',
    ]
)
_CLOSES = st.sampled_from([None, 1000, 1005, 1006, 1011, 1013, 4000])
_WAITS = st.floats(0, 40)
_STEPS = st.one_of(
    st.tuples(st.just("hear"), _PAYLOADS),
    st.tuples(st.just("hear"), st.sampled_from([_READY, _audio(1.0)])),
    st.tuples(st.just("after"), _WAITS),
    st.tuples(st.just("send"), st.booleans()),
    st.tuples(st.just("woken"), st.just(0)),
    st.tuples(st.just("close"), _CLOSES),
)


def _step(session: _Session, name: str, value: object) -> None:
    machine = session.machine
    match name, value:
        case "hear", str() | bytes() as payload:
            machine.received(payload, session.now)
        case "after", float() as seconds:
            session.now += seconds  # a machine that is woken late, or not at all
        case "send", bool() as tells:
            if machine.next_payload() is not None and tells:
                machine.sent(session.now)
        case "woken", _:
            machine.woken(session.now)
        case _, int() | None as code:
            machine.closed(code, "", session.now)


@given(
    st.lists(_STEPS, max_size=25),
    st.sampled_from([_HOSTED, _DRAINING]),
    st.floats(0, 5),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_any_course_ends_in_a_result_or_a_session_error(
    steps: list[tuple[str, object]],
    provider: Provider,
    minimum: float,
    starts: bool,
) -> None:
    """Whatever happens in whatever order, a silent peer leaves only a few wakes to the outcome."""
    session = _Session(provider, judge=_Judge(minimum_seconds=minimum))
    if starts:
        session.send()
        session.hear(_READY)
    for name, value in steps:
        _step(session, name, value)
    wakes = 0
    while not session.machine.ended:
        wakes += 1
        assert wakes <= 8
        session.now = max(session.now, session.machine.wait_until)
        session.machine.woken(session.now)
        session.send()
    try:
        result = session.machine.result()
    except SessionError:
        return
    assert isinstance(result, SpeechResult)
    assert result.pcm
    assert len(result.pcm) % 2 == 0
    is_whole = result.evidence.ending is not Ending.STOPPED
    assert result.evidence.sent_characters == sum(map(len, _TEXTS)) or not is_whole
    assert session.kinds.count("text") <= 3
