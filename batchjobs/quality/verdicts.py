"""What is said of clips by what was heard of them: good, bad, or not to be told."""

import math
from dataclasses import dataclass, field, replace
from typing import Final

from batchjobs.checkpoint import CheckRecord, CheckVerdict, ClipSigns, WordRun
from batchjobs.formatting import plural
from batchjobs.quality.compare import Comparison

VOICE_DEVIATIONS: Final = 8.0
"""So far from its voice's other clips, one is another voice's: of espeak's 600 whole clips of 1.5 s
and more none was beyond 5.7, of those that another voice had spoken all were beyond 14."""
RATE_DEVIATIONS: Final = 6.5
"""So far from what its voice takes for its text, a clip says more or less than that, even if the
recogniser, which may leave out what comes twice, heard the text and nothing else. Of espeak's 900 whole
clips none was beyond 5.3; of those that repeat a third or lack one, all were beyond 7.1."""
_LEAST_RUN: Final = 3
"""Of words, to be a loss and no mistake of one word's hearing."""
_FALSE_ALARMS: Final = 2e-4
"""Of the good clips, if their words are misheard one by one: one of 5,000 is called bad."""
_LEAST_ERRORS: Final = 0.02
_ERRORS_TOGETHER: Final = 2.0
"""Words are not misheard one by one: a name, a stretch of noise takes its neighbours with it."""
_TYPICAL_SHARE: Final = 0.75
"""Of the clips, those that are heard best tell how well a recogniser hears; bad ones are elsewhere."""
_LEAST_CLIPS: Final = 8
"""With fewer a group is judged by all clips."""
_SCATTERED_SHARE: Final = 0.5
_UNCLEAR_SHARE: Final = 0.5
"""Of a text's words not heard, from which a clip that is not bad is not good either."""
_COMMON_SHARE: Final = 0.25
"""If more of a voice's clips than this seem bad, it is the recogniser, or all of them: not a clip."""
_COMMON_CLIPS: Final = 2
_VARIED_SHARE: Final = 0.02
"""The same of clips that sound unlike their voice: an actor's voice does, another one's is seldom there."""
_REMEMBERED: Final = 4_096
_SILENT_BADNESS: Final = 1_000.0
_CER_WEIGHT: Final = 10.0
_CLIPPED_SHARE: Final = 0.001
_STEP: Final = 100.0
"""Whatever is bad stands before all that is not, and what cannot be told between them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """What is known of one result that is to be judged.

    Attributes:
        group: Who spoke, in which script: what a recogniser hears alike well.
        comparison: What was heard beside the text; None if nothing could be heard.
        signs: What was measured of the clip; None if it could not be read.
        trouble: Why it was not heard; empty if it was.
    """

    group: str
    comparison: Comparison | None = None
    signs: ClipSigns | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What is said of one result.

    Attributes:
        verdict: Good, bad, or not to be told.
        reasons: Why, a clause each.
        badness: The worst have most.
        by_ear: Whether it is bad by what was heard, and the recogniser may be at fault.
        by_voice: Whether it is bad only because it is unlike its voice's others.
    """

    verdict: CheckVerdict
    reasons: tuple[str, ...] = ()
    badness: float = 0.0
    by_ear: bool = False
    by_voice: bool = False


@dataclass(slots=True)
class _Group:
    """What a recogniser is like with clips of one kind."""

    missing: list[tuple[float, int, int]] = field(default_factory=list)
    foreign: list[tuple[float, int, int]] = field(default_factory=list)
    judged: int = 0
    bad: int = 0
    odd: int = 0


