"""Long recordings in stretches for one session each: cut at pauses, without the silence."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from batchjobs.audio import decoding

__all__ = [
    "FRAME_SECONDS",
    "SpeechDetector",
    "Stretch",
    "frames",
    "levels",
    "over_noise",
    "powers",
    "split",
    "stretches",
]

FRAME_SECONDS: Final = 0.032
"""What is judged at once; 512 samples at 16 kHz, as voice activity detectors take them."""
_BLOCK_FRAMES: Final = 256
_HOP_SECONDS: Final = 1.0
_FLOOR_SECONDS: Final = 15.0
"""How far around a moment the noise floor is looked for: people breathe more often."""
_LOUD_SECONDS: Final = 2.0
"""And the level of speech: a quiet speaker may follow a loud one."""
_FLAT_SECONDS: Final = 120.0
"""And whether there is anything but noise."""
_FLOOR_PERCENTILE: Final = 10
_LOUD_PERCENTILE: Final = 95
_SILENCE_DB: Final = -75.0
"""Below this is nothing: the rounding of 16 bits is at -98, of a quiet room's noise above -70."""
_QUIET_DB: Final = -60.0
_FLAT_RANGE_DB: Final = 6.0
"""Sound that varies less is no speech among noise: music, a hum, or one endless vowel."""
_RANGE_SHARE: Final = 0.25
_LEAST_RISE_DB: Final = 4.0
_MOST_RISE_DB: Final = 12.0
_MARGIN_SECONDS: Final = 0.256
"""Kept of the silence before and after speech: consonants begin and end below the threshold."""
_PAUSE_SECONDS: Final = 0.2
"""Shorter silence is within a word, as before a plosive."""
_LONG_PAUSE_SECONDS: Final = 2.0
"""Silence that is worth not sending, once there is enough for a session..."""
_ENDING_PAUSE_SECONDS: Final = 5.0
"""... and this in any case."""
_ENOUGH_SHARE: Final = 0.25
_OVERLAP_SECONDS: Final = 2.0
"""Heard twice where continuous speech has to be cut: a word or two on either side are whole."""
_SAME_FRAMES: Final = 6
_CLICK_FRAMES: Final = 2
"""So short a sound is none of speech."""


class SpeechDetector(Protocol):
    """Says of each frame whether somebody speaks."""

    def __call__(self, pcm: bytes) -> float:
        """Give the probability of speech in the next 512 samples at 16 kHz."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What one session hears of a recording.

    Attributes:
        first_frame: Where it begins, in samples from the recording's start.
        pcm: 16-bit mono samples.
        overlap_frames: How many of its first samples the stretch before ends with.
        silences: Where nobody speaks, in seconds from its start: (begin, end).
    """

    first_frame: int
    pcm: bytes
    overlap_frames: int
    silences: tuple[tuple[float, float], ...] = ()


