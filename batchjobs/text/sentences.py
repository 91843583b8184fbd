"""A text's sentences, and the messages that they travel in."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import chain

from batchjobs.text.abbreviations import is_false_end
from batchjobs.text.measures import script_of

_TATWEEL = "\u0640"
# Something a voice can say: a letter or number; a tatweel only stretches the letter before it.
_SPEAKABLE = re.compile(rf"[^\W_{_TATWEEL}]")
# sentencex 1.0.32 panics ("not a char boundary", a BaseException) on a capital, a white space that
# is not ASCII and a full stop, such as "B\u00a0.": it gets a stand-in of the same length to cut.
_STAND_INS = {
    ord(character): "\n" if character in "\u0085\u2028\u2029" else " "
    for character in map(chr, range(0x80, 0x3001))
    if character.isspace()
}

# Where a clause ends. Western marks count only before white space: "1,000" and "10:30" stay whole.
# The marks of Chinese and Japanese are not followed by any.
_CLAUSE_END = re.compile(
    r"[,;:.!?\u060c\u061b\u061f\u06d4\u0589\u0964\u0965\u1362\u17d4\u2026\u2013\u2014)\]}\"\u00bb\u201d]\s+|[\u3001\u3002\uff0c\uff1b\uff1a\uff01\uff1f]\s*|[\r\n]\s*"
)
_OTHER_END = re.compile("[\u17d4\u17d5]\\s+|[?!]{2,}\\s+(?=[A-Z])")
"""Khmer's; and "?!", which it takes for a part of the next."""
_LONGEST_ABBREVIATION = 24
_WHITE_SPACE = re.compile(r"\s+")
_ZWJ = "\u200d"
_VIRAMA_CLASS = 9
_SKIN_TONES = ("\U0001f3fb", "\U0001f3ff")
_REGIONAL = ("\U0001f1e6", "\U0001f1ff")
# Conjoining Hangul letters: a syllable may be written as two or three of them.
_HANGUL_VOWELS_AND_TAILS = ("\u1160", "\u11ff")


def split_sentences(text: str, *, language: str = "") -> list[str]:
    """Cut a text into sentences whose concatenation is the text, byte for byte.

    White space after a sentence stays with it, white space at the start with the first. What holds
    no letter or number ("\u2026", a line of dashes) is no sentence and joins its neighbour.

    Args:
        text: Any text that can be encoded, of any script.
        language: ISO 639-1 code; empty to guess it from the script.

    Returns:
        The sentences in order; a text with nothing to speak is one piece, an empty one none.
    """
    import sentencex  # type: ignore[import-untyped]

    code = language or ("ar" if script_of(text) == "arabic" else "en")
    searched = text.translate(_STAND_INS)
    pieces = _locate(text, sentencex.segment(code, searched), searched)
    bodies = _split_off_space(pieces)
    cut = _split_ends(bodies) if _OTHER_END.search(text) else bodies
    return join_unspeakable(_join_false_ends(cut))


def _locate(text: str, pieces: Iterable[str], searched: str) -> Iterator[str]:
    """Find each piece in the text; what lies between two is a piece of its own.

    sentencex 1.0.32 loses some of the paragraph breaks in texts longer than about 10,000 bytes.
    """
    start = 0
    for piece in pieces:
        found = searched.find(piece, start)
        if found < 0:
            break
        end = found + len(piece)
        yield text[start:found]
        yield text[found:end]
        start = end
    yield text[start:]


def _split_off_space(pieces: Iterable[str]) -> Iterator[str]:
    """Move the white space that begins a piece to a piece of its own, for its neighbour to take."""
    for piece in pieces:
        body = piece.lstrip()
        if len(body) < len(piece):
            yield piece[: len(piece) - len(body)]
        if body:
            yield body


def _split_ends(pieces: Iterable[str]) -> Iterator[str]:
    """Cut at the sentence ends of scripts that sentencex does not know."""
    for piece in pieces:
        start = 0
        for found in _OTHER_END.finditer(piece):
            yield piece[start : found.end()]
            start = found.end()
        yield piece[start:]


def _join_false_ends(pieces: Iterable[str]) -> Iterator[str]:
    """Join what sentencex cuts after an abbreviation or within a number."""
    held: list[str] = []
    for piece in filter(None, pieces):
        if held and not is_false_end(held[-1], piece, is_start=len(held) == 1):
            yield "".join(held)
            held = []
        held.append(piece)
    yield "".join(held)


