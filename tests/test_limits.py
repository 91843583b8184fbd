"""How fast and how often: limits as arithmetic on times that the test makes up."""

import heapq
import itertools
import random
from collections.abc import Callable

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
from batchjobs.limits import (
    Breaker,
    Budget,
    ConcurrencyLimit,
    ConnectionRamp,
    LatencyDrift,
    Price,
    RetryBudget,
    RetryPolicy,
    StartRate,
    parse_rate,
)

_POLICY = RetryPolicy()


# -- concurrency -------------------------------------------------------------------------------


def test_a_burst_of_refusals_is_one_cut() -> None:
    """Two hundred sessions refused at once take the limit from 200 to 140, not to 1."""
    limit = ConcurrencyLimit(maximum=200, initial=200)
    for number in range(200):
        limit.throttled(started_at=number / 1000, now=1.0 + number / 1000, active=200 - number)
    assert 140 <= limit.allowed(1.2) <= 145


def test_each_epoch_cuts_once() -> None:
    """A session that began after the cut may cut again; one that began with it may not."""
    limit = ConcurrencyLimit(maximum=200, initial=200)
    limit.throttled(started_at=0.0, now=1.0, active=200)
    limit.throttled(started_at=1.0, now=1.001, active=200)
    assert limit.allowed(1.001) == 140
    limit.throttled(started_at=1.1, now=1.101, active=200)
    assert 97 <= limit.allowed(1.101) <= 100


def test_a_limit_never_falls_below_one_session() -> None:
    """However often a service refuses, one session goes on asking."""
    limit = ConcurrencyLimit(maximum=8, initial=8)
    for epoch in range(100):
        limit.throttled(started_at=epoch + 0.5, now=epoch + 1.0, active=8)
        assert limit.allowed(epoch + 1.0) >= 1
    assert limit.allowed(100.0) == 1
    assert limit.allowed(200.0) > 1


def test_a_cut_is_made_good_quickly_then_growth_waits_then_goes_on() -> None:
    """The way back is fast up to just below the refused number, slow near it, fast beyond."""
    limit = ConcurrencyLimit(maximum=1_000, initial=200)
    limit.throttled(started_at=0.0, now=0.5, active=200)  # ends the slow start
    limit = ConcurrencyLimit(maximum=1_000, initial=1_000)
    limit.throttled(started_at=0.0, now=1.0, active=1_000)
    allowed = [limit.allowed(1.0 + seconds) for seconds in (0, 4, 8, 12, 16, 20)]
    steps = [after - before for before, after in itertools.pairwise(allowed)]
    assert allowed[0] == 700
    assert all(step >= 0 for step in steps)
    assert steps[0] > steps[1] > steps[2]
    assert 930 <= limit.allowed(14.0) <= 1_000


def test_slow_start_doubles_a_round_and_ends_with_the_first_cut() -> None:
    """From four sessions, a round of successes makes eight; after a refusal it does not."""
    limit = ConcurrencyLimit(maximum=256, initial=4)
    for expected in (8, 16, 32):
        for _ in range(limit.allowed(0.0)):
            limit.succeeded()
        assert limit.allowed(0.0) == expected
    limit.throttled(started_at=0.0, now=1.0, active=200)
    assert limit.allowed(1.0) == 22
    for _ in range(22):
        limit.succeeded()
    assert limit.allowed(1.0) == 22


def test_a_slow_service_is_cut_more_gently() -> None:
    """Answers that come later and later cut by a tenth, once an epoch."""
    limit = ConcurrencyLimit(maximum=200, initial=200)
    limit.slowed(started_at=0.0, now=1.0)
    limit.slowed(started_at=0.5, now=1.0)
    assert limit.allowed(1.0) == 180


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
            limit.succeeded()
        elif step == "throttled":
            limit.throttled(started_at=now - 0.5, now=float(now), active=active, pause_seconds=1.0)
        else:
            limit.slowed(started_at=now - 0.5, now=float(now))
        assert 1 <= limit.allowed(float(now)) <= maximum


# -- the limit against a service, in virtual time ------------------------------------------------


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
                self.allowed.append((now, limit.allowed(now)))
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
                    limit.succeeded()
                else:
                    limit.throttled(started_at=began, now=now, active=active + 1)
            while active < limit.allowed(now):
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


# -- outages -----------------------------------------------------------------------------------


