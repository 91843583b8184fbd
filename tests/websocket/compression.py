"""Sessions and services with compression, for tests."""

from collections.abc import AsyncGenerator
from dataclasses import replace

from batchjobs.session import Endpoint, SttSession
from tests.builders import HOSTED

QUICK = replace(HOSTED, pace=0.0, transcript_per_chunk=True)

ARABIC = "مَرْحَبًا بِكُم ١٢٣ ـــ\u200dhello\u200c عالم "


async def chunks_of(pcm: bytes) -> AsyncGenerator[bytes, None]:
    """Give a recording in chunks of a second."""
    for start in range(0, len(pcm), 32_000):
        yield pcm[start : start + 32_000]


async def transcribe(endpoint: Endpoint, pcm: bytes) -> str:
    """Send a recording and give its transcript."""
    return (await SttSession(endpoint, chunks=chunks_of(pcm)).run()).verbatim
