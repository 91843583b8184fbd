"""Cut clips are noticed among whole ones, also where whole ones end loud."""

import itertools
import random
from collections.abc import Iterator

import pytest

from batchjobs.audio.pcm import ends_abruptly
from batchjobs.jobs import Ending
from batchjobs.text import count_sounds
from tests.plausibility.clips import RATE, make_hum
from tests.proofs.clips import Clip
from tests.proofs.hosted import open_buyer


def _loud_clips(count: int, *, wander: float = 0.05) -> Iterator[Clip]:
    """Make clips of a voice with ways of its own, which ends on a sound whatever it says."""
    dice = random.Random(4)
    prose = "قال دَبْشَليمُ الملكُ لبَيْدَبا, the quick brown fox. اضرِبْ لي مثلًا 12 times, yes"
    words = prose.split()

    for _ in range(count):
        said = " ".join(dice.choices(words, k=dice.randint(4, 25)))
        heard, speed = count_sounds(said), dice.choice((0.7, 1.0, 1.2))
        letters = 0.08 * (heard.arabic + heard.marks + heard.latin + heard.vowels + heard.numbers)
        seconds = (0.3 + letters + 0.4 * heard.stops) * dice.uniform(1 - wander, 1 + wander)
        pcm = bytes(make_hum(seconds / speed, fades=False))
        yield Clip(voice="v", text=said, speed=speed, pcm=pcm)


@pytest.mark.parametrize("provider", ["munsit", "faseeh"])
async def test_two_hundred_clips_that_end_loud_are_two_hundred_sessions(
    provider: str, autojump_clock: object
) -> None:
    """With the settings as built in, as a run hands them: no doubt, nothing is bought twice."""
    async with open_buyer(provider) as buyer:
        for clip in _loud_clips(200):
            bought = await buyer.buy(itertools.repeat(clip))
            assert bought.doubts == ()
            assert bought.result.evidence.ending is Ending.QUIET
            assert ends_abruptly(clip.pcm, sample_rate=RATE)
    assert buyer.sessions == 200


@pytest.mark.parametrize("share", [0.05, 0.5])
async def test_cut_clips_are_noticed_among_whole_ones(share: float, autojump_clock: object) -> None:
    """Once the voice is known; no whole clip is bought twice, and every cut one again."""
    dice, noticed = random.Random(6), []
    async with open_buyer() as buyer:
        for number, clip in enumerate(_loud_clips(160)):
            lost = dice.uniform(0.3, 0.6) if dice.random() < share else 0.0
            bought = await buyer.buy(itertools.chain([clip.cut(lost)], itertools.repeat(clip)))
            if not lost:
                assert (bought.attempts, bought.is_suspect) == (1, False)
            elif number >= 60:
                noticed.append(bool(bought.doubts))
                assert bought.is_suspect is False
    assert len(noticed) >= 3
    assert sum(noticed) >= 0.9 * len(noticed)


async def test_a_text_that_is_cut_at_the_same_place_each_time_ends_suspect(
    autojump_clock: object,
) -> None:
    """Two takes that agree are enough: the rest is the user's to judge."""
    async with open_buyer() as buyer:
        for clip in _loud_clips(60):
            await buyer.buy(itertools.repeat(clip))
        (clip,) = _loud_clips(1)
        bought = await buyer.buy(itertools.repeat(clip.cut(0.5)))
    assert (bought.attempts, bought.is_suspect) == (2, True)
