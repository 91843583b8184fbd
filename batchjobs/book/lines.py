"""The lines of a plain text: which are headings, and which are only broken to fit a page."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

_ORDINAL: Final = (
    r"(?:\d+|[ivxlc]+|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen"
    r"|(?:twenty|thirty|forty|fifty)(?:[ -](?:one|two|three|four|five|six|seven|eight|nine))?"
    r"|(?:the\s+)?(?:first|second|third|fourth|fifth|sixth|seventh"
    r"|eighth|ninth|tenth|last)|الأولى?|الاولى?|الثانية?|الثالثة?|الرابعة?|الخامسة?|السادسة?"
    r"|السابعة?|الثامنة?|التاسعة?|العاشرة?|الحادية?|العشرون|الثلاثون|الأربعون|الأخيرة?)"
)
_ARABIC_TENS: Final = r"(?:\s+(?:عشرة?|و(?:ال)?(?:عشرون|عشرين|ثلاثون|ثلاثين|أربعون|أربعين)))?"
_NUMBERED: Final = re.compile(
    r"(?:chapter|part|book|canto|letter|act|volume|الفصل|فصل|الباب|الجزء|القسم|الكتاب|المجلد)"
    rf"[\s.]+{_ORDINAL}\b{_ARABIC_TENS}(?P<rest>[^\n]{{0,80}})",
    re.IGNORECASE,
)
"""A number may be followed by a title: "Chapter 2. Of snakes"."""
_NAMED: Final = re.compile(
    # Without a number it is no sentence: "Part of me wanted to go."
    r"(?:prologue|epilogue|preface|foreword|introduction|afterword|المقدمة|مقدمة|الخاتمة|خاتمة"
    r"|تمهيد|باب|فصل)\b[^\n.!?؟،,;؛…]{0,60}",
    re.IGNORECASE,
)
_MARKS: Final = re.compile("[\u0640\u064b-\u065f\u0670]")
"""Tatweel, diacritics: a heading is the same with and without."""
_SEPARATOR: Final = re.compile(r"\s*[.:,،;؛)\]–—-]")
_SENTENCE_END: Final = re.compile(r"[.!?؟…۔。！？][\"'”’»)\]]*$")
_MOST_TITLE_WORDS: Final = 8
_LONGEST_TITLE_LINE: Final = 60
_CONTENTS: Final = re.compile(
    r"(?:table of )?contents\.?|(?:قائمة )?(?:ال)?محتويات(?: الكتاب)?|(?:ال)?فهرس(?: المحتويات)?|inhalt"
    r"|sommaire|índice",
    re.IGNORECASE,
)
_FRAME_BEGIN: Final = re.compile(
    r"(?im)^[ \t]*\*{3} ?START OF TH(?:E|IS) PROJECT GUTENBERG EBOOK[^\n]*(?:\n[^\n*]*\*{3})?[ \t]*$"
    r"|^\*END[ *]*THE SMALL PRINT[^\n]*$"
)
_FRAME_END: Final = re.compile(
    r"(?im)^[ \t]*(?:\*{3} ?END OF TH(?:E|IS) PROJECT GUTENBERG EBOOK"
    r"|End of (?:The |the )?Project Gutenberg(?:'s|’s)? (?:EBook|Etext))[^\n]*$"
)
_HYPHENATED: Final = re.compile(r"([^\W\d_]+)[-\u2010]$")
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_WORD: Final = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_LEAST_WRAPPED_SHARE: Final = 0.7
"""Of the line ends within paragraphs: verse has a few lines as long as the page, prose nearly all."""
_LEAST_OPEN_SHARE: Final = 0.5
"""Of them that do not end a sentence: where most do, each line is a paragraph."""


def cut_frame(text: str) -> tuple[str, int]:
    """Cut off Project Gutenberg's licence, before and after the book.

    Returns:
        The book, and how many characters were cut off.
    """
    begin = _FRAME_BEGIN.search(text)
    start = begin.end() if begin else 0
    end = _FRAME_END.search(text, start)
    book = text[start : end.start() if end else len(text)]
    return book, len(text.strip()) - len(book.strip())


def is_contents_title(line: str) -> bool:
    """Say whether a line stands above a table of contents."""
    return _CONTENTS.fullmatch(_MARKS.sub("", line).strip().strip("*_=-:[] ")) is not None


def heading_of(lines: Sequence[str], *, stands_alone: bool = True) -> str:
    """Find the title in lines that may be a heading; empty if they are none.

    Args:
        lines: One line, or those of a short paragraph.
        stands_alone: Whether blank lines stand about it. Else only a number makes a heading.
    """
    title = " ".join(" ".join(lines).split())
    plain = _MARKS.sub("", title)
    if any(not _continues_title(line.strip()) for line in lines[1:]):
        return ""
    if stands_alone and _NAMED.fullmatch(plain):
        return title
    found = _NUMBERED.fullmatch(plain)
    return title if found and _is_title(found["rest"]) else ""


def _continues_title(line: str) -> bool:
    """Say whether a line below a chapter's number is its title, neither prose nor a heading."""
    is_prose = len(line) > _LONGEST_TITLE_LINE or _SENTENCE_END.search(line)
    return not (is_prose or _NUMBERED.fullmatch(_MARKS.sub("", line)))


