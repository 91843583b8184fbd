"""Copies between rows that replace each other's results: in which order nothing is lost."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping


def order_copies(donors: Mapping[str, str]) -> Iterator[tuple[str, bool]]:
    """Order rows so that each is copied before its donor's own result is replaced.

    A column of texts that has moved by one row makes a chain: its last row goes first. Rows that have
    exchanged their texts make a circle: one of them is read first and put in its place last.

    Args:
        donors: By id of a row, the id of the row that it is copied from.

    Yields:
        A row's id, and whether its copy is to be held back until the next that is, or the end: the
        others of its circle are in their places by then.
    """
    readers = Counter(donors.values())
    left = dict(donors)
    ready = deque(row for row in donors if not readers[row])
    while left:
        is_held = not ready
        row = next(iter(left)) if is_held else ready.popleft()
        yield row, is_held
        donor = left.pop(row)
        readers[donor] -= 1
        if not readers[donor] and donor in left:
            ready.append(donor)
