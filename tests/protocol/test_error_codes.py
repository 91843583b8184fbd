"""Codes to classes, as the protocol's table of errors says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.errors import (
    PermanentError,
    QuotaSpentError,
    Reaction,
    SessionError,
    StopError,
    ThrottledError,
    TransientError,
)
from batchjobs.protocol import error_codes


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("40001", PermanentError),
        ("40101", StopError),
        ("40199", StopError),
        ("40201", QuotaSpentError),
        ("40301", StopError),
        ("40401", PermanentError),
        ("42201", PermanentError),
        ("42901", ThrottledError),
        ("42999", ThrottledError),
        ("50000", TransientError),
        ("50001", TransientError),
        ("50202", TransientError),
        ("401", StopError),
        (" 40101 ", StopError),
        ("401010", StopError),
        ("40", TransientError),
        ("", TransientError),
        ("0", TransientError),
        ("-40101", TransientError),
        ("E_LIMIT", TransientError),
        ("4.0e4", TransientError),
        ("٤٠١٠١", TransientError),
        ("20001", TransientError),
        ("99999", TransientError),
    ],
)
def test_a_code_goes_by_its_first_three_digits(code: str, kind: type[SessionError]) -> None:
    """Known codes have their class, unknown ones go by the HTTP status they begin with."""
    error = error_codes.from_code(code, "told")
    assert type(error) is kind
    assert error.code == code.strip()
    assert "told" in error.message


def test_an_unsupported_audio_format_is_no_matter_of_time() -> None:
    """40001 is said of requests and of audio alike: the same recording would be refused again."""
    error = error_codes.from_code("40001", "Unsupported audio format")
    assert error.reaction is Reaction.FAIL


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, TransientError),
        (400, PermanentError),
        (401, StopError),
        (402, QuotaSpentError),
        (403, StopError),
        (404, PermanentError),
        (429, ThrottledError),
        (500, TransientError),
        (502, TransientError),
        (503, TransientError),
    ],
)
def test_a_refused_handshake_goes_by_its_status(status: int, kind: type[SessionError]) -> None:
    """The handshake's HTTP status has the same classes as the codes."""
    error = error_codes.from_status(status)
    assert type(error) is kind
    assert error.code == str(status)
    assert str(status) in error.message


@pytest.mark.parametrize("status", [429, 503])
def test_the_asked_wait_is_kept(status: int) -> None:
    """Retry-After travels with the refusal."""
    assert error_codes.from_status(status, retry_after_seconds=7.0).retry_after_seconds == 7.0
    assert error_codes.from_status(status).retry_after_seconds is None


@pytest.mark.parametrize("status", [400, 404, 408])
def test_a_final_refusal_asks_for_no_wait(status: int) -> None:
    """A job that meets it in an outage tries again as soon as any other."""
    assert error_codes.from_status(status, retry_after_seconds=300.0).retry_after_seconds is None


@pytest.mark.parametrize("code", ["40101", "40201", "40301"])
def test_what_stops_a_run_says_what_to_do(code: str) -> None:
    """An error that ends everything has a hint."""
    assert error_codes.from_code(code, "").hint


@pytest.mark.parametrize(
    ("code", "normal"),
    [
        (1000, True),
        (None, True),
        (1005, True),
        (1001, False),
        (1006, False),
        (1011, False),
        (4000, False),
    ],
)
def test_normal_closes(code: int | None, normal: bool) -> None:
    """Only 1000 and a close without a code say nothing but the end."""
    assert error_codes.is_normal_close(code) is normal


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1008, 1009, 1011, 1012, 3000, 4999])
def test_a_close_before_the_end_is_transient(code: int | None) -> None:
    """Any close but 1013 is tried again, unknown ones too."""
    error = error_codes.from_close(code, "why", when="before any audio")
    assert type(error) is TransientError
    assert error.code == ("" if code is None else str(code))
    assert "before any audio" in error.message
    assert "(why)" in error.message


def test_try_again_later_throttles() -> None:
    """1013 asks for fewer sessions and uses up no attempt."""
    error = error_codes.from_close(1013, "", when="in mid-audio")
    assert error.reaction is Reaction.THROTTLE
    assert "()" not in error.message


def test_a_code_alone_reads_well() -> None:
    """A missing message leaves no loose colon, a missing code no gap."""
    assert error_codes.from_code("50001", "").message == "the service answered 50001"
    assert error_codes.from_code("", "").message == "the service says"
    assert error_codes.from_code("", "خطأ").message == "the service says: خطأ"


@given(st.text(max_size=2000))
@settings(max_examples=100, deadline=None)
def test_a_services_words_are_fit_for_a_log(text: str) -> None:
    """Whatever a service says is short, on one line, and without terminal controls."""
    for error in (
        error_codes.from_code(text, text),
        error_codes.from_close(1011, text, when="now"),
    ):
        assert len(error.message) < 1200
        assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in error.message)
    short = error_codes.quote("فشل 😀 " + text[:20])
    assert short.startswith("فشل 😀")
