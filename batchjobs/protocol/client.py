"""What a client of either protocol keeps of its session: phase, times, and the outcome."""

from typing import Generic, TypeVar

from batchjobs.errors import SessionError, TimedOutError, TransientError
from batchjobs.jobs import Ending, Evidence
from batchjobs.protocol.conversation import PHASES, Phase, Step

__all__ = ["Course"]

_Result = TypeVar("_Result")


class Course(Generic[_Result]):
    """How far a client's session has come, and what it ended in. Times are on a monotonic clock.

    Args:
        phase: The first phase.
        now: The time at which the connection was open.

    Attributes:
        phase: What the client is about.
        opened_at: When the connection was open.
        sent_all_at: When all was sent; until then `opened_at`.
        results: How many messages with a result have come.
        first_result_at: When the first one came; until then `opened_at`.
        last_result_at: The same of the last one.
        longest_gap_seconds: The longest wait between two of them.
    """

    __slots__ = (
        "_outcome",
        "first_result_at",
        "last_result_at",
        "longest_gap_seconds",
        "opened_at",
        "phase",
        "results",
        "sent_all_at",
    )

    def __init__(self, phase: Phase, now: float) -> None:
        self.phase = phase
        self.opened_at = self.sent_all_at = now
        self.results = 0
        self.first_result_at = self.last_result_at = now
        self.longest_gap_seconds = 0.0
        self._outcome: _Result | SessionError | None = None

    @property
    def is_sending(self) -> bool:
        """Whether there is more to send."""
        return self.phase in {Phase.SENDING, Phase.STREAMING}

    def advance(self, step: Step) -> None:
        """Take a step to the next phase, by the table."""
        self.phase = PHASES[self.phase][step]

    def note_all_sent(self, now: float) -> None:
        """Note that all was sent."""
        self.sent_all_at = now
        self.advance(Step.ALL_SENT)

    def note_result(self, now: float) -> None:
        """Note that a message with a result came."""
        if not self.results:
            self.first_result_at = now
            self.advance(Step.RESULT)
        elif now - self.last_result_at > self.longest_gap_seconds:
            self.longest_gap_seconds = now - self.last_result_at
        self.last_result_at = now
        self.results += 1

    def decide(self, outcome: _Result | SessionError) -> None:
        """Set the outcome, which stands."""
        self.advance(Step.DECIDE)
        self._outcome = outcome

    def timeout(
        self, what: str, now: float, kind: type[TimedOutError] = TimedOutError
    ) -> TimedOutError:
        """Make the error for a deadline that passed.

        Args:
            what: What did not come, or came too late.
            now: The time.
            kind: The error's class.
        """
        return kind(f"{what} ({now - self.opened_at:.1f} s into the session)")

    def outcome(self) -> _Result:
        """Return the result.

        Raises:
            SessionError: The attempt failed; the class says how.
        """
        if self._outcome is None:
            raise TransientError("the session was given up before its end")
        if isinstance(self._outcome, SessionError):
            raise self._outcome
        return self._outcome

    def evidence(
        self, ending: Ending, close_code: int | None, now: float, *, asked_at: float
    ) -> Evidence:
        """Say what was seen of a session whose result is complete, but for the amounts.

        Args:
            ending: What showed the end.
            close_code: The server's close code; None if it did not close.
            now: The time of the decision.
            asked_at: When all had been sent that the first result needs.
        """
        first_result_at = self.first_result_at if self.results else now
        return Evidence(
            ending=ending,
            close_code=close_code,
            messages=self.results,
            first_result_seconds=round(max(0.0, first_result_at - asked_at), 4),
            longest_gap_seconds=round(self.longest_gap_seconds, 4),
            session_seconds=round(now - self.opened_at, 4),
        )
