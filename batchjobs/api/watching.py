"""A watch at work: has its folder looked through, runs what is new, tends what is done, and waits."""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import trio

from batchjobs.api.execute import execute
from batchjobs.api.lookout import Lookout
from batchjobs.api.notifying import join_observers
from batchjobs.api.prepare import Growth, PreparedRun, prepare
from batchjobs.api.report import RunReport, write_report
from batchjobs.api.request import Request
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import BatchjobsError, DiskFullError, ManifestError, ServiceUnavailableError
from batchjobs.limits import GrowingWait
from batchjobs.manifest.sightings import State
from batchjobs.notices.messages import Notifier
from batchjobs.options.watching import WatchSettings
from batchjobs.outputs import reports
from batchjobs.outputs.aftercare import Aftercare, Ours
from batchjobs.outputs.heartbeat import Heartbeat, write_heartbeat
from batchjobs.process import signals
from batchjobs.progress import Event, JobFinished, Observer, shield_observer
from batchjobs.runner import RunEnd

Teller: TypeAlias = Callable[[str], None]
"""Gets a sentence that a person should know; also from threads."""

_REST: Final = 20
"""So many times as long as a look, or a write of the results, takes it rests: a twentieth of a core."""
_ROUND_REST: Final = 9
"""Likewise of planning and counting, which take longer the more was ever heard: a tenth, where all the
time something arrives."""
_LEAST_SETTLE_SECONDS: Final = 0.1
_HEARTBEAT_SECONDS: Final = 15.0
_RESULTS_SECONDS: Final = 60.0
_PASSING: Final = (ServiceUnavailableError, DiskFullError)
"""What a watch waits for; anything else needs a person, and ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchReport:
    """How a watch ended.

    Attributes:
        folder: The run folder.
        exit_code: What the command would exit with.
        rounds: How many runs it had done.
        last: How the last of them ended; None if there was none.
        error: What ended it; None if a signal did.
        signal_number: The signal that ended it; 0 if none did.
    """

    folder: Path
    exit_code: int
    rounds: int
    last: RunReport | None
    error: BatchjobsError | None
    signal_number: int


class Watch:
    """Watches a folder until a signal, or an error that does not pass.

    Args:
        folder: The folder.
        request: What its runs are asked for.
        checkpoint: The run folder's, held.
        settings: How it is watched.
        observe: Gets every event of its runs.
        tell: Gets what a person should know.
        notifier: Tells a program elsewhere; None if nobody asked for that.
    """

    def __init__(
        self,
        folder: Path,
        request: Request,
        checkpoint: Checkpoint,
        *,
        settings: WatchSettings,
        observe: Observer | None = None,
        tell: Teller | None = None,
        notifier: Notifier | None = None,
    ) -> None:
        assert isinstance(request.source, Path)
        self._request = request
        self._checkpoint = checkpoint
        self._settings = settings
        self._observe_run = shield_observer(join_observers(observe, notifier))
        self._notifier = notifier
        self._tell = tell or (lambda _: None)
        done = settings.done_folder
        self._care = Aftercare(
            folder=folder.resolve(),
            checkpoint=checkpoint,
            done_folder=None if done is None else done.resolve(),
            beside=settings.beside,
            ours=Ours(request.folder),
        )
        self._lookout = Lookout(
            folder.resolve(),
            request.source,
            checkpoint,
            settings=settings,
            care=self._care,
            tell=self._tell,
        )
        self._heart = Heartbeat(
            pid=os.getpid(), every_seconds=settings.every_seconds, folder=str(folder.resolve())
        )
        self._news = trio.Event()
        """Set when whoever looks from outside should know at once."""
        self._idle_scope = trio.CancelScope()
        self._tending = trio.Lock()
        """One at a time: two would move and write the same files."""
        self._signal_number = 0
        self._error: BatchjobsError | None = None
        self._trouble: BatchjobsError | None = None
        self._rounds = 0
        self._last: RunReport | None = None
        self._unwritten: RunReport | None = None
        self._write_at = 0.0
        self._again_at = float("inf")
        """When rows of earlier rounds that are not done are tried again."""
        self._not_before = float("-inf")
        """Until then nothing is run: what keeps it from that is to pass first."""
        self._rest_until = float("-inf")
        self._overhead_seconds = 0.0
        self._outage_waits = GrowingWait(first_seconds=60, factor=2, most_seconds=900)
        self._retry_waits = GrowingWait(first_seconds=600, factor=4, most_seconds=86_400)

    # -- from beginning to end ------------------------------------------------------------------

    async def run(self, *, heeds_signals: bool = True) -> WatchReport:
        """Watch until something ends it.

        Args:
            heeds_signals: Whether signals are for us; they are not in somebody else's event loop.
        """
        async with trio.open_nursery() as nursery:
            if heeds_signals:
                await nursery.start(self._heed_signals)
            nursery.start_soon(self._beat)
            while not self._is_ending():
                with trio.CancelScope() as self._idle_scope:
                    await self._wait_due()
                if not self._is_ending():
                    await self._run_what_is_due(heeds_signals=heeds_signals)
            await self._end()
            nursery.cancel_scope.cancel()
        return WatchReport(
            folder=self._request.folder,
            exit_code=self._exit_code,
            rounds=self._rounds,
            last=self._last,
            error=self._error,
            signal_number=self._signal_number,
        )

    def _is_ending(self) -> bool:
        return self._error is not None or bool(self._signal_number)

    @property
    def _exit_code(self) -> int:
        if self._error is not None:
            return self._error.exit_code
        return 128 + self._signal_number

    async def _heed_signals(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        wanted = signals.list_stopping()
        if not wanted:
            task_status.started()
            return
        with trio.open_signal_receiver(*wanted) as received:
            task_status.started()
            async for number in received:
                if self._signal_number:  # a move to a disk that hangs would hold it up for good
                    signals.die_at_once(number)
                self._note_signal(number)
                self._idle_scope.cancel()

    def _note_signal(self, number: int) -> None:
        if not self._signal_number:
            self._signal_number = number

    async def _end(self) -> None:
        """Write what is written last."""
        if self._is_ending():
            await self._tend()
        await self._write_results()
        self._heart.exit_code = self._exit_code
        self._heart.error = "" if self._error is None else self._error.describe()
        if self._notifier is not None:
            self._notifier.tell_end("watch_finished", self._exit_code, self._heart.error)
        await trio.to_thread.run_sync(write_heartbeat, self._request.folder, self._heart)

    async def _beat(self) -> None:
        """Say from time to time that the watch is alive, and tend what is done while a run goes on."""
        while True:
            self._heart.waiting, self._heart.odd = self._lookout.waiting, self._lookout.odd
            await trio.to_thread.run_sync(write_heartbeat, self._request.folder, self._heart)
            self._news = trio.Event()
            with trio.move_on_after(_HEARTBEAT_SECONDS):
                await self._news.wait()
            await self._tend()

    # -- waiting --------------------------------------------------------------------------------

    async def _wait_due(self) -> None:
        """Look through the folder, again and again, until there is something to run."""
        while not self._is_ending():
            began = time.monotonic()
            settled = await self._look()
            rest = _REST * (time.monotonic() - began)
            next_look_at = trio.current_time() + max(self._settings.every_seconds, rest)
            while True:
                if settled:
                    await self._take(settled)
                await self._tend()
                if self._is_ending() or self._is_due():
                    return
                await self._write_results_now_and_then()
                wait = next_look_at - trio.current_time()
                if wait <= 0:
                    break
                if self._lookout.waiting:
                    wait = min(wait, max(self._settings.settle_seconds, _LEAST_SETTLE_SECONDS))
                await trio.sleep(wait)
                settled = await trio.to_thread.run_sync(self._lookout.glance, trio.current_time())

    def _is_due(self) -> bool:
        now = trio.current_time()
        if now < max(self._not_before, self._rest_until):
            return False
        if self._lookout.is_anew:
            return self._lookout.has_rows
        return bool(self._lookout.lines) or now >= self._again_at

    async def _look(self) -> dict[str, State]:
        try:
            settled = await trio.to_thread.run_sync(self._lookout.look, trio.current_time())
        except BatchjobsError as error:
            self._meet(error)
            return {}
        self._heart.files, self._heart.looked_at = self._lookout.files, time.time()
        if isinstance(self._trouble, ManifestError):
            self._set_trouble(None)
        return settled

    async def _take(self, settled: dict[str, State]) -> None:
        try:
            await trio.to_thread.run_sync(self._lookout.take, settled, trio.current_time())
        except BatchjobsError as error:
            self._meet(error)

    # -- running --------------------------------------------------------------------------------

    async def _run_what_is_due(self, *, heeds_signals: bool) -> None:
        """Run what is new, and what is to be tried again."""
        look = self._lookout
        growth = None
        if not look.is_anew:
            looks_back = trio.current_time() >= self._again_at
            growth = Growth(lines=look.lines, above=look.above, looks_back=looks_back)
        try:
            run = await self._prepare(growth)
            if run is None:  # a signal came
                return
            report = await self._carry_out(run, heeds_signals=heeds_signals)
        except BatchjobsError as error:
            self._meet(error)
            return
        self._rest_until = trio.current_time() + _ROUND_REST * self._overhead_seconds
        self._rounds += 1
        self._last = self._unwritten = report
        self._decide_about_rest(report, looked_back=growth is None or growth.looks_back)

    async def _prepare(self, growth: Growth | None) -> PreparedRun | None:
        began = time.monotonic()
        with trio.CancelScope() as self._idle_scope:
            run = await trio.to_thread.run_sync(
                prepare, self._request, self._checkpoint, self._observe, _check_cancelled, growth
            )
            self._overhead_seconds = time.monotonic() - began
            return run
        return None

    async def _carry_out(self, run: PreparedRun, *, heeds_signals: bool) -> RunReport:
        with signals.note_first() if heeds_signals else contextlib.nullcontext() as noted:
            await trio.lowlevel.checkpoint()  # what came until now is heeded after it
            if noted is not None:
                noted.number = self._signal_number or noted.number
            end = await execute(run, noted)
            self._lookout.forget_lines()
            began = time.monotonic()
            report = await trio.to_thread.run_sync(_write_report, run, end)
            self._overhead_seconds += time.monotonic() - began
            came = 0 if noted is None else noted.number
        self._note_signal(end.signal_number or came)
        return report

    def _decide_about_rest(self, report: RunReport, *, looked_back: bool) -> None:
        """Decide when to try again what is left."""
        if report.error is not None:
            self._meet(report.error)
            return
        self._set_trouble(None)
        self._outage_waits.reset()
        summary = report.summary
        if not (summary.failed_passing or summary.suspect_passing or summary.not_run):
            self._retry_waits.reset()
            self._again_at = float("inf")
        elif looked_back or self._again_at == float("inf"):
            self._again_at = trio.current_time() + self._retry_waits.next_seconds()

    def _meet(self, error: BatchjobsError) -> None:
        """Take an error: what may pass is waited for, anything else ends the watch."""
        if isinstance(error, ManifestError) and not self._lookout.is_readable():
            self._set_trouble(error)
            return
        if not isinstance(error, _PASSING):
            self._error = self._error or error
            self._idle_scope.cancel()
            return
        self._not_before = trio.current_time() + self._outage_waits.next_seconds()
        self._again_at = self._not_before
        self._set_trouble(error)

    def _set_trouble(self, error: BatchjobsError | None) -> None:
        """Note what keeps the watch from its work, and tell it if it is another thing than before."""
        before, self._trouble = self._heart.trouble, error
        self._heart.trouble = "" if error is None else error.describe()
        self._news.set()
        if error is not None and not before:
            self._heart.trouble_since = time.time()
        if error is None and before:
            self._tell("going on")
            if self._notifier is not None:
                self._notifier.tell_going_on()
        elif error is not None and before != self._heart.trouble:
            self._tell(f"waiting: {self._heart.trouble}")
            if self._notifier is not None:
                self._notifier.call_for(self._heart.trouble)

    def _observe(self, event: Event) -> None:
        if isinstance(event, JobFinished) and self._care.is_wanted:
            self._care.waiting.setdefault(event.record.id, "")
        self._observe_run(event)

    # -- what is done ---------------------------------------------------------------------------

    async def _tend(self) -> None:
        """Tend the recordings of rows that are done."""
        async with self._tending:
            if not self._care.waiting:
                return
            try:
                await trio.to_thread.run_sync(self._care.tend_all, self._tell)
            except BatchjobsError as error:
                self._meet(error)

    async def _write_results_now_and_then(self) -> None:
        """Write the results, which are as large as all that was ever heard, not after every round."""
        if self._unwritten is not None and trio.current_time() >= self._write_at:
            began = time.monotonic()
            await self._write_results()
            rest = max(_RESULTS_SECONDS, _REST * (time.monotonic() - began))
            self._write_at = trio.current_time() + rest

    async def _write_results(self) -> None:
        report, self._unwritten = self._unwritten, None
        if report is not None:
            try:
                await trio.to_thread.run_sync(
                    reports.write_results, self._checkpoint, report.summary
                )
            except BatchjobsError as error:
                self._meet(error)


def _write_report(run: PreparedRun, end: RunEnd) -> RunReport:
    return write_report(run, end, defers_files=True)


def _check_cancelled(_: int) -> None:
    trio.from_thread.check_cancelled()
