"""Starts are spaced as asked, and a crowd of connections is spread."""

import itertools

import pytest

from batchjobs.limits import ConnectionRamp, StartRate


def test_starts_are_spaced_evenly_and_a_pause_saves_nothing_up() -> None:
    """Ten starts in no time stand a second apart; after idling there is no burst."""
    rate = StartRate(1.0)
    assert rate.next_at == float("-inf")
    for number in range(10):
        rate.add_start(0.0)
        assert rate.next_at == number + 1.0
    rate.add_start(100.0)
    assert rate.next_at == 101.0


def test_no_rate_holds_nothing_back() -> None:
    """Without a limit the next start is due at once."""
    rate = StartRate(0.0)
    rate.add_start(5.0)
    assert rate.next_at == 5.0


def test_a_crowd_of_connections_is_spread_and_a_few_are_not() -> None:
    """64 at once, then one a millisecond; after a pause 64 again; slower ones never wait."""
    ramp = ConnectionRamp()
    starts = [ramp.start_at(5.0) for _ in range(1_000)]
    assert starts[:64] == pytest.approx([5.0] * 64)
    steps = [later - sooner for sooner, later in itertools.pairwise(starts[63:])]
    assert steps == pytest.approx([0.001] * len(steps))
    assert [ramp.start_at(60.0) for _ in range(65)] == pytest.approx([60.0] * 64 + [60.001])
    assert all(ramp.start_at(now) == now for now in (70 + count / 900 for count in range(500)))


def test_another_rate_holds_from_the_last_start_on() -> None:
    """Slower or quicker, the next start is as far from the last one as the new rate says."""
    rate = StartRate(10.0)
    rate.add_start(100.0)
    rate.change(2.0)
    assert rate.next_at == pytest.approx(100.5)
    rate.change(4.0)
    assert rate.next_at == pytest.approx(100.25)
    rate.add_start(100.25)
    assert rate.next_at == pytest.approx(100.5)
    rate.change(0.0)
    assert rate.next_at == pytest.approx(100.25)
