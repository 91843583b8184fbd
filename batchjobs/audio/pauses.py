"""Long recordings in stretches for one session each: cut at pauses, without the silence."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from batchjobs.audio import decoding
from batchjobs.audio.sides import MeasuredSide
from batchjobs.audio.source import ALL_CHANNELS, Heard
from batchjobs.audio.voice_activity import (
    FRAME_SECONDS,
    PAUSE_SECONDS,
    SpeechDetector,
    find_runs,
    find_silences,
    to_frames,
)

_BLOCK_FRAMES: Final = 256
_MARGIN_SECONDS: Final = 0.256
"""Kept of the silence before and after speech: consonants begin and end below the threshold."""
_LONG_PAUSE_SECONDS: Final = 2.0
"""Silence that is worth not sending, once there is enough for a session..."""
_ENDING_PAUSE_SECONDS: Final = 5.0
"""... and this in any case."""
_ENOUGH_SHARE: Final = 0.25
_OVERLAP_SECONDS: Final = 2.0
"""Heard twice where continuous speech has to be cut: a word or two on either side are whole."""
_ANSWER_SECONDS: Final = 1.0
"""How often services say what they have heard: what they are sent in one message, by default."""
_SAME_FRAMES: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What one session hears of a recording.

    Attributes:
        first_frame: Where it begins, in samples from the recording's start.
        pcm: 16-bit mono samples.
        overlap_frames: How many of its first samples the stretch before ends with.
        silences: Where there is no speech, in seconds from its start: (begin, end).
    """

    first_frame: int
    pcm: bytes
    overlap_frames: int
    silences: tuple[tuple[float, float], ...] = ()


def split_at_pauses(
    path: Path,
    *,
    sample_rate: int = 16_000,
    target_seconds: float = 60.0,
    longest_seconds: float = 90.0,
    detector: SpeechDetector | None = None,
    heard: Heard = ALL_CHANNELS,
) -> Iterator[Stretch]:
    """Cut a recording at its pauses, and leave out its silence.

    It is decoded twice, once to find the pauses and once for the samples: its length needs no
    memory but 4 bytes for every 32 ms.

    Args:
        path: The recording.
        sample_rate: Of the samples, in hertz.
        target_seconds: How long a stretch is to be.
        longest_seconds: How long it may be, where there is no pause.
        detector: Says what is speech; None goes by the level of the sound.
        heard: What of the recording.

    Yields:
        The stretches in order, as `decoding.pcm_chunks` gives their samples; none of silence.

    Raises:
        RecordingError: The recording is damaged.
    """
    frame = round(FRAME_SECONDS * sample_rate)
    block_seconds = _BLOCK_FRAMES * frame / sample_rate

    gain = None

    def blocks() -> Iterator[bytes]:
        return decoding.pcm_chunks(
            path, sample_rate=sample_rate, chunk_seconds=block_seconds, gain=gain, heard=heard
        )

    if detector is None:
        meter = decoding.measure_levels(path, sample_rate=sample_rate, heard=heard)
        speech, loudness, gain = meter.find_speech(), meter.read_levels(), meter.find_gain()
    else:
        chances = [detector(piece) for block in blocks() for piece in _cut_frames(block, frame)]
        speech, loudness = _read_chances(chances)
    lengths = to_frames(target_seconds), to_frames(longest_seconds)
    cutter = _Cutter(speech, loudness, lengths, frame)
    for block in blocks():
        yield from cutter.cut(block)
    yield from cutter.finish()


def split_sides(
    path: Path,
    sides: Sequence[MeasuredSide],
    *,
    sample_rate: int = 16_000,
    target_seconds: float = 60.0,
    longest_seconds: float = 90.0,
    make_detector: Callable[[], SpeechDetector] | None = None,
    track: int = 0,
) -> Iterator[tuple[int, Stretch]]:
    """Cut channels of a recording at their own pauses, in one pass over it.

    Args:
        path: The recording.
        sides: The channels, as `sides.find_sides` has measured them.
        sample_rate: Of the samples, in hertz.
        target_seconds: How long a stretch is to be.
        longest_seconds: How long it may be, where there is no pause.
        make_detector: Makes what says of one channel what is speech; None goes by the level of the sound.
        track: Which of its audio tracks, from 1; 0 for the default one.

    Yields:
        The number of the side, from 0, and a stretch as `split_at_pauses` cuts them: of each side in
        order.

    Raises:
        RecordingError: The recording is damaged.
    """
    frame = round(FRAME_SECONDS * sample_rate)
    block_seconds = _BLOCK_FRAMES * frame / sample_rate
    meters = [side.meter for side in sides]
    gains = [meter.find_gain() for meter in meters]

    def blocks() -> Iterator[tuple[bytes, ...]]:
        return decoding.side_chunks(
            path,
            [side.channels for side in sides],
            sample_rate=sample_rate,
            chunk_seconds=block_seconds,
            gains=gains,
            track=track,
        )

    if make_detector is None:
        found = [(meter.find_speech(), meter.read_levels()) for meter in meters]
    else:
        detectors = [make_detector() for _ in sides]
        chances: list[list[float]] = [[] for _ in sides]
        for together in blocks():
            for detector, heard, block in zip(detectors, chances, together, strict=True):
                heard += [detector(piece) for piece in _cut_frames(block, frame)]
        found = [_read_chances(each) for each in chances]
    lengths = to_frames(target_seconds), to_frames(longest_seconds)
    cutters = [_Cutter(speech, loudness, lengths, frame) for speech, loudness in found]
    for together in blocks():
        for number, (cutter, block) in enumerate(zip(cutters, together, strict=True)):
            yield from ((number, stretch) for stretch in cutter.cut(block))
    for number, cutter in enumerate(cutters):
        yield from ((number, stretch) for stretch in cutter.finish())