@dataclass(slots=True)
class Recogniser:
    """Learns how well a recogniser hears, by all that it heard, and judges each clip by that.

    Every clip is added first; those that are heard worst do not count.
    """

    _groups: dict[str, _Group] = field(default_factory=dict)
    _all: _Group = field(default_factory=_Group)
    _rates: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, hearing: Hearing) -> None:
        """Learn from one clip."""
        found = hearing.comparison
        if found is None or not found.words:
            return
        self._rates.clear()
        for group in (self._groups.setdefault(hearing.group, _Group()), self._all):
            if len(group.missing) < _REMEMBERED:
                group.missing.append((found.unheard / found.words, found.unheard, found.words))
                heard = max(found.heard_words, found.words)
                group.foreign.append((found.unexpected / heard, found.unexpected, heard))

    def count(self, hearing: Hearing, judgement: Judgement) -> None:
        """Count a first judgement: `find_fault` asks how many of a group are bad, and by what."""
        group = self._groups.setdefault(hearing.group, _Group())
        group.judged += 1
        if judgement.verdict is CheckVerdict.BAD:
            group.bad += judgement.by_ear
            group.odd += hearing.signs is not None and is_odd(hearing.signs)

    def find_fault(self, group: str, judgement: Judgement) -> str:
        """Say why a judgement cannot be trusted, all clips of its group considered; empty if it can."""
        found = self._groups.get(group)
        if found is None or judgement.verdict is not CheckVerdict.BAD:
            return ""
        if judgement.by_ear and found.bad > max(_COMMON_CLIPS, _COMMON_SHARE * found.judged):
            return "so many of this voice's clips are heard like this that it is the recogniser"
        if judgement.by_voice and found.odd > max(_COMMON_CLIPS, _VARIED_SHARE * found.judged):
            return "so many of this voice's clips are like this that it is the voice"
        return ""

    def judge(self, hearing: Hearing) -> Judgement:
        """Judge one clip: by its signs, which need no recogniser, and by what was heard."""
        signs = hearing.signs
        if signs is not None and not signs.has_sound:
            reasons = ("there is no sound in it",)
            return Judgement(verdict=CheckVerdict.BAD, reasons=reasons, badness=_SILENT_BADNESS)
        judgement = self._judge_by_ear(hearing)
        oddities = () if signs is None else _describe_oddities(signs)
        if signs is None or not oddities:
            return judgement
        badness = 2 * _STEP + max(signs.voice_deviations, abs(signs.rate_deviations))
        return Judgement(
            verdict=CheckVerdict.BAD,
            reasons=(*judgement.reasons, *oddities),
            badness=max(judgement.badness, badness),
            by_ear=judgement.by_ear,
            by_voice=not judgement.by_ear,
        )

    def _judge_by_ear(self, hearing: Hearing) -> Judgement:
        found = hearing.comparison
        if found is None:
            why = hearing.trouble or "nothing is known of what was heard"
            return Judgement(verdict=CheckVerdict.INCONCLUSIVE, reasons=(why,), badness=_STEP)
        if found.words:
            return self._judge_words(hearing.group, found, hearing.signs)
        is_exact = not found.cer
        return Judgement(
            verdict=CheckVerdict.GOOD if is_exact else CheckVerdict.INCONCLUSIVE,
            reasons=() if is_exact else ("its text has no words but numbers",),
            badness=_weigh(found, hearing.signs),
        )

    def _judge_words(self, group: str, found: Comparison, signs: ClipSigns | None) -> Judgement:
        missed, added = self._rates_of(group)
        least_missing = _least_run(missed, found.words)
        least_foreign = _least_run(added, max(found.words, found.heard_words))
        badness = _weigh(found, signs)
        reasons = []
        if found.missing is not None and found.missing_count >= least_missing:
            reasons.append(_describe(found.missing, "missing"))
        if found.foreign is not None and found.foreign_count >= least_foreign:
            reasons.append(_describe(found.foreign, "foreign to the text"))
        scattered = max(_SCATTERED_SHARE, missed + _SCATTERED_SHARE / 2)
        if not reasons and found.unheard > max(scattered * found.words, least_missing):
            reasons.append(f"{found.unheard:,} of {plural(found.words, 'word')} were not heard")
        is_empty = not found.heard_words and found.words < 2 * least_missing
        if reasons and not is_empty:
            return Judgement(
                verdict=CheckVerdict.BAD,
                reasons=tuple(reasons),
                badness=badness + 2 * _STEP,
                by_ear=True,
            )
        if is_empty or found.unheard >= _UNCLEAR_SHARE * found.words:
            understood = found.words - found.unheard
            why = f"only {understood:,} of {plural(found.words, 'word')} were understood"
            if not found.heard_words:
                why = f"nothing was heard, and a text of {plural(found.words, 'word')} is too short"
            return Judgement(
                verdict=CheckVerdict.INCONCLUSIVE, reasons=(why,), badness=badness + _STEP
            )
        return Judgement(verdict=CheckVerdict.GOOD, badness=badness)

    def _rates_of(self, group: str) -> tuple[float, float]:
        """Give the shares of words that are lost, and added, where nothing is wrong with a clip."""
        if group not in self._rates:
            own = self._groups.get(group)
            known = own if own is not None and len(own.missing) >= _LEAST_CLIPS else self._all
            self._rates[group] = (_typical_share(known.missing), _typical_share(known.foreign))
        return self._rates[group]


