"""Transcripts with time: parts of a recording joined, its words placed, cues as SRT and WebVTT."""

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from batchjobs.text import script, spoken_weight

__all__ = ["Cue", "Transcript", "TranscriptPart", "Word", "cues", "joined", "srt", "vtt"]

_LINE_CHARACTERS: Final = 42
_LINES: Final = 2
_LONGEST_CUE_SECONDS: Final = 7.0
_SHORTEST_CUE_SECONDS: Final = 1.0
_FLASH_SECONDS: Final = 0.04
"""One picture: what was all said at one moment is shown one after the other."""
_GAP_SECONDS: Final = 1.5
"""Words so far apart are not shown together."""
_SENTENCE_END: Final = re.compile(r"[.!?؟۔…。][\"'»”)\]]*$")
_CLAUSE_END: Final = re.compile(r"[,;:،؛–—][\"'»”)\]]*$")
_LEAST_SECONDS_A_LETTER: Final = 0.03
_MOST_SECONDS_A_LETTER: Final = 0.2
_SNAP_SECONDS: Final = 0.3
_MOMENT: Final = 1e-6
_SHARED_SLACK_WORDS: Final = 3
_WORDS_A_SECOND: Final = 5.0
_RIGHT_TO_LEFT_ISOLATE: Final = "\u2067"
_POP_ISOLATE: Final = "\u2069"
_PLAIN_LETTERS: Final = str.maketrans("أإآٱىةؤئ", "اااايهوي")


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptPart:
    """What one session heard of a recording.

    Attributes:
        start_seconds: Where it begins in the recording.
        seconds: How long it is.
        overlap_seconds: How much of the part before it repeats.
        text: What was heard.
        word_end_seconds: When each word ends, from the part's start; empty if nobody knows.
        silences: Where nobody speaks, from the part's start: (begin, end), in order.
    """

    start_seconds: float
    seconds: float
    overlap_seconds: float = 0.0
    text: str
    word_end_seconds: tuple[float, ...] = ()
    silences: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word, with the marks around it, and when it was said."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """What was heard in one part of the recording, without what the part before has already."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """What was said in a recording, and when.

    Attributes:
        text: All of it, without white space at its ends; within it, all that came.
        segments: Its parts.
        words: Its words, in order and without overlap.
    """

    text: str
    segments: tuple[Segment, ...]
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """A subtitle: when it is shown, and its lines."""

    start: float
    end: float
    lines: tuple[str, ...]


# -- joining ------------------------------------------------------------------------------------


def joined(parts: Sequence[TranscriptPart]) -> Transcript:
    """Put the parts of a recording together, in order; what two of them heard is there once."""
    segments: list[Segment] = []
    words: list[Word] = []
    for part in parts:
        said = _words(part)
        if part.overlap_seconds and words and said:
            kept, skipped = _seam(words, said, part.overlap_seconds)
            if kept < len(words):
                last = segments[-1]
                text = last.text.rstrip()[: -len(words[-1].text)].rstrip()
                segments[-1] = Segment(start=last.start, end=last.end, text=text)
            del words[kept:]
            said = said[skipped:]
            text = _without_words(part.text, skipped)
        else:
            text = part.text
        words += _after(words, said)
        end = part.start_seconds + part.seconds
        start = part.start_seconds + part.overlap_seconds
        segments.append(Segment(start=round(start, 3), end=round(end, 3), text=text))
    text = _whole([segment.text for segment in segments])
    trimmed = tuple(replace(segment, text=segment.text.strip()) for segment in segments)
    return Transcript(text=text, segments=trimmed, words=tuple(words))


def _whole(texts: Sequence[str]) -> str:
    """Put texts side by side with the white space that came between them, or else a space."""
    said: list[str] = []
    for text in filter(str.strip, texts):
        begin = len(text) - len(text.lstrip())
        if said and not said[-1][-1].isspace():
            said.append(text[:begin] or " ")
        said.append(text[begin:])
    return "".join(said).strip()


def _words(part: TranscriptPart) -> list[Word]:
    """Place a part's words: where they are known to end, or else by how much there is to say."""
    texts = part.text.split()
    if not texts:
        return []
    weights = [max(1.0, spoken_weight(text)) for text in texts]
    pace = part.seconds / sum(weights)
    pace = min(max(pace, _LEAST_SECONDS_A_LETTER), _MOST_SECONDS_A_LETTER)
    ends = part.word_end_seconds
    if len(ends) != len(texts):
        ends = (part.seconds,) * len(texts)
    found: list[Word] = []
    previous = 0.0
    for first, last in _groups(ends):
        # Words that are known to end together share the sound there is for them.
        end = _snapped(min(max(ends[first], previous), part.seconds), part.silences)
        end = max(end, previous)
        long = sum(weights[first:last]) * pace
        spans = _sounding(
            max(previous, end - _spanning(long, end, part.silences)), end, part.silences
        )
        total = sum(b - a for a, b in spans)
        share = total / sum(weights[first:last])
        used = 0.0
        for text, weight in zip(texts[first:last], weights[first:last], strict=True):
            begin, used = _at(spans, used, starts=True), used + weight * share
            stop = max(begin, _at(spans, min(used, total), starts=False))
            found.append(
                Word(
                    start=round(part.start_seconds + begin, 3),
                    end=round(part.start_seconds + stop, 3),
                    text=text,
                )
            )
        previous = end
    return found


