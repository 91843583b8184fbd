"""A run's work: endpoints of its providers, the local server if it is needed, the runner."""

import dataclasses
import functools
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import trio
from msgspec import structs

from batchjobs.api.budget import account_budgets_of, budget_of, check_budget, encode_limits
from batchjobs.api.control import serve_control
from batchjobs.api.elsewhere import have_crew
from batchjobs.api.endpoints import make_ways
from batchjobs.api.idle import do_nothing
from batchjobs.api.interim import write_interim, write_repeatedly
from batchjobs.api.metrics import write_metrics
from batchjobs.api.prepare import PreparedRun
from batchjobs.custody.checkpoint import BucketCheckpoint
from batchjobs.errors import BatchjobsError, KeyRefusedError, RunLockedError
from batchjobs.limits import RetryPolicy
from batchjobs.options import Options
from batchjobs.outputs.groups import withdraw_stale_groups
from batchjobs.planning.plan import Action
from batchjobs.process import signals
from batchjobs.progress import AccountLeft, RunStarted
from batchjobs.runner import RunEnd, Runner, RunState
from batchjobs.runner.control import Control
from batchjobs.websocket import masking

_logger = logging.getLogger(__name__)
_RENEWAL_SECONDS: Final = 30.0
"""How often the owner of a run in a bucket says that it goes on, and looks whether it is still its own."""


async def execute(run: PreparedRun, noted: signals.SignalNote | None = None) -> RunEnd:
    """Start the local server if it is needed, adopt the plan, and do what there is to do.

    Args:
        run: What to do.
        noted: Signals that came so far; None leaves signals alone.
    """
    request, checkpoint, plan = run.request, run.checkpoint, run.plan
    options = request.options
    if not plan.to_do:
        await trio.to_thread.run_sync(do_nothing, run)
        return RunEnd()
    if options.library_hooks:
        masking.install_fast_masker()
    else:
        masking.remove_fast_masker()
    run.observe(
        RunStarted(
            rows=plan.rows,
            to_do=plan.to_do,
            folder=str(request.folder),
            done=plan.by_action[Action.DONE].rows,
            failed=plan.by_action[Action.KEPT].rows,
            suspect=plan.by_action[Action.SUSPECT].rows,
        )
    )
    async with AsyncExitStack() as stack:
        budgets = account_budgets_of(request, checkpoint)
        ways = await make_ways(request, run.accounts, budgets, stack)
        elsewhere = await stack.enter_async_context(
            have_crew(request, ways.endpoints, checkpoint, noted)
        )
        # Not before: where a recogniser or its extra is missing, the last plan stands as it did.
        await trio.to_thread.run_sync(checkpoint.staging.adopt, run.facts)
        await trio.to_thread.run_sync(withdraw_stale_groups, checkpoint)
        state = RunState(
            checkpoint,
            endpoints=ways.endpoints,
            own_limits=ways.own_limits,
            options=options,
            retries=RetryPolicy(attempts=options.attempts),
            budget=budget_of(request, checkpoint),
            observe=run.observe,
            providers=request.providers,
            elsewhere=elsewhere,
        )
        state.files = request.files
        _tell_absent(run)
        runner = Runner(state, beside=lambda: _go_beside(run, control, state.stop))
        control = Control(
            state,
            runner,
            standing=run.standing,
            check=functools.partial(_check_limits, run),
            encode_limits=encode_limits,
        )
        return _explain_end(await runner.run(noted), run)
    raise AssertionError  # the stack never swallows an exception


async def _renew(checkpoint: BucketCheckpoint, stop: Callable[[BatchjobsError], None]) -> None:
    """Say from time to time that the run goes on; end it once it is another's."""
    while True:
        await trio.sleep(_RENEWAL_SECONDS)
        try:
            await trio.to_thread.run_sync(checkpoint.renew)
        except RunLockedError as error:
            stop(error)
            return
        except BatchjobsError as error:  # the next commit meets it too
            _logger.warning("the bucket could not be told that the run goes on: %s", error.message)


async def _go_beside(
    run: PreparedRun, control: Control, stop: Callable[[BatchjobsError], None]
) -> None:
    """Write results from time to time, and take what is asked of the run."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_control, run.request.folder, control)
        if isinstance(run.checkpoint, BucketCheckpoint):
            nursery.start_soon(_renew, run.checkpoint, stop)
        if metrics := run.request.options.metrics:
            nursery.start_soon(write_metrics, metrics.absolute(), run.plan, control.facts)
        await write_repeatedly(functools.partial(write_interim, run.request, run.checkpoint))


def _check_limits(run: PreparedRun, options: Options) -> None:
    """Refuse a limit that is given while the run goes on, as it would have been at its start."""
    request = dataclasses.replace(run.request, options=options)
    check_budget(request, run.plan, run.checkpoint)


def _tell_absent(run: PreparedRun) -> None:
    """Say which of several accounts the run goes without."""
    for name, reasons in run.absent.items():
        for account, reason in reasons.items():
            run.observe(AccountLeft(provider=name, account=account, message=reason))


def _explain_end(end: RunEnd, run: PreparedRun) -> RunEnd:
    """Say of a refused key that there was none: a local server elsewhere may ask for one."""
    request, name = run.request, run.request.options.provider
    keys = {each: [access.key for access in found] for each, found in run.accounts.items()}
    if not isinstance(end.error, KeyRefusedError) or keys != {name: [""]}:
        return end
    error = KeyRefusedError(
        f"no key for the provider '{name}', and {end.error.message}",
        hint=f"set {request.providers[name].key_variable} to the one that 'batchjobs serve' printed",
    )
    return structs.replace(end, error=error)