def test_a_ten_minute_outage_costs_few_probes_and_no_attempts() -> None:
    """Five failures open the breaker; then at most thirty probes; every failure is excused."""
    breaker = Breaker()
    failed_at = [100.0 + number for number in range(5)]
    assert [breaker.failed(at) for at in failed_at] == [False] * 4 + [True]
    probes = 0
    now = 104.0
    while now < 700.0:
        now = max(now, breaker.next_probe_at)
        probes += 1
        breaker.failed(now)
        failed_at.append(now)
    assert probes <= 30
    assert breaker.open_for(700.0) == 600.0
    assert all(breaker.is_undecided(at) for at in failed_at)
    assert breaker.reached(800.0, began_at=799.0)
    assert all(breaker.excuses(at) for at in failed_at)
    assert not breaker.excuses(99.0)
    assert not breaker.excuses(801.0)
    assert (breaker.is_open, breaker.open_for(801.0)) == (False, 0.0)


def test_failures_between_successes_open_nothing_and_are_charged() -> None:
    """Four failures and a success, again and again, are no outage."""
    breaker = Breaker()
    for round_number in range(10):
        for number in range(4):
            at = round_number * 10.0 + number
            assert not breaker.failed(at)
            assert breaker.is_undecided(at)
        assert not breaker.reached(at + 2.0, began_at=at + 1.0)
        assert not breaker.is_undecided(round_number * 10.0)
        assert not breaker.excuses(round_number * 10.0)


def test_a_session_from_before_the_trouble_says_nothing_about_it() -> None:
    """What was connected before may go on while nothing new can be: the streak goes on as well."""
    breaker = Breaker()
    for number in range(4):
        breaker.failed(100.0 + number)
    assert not breaker.reached(103.5, began_at=99.0)
    assert breaker.failed(104.0)
    assert not breaker.reached(104.5, began_at=99.5)
    assert breaker.is_open
    assert breaker.reached(110.0, began_at=109.0)
    assert all(breaker.excuses(100.0 + number) for number in range(5))


def test_sessions_that_were_open_do_not_hasten_the_probes() -> None:
    """Failures that come before the next probe is due do not put it off either."""
    breaker = Breaker()
    for number in range(64):
        breaker.failed(number / 1000)
    assert breaker.next_probe_at == pytest.approx(1.004)


# -- budgets -----------------------------------------------------------------------------------


def test_the_retries_of_a_run_are_bounded() -> None:
    """A run retries at most its stock and once a job, however many attempts its jobs have."""
    budget = RetryBudget(stock=3.0, per_job=1.0)
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
    budget.job_began()
    assert [budget.take(), budget.take()] == [True, False]
    assert budget.taken == 4


@settings(max_examples=200)
@given(data=st.data(), limit=st.integers(0, 200), spent=st.integers(0, 50))
def test_a_budget_is_never_exceeded_in_any_schedule(
    data: st.DataObject, limit: int, spent: int
) -> None:
    """Whatever starts and ends in whatever order, what is spent never passes the limit."""
    budget = Budget(characters=limit, spent=Price(characters=spent))
    open_prices: list[Price] = []
    for _ in range(data.draw(st.integers(0, 60))):
        if open_prices and data.draw(st.booleans()):
            price = open_prices.pop(data.draw(st.integers(0, len(open_prices) - 1)))
            actual = data.draw(st.integers(0, price.characters))
            budget.settle(price, Price(characters=actual))
        else:
            price = Price(characters=data.draw(st.integers(1, 30)))
            if budget.reserve(price):
                open_prices.append(price)
            elif not open_prices:
                assert budget.give_up(price)  # or it would be waited for in vain
        promised = sum(price.characters for price in open_prices)
        assert budget.spent.characters + promised <= max(limit, spent)


def test_a_limit_without_room_is_named_and_closed_to_all_that_need_it() -> None:
    """What needs nothing of it goes on; what only waits for others to settle closes nothing."""
    budget = Budget(money=1.0, characters=100, audio_seconds=2.5)
    held = Price(money=0.5, characters=60)
    assert budget.reserve(held)
    waits = Price(money=0.5, characters=60)
    assert not budget.reserve(waits)
    assert budget.give_up(waits) == ""
    assert not budget.is_closed_to(waits)
    budget.settle(held, held)
    assert budget.give_up(waits) == "--max-characters 100"
    assert budget.is_closed_to(Price(characters=1))
    heard = Price(money=0.5, audio_seconds=2.5)
    assert not budget.is_closed_to(heard)
    assert budget.reserve(heard)
    assert budget.give_up(Price(money=0.75)) == "--budget 1"
    assert budget.give_up(Price(audio_seconds=2.75)) == "--max-audio 2.5"


