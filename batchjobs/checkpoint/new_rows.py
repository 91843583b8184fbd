"""New rows of speech as columns: a million of them are written in three quarters of the time of rows."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from batchjobs.checkpoint.records import Row
from batchjobs.jobs import Kind

_Values: TypeAlias = tuple[int, int, str, str, str, str, int, str, bytes]
NEW: Final = "new"
"""What is to be done about them."""
INSERT_NEW: Final = f"""INSERT INTO temp.staged
    VALUES (?, ?, ?, ?, ?, '{NEW}', '{Kind.TTS.value}', ?, ?, 0.0, ?, ?, 1, '')"""
"""Takes what `NewRows.list_values` gives: to bind what all have in common takes as long as the rest."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRows:
    """Rows that follow each other, each of a text that is new and takes one session.

    Attributes:
        first_position: Of the first of them.
        first_line: Likewise; a line each.
        ids: As of a `Row`, like the others, of each in order.
        places: Likewise.
        keys: Likewise.
        providers: Likewise.
        characters: Likewise.
        outputs: Likewise.
        jobs: Likewise.
        portions: The same rows, by how they are spoken.
    """

    first_position: int
    first_line: int
    ids: Sequence[str]
    places: Sequence[str]
    keys: Sequence[str]
    providers: Sequence[str]
    characters: Sequence[int]
    outputs: Sequence[str]
    jobs: Sequence[bytes]
    portions: Sequence[Portion]

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.ids)

    def list_values(self) -> Iterable[_Values]:
        """List what each row has for itself."""
        return zip(
            itertools.count(self.first_position),
            itertools.count(self.first_line),
            self.ids,
            self.places,
            self.keys,
            self.providers,
            self.characters,
            self.outputs,
            self.jobs,
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
