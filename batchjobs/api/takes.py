"""Bad clips bought again as takes, in a run of its own, and the best of them put in their place."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from msgspec import structs

from batchjobs import text
from batchjobs.api.hearing import Clip, voice_of
from batchjobs.api.report import RunReport
from batchjobs.api.request import request_of
from batchjobs.api.run import carry_out_request
from batchjobs.checkpoint import (
    Checkpoint,
    CheckRecord,
    CheckVerdict,
    FileRecord,
    JobRecord,
    Row,
    Settled,
)
from batchjobs.files import run_folder
from batchjobs.files.atomic import publish
from batchjobs.jobs import Job, Status
from batchjobs.options import Options
from batchjobs.outputs import reuse
from batchjobs.outputs.writing import Written
from batchjobs.planning.keys import speech_key
from batchjobs.planning.plan import Plan
from batchjobs.progress import Observer

MOST_TAKES: Final = 9
"""That a clip can be bought again: what nine do not cure, a tenth does not."""
_RANKS: Final = {CheckVerdict.GOOD: 0, CheckVerdict.INCONCLUSIVE: 1, CheckVerdict.BAD: 2}
_PAUSES: Final = "pauses "


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """One purchase in a clip's place.

    Attributes:
        id: Of its job, in the run of the takes.
        number: It is the row's nth.
        row: Whose clip is bad.
        job: What is bought: the row's own, but for the column `take`.
        key: Of that.
        output: Where it stands in the folder of the takes.
    """

    id: str
    number: int
    row: Row
    job: Job
    key: str
    output: str


class TakeRun:
    """The run that buys takes.

    Args:
        folder: The run folder whose clips are bad.
        options: How to buy.
        step: By how much the column `take` grows from one of a row's takes to the next: more than
            any row's own, so that no two rows ask for the same.
    """

    def __init__(self, folder: Path, options: Options, step: int) -> None:
        self._run_folder = folder
        self.folder = folder / run_folder.TAKES
        self._request = request_of((), replace(options, output=self.folder, replace=True))
        self._step = step

    def make_takes(self, checkpoint: Checkpoint, rows: Sequence[Row], count: int) -> list[Take]:
        """Make the first takes of rows, the same ones each time.

        Args:
            checkpoint: The run folder's.
            rows: Whose clips are bad.
            count: Of each.
        """
        names = [_name_of(row.id, number) for row in rows for number in range(count + 1)]
        taken = checkpoint.rows.find_outcomes(names)
        takes = []
        for row in rows:
            job = row.read_job()
            for number in range(1, count + 1):
                name = _name_of(row.id, number)
                while name in taken:  # a row of the manifest is called so
                    name += "+"
                bought = structs.replace(job, take=job.take + number * self._step)
                key = speech_key(bought, self._request.providers[job.provider])
                output = path_of_take(name, row.output)
                takes.append(
                    Take(id=name, number=number, row=row, job=bought, key=key, output=output)
                )
        return takes

    def find_bought(self, takes: Sequence[Take]) -> dict[str, JobRecord]:
        """Find the takes that are there, by id."""
        if not (self.folder / run_folder.CHECKPOINT).is_file():
            return {}
        keys = {take.id: take.key for take in takes}
        with Checkpoint.read(self.folder) as checkpoint:
            records = checkpoint.lookups.find(list(keys))
        return {
            name: record
            for name, record in records.items()
            if record.status is Status.DONE and record.key == keys[name] and not record.is_damaged
        }

    def buy(
        self,
        takes: Sequence[Take],
        *,
        observe: Observer | None = None,
        announce: Callable[[Plan], None] | None = None,
    ) -> RunReport:
        """Buy takes; those that are there are not bought again.

        Args:
            takes: All that are to be there.
            observe: Gets every event.
            announce: Told what it will cost, before anything is bought.
        """
        layout = next((take.row.layout for take in takes if take.row.layout), "")
        options = _with_pauses(self._request.options, layout)
        rows = (_row_of(take) for take in takes)
        request = dataclasses.replace(self._request, source=rows, options=options)
        return carry_out_request(request, observe=observe, announce=announce)

    def clip_of(self, take: Take, record: JobRecord) -> Clip:
        """Give a take as a clip to be heard beside the run's own."""
        assert take.job.speech is not None
        return Clip(
            id=take.id,
            row_id=take.row.id,
            take=take.number,
            path=f"{run_folder.TAKES}/{record.files[0].path}",
            sha256=record.files[0].sha256,
            text=take.job.text,
            voice=voice_of(take.job, record.sample_rate),
            speed=take.job.speech.speed,
            sample_rate=record.sample_rate,
        )


def _name_of(row_id: str, number: int) -> str:
    return f"{row_id}.take{number}"


