"""The pocketsphinx engine: English recognition without a download, good enough to rehearse with."""

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from batchjobs.audio.pcm import quantise
from batchjobs.errors import ConfigurationError, EngineError
from batchjobs.server.engines.samples import PcmReader, UtteranceEnd
from batchjobs.server.engines.sphinx_helper import receive, send

NOTICE = (
    "pocketsphinx is for rehearsal: it knows English only and mishears more than half the words "
    "of open dictation"
)

_PROGRAM = Path(__file__).with_name("sphinx_helper.py")
_RATE = 16_000
_START_SECONDS = 30.0
_PATIENCE_SECONDS = 30.0
_PATIENCE_PER_SECOND = 10.0  # of audio; it needs 0.2 to 0.4 on an idle core
_CLOSE_SECONDS = 0.5  # it needs a few milliseconds

# Digital silence upsets its noise estimate, and full-scale speech is louder than it was trained on:
# with half the level and noise of 3 steps, a grammar was recognised exactly.
_GAIN = 0.5
_NOISE_STEPS = 3.0
_NOISE_SEED = 20_240

_WORD = re.compile(r"[a-z][a-z'.-]*")


class SphinxRecogniser:
    """Hears English; see `NOTICE`. The same audio in the same portions gives the same transcript.

    Args:
        grammar: The only sentences there are, in words of letters; none for open dictation. With
            one, recognition of clear speech is exact.
        program: The helper's program.

    Raises:
        ConfigurationError: A sentence of the grammar has no words, or something else than words.
    """

    def __init__(self, *, grammar: Sequence[str] = (), program: Path = _PROGRAM) -> None:
        self._program = program
        self._grammar = _jsgf(grammar)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._closed = False

    def __str__(self) -> str:
        """Say what it is, and what it is for."""
        return NOTICE

    def start(self) -> "SphinxStream":
        """Begin to listen to a new session; see `interface.Recogniser`.

        Raises:
            EngineError: The helper process cannot be started.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                with self._lock:
                    self._hand_over(theirs)
            except EngineError:
                ours.close()
                raise
        return SphinxStream(ours)

    def close(self) -> None:
        """End the helper process; open streams can finish."""
        with self._lock:
            self._closed = True
            self._drop_helper()

    def _hand_over(self, session: socket.socket) -> None:
        """Give the helper a session; one that turns out dead is replaced once."""
        for _ in range(2):
            if self._closed:
                raise EngineError("the pocketsphinx engine was closed")
            control = self._control or self._start_helper()
            try:
                socket.send_fds(control, [b"S"], [session.fileno()])
            except OSError:
                self._drop_helper()
            else:
                return
        raise EngineError("the pocketsphinx helper died twice in a row")

    def _start_helper(self) -> socket.socket:
        control, theirs = socket.socketpair()
        control.settimeout(_START_SECONDS)
        with theirs:
            # Isolated, and without our environment: it needs no keys.
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-I", "-S", str(self._program), _packages()],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={
                    name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"
                },
            )
        self._control = control
        try:
            send(control, self._grammar.encode())
            error = receive(control)
        except OSError:
            error = None
        if error != b"":
            self._drop_helper()
            raise EngineError(
                "the pocketsphinx helper does not start" if error is None else error.decode()
            )
        return control

    def _drop_helper(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(_CLOSE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


class SphinxStream:
    """One session's decoder, in a process of its own.

    Args:
        session: The socket to that process.
        patience_seconds: How long an answer may take, beyond an allowance for the audio's length.
    """

    def __init__(
        self, session: socket.socket, *, patience_seconds: float = _PATIENCE_SECONDS
    ) -> None:
        self._session = session
        self._patience_seconds = patience_seconds
        self._reader = PcmReader(sample_rate=_RATE)
        self._end = UtteranceEnd(sample_rate=_RATE)
        self._noise = np.random.default_rng(_NOISE_SEED)
        self._finished: list[str] = []
        self._current = ""

    def accept(self, pcm: bytes, sample_rate: int) -> str:
        """Hear more audio and give the transcript so far; see `interface.RecogniserStream`.

        Raises:
            EngineError: The decoder's process died or takes far too long, or no recording has
                such a rate.
        """
        samples = self._reader.push(pcm, sample_rate)
        if len(samples):
            patience = self._patience_seconds + _PATIENCE_PER_SECOND * len(samples) / _RATE
            self._current = self._ask(b"P" + self._condition(samples), patience)
            if self._end.ends_behind(samples):
                self._finished.append(self._ask(b"E", patience))
                self._current = ""
        return " ".join(text for text in (*self._finished, self._current) if text)

    def close(self) -> None:
        """End the decoder's process."""
        self._session.close()

    def _condition(self, samples: NDArray[np.float32]) -> bytes:
        # One double a sample, so the noise is the same however the audio is cut.
        noise = (self._noise.random(len(samples)) * 2 - 1) * (_NOISE_STEPS / 32768)
        return quantise((samples * _GAIN + noise).astype(np.float32))

    def _ask(self, frame: bytes, seconds: float) -> str:
        try:
            self._session.settimeout(seconds)
            send(self._session, frame)
            answer = receive(self._session)
        except TimeoutError as error:
            self._session.close()  # its late answer must not be taken for another's
            raise EngineError("pocketsphinx takes too long over this audio") from error
        except OSError as error:
            raise EngineError("the pocketsphinx decoder died or was closed") from error
        if answer is None:
            raise EngineError("the pocketsphinx decoder died")
        return answer.decode()


def _jsgf(sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    choices = [sentence.lower() for sentence in sentences]
    for choice in choices:
        words = choice.split()
        if not words or not all(map(_WORD.fullmatch, words)):
            raise ConfigurationError(f"the grammar's sentence {choice!r} is more than words")
    return f"#JSGF V1.0;\ngrammar expected;\npublic <sentence> = {' | '.join(choices)} ;\n"


def _packages() -> str:
    spec = find_spec("pocketsphinx")
    if spec is None or spec.origin is None:
        raise EngineError("pocketsphinx is not installed", hint="pip install 'batchjobs[local]'")
    return str(Path(spec.origin).parents[1])
