"""Rows that are plainly good, judged many at a time, column by column; all others go to the rules one by one.

Most manifests are nearly all such rows, and a column of a thousand cells is judged in the time that one row
takes. Nothing is judged otherwise here than by `Rules`: rows are plain if it is certain that each would become
a job of theirs, and that nothing about one would be noted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from batchjobs.jobs import Cell, Job, Kind, derive_id
from batchjobs.manifest.cells import VOICE_COLUMNS, are_plain_ids, are_speakable
from batchjobs.manifest.columns import KNOWN_COLUMNS
from batchjobs.manifest.notes import SPREADSHEET_ERRORS, find_control, is_of_spreadsheet
from batchjobs.manifest.output_rules import are_plain_outputs
from batchjobs.manifest.rules import Manner, Rules, are_short

if TYPE_CHECKING:
    from typing_extensions import TypeIs

_MANNER_COLUMNS: Final = ("text_file", "audio", "provider", "take", *VOICE_COLUMNS)
"""What a spoken row is judged by beside its id, text and output: a few combinations in most manifests."""
_MANNERS_REMEMBERED: Final = 1_000
_MOST_LINES: Final = 256
_FEWEST_LINES: Final = 16
"""Where so few are not plain, they are read one by one."""


class Records(NamedTuple):
    """Rows as they were read, all of the same columns.

    Attributes:
        columns: Their names.
        cells: Of each column, those of all rows.
    """

    columns: tuple[str, ...]
    cells: Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainPage:
    """Good rows to be spoken that follow each other, a line each.

    Attributes:
        first_line: The manifest's line on which the first one stands.
        records: The rows as they came.
        ids: Their ids.
        has_own_ids: Whether the rows gave them; else they are derived.
        texts: What to speak.
        outputs: The rows' own paths of the results; empty for the default.
        manners: How to speak, each once.
        manner_numbers: Which of the manners, of each row in order.
    """

    first_line: int
    records: Records
    ids: Sequence[str]
    has_own_ids: bool
    texts: Sequence[str]
    outputs: Sequence[str]
    manners: Sequence[Manner]
    manner_numbers: bytes

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.ids)

    def list_jobs(self) -> list[Job]:
        """Make a job of each row, as the rules do."""
        columns = self.records.columns
        rows = zip(*self.records.cells, strict=True)
        manners = [self.manners[number] for number in self.manner_numbers]
        parts = zip(self.ids, self.texts, self.outputs, manners, rows, strict=True)
        return [
            Job(
                id=job_id,
                id_is_derived=not self.has_own_ids,
                line=line,
                kind=Kind.TTS,
                provider=manner.provider,
                text=text,
                speech=manner.speech,
                output=output,
                take=manner.take,
                row=dict(zip(columns, row, strict=True)),
            )
            for line, (job_id, text, output, manner, row) in enumerate(parts, self.first_line)
        ]


@dataclass(slots=True)
class PageJudge:
    """Finds rows that are plainly good: as many at once as it can, fewer where others stand among them."""

    rules: Rules
    _manners: dict[tuple[object, ...], Manner] = field(default_factory=dict)
    _most_lines: int = _MOST_LINES
    _next_look: int = 0
    """The line before which no row is looked at again."""

    def find_page(
        self,
        line: int,
        peek: Callable[[int], Sequence[bytes]],
        split: Callable[[Sequence[bytes]], Records | None],
    ) -> PlainPage | None:
        """Find plain rows at a line where a row begins.

        Args:
            line: Its number.
            peek: Gives as many of the lines from there on as it is asked for, at most.
            split: Makes rows of lines, one of each; None if they are none, or may not be plain.

        Returns:
            The rows, whose lines are to be passed over; None if the next row is to be read by itself.
        """
        while line >= self._next_look and (lines := peek(self._most_lines)):
            records = split(lines)
            page = None if records is None else self.judge(line, records)
            if page is not None:
                self._most_lines = min(2 * self._most_lines, _MOST_LINES)
                return page
            if len(lines) <= _FEWEST_LINES:
                self._next_look = line + len(lines)
            self._most_lines = max(_FEWEST_LINES, len(lines) // 2)
        return None

    def judge(self, first_line: int, records: Records) -> PlainPage | None:
        """Judge rows.

        Args:
            first_line: Where the first one stands.
            records: The rows.

        Returns:
            None if one of them may be anything but good.
        """
        cells = dict(zip(*records, strict=True))
        texts = cells.get("text", ())
        if not _are_texts(texts) or not _are_plain_texts(texts) or _may_hold_header(records):
            return None
        ids = _read_ids(cells.get("id", ()))
        if ids is None or (
            ids and not (are_plain_ids(ids) and not any(map(is_of_spreadsheet, ids)))
        ):
            return None
        outputs = cells.get("output", ("",) * len(texts))
        if not _are_texts(outputs) or not are_plain_outputs(outputs, Kind.TTS):
            return None
        found = self._find_manners(cells, len(texts))
        if found is None:
            return None
        manners, manner_numbers = found
        return PlainPage(
            first_line=first_line,
            records=records,
            ids=ids or _derive_ids(records),
            has_own_ids=bool(ids),
            texts=texts,
            outputs=outputs,
            manners=manners,
            manner_numbers=manner_numbers,
        )

    def _find_manners(
        self, cells: Mapping[str, Sequence[Cell]], count: int
    ) -> tuple[list[Manner], bytes] | None:
        """Find the rows' manners; None if one of them is none, or if they are too many to remember."""
        names = tuple(column for column in _MANNER_COLUMNS if column in cells)
        columns = [cells[column] for column in names]
        # 1, 1.0 and true are equal, and true is no speed.
        columns += [list(map(_type_of, column)) for column in columns if not _are_texts(column)]
        rows = list(zip(*columns, strict=True)) if names else [()] * count
        numbers = {row: number for number, row in enumerate(dict.fromkeys(rows))}
        manners = []
        for row in numbers:
            manner = self._manners.get((names, row))
            if manner is None:
                if len(self._manners) >= _MANNERS_REMEMBERED or not are_short(row):
                    return None
                manner = self.rules.find_manner(dict(zip(names, row, strict=False)))
                if manner is None:
                    return None
                self._manners[names, row] = manner
            manners.append(manner)
        return manners, bytes(map(numbers.__getitem__, rows))


