"""New rows of speech as columns: their jobs are encoded only once they are written out."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import mod
from typing import Final, NamedTuple, TypeAlias

import msgspec
import orjson

from batchjobs.checkpoint.records import Row
from batchjobs.jobs import Cell, Kind

_Values: TypeAlias = tuple[int, int, str, str, str, str, int, str, bytes]
NEW: Final = "new"
"""What is to be done about them."""
NEW_VALUES: Final = f"VALUES (?, ?, ?, ?, ?, '{NEW}', '{Kind.TTS.value}', ?, ?, 0.0, ?, ?, 1, '')"
"""Takes what `NewRows.list_values` gives: to bind what all have in common takes as long as the rest."""
_encode: Final = msgspec.json.Encoder().encode


class Portion(NamedTuple):
    """Rows that are spoken in one manner.

    Attributes:
        provider: Their provider.
        speech: What their encoded jobs say of how to speak.
        rows: How many there are.
        characters: Of all their texts.
    """

    provider: str
    speech: bytes
    rows: int
    characters: int


class Mold(msgspec.Struct, frozen=True, array_like=True):
    """What rows of one manner and the same columns have in common.

    Attributes:
        provider: Their provider.
        job: The job as it is encoded, with a ``%b`` for each that a row has for itself: its id, line,
            text and own output, and its cells.
        speech: What it says of how to speak.
    """

    provider: str
    job: bytes
    speech: bytes


class NewRows(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Rows that follow each other, each of a text that is new and takes one session.

    Attributes:
        first_position: Of the first of them.
        first_line: Likewise; a line each.
        ids: As of a `Row`, like the others, of each in order.
        places: Likewise.
        digests: Likewise, the keys as they were hashed.
        outputs: Likewise.
        folders: Those that the outputs lie in, each with one of its outputs.
        texts: What their jobs say, of each in order.
        own_outputs: Likewise.
        columns: Of the manifest.
        cells: Of each column, those of all rows; None where it is one of the above.
        molds: What their jobs are made with.
        mold_numbers: Which of the molds, of each in order.
    """

    first_position: int
    first_line: int
    ids: Sequence[str]
    places: Sequence[str]
    digests: Sequence[bytes]
    outputs: Sequence[str]
    folders: Mapping[str, str]
    texts: Sequence[str]
    own_outputs: Sequence[str]
    columns: Sequence[str]
    cells: Sequence[Sequence[Cell] | None]
    molds: Sequence[Mold]
    mold_numbers: bytes

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.ids)

    def list_portions(self) -> list[Portion]:
        """Sum the rows up by how they are spoken."""
        sizes = list(map(len, self.texts))
        if len(self.molds) == 1:
            (mold,) = self.molds
            return [Portion(mold.provider, mold.speech, len(self), sum(sizes))]
        rows, characters = [0] * len(self.molds), [0] * len(self.molds)
        for number, size in zip(self.mold_numbers, sizes, strict=True):
            rows[number] += 1
            characters[number] += size
        return [
            Portion(mold.provider, mold.speech, *sums)
            for mold, *sums in zip(self.molds, rows, characters, strict=True)
        ]

    def list_values(self) -> Iterable[_Values]:
        """List what each row has for itself."""
        molds = [self.molds[number] for number in self.mold_numbers]
        return zip(
            itertools.count(self.first_position),
            itertools.count(self.first_line),
            self.ids,
            self.places,
            map(bytes.hex, self.digests),
            [mold.provider for mold in molds],
            map(len, self.texts),
            self.outputs,
            map(mod, [mold.job for mold in molds], self._list_contents()),
        )

    def list_rows(self) -> list[Row]:
        """Give them row by row."""
        return [
            Row(
                position,
                line,
                job_id,
                place,
                key,
                NEW,
                Kind.TTS.value,
                provider,
                size,
                0.0,
                output,
                job,
            )
            for position, line, job_id, place, key, provider, size, output, job in self.list_values()
        ]

    def _list_contents(self) -> Iterator[tuple[bytes, ...]]:
        """List what each row puts into its mold, as JSON."""
        ids, texts = list(map(orjson.dumps, self.ids)), list(map(orjson.dumps, self.texts))
        outputs = _write_all(self.own_outputs)
        lines = map(b"%d".__mod__, range(self.first_line, self.first_line + len(self)))
        known = {"id": ids, "text": texts, "output": outputs}
        cells = (
            known[column] if column_cells is None else _write_all(column_cells)
            for column, column_cells in zip(self.columns, self.cells, strict=True)
        )
        return zip(ids, lines, texts, outputs, *cells, strict=True)


def _write_all(cells: Sequence[Cell]) -> list[bytes]:
    """Write cells as JSON, equal texts once."""
    if set(map(type, cells)) != {str}:  # 1, 1.0 and true are equal, too
        return list(map(_encode, cells))
    written = {cell: orjson.dumps(cell) for cell in set(cells)}
    return [written[cell] for cell in cells]
