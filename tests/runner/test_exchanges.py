"""Copies between rows that replace each other are made in an order in which nothing is lost."""

import itertools

import pytest

from batchjobs.runner.exchanges import order_copies


def simulate(donors: dict[str, str]) -> dict[str, str]:
    """Copy in that order between places that hold their own names; gives what they hold then."""
    places = {place: place for place in {*donors, *donors.values()}}
    held: dict[str, str] = {}
    for row, is_held in order_copies(donors):
        if is_held:
            places |= held
            held = {row: places[donors[row]]}
        else:
            places[row] = places[donors[row]]
    return places | held


@pytest.mark.parametrize(
    "donors",
    [
        {},
        {"b": "a"},
        {"b": "a", "c": "b", "d": "c"},
        {"d": "c", "c": "b", "b": "a"},
        {"a": "b", "b": "a"},
        {"a": "b", "b": "c", "c": "a", "x": "a", "y": "x"},
        {"a": "b", "b": "a", "c": "d", "d": "c"},
        {"b": "a", "c": "a", "d": "a", "a": "d"},
    ],
)
def test_each_row_gets_what_its_donor_held_at_first(donors: dict[str, str]) -> None:
    """Chains, circles, and circles with branches: none reads what was replaced already."""
    after = simulate(donors)
    assert {row: after[row] for row in donors} == donors


def test_every_small_exchange_is_right() -> None:
    """All ways in which five rows can be copied from each other, each row once."""
    rows = "abcde"
    for targets in itertools.product(rows, repeat=len(rows)):
        donors = {row: donor for row, donor in zip(rows, targets, strict=True) if row != donor}
        after = simulate(donors)
        assert {row: after[row] for row in donors} == donors
        assert sorted(row for row, _ in order_copies(donors)) == sorted(donors)


def test_a_chain_of_very_many_rows_is_ordered_at_once() -> None:
    """The order of a hundred thousand rows takes no recursion, and holds none back."""
    donors = {str(number): str(number - 1) for number in range(1, 100_000)}
    ordered = list(order_copies(donors))
    assert [row for row, _ in ordered] == [str(number) for number in range(99_999, 0, -1)]
    assert not any(is_held for _, is_held in ordered)