def _are_texts(cells: Sequence[Cell]) -> "TypeIs[Sequence[str]]":
    return set(map(type, cells)) == {str}


def _type_of(cell: Cell) -> str:
    return type(cell).__name__


def _read_ids(cells: Sequence[Cell]) -> Sequence[str] | None:
    """Read ids: none if they are to be derived; None if they may be no ids, or only some are given."""
    types = set(map(type, cells))
    if types == {int}:
        return list(map(str, cells))
    if types <= {str, type(None)} and not any(cells):
        return ()
    return cells if _are_texts(cells) else None


def _are_plain_texts(texts: Sequence[str]) -> bool:
    """Whether nothing is wrong with any of these texts, or odd about it, as the rules have it."""
    joined = "".join(texts)
    if find_control(joined):
        return False
    if "#" in joined and any(text.strip() in SPREADSHEET_ERRORS for text in texts):
        return False
    return are_speakable(texts)


def _may_hold_header(records: Records) -> bool:
    """Whether a row may be a header once more: its first cell is a column's name."""
    names = {*KNOWN_COLUMNS, records.columns[0].strip().casefold()}
    firsts = (cell for cell in records.cells[0] if isinstance(cell, str))
    return not names.isdisjoint(cell.strip().casefold() for cell in firsts)


def _derive_ids(records: Records) -> list[str]:
    rows = zip(*records.cells, strict=True)
    return [derive_id(dict(zip(records.columns, row, strict=True))) for row in rows]
