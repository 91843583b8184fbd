"""What a client of either protocol keeps of its session: phase, times, and the outcome."""

from typing import Generic, TypeVar

from batchjobs.errors import SessionError, TimedOutError, TransientError
from batchjobs.jobs import Ending, Evidence
from batchjobs.protocol import error_codes
from batchjobs.protocol.conversation import PHASES, AnyMessage, Conversation, Phase, Step
from batchjobs.protocol.messages import Failure

_Result = TypeVar("_Result")


class Course(Generic[_Result]):
    """How far a client's session has come, and what it ended in. Times are on a monotonic clock.

    Args:
        phase: The first phase.
        now: The time at which the connection was open.

    Attributes:
        phase: What the client is about.
        opened_at: When the connection was open; until they come, the other times are the same.
        sent_all_at: When all was sent.
        results: How many messages with a result have come.
        first_result_at: When the first one came.
        last_result_at: When the last one came.
        longest_gap_seconds: The longest wait between two of them.
    """

    def __init__(self, phase: Phase, now: float) -> None:
        self.phase = phase
        self.opened_at = self.sent_all_at = self.first_result_at = self.last_result_at = now
        self.results = 0
        self.longest_gap_seconds = 0.0
        self._outcome: _Result | SessionError | None = None

    @property
    def is_sending(self) -> bool:
        """Whether there is more to send."""
        return self.phase in {Phase.SENDING, Phase.STREAMING}

    @property
    def is_proven(self) -> bool:
        """Whether the service has done useful work for us: the key is good."""
        return self.results > 0

    @property
    def has_ended(self) -> bool:
        """Whether the outcome is decided."""
        return self.phase is Phase.ENDED

    def advance(self, step: Step) -> None:
        """Take a step to the next phase, by the table."""
        self.phase = PHASES[self.phase][step]

    def read(self, conversation: Conversation, payload: str | bytes) -> AnyMessage | None:
        """Read a message of the service; an error, whoever's it is, decides the outcome.

        Args:
            conversation: Reads it.
            payload: The message.

        Returns:
            The message; None if there is nothing more to do about it.
        """
        if self.phase is Phase.ENDED:
            return None
        try:
            message = conversation.receive(payload)
        except SessionError as error:
            self.decide(error)
            return None
        if isinstance(message, Failure):
            self.decide(error_codes.from_code(message.code, message.message))
        return message

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

    def time_out(self, what: str, now: float, kind: type[TimedOutError] = TimedOutError) -> None:
        """Fail because of a deadline: say what did not come, or came too late."""
        self.decide(kind(f"{what} ({now - self.opened_at:.1f} s into the session)"))

    def result(self) -> _Result:
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
