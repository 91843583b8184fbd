"""The same as the command line, for Python: plan, run, look, verify."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import trio

from batchjobs import signals
from batchjobs.api.accepting import AcceptReport, accept
from batchjobs.api.looking import status, verify
from batchjobs.api.options import Options
from batchjobs.api.preparing import facts_of, keys_of, opened, planned
from batchjobs.api.reporting import RunReport, reported
from batchjobs.api.request import request_of
from batchjobs.api.spending import check_budget
from batchjobs.api.working import do_work
from batchjobs.checkpoint import FILE_NAME, Checkpoint
from batchjobs.planning import Plan
from batchjobs.progress import Event, Observer, forgiving

__all__ = [
    "AcceptReport",
    "Options",
    "RunReport",
    "accept",
    "plan",
    "run",
    "run_async",
    "status",
    "verify",
]


def plan(
    source: str | Path | BinaryIO,
    options: Options | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> Plan:
    """Check every row, price it, and say what a run would do; spends and changes nothing.

    Args:
        source: The manifest: a path, or an open binary stream.
        options: As for `run`.
        progress: Called with the number of rows seen so far.

    Raises:
        ManifestError: The manifest, or rows of it, cannot be run.
        ConfigurationError: A setting is wrong, or the budget is in money that cannot be counted.
        BatchjobsError: Anything else that `run` would refuse, but for a missing key.
    """
    request = request_of(source, options or Options())
    folder = request.folder
    exists = (folder / FILE_NAME).is_file()
    with Checkpoint.read(folder) if exists else Checkpoint.none(folder) as checkpoint:
        made, _ = planned(request, checkpoint, progress)
        check_budget(request, made, checkpoint)
    return made


def run(
    source: str | Path | BinaryIO,
    options: Options | None = None,
    *,
    observe: Observer | None = None,
    progress: Callable[[int], None] | None = None,
) -> RunReport:
    """Run a manifest, or continue it: the same call.

    Args:
        source: The manifest: a path, or an open binary stream.
        options: How to run it.
        observe: Told of everything that happens, from the event loop: must be quick.
        progress: Called with the number of rows checked so far, before the run begins.

    Returns:
        How it ended, also if the service or a signal stopped it.

    Raises:
        UsageError: An option is out of its range.
        ManifestError: The manifest, or rows of it, cannot be run; nothing was spent.
        RunLockedError: Another run holds the folder.
        ConfigurationError: A key or setting is missing or wrong.
        BatchjobsError: Anything else that keeps the run from starting.
    """
    request = request_of(source, options or Options())
    told = forgiving(observe or _ignore)
    with opened(request) as checkpoint:
        made, kept = planned(request, checkpoint, progress)
        keys = keys_of(request, made)
        check_budget(request, made, checkpoint)
        # From here on a signal never leaves things half done: it drains, and the report is written.
        with signals.noted() as noted:
            facts = facts_of(request, kept)
            work = functools.partial(
                do_work, request, checkpoint, made, facts, keys, observe=told, noted=noted
            )
            end = trio.run(work)
            report = reported(request, checkpoint, made, end, told)
        if noted.number and not report.signal_number:
            code = 128 + noted.number if report.error is None else report.exit_code
            return dataclasses.replace(report, signal_number=noted.number, exit_code=code)
        return report


async def run_async(
    source: str | Path | BinaryIO,
    options: Options | None = None,
    *,
    observe: Observer | None = None,
) -> RunReport:
    """Run a manifest from within trio; as `run`, but leaves signals to the caller.

    Cancelling it is safe: it continues where it was when called again.
    """
    request = request_of(source, options or Options())
    with opened(request) as checkpoint:
        made, kept = await trio.to_thread.run_sync(planned, request, checkpoint, None)
        keys = keys_of(request, made)
        check_budget(request, made, checkpoint)
        facts, told = facts_of(request, kept), forgiving(observe or _ignore)
        end = await do_work(request, checkpoint, made, facts, keys, observe=told, noted=None)
        return await trio.to_thread.run_sync(reported, request, checkpoint, made, end, told)


def _ignore(_: Event) -> None:
    """Stand in for an observer."""