def path_of_take(name: str, output: str) -> str:
    """Give the path of a take in the folder of the takes: of the format that its row has."""
    ending = PurePosixPath(output).suffix.removeprefix(".").lower()
    return run_folder.usual_path(text.file_stem(name), ending)


def _row_of(take: Take) -> Mapping[str, object]:
    job = take.job
    assert job.speech is not None
    return {
        "id": take.id,
        "text": job.text,
        **dataclasses.asdict(job.speech),
        "take": job.take,
        "provider": job.provider,
        "output": take.output,
    }


def _with_pauses(options: Options, layout: str) -> Options:
    """Put long texts together with the pauses that a row's clip has."""
    if not layout.startswith(_PAUSES):
        return options
    _, *pauses = layout.split()
    sentence, paragraph = map(float, pauses)
    return replace(options, sentence_pause_seconds=sentence, paragraph_pause_seconds=paragraph)


def choose_best(checks: Sequence[CheckRecord]) -> CheckRecord:
    """Choose the best of a row's takes, its own the first of them; of equal ones the earliest.

    A take of which nothing was heard is never better than one of which something was.
    """
    own, *others = checks
    heard = [check for check in others if check.cer is not None]
    return min([own, *heard], key=lambda check: (_RANKS[check.verdict], check.badness))


def exchange_clip(
    checkpoint: Checkpoint,
    take: Take,
    bought: JobRecord,
    checks: Sequence[CheckRecord],
) -> bool:
    """Put a take in its row's place; the clip that stood there goes to the takes.

    Whatever a kill leaves, the clip and the take are both there, and the next run buys nothing.

    Args:
        checkpoint: The run folder's, held.
        take: The take.
        bought: Its record in the run of the takes.
        checks: What was found of the row's own clip, first, and of its takes.

    Returns:
        Whether it was; not if its file, or the row's, is not as it was.
    """
    row = take.row
    outcome = checkpoint.rows.find_outcomes([row.id]).get(row.id)
    record = outcome.record if outcome is not None else None
    if record is None or record.files[0].sha256 != checks[0].sha256:
        return False  # a run went on meanwhile, and bought another
    own = _keep_own(checkpoint, row, record, checks[0])
    if own is None:
        return False
    files = tuple(_below_takes(file) for file in bought.files)
    found = replace(bought, id=row.id, key=row.key, output=files[0].path, files=files)
    written = reuse.copy_result(checkpoint.folder, row.output, found)
    if written is None:
        return False
    checkpoint.begin_exchange(found, [own, *checks[1:]])
    _end_exchange(checkpoint, row, record, found, written)
    return True


def finish_exchanges(checkpoint: Checkpoint) -> None:
    """Finish what a killed check has begun: takes that were to be put in their rows' places.

    Args:
        checkpoint: The run folder's, held.
    """
    for found in checkpoint.lookups.find_exchanges():
        outcome = checkpoint.rows.find_outcomes([found.id]).get(found.id)
        record = None if outcome is None else outcome.record
        if outcome is None or record is None or outcome.row.key != found.key:
            continue  # the row asks for something else by now
        written = reuse.copy_result(checkpoint.folder, outcome.row.output, found)
        if written is not None and record.status is Status.DONE:
            _end_exchange(checkpoint, outcome.row, record, found, written)


def _end_exchange(
    checkpoint: Checkpoint, row: Row, record: JobRecord, found: JobRecord, written: Written
) -> None:
    is_new = record.files[0].sha256 != written.files[0].sha256
    new = replace(
        found,
        output=row.output,
        files=written.files,
        attempts=record.attempts + (found.attempts if is_new else 0),
        cost=record.cost + (found.cost if is_new else 0.0),
        started_at=record.started_at,
        copied_from="",
    )
    outcome = Settled(record=new, targets=written.targets)
    checkpoint.settle(starts=(), outcomes=[outcome])
    checkpoint.end_exchange(new)


def _keep_own(
    checkpoint: Checkpoint, row: Row, record: JobRecord, check: CheckRecord
) -> CheckRecord | None:
    """Keep a row's own clip among the takes; None if it is not as it was."""
    if check.take:
        return check  # it is one of them
    folder = checkpoint.folder
    path = f"{run_folder.TAKES}/{path_of_take(_name_of(row.id, 0), row.output)}"
    # Killed between the two renames, a check finds the clip there, and no more in its place.
    if reuse.find_changes(folder, [replace(record.files[0], path=path)]):
        with checkpoint.shelf.holding(file.path for file in record.files) as place:
            copied = reuse.copy_result(folder, path, record, place=place)
        if copied is None:
            return None
        publish(copied.targets)
    return replace(check, path=path)


def _below_takes(file: FileRecord) -> FileRecord:
    return replace(file, path=f"{run_folder.TAKES}/{file.path}")