def _is_title(rest: str) -> bool:
    """Say whether what follows a chapter's number is its title, not the rest of a sentence."""
    if not rest.strip(" .:*_") or _SEPARATOR.match(rest):
        return True
    words = rest.split()
    is_small = words[0][0].islower() and words[0].lower() not in {"the", "of"}
    return not (is_small or _SENTENCE_END.search(rest.strip()) or len(words) > _MOST_TITLE_WORDS)


def split_headings(paragraph: str) -> Iterator[tuple[str, str]]:
    """Divide a paragraph at the lines that are headings, whether blank lines are about them or not.

    Yields:
        The title, empty for prose, and the lines.
    """
    lines = paragraph.strip().split("\n")
    title = heading_of(lines)
    if title:
        yield title, paragraph.strip()
        return
    held: list[str] = []
    for line in lines:
        is_free = not held or _SENTENCE_END.search(held[-1].strip()) is not None
        title = heading_of([line], stands_alone=len(lines) == 1) if is_free else ""
        if not title:
            held.append(line)
            continue
        if held:
            yield "", "\n".join(held)
            held = []
        yield title, line.strip()
    if held:
        yield "", "\n".join(held).strip()


class Unwrapper:
    """Joins lines that are broken only to fit a page's width; verse stays as it is.

    Args:
        paragraphs: Of the whole text, whose longest lines are its width.
    """

    def __init__(self, paragraphs: Sequence[str]) -> None:
        self._words = {word for each in paragraphs for word in _WORD.findall(each)}
        every = [[line.strip() for line in each.split("\n")] for each in paragraphs]
        lengths = sorted(len(line) for lines in every if len(lines) > 1 for line in lines)
        self._width = lengths[len(lengths) * 98 // 100] if lengths else 0
        ends = [pair for lines in every for pair in pairwise(lines)]
        open_ends = sum(_SENTENCE_END.search(before) is None for before, _ in ends)
        full = sum(self._is_full(before, after) for before, after in ends)
        is_full = full >= _LEAST_WRAPPED_SHARE * len(ends)
        self._is_wrapped = is_full and open_ends >= _LEAST_OPEN_SHARE * len(ends)

    def _is_full(self, line: str, after: str) -> bool:
        """Say whether the next line's first word did not fit on a line."""
        first = after.split(" ", 1)[0]
        return len(line) + 1 + len(first) > self._width or bool(_HYPHENATED.search(line))

    def unwrap(self, paragraph: str) -> str:
        """Join a paragraph's broken lines, and the words that were broken with them."""
        lines = [line.strip() for line in paragraph.split("\n")]
        full = sum(self._is_full(before, after) for before, after in pairwise(lines))
        is_prose = self._is_wrapped and 2 * full > len(lines) - 1
        whole = lines[0]
        for line in lines[1:]:
            found = _HYPHENATED.search(whole)
            tail = _LETTERS.match(line)
            if found and tail and tail[0][0].islower():
                whole = (whole if self._has_hyphen(found[1], tail[0]) else whole[:-1]) + line
            else:
                whole += (" " if is_prose else "\n") + line
        return whole

    def _has_hyphen(self, head: str, tail: str) -> bool:
        """Say whether the text has a word with its hyphen elsewhere, and not without it."""
        return f"{head}-{tail}" in self._words and f"{head}{tail}" not in self._words
