"""After how long a failed attempt is followed by another, and how often in a run."""

import random

import pytest

from batchjobs.limits import RetryBudget, RetryPolicy

_POLICY = RetryPolicy(attempts=5)


def test_the_retries_of_a_run_are_bounded() -> None:
    """A run retries at most its stock and once a job, however many attempts its jobs have."""
    budget = RetryBudget(stock=3.0, per_job=1.0)
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    budget.add_job()
    assert not budget.is_spent
    assert [budget.take(), budget.take()] == [True, False]
    assert budget.is_spent


@pytest.mark.parametrize(
    ("used", "bound"), [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (5_000, 60.0)]
)
def test_waits_grow_and_are_spread(used: int, bound: float) -> None:
    """A wait is anywhere up to a bound that doubles up to a minute."""
    dice = random.Random(7)
    waits = [_POLICY.wait_seconds(used, None, dice) for _ in range(500)]
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
    for _ in range(50):
        assert low <= _POLICY.wait_seconds(1, asked, dice) <= low + 0.5


@pytest.mark.parametrize(
    ("throttled", "asked", "expected"),
    [
        (1, None, 2.0),
        (2, None, 4.0),
        (6, None, 60.0),
        (5_000, None, 60.0),
        (9, 7.0, 7.0),
        (1, 0.0, 0.5),
        (1, -5.0, 0.5),
        (1, float("inf"), 3600.0),
    ],
)
def test_a_refusal_for_want_of_room_is_followed_by_a_pause(
    throttled: int, asked: float | None, expected: float
) -> None:
    """As long as the service asks, within bounds; else it doubles up to a minute."""
    assert _POLICY.pause_seconds(throttled, asked) == expected


def test_tests_with_short_pauses_may_have_shorter_ones() -> None:
    """The least pause is never longer than the policy's own first one."""
    policy = RetryPolicy(attempts=5, throttle_seconds=0.01)
    assert policy.pause_seconds(1, 0.0) == 0.01
