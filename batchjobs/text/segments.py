"""Long texts in segments of whole sentences, cut where an edit elsewhere does not move the cut."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from batchjobs.text.sentences import cut_sentence, join_unspeakable, split_sentences

_PARAGRAPH_BREAK: Final = re.compile(r"\n[^\S\n]*\n\s*|\u2029\s*")
_PARAGRAPH_END: Final = re.compile(r"(?:\n[^\S\n]*\n|\u2029)\s*\Z")
_LINE_END: Final = re.compile(r"[\n\u2028]\s*\Z")
# "د. أحمد", "ق.م.", "J. S.": letters with full stops, which may well go on.
_INITIALS_END: Final = re.compile(r"(?<!\w)(?:[^\W\d_]\.\s?){1,4}\s*\Z")
_OPENING: Final = "«“„‹"
_CLOSING: Final = "»”›"


class _Rank(IntEnum):
    """How good a place is to cut at."""

    CLAUSE = 0
    """Within a sentence that is too long for a segment."""
    DOUBTFUL = 1
    """Inside a quotation, or after what may be an abbreviation."""
    SENTENCE = 2
    LINE = 3
    PARAGRAPH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSegment:
    """What one session speaks of a long text.

    Attributes:
        text: Whole sentences, with the white space that follows them.
        ends_paragraph: Whether a paragraph ends with it.
    """

    text: str
    ends_paragraph: bool


@dataclass(frozen=True, slots=True)
class _Piece:
    """A sentence, or a part of one that is too long, and how good it is to cut after it."""

    text: str
    rank: _Rank

    @property
    def merit(self) -> tuple[int, bytes]:
        """How good a place is: by rank, then by what is said there, not by where it stands.

        So the cuts after an edited sentence are soon again where they were, and what lies between
        them keeps its key.
        """
        return self.rank, hashlib.blake2b(self.text.encode(), digest_size=8).digest()


def split_segments(text: str, *, limit_characters: int = 2_000) -> list[TextSegment]:
    """Cut a text into segments whose concatenation is the text, byte for byte.

    A segment ends with a paragraph if one ends in its second half, else with a line of verse, else
    with a sentence, rather not inside a quotation or after an abbreviation. A sentence that is too
    long is cut after a clause, else after a word. Each is as long as the limit or half of it, but
    for the last, and those before a sentence that fits no more.

    Args:
        text: Any text that can be encoded.
        limit_characters: The longest segment in code points. As with messages, only white space,
            bare punctuation or a single composed character that goes beyond it makes a longer one.

    Returns:
        The segments in order; none for an empty text.
    """
    found = []
    start = 0
    pieces = list(_make_pieces(text, limit_characters))
    while start < len(pieces):
        end = _find_end(pieces, start, limit_characters)
        whole = "".join(piece.text for piece in pieces[start:end])
        ends_paragraph = pieces[end - 1].rank is _Rank.PARAGRAPH
        found.append(TextSegment(text=whole, ends_paragraph=ends_paragraph))
        start = end
    return found


def _find_end(pieces: list[_Piece], start: int, limit: int) -> int:
    """Find the best end of the segment that begins at `start`: the piece after it."""
    length = 0
    best, early = 0, 0
    for at in range(start, len(pieces)):
        length += len(pieces[at].text)
        if length > limit:
            return best or early or start + 1
        if 2 * length < limit:
            early = at + 1
        elif not best or pieces[at].merit > pieces[best - 1].merit:
            best = at + 1
    return len(pieces)


def _make_pieces(text: str, limit: int) -> Iterator[_Piece]:
    """Cut a text into sentences, and those that are too long into parts."""
    for sentence, rank in _rank_sentences(text):
        parts = list(cut_sentence(sentence, limit)) if len(sentence) > limit else [sentence]
        for part in parts[:-1]:
            yield _Piece(part, _Rank.CLAUSE)
        yield _Piece(parts[-1], rank)


def _rank_sentences(text: str) -> Iterator[tuple[str, _Rank]]:
    """Cut a text into sentences, paragraph by paragraph: each is in a language of its own."""
    quotes = 0
    every = [
        sentence for paragraph in _split_paragraphs(text) for sentence in split_sentences(paragraph)
    ]
    for sentence in join_unspeakable(every):
        quotes += sum(map(sentence.count, _OPENING)) - sum(map(sentence.count, _CLOSING))
        quotes = max(0, quotes + sentence.count('"') % 2 * (-1 if quotes else 1))
        if _PARAGRAPH_END.search(sentence):
            quotes = 0  # one that was not closed does not go on to the end of the book
            yield sentence, _Rank.PARAGRAPH
        elif _LINE_END.search(sentence):
            yield sentence, _Rank.LINE
        elif quotes or _INITIALS_END.search(sentence):
            yield sentence, _Rank.DOUBTFUL
        else:
            yield sentence, _Rank.SENTENCE


def _split_paragraphs(text: str) -> Iterator[str]:
    start = 0
    for found in _PARAGRAPH_BREAK.finditer(text):
        yield text[start : found.end()]
        start = found.end()
    yield text[start:]
