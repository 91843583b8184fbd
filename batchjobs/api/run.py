"""A run from its manifest to its report, and its plan alone."""

import dataclasses
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from batchjobs.api.idle import do_nothing
from batchjobs.api.notifying import join_observers, notifying, notifying_within_trio
from batchjobs.api.prepare import PreparedRun, open_run_folder, prepare, stage_plan
from batchjobs.api.report import RunReport, write_broken_report, write_report
from batchjobs.api.request import Request, request_of
from batchjobs.errors import UsageError
from batchjobs.manifest import Source
from batchjobs.options import Options
from batchjobs.planning.plan import Plan
from batchjobs.process import signals
from batchjobs.progress import Observer

if TYPE_CHECKING:
    from batchjobs.runner import RunEnd


def plan(
    source: str | Source,
    options: Options | None = None,
    *,
    refuses_voice: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Plan:
    """Check every row, price it, and say what a run would do; spends and changes nothing.

    Args:
        source: The manifest: a path, an open binary stream, or rows: mappings of columns to what a line
            of JSON Lines can hold, read once, one at a time. A stream and rows need `Options.output`.
        options: As for `run`.
        refuses_voice: Whether a voice in the options that the local server does not have is refused.
        progress: Called with the number of rows seen so far.

    Raises:
        ManifestError: The manifest, or rows of it, cannot be run.
        ConfigurationError: A setting is wrong, or the budget is in money that cannot be counted.
        BatchjobsError: Anything else that `run` would refuse, but for a missing key.
    """
    request = request_of(source, options or Options(), refuses_voice=refuses_voice)
    with stage_plan(request, progress) as (_, made):
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
        observe: Gets every event, in the event loop: must be quick.
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
    import trio

    from batchjobs.api.execute import execute

    if not trio.lowlevel.in_trio_task():
        raise UsageError(
            "batchjobs.run_async was awaited outside trio",
            hint="call batchjobs.run(…); from asyncio: await asyncio.to_thread(batchjobs.run, …)",
        )
    request = request_of(source, options or Options())
    async with notifying_within_trio(request) as notifier:
        with open_run_folder(request) as checkpoint:
            observe = join_observers(observe, notifier)
            run = await trio.to_thread.run_sync(prepare, request, checkpoint, observe)
            try:
                end = await execute(run)
            except BaseException as error:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(write_broken_report, run, error)
                raise
            return await trio.to_thread.run_sync(write_report, run, end)


def carry_out(
    source: str | Source,
    options: Options,
    *,
    refuses_voice: bool = True,
    observe: Observer | None = None,
    progress: Callable[[int], None] | None = None,
) -> RunReport:
    """Run as `run` does, but leave a signal in the report: the command line has more to say first.

    Args:
        source: As for `run`.
        options: As for `run`.
        refuses_voice: As for `plan`.
        observe: As for `run`.
        progress: As for `run`.
    """
    request = request_of(source, options, refuses_voice=refuses_voice)
    return carry_out_request(request, observe=observe, progress=progress)


def carry_out_request(
    request: Request,
    *,
    observe: Observer | None = None,
    progress: Callable[[int], None] | None = None,
    announce: Callable[[Plan], None] | None = None,
) -> RunReport:
    """Run what was asked for; a signal is left in the report.

    Args:
        request: What was asked for, made definite.
        observe: As for `run`.
        progress: As for `run`.
        announce: Told the plan once it is seen to be affordable, before anything is bought.
    """
    with notifying(request) as notifier, open_run_folder(request) as checkpoint:
        _refuse_event_loop()
        run = prepare(request, checkpoint, join_observers(observe, notifier), progress)
        if announce is not None:
            announce(run.plan)
        # From here on a signal never leaves things half done: it drains, and the report is written.
        with signals.note_first() as noted:
            try:
                end = _execute(run, noted)
            except BaseException as error:
                write_broken_report(run, error)
                raise
            report = write_report(run, end)
        if noted.number and not report.signal_number:
            code = 128 + noted.number if report.error is None else report.exit_code
            return dataclasses.replace(report, signal_number=noted.number, exit_code=code)
        return report


def _refuse_event_loop() -> None:
    """Refuse to run within trio, if a program has imported it.

    Raises:
        UsageError: We are called within its event loop.
    """
    if "trio" not in sys.modules:
        return
    import trio

    if trio.lowlevel.in_trio_run():
        raise UsageError(
            "batchjobs.run was called within an event loop of trio",
            hint="await batchjobs.run_async(…) there",
        )


def _execute(run: PreparedRun, noted: signals.SignalNote) -> "RunEnd | None":
    """Do what there is to do; None if that is nothing.

    What opens sessions is imported only now: it holds 25 MiB, which neither planning nor a run over
    finished rows needs (measured).
    """
    if not run.plan.to_do:
        do_nothing(run)
        return None
    import trio

    from batchjobs.api.execute import execute

    return trio.run(execute, run, noted)