def join_unspeakable(pieces: Iterable[str]) -> list[str]:
    """Join every piece with nothing to speak to the piece before it, or the first one after.

    So is one that begins within a character: sentencex cuts between a mark and its own marks.
    """
    groups: list[list[str]] = []
    speaks = True
    for piece in filter(None, pieces):
        speakable = _SPEAKABLE.search(piece) is not None
        if groups and (not (speakable and speaks) or _is_continued(groups[-1][-1][-1], piece[0])):
            groups[-1].append(piece)
            speaks = speaks or speakable
        else:
            groups.append([piece])
            speaks = speakable
    return ["".join(group) for group in groups]


def _is_continued(before: str, after: str) -> bool:
    # Not every format character: a sentence may well begin with a mark of direction.
    return unicodedata.category(after)[0] == "M" or _ZWJ in (before, after)


def split_messages(text: str, *, limit_characters: int = 500) -> list[str]:
    """Cut a text into sentence-sized messages whose concatenation is the text, byte for byte.

    A sentence longer than the limit is cut after its last clause that fits, else after a word, else
    between two characters as a reader sees them: a mark stays with its letter, an emoji whole.

    Args:
        text: Any text that can be encoded.
        limit_characters: The longest message in code points, at least 1. Only white space, bare
            punctuation or a single composed character that goes beyond it makes a longer one.

    Returns:
        The messages in order, none blank unless the text is; none for an empty text.
    """
    pieces: list[str] = []
    for sentence in split_sentences(text):
        if len(sentence) <= limit_characters:
            pieces.append(sentence)
        else:
            pieces.extend(cut_sentence(sentence, limit_characters))
    return pieces


def cut_sentence(sentence: str, limit: int) -> Iterator[str]:
    """Cut a sentence that is too long after clauses, else words, else characters.

    Args:
        sentence: Any text.
        limit: The longest piece in code points, white space at its end not counted.
    """
    start = 0
    while start < len(sentence):
        first = _skip_white_space(sentence, start)
        if first + limit >= len(sentence):
            end = len(sentence)
        else:
            end = _skip_white_space(sentence, _find_cut(sentence, first, first + limit))
        yield sentence[start:end]
        start = end


def _skip_white_space(text: str, at: int) -> int:
    """Skip white space, except one that carries a mark: the two are one character."""
    match = _WHITE_SPACE.match(text, at)
    if match is None or match.end() == len(text) or not _is_inside_cluster(text, at, match.end()):
        return match.end() if match else at
    return match.end() - 1


def _find_cut(text: str, start: int, window: int) -> int:
    """Find the best end of the message that starts at `start`, if it can before `window`."""
    for pattern in (_CLAUSE_END, _WHITE_SPACE):
        ends = [match.end() for match in pattern.finditer(text, start, window)]
        for end in reversed(ends):
            if not (_is_inside_cluster(text, start, end) or _is_abbreviated(text, start, end)):
                return end
    for end in chain(range(window, start, -1), range(window + 1, len(text))):
        if not _is_inside_cluster(text, start, end):
            return end
    return len(text)


def _is_abbreviated(text: str, start: int, at: int) -> bool:
    """Say whether a full stop before `at` ends no clause."""
    before = text[max(start, at - _LONGEST_ABBREVIATION) : at]
    return is_false_end(before, text[at : at + _LONGEST_ABBREVIATION])


def _is_inside_cluster(text: str, start: int, at: int) -> bool:
    """Say whether `text[at - 1]` and `text[at]` belong to one character as a reader sees it.

    A cautious reading of Unicode's UAX 29: where it allows a break beside a format character
    (joiners, direction marks, tags), this does not. `start` is a place known to be a boundary.
    """
    before, after = text[at - 1], text[at]
    if unicodedata.category(after)[0] == "M" or _is_in(after, _SKIN_TONES):
        return True
    if "Cf" in (unicodedata.category(before), unicodedata.category(after)):
        return True
    if unicodedata.combining(before) == _VIRAMA_CLASS or _is_in(after, _HANGUL_VOWELS_AND_TAILS):
        return True
    if before == "\r" and after == "\n":
        return True
    return (
        _is_in(before, _REGIONAL) and _is_in(after, _REGIONAL) and _is_inside_flag(text, start, at)
    )


def _is_inside_flag(text: str, start: int, at: int) -> bool:
    """Say whether `at` is inside a flag: they are pairs, so a run of them breaks at even places."""
    first = at
    while first > start and _is_in(text[first - 1], _REGIONAL):
        first -= 1
    return (at - first) % 2 == 1


def _is_in(character: str, span: tuple[str, str]) -> bool:
    return span[0] <= character <= span[1]
