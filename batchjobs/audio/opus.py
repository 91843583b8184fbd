"""Opus in Ogg: whether the pages' positions run ahead of the sound that is there.

A recorder that leaves silence out (DTX), or that lost its connection, goes on at the right position.
libsndfile takes it for an end that is missing; FFmpeg gives the time of each packet.
"""

from typing import Final

from batchjobs.audio.ogg_pages import Page

_WHOLE_SEGMENT: Final = 255
_SILK_SAMPLES: Final = (480, 960, 1_920, 2_880)
_HYBRID_SAMPLES: Final = (480, 960)
_CELT_SAMPLES: Final = (120, 240, 480, 960)
_FRAME_SAMPLES: Final = 3 * _SILK_SAMPLES + 2 * _HYBRID_SAMPLES + 4 * _CELT_SAMPLES
"""Of each configuration, at 48 kHz (RFC 6716, 3.1)."""


class Positions:
    """Follows the positions of a stream's pages.

    Attributes:
        has_gap: Whether one of them was ahead of the sound up to it.
    """

    def __init__(self) -> None:
        self.has_gap = False
        self._end: int | None = None
        self._unfinished_samples = 0

    def follow(self, page: Page) -> None:
        """Take the next page with sound."""
        samples = self._count_samples(page)
        if page.position < 0:
            if self._end is not None:
                self._end += samples
            return
        # What the first page begins with is the beginning.
        self.has_gap |= self._end is not None and page.position > self._end + samples
        self._end = page.position

    def _count_samples(self, page: Page) -> int:
        """Count the samples of the packets that end in a page."""
        total = at = 0
        samples, is_within = self._unfinished_samples, page.is_continued
        for length in page.lengths:
            if not is_within:
                samples = measure_packet(page.body[at : at + min(length, 2)])
            at += length
            is_within = length == _WHOLE_SEGMENT
            if not is_within:
                total += samples
        self._unfinished_samples = samples
        return total


def measure_packet(begin: bytes) -> int:
    """Measure a packet by its first two bytes (RFC 6716, 3.1 and 3.2), in samples at 48 kHz.

    Args:
        begin: One byte, if the packet has no more; 0 samples are in an empty one.
    """
    if not begin:
        return 0
    frame = _FRAME_SAMPLES[begin[0] >> 3]
    match begin[0] & 3:
        case 0:
            return frame
        case 3:
            return frame * (begin[1] & 63) if len(begin) > 1 else 0
        case _:
            return 2 * frame
