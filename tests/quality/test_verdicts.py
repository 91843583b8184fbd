"""Verdicts name what is bad, and leave alone what a recogniser cannot tell."""

import random
from dataclasses import replace

from batchjobs.checkpoint import CheckRecord, CheckVerdict, ClipSigns, WordRun
from batchjobs.quality.compare import compare
from batchjobs.quality.verdicts import (
    RATE_DEVIATIONS,
    VOICE_DEVIATIONS,
    Hearing,
    Judgement,
    Recogniser,
    are_heard_alike,
    doubt_judgement,
    doubt_record,
    weigh_signs,
)
from tests.planted import make_texts

TEXTS = make_texts(200, seed=5)
SIGNS = ClipSigns(seconds=5.0, level_dbfs=-20.0, peak_dbfs=-3.0, letters_per_second=12.0)


def _hear(text: str, heard: str, group: str = "v arabic", signs: ClipSigns = SIGNS) -> Hearing:
    return Hearing(group=group, comparison=compare(text, heard), signs=signs)


def _mishear(text: str, share: float, dice: random.Random) -> str:
    """Hear a share of the words as others of the language."""
    others = TEXTS[0].split()
    return " ".join(dice.choice(others) if dice.random() < share else word for word in text.split())


def _listen(share: float) -> Recogniser:
    """Give a recogniser that mishears so many words, and heard many clips."""
    dice, recogniser = random.Random(3), Recogniser()
    for text in TEXTS:
        recogniser.add(_hear(text, _mishear(text, share, dice)))
    return recogniser


def _verdict(judgement: Judgement) -> CheckVerdict:
    return judgement.verdict


def test_a_good_recogniser_names_each_fault() -> None:
    """Cut, repeated, wrong, nothing at all: bad, with the words and their place."""
    recogniser = _listen(0.0)
    text = TEXTS[1]
    words = text.split()
    for heard in (
        " ".join(words[:-4]),
        " ".join(words[4:]),
        " ".join(words[:8] + words[4:]),
        TEXTS[50],
        "",
    ):
        judgement = recogniser.judge(_hear(text, heard))
        assert judgement.verdict is CheckVerdict.BAD
        assert judgement.by_ear
        assert judgement.reasons
        assert "from word" in judgement.reasons[0]
        assert judgement.badness > 100
    whole = recogniser.judge(_hear(text, text))
    assert (whole.verdict, whole.reasons) == (CheckVerdict.GOOD, ())
    assert whole.badness < 1


def test_a_recogniser_that_mishears_calls_no_good_clip_bad() -> None:
    """At any share of wrong words: at most one whole clip in a thousand is called bad."""
    dice = random.Random(9)
    for share in (0.02, 0.1, 0.3, 0.6, 0.9):
        recogniser = _listen(share)
        verdicts = [
            _verdict(recogniser.judge(_hear(text, _mishear(text, share, dice))))
            for text in TEXTS * 5
        ]
        assert verdicts.count(CheckVerdict.BAD) <= 1


