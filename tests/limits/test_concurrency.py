"""How many sessions at once: cut by refusals, grown by successes, paused when asked."""

import heapq
import itertools
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.limits import ConcurrencyLimit, LatencyDrift


def test_a_burst_of_refusals_is_one_cut() -> None:
    """Two hundred sessions refused at once take the limit from 200 to 140, not to 1."""
    limit = ConcurrencyLimit(maximum=200, initial=200)
    for number in range(200):
        limit.add_refusal(started_at=number / 1000, now=1.0 + number / 1000, active=200 - number)
    assert 140 <= limit.room(1.2) <= 145


def test_each_epoch_cuts_once() -> None:
    """A session that began after the cut may cut again; one that began with it may not."""
    limit = ConcurrencyLimit(maximum=200, initial=200)
    limit.add_refusal(started_at=0.0, now=1.0, active=200)
    limit.add_refusal(started_at=1.0, now=1.001, active=200)
    assert limit.room(1.001) == 140
    limit.add_refusal(started_at=1.1, now=1.101, active=200)
    assert 97 <= limit.room(1.101) <= 100


def test_a_limit_never_falls_below_one_session() -> None:
    """However often a service refuses, one session goes on asking."""
    limit = ConcurrencyLimit(maximum=8, initial=8)
    for epoch in range(100):
        limit.add_refusal(started_at=epoch + 0.5, now=epoch + 1.0, active=8)
        assert limit.room(epoch + 1.0) >= 1
    assert limit.room(100.0) == 1
    assert limit.room(200.0) > 1


def test_a_cut_is_made_good_quickly_then_growth_waits_then_goes_on() -> None:
    """The way back is fast up to just below the refused number, slow near it, fast beyond."""
    limit = ConcurrencyLimit(maximum=1_000, initial=200)
    limit.add_refusal(started_at=0.0, now=0.5, active=200)  # ends the slow start
    limit = ConcurrencyLimit(maximum=1_000, initial=1_000)
    limit.add_refusal(started_at=0.0, now=1.0, active=1_000)
    allowed = [limit.room(1.0 + seconds) for seconds in (0, 4, 8, 12, 16, 20)]
    steps = [after - before for before, after in itertools.pairwise(allowed)]
    assert allowed[0] == 700
    assert all(step >= 0 for step in steps)
    assert steps[0] > steps[1] > steps[2]
    assert 930 <= limit.room(14.0) <= 1_000


def test_slow_start_doubles_a_round_and_ends_with_the_first_cut() -> None:
    """From four sessions, a round of successes makes eight; after a refusal it does not."""
    limit = ConcurrencyLimit(maximum=256, initial=4)
    for expected in (8, 16, 32):
        for _ in range(limit.room(0.0)):
            limit.add_success()
        assert limit.room(0.0) == expected
    limit.add_refusal(started_at=0.0, now=1.0, active=200)
    assert limit.room(1.0) == 22
    for _ in range(22):
        limit.add_success()
    assert limit.room(1.0) == 22


def test_a_slow_service_is_cut_more_gently() -> None:
    """Answers that come later and later cut by a tenth, once an epoch."""
    limit = ConcurrencyLimit(maximum=200, initial=200)
    limit.add_delay(started_at=0.0, now=1.0)
    limit.add_delay(started_at=0.5, now=1.0)
    assert limit.room(1.0) == 180


def test_drift_is_told_by_medians_not_by_outliers() -> None:
    """One slow answer is no drift; twenty that are three times as slow are."""
    drift = LatencyDrift()
    usual = [drift.add(0.2 if number % 20 else 9.0) for number in range(100)]
    assert not any(usual)
    slower = [drift.add(1.2) for _ in range(20)]
    assert slower == [False] * 19 + [True]
    assert not any(drift.add(0.3) for _ in range(20))


@settings(max_examples=50)
@given(
    maximum=st.integers(1, 300),
    initial=st.integers(1, 300),
    active=st.integers(1, 300),
    steps=st.lists(st.sampled_from(("good", "throttled", "slowed")), max_size=200),
)
def test_a_limit_stays_between_one_and_its_maximum(
    maximum: int, initial: int, active: int, steps: list[str]
) -> None:
    """Whatever happens in whatever order, 1 to the maximum sessions are allowed."""
    limit = ConcurrencyLimit(maximum=maximum, initial=initial)
    for now, step in enumerate(steps):
        if step == "good":
            limit.add_success()
        elif step == "throttled":
            limit.add_refusal(
                started_at=now - 0.5, now=float(now), active=active, pause_seconds=1.0
            )
        else:
            limit.add_delay(started_at=now - 0.5, now=float(now))
        assert 1 <= limit.room(float(now)) <= maximum


