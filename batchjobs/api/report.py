"""How a run ended: given to the caller, and written into its folder."""

import contextlib
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from msgspec import UNSET, structs

from batchjobs.api.budget import add_what_is_left, find_cost_limit, find_larger_limits
from batchjobs.api.glossary import GlossaryReport, look_for, write_terms
from batchjobs.api.idle import keeps_last_plan
from batchjobs.api.prepare import PreparedRun
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import BatchjobsError, BudgetReachedError, InternalError, JobsFailedError
from batchjobs.files import run_folder
from batchjobs.outputs import groups, reports
from batchjobs.outputs.forecast import Forecast, make_forecast
from batchjobs.outputs.left_files import LeftFiles, find_left_files
from batchjobs.outputs.nature import RunNature, find_nature
from batchjobs.outputs.summary import RunSummary, summarise
from batchjobs.planning.plan import Action, Plan
from batchjobs.process.signals import Interrupted
from batchjobs.progress import RunFinished

if TYPE_CHECKING:
    from batchjobs.runner import RunEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """How a run ended.

    Attributes:
        folder: The run folder.
        exit_code: What the command would exit with.
        summary: What ``summary.json`` says.
        plan: What there was to do.
        left_files: Results in the folder that belong to no row any more.
        nature: What kind of run it is.
        larger_limits: Where a limit was reached: options, and what they have to be for the rest.
        cost_limit: Where rows cost more than a row may: what the limit has to be for them.
        error: What stopped the run; None if it came to its end.
        signal_number: The signal that stopped it; 0 if none did.
        glossary: Where one was given: what became of its terms.
        forecast: After a pilot, what is to be expected of all rows.
    """

    folder: Path
    exit_code: int
    summary: RunSummary
    plan: Plan
    left_files: LeftFiles = field(default_factory=LeftFiles)
    nature: RunNature = field(default_factory=RunNature)
    larger_limits: Mapping[str, str] = field(default_factory=dict)
    cost_limit: str = ""
    error: BatchjobsError | None = None
    signal_number: int = 0
    glossary: GlossaryReport | None = None
    forecast: Forecast | None = None

    def raise_for_status(self) -> Self:
        """Raise if not all went well; gives the report back if it did.

        Rows that `Options.limit` left for later are no failure.

        Raises:
            BatchjobsError: What stopped the run.
            JobsFailedError: It came to its end, and some jobs failed or are suspect.
            KeyboardInterrupt: Ctrl-C stopped it.
            SystemExit: Another signal did; with its code.
        """
        if self.error is not None:
            raise self.error
        if self.signal_number == signal.SIGINT:
            raise Interrupted(self.signal_number)
        if self.signal_number:
            raise SystemExit(self.exit_code)
        failed, suspect = self.summary.failed, self.summary.suspect
        if failed or suspect:
            why = self.folder / run_folder.FAILED
            raise JobsFailedError(self.folder, failed=failed, suspect=suspect, report=why)
        return self


def write_report(
    run: PreparedRun, end: "RunEnd | None", *, defers_files: bool = False
) -> RunReport:
    """Write the run's files and say how it ended; where nothing has changed, they stay.

    Args:
        run: What there was to do.
        end: How the runner ended; None if there was nothing for it to do.
        defers_files: Whether the files are written later: they are as large as the whole manifest,
            however little was done.
    """
    request, checkpoint, plan = run.request, run.checkpoint, run.plan
    if keeps_last_plan(run):
        return _report_nothing(run)
    error = end.error if end else None
    signal_number = end.signal_number if end else 0
    group_error = _make_groups(checkpoint)
    last = None if plan.to_do or group_error else reports.find_last_summary(checkpoint)
    if last is not None and not error and not signal_number and last.exit_code == 0:
        run.observe(RunFinished(exit_code=0, totals=last))
        return RunReport(
            folder=request.folder,
            exit_code=0,
            summary=last,
            plan=plan,
            left_files=find_left_files(checkpoint, done=last.done),
            nature=find_nature(checkpoint),
            glossary=_look_for_terms(run),
            forecast=_forecast(run),
        )
    summary = summarise(checkpoint, request.providers)
    if error is None and not signal_number:
        error = group_error or _find_unanswered(summary, plan)
    larger_limits: dict[str, str] = {}
    if isinstance(error, BudgetReachedError):
        larger_limits = find_larger_limits(checkpoint, request.providers)
        error = add_what_is_left(error, checkpoint, request.providers, larger_limits)
    if error is not None:
        code = error.exit_code
    elif signal_number:
        code = 128 + signal_number
    else:
        code = int(bool(summary.failed or summary.suspect))
    summary = _close(summary, code, error)
    if not defers_files:
        error = _write_files(checkpoint, summary, error)
        code = code if error is None else error.exit_code
    run.observe(RunFinished(exit_code=code, totals=summary))
    return RunReport(
        folder=request.folder,
        exit_code=code,
        summary=summary,
        plan=plan,
        left_files=find_left_files(checkpoint, done=summary.done),
        nature=find_nature(checkpoint),
        larger_limits=larger_limits,
        cost_limit=find_cost_limit(checkpoint, request.providers, summary.errors),
        error=error,
        signal_number=signal_number,
        glossary=_look_for_terms(run),
        forecast=_forecast(run),
    )


