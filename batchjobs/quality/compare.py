"""What was heard beside what was to be said: error rates, and the longest run of wrong words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple

from batchjobs.checkpoint import WordRun
from batchjobs.errors import MissingExtraError
from batchjobs.quality.normalize import EVERY_STEP, Step, Token, tokenize

if TYPE_CHECKING:
    from types import ModuleType

_SAME_SHARE: Final = 0.6
"""Of two words' letters in common, from which they count as one that was misheard, not as lost."""
_BRIDGE_LETTERS: Final = 3
"""A word of so few letters that fits by chance does not end a run of wrong ones."""
_REACH: Final = 30
"""So many words to either side a word is looked for: of a chapter, all would take minutes."""
_WORDS_A_DIGIT: Final = 3
"""As many as a digit may be read as: where a number was not understood, they are nobody's fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What became of a text on its way through speech and a recogniser.

    Attributes:
        cer: Character error rate of the normalised texts, by the length of what was to be said.
        wer: Word error rate.
        words: Words to be said, but for numbers.
        heard_words: Words heard, likewise.
        unheard: Those of the first that nothing heard is like.
        unexpected: Those of the second that nothing to be said is like.
        missing: The longest run of unheard words; None if there is none.
        foreign: The longest run of unexpected words.
    """

    cer: float
    wer: float
    words: int
    heard_words: int
    unheard: int
    unexpected: int
    missing: WordRun | None = None
    foreign: WordRun | None = None

    @property
    def missing_count(self) -> int:
        """How many words the longest run of unheard ones has."""
        return 0 if self.missing is None else self.missing.count

    @property
    def foreign_count(self) -> int:
        """How many words the longest run of unexpected ones has."""
        return 0 if self.foreign is None else self.foreign.count


class _Block(NamedTuple):
    """Words that differ: places in what was to be said, and in what was heard."""

    begin: int
    end: int
    heard_begin: int
    heard_end: int


def load_library(what: str = "'batchjobs check'") -> "ModuleType":
    """Import the library that aligns texts.

    Args:
        what: What needs it, for the message.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError as error:
        raise MissingExtraError(what, package="rapidfuzz", extra="check") from error
    return Levenshtein


def compare(text: str, heard: str, steps: frozenset[Step] = EVERY_STEP) -> Comparison:
    """Compare what was heard with what was to be said.

    Args:
        text: To be said.
        heard: The transcript.
        steps: What makes no difference.

    Raises:
        MissingExtraError: The library for it is not installed.
    """
    levenshtein = load_library()
    said, written = tokenize(text, steps)
    found, heard_written = tokenize(heard, steps)
    said_words, found_words = [each.text for each in said], [each.text for each in found]
    joined, heard_joined = " ".join(said_words), " ".join(found_words)
    blocks = list(_find_blocks(levenshtein.opcodes(said_words, found_words)))
    is_lost, is_new = _tell_apart(said, found, blocks)
    return Comparison(
        cer=levenshtein.distance(joined, heard_joined) / max(len(joined), 1),
        wer=levenshtein.distance(said_words, found_words) / max(len(said_words), 1),
        words=sum(not each.is_number for each in said),
        heard_words=sum(not each.is_number for each in found),
        unheard=sum(is_lost),
        unexpected=sum(is_new),
        missing=_find_run(said, is_lost, written),
        foreign=_find_run(found, is_new, heard_written),
    )


def _find_blocks(opcodes: Sequence["_Opcode"]) -> Iterator[_Block]:
    """Put neighbouring differences together."""
    block: _Block | None = None
    for operation, begin, end, heard_begin, heard_end in opcodes:
        if operation == "equal":
            if block is not None:
                yield block
            block = None
        elif block is None:
            block = _Block(begin, end, heard_begin, heard_end)
        else:
            block = block._replace(end=end, heard_end=heard_end)
    if block is not None:
        yield block


_Opcode = tuple[str, int, int, int, int]


def _tell_apart(
    said: Sequence[Token], found: Sequence[Token], blocks: Sequence[_Block]
) -> tuple[list[bool], list[bool]]:
    """Say of each word whether it was lost, and of each heard one whether it is new."""
    is_lost, is_new = [False] * len(said), [False] * len(found)
    for block in blocks:
        one, other = said[block.begin : block.end], found[block.heard_begin : block.heard_end]
        if _are_alike("".join(_texts(one)), "".join(_texts(other))):
            continue  # a space more or less, or all of it misheard
        numbers = sum(len(each.text) for each in one if each.is_number)
        excused = numbers * _WORDS_A_DIGIT
        likes, heard_likes = _match(_texts(one), _texts(other))
        for place, token in enumerate(one):
            is_lost[block.begin + place] = not (token.is_number or likes[place])
        new = [not (token.is_number or heard_likes[at]) for at, token in enumerate(other)]
        if numbers and sum(new) <= excused:
            continue
        is_new[block.heard_begin : block.heard_end] = new
    return is_lost, is_new


def _texts(tokens: Sequence[Token]) -> list[str]:
    return [token.text for token in tokens]


def _match(one: Sequence[str], other: Sequence[str]) -> tuple[list[bool], list[bool]]:
    """Say of the words of two runs which are like one of the other, in their order."""
    likes, other_likes = [False] * len(one), [False] * len(other)
    at = 0
    for place, word in enumerate(one):
        middle = place * len(other) // len(one)
        for candidate in range(max(at, middle - _REACH), min(middle + _REACH, len(other))):
            if _are_alike(word, other[candidate]):
                likes[place] = other_likes[candidate] = True
                at = candidate + 1
                break
    return likes, other_likes


def _are_alike(one: str, other: str) -> bool:
    from rapidfuzz.distance import Indel

    return bool(Indel.normalized_similarity(one, other) >= _SAME_SHARE)


def _find_run(
    tokens: Sequence[Token], wrong: Sequence[bool], written: Sequence[str]
) -> WordRun | None:
    """Find the longest run of wrong words; numbers and single short words do not end one."""
    best: tuple[int, int, int] = (0, 0, 0)
    count = begin = last = 0
    for place in chain(range(len(tokens)), [-1]):
        if place >= 0 and wrong[place]:
            if not count:
                begin = place
            count, last = count + 1, place
        elif place < 0 or not _is_bridge(tokens, wrong, place):
            best = max(best, (count, -begin, last))
            count = 0
    count, begin, last = best[0], -best[1], best[2]
    if not count:
        return None
    words = " ".join(written[tokens[begin].first : tokens[last].last + 1])
    return WordRun(words=words, count=count, first=tokens[begin].first)


def _is_bridge(tokens: Sequence[Token], wrong: Sequence[bool], place: int) -> bool:
    """Whether a word that is right may be so by chance: short, or a number, between wrong ones."""
    token = tokens[place]
    is_between = 0 < place < len(tokens) - 1 and wrong[place - 1] and wrong[place + 1]
    return is_between and (token.is_number or len(token.text) <= _BRIDGE_LETTERS)
