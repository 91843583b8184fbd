"""The pocketsphinx helper process: loads the model once, forks a child per session.

A decoder takes half a second and 91 MB to load, holds Python's lock while it works, and hears the
same audio differently after other audio. A child forked from the freshly loaded state costs
milliseconds and next to no memory, blocks no other, and hears the same each time.

It runs as ``python sphinx_helper.py PACKAGES``, with a socket as its standard input. There it takes
a frame (four bytes of length, little-endian, and that many bytes) with a JSGF grammar, empty for
open dictation, and answers with a frame, empty or an error. Then every byte brings a socket, on
which a child answers frames until it is closed: mono 16-bit PCM at 16 kHz after a ``P``, or an
``E`` that ends an utterance. The answer is the utterance's text so far.
"""

import os
import signal
import socket
import struct
import sys
from typing import NoReturn, Protocol

_PIECE_BYTES = 65_536
_GRAMMAR = "expected"
_WIDE_BEAM = 1e-100  # a small grammar is cheap: every sentence stays in the race to the end


class _Hypothesis(Protocol):
    hypstr: str


class Decoder(Protocol):
    """What is used of ``pocketsphinx.Decoder``."""

    def start_utt(self) -> None:
        """Begin an utterance."""
        ...

    def process_raw(self, data: bytes, /) -> object:
        """Hear PCM."""
        ...

    def end_utt(self) -> None:
        """End an utterance; its hypothesis gets better by that."""
        ...

    def hyp(self) -> _Hypothesis | None:
        """Say what was heard."""
        ...


def _load(grammar: str) -> Decoder:
    import pocketsphinx

    if not grammar:
        decoder: Decoder = pocketsphinx.Decoder(pocketsphinx.Config(loglevel="FATAL"))
        return decoder
    settings = pocketsphinx.Config(
        loglevel="FATAL",
        lm=None,
        beam=_WIDE_BEAM,
        wbeam=_WIDE_BEAM,
        pbeam=_WIDE_BEAM,
        pl_window=0,
        bestpath=False,  # it cut last words off: measured, 53 of 60 exact with it, 60 without
    )
    limited = pocketsphinx.Decoder(settings)
    limited.add_jsgf_string(_GRAMMAR, grammar)
    limited.activate_search(_GRAMMAR)
    exact: Decoder = limited
    return exact


def serve(control: socket.socket, decoder: Decoder, *, exact: bool) -> None:
    """Fork a child for each session until the socket is closed.

    Args:
        control: Brings the sessions' sockets.
        decoder: Loaded and never used: every child starts from it.
        exact: Whether answers are worked out to the end each time, which a grammar makes cheap.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the children are not waited for
    while True:
        data, descriptors, _flags, _address = socket.recv_fds(control, 1, 1)
        if not data:
            return
        for descriptor in descriptors:
            if os.fork() == 0:
                control.close()
                _be_child(socket.socket(fileno=descriptor), decoder, exact=exact)
            os.close(descriptor)


def _be_child(
    session: socket.socket, decoder: Decoder, *, exact: bool
) -> NoReturn:  # pragma: no cover - only ever in a fork
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _listen(session, decoder, exact=exact)
        code = 0
    finally:
        os._exit(code)  # never back into the parent's loop, whatever was raised


def _listen(session: socket.socket, decoder: Decoder, *, exact: bool) -> None:
    decoder.start_utt()
    while (frame := receive(session)) is not None:
        if frame[:1] == b"P":
            decoder.process_raw(frame[1:])
            send(session, _outlook(decoder) if exact else _text(decoder))
        else:
            decoder.end_utt()
            send(session, _text(decoder))
            decoder.start_utt()


def _text(decoder: Decoder) -> bytes:
    hypothesis = decoder.hyp()
    return b"" if hypothesis is None else hypothesis.hypstr.encode()


def _outlook(decoder: Decoder) -> bytes:
    """Say what would be heard if the utterance ended now, without ending it: a fork of us does."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            decoder.end_utt()
            os.write(writing, _text(decoder))
        finally:
            os._exit(0)
    os.close(writing)
    pieces = []
    while piece := os.read(reading, _PIECE_BYTES):
        pieces.append(piece)
    os.close(reading)
    os.waitpid(child, 0)
    return b"".join(pieces)


def send(channel: socket.socket, data: bytes) -> None:
    """Send a frame."""
    channel.sendall(struct.pack("<I", len(data)) + data)


def receive(channel: socket.socket) -> bytes | None:
    """Receive a frame; None if the channel was closed instead."""
    head = _exactly(channel, 4)
    return None if head is None else _exactly(channel, struct.unpack("<I", head)[0])


def _exactly(channel: socket.socket, count: int) -> bytes | None:
    data = bytearray()
    while len(data) < count:
        piece = channel.recv(min(count - len(data), _PIECE_BYTES))
        if not piece:
            return None
        data += piece
    return bytes(data)


def main(packages: str) -> None:  # pragma: no cover - only ever in the helper
    """Serve on the socket that is standard input.

    Args:
        packages: Folder that holds the package pocketsphinx.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to deal with
    control = socket.socket(fileno=0)
    grammar = receive(control)
    if grammar is None:
        return
    sys.path.append(packages)
    try:
        decoder = _load(grammar.decode())
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        send(control, f"pocketsphinx cannot be loaded: {error}".encode())
        return
    send(control, b"")
    serve(control, decoder, exact=bool(grammar))


if __name__ == "__main__":  # pragma: no cover - only ever in the helper
    main(sys.argv[1])
