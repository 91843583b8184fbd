"""The sides of a recording: channels that hold different sound, measured in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from batchjobs.audio import decoding
from batchjobs.audio.likeness import Likeness
from batchjobs.audio.meter import LevelMeter
from batchjobs.audio.source import Heard


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSide:
    """One or more channels of a recording that hold the same.

    Attributes:
        channels: Which, from 0.
        meter: Its level.
    """

    channels: tuple[int, ...]
    meter: LevelMeter


def find_sides(
    path: Path, *, sample_rate: int = 16_000, track: int = 0
) -> tuple[MeasuredSide, ...]:
    """Measure the channels of a recording, and find those that are the same.

    The same are channels that differ in nothing but their level, their phase, a little noise or a
    delay. Together they are mixed, as `channels.mix_channels` does it.

    Args:
        path: The recording.
        sample_rate: At which it is measured, in hertz.
        track: Which of its audio tracks, from 1; 0 for the default one.

    Returns:
        Each sound that is heard by itself, by its first channel.

    Raises:
        RecordingError: It is damaged.
    """
    recording, step = decoding.look_inside(path, track=track)
    alone = [(channel,) for channel in range(recording.channels)]
    meters = [LevelMeter(sample_rate, step=step) for _ in alone]
    pairs = {pair: Likeness(sample_rate) for pair in combinations(range(len(alone)), 2)}
    for blocks in decoding.side_blocks(path, alone, sample_rate=sample_rate, track=track):
        for meter, block in zip(meters, blocks, strict=True):
            meter.hear(block)
        for (one, other), likeness in pairs.items():
            likeness.hear(blocks[one], blocks[other])
    speech = [meter.find_speech() for meter in meters]
    groups: list[list[int]] = []
    for channel in range(len(alone)):
        for group in groups:
            if pairs[group[0], channel].are_same(speech[group[0]] | speech[channel]):
                group.append(channel)
                break
        else:
            groups.append([channel])
    found = [tuple(group) for group in groups]
    if any(not _is_exact(group, pairs) for group in found):
        measured = [
            decoding.measure_levels(
                path, sample_rate=sample_rate, heard=Heard(channels=group, track=track)
            )
            for group in found
        ]
    else:  # the mean of equal numbers is that number
        measured = [meters[group[0]] for group in found]
    return tuple(
        MeasuredSide(channels=group, meter=meter)
        for group, meter in zip(found, measured, strict=True)
    )


def _is_exact(group: Sequence[int], pairs: dict[tuple[int, int], Likeness]) -> bool:
    return all(pairs[group[0], channel].is_exact for channel in group[1:])
