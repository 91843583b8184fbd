"""Drives one machine over one open connection, until its outcome is decided."""

from collections.abc import Callable
from typing import Final, TypeAlias

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.protocol import close_codes
from batchjobs.protocol.listen import ListenClient
from batchjobs.protocol.stt import SttClient
from batchjobs.protocol.tts import TtsClient
from batchjobs.websocket.direct_delivery import mailbox_of

Machine: TypeAlias = TtsClient[ReceivedAudio] | SttClient | ListenClient

_PONG_SECONDS: Final = 5.0
_LATE_SECONDS: Final = 0.1
"""A deadline that is noticed so late was missed by us: this process stood still, or had much to do."""
_LONGEST_MOMENT_SECONDS: Final = 1.0
"""So long it then waits at most for what may have come meanwhile: it lies in the system's buffers."""
_SHORT_MOMENT_SECONDS: Final = 0.25
"""So long at most where a message tells that all is over: TLS gives what came together one by one."""


class Exchange:
    """Drives one machine over one open connection.

    Args:
        connection: The connection.
        machine: Says what to do.
        on_proven: Called when the service first does useful work.
        shield: Is shielded as soon as the outcome is decided.
        was_pooled: Whether the connection was opened beforehand. If it ends before the service has
            said anything, it is stale, and the machine does not hear of it.
    """

    def __init__(
        self,
        connection: WebSocketConnection,
        machine: Machine,
        on_proven: Callable[[], None],
        shield: trio.CancelScope,
        *,
        was_pooled: bool = False,
    ) -> None:
        self.connection = connection
        self.machine = machine
        self._on_proven = on_proven
        self._shield = shield
        self._scope = trio.CancelScope()
        self.wake = trio.Event()
        self.is_closed = False
        self.is_stale = False
        self._may_be_stale = was_pooled
        self._was_proven = False
        self._mailbox = mailbox_of(connection)
        self._unexpected: Exception | None = None
        self._missed = float("-inf")

    async def listen(self) -> None:
        """Feed the machine with messages and times until its outcome is decided."""
        try:
            await self._listen()
        finally:
            if self._mailbox is not None:
                # A pooled connection may outlive its session, and go on. None keeps it, either: what a
                # connection and its session leave as a circle waits for the collector, the audio too.
                self._mailbox.take = _drop

    async def _listen(self) -> None:
        machine = self.machine
        while not machine.course.has_ended:
            now = trio.current_time()
            deadline = self._find_deadline(now, machine.wait_until)
            if now >= deadline:
                if self._may_be_stale:
                    self.is_stale = True
                    return
                machine.wake(now)
                self._wake_sender()
                continue
            self._scope = trio.CancelScope(deadline=deadline)
            with self._scope:
                await self._receive_until_ended()
            if self._unexpected is not None:
                raise self._unexpected
            if self.is_stale:
                return
        self._shield.shield = True  # what is decided is paid for: no cancellation takes it back

    def _find_deadline(self, now: float, wait_until: float) -> float:
        """Say until when to listen: a moment longer than the machine says if we look too late, once."""
        late_seconds = now - wait_until
        if late_seconds < _LATE_SECONDS or wait_until == self._missed:
            return wait_until
        return self._grant_moment(wait_until, now, _LONGEST_MOMENT_SECONDS)

    def _grant_moment(self, missed: float, now: float, longest_seconds: float) -> float:
        """Say until when to listen past a deadline that was missed: as long again, and only once."""
        self._missed = missed
        return now + min(now - missed, longest_seconds)

    async def _receive_until_ended(self) -> None:
        """Feed the machine with messages, until the deadline of the scope cuts this off."""
        machine, mailbox = self.machine, self._mailbox
        while not machine.course.has_ended:
            if mailbox is not None and mailbox.is_empty:
                mailbox.take = self._take_directly  # the queue then brings nothing but the end
            try:
                payload = await self.connection.get_message()
            except ConnectionClosed as closed:
                self.is_closed = True
                if self._may_be_stale:
                    self.is_stale = True
                    return
                code, reason = _close_of(closed)
                machine.receive_close(code, reason, trio.current_time())
                return
            self._take(payload)

    def _take(self, payload: str | bytes) -> None:
        """Feed the machine with a message.

        The deadline follows the machine's only where that has come nearer. Where it has moved away,
        as with every message, the old one is waited for, looked at, and set anew: to move it each
        time, with a scope for each message, took a tenth of a session's time (measured).
        """
        machine = self.machine
        self._may_be_stale = False
        machine.receive(payload, trio.current_time())
        self._wake_sender()
        if not self._was_proven and machine.course.is_proven:
            self._was_proven = True
            self._on_proven()
        self.rearm()

    def _take_directly(self, payload: str | bytes) -> None:
        """Feed the machine with a message that trio-websocket's reader task hands over.

        An exception would end the reader: it is stored, and `listen` raises it.
        """
        if self.machine.course.has_ended or self._unexpected is not None:
            return
        try:
            self._take(payload)
        except Exception as error:  # noqa: BLE001  # `listen` raises it
            self._unexpected = error
            self._scope.cancel()

    def _wake_sender(self) -> None:
        if self.machine.has_payload:
            self.wake.set()

    async def is_fresh(self) -> bool:
        """Ask the service for a pong, if the connection was opened beforehand.

        For protocols that begin with what is paid for: that must not go down a dead line.

        Returns:
            Whether the connection still leads anywhere.
        """
        if self._may_be_stale:
            with trio.move_on_after(_PONG_SECONDS) as scope:
                try:
                    await self.connection.ping()
                except ConnectionClosed:
                    self.is_closed = self.is_stale = True
            self.is_stale = self.is_stale or scope.cancelled_caught
            self._may_be_stale = False
        return not self.is_stale

    def note_sent(self) -> None:
        """Note that the machine's message went out; its deadline may have moved either way."""
        self.machine.note_sent(trio.current_time())
        self.rearm()

    def rearm(self) -> None:
        """Make `listen` wake in time for what the machine now waits for."""
        if self.machine.course.has_ended:
            self._shield.shield = True
            self._scope.cancel()
            return
        wait_until, deadline = self.machine.wait_until, self._scope.deadline
        if wait_until >= deadline or wait_until == self._missed:
            return
        now = trio.current_time()
        if wait_until < now < deadline:
            # By what has just come: nobody looks too late.
            wait_until = min(self._grant_moment(wait_until, now, _SHORT_MOMENT_SECONDS), deadline)
        self._scope.deadline = wait_until


def _drop(_payload: str | bytes) -> None:
    """Do nothing with a message that comes after its session."""


def _close_of(closed: ConnectionClosed) -> tuple[int, str]:
    """Read the close code and the reason; without a close message the connection broke."""
    if closed.reason is None:  # a close without a code has 1005: this is a peer's broken framing
        return close_codes.ABNORMAL, "the service broke the WebSocket protocol"
    return int(closed.reason.code), closed.reason.reason or ""