def _snapped(end: float, silences: Sequence[tuple[float, float]]) -> float:
    """Let words end where the sound does: their time is known to about half a second."""
    for begin, stop in silences:
        if begin - _SNAP_SECONDS <= end < stop:
            return begin
    return end


def _spanning(seconds: float, end: float, silences: Sequence[tuple[float, float]]) -> float:
    """How far back from a moment so much sound reaches, if the silences within are no part of it."""
    start = end - seconds
    for begin, stop in reversed(silences):
        if begin >= end:
            continue
        if stop <= start:
            break
        start -= stop - max(begin, 0.0)
    return end - start


def _sounding(
    start: float, end: float, silences: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Give what is no silence of a span of time; at least a moment at its end."""
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


def _at(spans: Sequence[tuple[float, float]], seconds: float, *, starts: bool) -> float:
    """Give the moment after so much sound: what starts there starts after a silence."""
    left = seconds
    for begin, end in spans:
        length = end - begin
        if left < length - _MOMENT or (not starts and left <= length + _MOMENT):
            return begin + min(left, length)
        left = max(0.0, left - length)
    return spans[-1][1]


def _groups(ends: Sequence[float]) -> Iterator[tuple[int, int]]:
    first = 0
    for at in range(1, len(ends) + 1):
        if at == len(ends) or ends[at] > ends[first]:
            yield first, at
            first = at


def _seam(before: list[Word], after: list[Word], overlap_seconds: float) -> tuple[int, int]:
    """Find the words that both sides of a cut have heard.

    A word that the cut tore may be wrong on either side: one at each edge need not agree.

    Returns:
        How many words of the first side stay, and how many of the second are left out.
    """
    most = math.ceil(overlap_seconds * _WORDS_A_SECOND) + _SHARED_SLACK_WORDS
    left = [_compared(word.text) for word in before[-most:]]
    right = [_compared(word.text) for word in after[:most]]
    for count in range(min(len(left), len(right)), 0, -1):
        for torn_left, torn_right in ((0, 0), (1, 0), (0, 1), (1, 1)):
            end = len(left) - torn_left
            if end < count or count + torn_right > len(right):
                continue
            if left[end - count : end] == right[torn_right : torn_right + count]:
                return len(before) - torn_left, torn_right + count
    return len(before), 0


def _compared(word: str) -> str:
    """Give a word as it is compared: without marks, and with one form of each Arabic letter."""
    letters = unicodedata.normalize("NFKD", word.translate(_PLAIN_LETTERS)).casefold()
    return "".join(c for c in letters if c.isalnum() and c != "\u0640") or word


def _without_words(text: str, count: int) -> str:
    places = list(re.finditer(r"\S+", text))
    return text[places[count].start() :] if count < len(places) else ""


def _after(words: list[Word], said: Sequence[Word]) -> Iterator[Word]:
    """Let no word begin before the one before it has ended."""
    previous = words[-1].end if words else 0.0
    for word in said:
        start = max(word.start, previous)
        previous = max(word.end, start)
        yield Word(start=start, end=previous, text=word.text)


# -- cues ---------------------------------------------------------------------------------------


def cues(words: Sequence[Word]) -> list[Cue]:
    """Group words into subtitles: at most 7 seconds and two lines of 42 characters.

    They end with a sentence if they can, with a clause if they are long, and never within a word.
    """
    groups = list(_grouped(words))
    found: list[Cue] = []
    for group, following in pairwise([*groups, []]):
        start = max(group[0].start, found[-1].end if found else 0.0)
        latest = following[0].start if following else math.inf
        end = max(group[-1].end, start + _SHORTEST_CUE_SECONDS)
        end = min(end, start + _LONGEST_CUE_SECONDS, max(latest, start + _FLASH_SECONDS))
        texts = [word.text for word in group]
        lines = _lines(texts) or [" ".join(texts)]
        found.append(Cue(start=round(start, 3), end=round(end, 3), lines=tuple(lines)))
    return found


def _grouped(words: Sequence[Word]) -> Iterator[list[Word]]:
    group: list[Word] = []
    for word in words:
        if group and not _fits(group, word):
            cut = _clause(group)
            yield group[:cut]
            group = group[cut:]
        group.append(word)
        if _SENTENCE_END.search(word.text):
            yield group
            group = []
    if group:
        yield group


def _fits(group: list[Word], word: Word) -> bool:
    return (
        word.start - group[-1].end < _GAP_SECONDS
        and word.end - group[0].start <= _LONGEST_CUE_SECONDS
        and _lines([each.text for each in group] + [word.text]) is not None
    )


def _clause(group: list[Word]) -> int:
    """Find where a full cue had best end: after the last clause of its second half."""
    for at in range(len(group), len(group) // 2, -1):
        if _CLAUSE_END.search(group[at - 1].text):
            return at
    return len(group)


def _lines(words: list[str]) -> list[str] | None:
    """Set words in one line, or in two that are as long as each other; None if they do not fit."""
    whole = " ".join(words)
    if _width(whole) <= _LINE_CHARACTERS or len(words) == 1:
        return [whole]
    splits = [(" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words))]
    widest = min(splits, key=lambda lines: max(_width(lines[0]), _width(lines[1])))
    return list(widest) if max(map(_width, widest)) <= _LINE_CHARACTERS else None


def _width(text: str) -> int:
    """Count characters as a viewer sees them: marks sit on others, joiners are not seen."""
    return sum(unicodedata.category(character) not in {"Mn", "Me", "Cf"} for character in text)


# -- files --------------------------------------------------------------------------------------


def srt(transcript: Transcript) -> str:
    """Write a transcript's cues as SubRip."""
    blocks = []
    for number, cue in enumerate(cues(transcript.words), start=1):
        span = f"{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}"
        lines = "\n".join(_isolated(cue.lines, transcript.text))
        blocks.append(f"{number}\n{span}\n{lines}\n")
    return "\n".join(blocks)


def vtt(transcript: Transcript) -> str:
    """Write a transcript's cues as WebVTT."""
    blocks = ["WEBVTT\n"]
    for cue in cues(transcript.words):
        span = f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}"
        lines = "\n".join(map(_escaped, _isolated(cue.lines, transcript.text)))
        blocks.append(f"{span}\n{lines}\n")
    return "\n".join(blocks)


def _clock(seconds: float, mark: str) -> str:
    milliseconds = round(seconds * 1_000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{mark}{milliseconds % 1000:03}"


def _escaped(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _isolated(lines: Sequence[str], whole: str) -> Iterator[str]:
    """Show a cue of Arabic from right to left, whatever the player takes as its direction.

    Players lay a line out from left to right, or by its first letter: then numbers, Latin words and
    the full stop of a line stand on the wrong side. An isolate (Unicode's UAX 9) says it in the
    text itself, and leaves no trace on the lines around. All lines of a cue go one way, also one
    that happens to hold a Latin name only. Which way, most of its letters say; in a transcript of
    Arabic also a few Arabic ones, or none at all.

    Args:
        lines: The cue's.
        whole: The transcript's text.
    """
    cue = " ".join(lines)
    is_foreign = any(map(str.isalpha, cue)) and all(script(letter) != "arabic" for letter in cue)
    if script(cue) == "arabic" or (script(whole) == "arabic" and not is_foreign):
        return (f"{_RIGHT_TO_LEFT_ISOLATE}{line}{_POP_ISOLATE}" for line in lines)
    return iter(lines)