class Simulated:
    """A service with room for so many sessions, and a client that follows a `ConcurrencyLimit`.

    A discrete-event simulation: sessions take two seconds on average, a refusal comes after 50 ms.
    """

    def __init__(self, room: Callable[[float], int], *, seconds: float, seed: int) -> None:
        self.allowed: list[tuple[float, int]] = []
        self.done = self.refused = 0
        self.busy_seconds = 0.0
        self._order = itertools.count()
        self._events: list[tuple[float, int, str, float]] = []
        self._run(room, seconds, random.Random(seed))

    def _at(self, when: float, what: str, began: float) -> None:
        heapq.heappush(self._events, (when, next(self._order), what, began))

    def _run(self, room: Callable[[float], int], seconds: float, dice: random.Random) -> None:
        limit = ConcurrencyLimit(maximum=1_000, initial=4)
        active = served = 0
        self._at(0.0, "tick", 0.0)
        while True:
            now, _, what, began = heapq.heappop(self._events)
            if now > seconds:
                return
            if what == "tick":
                self.allowed.append((now, limit.room(now)))
                self._at(now + 0.1, "tick", 0.0)
            elif what == "asked" and served < room(now):
                served += 1
                length = dice.uniform(1.0, 3.0)
                self.busy_seconds += length
                self._at(now + length, "done", began)
            elif what == "asked":
                self._at(now + 0.05, "refused", began)
            else:
                active -= 1
                served -= what == "done"
                self.done += what == "done"
                self.refused += what == "refused"
                if what == "done":
                    limit.add_success()
                else:
                    limit.add_refusal(started_at=began, now=now, active=active + 1)
            while active < limit.room(now):
                active += 1
                self._at(now + 0.05, "asked", now)

    def first(self, when: float, holds: Callable[[int], bool]) -> float:
        """Seconds after `when` until the limit first is so."""
        return next(now for now, allowed in self.allowed if now >= when and holds(allowed)) - when


@pytest.mark.parametrize("room", [5, 10, 30, 100, 200, 500])
@pytest.mark.parametrize("seed", range(3))
def test_an_unknown_room_is_found_and_used(room: int, seed: int) -> None:
    """Within a minute the limit is at 70 to 100 % of the room, and little is refused or wasted.

    To find out whether there is more room it has to ask for more: by a few percent, for a moment.
    """
    service = Simulated(lambda _: room, seconds=300.0, seed=seed)
    settled = [allowed / room for now, allowed in service.allowed if now > 60.0]
    assert min(settled) >= 0.59  # one session of five is a fifth
    assert sum(0.7 <= share <= 1.03 + 1 / room for share in settled) >= 0.97 * len(settled)
    assert service.busy_seconds >= 0.85 * room * 300.0
    assert service.refused <= 0.03 * (service.done + service.refused)


@pytest.mark.parametrize("seed", range(5))
def test_a_room_that_falls_tenfold_is_followed_down_and_up(seed: int) -> None:
    """Down within 30 seconds, and back within 120 when the room returns."""
    service = Simulated(lambda now: 10 if 120 <= now < 180 else 100, seconds=420.0, seed=seed)
    assert service.first(120.0, lambda allowed: allowed <= 10) <= 30.0
    assert service.first(180.0, lambda allowed: allowed >= 70) <= 120.0
    assert service.refused <= 0.03 * (service.done + service.refused)


def test_a_pause_holds_back_every_start_and_is_never_shortened() -> None:
    """The longest of the pauses asked for holds, also if its session did not cut."""
    limit = ConcurrencyLimit(maximum=8, initial=8)
    assert limit.hold_until == float("-inf")
    limit.add_refusal(started_at=0.0, now=1.0, active=8, pause_seconds=30.0)
    limit.add_refusal(started_at=0.0, now=2.0, active=8, pause_seconds=1.0)
    assert limit.hold_until == 31.0
    limit.add_refusal(started_at=0.0, now=2.0, active=8, pause_seconds=60.0)
    assert limit.hold_until == 62.0


def test_a_service_cannot_put_a_run_to_sleep_for_ever() -> None:
    """A pause of a year, or without end, is an hour."""
    limit = ConcurrencyLimit(maximum=8, initial=8)
    limit.add_refusal(started_at=0.0, now=10.0, active=8, pause_seconds=float("inf"))
    assert limit.hold_until == 3610.0


def test_after_a_pause_sessions_start_one_after_the_other() -> None:
    """As many as are allowed take a second to start; then nothing holds them back."""
    limit = ConcurrencyLimit(maximum=100, initial=100)
    limit.add_refusal(started_at=0.0, now=1.0, active=100, pause_seconds=3.0)
    now, starts = limit.hold_until, 0
    assert now == 4.0
    while limit.hold_until < 5.0:
        now = max(now, limit.hold_until)
        limit.add_start(now)
        starts += 1
    assert abs(starts - limit.room(now)) <= 3
    for _ in range(100):
        limit.add_start(5.5)
    assert limit.hold_until <= 5.5


def test_a_cut_starts_from_what_was_open() -> None:
    """Refused when only seven were open, it is no use to ask for a hundred."""
    limit = ConcurrencyLimit(maximum=100, initial=100)
    limit.add_refusal(started_at=0.0, now=1.0, active=7)
    assert limit.room(1.0) == 4


def test_who_asks_for_pauses_is_asked_for_more_less_often() -> None:
    """A refusal that costs a pause of 3 s puts the search for more off by half a minute."""
    limits = [ConcurrencyLimit(maximum=1_000, initial=1_000) for _ in range(2)]
    for limit, pause in zip(limits, (0.0, 3.0), strict=True):
        limit.add_refusal(started_at=0.0, now=0.0, active=100, pause_seconds=pause)
        limit.add_refusal(started_at=0.0, now=0.0, active=99)  # takes nothing back
    often, seldom = (
        next(now for now in range(1, 200) if limit.room(float(now)) > 100) for limit in limits
    )
    assert often + 28 <= seldom <= often + 32
