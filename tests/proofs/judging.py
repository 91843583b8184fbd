"""How well cut speech is told from whole speech; prints a table, exit 1 if a bound is broken.

    python -m tests.proofs.judging [--clips 1000] [--seed 1]

Four espeak voices, two Arabic and two English, each at a pace of its own, speak texts of 1 to 60 words
(prose with and without diacritics, numbers, dates, prices, tatweel, both scripts) at speeds 0.7 to 1.2.
The silence is taken off both ends, so that they end loud. Each clip goes through a real session with
the settings of `munsit` as built in, to a service that drops what is pending when it is asked to close;
so does each clip without the last 5 to 60 %, as if it alone were cut. What is doubted is bought again
as a run does: until a take is done, or two agree in length. The same once more with a tempo that wanders
by 12 % from take to take, as a neural voice's does, and each with 5 % and with half of the takes cut.

The columns: whole clips called suspect; whole clips bought more than twice; of the cut ones, those that
were noticed, of all that lost more than 30 % and by how much they lost; cut takes that were kept as done
(before their voice was known, or by little); sessions.

Bounds: of the whole clips at most 0.5 % suspect, none bought more than twice; of those that lost more
than 30 %, once 20 clips of the voice are known, at least 90 % noticed.
"""

import argparse
import copy
import itertools
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import trio
import trio.testing

from batchjobs.audio.pcm import ends_abruptly
from batchjobs.plausibility import pace
from batchjobs.plausibility.clips import SHORT_DEVIATIONS
from batchjobs.plausibility.pace import KNOWN_AFTER, Pace
from batchjobs.text import count_sounds
from tests.proofs.clips import RATE, VOICES, Clip, Speaker
from tests.proofs.hosted import Buyer, open_buyer

SUSPECT_AT_MOST = 0.005
NOTICED_AT_LEAST = 0.9
LOST_MUCH = 0.3
LEAST_LOST, MOST_LOST = 0.05, 0.6
JITTER = 0.12
SHOWN = (0.1, 0.2, 0.3, 0.4, 0.5)
NEAR = 0.05


@dataclass
class Tally:
    """What was seen of one course."""

    name: str
    whole: int = 0
    suspect: int = 0
    more_than_twice: int = 0
    sessions: int = 0
    cut: list[tuple[float, bool]] = field(default_factory=list)
    """For each cut take of a known voice: the share it lost, and whether it was doubted."""
    cut_as_done: int = 0
    """Texts whose kept take is cut and not doubted."""

    def noticed(self, least: float, most: float) -> str:
        """Give the share of the cut takes that were noticed, of those that lost so much."""
        found = [was_doubted for lost, was_doubted in self.cut if least <= lost <= most]
        return f"{100 * np.mean(found):5.1f}%" if found else "     -"

    def line(self) -> str:
        """Write it as a line of the table."""
        shares = [self.noticed(share - NEAR, share + NEAR) for share in SHOWN]
        much = self.noticed(LOST_MUCH, 1.0)
        suspect = f"{self.suspect}/{self.whole} {100 * self.suspect / max(1, self.whole):.2f}%"
        return (
            f"{self.name:22} {suspect:>14} {self.more_than_twice:>6} {much:>7} "
            f"{' '.join(shares)} {self.cut_as_done:>7} {self.sessions:>9,}"
        )

    def suspects(self) -> list[str]:
        """Say whether too many whole clips are suspect."""
        if self.suspect <= SUSPECT_AT_MOST * self.whole:
            return []
        return [f"{self.name}: {self.suspect} of {self.whole} whole clips are suspect"]

    def failures(self) -> list[str]:
        """Say which bounds are broken."""
        broken = self.suspects()
        if self.more_than_twice:
            broken.append(f"{self.name}: {self.more_than_twice} bought more than twice")
        much = [was_doubted for lost, was_doubted in self.cut if lost > LOST_MUCH]
        if much and np.mean(much) < NOTICED_AT_LEAST:
            broken.append(f"{self.name}: only {100 * np.mean(much):.1f}% of the cut were noticed")
        return broken


