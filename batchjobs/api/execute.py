"""A run's work: endpoints of its providers, the local server if it is needed, the runner."""

import dataclasses
import functools
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Final

import trio
from msgspec import structs

from batchjobs.api.budget import budget_of, check_budget, encode_limits
from batchjobs.api.control import serve_control
from batchjobs.api.elsewhere import have_crew
from batchjobs.api.interim import write_interim, write_repeatedly
from batchjobs.api.metrics import write_metrics
from batchjobs.api.prepare import PreparedRun
from batchjobs.api.request import Request
from batchjobs.custody.checkpoint import BucketCheckpoint
from batchjobs.errors import BatchjobsError, KeyRefusedError, RunLockedError
from batchjobs.limits import RetryPolicy
from batchjobs.notices import address
from batchjobs.notices.signature import SECRET_VARIABLE
from batchjobs.options import Options
from batchjobs.outputs.groups import withdraw_stale_groups
from batchjobs.planning.plan import Action
from batchjobs.process import signals
from batchjobs.progress import RunStarted
from batchjobs.protocol.codec import ChunkEncoding
from batchjobs.providers import check_base_url
from batchjobs.runner import RunEnd, Runner, RunState, sweep
from batchjobs.runner.control import Control
from batchjobs.server.child import local_server
from batchjobs.server.faults import parse_fault
from batchjobs.server.settings import ServerSettings
from batchjobs.session import Endpoint
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
    if does_nothing(run):
        return RunEnd()
    if not plan.to_do:
        await trio.to_thread.run_sync(checkpoint.staging.adopt, run.facts)
        await trio.to_thread.run_sync(checkpoint.recover, time.time())
        # Killed at its very end, a run leaves files that nothing needs any more.
        await trio.to_thread.run_sync(sweep, checkpoint)
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
        endpoints = await _make_endpoints(request, run.keys, stack)
        elsewhere = await stack.enter_async_context(have_crew(request, endpoints))
        # Not before: where a recogniser or its extra is missing, the last plan stands as it did.
        await trio.to_thread.run_sync(checkpoint.staging.adopt, run.facts)
        await trio.to_thread.run_sync(withdraw_stale_groups, checkpoint)
        state = RunState(
            checkpoint,
            endpoints=endpoints,
            options=options,
            retries=RetryPolicy(attempts=options.attempts),
            budget=budget_of(request, checkpoint),
            observe=run.observe,
            providers=request.providers,
            elsewhere=elsewhere,
        )
        state.files = request.files
        runner = Runner(state, beside=lambda: _go_beside(run, control, state.stop))
        control = Control(
            state,
            runner,
            standing=run.standing,
            check=functools.partial(_check_limits, run),
            encode_limits=encode_limits,
        )
        return _explain_end(await runner.run(noted), request, run.keys)
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
            _logger.warning("the bucket could not be told that the run goes on: %s", error)


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


def does_nothing(run: PreparedRun) -> bool:
    """Whether the run was asked to do nothing, in a folder where there is something to lose.

    Then the last plan and its results stand: what a limit of no rows leaves for later would be in no
    report any more.
    """
    is_asked = run.request.options.limit == 0 and not run.plan.to_do
    return is_asked and run.checkpoint.has_begun()


async def _make_endpoints(
    request: Request, keys: Mapping[str, str], stack: AsyncExitStack
) -> dict[str, Endpoint]:
    """Make every provider's endpoint; the local server is started where one needs it."""
    options = request.options
    endpoints = {}
    for name, given in keys.items():
        provider, key = request.providers[name], given
        base_url = request.base_url if name == options.provider else ""
        base_url = base_url or provider.base_url
        if not base_url:
            server = ServerSettings(
                engine=provider.engine,
                model_folder=options.model_folder,
                faults=tuple(map(parse_fault, options.faults)),
                compresses=options.compress,
            )
            keys_of_others = (each.key_variable for each in request.providers.values())
            withheld = [*keys_of_others, address.VARIABLE, SECRET_VARIABLE]
            child = local_server(server, library_hooks=options.library_hooks, withheld=withheld)
            base_url, key = await stack.enter_async_context(child), server.token
        endpoints[name] = Endpoint(
            provider,
            base_url=check_base_url(base_url, insecure=options.insecure),
            key=key,
            encoding=ChunkEncoding(options.encoding),
            compresses=options.compress,
            library_hooks=options.library_hooks,
        )
    return endpoints


def _explain_end(end: RunEnd, request: Request, keys: Mapping[str, str]) -> RunEnd:
    """Say of a refused key that there was none: a local server elsewhere may ask for one."""
    name = request.options.provider
    if not isinstance(end.error, KeyRefusedError) or dict(keys) != {name: ""}:
        return end
    error = KeyRefusedError(
        f"no key for the provider '{name}', and {end.error.message}",
        hint=f"set {request.providers[name].key_variable} to the one that 'batchjobs serve' printed",
    )
    return structs.replace(end, error=error)