def split(
    path: Path,
    *,
    sample_rate: int = 16_000,
    target_seconds: float = 60.0,
    longest_seconds: float = 90.0,
    detector: SpeechDetector | None = None,
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

    Yields:
        The stretches in order, as `audio.pcm_chunks` gives their samples; none of silence.

    Raises:
        RecordingError: The recording is damaged.
    """
    frame = round(FRAME_SECONDS * sample_rate)
    block_seconds = _BLOCK_FRAMES * frame / sample_rate

    def blocks() -> Iterator[bytes]:
        return decoding.pcm_chunks(path, sample_rate=sample_rate, chunk_seconds=block_seconds)

    if detector is None:
        loudness = np.concatenate([_levels(block, frame) for block in blocks()])
        speech = over_noise(loudness)
    else:
        chances = [detector(piece) for block in blocks() for piece in _frames(block, frame)]
        speech = np.array(chances) > 0.5
        loudness = np.array(chances, dtype=np.float32)
    longest = round(longest_seconds / FRAME_SECONDS)
    places = list(stretches(speech, loudness, _to_frames(target_seconds), longest))
    shortest = _to_frames(_PAUSE_SECONDS)
    for (first, last, _), stretch in zip(places, _cut(blocks(), places, frame), strict=True):
        silent = [(a, b) for a, b in _runs(~speech[first:last]) if b - a >= shortest]
        shown = tuple((a * FRAME_SECONDS, b * FRAME_SECONDS) for a, b in silent)
        yield replace(stretch, silences=shown)


# -- what is speech -----------------------------------------------------------------------------


def frames(pcm: bytes, frame: int) -> NDArray[np.float32]:
    """Give the frames of 16-bit mono samples without their direct current, shape (n, `frame`).

    Full scale is 1; the last frame is filled up with its last sample.
    """
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    samples *= np.float32(1 / 32_768)
    missing = -len(samples) % frame
    if missing:
        samples = np.pad(samples, (0, missing), mode="edge")
    samples = samples.reshape(-1, frame)
    samples -= samples.mean(axis=1, keepdims=True)
    return samples


def powers(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the mean square of each frame."""
    found: NDArray[np.float32] = np.einsum("ij,ij->i", frames, frames) / np.float32(frames.shape[1])
    return found


def _levels(pcm: bytes, frame: int) -> NDArray[np.float32]:
    return levels(powers(frames(pcm, frame)))


def levels(powers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give mean squares in dBFS."""
    found: NDArray[np.float32] = np.float32(10) * np.log10(powers + np.float32(1e-10))
    return found


def _frames(pcm: bytes, frame: int) -> Iterator[bytes]:
    for start in range(0, len(pcm), 2 * frame):
        yield pcm[start : start + 2 * frame].ljust(2 * frame, b"\0")


def over_noise(levels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell speech by its level over the noise around it.

    Args:
        levels: A recording's, in dBFS, one each `FRAME_SECONDS`.

    Returns:
        Of each frame, whether it can be speech; what cannot be told from noise can.
    """
    if not len(levels):
        return np.zeros(0, dtype=np.bool_)
    hop = _to_frames(_HOP_SECONDS)
    shares = [_FLOOR_PERCENTILE, _LOUD_PERCENTILE]
    whole = len(levels) // hop * hop
    quiet, loud = np.percentile(levels[:whole].reshape(-1, hop), shares, axis=1)
    if whole < len(levels):
        quiet, loud = np.c_[[quiet, loud], np.percentile(levels[whole:], shares)]
    floor = -_highest(-quiet, _FLOOR_SECONDS)
    rise = np.clip(
        _RANGE_SHARE * (_highest(loud, _LOUD_SECONDS) - floor), _LEAST_RISE_DB, _MOST_RISE_DB
    )
    # Whatever cannot be told from noise is heard, unless it is very quiet: silence costs money, a
    # lost sentence costs more.
    is_flat = _highest(loud, _FLAT_SECONDS) - floor < _FLAT_RANGE_DB
    threshold = np.repeat(np.where(is_flat, _QUIET_DB, floor + rise), hop)[: len(levels)]
    found: NDArray[np.bool_] = levels > np.maximum(threshold, _SILENCE_DB)
    for start, end in _runs(found):
        if end - start <= _CLICK_FRAMES:
            found[start:end] = False
    return found


def _highest(values: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """Give for every hop the highest value so far around it."""
    reach = round(seconds / _HOP_SECONDS)
    padded = np.pad(values, reach, mode="edge")
    highest: NDArray[np.float64] = np.lib.stride_tricks.sliding_window_view(
        padded, 2 * reach + 1
    ).max(axis=1)
    return highest


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Give where runs of true begin, and where they end."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _to_frames(seconds: float) -> int:
    return round(seconds / FRAME_SECONDS)


# -- where to cut -------------------------------------------------------------------------------


def stretches(
    speech: NDArray[np.bool_], levels: NDArray[np.float32], target: int, longest: int
) -> Iterator[tuple[int, int, int]]:
    """Decide which frames go into which stretch.

    Args:
        speech: Whether somebody speaks, a frame each.
        levels: How loud it is, a frame each: where there is no pause, the quietest place is cut.
        target: Frames that a stretch is to have.
        longest: Frames that it may have.

    Yields:
        Its first frame, the one after its last, and how many it shares with the stretch before.
    """
    margin = _to_frames(_MARGIN_SECONDS)
    for start, end in _passages(_runs(speech), target):
        first, last = max(0, start - margin), min(len(speech), end + margin)
        overlap = 0
        while last - first > longest:
            cut, shared = _place(speech, levels, first, target, longest)
            yield first, cut, overlap
            first, overlap = cut - shared, shared
        yield first, last, overlap


def _passages(runs: list[tuple[int, int]], target: int) -> Iterator[tuple[int, int]]:
    """Join runs of speech over the pauses that are not worth leaving out."""
    if not runs:
        return
    start, end = runs[0]
    for following, its_end in runs[1:]:
        pause = following - end
        is_enough = end - start >= _ENOUGH_SHARE * target
        if pause >= _to_frames(_ENDING_PAUSE_SECONDS) or (
            is_enough and pause >= _to_frames(_LONG_PAUSE_SECONDS)
        ):
            yield start, end
            start = following
        end = its_end
    yield start, end


def _place(
    speech: NDArray[np.bool_],
    levels: NDArray[np.float32],
    first: int,
    target: int,
    longest: int,
) -> tuple[int, int]:
    """Find where the stretch that begins at a frame ends, and how much is heard again."""
    shortest = _to_frames(_PAUSE_SECONDS)
    for begin, end in ((target // 2, target * 11 // 10), (target, longest)):
        end = min(end, longest)  # noqa: PLW2901  # a target near the longest
        pauses = [
            (first + begin + a, first + begin + b)
            for a, b in _runs(~speech[first + begin : first + end])
            if b - a >= shortest
        ]
        if pauses:
            # Of pauses about as long, the last: fewer sessions.
            a, b = max(pauses, key=lambda pause: ((pause[1] - pause[0]) // _SAME_FRAMES, pause[0]))
            return (a + b) // 2, 0
    overlap = min(_to_frames(_OVERLAP_SECONDS), target // 4)
    last = levels[first + target : first + longest]
    cut = first + target + int(np.argmin(last)) + 1 if len(last) else first + longest
    return max(cut, first + 2 * overlap + 1), overlap


def _cut(
    blocks: Iterator[bytes], places: list[tuple[int, int, int]], frame: int
) -> Iterator[Stretch]:
    """Take the stretches out of the samples as they come."""
    held = bytearray()
    begin = 0
    size = 2 * frame
    for first, last, overlap in places:
        while begin + len(held) < last * size:
            block = next(blocks, b"")
            if not block:
                break
            held += block
            unused = min(len(held), max(0, first * size - begin))
            del held[:unused]
            begin += unused
        unused = max(0, first * size - begin)
        del held[:unused]
        begin += unused
        pcm = bytes(held[: (last - first) * size])
        yield Stretch(first_frame=first * frame, pcm=pcm, overlap_frames=overlap * frame)
