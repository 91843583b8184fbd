"""What rows come to as they are staged: asked of the database afterwards, it takes as long again to find out."""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import lt
from typing import TYPE_CHECKING, Final, NamedTuple

from batchjobs.checkpoint.new_rows import NEW, NewRows
from batchjobs.checkpoint.records import Row
from batchjobs.jobs import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SPEECH: Final = b'"speech":'
_BEHIND_SPEECH: Final = b',"audio":'
_MOST_SORTS: Final = 1_000
_KEPT_BYTES: Final = 6
"""Of each key: among a million, two in three hundred manifests look like twins that are none."""
_MOST_KEYS: Final = 2_000_000
"""Beyond, memory would grow with the manifest."""
_FEW_KEYS: Final = 10_000
"""So many are compared without numpy, which takes 60 ms and 12 MiB to import."""


class StagedTotal(NamedTuple):
    """A sum over the rows of one action, kind and provider."""

    action: str
    kind: str
    provider: str
    rows: int
    characters: int
    seconds: float
    sessions: int


class Sort(NamedTuple):
    """What rows have in common that are summed up together.

    Attributes:
        action: What is to be done about them.
        kind: Their jobs' kind.
        provider: Their provider.
        speech: What their encoded jobs say of how to speak.
    """

    action: str
    kind: str
    provider: str
    speech: bytes


@dataclass(slots=True)
class Sum:
    """What rows of a sort take together."""

    rows: int = 0
    characters: int = 0
    seconds: float = 0.0
    segments: int = 0

    def add(self, other: "Sum") -> None:
        """Add another sum."""
        self.rows += other.rows
        self.characters += other.characters
        self.seconds += other.seconds
        self.segments += other.segments


