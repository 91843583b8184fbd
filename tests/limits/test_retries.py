"""What is worth another attempt, after how long, and how often in a run."""

import random

import pytest

from batchjobs.errors import (
    KeyRefusedError,
    PermanentError,
    SessionError,
    StopError,
    SuspectError,
    ThrottledError,
    TimedOutError,
    TransientError,
)
from batchjobs.limits import RetryBudget, RetryPolicy

_POLICY = RetryPolicy()


def test_the_retries_of_a_run_are_bounded() -> None:
    """A run retries at most its stock and once a job, however many attempts its jobs have."""
    budget = RetryBudget(stock=3.0, per_job=1.0)
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    budget.job_began()
    assert [budget.take(), budget.take()] == [True, False]
    assert budget.taken == 4


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
