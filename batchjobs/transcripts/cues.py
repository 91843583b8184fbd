"""Cues: a transcript as subtitles, in SubRip and WebVTT files."""

import functools
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import accumulate, pairwise
from operator import add
from typing import Final

from batchjobs.text import are_written_together
from batchjobs.transcripts.joining import Transcript
from batchjobs.transcripts.words import Word

_LINE_CHARACTERS: Final = 42
_LONGEST_CUE_SECONDS: Final = 7.0
_SHORTEST_CUE_SECONDS: Final = 1.0
_FLASH_SECONDS: Final = 0.04
"""One picture: what was all said at one moment is shown one after the other."""
_GAP_SECONDS: Final = 1.5
"""Words so far apart are not shown together."""
_SENTENCE_END: Final = re.compile(r"[.!?؟۔…。！？｡।།။។][\"'»”)\]」』）]*$")
_CLAUSE_END: Final = re.compile(r"[,;:،؛–—，、；：][\"'»”)\]」』）]*$")
_MARKUP: Final = re.compile(r"(?<=<)(?=\S)|(?<={)|(?<=--)(?=>)|(?<=\\)(?=[Nnh])|(?<=&)(?=#?\w+;)")
"""Where what SRT players take for a tag, a place, a time, a line break or an entity can be broken."""
_WORD_JOINER: Final = "\u2060"
_RIGHT_TO_LEFT_ISOLATE: Final = "\u2067"
_LEFT_TO_RIGHT_ISOLATE: Final = "\u2066"
_POP_ISOLATE: Final = "\u2069"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """A subtitle: when it is shown, its lines, and whose words they are, where that is known."""

    start: float
    end: float
    lines: tuple[str, ...]
    speaker: str = ""


def make_cues(words: Sequence[Word]) -> list[Cue]:
    """Group words into subtitles: at most 7 seconds and two lines of 42 characters.

    They end with a sentence if they can, with a clause if they are long, and never within a word. Who
    speaks has subtitles of his own, which may be shown beside another's.
    """
    speakers = dict.fromkeys(word.speaker for word in words)
    found: list[Cue] = []
    for speaker in speakers:
        said = [word for word in words if word.speaker == speaker]
        found += _make_cues_of_one(said, speaker or "")
    return sorted(found, key=lambda cue: cue.start) if len(speakers) > 1 else found


def _make_cues_of_one(words: Sequence[Word], speaker: str) -> list[Cue]:
    label = _label(speaker)
    groups = list(_group_words([piece for word in words for piece in _fit(word)], label))
    found: list[Cue] = []
    for group, following in pairwise([*groups, []]):
        start = max(group[0].start, found[-1].end if found else 0.0)
        latest = following[0].start if following else math.inf
        end = max(group[-1].end, start + _SHORTEST_CUE_SECONDS)
        end = min(end, start + _LONGEST_CUE_SECONDS, max(latest, start + _FLASH_SECONDS))
        texts = [word.text for word in group]
        lines = _set_lines(texts, label) or [_join(texts)]
        found.append(
            Cue(start=round(start, 3), end=round(end, 3), lines=tuple(lines), speaker=speaker)
        )
    return found


def _label(speaker: str) -> str:
    return f"{speaker}: " if speaker else ""


def _set_lines(texts: Sequence[str], label: str) -> list[str] | None:
    """Set a cue's words in lines; None if they do not fit.

    Who speaks stands before the first, and takes room; a long name beside which there is none has a
    line of its own before that of the words.
    """
    lines = _break_lines([label + texts[0], *texts[1:]])
    if lines is not None:
        lines[0] = lines[0].removeprefix(label)
        return lines
    words = _join(texts)
    return [words] if label and _count_columns(words) <= _LINE_CHARACTERS else None


def _put_before(label: str, lines: Sequence[str]) -> list[str]:
    """Put who speaks before lines that `_set_lines` has set."""
    first = label + lines[0]
    if label and len(lines) == 1 and _count_columns(first) > _LINE_CHARACTERS:
        return [label.rstrip(), *lines]
    return [first, *lines[1:]]


def _group_words(words: Sequence[Word], label: str) -> Iterator[list[Word]]:
    """Divide words into those of each cue."""
    group: list[Word] = []
    for word in words:
        if group and not _can_hold(group, word, label):
            cut = _find_clause_end(group)
            yield group[:cut]
            group = group[cut:]
        group.append(word)
        if _SENTENCE_END.search(word.text):
            yield group
            group = []
    if group:
        yield group


def _can_hold(group: list[Word], word: Word, label: str) -> bool:
    return (
        word.start - group[-1].end < _GAP_SECONDS
        and word.end - group[0].start <= _LONGEST_CUE_SECONDS
        and _set_lines([each.text for each in [*group, word]], label) is not None
    )


