"""An iterator that runs ahead gives the same, and its thread ends with whoever takes it."""

import threading
from collections.abc import Iterator

import pytest

from batchjobs.audiobook.overlap import RunAhead


def test_the_same_comes_in_the_same_order() -> None:
    """Also through two of them."""
    with RunAhead(iter(range(100))) as first, RunAhead(n + 1 for n in first) as second:
        assert list(second) == list(range(1, 101))


def test_an_error_comes_where_it_would_have_come() -> None:
    """After what was made before it."""

    def break_off() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    seen: list[int] = []
    with (
        pytest.raises(ValueError, match="broken"),
        RunAhead(break_off()) as first,
        RunAhead(n for n in first) as second,
    ):
        seen += second
    assert seen == [1]


def test_it_runs_no_further_than_it_must() -> None:
    """Memory does not grow, and a loop that is left leaves no thread."""
    made = []
    begun = threading.active_count()

    def make() -> Iterator[int]:
        for number in range(1_000_000):
            made.append(number)
            yield number

    with RunAhead(make()) as first, RunAhead(n for n in first) as second:
        for number in second:
            if number == 10:
                break
    assert threading.active_count() == begun
    assert len(made) < 30
