"""The TCP stream that waits before it reads: the same comes as from trio's own, and every end of it."""

import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from batchjobs.session.ready_stream import ReadyStream

SAID = "مَرْحَبًا ".encode() * 20_000


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[ReadyStream, trio.SocketStream]]:
    """Connect a stream to a peer over real sockets."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    stream, peer = map(trio.SocketStream, map(trio.socket.from_stdlib_socket, (ours, theirs)))
    async with peer:
        ready = ReadyStream(stream)
        async with ready:
            yield ready, peer


@pytest.mark.parametrize("piece_bytes", [1_000, 15_000, 16_384, 65_536])
async def test_all_of_it_comes_however_much_a_time(piece_bytes: int) -> None:
    """Bit by bit as a service speaks, or as fast as the socket takes it; then the end."""
    heard = bytearray()
    async with connected() as (stream, peer), trio.open_nursery() as nursery:

        async def speak() -> None:
            for start in range(0, len(SAID), piece_bytes):
                await peer.send_all(SAID[start : start + piece_bytes])
                await trio.testing.wait_all_tasks_blocked()
            await peer.send_eof()

        nursery.start_soon(speak)
        while data := await stream.receive_some(65_536):
            heard += data
    assert heard == SAID


async def test_what_is_sent_arrives() -> None:
    """Sending goes the usual way."""
    async with connected() as (stream, peer):
        await stream.wait_send_all_might_not_block()
        await stream.send_all(b"hello")
        assert await peer.receive_some(5) == b"hello"


async def test_nothing_is_read_from_a_stream_that_another_task_has_closed() -> None:
    """Its descriptor may be somebody else's by then."""
    async with connected() as (stream, _), trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await stream.receive_some()

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        await stream.aclose()


@pytest.mark.parametrize("attempt", range(20))
async def test_a_stream_closed_just_as_data_came_reads_nothing_of_anybody_else(
    attempt: int,
) -> None:
    """The reader is woken, and before its turn the file is closed, and its number taken again."""
    ours, theirs = socket.socketpair()
    bell, hammer = socket.socketpair()
    stream = ReadyStream(trio.SocketStream(trio.socket.from_stdlib_socket(ours)))
    bell.setblocking(False)
    read: list[bytes | bytearray | None] = []
    others: list[socket.socket] = []

    async def listen() -> None:
        try:
            read.append(await stream.receive_some())
        except trio.ClosedResourceError:
            read.append(None)

    async def close() -> None:
        await trio.lowlevel.wait_readable(bell)
        stream._socket.close()
        others.extend(socket.socketpair())
        others[0].sendall(b"somebody else's")
        others[1].sendall(b"somebody else's")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        nursery.start_soon(close)
        await trio.testing.wait_all_tasks_blocked()
        theirs.sendall(b"ours")  # both are woken in one turn of the loop, in an order drawn by lot
        hammer.sendall(b"!")
    for each in (theirs, bell, hammer, *others):
        each.close()
    assert read in ([b"ours"], [None]), attempt


async def test_a_stream_that_is_closed_already_says_so_each_time() -> None:
    """And no other stream notices."""
    async with connected() as (stream, _), connected() as (other, peer):
        await stream.aclose()
        for _ in range(2):
            with pytest.raises(trio.ClosedResourceError):
                await stream.receive_some()
        await peer.send_all(b"x")
        assert await other.receive_some() == b"x"


async def test_a_reset_is_a_broken_stream() -> None:
    """As with trio's own."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")

        async def reset(stream: trio.SocketStream) -> None:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await stream.aclose()

        nursery.start_soon(trio.serve_listeners, reset, listeners)
        port = listeners[0].socket.getsockname()[1]
        stream = ReadyStream(await trio.open_tcp_stream("127.0.0.1", port))
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await stream.aclose()
        nursery.cancel_scope.cancel()


async def test_a_false_alarm_is_waited_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket may be called readable and have nothing after all."""
    alarms = [BlockingIOError()]
    read = os.read

    def reading(descriptor: int, size: int) -> bytes:
        if alarms:
            raise alarms.pop()
        return read(descriptor, size)

    async with connected() as (stream, peer):
        await peer.send_all(b"x")
        monkeypatch.setattr("batchjobs.session.ready_stream.os.read", reading)
        assert await stream.receive_some() == b"x"
    assert not alarms
