"""The nursery: a feeder, fixed workers, a recorder, and the signals that stop them."""

import contextlib
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from batchjobs.errors import BatchjobsError
from batchjobs.outputs.sweep import sweep
from batchjobs.process.signals import SignalNote, list_stopping
from batchjobs.process.tuning import trim_memory
from batchjobs.runner.feeder import Feeder, Handout
from batchjobs.runner.state import RunEnd, RunState
from batchjobs.runner.worker import Worker

_COMMITTING_AT_ONCE: Final = 256
"""So many workers more than sessions: those whose results are being committed hold no slot."""


class Runner:
    """Runs the rows that a plan left to do.

    Args:
        run: The run.
        beside: Runs beside the work, and is cancelled at its end.
    """

    def __init__(
        self, run: RunState, *, beside: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._state = run
        self._beside = beside
        self._signal_number = 0
        self._work_scope = trio.CancelScope()
        self._hire: Callable[[], None] | None = None

    async def run(self, noted: SignalNote | None = None) -> RunEnd:
        """Work until everything has its answer, or something stops the run.

        Args:
            noted: A signal that comes before we listen stands here, and counts; None leaves signals
                alone, as is right in somebody else's event loop.

        Returns:
            How it ended.
        """
        run = self._state
        try:
            run.lost = run.checkpoint.recover(time.time())
            trim_memory()
            run.manifest = run.checkpoint.read_settings().get("manifest") or run.manifest
            await trio.to_thread.run_sync(sweep, run.checkpoint)
        except BatchjobsError as error:
            return RunEnd(error=error)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.recorder.run)
            nursery.start_soon(run.batches.run)
            nursery.start_soon(run.spool.run)
            if self._beside is not None:
                nursery.start_soon(self._beside)
            for service in run.services:
                if service.pool is not None:
                    nursery.start_soon(service.pool.run)
                if service.http is not None:
                    nursery.start_soon(service.http.run)
            try:
                if noted is not None:
                    await nursery.start(self._watch_signals, noted)
                with self._work_scope:
                    await self._work()
            finally:
                with trio.CancelScope(shield=True):
                    await run.attempts.end_all()
                run.batches.close()
                run.recorder.close()
            nursery.cancel_scope.cancel()
        # If an error of the disk mattered, it has stopped the run.
        with trio.CancelScope(shield=True), contextlib.suppress(BatchjobsError):
            await trio.to_thread.run_sync(sweep, run.checkpoint)
        return run.to_end(self._signal_number)

    def stop(self, error: BatchjobsError) -> None:
        """End the run early, from outside: open sessions may finish."""
        self._state.stop(error)

    def staff(self) -> None:
        """Let there be workers for as many sessions as may be open by now; none is sent away."""
        if self._hire is not None:
            self._hire()

    def drain(self, asker: str) -> None:
        """Start no more sessions, as for SIGTERM, and end as after it: somebody asks for that.

        Args:
            asker: Who does, for the message.
        """
        if not self._signal_number:
            self._drain(signal.SIGTERM, asker)

    async def _work(self) -> None:
        run = self._state
        worker = Worker(run)
        done = await worker.copy_exchanged()
        send, receive = trio.open_memory_channel[Handout](0)
        async with trio.open_nursery() as nursery:
            with receive:
                hired = 0

                def hire() -> None:
                    nonlocal hired
                    sessions = max(1, sum(each.most for each in run.accounts.values()))
                    wanted = sessions + min(sessions, _COMMITTING_AT_ONCE)
                    for _ in range(hired, wanted):
                        nursery.start_soon(worker.serve, receive.clone())
                    hired = max(hired, wanted)

                hire()
                self._hire = hire
                await Feeder(run, send, done, withdraw=worker.withdraw).run()
                self._hire = None

    async def _watch_signals(
        self, noted: SignalNote, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        wanted = list_stopping()
        if not wanted:  # switched off for this process, or this is no main thread
            task_status.started()
            return
        with trio.open_signal_receiver(*wanted) as received:
            if noted.number:
                self._drain(noted.number)
            task_status.started()
            async for number in received:
                if self._signal_number:
                    self._work_scope.cancel()
                    self._state.checkpoint.hurry()
                    continue  # a third must not strike the commits that are under way
                self._drain(number)

    def _drain(self, number: int, asker: str = "") -> None:
        """Start no more sessions, for a signal; those that are open have the grace to end."""
        self._signal_number = number
        name = asker or signal.Signals(number).name
        grace = self._state.options.grace_seconds
        self._state.start_no_more(
            f"{name}: open sessions have {grace:g} s; once more to stop at once"
        )
        self._work_scope.deadline = trio.current_time() + grace
