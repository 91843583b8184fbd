"""What a recogniser hears of a clip."""

from batchjobs.server.engines.interface import Recogniser


def hear(
    recogniser: Recogniser, pcm: bytes, rate: int = 16_000, chunk_bytes: int = 32_000
) -> list[str]:
    """Let a recogniser hear a clip; gives what it says after each chunk."""
    stream = recogniser.start()
    seen = [
        stream.accept(pcm[start : start + chunk_bytes], rate)
        for start in range(0, len(pcm), chunk_bytes)
    ]
    stream.close()
    stream.close()
    return seen
