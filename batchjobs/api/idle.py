"""A run with nothing to do: its plan is adopted, and nothing that sessions need is imported for it."""

import time

from batchjobs.api.prepare import PreparedRun
from batchjobs.outputs.sweep import sweep


def keeps_last_plan(run: PreparedRun) -> bool:
    """Whether the run was asked to do nothing, in a folder where there is something to lose.

    Then the last plan and its results stand: what a limit of no rows leaves for later would be in no
    report any more.
    """
    is_asked = run.request.options.limit == 0 and not run.plan.to_do
    return is_asked and run.checkpoint.has_begun()


def do_nothing(run: PreparedRun) -> None:
    """Adopt a plan with nothing to do.

    Raises:
        BatchjobsError: The disk failed.
    """
    if keeps_last_plan(run):
        return
    run.checkpoint.staging.adopt(run.facts)
    run.checkpoint.recover(time.time())
    # Killed at its very end, a run leaves files that nothing needs any more.
    sweep(run.checkpoint)
