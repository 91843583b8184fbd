"""What faults make of a session's replies, without any connection."""

import pytest

from batchjobs.protocol.messages import Audio, Failure, Ready, Transcription, TranscriptionError
from batchjobs.server.error_replies import close_code_of
from batchjobs.server.fault_injection import (
    Action,
    Close,
    Drop,
    FaultInjector,
    Hang,
    Raw,
    Say,
)
from batchjobs.server.faults import parse_fault

AUDIO = Audio(pcm=bytes(range(1, 11)), sample_rate=24_000)
HEARD = Transcription("مَرْحَبًا")


def _injector(spec: str) -> FaultInjector:
    return FaultInjector(parse_fault(spec))


def _first(pcm: bytes) -> Action:
    return Say(Audio(pcm=pcm, sample_rate=24_000))


def test_without_a_fault_everything_is_said_as_it_is() -> None:
    """No fault adds nothing, before or after."""
    injector = FaultInjector(None)
    for message in (Ready(), AUDIO, HEARD, Failure(code="1", message="")):
        assert injector.replace(message) == (Say(message),)
    assert (*injector.after_flush(), *injector.before_end()) == ()
    assert (injector.fault_name, injector.is_faithful, injector.pace(2.0)) == ("", True, 2.0)


_HALF = AUDIO.pcm[:4]


@pytest.mark.parametrize(
    ("spec", "actions"),
    [
        ("drop", [_first(_HALF), Drop()]),
        ("hang", [_first(_HALF), Hang()]),
        ("close:1012", [_first(_HALF), Close(1012)]),
        (
            "error:40201",
            [
                _first(_HALF),
                Say(Failure(code="40201", message="a fault was asked for")),
                Close(1000),
            ],
        ),
        (
            "error-string",
            [
                _first(_HALF),
                Raw('{"type":"error","errorCode":"50001","errorMessage":"a fault was asked for"}'),
                Close(1011),
            ],
        ),
        ("silent", [Hang()]),
        ("garbage", [Raw('{"audio": "UklGR", oops')]),
        ("silence", [_first(bytes(10))]),
        ("slow", [Say(AUDIO)]),
        ("half-sample", [Say(AUDIO)]),
        ("truncate", []),
        (
            "rate-change",
            [_first(_HALF), Say(Audio(pcm=AUDIO.pcm[4:], sample_rate=44_100))],
        ),
    ],
)
def test_a_fault_strikes_in_the_midst_of_the_audio(spec: str, actions: list[Action]) -> None:
    """Half of the first message is heard, whole samples of it, before the session breaks."""
    injector = _injector(spec)
    assert injector.replace(Ready()) == (Say(Ready()),)
    assert list(injector.replace(AUDIO)) == actions
    assert injector.fault_name == spec.partition(":")[0]


@pytest.mark.parametrize(
    ("spec", "actions"),
    [
        ("drop", [Drop()]),
        ("hang", [Hang()]),
        ("silent", [Hang()]),
        ("garbage", [Raw('{"audio": "UklGR", oops')]),
        ("truncate", [Close(1000)]),
        ("close", [Close(1011)]),
        ("slow", [Say(HEARD)]),
        (
            "error:40001",
            [Say(TranscriptionError("a fault was asked for: 40001")), Close(1008)],
        ),
        (
            "error-string",
            [Say(TranscriptionError("a fault was asked for: 50001")), Close(1011)],
        ),
        (
            "throttle",
            [Say(Failure(code="42901", message="too many sessions at once")), Close(1013)],
        ),
    ],
)
def test_a_fault_strikes_in_place_of_the_first_transcript(spec: str, actions: list[Action]) -> None:
    """A transcript may be all there is, so nothing of it is said."""
    assert list(_injector(spec).replace(HEARD)) == actions


def test_a_mute_session_answers_nothing_at_all() -> None:
    """Neither the first message, nor an error, nor the end is answered."""
    injector = _injector("mute")
    for message in (Ready(), AUDIO, Failure(code="40001", message="")):
        assert injector.replace(message) == (Hang(),)
    assert injector.before_end() == (Hang(),)


def test_a_throttled_session_is_told_so_in_place_of_ready() -> None:
    """The error carries the code for too many sessions, and a close says to try later."""
    said = _injector("throttle").replace(Ready())
    too_many = Failure(code="42901", message="too many sessions at once")
    assert said == (Say(too_many), Close(1013))


def test_truncated_audio_is_two_fifths_of_all_and_looks_like_an_end() -> None:
    """Forty per cent in whole samples, a normal close, and once only."""
    injector = _injector("truncate")
    assert injector.after_flush() == ()
    injector.replace(AUDIO)
    injector.replace(AUDIO)
    assert injector.after_flush() == (_first(AUDIO.pcm[:8]), Close(1000))
    assert injector.after_flush() == ()


def test_half_a_sample_comes_after_all_the_rest() -> None:
    """One byte too many at the end, and only where there was audio."""
    injector = _injector("half-sample")
    assert injector.after_flush() == ()
    injector.replace(AUDIO)
    assert injector.after_flush() == (_first(b"\0"),)
    assert injector.after_flush() == ()


def test_another_rate_stays_another_rate() -> None:
    """From the second message on every message names it."""
    injector = _injector("rate-change")
    injector.replace(AUDIO)
    assert injector.replace(AUDIO) == (Say(Audio(pcm=AUDIO.pcm, sample_rate=44_100)),)


def test_only_a_slow_session_still_gives_all() -> None:
    """Slowness changes the pace and nothing else; every other fault spoils the session."""
    slow = _injector("slow:0.5")
    assert (slow.is_faithful, slow.pace(0.0), slow.before_end()) == (True, 0.5, ())
    assert not _injector("silence").is_faithful
    assert _injector("drop").pace(1.5) == 1.5
    assert _injector("silent").before_end() == (Hang(),)


@pytest.mark.parametrize(
    ("code", "close"),
    [("40001", 1008), ("40101", 1000), ("42901", 1013), ("50001", 1011), ("", 1000)],
)
def test_an_error_is_followed_by_the_fitting_close(code: str, close: int) -> None:
    """The close code tells the same story as the error before it."""
    assert close_code_of(code) == close