def _write_files(
    checkpoint: Checkpoint, summary: RunSummary, error: BatchjobsError | None
) -> BatchjobsError | None:
    """Write the run's files; what stopped the run counts for more than what keeps them from it."""
    try:
        reports.write_results(checkpoint, summary)
    except BatchjobsError as disk_error:
        return error or disk_error
    return error


def _report_nothing(run: PreparedRun) -> RunReport:
    """Say where the manifest stands; the run's files stay as they were."""
    plan, checkpoint = run.plan, run.checkpoint
    summary = structs.replace(
        summarise(checkpoint, run.request.providers),
        rows=plan.rows,
        done=plan.by_action[Action.DONE].rows,
        not_run=plan.by_action[Action.LATER].rows,
        manifest=run.request.name,
    )
    run.observe(RunFinished(exit_code=0, totals=summary))
    return RunReport(
        folder=run.request.folder,
        exit_code=0,
        summary=summary,
        plan=plan,
        left_files=find_left_files(checkpoint, done=summary.done),
        nature=find_nature(checkpoint),
    )


def _look_for_terms(run: PreparedRun) -> GlossaryReport | None:
    """Find what the glossary's terms were heard as, and write it down; None without a glossary."""
    glossary = run.request.options.glossary
    if glossary is None:
        return None
    found = look_for(run.terms, glossary, run.checkpoint)
    with contextlib.suppress(BatchjobsError):  # what was bought is durable; the command looks again
        write_terms(run.request.folder, found.terms)
    return found


def _make_groups(checkpoint: Checkpoint) -> BatchjobsError | None:
    """Make what there can be of groups' transcripts; gives what kept it from being written."""
    try:
        groups.make_groups(checkpoint)
    except BatchjobsError as error:
        return error
    return None


def _forecast(run: PreparedRun) -> Forecast | None:
    request = run.request
    return make_forecast(run.checkpoint, request.providers) if request.options.pilot else None


def write_broken_report(run: PreparedRun, error: BaseException) -> None:
    """Write the run's files though it came to no end: cancelled, or broken by a mistake of ours.

    Where it had not begun, the last run's stay. `error` is the one to raise, whatever keeps the
    files from being written.

    Args:
        run: What there was to do.
        error: What broke it.
    """
    checkpoint = run.checkpoint
    with contextlib.suppress(BatchjobsError):
        if checkpoint.read_settings().get("planned_at") == run.facts["planned_at"]:
            groups.make_groups(checkpoint)
            code = getattr(error, "exit_code", InternalError.exit_code)
            summary = summarise(checkpoint, run.request.providers)
            summary = _close(summary, code if isinstance(error, Exception) else None, error)
            reports.write_results(checkpoint, summary)


def _close(summary: RunSummary, exit_code: int | None, error: BaseException | None) -> RunSummary:
    """Add to a summary how the run ended, and when."""
    return structs.replace(
        summary,
        exit_code=exit_code,
        finished_at=round(time.time(), 3),
        error=UNSET if error is None else _describe(error),
    )


def _describe(error: BaseException) -> str:
    shown = error.describe() if isinstance(error, BatchjobsError) else str(error)
    return shown or type(error).__name__


def _find_unanswered(summary: RunSummary, plan: Plan) -> InternalError | None:
    """Every row gets an answer, unless a limit leaves it for later: see to it here, at the end."""
    missing = summary.not_run - plan.by_action[Action.LATER].rows
    if missing <= 0:
        return None
    return InternalError(
        f"the run ended with rows that have no answer: {missing:,}",
        hint="this is a bug of batchjobs; the same command does these rows",
    )
