"""What a recogniser hears of a clip."""

from batchjobs.server.engines.interface import Recogniser


def _heard(
    recogniser: Recogniser, pcm: bytes, rate: int = 16_000, chunk_bytes: int = 32_000
) -> list[str]:
    stream = recogniser.start()
    seen = [
        stream.accept(pcm[start : start + chunk_bytes], rate)
        for start in range(0, len(pcm), chunk_bytes)
    ]
    stream.close()
    stream.close()
    return seen
