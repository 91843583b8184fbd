"""Chooses texts that hold as much as all of them do: a greedy set cover over letter pairs, then words."""

import heapq
import re
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

_WORD = re.compile(r"[^\W_]+(?:[\u200c\u200d\u0300-\u036f\u064b-\u065f\u0670]*[^\W_]*)*")
_TATWEEL_AND_JOINERS = dict.fromkeys(map(ord, "\u0640\u200c\u200d"))


class Candidate(NamedTuple):
    """A text that may be chosen.

    Attributes:
        position: Its row's.
        voice: Who is to speak it: one voice's clip says nothing of how another one speaks.
        text: What is spoken.
        cost: Of buying it, in any unit; more than 0.
    """

    position: int
    voice: str
    text: str
    cost: float


class Coverage(NamedTuple):
    """What chosen texts hold of what all of them do, each counted once for every voice.

    Attributes:
        rows: Texts that were chosen.
        of_rows: Texts there were to choose from.
        pairs: Pairs of neighbouring letters, with their marks, in what was chosen or bought before.
        of_pairs: The same, in all texts.
        words: Words likewise.
        of_words: The same, in all texts.
    """

    rows: int
    of_rows: int
    pairs: int
    of_pairs: int
    words: int
    of_words: int


@dataclass(slots=True)
class _Units:
    """Numbers units, and knows which each text holds, and which are covered."""

    numbers: dict[tuple[str, str], int] = field(default_factory=dict)
    of_text: list["array[int]"] = field(default_factory=list)
    covered: set[int] = field(default_factory=set)

    def add(self, voice: str, units: Iterable[str]) -> None:
        numbers = self.numbers
        found = {numbers.setdefault((voice, unit), len(numbers)) for unit in units}
        self.of_text.append(array("I", found))

    def cover(self, voice: str, units: Iterable[str]) -> None:
        numbers = (self.numbers.get((voice, unit)) for unit in units)
        self.covered.update(number for number in numbers if number is not None)


def choose_texts(
    candidates: Iterable[Candidate],
    *,
    bought: Iterable[tuple[str, str]] = (),
    most_cost: float = float("inf"),
) -> tuple[list[int], Coverage]:
    """Choose texts, the most that is new for its cost first, until all is covered or paid.

    First by pairs of letters; once those are all there, what is left of the budget goes to words.
    Without a limit the choice ends with the pairs.

    Args:
        candidates: What may be bought.
        bought: Voices and texts that are there already: what they hold need not be chosen again.
        most_cost: What the chosen ones may cost together.

    Returns:
        The positions of the chosen ones, in order, and what they cover.
    """
    pairs, words = _Units(), _Units()
    positions: list[int] = []
    costs: list[float] = []
    for candidate in candidates:
        found = list(find_spoken_words(candidate.text))
        pairs.add(candidate.voice, find_pairs(found))
        words.add(candidate.voice, found)
        positions.append(candidate.position)
        costs.append(candidate.cost)
    for voice, text in bought:
        found = list(find_spoken_words(text))
        pairs.cover(voice, find_pairs(found))
        words.cover(voice, found)
    chosen = _choose(pairs, costs, most_cost, taken=[])
    if most_cost < float("inf"):
        chosen += _choose(words, costs, most_cost, taken=chosen)
    for index in chosen:
        pairs.covered.update(pairs.of_text[index])
        words.covered.update(words.of_text[index])
    coverage = Coverage(
        rows=len(chosen),
        of_rows=len(positions),
        pairs=len(pairs.covered),
        of_pairs=len(pairs.numbers),
        words=len(words.covered),
        of_words=len(words.numbers),
    )
    return sorted(positions[index] for index in chosen), coverage


def _choose(
    units: _Units, costs: Sequence[float], most_cost: float, *, taken: Sequence[int]
) -> list[int]:
    """Take the best text again and again, as long as it can be paid; gives the indexes.

    A gain only ever shrinks, so a text that is still the best with its gain counted anew is the
    best of all: most are never counted again.
    """
    for index in taken:
        units.covered.update(units.of_text[index])
    spent = sum(costs[index] for index in taken)
    heap = [
        (-len(held) / cost, index)
        for index, (held, cost) in enumerate(zip(units.of_text, costs, strict=True))
    ]
    heapq.heapify(heap)
    chosen: list[int] = []
    while heap:
        _, index = heapq.heappop(heap)
        cost = costs[index]
        gain = sum(unit not in units.covered for unit in units.of_text[index])
        if not gain or spent + cost > most_cost:
            continue  # a cheaper one may still be had
        now = (-gain / cost, index)
        if heap and now > heap[0]:
            heapq.heappush(heap, now)
            continue
        chosen.append(index)
        spent += cost
        units.covered.update(units.of_text[index])
    return chosen


def find_spoken_words(text: str) -> Iterator[str]:
    """Find the words of a text as they are told apart here: composed, in small letters, unstretched."""
    for match in _WORD.finditer(unicodedata.normalize("NFC", text)):
        yield match.group().translate(_TATWEEL_AND_JOINERS).casefold()


def find_pairs(words: Iterable[str]) -> Iterator[str]:
    """Find the pairs of neighbouring letters in words, marks included; a word's edges are neighbours too."""
    for word in words:
        yield from map("".join, pairwise((" ", *_split_letters(word), " ")))


def _split_letters(word: str) -> Iterator[str]:
    """Split a word into its letters, each with the marks that stand on it."""
    letter = ""
    for character in word:
        if letter and unicodedata.combining(character):
            letter += character
            continue
        if letter:
            yield letter
        letter = character
    if letter:
        yield letter
