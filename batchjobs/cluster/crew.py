"""The owner's hosts: who is there, which sessions each has, and what becomes of these."""

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import trio

from batchjobs.cluster.messages import Order, Report, Warned
from batchjobs.cluster.sessions import RemoteSession
from batchjobs.errors import BatchjobsError, LostError, ServiceUnavailableError
from batchjobs.runner.sessions import Asked
from batchjobs.session import Endpoint

WAIT_SECONDS: Final = 60.0
"""So long a run without any worker waits for one."""

_logger = logging.getLogger(__name__)


class Member(msgspec.Struct, eq=False, kw_only=True):
    """A host, as its owner sees it.

    Attributes:
        name: The machine and the process.
        post: Sends it an order.
        sessions: Those that it has, by number.
    """

    name: str
    post: Callable[[Order], None]
    sessions: dict[int, RemoteSession] = msgspec.field(default_factory=dict)


class Crew:
    """Hands sessions to hosts, evenly, and hears what becomes of them; all in trio's thread.

    Args:
        endpoints: The ways to the providers: they tell what hosts warn of, once.
        wait_seconds: So long without any host, it waits for one.
    """

    def __init__(
        self, endpoints: Mapping[str, Endpoint], *, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self._endpoints = endpoints
        self._wait_seconds = wait_seconds
        self._numbers = itertools.count(1)
        self._members: set[Member] = set()
        self._homes: dict[int, Member] = {}
        self._error: BatchjobsError | None = None
        self._change = trio.Event()
        self._alone_since = trio.current_time()

    @property
    def size(self) -> int:
        """How many hosts there are."""
        return len(self._members)

    def make_session(self, asked: Asked) -> RemoteSession:
        """Make a session, which is yet to be run."""
        return RemoteSession(next(self._numbers), asked, self._find_worker, self._leave)

    async def _find_worker(self, session: RemoteSession) -> Member:
        """Give a session to the host that has fewest; wait if there is none.

        Raises:
            ServiceUnavailableError: None comes.
        """
        while self._error is None and not self._members:
            with trio.move_on_at(self._alone_since + self._wait_seconds) as scope:
                await self._change.wait()
            if scope.cancelled_caught:
                self.fail(
                    ServiceUnavailableError(
                        f"no worker was there for {self._wait_seconds:.0f} s",
                        hint="start some, and run the same command again",
                    )
                )
        if self._error is not None:
            raise self._error
        member = min(self._members, key=lambda each: len(each.sessions))
        member.sessions[session.number] = session
        self._homes[session.number] = member
        return member

    def _leave(self, session: RemoteSession) -> None:
        member = self._homes.pop(session.number, None)
        if member is not None:
            member.sessions.pop(session.number, None)

    # -- what is heard of hosts ---------------------------------------------------------------------

    def add(self, member: Member) -> None:
        """Take in a host."""
        self._members.add(member)
        self._notify()

    def lose(self, member: Member, reason: str) -> None:
        """Part with a host: whatever it has is lost, and goes again.

        Args:
            member: The host.
            reason: What is known of its end.
        """
        if member not in self._members:
            return
        self._members.remove(member)
        lost = list(member.sessions.values())
        _logger.warning(
            "the worker %s is lost (%s); its open sessions (%d) go again",
            member.name,
            reason,
            len(lost),
        )
        for session in lost:
            session.hear(LostError(f"the worker {member.name} was lost"))
        if not self._members and self._error is None:
            self._alone_since = trio.current_time()
            shown = f"{self._wait_seconds:.0f} s"
            _logger.warning("no worker is left; waiting %s for one", shown)
        self._notify()

    def fail(self, error: BatchjobsError) -> None:
        """Have no further sessions: nothing will bring a host."""
        self._error = self._error or error
        self._notify()

    def hear(self, member: Member, reports: Sequence[Report]) -> None:
        """Take what a host reports."""
        for report in reports:
            if isinstance(report, Warned):
                self._endpoints[report.site].warn_once(report.message)
            elif (session := member.sessions.get(report.number)) is not None:
                session.hear(report)

    def _notify(self) -> None:
        self._change.set()
        self._change = trio.Event()
