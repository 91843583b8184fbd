"""Two rows with one id or one path: the second gets others where that serves, and is bad elsewhere."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec
from msgspec import structs

from batchjobs.checkpoint import Checkpoint, Row
from batchjobs.jobs import Job
from batchjobs.planning.bad_rows import BadRows, blame
from batchjobs.planning.decisions import Decider
from batchjobs.planning.output_paths import move_row, second_path
from batchjobs.planning.plan import Action

_OWN_OUTPUT = "give every row an output of its own"


@dataclass(slots=True, kw_only=True)
class Conflicts:
    """Settles conflicts between staged rows."""

    checkpoint: Checkpoint
    decider: Decider
    bad: BadRows
    _twins: dict[str, int] = field(default_factory=dict)

    def settle(self, positions: Iterable[int]) -> None:
        """Give rows whose id or path an earlier one has another, if that serves."""
        for position in positions:
            row, holder = self.checkpoint.staging.take(position)
            if holder is None:  # it has made room
                self.checkpoint.staging.add([row])
            else:
                self._stage_otherwise(row, holder)

    def refuse_folders(self, folders: Iterable[tuple[int, str]]) -> None:
        """Call rows bad whose output lies in a folder that is the output of another.

        Args:
            folders: Positions of rows, each with the folded path of a folder that may be one.
        """
        for position, folder in folders:
            holder = self.checkpoint.staging.find_at(folder)
            if holder is None:
                continue
            row, _ = self.checkpoint.staging.take(position)
            if row.action != Action.BAD:
                message = f"'{holder.output}' is the output of line {holder.line}, and no folder"
                row = self.bad.add(blame(row.read_job(), "output", message, _OWN_OUTPUT), position)
            self.checkpoint.staging.add([row])

    def _stage_otherwise(self, row: Row, holder: Row) -> None:
        taken: Row | None = holder
        while taken is not None and row.action != Action.BAD:
            row = self._rename(row, taken)
            taken = self.checkpoint.staging.add_if_free(row)
        names = (f"{row.id}-line-{row.line}{end}" for end in _endings())
        while taken is not None:
            row = row._replace(id=next(names))
            taken = self.checkpoint.staging.add_if_free(row)

    def _rename(self, row: Row, holder: Row) -> Row:
        job = row.read_job()
        if row.id == holder.id:
            if job.id_is_derived:
                return self._name_twin(row, job)
            message = f"the id '{row.id}' is already used on line {holder.line}"
            bad = blame(job, "id", message, "ids must be unique; rename one of them")
            return self.bad.add(bad, row.position)
        if job.output:
            message = f"'{job.output}' is already the output of line {holder.line}"
            return self.bad.add(blame(job, "output", message, _OWN_OUTPUT), row.position)
        # Two ids that differ only in case: fine, but not as file names on every system.
        other = second_path(row.id, self.decider.builder.output_of(job))
        if row.output == other:
            message = f"its file '{other}' is already that of line {holder.line}"
            return self.bad.add(blame(job, "id", message, "rename one of them"), row.position)
        return self.decider.look_up_and_decide(move_row(row, other))

    def _name_twin(self, row: Row, job: Job) -> Row:
        """Name the second of two equal rows without ids: it does not matter which of them it is."""
        number = self._twins[row.id] = self._twins.get(row.id, 1) + 1
        job = structs.replace(job, id=f"{row.id}-{number}")
        row = row._replace(id=job.id, job=msgspec.json.encode(job))
        return self.decider.look_up_and_decide(move_row(row, self.decider.builder.output_of(job)))


def _endings() -> Iterator[str]:
    yield ""
    yield from (f"-{number}" for number in itertools.count(2))