def _find_clause_end(group: list[Word]) -> int:
    """Find the best end of a full cue: after the last clause of its second half."""
    for at in range(len(group), len(group) // 2, -1):
        if _CLAUSE_END.search(group[at - 1].text):
            return at
    return len(group)


def _fit(word: Word) -> Iterator[Word]:
    """Break a word that no line can hold: not an Arabic one, whose letters would change shape."""
    if _count_columns(word.text) <= _LINE_CHARACTERS or _goes_left(word.text):
        yield word
        return
    cues = math.ceil((word.end - word.start) / _LONGEST_CUE_SECONDS)
    columns = min(_LINE_CHARACTERS, math.ceil(_count_columns(word.text) / max(1, cues)))
    lines = [""]
    for character in word.text:
        if _count_columns(lines[-1] + character) > max(2, columns):
            lines.append("")
        lines[-1] += character
    start, seconds = word.start, (word.end - word.start) / len(lines)
    for number, line in enumerate(lines):
        begin = start + number * seconds
        yield Word(start=round(begin, 3), end=round(begin + seconds, 3), text=line)


def _break_lines(words: list[str]) -> list[str] | None:
    """Set words in one line, or in two of about the same length; None if they do not fit."""
    widths = [_count_columns(word) for word in words]
    gaps = [int(not are_written_together(*pair)) for pair in pairwise(words)]
    ends: list[int] = list(accumulate(map(add, widths, [0, *gaps])))
    if ends[-1] <= _LINE_CHARACTERS or len(words) == 1:
        return [_join(words)]

    def measure(at: int) -> int:
        return max(ends[at - 1], ends[-1] - ends[at - 1] - gaps[at - 1])

    at = min(range(1, len(words)), key=measure)
    return [_join(words[:at]), _join(words[at:])] if measure(at) <= _LINE_CHARACTERS else None


def _join(words: Sequence[str]) -> str:
    """Join words with the spaces that their script has."""
    return "".join(
        [
            *words[:1],
            *(f"{'' if are_written_together(a, b) else ' '}{b}" for a, b in pairwise(words)),
        ]
    )


@functools.lru_cache(maxsize=4096)
def _count_columns(text: str) -> int:
    """Count columns as a viewer sees them: marks sit on others, East Asian letters take two."""
    return sum(
        1 + (unicodedata.east_asian_width(character) in {"W", "F"})
        for character in text
        if unicodedata.category(character) not in {"Mn", "Me", "Cf"}
    )


# -- files --------------------------------------------------------------------------------------


def to_srt(transcript: Transcript) -> str:
    """Write a transcript's cues as SubRip."""
    blocks, goes_left = [], _find_direction(transcript)
    for number, cue in enumerate(make_cues(transcript.words), start=1):
        span = f"{_format_time(cue.start, ',')} --> {_format_time(cue.end, ',')}"
        shown = _isolate(cue.lines, whole_goes_left=goes_left, before=_label(cue.speaker))
        lines = "\n".join(shown)
        lines = _MARKUP.sub(_WORD_JOINER, lines)
        blocks.append(f"{number}\n{span}\n{lines}\n")
    return "\n".join(blocks)


def to_vtt(transcript: Transcript) -> str:
    """Write a transcript's cues as WebVTT."""
    blocks, goes_left = ["WEBVTT\n"], _find_direction(transcript)
    for cue in make_cues(transcript.words):
        span = f"{_format_time(cue.start, '.')} --> {_format_time(cue.end, '.')}"
        lines = escape("\n".join(_isolate(cue.lines, whole_goes_left=goes_left)), quote=False)
        voice = f"<v {escape(cue.speaker, quote=False)}>" if cue.speaker else ""
        blocks.append(f"{span}\n{voice}{lines}\n")
    return "\n".join(blocks)


def _find_direction(transcript: Transcript) -> bool:
    """Say whether most of what is said is written from right to left, whatever speakers are called."""
    return _goes_left(" ".join(word.text for word in transcript.words))


def _format_time(seconds: float, mark: str) -> str:
    milliseconds = round(seconds * 1_000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{mark}{milliseconds % 1000:03}"


def _isolate(lines: Sequence[str], *, whole_goes_left: bool, before: str = "") -> Iterator[str]:
    """Mark the lines of a cue of a right-to-left script, so that every player shows them that way.

    Players lay a line out from left to right, or by its first letter: then numbers, Latin words and
    the full stop of a line stand on the wrong side. An isolate (Unicode's UAX 9) says it in the
    text itself, and leaves no trace on the lines around. All lines of a cue go one way, also one
    that happens to hold a Latin name only. Which way, most of its letters say; in a transcript of
    Arabic also a few Arabic ones, or none at all. Who says it stands before it, and goes the same way.
    """
    cue, labelled = " ".join(lines), _put_before(before, lines)
    is_foreign = any(map(str.isalpha, cue)) and not any(map(_goes_left, cue))
    if _goes_left(cue) or (whole_goes_left and not is_foreign):
        return (f"{_RIGHT_TO_LEFT_ISOLATE}{line}{_POP_ISOLATE}" for line in labelled)
    if _goes_left(before):  # a player that goes by the first letter would show all of it so
        return (f"{_LEFT_TO_RIGHT_ISOLATE}{line}{_POP_ISOLATE}" for line in labelled)
    return iter(labelled)


def _goes_left(text: str) -> bool:
    """Say whether most of a text's letters are written from right to left."""
    letters = [
        unicodedata.bidirectional(letter) in {"R", "AL"} for letter in text if _is_letter(letter)
    ]
    return 2 * sum(letters) > len(letters)


def _is_letter(character: str) -> bool:
    return character.isalpha() and character != "\u0640"