def _read_chances(chances: list[float]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Tell speech by what a detector says of each frame, and where it is quietest."""
    return np.array(chances) > 0.5, np.array(chances, dtype=np.float32)


def _cut_frames(pcm: bytes, frame: int) -> Iterator[bytes]:
    """Cut samples into frames, the last one filled up with silence."""
    for start in range(0, len(pcm), 2 * frame):
        yield pcm[start : start + 2 * frame].ljust(2 * frame, b"\0")


def _plan_stretches(
    speech: NDArray[np.bool_], levels: NDArray[np.float32], target: int, longest: int
) -> Iterator[tuple[int, int, int]]:
    """Decide which frames go into which stretch.

    Args:
        speech: Whether there is speech, a frame each.
        levels: How loud it is, a frame each: where there is no pause, the quietest place is cut.
        target: Frames that a stretch is to have.
        longest: Frames that it may have.

    Yields:
        Its first frame, the one after its last, and how many it shares with the stretch before.
    """
    margin = to_frames(_MARGIN_SECONDS)
    for start, end in _join_runs(find_runs(speech), target):
        first, last = max(0, start - margin), min(len(speech), end + margin)
        overlap = 0
        while last - first > longest:
            cut, shared = _find_end(speech, levels, first, target, longest)
            yield first, cut, overlap
            first, overlap = cut - shared, shared
        yield first, last, overlap


def _join_runs(runs: list[tuple[int, int]], target: int) -> Iterator[tuple[int, int]]:
    """Join runs of speech over the pauses that are not worth leaving out."""
    if not runs:
        return
    start, end = runs[0]
    for following, its_end in runs[1:]:
        pause = following - end
        is_enough = end - start >= _ENOUGH_SHARE * target
        if pause >= to_frames(_ENDING_PAUSE_SECONDS) or (
            is_enough and pause >= to_frames(_LONG_PAUSE_SECONDS)
        ):
            yield start, end
            start = following
        end = its_end
    yield start, end


def _find_end(
    speech: NDArray[np.bool_], levels: NDArray[np.float32], first: int, target: int, longest: int
) -> tuple[int, int]:
    """Find where the stretch that begins at a frame ends, and how much is heard again."""
    shortest = to_frames(PAUSE_SECONDS)
    # A short stretch is better than one whose end has to be heard twice.
    near, early = (target // 2, target * 11 // 10), (target // 4, target // 2)
    for begin, end in (near, (target, longest), early):
        end = min(end, longest)  # noqa: PLW2901  # a target near the longest
        pauses = [
            (first + begin + a, first + begin + b)
            for a, b in find_runs(~speech[first + begin : first + end])
            if b - a >= shortest
        ]
        if pauses:
            # Of pauses about as long, the last: fewer sessions.
            a, b = max(pauses, key=lambda pause: ((pause[1] - pause[0]) // _SAME_FRAMES, pause[0]))
            return (a + b) // 2, 0
    overlap = min(to_frames(_OVERLAP_SECONDS), target // 4)
    last = levels[first + target : first + longest]
    cut = first + target + int(np.argmin(last)) + 1 if len(last) else first + longest
    cut = max(cut, first + 2 * overlap + 1)
    # Both hearings are then answered at the same moments, and their words have the same times.
    before = int((cut - overlap - first) * FRAME_SECONDS / _ANSWER_SECONDS) * _ANSWER_SECONDS
    return cut, cut - first - to_frames(before) if before else overlap


class _Cutter:
    """Takes the stretches out of a channel's samples as they come.

    Args:
        speech: Whether there is speech, a frame each.
        levels: How loud it is, a frame each.
        lengths: Frames that a stretch is to have, and may have.
        frame: Samples of a frame.
    """

    def __init__(
        self,
        speech: NDArray[np.bool_],
        levels: NDArray[np.float32],
        lengths: tuple[int, int],
        frame: int,
    ) -> None:
        self._speech = speech
        self._places = deque(_plan_stretches(speech, levels, *lengths))
        self._frame = frame
        self._held = bytearray()
        self._begin = 0

    def cut(self, pcm: bytes) -> Iterator[Stretch]:
        """Take the next samples, and give the stretches that are whole."""
        self._held += pcm
        size = 2 * self._frame
        while self._places and self._places[0][1] * size <= self._begin + len(self._held):
            yield self._take()
        wanted = self._places[0][0] * size if self._places else self._begin + len(self._held)
        self._forget(wanted)

    def finish(self) -> Iterator[Stretch]:
        """Give what is left: the last frame may not be whole."""
        while self._places:
            yield self._take()

    def _take(self) -> Stretch:
        first, last, overlap = self._places.popleft()
        self._forget(first * 2 * self._frame)
        return Stretch(
            first_frame=first * self._frame,
            pcm=bytes(self._held[: (last - first) * 2 * self._frame]),
            overlap_frames=overlap * self._frame,
            silences=find_silences(self._speech[first:last]),
        )

    def _forget(self, before: int) -> None:
        """Let go of the samples before a byte."""
        unused = min(len(self._held), max(0, before - self._begin))
        del self._held[:unused]
        self._begin += unused
