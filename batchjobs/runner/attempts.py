"""The attempts that are open: begun on the disk before their sessions, and ended there after them."""

import time
from collections.abc import Callable

import msgspec
import trio

from batchjobs.checkpoint import AttemptEnd, AttemptStart
from batchjobs.errors import BatchjobsError, SessionError
from batchjobs.jobs import Ending, Evidence
from batchjobs.progress import Observer, SessionDone, SessionLaunched
from batchjobs.runner.recorder import Recorder
from batchjobs.runner.service import Service, Slot
from batchjobs.runner.sessions import Session
from batchjobs.runner.tickets import Ticket


class Attempt(msgspec.Struct, eq=False, kw_only=True):
    """One session for a ticket.

    Attributes:
        ticket: Whose it is.
        service: Whom it is with.
        session: What is sent and received.
        slot: Its place among the open sessions.
        began_at: When it began, on trio's clock.
        number: Its number in the checkpoint; 0 until it is there.
        is_settled: Whether its cost is counted.
        billed_seconds: Of audio, where the service has said how much it billed; else None.
    """

    ticket: Ticket
    service: Service
    session: Session
    slot: Slot
    began_at: float = msgspec.field(default_factory=trio.current_time)
    number: int = 0
    is_settled: bool = False
    billed_seconds: float | None = None

    def settle(self, evidence: Evidence | None = None) -> None:
        """Count what it has cost, once: for its ticket, and in place of what was set aside.

        Args:
            evidence: What was seen of it, with the service's receipt if it gives any; None if it failed.
        """
        if self.is_settled:
            return
        self.is_settled = True
        if evidence is not None and evidence.ending is Ending.RECEIPT:
            self.billed_seconds = evidence.billed_audio_seconds
        session = self.session
        price = self.service.price(
            session.sent_characters, session.sent_audio_seconds, self.billed_seconds
        )
        self.ticket.cost += price.money
        self.slot.settle(price)

    def to_end(
        self, result: str, error: SessionError | None = None, *, replaces_kept: bool = False
    ) -> AttemptEnd:
        """Say how it ended and what was sent in it.

        Args:
            result: What came of it; see `AttemptEnd`.
            error: How it failed, if it did.
            replaces_kept: Whether it takes the place of what was kept in doubt.
        """
        return AttemptEnd(
            number=self.number,
            ended_at=time.time(),
            result=result,
            code="" if error is None else error.code,
            message="" if error is None else error.message,
            characters=self.session.sent_characters,
            audio_seconds=round(self.session.sent_audio_seconds, 3),
            replaces_kept=replaces_kept,
            billed_seconds=self.billed_seconds,
        )


class OpenAttempts:
    """Keeps the attempts whose ends are not on the disk.

    Args:
        recorder: Makes their starts and ends durable.
        on_error: Called if the disk fails as the run ends.
        tell: Gets an event as a session opens and once it has ended; None if nobody wants them.
    """

    def __init__(
        self,
        recorder: Recorder,
        on_error: Callable[[BatchjobsError], None],
        tell: Observer | None = None,
    ) -> None:
        self._recorder = recorder
        self._on_error = on_error
        self._tell = tell
        self._open: set[Attempt] = set()

    async def begin(self, attempt: Attempt) -> None:
        """Put an attempt on the disk before its session opens.

        Raises:
            BatchjobsError: The disk failed.
        """
        ticket = attempt.ticket
        start = AttemptStart(
            key=ticket.key,
            job=ticket.row.id,
            provider=ticket.row.provider,
            account=attempt.service.endpoint.account,
            started_at=time.time(),
            characters=ticket.characters,
            audio_seconds=ticket.seconds,
        )
        with trio.CancelScope(shield=True):
            attempt.number = await self._recorder.begin(start)
        self._open.add(attempt)
        if self._tell is not None:
            self._tell(
                SessionLaunched(
                    id=ticket.row.id,
                    number=attempt.number,
                    provider=ticket.row.provider,
                    sessions_open=attempt.service.active,
                    account=attempt.service.account,
                )
            )

    async def end(self, attempt: Attempt, result: str, error: SessionError | None = None) -> None:
        """Write down how a session without a result ended, and what was sent in it.

        Raises:
            BatchjobsError: The disk failed.
        """
        self._open.remove(attempt)
        attempt.settle()
        end = attempt.to_end(result, error)
        await self._recorder.finish(end=end)
        self._tell_done(attempt, end)

    def forget(self, attempt: Attempt, end: AttemptEnd) -> None:
        """Forget an attempt whose end is on the disk."""
        self._open.remove(attempt)
        self._tell_done(attempt, end)

    def _tell_done(self, attempt: Attempt, end: AttemptEnd) -> None:
        if self._tell is not None:
            self._tell(
                SessionDone(
                    id=attempt.ticket.row.id,
                    number=end.number,
                    result=end.result,
                    code=end.code,
                    seconds=round(trio.current_time() - attempt.began_at, 3),
                    characters=end.characters,
                    audio_seconds=end.audio_seconds,
                )
            )

    def find(self, ticket: Ticket) -> list[Attempt]:
        """Find the attempts of a ticket."""
        return [attempt for attempt in self._open if attempt.ticket is ticket]

    async def end_all(self) -> None:
        """Write down what the sessions that were cut off had sent, in as few commits as it takes."""
        async with trio.open_nursery() as nursery:
            for attempt in list(self._open):
                nursery.start_soon(self._cancel, attempt)

    async def _cancel(self, attempt: Attempt) -> None:
        try:
            await self.end(attempt, "cancelled")
        except BatchjobsError as error:  # of the disk; the next run counts them as lost
            self._on_error(error)
