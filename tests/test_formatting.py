"""Numbers in sentences are written as people write them."""

import pytest

from batchjobs.formatting import duration, money, plural


@pytest.mark.parametrize(
    ("seconds", "written"), [(4.25, "4.2 s"), (61, "1:01 min"), (3_725, "1:02:05 h")]
)
def test_lengths_are_written_as_people_read_them(seconds: float, written: str) -> None:
    """Seconds, then minutes, then hours."""
    assert duration(seconds) == written


@pytest.mark.parametrize(
    ("cost", "written"),
    [
        (1_234.5, "1,234.50 USD"),
        (0.01, "0.01 USD"),
        (0.0004, "0.0004 USD"),
        (0.007, "0.007 USD"),
        (0.5, "0.50 USD"),
        (0.0312, "0.0312 USD"),
    ],
)
def test_less_than_a_cent_is_not_nothing_and_not_a_cent(cost: float, written: str) -> None:
    """Sums have two digits after the point, and small ones as many as they need."""
    assert money(cost, "USD") == written


@pytest.mark.parametrize(
    ("count", "written"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (12_000, "12,000 rows")]
)
def test_one_is_no_plural(count: int, written: str) -> None:
    """One thing is one thing."""
    assert plural(count, "row") == written
