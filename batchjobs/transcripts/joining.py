"""Transcripts with time: the parts of a recording joined, and each word placed."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

from msgspec import UNSET, UnsetType, structs

from batchjobs.jobs import SpeakerTrait
from batchjobs.text import are_written_together, find_words, weigh_word
from batchjobs.transcripts.seam import Overlap, Seam, find_seam
from batchjobs.transcripts.words import Word

_LEAST_SECONDS_A_LETTER: Final = 0.03
_MOST_SECONDS_A_LETTER: Final = 0.2
_MOST_SECONDS_A_LETTER_UNTIMED: Final = 0.5
"""Where nothing says when they were said, words are laid out over all of the sound."""
_SNAP_SECONDS: Final = 0.3
_MOMENT: Final = 1e-6
_ANSWER_SECONDS: Final = 1.0
"""How often services say what they have heard; the time of a word is half of that before."""
_SLOW_SECONDS_A_LETTER: Final = 0.125
_LEAST_LAG_SECONDS: Final = 0.7
"""Shorter ones cannot be told from a word that happens to end there, and do no harm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptPart:
    """What one session heard of a recording.

    Attributes:
        start_seconds: Where it begins in the recording.
        seconds: How long it is.
        overlap_seconds: How much of the part before it repeats.
        text: What was heard.
        word_start_seconds: When each word begins, from the part's start, if the service says so.
        word_end_seconds: When each word ends, from the part's start; empty if unknown.
        silences: Where there is no speech, from the part's start: (begin, end), in order.
        traits: What was noticed of the speakers; times are from the part's start.
    """

    start_seconds: float
    seconds: float
    overlap_seconds: float = 0.0
    text: str
    word_start_seconds: tuple[float, ...] = ()
    word_end_seconds: tuple[float, ...] = ()
    silences: tuple[tuple[float, float], ...] = ()
    traits: tuple[SpeakerTrait, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptSegment:
    """What was heard in one part of the recording, without what the part before has already.

    Of a recording whose sides were heard apart it is a turn, with who says it.
    """

    start: float
    end: float
    text: str
    speaker: str | UnsetType = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What was said in a recording, and when.

    Attributes:
        text: All of it, without white space at its ends; within it, all that came.
        segments: Its parts.
        words: Its words, in order and without overlap.
        traits: What was noticed of the speakers.
    """

    text: str
    segments: tuple[TranscriptSegment, ...]
    words: tuple[Word, ...]
    traits: tuple[SpeakerTrait, ...] = ()


def join_parts(parts: Sequence[TranscriptPart]) -> Transcript:
    """Join the parts of a recording, in order; words that two of them heard appear once."""
    segments: list[TranscriptSegment] = []
    words: list[Word] = []
    before: list[Word] = []
    knows_times, lag_seconds = False, 0.0
    for part in parts:
        said = _place_words(part)
        seam = Seam(dropped=0, skipped=0)
        is_timed = len(part.word_end_seconds) == len(said)
        # Only the part that it overlaps can have heard the same, not one before that.
        if part.overlap_seconds and before and said:
            overlap = Overlap(
                start=part.start_seconds,
                end=part.start_seconds + part.overlap_seconds,
                is_timed=knows_times and is_timed,
            )
            seam = find_seam(before, [_shift(word, -lag_seconds) for word in said], overlap)
        if seam.dropped:
            kept = len(before) - seam.dropped
            segments[-1] = replace(segments[-1], text=_keep_words(segments[-1].text, kept))
            del words[-seam.dropped :]
        words += _in_order(words, said[seam.skipped :])
        is_late = is_timed and not part.word_start_seconds
        lag_seconds = _measure_lag(part, said) if is_late else 0.0
        before, knows_times = _take_back(part, said, lag_seconds)[seam.skipped :], is_timed
        end = part.start_seconds + part.seconds
        start = part.start_seconds + part.overlap_seconds
        text = _skip_words(part.text, seam.skipped)
        segments.append(TranscriptSegment(start=round(start, 3), end=round(end, 3), text=text))
    text = join_texts([segment.text for segment in segments])
    trimmed = tuple(replace(segment, text=segment.text.strip()) for segment in segments)
    traits = tuple(trait for part in parts for trait in _find_traits(part))
    return Transcript(text=text, segments=trimmed, words=tuple(words), traits=traits)


def _find_traits(part: TranscriptPart) -> Iterator[SpeakerTrait]:
    """Give what was noticed in a part, but not in what it repeats of the part before."""
    for trait in part.traits:
        if trait.end is None or trait.end > part.overlap_seconds:
            yield move_trait(trait, part.start_seconds)


def move_trait(trait: SpeakerTrait, seconds: float) -> SpeakerTrait:
    """Move a trait in time; one without any stays."""
    if trait.start is None or trait.end is None:
        return trait
    start, end = round(trait.start + seconds, 3), round(trait.end + seconds, 3)
    return structs.replace(trait, start=start, end=end)


def _measure_lag(part: TranscriptPart, said: Sequence[Word]) -> float:
    """Measure how late a service answers, by how much it still owed when all was sent.

    Its last words all came then: more of them than fit into the sound since the answer before.
    """
    if not said or part.word_end_seconds[-1] < part.seconds - _ANSWER_SECONDS:
        return 0.0
    known = bisect_left(part.word_end_seconds, part.word_end_seconds[-1])
    answered = part.word_end_seconds[known - 1] + _ANSWER_SECONDS / 2 if known else 0.0
    weights = [weigh_word(word.text) for word in said]
    pace = min(part.seconds / sum(weights), _SLOW_SECONDS_A_LETTER)
    lag = sum(weights[known:]) * pace - max(0.0, part.seconds - answered)
    return lag if lag > _LEAST_LAG_SECONDS else 0.0


def _take_back(part: TranscriptPart, said: Sequence[Word], lag_seconds: float) -> list[Word]:
    """Say when a part's words were said, if the service answers late: its last ones came at once."""
    if not lag_seconds:
        return list(said)
    known = bisect_left(part.word_end_seconds, part.word_end_seconds[-1])
    earlier = [_shift(word, -lag_seconds) for word in said[:known]]
    stop = part.start_seconds + part.seconds - _ANSWER_SECONDS / 2
    start = earlier[-1].end if earlier else part.start_seconds
    weights = list(accumulate(weigh_word(word.text) for word in said[known:]))
    pace = (stop - start) / weights[-1]
    ends = [start + weight * pace for weight in weights]
    last = zip(said[known:], [start, *ends], ends, strict=False)
    return earlier + [replace(word, start=begin, end=end) for word, begin, end in last]


def _shift(word: Word, seconds: float) -> Word:
    return replace(word, start=word.start + seconds, end=word.end + seconds)


def join_texts(texts: Sequence[str]) -> str:
    """Join texts with the white space between them, or else a space, where the script has any."""
    said: list[str] = []
    for text in filter(str.strip, texts):
        begin = len(text) - len(text.lstrip())
        if said and are_written_together(said[-1], text):
            said[-1] = said[-1].rstrip()
        elif said and not said[-1][-1].isspace():
            said.append(text[:begin] or " ")
        said.append(text[begin:])
    return "".join(said).strip()


def _place_words(part: TranscriptPart) -> list[Word]:
    """Time a part's words: by when they are known to end, or else by how long they take to say."""
    places = find_words(part.text)
    if not places:
        return []
    texts = [part.text[begin:end] for begin, end in places]
    if len(part.word_start_seconds) == len(part.word_end_seconds) == len(texts):
        return _take_times(part, texts)
    weights = [weigh_word(text) for text in texts]
    pace = part.seconds / sum(weights)
    ends, slowest = part.word_end_seconds, _MOST_SECONDS_A_LETTER
    if len(ends) != len(texts):
        ends, slowest = (part.seconds,) * len(texts), _MOST_SECONDS_A_LETTER_UNTIMED
    pace = min(max(pace, _LEAST_SECONDS_A_LETTER), slowest)
    found: list[Word] = []
    previous = 0.0
    for first, last in _group_ends(ends):
        # Words that are known to end together share the sound there is for them.
        end = _snap_to_silence(min(max(ends[first], previous), part.seconds), part.silences)
        end = max(end, previous)
        long = sum(weights[first:last]) * pace
        spans = _spans_of_sound(
            max(previous, end - _reach_back(long, end, part.silences)), end, part.silences
        )
        total = sum(b - a for a, b in spans)
        share = total / sum(weights[first:last])
        used = 0.0
        for text, weight in zip(texts[first:last], weights[first:last], strict=True):
            begin, used = _moment_after(spans, used, starts=True), used + weight * share
            stop = max(begin, _moment_after(spans, min(used, total), starts=False))
            found.append(
                Word(
                    start=round(part.start_seconds + begin, 3),
                    end=round(part.start_seconds + stop, 3),
                    text=text,
                )
            )
        previous = end
    return found


def _take_times(part: TranscriptPart, texts: Sequence[str]) -> list[Word]:
    """Place words where the service itself says that they were said."""
    times = zip(texts, part.word_start_seconds, part.word_end_seconds, strict=True)
    return [
        Word(
            start=round(part.start_seconds + min(start, part.seconds), 3),
            end=round(part.start_seconds + min(max(start, end), part.seconds), 3),
            text=text,
        )
        for text, start, end in times
    ]


def _snap_to_silence(end: float, silences: Sequence[tuple[float, float]]) -> float:
    """Move the end of words to the end of the sound: it is known to about half a second."""
    for begin, stop in silences:
        if begin - _SNAP_SECONDS <= end < stop:
            return begin
    return end


def _reach_back(seconds: float, end: float, silences: Sequence[tuple[float, float]]) -> float:
    """Measure how far back from a moment so many seconds of sound reach, silences left out."""
    start = end - seconds
    for begin, stop in reversed(silences):
        if begin >= end:
            continue
        if stop <= start:
            break
        start -= stop - max(begin, 0.0)
    return end - start


def _spans_of_sound(
    start: float, end: float, silences: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """List the spans of sound within a span of time; at least an empty one at its end."""
    spans = []
    at = start
    for begin, stop in silences:
        if stop <= at or begin >= end:
            continue
        if begin > at:
            spans.append((at, begin))
        at = max(at, stop)
    if at < end:
        spans.append((at, end))
    return spans or [(end, end)]


def _moment_after(spans: Sequence[tuple[float, float]], seconds: float, *, starts: bool) -> float:
    """Find the moment after so many seconds of sound; a word that starts there, after a silence."""
    left = seconds
    for begin, end in spans:
        length = end - begin
        if left < length - _MOMENT or (not starts and left <= length + _MOMENT):
            return begin + min(left, length)
        left = max(0.0, left - length)
    return spans[-1][1]


def _group_ends(ends: Sequence[float]) -> Iterator[tuple[int, int]]:
    """Group words that end together: the first, and the one after the last."""
    first = 0
    for at in range(1, len(ends) + 1):
        if at == len(ends) or ends[at] > ends[first]:
            yield first, at
            first = at


def _keep_words(text: str, count: int) -> str:
    """Keep a text's first words, and no white space after them."""
    return text[: find_words(text)[count - 1][1]] if count else ""


def _skip_words(text: str, count: int) -> str:
    """Leave out a text's first words, and the white space after them."""
    if not count:
        return text
    places = find_words(text)
    return text[places[count][0] :] if count < len(places) else ""


def _in_order(words: list[Word], said: Sequence[Word]) -> Iterator[Word]:
    """Shift words so that none begins before the one before it has ended."""
    previous = words[-1].end if words else 0.0
    for word in said:
        start = max(word.start, previous)
        previous = max(word.end, start)
        yield Word(start=start, end=previous, text=word.text)
