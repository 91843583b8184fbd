"""A chapter's samples in blocks of a second, exactly as many as the checkpoint says."""

from collections.abc import Iterator
from typing import Final

from batchjobs.audio import decoding
from batchjobs.audiobook.album import SpokenChapter

BLOCK_SECONDS: Final = 1.0


def read_blocks(chapter: SpokenChapter, sample_rate: int) -> Iterator[bytes]:
    """Read a chapter as 16-bit mono, exactly as long as the checkpoint says."""
    left = chapter.frames_at(sample_rate)  # what the marks count on
    for block in decoding.pcm_chunks(
        chapter.path, sample_rate=sample_rate, chunk_seconds=BLOCK_SECONDS
    ):
        if left:
            yield block[: 2 * left]
        left -= min(left, len(block) // 2)
    if left:
        yield bytes(2 * left)