def is_odd(signs: ClipSigns) -> bool:
    """Whether a clip is so unlike its voice's others that its voice, or its length, is another one."""
    return bool(_describe_oddities(signs))


def _describe_oddities(signs: ClipSigns) -> tuple[str, ...]:
    found = []
    if signs.voice_deviations >= VOICE_DEVIATIONS:
        pitch = f" (pitch {signs.pitch_hz:.0f} Hz)" if signs.pitch_hz else ""
        found.append(f"it does not sound like the voice's other clips{pitch}")
    if abs(signs.rate_deviations) >= RATE_DEVIATIONS:
        than = "shorter" if signs.rate_deviations > 0 else "longer"
        found.append(f"its {signs.seconds:.1f} s are far {than} than the voice takes for its text")
    return tuple(found)


def doubt_judgement(judgement: Judgement, why: str) -> Judgement:
    """Take back what was said of a clip: it is not the clip that is at fault.

    Args:
        judgement: What was said.
        why: How it is known.
    """
    return replace(
        judgement,
        verdict=CheckVerdict.INCONCLUSIVE,
        reasons=(*judgement.reasons, why),
        badness=judgement.badness - _STEP,
        by_ear=False,
        by_voice=False,
    )


def doubt_record(record: CheckRecord, why: str) -> CheckRecord:
    """Take back what is kept of a clip that is bad: the recogniser is at fault.

    Args:
        record: What was said.
        why: How it is known.
    """
    return replace(
        record,
        verdict=CheckVerdict.INCONCLUSIVE,
        reasons=(*record.reasons, why),
        badness=round(record.badness - _STEP, 3),
    )


def are_heard_alike(one: CheckRecord, other: CheckRecord) -> bool:
    """Whether two takes of one text seem to have lost, or got, much the same words.

    No service makes the same mistake twice at the same place; a recogniser does. And if both sound
    unlike their voice, that is how the voice sounds in this text.
    """
    if one.missing is None and one.foreign is None:
        return _is_odd(one) and _is_odd(other)
    missing = _overlap(one.missing, other.missing)
    return missing if one.missing is not None else _overlap(one.foreign, other.foreign)


def _is_odd(record: CheckRecord) -> bool:
    return record.signs is not None and is_odd(record.signs)


def _overlap(one: WordRun | None, other: WordRun | None) -> bool:
    if one is None or other is None:
        return False
    first, second = set(one.words.split()), set(other.words.split())
    return len(first & second) >= max(len(first), len(second)) / 2


def _typical_share(clips: list[tuple[float, int, int]]) -> float:
    """Give the share of wrong words in the clips that are heard best, as an estimate with doubt."""
    best = sorted(clips)[: max(1, math.ceil(_TYPICAL_SHARE * len(clips)))]
    wrong, words = (sum(clip[place] for clip in best) for place in (1, 2))
    return (wrong + 0.5) / (words + 20.0)


def _least_run(share: float, words: int) -> int:
    """Give how long a run of wrong words has to be, so that it is no chance."""
    chance = min(_ERRORS_TOGETHER * share + _LEAST_ERRORS, 0.95)
    return max(_LEAST_RUN, math.ceil(math.log(_FALSE_ALARMS / max(words, 1)) / math.log(chance)))


def _weigh(found: Comparison, signs: ClipSigns | None) -> float:
    """Say how bad a clip is: words in the longest runs, errors, and what its sound is like."""
    badness = found.missing_count + found.foreign_count + _CER_WEIGHT * min(found.cer, 2.0)
    return round(badness + (0.0 if signs is None else weigh_signs(signs)), 3)


def weigh_signs(signs: ClipSigns) -> float:
    """Say how bad a clip is by its signs alone: 0 to about 3 is usual.

    Args:
        signs: What was measured of it.
    """
    if not signs.has_sound:
        return _SILENT_BADNESS
    clipped = min(signs.clipped / _CLIPPED_SHARE, 10.0)
    silence = max(0.0, max(signs.head_silence_seconds, signs.tail_silence_seconds) - 1.0)
    return max(abs(signs.rate_deviations), signs.voice_deviations) + clipped + silence


def _describe(run: WordRun, what: str) -> str:
    shown = run.words if len(run.words) <= 120 else f"{run.words[:119]}…"
    are = "is" if run.count == 1 else "are"
    return f"{plural(run.count, 'word')} {are} {what}, from word {run.first + 1} on: “{shown}”"