@dataclass(slots=True)
class Outline:
    """Keeps account of staged rows for as long as they are only added, and are of few sorts.

    Attributes:
        sums: By what the rows have in common; None if that is not known any more.
        has_unique_ids: Whether it is certain that no two rows have one id.
        has_unique_places: Likewise, of places.
    """

    sums: dict[Sort, Sum] | None = field(default_factory=dict)
    has_unique_ids: bool = True
    has_unique_places: bool = True
    _last_id: str = ""
    _last_place: str = ""
    _keys: list[bytes] | None = field(default_factory=list)
    """The beginnings of the rows' keys, many together; None where they are not known."""
    _count: int = 0

    def add(self, rows: Sequence[Row]) -> None:
        """Take rows into account."""
        self._sum(rows)
        self._look_for_twins(
            [row.id for row in rows], [row.place for row in rows if row.place is not None]
        )
        keys = [row.key for row in rows if row.key]
        try:  # they are hashes in hexadecimal
            self._keep_keys(list(map(bytes.fromhex, keys)))
        except ValueError:
            self._keys = None

    def add_new(self, rows: NewRows) -> None:
        """Take new rows into account."""
        if self.sums is not None:
            for provider, speech, count, characters in rows.list_portions():
                sort = Sort(NEW, Kind.TTS.value, provider, speech)
                self.sums.setdefault(sort, Sum()).add(Sum(count, characters, 0.0, count))
            self._forget_many()
        self._look_for_twins(rows.ids, rows.places)
        self._keep_keys(rows.digests)

    def spoil(self) -> None:
        """Give the sums up: a row was changed, or taken out."""
        self.sums = None

    def sum_up(self) -> list[StagedTotal] | None:
        """Sum the rows of one action, kind and provider, in their order; None if that is not known."""
        if self.sums is None:
            return None
        sums: dict[tuple[str, str, str], Sum] = {}
        for sort, one in self.sums.items():
            sums.setdefault(sort[:3], Sum()).add(one)
        return [
            StagedTotal(*sort, one.rows, one.characters, one.seconds, one.segments)
            for sort, one in sorted(sums.items())
        ]

    def count_manners(self, actions: Iterable[str]) -> list[tuple[str, str, bytes, int]] | None:
        """Count the rows with these actions by provider, kind and speech; None if that is not known."""
        if self.sums is None:
            return None
        counts = Counter[tuple[str, str, bytes]]()
        wanted = set(actions)
        for sort, one in self.sums.items():
            if sort.action in wanted:
                counts[sort.provider, sort.kind, sort.speech] += one.rows
        return [(*manner, rows) for manner, rows in counts.items()]

    def has_unique_keys(self) -> bool:
        """Whether it is certain that no two rows ask the same; to be called once they are all there."""
        if self._keys is None:
            return False
        joined, self._keys = b"".join(self._keys), None
        if self._count <= _FEW_KEYS:
            places = range(0, len(joined), _KEPT_BYTES)
            return len({joined[at : at + _KEPT_BYTES] for at in places}) == len(places)
        import numpy as np

        known = np.frombuffer(joined, dtype=np.uint8).reshape(-1, _KEPT_BYTES)
        del joined
        numbers = np.zeros((len(known), 8), dtype=np.uint8)
        numbers[:, :_KEPT_BYTES] = known
        del known
        return _are_unlike(numbers.view(np.uint64).ravel())

    def _keep_keys(self, keys: Sequence[bytes]) -> None:
        if self._keys is None:
            return
        self._count += len(keys)
        begun = b"".join([key[:_KEPT_BYTES] for key in keys])
        if len(begun) == _KEPT_BYTES * len(keys) and self._count <= _MOST_KEYS:
            self._keys.append(begun)
        else:
            self._keys = None

    def _sum(self, rows: Sequence[Row]) -> None:
        if self.sums is None:
            return
        for sort, group in groupby(rows, _sort_of):
            self.sums.setdefault(sort, Sum()).add(_sum_of(list(group)))
        self._forget_many()

    def _forget_many(self) -> None:
        if self.sums is not None and len(self.sums) > _MOST_SORTS:
            self.sums = None

    def _look_for_twins(self, ids: Sequence[str], places: Sequence[str]) -> None:
        # Nearly all manifests count their rows up; if not, it is for the database to say.
        if self.has_unique_ids and ids:
            self.has_unique_ids = self._last_id < ids[0] and all(map(lt, ids, ids[1:]))
            self._last_id = ids[-1]
        if self.has_unique_places and places:
            self.has_unique_places = self._last_place < places[0] and all(
                map(lt, places, places[1:])
            )
            self._last_place = places[-1]


def have_no_twins(texts: Iterable[Sequence[str]]) -> bool:
    """Whether it is certain that no two of these texts are the same, however many there are.

    Args:
        texts: Many together; two in thirty million manifests of a million look like twins that are none.
    """
    hashes = array("q")
    for some in texts:
        hashes.extend(map(hash, some))
        if len(hashes) > _MOST_KEYS:
            return False
    if len(hashes) <= _FEW_KEYS:
        return len(set(hashes)) == len(hashes)
    import numpy as np

    return _are_unlike(np.frombuffer(hashes, dtype=np.int64))


def _are_unlike(numbers: "NDArray[np.int64] | NDArray[np.uint64]") -> bool:
    numbers.sort()
    return not bool((numbers[1:] == numbers[:-1]).any())


def _sum_of(rows: Sequence[Row]) -> Sum:
    return Sum(
        rows=len(rows),
        characters=sum(row.characters for row in rows),
        seconds=sum(row.seconds for row in rows),
        segments=sum(row.segments for row in rows),
    )


def _sort_of(row: Row) -> Sort:
    return Sort(row.action, row.kind, row.provider, cut_speech(row.job))


def cut_speech(job: bytes) -> bytes:
    """Cut out of an encoded job what it says of how to speak; empty of what is none.

    Its fields come in their order, and a quote inside a value has a backslash before it.
    """
    first = job.find(_SPEECH)
    return job[first : job.find(_BEHIND_SPEECH, first)]
