"""A budget is never exceeded, and a limit that has no room is named."""

from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.limits import Budget, Price


@settings(max_examples=200)
@given(data=st.data(), limit=st.integers(0, 200), spent=st.integers(0, 50))
def test_a_budget_is_never_exceeded_in_any_schedule(
    data: st.DataObject, limit: int, spent: int
) -> None:
    """Whatever starts and ends in whatever order, what is spent never passes the limit."""
    budget = Budget(characters=limit, spent=Price(characters=spent))
    open_prices: list[Price] = []
    for _ in range(data.draw(st.integers(0, 60))):
        if bool(open_prices) and data.draw(st.booleans()):
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
