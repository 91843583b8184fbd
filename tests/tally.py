"""What a test has counted of the faults it made: tests/faults/table.py adds it all up."""

from collections import Counter

__all__ = ["begin", "count", "counted"]

_figures: Counter[str] = Counter()


def begin() -> None:
    """Forget what an earlier test has counted."""
    _figures.clear()


def count(**figures: int) -> None:
    """Add to the running test's figures.

    Args:
        figures: Any of `cases`, inputs or faults that struck; `runs` of the product; `lost`, rows
            without an answer and results that were there and are gone; `repeated`, sessions paid
            for again; `corrupt`, files under a final name that are not whole.
    """
    for name, number in figures.items():
        _figures[name] += number  # a zero is a figure as well: somebody has looked


def counted() -> dict[str, int]:
    """Give what the running test has counted so far."""
    return dict(_figures)
