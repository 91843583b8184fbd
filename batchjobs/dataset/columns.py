"""The columns of a dataset: ours, and the manifests' own, united with one type a column."""

import enum
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from batchjobs.dataset.clips import Clip
from batchjobs.dataset.samples import Sample

_PREFIX: Final = "row_"
_REPRESENTED: Final = frozenset(
    "id text text_file audio voice_id model_id output output_format provider take language".split()
)
"""Columns of a manifest that ours say, or that mean nothing without the run."""
_LARGEST_WHOLE: Final = 2**63


class ColumnKind(enum.StrEnum):
    """What a column holds; whatever it is, it may be missing."""

    TEXT = "string"
    WHOLE = "int64"
    NUMBER = "float64"
    FLAG = "bool"


class Column(NamedTuple):
    """A column of a dataset."""

    name: str
    kind: ColumnKind


_OURS: Final = tuple(
    Column(name, kind)
    for name, kind in {
        "id": ColumnKind.TEXT,
        "text": ColumnKind.TEXT,
        "voice": ColumnKind.TEXT,
        "language": ColumnKind.TEXT,
        "seconds": ColumnKind.NUMBER,
        "sample_rate": ColumnKind.WHOLE,
        "provider": ColumnKind.TEXT,
        "model": ColumnKind.TEXT,
        "run": ColumnKind.TEXT,
        "verdict": ColumnKind.TEXT,
        "cer": ColumnKind.NUMBER,
    }.items()
)
_OUR_NAMES: Final = frozenset(column.name for column in _OURS) | {"audio", "file_name"}
_ALWAYS: Final = 8
"""How many of them are there in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The columns of a dataset, the same in all its splits.

    Attributes:
        own: The manifests' own.
        has_runs: Whether it says which run a row is from.
        has_checks: Whether it says what a check found.
    """

    own: tuple[Column, ...] = ()
    has_runs: bool = False
    has_checks: bool = False

    @property
    def columns(self) -> list[Column]:
        """List all columns: ours, then the manifests' own."""
        runs, checks = _OURS[_ALWAYS : _ALWAYS + 1], _OURS[_ALWAYS + 1 :]
        return [
            *_OURS[:_ALWAYS],
            *(runs if self.has_runs else ()),
            *(checks if self.has_checks else ()),
            *self.own,
        ]

    def values(self, sample: Sample, clip: Clip) -> list[object]:
        """Give the values of a row, in the order of the columns."""
        found: list[object] = [
            sample.id,
            sample.text,
            sample.voice,
            sample.language,
            clip.seconds,
            clip.sample_rate,
            sample.provider,
            sample.model,
        ]
        if self.has_runs:
            found.append(sample.run)
        if self.has_checks:
            found += (sample.verdict or None, sample.cer)
        found += convert_row(self.own, sample.columns)
        return found

    def record(self, sample: Sample, clip: Clip) -> dict[str, object]:
        """Give a row as a mapping."""
        names = (column.name for column in self.columns)
        return dict(zip(names, self.values(sample, clip), strict=True))


@dataclass(slots=True, kw_only=True)
class OwnColumns:
    """The manifests' own columns, as far as they were seen.

    Attributes:
        is_reserved: Whether a form keeps a name for itself.
        kinds: By the names in the dataset, in the order in which they were seen.
        renamed: By the names in the manifest: those that are called otherwise in the dataset.
    """

    is_reserved: Callable[[str], bool]
    kinds: dict[str, ColumnKind] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    def take(self, row: Mapping[str, object]) -> dict[str, object]:
        """Take the columns of a row that are the manifest's own, by their names in the dataset."""
        found: dict[str, object] = {}
        for column, value in row.items():
            if column in _REPRESENTED or value is None:
                continue
            name = self._names.get(column) or self._choose_name(column)
            found[name] = value
            known = self.kinds.get(name)
            if known is not ColumnKind.TEXT:
                self.kinds[name] = _unite(known, _kind_of(value))
        return found

    def columns(self) -> tuple[Column, ...]:
        """List them, in the order in which they were seen."""
        return tuple(Column(name, kind) for name, kind in self.kinds.items())

    def _choose_name(self, column: str) -> str:
        name = column
        if name in _OUR_NAMES or self.is_reserved(name):
            name = _PREFIX + name
        # What is reserved by its ending, or is another column's name already, gets another ending.
        while self.is_reserved(name) or name in self.kinds:
            name += "_"
        self._names[column] = name
        if name != column:
            self.renamed[column] = name
        return name


def convert_row(columns: Sequence[Column], row: Mapping[str, object]) -> Iterator[object]:
    """Give a value for every column, of its kind; None where the row has none."""
    for name, kind in columns:
        value = row.get(name)
        if value is None:
            yield None
        elif kind is ColumnKind.TEXT:
            yield as_text(value)
        elif kind is ColumnKind.NUMBER and isinstance(value, int):
            yield float(value)
        else:
            yield value


def as_text(value: object) -> str:
    """Write a value as text: a text as it is, nothing as nothing, all else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _kind_of(value: object) -> ColumnKind:
    match value:
        case bool():
            return ColumnKind.FLAG
        case int():
            fits = -_LARGEST_WHOLE <= value < _LARGEST_WHOLE
            return ColumnKind.WHOLE if fits else ColumnKind.TEXT
        case float():
            return ColumnKind.NUMBER
        case _:
            return ColumnKind.TEXT


def _unite(known: ColumnKind | None, new: ColumnKind) -> ColumnKind:
    if known is None or known is new:
        return new
    numbers = {ColumnKind.WHOLE, ColumnKind.NUMBER}
    return ColumnKind.NUMBER if {known, new} <= numbers else ColumnKind.TEXT
