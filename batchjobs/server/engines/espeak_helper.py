"""The espeak helper process: single-threaded, standard library only, a forked child per utterance.

espeak-ng is not thread-safe, and what it says depends on what it said before: a child forked from
the same fresh state says the same each time, and takes only itself down when it crashes. It runs
as ``python espeak_helper.py LIBRARY DATA`` and talks over pipes, so that no text is ever in argv.

A frame is four bytes of length (little-endian) and that many bytes. On standard input, a request a
frame, as JSON: ``{"runs": [[voice, text], …], "words_per_minute": …, "pitch": …, "seconds": …}``.
On standard output, first ``{"sample_rate": …, "error": …}``, then for every request frames of mono
16-bit PCM, an empty frame, and ``{"error": …}`` (empty for a success). It ends when its input does.
"""

import ctypes
import json
import os
import signal
import struct
import sys
from collections.abc import Callable, Mapping
from typing import NoReturn

Speak = Callable[[Mapping[str, object], Callable[[bytes], None]], None]
"""Speaks a request, giving PCM to a function; runs in a child of its own."""

_PIECE_BYTES = 65_536
_CHILD_FAILED = 70
_BUFFER_MILLISECONDS = 200

# From espeak-ng's speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000
_POSITION_CHARACTER = 1
_CHARACTERS_UTF8 = 1
_PARAMETER_RATE = 1
_PARAMETER_PITCH = 3

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class _Espeak:
    """The library, loaded once, in the state from which every child starts."""

    def __init__(self, library: str, data: str) -> None:
        self._library = ctypes.CDLL(library)
        self.sample_rate = int(
            self._library.espeak_Initialize(
                _AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MILLISECONDS, os.fsencode(data), _DO_NOT_EXIT
            )
        )

    def speak(self, request: Mapping[str, object], write: Callable[[bytes], None]) -> None:
        """Speak the runs of a request one after the other.

        Raises:
            RuntimeError: The library refused a voice or a text.
            TypeError: The request has no list of runs.
        """

        def hear(wave: int | None, count: int, _events: int | None) -> int:
            if wave and count > 0:
                write(ctypes.string_at(wave, 2 * count))
            return 0

        callback = _Callback(hear)
        self._library.espeak_SetSynthCallback(callback)
        runs = request["runs"]
        if not isinstance(runs, list):
            raise TypeError("the runs are no list")
        for voice, text in runs:
            self._check(self._library.espeak_SetVoiceByName(voice.encode()))
            for parameter, name in (
                (_PARAMETER_RATE, "words_per_minute"),
                (_PARAMETER_PITCH, "pitch"),
            ):
                self._check(self._library.espeak_SetParameter(parameter, request[name], 0))
            data = text.encode()
            self._check(
                self._library.espeak_Synth(
                    data, len(data) + 1, 0, _POSITION_CHARACTER, 0, _CHARACTERS_UTF8, None, None
                )
            )

    @staticmethod
    def _check(status: int) -> None:
        if status:
            raise RuntimeError(f"espeak status {status}")


def serve(source: int, sink: int, *, speak: Speak, sample_rate: int) -> None:
    """Answer requests until the input ends or the output is closed.

    Args:
        source: Descriptor to read frames from.
        sink: Descriptor to write frames to.
        speak: What a child does.
        sample_rate: Of the PCM, in hertz.
    """
    try:
        _send(sink, json.dumps({"sample_rate": sample_rate, "error": ""}).encode())
        while (frame := _receive(source)) is not None:
            _answer(json.loads(frame), source, sink, speak)
    except BrokenPipeError:
        return


def _answer(request: Mapping[str, object], source: int, sink: int, speak: Speak) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        for descriptor in (source, sink, reading):
            os.close(descriptor)
        _be_child(request, writing, speak)
    os.close(writing)
    try:
        while piece := os.read(reading, _PIECE_BYTES):
            _send(sink, piece)
    finally:
        os.close(reading)
        _, status = os.waitpid(child, 0)
    _send(sink, b"")
    error = _error(os.waitstatus_to_exitcode(status))
    _send(sink, json.dumps({"error": error}).encode())


def _be_child(
    request: Mapping[str, object], sink: int, speak: Speak
) -> NoReturn:  # pragma: no cover - only ever in a fork
    code = _CHILD_FAILED
    try:
        # The kernel ends a child that hangs, wherever in C it is.
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, float(str(request["seconds"])))
        speak(request, lambda data: _write(sink, data))
        code = 0
    finally:
        os._exit(code)  # never back into the parent's loop, whatever was raised


def _error(code: int) -> str:
    if code == 0:
        return ""
    if code == -signal.SIGALRM:
        return "espeak took too long"
    if code < 0:
        return f"espeak crashed (signal {-code})"
    return f"espeak failed (status {code})"


def _send(sink: int, data: bytes) -> None:
    _write(sink, struct.pack("<I", len(data)) + data)


def _write(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view) :]


def _receive(source: int) -> bytes | None:
    """Read a frame; None at the end of the input."""
    head = _exactly(source, 4)
    return None if head is None else _exactly(source, struct.unpack("<I", head)[0])


def _exactly(source: int, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        piece = os.read(source, count - len(data))
        if not piece:
            return None
        data += piece
    return data


def main(library: str, data: str) -> None:  # pragma: no cover - only ever in the helper
    """Serve on standard input and output.

    Args:
        library: Path of espeak-ng's shared library.
        data: Path of its data folder.
    """
    # Ctrl-C in the terminal reaches the whole group: what is being spoken is still wanted then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The library may print; our frames go where it cannot.
    sink = os.dup(1)
    os.dup2(2, 1)
    try:
        espeak = _Espeak(library, data)
    except OSError as error:
        message = {"sample_rate": 0, "error": f"espeak cannot be loaded: {error}"}
        _send(sink, json.dumps(message).encode())
        return
    if espeak.sample_rate <= 0:
        message = {"sample_rate": 0, "error": f"espeak cannot use its data in {data}"}
        _send(sink, json.dumps(message).encode())
        return
    serve(0, sink, speak=espeak.speak, sample_rate=espeak.sample_rate)


if __name__ == "__main__":  # pragma: no cover - only ever in the helper
    main(sys.argv[1], sys.argv[2])
