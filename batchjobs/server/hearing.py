"""What a session's engine has heard: the engine works in threads, and is closed with the session."""

from typing import Self

import trio

from batchjobs.server.engines.interface import Recogniser, RecogniserStream


class Hearing:
    """One session's audio, as an engine hears it; leaving it closes the engine's part.

    Args:
        recogniser: The engine.
        limiter: Bounds the worker threads.
    """

    def __init__(self, recogniser: Recogniser, limiter: trio.CapacityLimiter) -> None:
        self._recogniser = recogniser
        self._limiter = limiter
        self._stream: RecogniserStream | None = None

    async def accept(self, pcm: bytes, sample_rate: int) -> str:
        """Hear more, and give the transcript of everything so far.

        Raises:
            EngineError: The engine failed.
        """
        return await trio.to_thread.run_sync(self._accept, pcm, sample_rate, limiter=self._limiter)

    async def __aenter__(self) -> Self:
        """Start with nothing heard."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give back what the engine holds, whatever is cancelled meanwhile."""
        if self._stream is not None:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._stream.close, limiter=self._limiter)

    def _accept(self, pcm: bytes, sample_rate: int) -> str:
        if self._stream is None:
            self._stream = self._recogniser.start()
        return self._stream.accept(pcm, sample_rate)
