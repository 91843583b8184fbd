"""How a run ended, told to whoever called it and written into its folder."""

import contextlib
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from batchjobs.api.budget import with_what_is_left
from batchjobs.api.request import Request
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import BatchjobsError, BudgetReachedError, InternalError, JobsFailedError
from batchjobs.outputs import reports
from batchjobs.planning import Action, Plan
from batchjobs.process.signals import Interrupted
from batchjobs.progress import Observer, RunFinished
from batchjobs.runner import RunEnd

__all__ = ["RunReport", "broken_off", "reported"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """How a run ended.

    Attributes:
        folder: The run folder.
        exit_code: What the command would exit with.
        summary: What ``summary.json`` says.
        plan: What there was to do.
        error: What stopped the run; None if it came to its end.
        signal_number: The signal that stopped it; 0 if none did.
    """

    folder: Path
    exit_code: int
    summary: Mapping[str, object]
    plan: Plan
    error: BatchjobsError | None = None
    signal_number: int = 0

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
        failed, suspect = (int(str(self.summary.get(name, 0))) for name in ("failed", "suspect"))
        if failed or suspect:
            raise JobsFailedError(self.folder, failed=failed, suspect=suspect)
        return self


def reported(
    request: Request, checkpoint: Checkpoint, made: Plan, end: RunEnd, observe: Observer
) -> RunReport:
    """Write the run's files and say how it ended; where nothing has changed, they stay."""
    last = None if made.to_do else reports.last_summary(checkpoint)
    if last is not None and end == RunEnd() and last["exit_code"] == 0:
        observe(RunFinished(exit_code=0, totals=last))
        return RunReport(folder=request.folder, exit_code=0, summary=last, plan=made)
    summary = reports.summary_of(checkpoint, request.providers)
    error = end.error
    if error is None and not end.signal_number:
        error = _unanswered(summary, made)
    if isinstance(error, BudgetReachedError):
        error = with_what_is_left(error, checkpoint, request.providers)
    is_short = bool(summary["failed"] or summary["suspect"])
    code = error.exit_code if error is not None else int(is_short)
    if end.signal_number and error is None:
        code = 128 + end.signal_number
    summary |= {"manifest": request.name, "exit_code": code, "finished_at": round(time.time(), 3)}
    if error is not None:
        summary["error"] = str(error)
    try:
        reports.write_results(checkpoint, summary)
    except BatchjobsError as disk_error:
        error = error or disk_error
        code = error.exit_code
    observe(RunFinished(exit_code=code, totals=summary))
    return RunReport(
        folder=request.folder,
        exit_code=code,
        summary=summary,
        plan=made,
        error=error,
        signal_number=end.signal_number,
    )


def broken_off(
    request: Request, checkpoint: Checkpoint, facts: Mapping[str, str], error: BaseException
) -> None:
    """Write the run's files though it came to no end: cancelled, or broken by a mistake of ours.

    Where it had not begun, the last one's stay. Whatever keeps them from being written, `error` is the
    one to tell.
    """
    with contextlib.suppress(BatchjobsError):
        if checkpoint.read_settings().get("planned_at") == facts["planned_at"]:
            _report_on(request, checkpoint, error)


def _report_on(request: Request, checkpoint: Checkpoint, error: BaseException) -> None:
    summary = reports.summary_of(checkpoint, request.providers)
    code = getattr(error, "exit_code", InternalError.exit_code)
    summary |= {
        "manifest": request.name,
        "exit_code": code if isinstance(error, Exception) else None,
        "finished_at": round(time.time(), 3),
        "error": str(error) or type(error).__name__,
    }
    reports.write_results(checkpoint, summary)


def _unanswered(summary: Mapping[str, object], made: Plan) -> InternalError | None:
    """Every row gets an answer, unless a limit leaves it for later: see to it here, at the end."""
    later = made.by_action[Action.LATER].rows
    missing = int(str(summary["not_run"])) - later
    if missing <= 0:
        return None
    return InternalError(
        f"the run ended with rows that have no answer: {missing:,}",
        hint="this is a bug of batchjobs; the same command does these rows",
    )
