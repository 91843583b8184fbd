"""Waits that grow."""

from batchjobs.limits import GrowingWait


def test_waits_grow_to_a_limit_and_begin_again() -> None:
    """Each is so many times the one before, up to the longest; what goes well starts them anew."""
    waits = GrowingWait(first_seconds=60, factor=2, most_seconds=200)
    assert [waits.next_seconds() for _ in range(4)] == [60, 120, 200, 200]
    waits.reset()
    assert waits.next_seconds() == 60
