"""Reading recordings as the tests do, exactly and all at once."""

from pathlib import Path

from batchjobs.audio.decoding import pcm_chunks, probe

__all__ = ["read_pcm"]


def read_pcm(path: Path) -> bytes:
    """Decode a whole recording to one channel of 16-bit PCM at its own sample rate."""
    return b"".join(pcm_chunks(path, sample_rate=probe(path).sample_rate))
