"""An outage opens the breaker: few probes, no attempts."""

import pytest

from batchjobs.limits import Breaker


def test_a_ten_minute_outage_costs_few_probes_and_no_attempts() -> None:
    """Five failures open the breaker; then at most thirty probes; every failure is excused."""
    breaker = Breaker()
    failed_at = [100.0 + number for number in range(5)]
    assert [breaker.add_failure(at) for at in failed_at] == [False] * 4 + [True]
    probes = 0
    now = 104.0
    while now < 700.0:
        now = max(now, breaker.next_probe_at)
        probes += 1
        breaker.add_failure(now)
        failed_at.append(now)
    assert probes <= 30
    assert breaker.open_for(700.0) == 600.0
    assert all(breaker.is_undecided(at) for at in failed_at)
    assert breaker.add_contact(800.0, began_at=799.0)
    assert all(breaker.excuses(at) for at in failed_at)
    assert not breaker.excuses(99.0)
    assert not breaker.excuses(801.0)
    assert (breaker.is_open, breaker.open_for(801.0)) == (False, 0.0)


def test_failures_between_successes_open_nothing_and_are_charged() -> None:
    """Four failures and a success, again and again, are no outage."""
    breaker = Breaker()
    for round_number in range(10):
        for at in (round_number * 10.0 + number for number in range(4)):
            assert not breaker.add_failure(at)
            assert breaker.is_undecided(at)
        assert not breaker.add_contact(at + 2.0, began_at=at + 1.0)
        assert not breaker.is_undecided(round_number * 10.0)
        assert not breaker.excuses(round_number * 10.0)


def test_a_session_from_before_the_trouble_says_nothing_about_it() -> None:
    """What was connected before may go on while nothing new can be: the streak goes on as well."""
    breaker = Breaker()
    for number in range(4):
        breaker.add_failure(100.0 + number)
    assert not breaker.add_contact(103.5, began_at=99.0)
    assert breaker.add_failure(104.0)
    assert not breaker.add_contact(104.5, began_at=99.5)
    assert breaker.is_open
    assert breaker.add_contact(110.0, began_at=109.0)
    assert all(breaker.excuses(100.0 + number) for number in range(5))


def test_sessions_that_were_open_do_not_hasten_the_probes() -> None:
    """Failures that come before the next probe is due do not put it off either."""
    breaker = Breaker()
    for number in range(64):
        breaker.add_failure(number / 1000)
    assert breaker.next_probe_at == pytest.approx(1.004)