def test_a_budget_of_money_and_of_seconds_holds_as_well() -> None:
    """Each limit counts by itself; what costs nothing of a kind is not held back by it."""
    budget = Budget(money=1.0, audio_seconds=10.0)
    assert budget.is_limited
    assert not Budget().is_limited
    assert budget.reserve(Price(money=0.9, characters=1_000_000))
    assert not budget.reserve(Price(money=0.2))
    assert budget.reserve(Price(audio_seconds=10.0))
    assert not budget.reserve(Price(audio_seconds=0.1))
    budget.settle(Price(money=0.9), Price(money=0.5))
    assert budget.reserve(Price(money=0.5))


def test_a_limit_that_is_met_exactly_is_met() -> None:
    """Ten times ten cents are a dollar, whatever floating point says."""
    budget = Budget(money=1.0)
    assert all(budget.reserve(Price(money=0.1)) for _ in range(10))
    assert not budget.reserve(Price(money=0.1))


# -- pauses and starts -------------------------------------------------------------------------


def test_a_pause_holds_back_every_start_and_is_never_shortened() -> None:
    """The longest of the pauses asked for holds, also if its session did not cut."""
    limit = ConcurrencyLimit(maximum=8, initial=8)
    assert limit.hold_until == float("-inf")
    limit.throttled(started_at=0.0, now=1.0, active=8, pause_seconds=30.0)
    limit.throttled(started_at=0.0, now=2.0, active=8, pause_seconds=1.0)
    assert limit.hold_until == 31.0
    limit.throttled(started_at=0.0, now=2.0, active=8, pause_seconds=60.0)
    assert limit.hold_until == 62.0


def test_a_service_cannot_put_a_run_to_sleep_for_ever() -> None:
    """A pause of a year, or without end, is an hour."""
    limit = ConcurrencyLimit(maximum=8, initial=8)
    limit.throttled(started_at=0.0, now=10.0, active=8, pause_seconds=float("inf"))
    assert limit.hold_until == 3610.0


def test_after_a_pause_sessions_start_one_after_the_other() -> None:
    """As many as are allowed take a second to start; then nothing holds them back."""
    limit = ConcurrencyLimit(maximum=100, initial=100)
    limit.throttled(started_at=0.0, now=1.0, active=100, pause_seconds=3.0)
    now, starts = limit.hold_until, 0
    assert now == 4.0
    while limit.hold_until < 5.0:
        now = max(now, limit.hold_until)
        limit.started(now)
        starts += 1
    assert abs(starts - limit.allowed(now)) <= 3
    for _ in range(100):
        limit.started(5.5)
    assert limit.hold_until <= 5.5


def test_a_cut_starts_from_what_was_open() -> None:
    """Refused when only seven were open, it is no use to ask for a hundred."""
    limit = ConcurrencyLimit(maximum=100, initial=100)
    limit.throttled(started_at=0.0, now=1.0, active=7)
    assert limit.allowed(1.0) == 4


def test_who_asks_for_pauses_is_asked_for_more_less_often() -> None:
    """A refusal that costs a pause of 3 s puts the search for more off by half a minute."""
    limits = [ConcurrencyLimit(maximum=1_000, initial=1_000) for _ in range(2)]
    for limit, pause in zip(limits, (0.0, 3.0), strict=True):
        limit.throttled(started_at=0.0, now=0.0, active=100, pause_seconds=pause)
        limit.throttled(started_at=0.0, now=0.0, active=99)  # takes nothing back
    often, seldom = (
        next(now for now in range(1, 200) if limit.allowed(float(now)) > 100) for limit in limits
    )
    assert often + 28 <= seldom <= often + 32


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


def test_a_crowd_of_connections_is_spread_and_a_few_are_not() -> None:
    """64 at once, then one a millisecond; after a pause 64 again; slower ones never wait."""
    ramp = ConnectionRamp()
    starts = [ramp.start_at(5.0) for _ in range(1_000)]
    assert starts[:64] == pytest.approx([5.0] * 64)
    steps = [later - sooner for sooner, later in itertools.pairwise(starts[63:])]
    assert steps == pytest.approx([0.001] * len(steps))
    assert [ramp.start_at(60.0) for _ in range(65)] == pytest.approx([60.0] * 64 + [60.001])
    assert all(ramp.start_at(now) == now for now in (70 + count / 900 for count in range(500)))
