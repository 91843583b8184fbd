"""A run from its manifest to its report; signals are noted, and left to the caller to obey."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import trio

from batchjobs.api.budget import check_budget
from batchjobs.api.execute import do_work
from batchjobs.api.prepare import facts_of, keys_of, opened, planned
from batchjobs.api.report import RunReport, write_broken_report, write_report
from batchjobs.api.request import request_of
from batchjobs.errors import UsageError
from batchjobs.options import Options
from batchjobs.process import signals
from batchjobs.progress import Observer, shield_observer

__all__ = ["carry_out", "carry_out_within_trio"]


def carry_out(
    source: str | Path | BinaryIO,
    options: Options,
    *,
    observe: Observer | None = None,
    progress: Callable[[int], None] | None = None,
) -> RunReport:
    """Run as `batchjobs.api.run` does, and tell of a signal in the report only.

    For the command line, which has more to say before it dies of one.
    """
    request = request_of(source, options)
    observe = shield_observer(observe)
    with opened(request) as checkpoint:
        if trio.lowlevel.in_trio_run():
            raise UsageError(
                "batchjobs.run was called within an event loop of trio",
                hint="await batchjobs.run_async(…) there",
            )
        made, kept = planned(request, checkpoint, progress)
        keys = keys_of(request, made)
        check_budget(request, made, checkpoint)
        # From here on a signal never leaves things half done: it drains, and the report is written.
        with signals.noted() as noted:
            facts = facts_of(request, kept)
            work = functools.partial(
                do_work, request, checkpoint, made, facts, keys, observe=observe, noted=noted
            )
            try:
                end = trio.run(work)
            except BaseException as error:
                write_broken_report(request, checkpoint, facts, error)
                raise
            report = write_report(request, checkpoint, made, end, observe)
        if noted.number and not report.signal_number:
            code = 128 + noted.number if report.error is None else report.exit_code
            return dataclasses.replace(report, signal_number=noted.number, exit_code=code)
        return report


async def carry_out_within_trio(
    source: str | Path | BinaryIO, options: Options, *, observe: Observer | None = None
) -> RunReport:
    """Run as `batchjobs.api.run_async` does."""
    if not trio.lowlevel.in_trio_task():
        raise UsageError(
            "batchjobs.run_async was awaited outside trio",
            hint="call batchjobs.run(…); from asyncio: await asyncio.to_thread(batchjobs.run, …)",
        )
    request = request_of(source, options)
    with opened(request) as checkpoint:
        made, kept = await trio.to_thread.run_sync(planned, request, checkpoint, None)
        keys = keys_of(request, made)
        check_budget(request, made, checkpoint)
        facts, observe = facts_of(request, kept), shield_observer(observe)
        try:
            end = await do_work(request, checkpoint, made, facts, keys, observe=observe, noted=None)
        except BaseException as error:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(
                    write_broken_report, request, checkpoint, facts, error
                )
            raise
        return await trio.to_thread.run_sync(write_report, request, checkpoint, made, end, observe)
