"""A run from its manifest to its report; signals are noted, and left to the caller to obey."""

import dataclasses
from collections.abc import Callable

import trio

from batchjobs.api.execute import do_work
from batchjobs.api.prepare import open_run_folder, prepare
from batchjobs.api.report import RunReport, write_broken_report, write_report
from batchjobs.api.request import request_of
from batchjobs.errors import UsageError
from batchjobs.manifest import Source
from batchjobs.options import Options
from batchjobs.process import signals
from batchjobs.progress import Observer

__all__ = ["carry_out", "carry_out_within_trio"]


def carry_out(
    source: str | Source,
    options: Options,
    *,
    observe: Observer | None = None,
    progress: Callable[[int], None] | None = None,
) -> RunReport:
    """Run as `batchjobs.api.run` does, and tell of a signal in the report only.

    For the command line, which has more to say before it dies of one.
    """
    request = request_of(source, options)
    with open_run_folder(request) as checkpoint:
        if trio.lowlevel.in_trio_run():
            raise UsageError(
                "batchjobs.run was called within an event loop of trio",
                hint="await batchjobs.run_async(…) there",
            )
        run = prepare(request, checkpoint, observe, progress)
        # From here on a signal never leaves things half done: it drains, and the report is written.
        with signals.note_first() as noted:
            try:
                end = trio.run(do_work, run, noted)
            except BaseException as error:
                write_broken_report(run, error)
                raise
            report = write_report(run, end)
        if noted.number and not report.signal_number:
            code = 128 + noted.number if report.error is None else report.exit_code
            return dataclasses.replace(report, signal_number=noted.number, exit_code=code)
        return report


async def carry_out_within_trio(
    source: str | Source, options: Options, *, observe: Observer | None = None
) -> RunReport:
    """Run as `batchjobs.api.run_async` does."""
    if not trio.lowlevel.in_trio_task():
        raise UsageError(
            "batchjobs.run_async was awaited outside trio",
            hint="call batchjobs.run(…); from asyncio: await asyncio.to_thread(batchjobs.run, …)",
        )
    request = request_of(source, options)
    with open_run_folder(request) as checkpoint:
        run = await trio.to_thread.run_sync(prepare, request, checkpoint, observe)
        try:
            end = await do_work(run)
        except BaseException as error:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(write_broken_report, run, error)
            raise
        return await trio.to_thread.run_sync(write_report, run, end)
