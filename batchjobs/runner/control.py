"""A hand on a running run: what is asked of it is kept in the checkpoint, and then done."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, assert_never

import trio
from msgspec import structs

from batchjobs.checkpoint import ORDERS, Choice, Requeued
from batchjobs.errors import BatchjobsError, UsageError
from batchjobs.formatting import plural
from batchjobs.jobs import Status
from batchjobs.limits import Price
from batchjobs.options import Options
from batchjobs.options.standing import Standing, change_options, describe_changes, show_settings
from batchjobs.progress import RunChanged
from batchjobs.runner.requests import (
    AccountState,
    Drain,
    Pause,
    Reply,
    Request,
    Requeue,
    Resume,
    RunFacts,
    ServiceState,
    Set,
    Tell,
)
from batchjobs.runner.runner import Runner
from batchjobs.runner.service import Service
from batchjobs.runner.state import RunState

_ALL: Final = "all"
"""Stands for every class."""
_LONGEST_SECONDS: Final = 1e9


class Control:
    """Does what is asked of a run, one request after the other.

    Args:
        run: The run.
        runner: What runs it.
        standing: What was ordered of it before, and holds.
        check: Refuses options under which the run could not keep its limits; in a thread.
        encode_limits: Writes the limits of options as the checkpoint keeps them.
    """

    def __init__(
        self,
        run: RunState,
        runner: Runner,
        *,
        standing: Standing,
        check: Callable[[Options], None],
        encode_limits: Callable[[Options], str],
    ) -> None:
        self._run = run
        self._runner = runner
        self._standing = standing
        self._check = check
        self._encode_limits = encode_limits
        self._turn = trio.Lock()
        if standing.paused_since:
            run.pause(since=standing.paused_since)

    async def carry_out(self, request: Request, *, asker: str) -> Reply:
        """Do what is asked, once it is kept.

        Args:
            request: What is asked.
            asker: Who asks, for messages.

        Returns:
            What was done, and how the run stands then.

        Raises:
            UsageError: It cannot be done.
            BatchjobsError: The disk failed.
        """
        if isinstance(request, Tell):
            return Reply(run=self.facts())
        # A request that is begun is done, and what it brings to do is waited for.
        with self._run.hold_open(), trio.CancelScope(shield=True):
            async with self._turn:
                self._refuse_late(request)
                said = await self._do(request, asker)
        return Reply(run=self.facts(), said=said)

    def _refuse_late(self, request: Request) -> None:
        if self._run.is_stopping and not isinstance(request, Drain):
            raise UsageError(
                "the run is about to end, and takes no more orders",
                hint="run the same command again, and ask that one",
            )

    async def _do(self, request: Pause | Resume | Set | Requeue | Drain, asker: str) -> str:
        run = self._run
        match request:
            case Pause():
                return await self._pause()
            case Resume():
                return await self._resume()
            case Set(values=values):
                return await self._set(values)
            case Requeue():
                return await self._requeue(request)
            case Drain():
                self._runner.drain(asker)
                return (
                    f"no session starts any more; {plural(run.sessions_open, 'open one')} may end"
                )
            case _:
                assert_never(request)

    async def _pause(self) -> str:
        run = self._run
        if run.is_paused:
            return "it is paused already"
        now = time.time()
        run.pause(since=now)  # at once: it does no harm if it should not be kept
        await self._keep(structs.replace(self._standing, paused_since=now))
        return f"paused; {plural(run.sessions_open, 'open session')} may end"

    async def _resume(self) -> str:
        if not self._run.is_paused:
            return "it is not paused"
        await self._keep(structs.replace(self._standing, paused_since=0.0))
        self._run.resume()
        return "going on"

    async def _set(self, values: Mapping[str, str]) -> str:
        run, before = self._run, self._run.options
        options = change_options(before, values)
        said = describe_changes(before, options)
        if not said:
            return "all of that is so already"
        if options.spending_limits != before.spending_limits:
            await trio.to_thread.run_sync(self._check, options)
        # First kept, then done: what is spent under it is spent under what was said.
        await self._keep(self._standing.change(before, options), options)
        run.change(options)
        self._runner.staff()
        run.tell(RunChanged(message=said))
        return said

    async def _keep(self, standing: Standing, options: Options | None = None) -> None:
        """Keep what was ordered, for the next run of the same command too."""
        facts = {ORDERS: standing.encode()}
        if options is not None:
            facts["limits"] = self._encode_limits(options)
        await self._write(lambda: self._run.checkpoint.orders.keep(facts))
        self._standing = standing

    async def _write(self, write: Callable[[], None]) -> None:
        """Write to the checkpoint; a disk that fails ends the run, which may have nothing else to write."""
        try:
            await self._run.recorder.carry_out(write)
        except BatchjobsError as error:
            self._run.stop(error)
            raise

    async def _requeue(self, request: Requeue) -> str:
        run = self._run
        if not (request.classes or request.ids):
            raise UsageError("nothing is named that is to go again", hint="name classes or ids")
        choice = Choice(classes=request.classes, ids=request.ids, is_all=_ALL in request.classes)
        found = Requeued()

        def requeue() -> None:
            nonlocal found
            found = run.checkpoint.orders.requeue(
                choice, since=run.began_at, providers=tuple(run.accounts)
            )

        await self._write(requeue)
        run.lost = found.lost
        run.wanted.unsettle(found.segment_keys)
        run.again.extend(found.positions)
        said = "; ".join(_describe(found, request.classes))
        if found.positions:
            run.tell(RunChanged(message=said, failed=found.failed, suspect=found.suspect))
        return said

    def facts(self) -> RunFacts:
        """Say how the run stands."""
        run, spent, error = self._run, self._run.budget.spent, self._run.budget_error
        answered = run.answered
        return RunFacts(
            state=_state_of(run),
            paused_since=self._standing.paused_since,
            folder=str(run.checkpoint.folder.absolute()),
            pid=os.getpid(),
            began_at=run.began_at,
            sessions_open=run.sessions_open,
            done=answered[Status.DONE],
            suspect=answered[Status.SUSPECT],
            failed=answered[Status.FAILED],
            waiting=len(run.queue) + len(run.again),
            settings=show_settings(run.options),
            spent=Price(
                money=round(spent.money, 6),
                characters=spent.characters,
                audio_seconds=round(spent.audio_seconds, 3),
            ),
            limit_reached="" if error is None else error.message,
            services=list(_service_states(run)),
        )


def to_error_reply(error: BatchjobsError) -> Reply:
    """Answer a request that was refused."""
    return Reply(error=error.message, hint=error.hint)


def _state_of(run: RunState) -> str:
    if run.is_stopping:
        return "stopping"
    if run.is_paused:
        return "paused"
    return "waiting" if run.is_out_of_room else "running"


def _service_states(run: RunState) -> Iterator[ServiceState]:
    now = trio.current_time()
    for name, accounts in run.accounts.items():
        in_use = accounts.in_use or accounts.services
        waits = min(_waits_seconds(service, now) for service in in_use)
        yield ServiceState(
            provider=name,
            sessions_open=accounts.active,
            concurrency=accounts.allowed(now),
            most=accounts.most,
            waits_seconds=waits,
            is_out_of_reach=all(service.breaker.is_open for service in in_use),
            accounts=[
                _account_state(service, now, has_left=service not in accounts.in_use)
                for service in accounts.services
                if service.account
            ],
        )


def _account_state(service: Service, now: float, *, has_left: bool) -> AccountState:
    budget = service.own.budget
    return AccountState(
        account=service.account,
        sessions_open=service.active,
        concurrency=0 if has_left else service.facts(now).allowed,
        waits_seconds=_waits_seconds(service, now),
        is_out_of_reach=service.breaker.is_open,
        has_left=has_left,
        spent=None if budget is None else round(budget.spent.money, 6),
        budget=None if budget is None else budget.limits[0],
    )


def _waits_seconds(service: Service, now: float) -> float:
    return round(min(max(0.0, service.not_before - now), _LONGEST_SECONDS), 1)


def _describe(found: Requeued, classes: Sequence[str]) -> Iterator[str]:
    """Say what goes again, and what of what was named does not."""
    counts = {"failed": found.failed, "suspect": found.suspect}
    shown = " and ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    rows = "job goes" if len(found.positions) == 1 else "jobs go"
    yield f"{shown} {rows} again" if shown else "no job goes again"
    if found.left:
        yield f"not {_name(found.left)}: in line, done, or not to be bought as things are"
    if found.unknown:
        yield f"there is no job {_name(found.unknown)}"
    if classes and not (found.positions or found.left):
        yield f"none has ended as {_name(classes)}"


def _name(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5:,} more"
