"""Recordings that follow each other, in a new plan: which rows are their parts, and where their transcripts go."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Final

from batchjobs import text
from batchjobs.checkpoint import Checkpoint, StagedPart
from batchjobs.errors import OutputError
from batchjobs.files import run_folder
from batchjobs.files.paths import PathEscapeError
from batchjobs.formatting import plural
from batchjobs.jobs import BadRow, Job
from batchjobs.manifest.groups import find_part
from batchjobs.planning.bad_rows import BadRows, blame
from batchjobs.planning.output_paths import OutputPaths, fold, second_path
from batchjobs.planning.ownership import refuse_foreign_files_at
from batchjobs.planning.plan import Action

_SHOWN: Final = 3


@dataclass(slots=True, kw_only=True)
class GroupStager:
    """Stages the parts of groups beside their rows.

    Attributes:
        checkpoint: Where they are staged.
        paths: What is known of the folders.
        bad: Gets rows whose part of a group an earlier row is.
    """

    checkpoint: Checkpoint
    paths: OutputPaths
    bad: BadRows
    _waiting: list[StagedPart] = field(default_factory=list)
    _count: int = 0
    _without_part: list[int] = field(default_factory=list)
    _gaps: list[tuple[str, str]] = field(default_factory=list)

    def look_at(self, item: Job | BadRow, position: int) -> None:
        """Note a row that is a part of a group.

        Args:
            item: The row.
            position: Its place in the manifest.
        """
        found = find_part(item.row)
        if found is None:
            return
        if found.part:
            self._waiting.append(StagedPart(position, item.line, found.group, found.part))
        else:
            self._without_part.append(item.line)

    def stage(self) -> None:
        """Stage what was noted since the last time."""
        if self._waiting:
            self._count += len(self._waiting)
            self.checkpoint.groups.add_parts(self._waiting)
            self._waiting.clear()

    def settle(self) -> None:
        """Refuse parts that are there twice, and give each group a place; all rows have theirs.

        Raises:
            OutputError: A file is there that is not this run's, or the place leads out of the folder.
        """
        if not self._count:
            return
        staging = self.checkpoint.staging
        for twin in self.checkpoint.groups.find_twins():
            row, _ = staging.take(twin.position)
            if row.action != Action.BAD:
                message = f"part {twin.part} of the group '{twin.group}' is line {twin.first_line} already"
                hint = "give each part a number of its own; if the column means something else, rename it"
                row = self.bad.add(blame(row.read_job(), "part", message, hint), twin.position)
            staging.add([row])
        outputs: dict[str, str] = {}
        places: set[str] = set()
        for name, parts in self.checkpoint.groups.list_staged():
            output = self._choose_output(name, places)
            places.add(fold(output))
            outputs[name] = output
            if gaps := describe_gaps(parts):
                self._gaps.append((name, gaps))
        self.checkpoint.groups.add_outputs(outputs)

    def tell(self) -> Iterator[str]:
        """Say which parts are not there by their numbers, and which rows give none."""
        if not self._count:  # columns of these names that mean something else
            return
        if lines := self._without_part:
            shown = ", ".join(map(str, lines[:_SHOWN]))
            more = f" and {len(lines) - _SHOWN:,} more" if len(lines) > _SHOWN else ""
            has = "row has" if len(lines) == 1 else "rows have"
            yield (
                f"{len(lines):,} {has} a 'group' and no whole number from 1 in 'part' "
                f"(line {shown}{more}): in no group's transcript"
            )
        for name, gaps in self._gaps[:_SHOWN]:
            yield f"the group '{name}' has no part {gaps}: its time goes on without"
        if more_groups := len(self._gaps[_SHOWN:]):
            yield f"{plural(more_groups, 'more group')} lack parts by their numbers"

    def _choose_output(self, name: str, places: set[str]) -> str:
        """Choose where a group's transcript is to stand: as an id's, unless a row or group stands there."""
        usual = run_folder.usual_path(text.file_stem(name), None)
        for output in _list_paths(name, usual):
            place = fold(output)
            if place in places or self.checkpoint.staging.is_taken(place):
                continue
            try:
                self.paths.check_inside(output)
            except PathEscapeError as error:
                raise OutputError(error.message, hint="choose another --output") from error
            refuse_foreign_files_at(output, self.checkpoint, self.paths)
            return output
        raise AssertionError  # the paths never end


def describe_gaps(parts: Sequence[int]) -> str:
    """Name the numbers from 1 that are not there, as ``2, 5-7``; empty if none is missing.

    Args:
        parts: The numbers that are there, in order.
    """
    gaps = [(last + 1, after - 1) for last, after in pairwise([0, *parts]) if after > last + 1]
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in gaps)


def _list_paths(name: str, usual: str) -> Iterator[str]:
    yield usual
    other = Path(second_path(name, usual))
    yield str(other)
    for number in count(2):
        yield str(other.with_stem(f"{other.stem}-{number}"))