HEADER = (
    f"{'course':22} {'whole suspect':>14} {'>twice':>6} {'>30%':>7} "
    f"{' '.join(f'{100 * share:5.0f}%' for share in SHOWN)} {'as done':>7} {'sessions':>9}"
)


async def one_by_one(
    name: str, clips: list[Clip], dice: random.Random, *, again: list[Clip]
) -> Tally:
    """Judge each whole clip, and its cut form as if it alone were cut."""
    tally = Tally(name)
    heard: Counter[str] = Counter()
    async with open_buyer() as buyer:
        for clip, second in zip(clips, again, strict=True):
            lost = dice.uniform(LEAST_LOST, MOST_LOST)
            if heard[clip.voice] >= KNOWN_AFTER:
                before = copy.deepcopy(buyer.rates)
                result = await buyer.take(clip.cut(lost), before)
                tally.cut.append((lost, bool(result.doubts)))
            bought = await buyer.buy(itertools.cycle((clip, second)))
            heard[clip.voice] += 1
            _count_whole(tally, bought.attempts, is_suspect=bought.is_suspect)
        tally.sessions = buyer.sessions
    return tally


async def mixed(
    name: str, clips: list[Clip], again: list[Clip], dice: random.Random, *, share: float
) -> Tally:
    """Judge clips of which some are cut; what is bought again is cut as often."""
    tally = Tally(name)
    heard: Counter[str] = Counter()
    async with open_buyer() as buyer:
        for takes in zip(clips, again, strict=True):
            await _mixed(tally, buyer, takes, dice, heard, share)
        tally.sessions = buyer.sessions
    return tally


async def _mixed(
    tally: Tally,
    buyer: Buyer,
    takes: tuple[Clip, Clip],
    dice: random.Random,
    heard: Counter[str],
    share: float,
) -> None:
    """Buy one text, whose takes are cut at random."""
    taken: list[tuple[Clip, float]] = []

    def cut_some() -> Iterator[Clip]:
        for clip in itertools.cycle(takes):
            lost = dice.uniform(LEAST_LOST, MOST_LOST) if dice.random() < share else 0.0
            taken.append((clip.cut(lost) if lost else clip, lost))
            yield taken[-1][0]

    bought = await buyer.buy(cut_some())
    first, first_lost = taken[0]
    if first_lost and heard[first.voice] >= KNOWN_AFTER:
        tally.cut.append((first_lost, bool(bought.doubts)))
    if not first_lost:
        heard[first.voice] += 1
        _count_whole(tally, bought.attempts, is_suspect=bought.is_suspect)
    is_cut = any(lost for clip, lost in taken if clip is bought.clip)
    tally.cut_as_done += is_cut and not bought.is_suspect


def _count_whole(tally: Tally, attempts: int, *, is_suspect: bool) -> None:
    tally.whole += 1
    tally.suspect += is_suspect
    tally.more_than_twice += attempts > 2


def spreads(clips: list[Clip]) -> list[str]:
    """Say how far lengths are from what is expected, by language and length, once all is known."""
    found: dict[tuple[str, str], list[float]] = {}
    for voice, (language, _) in VOICES.items():
        own = [clip for clip in clips if clip.voice == voice]
        known = _known(own)
        for clip in own:
            expected = known.predict(count_sounds(clip.text), speed=clip.speed)
            ratio = float(np.log(clip.seconds / expected.seconds))
            words = len(clip.text.split())
            size = "1-4 words" if words < 5 else "5-12 words" if words < 13 else "13-60 words"
            found.setdefault((language, size), []).append(ratio)
    lines = []
    for (language, size), measured in sorted(found.items()):
        ratios = np.array(measured)
        deviation = 1.4826 * np.median(np.abs(ratios - np.median(ratios)))
        low, high = np.quantile(ratios, [0.02, 0.98])
        shown = f"deviation {100 * deviation:4.1f}%, 96% within {low:+.2f} to {high:+.2f}"
        lines.append(f"  {language:7} {size:12} {len(ratios):4} clips: {shown}")
    return lines