def test_a_recogniser_that_mishears_a_little_still_finds_a_lost_clause() -> None:
    """With a tenth of the words wrong, a lost third of a text is found."""
    dice = random.Random(2)
    recogniser = _listen(0.1)
    found = 0
    for text in TEXTS[:50]:
        words = _mishear(text, 0.1, dice).split()
        found += (
            _verdict(recogniser.judge(_hear(text, " ".join(words[: len(words) // 2]))))
            is CheckVerdict.BAD
        )
    assert found >= 40


def test_a_recogniser_that_hears_nothing_buys_nothing() -> None:
    """Where much of a voice's clips seem bad, it is the recogniser: taken back, and said."""
    recogniser = _listen(0.0)
    hearings = [_hear(text, "", group="w arabic") for text in TEXTS[:30]]
    hearings += [_hear(text, text, group="w arabic") for text in TEXTS[:70]]
    for hearing in hearings:
        recogniser.add(hearing)
    for hearing in hearings:
        recogniser.count(hearing, recogniser.judge(hearing))
    bad = recogniser.judge(hearings[0])
    assert "recogniser" in recogniser.find_fault("w arabic", bad)
    assert not recogniser.find_fault("v arabic", bad)
    assert not recogniser.find_fault("w arabic", recogniser.judge(hearings[-1]))
    doubted = doubt_judgement(bad, "it fails")
    assert doubted.verdict is CheckVerdict.INCONCLUSIVE
    assert doubted.reasons[-1] == "it fails"
    assert not doubted.by_ear


def test_a_short_text_is_not_judged() -> None:
    """A name, a word, a number: not to be told where it did not fit, good where it did."""
    recogniser = _listen(0.0)
    for text, heard in (("نعم", "لا"), ("محمد", ""), ("عبد الرحمن", "كتاب"), ("٤٥", "نعم")):
        assert _verdict(recogniser.judge(_hear(text, heard))) is CheckVerdict.INCONCLUSIVE
    for text in ("نعم", "عبد الرحمن", "٤٥"):
        assert _verdict(recogniser.judge(_hear(text, text))) is CheckVerdict.GOOD


def test_what_was_not_heard_is_not_judged() -> None:
    """A service that failed says nothing about a clip; why is told."""
    hearing = Hearing(group="v arabic", signs=SIGNS, trouble="it could not be heard: busy")
    judgement = Recogniser().judge(hearing)
    assert judgement.verdict is CheckVerdict.INCONCLUSIVE
    assert judgement.reasons == ("it could not be heard: busy",)


def test_signs_need_no_recogniser() -> None:
    """Silence, and another's voice, are bad whatever was heard; both reasons are told."""
    recogniser = _listen(0.0)
    silent = replace(SIGNS, level_dbfs=-120.0, letters_per_second=0.0)
    judgement = recogniser.judge(Hearing(group="v arabic", signs=silent))
    assert (judgement.verdict, judgement.by_ear) == (CheckVerdict.BAD, False)
    odd = replace(SIGNS, voice_deviations=VOICE_DEVIATIONS, pitch_hz=210.0)
    judgement = recogniser.judge(_hear(TEXTS[1], TEXTS[1], signs=odd))
    assert judgement.verdict is CheckVerdict.BAD
    assert judgement.reasons == ("it does not sound like the voice's other clips (pitch 210 Hz)",)
    assert not judgement.by_ear
    for deviations, than in ((RATE_DEVIATIONS, "shorter"), (-RATE_DEVIATIONS, "longer")):
        other = replace(SIGNS, rate_deviations=deviations)
        judgement = recogniser.judge(_hear(TEXTS[1], TEXTS[1], signs=other))
        assert judgement.verdict is CheckVerdict.BAD
        assert than in judgement.reasons[0]
    both = recogniser.judge(_hear(TEXTS[1], TEXTS[9], signs=odd))
    assert len(both.reasons) > 1


def test_a_voice_that_varies_is_not_another_one() -> None:
    """A few of hundreds are another voice's; many are how this one speaks, and nothing is bought."""
    odd = replace(SIGNS, voice_deviations=VOICE_DEVIATIONS)
    for count, is_trusted in ((4, True), (20, False)):
        recogniser = _listen(0.0)
        hearings = [_hear(text, text, signs=odd) for text in TEXTS[:count]]
        hearings += [_hear(text, text) for text in TEXTS[count:]]
        for hearing in hearings:
            recogniser.count(hearing, recogniser.judge(hearing))
        judgement = recogniser.judge(hearings[0])
        assert judgement.by_voice
        assert (recogniser.find_fault("v arabic", judgement) == "") is is_trusted


def test_the_worst_signs_weigh_most() -> None:
    """Silence before all; then what is far from its voice, clipped, or has silence at an end."""
    usual = weigh_signs(SIGNS)
    for odd in (
        replace(SIGNS, clipped=0.01),
        replace(SIGNS, tail_silence_seconds=3.0),
        replace(SIGNS, rate_deviations=-6.0),
    ):
        assert weigh_signs(odd) > usual + 1
    assert weigh_signs(replace(SIGNS, level_dbfs=-120.0)) > 100


def _record(take: int, missing: str = "", foreign: str = "", odd: float = 0.0) -> CheckRecord:
    def run(words: str) -> WordRun | None:
        return WordRun(words=words, count=len(words.split()), first=0) if words else None

    return CheckRecord(
        id="a",
        sha256=str(take),
        take=take,
        verdict=CheckVerdict.BAD,
        missing=run(missing),
        foreign=run(foreign),
        signs=replace(SIGNS, voice_deviations=odd),
        badness=205.0,
        reasons=("x",),
    )


def test_two_takes_with_one_fault_are_the_recognisers() -> None:
    """The same words at the same place twice: no service fails so; other words are another fault."""
    first = _record(0, "كتاب الله العزيز")
    assert are_heard_alike(first, _record(1, "كتاب الله العزيز الحكيم"))
    assert not are_heard_alike(first, _record(1, "في ذلك اليوم"))
    assert not are_heard_alike(first, _record(1))
    assert are_heard_alike(_record(0, foreign="a b c"), _record(1, foreign="a b c"))
    assert are_heard_alike(_record(0, odd=20.0), _record(1, odd=15.0))
    assert not are_heard_alike(_record(0, odd=20.0), _record(1))
    doubted = doubt_record(first, "alike")
    assert (doubted.verdict, doubted.badness) == (CheckVerdict.INCONCLUSIVE, 105.0)
    assert doubted.reasons == ("x", "alike")
