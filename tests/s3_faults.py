"""A proxy before an S3 server that counts what passes, and breaks what it is told to break.

It runs in a thread with a loop of its own, so it serves commands in this process and in others, and
tests whose clock is virtual. Every request is taken whole before it goes on, and so is every answer.
"""

import contextlib
import enum
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import h11
import trio

__all__ = ["Act", "Fault", "FaultProxy", "Seen", "fault_proxy"]

_LOOK_SECONDS: Final = 0.005
_SENTENCES: Final = {
    403: ("AccessDenied", "Access Denied"),
    404: ("NoSuchKey", "The specified key does not exist."),
    429: ("TooManyRequests", "Please reduce your request rate."),
    500: ("InternalError", "We encountered an internal error. Please try again."),
    503: ("SlowDown", "Please reduce your request rate."),
}


class Act(enum.Enum):
    """What is done to a request."""

    KILL_BEFORE = "kill the victim; the request never arrives"
    KILL_AFTER = "let the request be done, and kill the victim before it hears of it"
    DROP_BEFORE = "close the connection; the request never arrives"
    DROP_AFTER = "let the request be done, and close the connection without an answer"
    CUT = "close the connection in the middle of the answer's body"
    ANSWER = "answer with `status`; the request never arrives"
    CALL = "call `hook` and go on: something happens at this very moment"
    DELAY = "go on after `seconds`"
    HOLD = "go on once `until` is set: the request is on its way for as long"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A rule: which requests are broken, and how.

    Args:
        act: What is done.
        at: The first of the matching requests that it is done to, from 1.
        times: To how many of them.
        method: Only to requests of this method; empty: to all.
        target: Only to requests whose decoded path and query has this regular expression in it.
        status: What `Act.ANSWER` answers with.
        seconds: How long `Act.DELAY` waits.
        hook: Called in the proxy's thread before anything is done.
        until: What `Act.HOLD` waits for; other requests pass meanwhile.
    """

    act: Act
    at: int = 1
    times: int = 1
    method: str = ""
    target: str = ""
    status: int = 503
    seconds: float = 0.0
    hook: Callable[[], object] = field(default=lambda: None)
    until: threading.Event = field(default_factory=threading.Event)


@dataclass(slots=True)
class Seen:
    """A request that came by.

    Args:
        method: Its method.
        target: Its path and query, decoded.
        headers: Its headers, with names in small letters.
        body_bytes: How long its body was.
        status: The answer's status; 0 as long as there was none.
        sent_bytes: How much of the answer's body went out.
    """

    method: str
    target: str
    headers: dict[str, str]
    body_bytes: int
    status: int = 0
    sent_bytes: int = 0


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer, whole."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class FaultProxy:
    """What a proxy saw, and what it is to break.

    Args:
        upstream: The server's address.
        faults: The rules; all that match a request are counted, the first that is due is done.
    """

    def __init__(self, upstream: str, faults: Sequence[Fault] = ()) -> None:
        parts = urlsplit(upstream)
        assert parts.hostname is not None
        assert parts.port is not None
        self._upstream = (parts.hostname, parts.port)
        self._matches: dict[int, int] = {}
        self.faults = list(faults)
        self.requests: list[Seen] = []
        self.victim = 0  # a process; none is killed before it is set
        self.url = ""

    def count(self, method: str = "", target: str = "") -> int:
        """Count the requests of a method, or whose target has a regular expression in it."""
        return sum(
            method in {"", seen.method} and re.search(target, seen.target) is not None
            for seen in self.requests
        )

    def replace_faults(self, *faults: Fault) -> None:
        """Break other requests from now on, counted from here."""
        self.faults = list(faults)
        self._matches.clear()

    async def serve(self, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        """Serve on a free port until the scope that is told is cancelled."""
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
                port = listeners[0].socket.getsockname()[1]
                self.url = f"http://127.0.0.1:{port}"
                nursery.start_soon(trio.serve_listeners, self._serve_client, listeners)
                task_status.started(scope)

    async def _serve_client(self, stream: trio.SocketStream) -> None:
        """Pass on the requests of one connection."""
        client = h11.Connection(h11.SERVER)
        gone = (trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError)
        async with stream:
            with contextlib.suppress(*gone):
                while await self._serve_request(client, stream):
                    client.start_next_cycle()

    async def _serve_request(self, client: h11.Connection, stream: trio.SocketStream) -> bool:
        """Pass on one request; says whether another may come."""
        head = await _next_event(client, stream)
        if not isinstance(head, h11.Request):
            return False
        if client.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[])
            await stream.send_all(client.send(go_on) or b"")
        body = await _read_body(client, stream)
        seen = Seen(
            head.method.decode(),
            unquote(head.target.decode()),
            {name.decode(): value.decode() for name, value in head.headers},
            len(body),
        )
        self.requests.append(seen)
        fault = self._find_fault(seen)
        act = fault.act if fault else None
        if fault:
            fault.hook()
        if fault and act is Act.DELAY:
            await trio.sleep(fault.seconds)
        if fault and act is Act.HOLD:
            while not fault.until.is_set():  # noqa: ASYNC110  # another thread sets it
                await trio.sleep(_LOOK_SECONDS)
        if act is Act.KILL_BEFORE:
            self._kill()
        if act in {Act.KILL_BEFORE, Act.DROP_BEFORE}:
            return False
        if fault and act is Act.ANSWER:
            answer = _make_answer(fault.status)
        else:
            answer = await self._forward(head, body)
        if act is Act.KILL_AFTER:
            self._kill()
        if act in {Act.KILL_AFTER, Act.DROP_AFTER}:
            return False
        seen.status = answer.status
        return await _send_answer(client, stream, answer, seen, is_cut=act is Act.CUT)

    def _find_fault(self, seen: Seen) -> Fault | None:
        """Count a request for every rule, and give the first that is due."""
        due = None
        for number, fault in enumerate(self.faults):
            if fault.method not in {"", seen.method} or not re.search(fault.target, seen.target):
                continue
            matches = self._matches[number] = self._matches.get(number, 0) + 1
            if due is None and fault.at <= matches < fault.at + fault.times:
                due = fault
        return due

    def _kill(self) -> None:
        if self.victim:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.victim, signal.SIGKILL)

    async def _forward(self, head: h11.Request, body: bytes) -> _Answer:
        """Have the real server do a request."""
        server = h11.Connection(h11.CLIENT)
        kept = [
            (name, value)
            for name, value in head.headers
            if name not in {b"expect", b"connection", b"transfer-encoding", b"content-length"}
        ]
        if body or head.method in {b"PUT", b"POST"}:
            kept.append((b"content-length", str(len(body)).encode()))
        request = h11.Request(
            method=head.method, target=head.target, headers=[*kept, (b"connection", b"close")]
        )
        async with await trio.open_tcp_stream(*self._upstream) as stream:
            events: list[h11.Event] = [request, h11.EndOfMessage()]
            if body:
                events.insert(1, h11.Data(data=body))
            await stream.send_all(b"".join(server.send(event) or b"" for event in events))
            response = await _next_event(server, stream)
            assert isinstance(response, h11.Response)
            content = await _read_body(server, stream)
        headers = [
            (name, value)
            for name, value in response.headers
            if name not in {b"connection", b"transfer-encoding"}
            and (name != b"content-length" or head.method == b"HEAD")
        ]
        if head.method != b"HEAD" and response.status_code not in {204, 304}:
            headers.append((b"content-length", str(len(content)).encode()))
        return _Answer(response.status_code, headers, content)


async def _next_event(connection: h11.Connection, stream: trio.SocketStream) -> Any:
    """Read until there is an event."""
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await stream.receive_some(65_536))
    return event


async def _read_body(connection: h11.Connection, stream: trio.SocketStream) -> bytes:
    """Read a body to its end."""
    body = bytearray()
    while isinstance(event := await _next_event(connection, stream), h11.Data):
        body += event.data
    return bytes(body)


def _make_answer(status: int) -> _Answer:
    """Make an error as S3 words it."""
    code, message = _SENTENCES.get(status, ("Unknown", "Unknown"))
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message><RequestId>1</RequestId></Error>"
    ).encode()
    headers = [
        (b"content-type", b"application/xml"),
        (b"content-length", str(len(body)).encode()),
    ]
    return _Answer(status, headers, body)


async def _send_answer(
    client: h11.Connection,
    stream: trio.SocketStream,
    answer: _Answer,
    seen: Seen,
    *,
    is_cut: bool,
) -> bool:
    """Send an answer, or half of one; says whether another request may come."""
    head = client.send(h11.Response(status_code=answer.status, headers=answer.headers))
    body = b"" if seen.method == "HEAD" else answer.body
    if is_cut:
        seen.sent_bytes = len(body) // 2
        await stream.send_all((head or b"") + body[: seen.sent_bytes])
        return False
    seen.sent_bytes = len(body)
    data = client.send(h11.Data(data=body)) if body else b""
    await stream.send_all((head or b"") + (data or b"") + (client.send(h11.EndOfMessage()) or b""))
    return client.our_state is h11.DONE and client.their_state is h11.DONE


@contextlib.contextmanager
def fault_proxy(upstream: str, *faults: Fault) -> Iterator[FaultProxy]:
    """Have a proxy before a server for as long as the block lasts."""
    proxy = FaultProxy(upstream, faults)
    is_ready = threading.Event()
    ends: list[Callable[[], None]] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            scope: trio.CancelScope = await nursery.start(proxy.serve)
            token = trio.lowlevel.current_trio_token()
            ends.append(lambda: token.run_sync_soon(scope.cancel))
            is_ready.set()

    thread = threading.Thread(target=trio.run, args=(main,))
    thread.start()
    is_ready.wait()
    try:
        yield proxy
    finally:
        ends[0]()
        thread.join()