def left_out(clips: list[Clip], dice: random.Random) -> list[str]:
    """Judge each voice from a beginning that the other three have given."""
    lines, own = [], pace._PRIOR.copy()
    for voice in VOICES:
        taken = []
        for other in VOICES:
            if other != voice:
                known = _known([clip for clip in clips if clip.voice == other])
                assert known._fit is not None
                taken.append(own * known._fit.scale * (1.0 + known._fit.shifts[:-1]))
        pace._PRIOR[:] = np.maximum(np.mean(taken, axis=0), 0.2 * own)
        try:
            lines.append(_judged_by_prior(voice, clips, dice))
        finally:
            pace._PRIOR[:] = own
    return lines


def _known(clips: list[Clip]) -> Pace:
    """Learn one voice from all its clips."""
    known = Pace()
    for clip in clips:
        known.add(count_sounds(clip.text), speed=clip.speed, seconds=clip.seconds)
    known.predict(count_sounds(""), speed=1.0)
    return known


def _judged_by_prior(voice: str, clips: list[Clip], dice: random.Random) -> str:
    known, doubted, noticed = Pace(), [], []
    for clip in clips:
        if clip.voice != voice:
            continue
        heard = count_sounds(clip.text)
        if known.is_known:
            expected = known.predict(heard, speed=clip.speed)
            bound = expected.seconds * np.exp(-SHORT_DEVIATIONS * expected.deviation)
            doubted.append(clip.seconds < bound)
            noticed.append(clip.seconds * (1 - dice.uniform(LOST_MUCH, MOST_LOST)) < bound)
        known.add(heard, speed=clip.speed, seconds=clip.seconds)
    return (
        f"  {voice:12} whole doubted {sum(doubted)}/{len(doubted)}, "
        f"cut by more than 30% noticed {100 * np.mean(noticed):.1f}%"
    )


def made(count: int, seed: int, *, jitter: float = 0.0) -> list[Clip]:
    """Make clips, the voices by turns; the same texts for the same seed, whatever the jitter."""
    speaker = Speaker(jitter=jitter, seed=seed)
    try:
        return [speaker.clip(list(VOICES)[number % len(VOICES)]) for number in range(count)]
    finally:
        speaker.close()


async def courses(clips: list[Clip], jittered: list[Clip], again: list[Clip], seed: int) -> bool:
    """Run all of them, print the table; true if no bound is broken."""
    print(HEADER)
    alone = await one_by_one("each alone", clips, random.Random(seed), again=clips)
    print(alone.line(), flush=True)
    broken = alone.failures()
    wandering = await one_by_one("tempo +-12%", jittered, random.Random(seed), again=again)
    print(wandering.line(), flush=True)
    broken += wandering.suspects()
    for name, source, share, retakes in (
        ("5% cut", clips, 0.05, clips),
        ("half cut", clips, 0.5, clips),
        ("tempo +-12%, 5% cut", jittered, 0.05, again),
        ("tempo +-12%, half cut", jittered, 0.5, again),
    ):
        tally = await mixed(name, source, retakes, random.Random(seed), share=share)
        print(tally.line(), flush=True)
        broken += tally.suspects()
    print("\nbounds: " + ("; ".join(broken) if broken else "all kept"))
    return not broken


def main() -> int:
    """Make the clips, judge them, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    clips = made(asked.clips, asked.seed)
    jittered = made(asked.clips, asked.seed, jitter=JITTER)
    again = made(asked.clips, asked.seed, jitter=-JITTER)
    loud = sum(ends_abruptly(clip.pcm, sample_rate=RATE) for clip in clips)
    hours = sum(clip.seconds for clip in clips) / 3_600
    print(
        f"{len(clips)} clips, {hours:.2f} h, {loud} end loud ({time.monotonic() - began:.0f} s)\n"
    )
    is_good = trio.run(
        courses,
        clips,
        jittered,
        again,
        asked.seed,
        clock=trio.testing.MockClock(autojump_threshold=0),
    )
    print("\nfrom what is expected, once a voice is known:", *spreads(clips), sep="\n")
    print("\nbegun from what the other three voices take:")
    print(*left_out(clips, random.Random(asked.seed)), sep="\n")
    print(f"\n{time.monotonic() - began:.0f} s in all")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
