"""A text as an engine speaks it, in threads; cut into pieces, which go out at a pace."""

import time
from collections.abc import Generator, Iterator
from typing import Final, Self

import trio

from batchjobs.jobs import SpeechSettings
from batchjobs.server.engines.interface import Synthesiser
from batchjobs.speech import BYTES_PER_SAMPLE

_PIECE_SECONDS: Final = 0.5
_PULL_SECONDS: Final = 0.05
_PULL_AUDIO_SECONDS: Final = 8.0


class Speaking:
    """One text as an engine speaks it; leaving it stops the engine.

    Args:
        synthesiser: The engine.
        text: The text.
        speech: How to speak it.
        limiter: Bounds the worker threads.
    """

    def __init__(
        self,
        synthesiser: Synthesiser,
        text: str,
        speech: SpeechSettings,
        limiter: trio.CapacityLimiter,
    ) -> None:
        self._blocks = _synthesise(synthesiser, text, speech)
        self._sample_rate = speech.sample_rate
        self._limiter = limiter
        self.has_more = True

    async def __aenter__(self) -> Self:
        """Begin when the first audio is pulled."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give back what the engine holds, whatever is cancelled meanwhile."""
        if self.has_more:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._blocks.close, limiter=self._limiter)

    async def pull(self) -> bytes:
        """Take audio for a moment; `has_more` then says whether there may be more.

        Raises:
            EngineError: The engine failed.
        """
        pcm, self.has_more = await trio.to_thread.run_sync(
            _pull, self._blocks, self._sample_rate, limiter=self._limiter
        )
        return pcm


class Pacing:
    """Cuts audio into pieces, and lets each go out when it is due.

    Args:
        pace: Audio sent, times real time; 0 is as fast as the client takes it.
    """

    def __init__(self, pace: float) -> None:
        self._pace = pace
        self._due = 0.0

    def cut(self, pcm: bytes, sample_rate: int) -> Iterator[bytes]:
        """Cut audio into pieces of whole samples."""
        seconds = _PIECE_SECONDS * (min(1.0, self._pace) or 1.0)
        size = max(1, int(sample_rate * seconds)) * BYTES_PER_SAMPLE
        for start in range(0, len(pcm), size):
            yield pcm[start : start + size]

    async def wait_due(self, piece: bytes, sample_rate: int) -> None:
        """Wait until a piece may go out."""
        if self._pace:
            self._due = max(self._due, trio.current_time())
            await trio.sleep_until(self._due)
            self._due += len(piece) / (BYTES_PER_SAMPLE * sample_rate * self._pace)


def _synthesise(engine: Synthesiser, text: str, speech: SpeechSettings) -> Generator[bytes]:
    """Begin in the worker thread, not on the event loop; closing this closes the engine's."""
    yield from engine.synthesise(text, speech)


def _pull(blocks: Iterator[bytes], sample_rate: int) -> tuple[bytes, bool]:
    """Take blocks for a moment: one hop between threads costs as much as a short text.

    Returns:
        The audio, and whether there may be more.
    """
    parts = []
    wanted = _PULL_AUDIO_SECONDS * sample_rate * BYTES_PER_SAMPLE
    until = time.perf_counter() + _PULL_SECONDS
    for block in blocks:
        parts.append(block)
        wanted -= len(block)
        if wanted <= 0 or time.perf_counter() > until:
            return b"".join(parts), True
    return b"".join(parts), False
