"""What an engine is: PCM out of text, cumulative transcripts out of PCM."""

from collections.abc import Iterator
from typing import Protocol

from batchjobs.jobs import SpeechSettings


class Synthesiser(Protocol):
    """Speaks. One serves a whole server; several threads may use it at once."""

    def synthesise(self, text: str, settings: SpeechSettings) -> Iterator[bytes]:
        """Speak a text.

        Args:
            text: What to speak; unlimited.
            settings: Voice, speed and sample rate.

        Yields:
            Mono 16-bit little-endian PCM at ``settings.sample_rate``, whole samples, at most about
            half a second each. Closing the iterator stops the work.

        Raises:
            EngineError: The text could not be spoken; the next one may well be.
        """
        ...

    def close(self) -> None:
        """Give back what it holds; calling it twice is fine."""
        ...


class RecogniserStream(Protocol):
    """Listens to one session's audio; used by one thread at a time."""

    def accept(self, pcm: bytes, sample_rate: int) -> str:
        """Hear more audio.

        Args:
            pcm: Mono 16-bit little-endian PCM. A sample may be cut between two calls.
            sample_rate: In hertz; usually 16,000.

        Returns:
            The transcript of everything heard so far; later calls may revise it.

        Raises:
            EngineError: The engine failed; the stream is of no more use.
        """
        ...

    def close(self) -> None:
        """Give back what it holds; calling it twice is fine."""
        ...


class Recogniser(Protocol):
    """Makes a stream a session. One serves a whole server; several threads may use it at once."""

    def start(self) -> RecogniserStream:
        """Begin to listen to a new session.

        Raises:
            EngineError: The engine cannot start another.
        """
        ...

    def close(self) -> None:
        """Give back what it holds; calling it twice is fine."""
        ...
