"""How fast and how often: limits as arithmetic on times that the test makes up."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.errors import (
    ConfigurationError,
    KeyRefusedError,
    PermanentError,
    SessionError,
    StopError,
    SuspectError,
    ThrottledError,
    TimedOutError,
    TransientError,
)
from batchjobs.limits import ConcurrencyLimit, RetryPolicy, StartRate, parse_rate

_POLICY = RetryPolicy()


# -- concurrency -------------------------------------------------------------------------------


def test_a_burst_of_refusals_is_one_cut() -> None:
    """Two hundred sessions refused at once take the limit from 200 to 140, not to 1."""
    limit = ConcurrencyLimit(maximum=200, initial=200)
    for number in range(200):
        limit.throttled(started_at=number / 1000, now=1.0 + number / 1000, pause_seconds=2.0)
    assert limit.allowed == 140


def test_each_epoch_cuts_once() -> None:
    """A session that began after the cut may cut again; one that began with it may not."""
    limit = ConcurrencyLimit(maximum=200, initial=200)
    limit.throttled(started_at=0.0, now=1.0, pause_seconds=0.0)
    limit.throttled(started_at=1.0, now=1.5, pause_seconds=0.0)
    assert limit.allowed == 140
    limit.throttled(started_at=1.1, now=2.0, pause_seconds=0.0)
    assert limit.allowed == 98


def test_a_limit_never_falls_below_one_session() -> None:
    """However often a service refuses, one session goes on asking."""
    limit = ConcurrencyLimit(maximum=8, initial=8)
    for epoch in range(100):
        limit.throttled(started_at=epoch + 0.5, now=epoch + 1.0, pause_seconds=0.0)
    assert limit.allowed == 1
    limit.succeeded()
    assert limit.allowed == 2


def test_growth_after_a_cut_is_additive() -> None:
    """A round of successes brings one session more, however many there are."""
    limit = ConcurrencyLimit(maximum=200, initial=200)
    limit.throttled(started_at=0.0, now=1.0, pause_seconds=0.0)
    for expected in (141, 142, 143):
        for _ in range(limit.allowed + 1):
            limit.succeeded()
        assert limit.allowed == expected


def test_slow_start_doubles_a_round_and_ends_with_the_first_cut() -> None:
    """From four sessions, a round of successes makes eight; after a refusal it is one a round."""
    limit = ConcurrencyLimit(maximum=256, initial=4)
    for expected in (8, 16, 32):
        for _ in range(limit.allowed):
            limit.succeeded()
        assert limit.allowed == expected
    limit.throttled(started_at=0.0, now=1.0, pause_seconds=0.0)
    assert limit.allowed == 22
    for _ in range(22):
        limit.succeeded()
    assert limit.allowed == 23


@settings(max_examples=50)
@given(
    maximum=st.integers(1, 300),
    initial=st.integers(1, 300),
    steps=st.lists(st.booleans(), max_size=200),
)
def test_a_limit_stays_between_one_and_its_maximum(
    maximum: int, initial: int, steps: list[bool]
) -> None:
    """Whatever happens in whatever order, 1 to the maximum sessions are allowed."""
    limit = ConcurrencyLimit(maximum=maximum, initial=initial)
    for now, is_good in enumerate(steps):
        if is_good:
            limit.succeeded()
        else:
            limit.throttled(started_at=now - 0.5, now=float(now), pause_seconds=1.0)
        assert 1 <= limit.allowed <= maximum


def test_a_pause_holds_back_every_start_and_is_never_shortened() -> None:
    """The longest of the pauses asked for holds, also if its session did not cut."""
    limit = ConcurrencyLimit(maximum=8, initial=8)
    assert limit.hold_until == float("-inf")
    limit.throttled(started_at=0.0, now=1.0, pause_seconds=30.0)
    limit.throttled(started_at=0.0, now=2.0, pause_seconds=1.0)
    assert limit.hold_until == 31.0
    limit.throttled(started_at=0.0, now=2.0, pause_seconds=60.0)
    assert limit.hold_until == 62.0


def test_a_service_cannot_put_a_run_to_sleep_for_ever() -> None:
    """A pause of a year, or without end, is an hour."""
    limit = ConcurrencyLimit(maximum=8, initial=8)
    limit.throttled(started_at=0.0, now=10.0, pause_seconds=float("inf"))
    assert limit.hold_until == 3610.0


# -- starts ------------------------------------------------------------------------------------


def test_starts_are_spaced_evenly_and_a_pause_saves_nothing_up() -> None:
    """Ten starts in no time stand a second apart; after idling there is no burst."""
    rate = StartRate(1.0)
    assert rate.next_at == float("-inf")
    for number in range(10):
        rate.started(0.0)
        assert rate.next_at == number + 1.0
    rate.started(100.0)
    assert rate.next_at == 101.0


def test_no_rate_holds_nothing_back() -> None:
    """Without a limit the next start is due at once."""
    rate = StartRate(0.0)
    rate.started(5.0)
    assert rate.next_at == 5.0


# -- retries -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "used", "expected"),
    [
        (TransientError("x"), 1, True),
        (TransientError("x"), 4, True),
        (TransientError("x"), 5, False),
        (TransientError("x"), 6, False),
        (TimedOutError("x"), 4, True),
        (SuspectError("x"), 4, True),
        (SuspectError("x"), 5, False),
        (ThrottledError("x"), 1, True),
        (ThrottledError("x"), 500, True),
        (PermanentError("x"), 1, False),
        (StopError("x"), 1, False),
    ],
)
def test_what_is_worth_another_attempt(error: SessionError, used: int, *, expected: bool) -> None:
    """Passing trouble is, up to the limit; refusals for want of room always; the rest never."""
    assert _POLICY.is_worth_retrying(used, error, []) is expected


def test_a_subclass_is_retried_like_its_parent() -> None:
    """The decision goes by what an error says of itself, not by its exact class."""

    class OddError(TimedOutError):
        """Some finer kind."""

    assert _POLICY.is_worth_retrying(1, OddError("x"), [])
    assert KeyRefusedError.exit_code == 77


def test_an_error_in_free_text_is_worth_one_more_attempt() -> None:
    """A transcription_error is passing the first time and final the second."""
    error = TransientError("no", code="transcription_error")
    assert _POLICY.is_worth_retrying(1, error, [])
    assert _POLICY.is_worth_retrying(2, error, ["50001"])
    assert not _POLICY.is_worth_retrying(2, error, ["transcription_error"])
    assert not _POLICY.is_worth_retrying(3, error, ["transcription_error", "50001"])
    assert _POLICY.is_worth_retrying(3, TransientError("x", code="50001"), ["50001", "50001"])


@pytest.mark.parametrize(
    ("used", "bound"), [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (5_000, 60.0)]
)
def test_waits_grow_and_are_spread(used: int, bound: float) -> None:
    """A wait is anywhere up to a bound that doubles up to a minute."""
    dice = random.Random(7)
    waits = [_POLICY.wait_seconds(used, TransientError("x"), dice) for _ in range(500)]
    assert min(waits) >= bound * 0.1
    assert max(waits) <= bound
    assert max(waits) - min(waits) > bound * 0.8


@pytest.mark.parametrize(
    ("asked", "low"),
    [(7.0, 7.0), (0.0, 0.0), (-5.0, 0.0), (1e9, 3600.0), (float("inf"), 3600.0)],
)
def test_a_wait_that_the_service_asks_for_is_kept(asked: float, low: float) -> None:
    """Retry-After goes before our own arithmetic, with a little spread, and up to an hour."""
    dice = random.Random(7)
    error = TransientError("x", retry_after_seconds=asked)
    for _ in range(50):
        assert low <= _POLICY.wait_seconds(1, error, dice) <= low + 0.5


# -- rates -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5/s", 5.0),
        ("0.5/s", 0.5),
        ("300/min", 5.0),
        ("7200/h", 2.0),
        (" 10 / s ", 10.0),
        ("١٠/s", 10.0),
    ],
)
def test_rates_as_people_write_them(text: str, expected: float) -> None:
    """N/s, N/min and N/h are sessions a second, Arabic digits included."""
    assert parse_rate(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["", "5", "/s", "5/", "5/day", "0/s", "-1/s", "nan/s", "inf/s", "1e9/s", "x/s", "5/s/s"]
)
def test_what_is_no_rate_is_told_with_an_example(text: str) -> None:
    """Anything else is refused, with what to write instead."""
    with pytest.raises(ConfigurationError) as caught:
        parse_rate(text)
    assert f"'{text}'" in caught.value.message
    assert "5/s" in caught.value.hint
