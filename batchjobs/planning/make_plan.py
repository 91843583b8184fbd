"""Jobs x checkpoint: what there is to do, what it costs, and every row that cannot be done."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import BatchjobsError
from batchjobs.jobs import BadRow, Job
from batchjobs.manifest import PlainPage
from batchjobs.options import Options
from batchjobs.planning.absent import AbsentRecordings
from batchjobs.planning.bad_rows import BadRows
from batchjobs.planning.decisions import Decider
from batchjobs.planning.former import FormerDefaults
from batchjobs.planning.groups import GroupStager
from batchjobs.planning.ownership import refuse_foreign_reports
from batchjobs.planning.plan import TO_BUY, Action, BadRowsError, Plan
from batchjobs.planning.row_builder import RowBuilder
from batchjobs.planning.selection import postpone
from batchjobs.planning.stager import Stager
from batchjobs.planning.totals import sum_plan
from batchjobs.providers import Provider
from batchjobs.storage.input_files import InputFiles


class RowsMeetError(BatchjobsError):
    """A row that was added has an id or a place of an adopted one: all of them have to be planned."""


def make_plan(  # noqa: PLR0913  # each says another thing
    rows: Iterable[Job | BadRow | PlainPage],
    *,
    checkpoint: Checkpoint,
    providers: Mapping[str, Provider],
    options: Options,
    name: str,
    fingerprint: str = "",
    inputs_folder: str = "",
    progress: Callable[[int], None] | None = None,
    files: InputFiles | None = None,
) -> Plan:
    """Check every row, find out what is done, and stage the rest in the checkpoint.

    Spends nothing and changes nothing in the run folder but the memory of recordings read.

    Args:
        rows: The manifest's rows, streamed; good ones may come many at a time.
        checkpoint: The run folder's.
        providers: By name.
        options: What the command line says.
        name: The manifest, for messages.
        fingerprint: Of the manifest and of all that its rows are made with; empty if not known.
        inputs_folder: What recordings' paths are relative to, resolved; empty if they may be in
            more than one place.
        progress: Called with the number of rows seen so far.
        files: Lends the recordings.

    Returns:
        The plan; the staged rows wait in `Checkpoint.staging` to be adopted.

    Raises:
        BadRowsError: Rows that cannot be run, unless they are to be skipped.
        ManifestError: The manifest cannot be read.
        OutputError: A result would overwrite a file that is not this run's.
    """
    refuse_foreign_reports(checkpoint)
    is_known = bool(fingerprint) and fingerprint == checkpoint.read_settings().get("fingerprint")
    checkpoint.staging.begin(keeps_rest=is_known)
    stager = _make_stager(checkpoint, providers, options, inputs_folder, progress, files=files)
    if is_known:
        stager.stage_what_is_open()
    else:
        stager.stage_all(rows)
    return _conclude(stager, options, name)


def plan_more(  # noqa: PLR0913  # each says another thing
    rows: Iterable[Job | BadRow | PlainPage],
    *,
    checkpoint: Checkpoint,
    providers: Mapping[str, Provider],
    options: Options,
    name: str,
    looks_back: bool,
    inputs_folder: str = "",
    progress: Callable[[int], None] | None = None,
    files: InputFiles | None = None,
) -> Plan:
    """Plan rows that have been added to a manifest whose others are adopted, and stay as they are.

    Args:
        rows: Those that have been added.
        checkpoint: The run folder's.
        providers: By name.
        options: What the command line says.
        name: The manifest, for messages.
        looks_back: Whether to decide anew about the adopted rows that are not done.
        inputs_folder: As for `make_plan`.
        progress: Called with the number of rows seen so far.
        files: Lends the recordings.

    Raises:
        RowsMeetError: An added row has an id or a place of an adopted one.
        BatchjobsError: As for `make_plan`.
    """
    checkpoint.staging.begin(keeps_rest=True)
    stager = _make_stager(checkpoint, providers, options, inputs_folder, progress, files=files)
    stager.stage_more(rows, looks_back=looks_back)
    if checkpoint.staging.meets_adopted():
        raise RowsMeetError("rows that were added have ids or places of others")
    return _conclude(stager, options, name)


def _make_stager(
    checkpoint: Checkpoint,
    providers: Mapping[str, Provider],
    options: Options,
    inputs_folder: str,
    progress: Callable[[int], None] | None,
    *,
    files: InputFiles | None,
) -> Stager:
    builder = RowBuilder(checkpoint, providers, options, files or InputFiles())
    bad = BadRows()
    return Stager(
        checkpoint=checkpoint,
        builder=builder,
        decider=Decider(checkpoint=checkpoint, builder=builder, retries_all=options.retry_failed),
        absent=AbsentRecordings(checkpoint=checkpoint, builder=builder),
        groups=GroupStager(checkpoint=checkpoint, paths=builder.paths, bad=bad),
        former=FormerDefaults(checkpoint, providers),
        bad=bad,
        inputs_folder=inputs_folder,
        progress=progress,
    )


def _conclude(stager: Stager, options: Options, name: str) -> Plan:
    """Refuse what cannot be run, leave for later what is not asked for, and sum up."""
    checkpoint, providers = stager.checkpoint, stager.builder.providers
    if stager.bad.total and not options.skip_bad_rows:
        raise BadRowsError(name, stager.bad.first, stager.bad.total)
    coverage = postpone(checkpoint, providers, options)
    checkpoint.staging.mark_followers(TO_BUY, Action.FOLLOW)
    made = sum_plan(checkpoint, providers, stager)
    return made if coverage is None else dataclasses.replace(made, coverage=coverage)
