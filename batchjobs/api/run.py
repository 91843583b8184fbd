"""The same as the command line, for Python: plan, run, look, verify."""

from collections.abc import Callable

from batchjobs.api.budget import check_budget
from batchjobs.api.carry_out import carry_out, carry_out_within_trio
from batchjobs.api.prepare import make_plan
from batchjobs.api.report import RunReport
from batchjobs.api.request import request_of
from batchjobs.checkpoint import Checkpoint
from batchjobs.files import run_folder
from batchjobs.manifest import Source
from batchjobs.options import Options
from batchjobs.planning.plan import Plan
from batchjobs.process import signals
from batchjobs.progress import Observer

__all__ = ["plan", "run", "run_async"]


def plan(
    source: str | Source,
    options: Options | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> Plan:
    """Check every row, price it, and say what a run would do; spends and changes nothing.

    Args:
        source: The manifest: a path, an open binary stream, or rows: mappings of columns to what a line
            of JSON Lines can hold, read once, one at a time. A stream and rows need `Options.output`.
        options: As for `run`.
        progress: Called with the number of rows seen so far.

    Raises:
        ManifestError: The manifest, or rows of it, cannot be run.
        ConfigurationError: A setting is wrong, or the budget is in money that cannot be counted.
        BatchjobsError: Anything else that `run` would refuse, but for a missing key.
    """
    request = request_of(source, options or Options())
    folder = request.folder
    exists = (folder / run_folder.CHECKPOINT).is_file()
    with Checkpoint.read(folder) if exists else Checkpoint.none(folder) as checkpoint:
        made, _ = make_plan(request, checkpoint, progress)
        check_budget(request, made, checkpoint)
    return made


def run(
    source: str | Source,
    options: Options | None = None,
    *,
    observe: Observer | None = None,
    progress: Callable[[int], None] | None = None,
) -> RunReport:
    """Run a manifest, or continue it: the same call.

    Args:
        source: The manifest: a path, an open binary stream, or rows: mappings of columns to what a line
            of JSON Lines can hold, read once, one at a time. A stream and rows need `Options.output`.
        options: How to run it.
        observe: Told of everything that happens, from the event loop: must be quick.
        progress: Called with the number of rows checked so far, before the run begins.

    Returns:
        How it ended, also if the service stopped it: `RunReport.raise_for_status` raises then.

    Raises:
        KeyboardInterrupt: Ctrl-C ended it; its results are written by then. SIGTERM and SIGHUP
            likewise mean to the program what they did before, once they are.
        UsageError: An option is out of its range.
        ManifestError: The manifest, or rows of it, cannot be run; nothing was spent.
        RunLockedError: Another run holds the folder.
        ConfigurationError: A key or setting is missing or wrong.
        BatchjobsError: Anything else that keeps the run from starting.
    """
    try:
        report = carry_out(source, options or Options(), observe=observe, progress=progress)
    except signals.Interrupted as early:
        signals.pass_on(early.number)
        raise
    signals.pass_on(report.signal_number)
    return report


async def run_async(
    source: str | Source,
    options: Options | None = None,
    *,
    observe: Observer | None = None,
) -> RunReport:
    """Run a manifest from within trio; as `run`, but leaves signals to the caller.

    Cancelling it is safe: the results are written, and it continues where it was when called again.

    Raises:
        UsageError: It is awaited outside trio, or an option is out of its range.
        BatchjobsError: As for `run`.
    """
    return await carry_out_within_trio(source, options or Options(), observe=observe)
