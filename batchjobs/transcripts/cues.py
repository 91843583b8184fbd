"""Cues: a transcript as subtitles, in SubRip and WebVTT files."""

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

from batchjobs.text import script_of
from batchjobs.transcripts.joining import Transcript
from batchjobs.transcripts.words import Word

_LINE_CHARACTERS: Final = 42
_LONGEST_CUE_SECONDS: Final = 7.0
_SHORTEST_CUE_SECONDS: Final = 1.0
_FLASH_SECONDS: Final = 0.04
"""One picture: what was all said at one moment is shown one after the other."""
_GAP_SECONDS: Final = 1.5
"""Words so far apart are not shown together."""
_SENTENCE_END: Final = re.compile(r"[.!?؟۔…。][\"'»”)\]]*$")
_CLAUSE_END: Final = re.compile(r"[,;:،؛–—][\"'»”)\]]*$")
_RIGHT_TO_LEFT_ISOLATE: Final = "\u2067"
_POP_ISOLATE: Final = "\u2069"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """A subtitle: when it is shown, and its lines."""

    start: float
    end: float
    lines: tuple[str, ...]


def make_cues(words: Sequence[Word]) -> list[Cue]:
    """Group words into subtitles: at most 7 seconds and two lines of 42 characters.

    They end with a sentence if they can, with a clause if they are long, and never within a word.
    """
    groups = list(_group_words(words))
    found: list[Cue] = []
    for group, following in pairwise([*groups, []]):
        start = max(group[0].start, found[-1].end if found else 0.0)
        latest = following[0].start if following else math.inf
        end = max(group[-1].end, start + _SHORTEST_CUE_SECONDS)
        end = min(end, start + _LONGEST_CUE_SECONDS, max(latest, start + _FLASH_SECONDS))
        texts = [word.text for word in group]
        lines = _break_lines(texts) or [" ".join(texts)]
        found.append(Cue(start=round(start, 3), end=round(end, 3), lines=tuple(lines)))
    return found


def _group_words(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Divide words into those of each cue."""
    group: list[Word] = []
    for word in words:
        if group and not _can_hold(group, word):
            cut = _find_clause_end(group)
            yield group[:cut]
            group = group[cut:]
        group.append(word)
        if _SENTENCE_END.search(word.text):
            yield group
            group = []
    if group:
        yield group


def _can_hold(group: list[Word], word: Word) -> bool:
    return (
        word.start - group[-1].end < _GAP_SECONDS
        and word.end - group[0].start <= _LONGEST_CUE_SECONDS
        and _break_lines([each.text for each in group] + [word.text]) is not None
    )


def _find_clause_end(group: list[Word]) -> int:
    """Find the best end of a full cue: after the last clause of its second half."""
    for at in range(len(group), len(group) // 2, -1):
        if _CLAUSE_END.search(group[at - 1].text):
            return at
    return len(group)


def _break_lines(words: list[str]) -> list[str] | None:
    """Set words in one line, or in two of about the same length; None if they do not fit."""
    whole = " ".join(words)
    if _count_visible(whole) <= _LINE_CHARACTERS or len(words) == 1:
        return [whole]
    splits = [(" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words))]
    widest = min(splits, key=lambda lines: max(_count_visible(lines[0]), _count_visible(lines[1])))
    return list(widest) if max(map(_count_visible, widest)) <= _LINE_CHARACTERS else None


def _count_visible(text: str) -> int:
    """Count characters as a viewer sees them: marks sit on others, joiners are not seen."""
    return sum(unicodedata.category(character) not in {"Mn", "Me", "Cf"} for character in text)


# -- files --------------------------------------------------------------------------------------


def to_srt(transcript: Transcript) -> str:
    """Write a transcript's cues as SubRip."""
    blocks = []
    for number, cue in enumerate(make_cues(transcript.words), start=1):
        span = f"{_format_time(cue.start, ',')} --> {_format_time(cue.end, ',')}"
        lines = "\n".join(_isolate(cue.lines, transcript.text))
        blocks.append(f"{number}\n{span}\n{lines}\n")
    return "\n".join(blocks)


def to_vtt(transcript: Transcript) -> str:
    """Write a transcript's cues as WebVTT."""
    blocks = ["WEBVTT\n"]
    for cue in make_cues(transcript.words):
        span = f"{_format_time(cue.start, '.')} --> {_format_time(cue.end, '.')}"
        lines = escape("\n".join(_isolate(cue.lines, transcript.text)), quote=False)
        blocks.append(f"{span}\n{lines}\n")
    return "\n".join(blocks)


def _format_time(seconds: float, mark: str) -> str:
    milliseconds = round(seconds * 1_000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{mark}{milliseconds % 1000:03}"


def _isolate(lines: Sequence[str], whole: str) -> Iterator[str]:
    """Mark the lines of an Arabic cue, so that every player shows them from right to left.

    Players lay a line out from left to right, or by its first letter: then numbers, Latin words and
    the full stop of a line stand on the wrong side. An isolate (Unicode's UAX 9) says it in the
    text itself, and leaves no trace on the lines around. All lines of a cue go one way, also one
    that happens to hold a Latin name only. Which way, most of its letters say; in a transcript of
    Arabic also a few Arabic ones, or none at all.
    """
    cue = " ".join(lines)
    is_foreign = any(map(str.isalpha, cue)) and all(script_of(letter) != "arabic" for letter in cue)
    if script_of(cue) == "arabic" or (script_of(whole) == "arabic" and not is_foreign):
        return (f"{_RIGHT_TO_LEFT_ISOLATE}{line}{_POP_ISOLATE}" for line in lines)
    return iter(lines)
