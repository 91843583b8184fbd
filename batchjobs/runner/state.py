"""What the tasks of a run share, and whether it is stopping."""

import os
import random
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

import msgspec
import trio

from batchjobs.checkpoint import Checkpoint, JobRecord, Row, SegmentChanges
from batchjobs.errors import BatchjobsError, BudgetReachedError
from batchjobs.files import run_folder
from batchjobs.limits import Budget, RetryPolicy, StartRate
from batchjobs.options import Options
from batchjobs.outputs import suspects
from batchjobs.process.invocation import quote_command
from batchjobs.progress import (
    JobFinished,
    LimitReached,
    Observer,
    RunPaused,
    RunResumed,
    RunStopping,
    shield_observer,
)
from batchjobs.providers import Provider
from batchjobs.runner.accounts import Accounts
from batchjobs.runner.attempts import OpenAttempts
from batchjobs.runner.learnt import Learnt
from batchjobs.runner.queue import TicketQueue
from batchjobs.runner.recorder import Recorder
from batchjobs.runner.service import OwnLimits, Service
from batchjobs.runner.sessions import Elsewhere
from batchjobs.runner.spool import AudioSpool
from batchjobs.runner.thread_batches import ThreadBatches
from batchjobs.runner.wanted import WantedSegments
from batchjobs.session import Endpoint
from batchjobs.storage.input_files import InputFiles

AUDIO_MEMORY_BYTES: Final = 64 * 1024 * 1024
"""Received audio held in memory, over all sessions; more goes to files."""


class RunEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended.

    Attributes:
        error: What stopped it; None if it came to its end.
        signal_number: The signal that stopped it; 0 if none did.
    """

    error: BatchjobsError | None = None
    signal_number: int = 0


class RunState:
    """The run as its feeder and its workers see it: each part changes what is its own.

    Args:
        checkpoint: The run folder's, with the plan adopted.
        endpoints: The way to each provider, by its name; of several accounts with one, the way by each.
        own_limits: What each of several accounts may do by itself, by the same names.
        options: How fast and how patiently.
        retries: When to try again.
        observe: Gets an event for everything that happens.
        budget: What may be spent, with what has been; None for no limit.
        random_source: For the jitter of retries.
        providers: By name, for the prices of what is not bought.
        elsewhere: Makes sessions that other processes run; None to run them here.
    """

    def __init__(  # noqa: PLR0913  # all that a run is given, in one place
        self,
        checkpoint: Checkpoint,
        *,
        endpoints: Mapping[str, Endpoint],
        options: Options,
        retries: RetryPolicy,
        observe: Observer,
        budget: Budget | None = None,
        random_source: random.Random | None = None,
        providers: Mapping[str, Provider] = MappingProxyType({}),
        elsewhere: Elsewhere | None = None,
        own_limits: Mapping[str, OwnLimits] = MappingProxyType({}),
    ) -> None:
        self.checkpoint = checkpoint
        self.providers = providers
        self.options = options
        self.retries = retries
        self.random = random_source or random.Random()  # noqa: S311  # jitter is no secret
        self.tell = shield_observer(observe)
        """Hands an event to the observer; one that has failed gets no more, and stops no paid work."""
        self.queue = TicketQueue()
        self.wanted = WantedSegments(self.queue)
        self.budget = budget or Budget()
        self.rate = StartRate(options.starts_per_second)
        self.accounts = dict(self._group(endpoints, own_limits, elsewhere))
        """The accounts with each provider, by its name."""
        self.services = tuple(each for all_ in self.accounts.values() for each in all_.services)
        self.recorder = Recorder(checkpoint)
        self.attempts = OpenAttempts(
            self.recorder, self.stop, self.tell if options.tell_sessions else None
        )
        self.spool = AudioSpool(
            checkpoint.folder / run_folder.SEGMENTS,
            limit_bytes=AUDIO_MEMORY_BYTES,
            on_error=self.stop,
        )
        self.disk = trio.CapacityLimiter(os.cpu_count() or 2)
        self.batches = ThreadBatches(threads=os.cpu_count() or 2)
        self.lost: Mapping[str, int] = {}
        """How many attempts of earlier runs were lost to kills, by key."""
        self.manifest = "row"
        """What messages call the manifest."""
        self.files = InputFiles()
        """Lends the recordings."""
        self.again = array("q")
        """Positions of rows that have ended, and are to go again."""
        self.began_at = time.time()
        self.answered: Counter[str] = Counter()
        """How many jobs have ended how in this run."""
        self._is_stopping = False
        self._is_paused = False
        self._holders = 0
        self._error: BatchjobsError | None = None
        self._budget_error: BudgetReachedError | None = None
        """The first limit that had no room; what needs none of it goes on."""
        self._accounts_error: BudgetReachedError | None = None
        """The first provider's whose accounts have spent their budgets; no order raises these."""
        self._can_be_raised = False
        """Whether a limit had no room that can be raised while the run goes on."""

    def _group(
        self,
        endpoints: Mapping[str, Endpoint],
        own_limits: Mapping[str, OwnLimits],
        elsewhere: Elsewhere | None,
    ) -> Iterator[tuple[str, Accounts]]:
        """Put the accounts with each provider together."""
        named = {
            endpoint.provider.name: Learnt(endpoint.provider) for endpoint in endpoints.values()
        }
        for name, learnt in named.items():
            services = [
                Service(
                    endpoint,
                    self.options,
                    budget=self.budget,
                    tell=self.tell,
                    notify=self.queue.notify,
                    own=own_limits.get(way),
                    learnt=learnt,
                    elsewhere=elsewhere,
                )
                for way, endpoint in endpoints.items()
                if endpoint.provider.name == name
            ]
            yield (
                name,
                Accounts(services, self.options, tell=self.tell, notify=self.queue.notify),
            )

    @property
    def is_stopping(self) -> bool:
        """Whether no more sessions start."""
        return self._is_stopping

    def stop(self, error: BatchjobsError) -> None:
        """End the run with an error: start no more sessions; the first error counts."""
        self._error = self._error or error
        self.start_no_more(error.message)

    def start_no_more(self, reason: str) -> None:
        """Start no more sessions; the first reason counts."""
        if self._is_stopping:
            return
        self._is_stopping = True
        for service in self.services:
            service.close_pool()
        self.tell(RunStopping(reason=reason))
        self.queue.notify()

    @property
    def is_paused(self) -> bool:
        """Whether no session starts until somebody lets the run go on."""
        return self._is_paused

    @property
    def is_held(self) -> bool:
        """Whether the run does not end, though nothing may be left to hand out."""
        return self._is_paused or self.is_out_of_room or self._holders > 0

    @property
    def is_out_of_room(self) -> bool:
        """Whether a limit has no room, and the run is to wait until it is raised."""
        return self._can_be_raised and self.options.at_limit == "wait"

    @property
    def budget_error(self) -> BudgetReachedError | None:
        """The limit that has no room, if one has none."""
        return self._budget_error or self._accounts_error

    def pause(self, *, since: float) -> None:
        """Start no session until `resume`; those that are open go on.

        Args:
            since: Unix time at which somebody asked for it.
        """
        if self._is_paused:
            return
        self._is_paused = True
        for service in self.services:
            service.rest_pool()
        self.tell(RunPaused(since=since, folder=str(self.checkpoint.folder)))
        self.queue.notify()

    def resume(self) -> None:
        """Start sessions again."""
        if not self._is_paused:
            return
        self._is_paused = False
        self.tell(RunResumed())
        self.queue.notify()

    @contextmanager
    def hold_open(self) -> Iterator[None]:
        """Let the run not end within a block, which may bring it more to do."""
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            self.queue.notify()

    def change(self, options: Options) -> None:
        """Go on with other limits of sessions, of their starts, and of what may be spent."""
        before, self.options = self.options, options
        if options.starts_per_second != before.starts_per_second:
            self.rate.change(options.starts_per_second)
        if options.concurrency != before.concurrency:
            for accounts in self.accounts.values():
                accounts.limit_concurrency(options)
        if options.spending_limits != before.spending_limits:
            self._budget_error, self._can_be_raised = None, False
            self.budget.change(*options.spending_limits)
        self.queue.notify()

    def to_end(self, signal_number: int) -> RunEnd:
        """Say how the run ended, if a signal stopped it or none (0) did."""
        out_of_budget = None if signal_number else self.budget_error
        return RunEnd(error=self._error or out_of_budget, signal_number=signal_number)

    def give_up_limit(self, limit: str, job: str) -> None:
        """Buy nothing more that needs a limit which will never have room again.

        Args:
            limit: The option that sets it, with its value.
            job: The id of the job that it has no room for.
        """
        self._budget_error = self._budget_error or BudgetReachedError(
            f"{limit}, over all runs in this folder, leaves no room for '{job}'",
            hint=f"raise {limit.split(maxsplit=1)[0]} and run the same command again",
        )
        self._can_be_raised = True
        message = self._budget_error.message
        if self.is_out_of_room:
            name = limit.split(maxsplit=1)[0].removeprefix("--")
            order = quote_command("ctl", self.checkpoint.folder, "set", f"{name}=MORE")
            message = f"{message}; waiting for more: {order}"
        self.tell(LimitReached(message=message))
        self.queue.notify()

    def give_up_accounts(self, limit: str, job: str) -> None:
        """Buy nothing more that needs money of a provider whose accounts have spent their own budgets.

        Args:
            limit: The last one's, in words.
            job: The id of the job that it has no room for.
        """
        self._accounts_error = self._accounts_error or BudgetReachedError(
            f"{limit}, over all runs in this folder, leaves no room for '{job}', "
            "and no other account has any",
            hint="raise 'budget' of an account in batchjobs.toml and run the same command again",
        )
        self.tell(LimitReached(message=self._accounts_error.message))
        self.queue.notify()

    @property
    def sessions_open(self) -> int:
        """Sessions that hold a slot, with whomever."""
        return sum(service.active for service in self.services)

    async def reserve_place(self, row: Row) -> str:
        """Choose where a result in doubt is to stand: never where one is kept, of whatever content.

        Returns:
            Its path below the run folder.

        Raises:
            BatchjobsError: The disk failed.
        """
        taken = await trio.to_thread.run_sync(self.checkpoint.lookups.find_suspect_paths, row.id)
        place = suspects.choose_path(row, taken)
        # First whose file it will be: whatever a kill leaves there, the next run knows it.
        with trio.CancelScope(shield=True):
            await self.recorder.finish(changes=SegmentChanges(expected=(place,)))
        return place

    def tell_finished(self, record: JobRecord) -> None:
        """Tell the observer that a job has its outcome, durably."""
        self.answered[record.status] += 1
        self.tell(JobFinished(record=record, sessions_open=self.sessions_open))
