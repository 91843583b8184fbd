"""A glossary of terms, and what was heard in their place: near misses, found by letters and by sounds."""

import functools
import itertools
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import msgspec
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from batchjobs.errors import UsageError
from batchjobs.quality.alike import (
    LEAST_LETTERS,
    count_allowed,
    find_stem,
    fold_sounds,
    is_form_of,
    list_stems,
    measure_difference,
)
from batchjobs.quality.normalize import EVERY_STEP, Step, normalize_word
from batchjobs.text import split_words

_STEPS: Final = EVERY_STEP - {Step.NUMBERS}
_COMMENT: Final = "#"
_ROWS_KEPT: Final = 100
_LONGEST_WINDOW: Final = 5
_LONGEST_ENDING: Final = 3
_PAGE: Final = 50_000
"""Words compared at once, to bound the memory."""
_WORDS_REMEMBERED: Final = 65_536
_MOST_TERMS: Final = 10_000

Transcripts: TypeAlias = Callable[[], Iterable[tuple[str, str]]]
"""Gives ids of rows and their transcripts; called twice."""


class Term(NamedTuple):
    """A term of a glossary.

    Attributes:
        name: As it is to be written.
        spellings: All of its spellings as they are compared: normalised words, the term's own first.
    """

    name: str
    spellings: tuple[tuple[str, ...], ...]


class Misheard(msgspec.Struct, frozen=True, kw_only=True):
    """What a term was heard as.

    Attributes:
        heard: As it stands in a transcript.
        count: How often.
        rows: Ids of the rows, the first hundred.
    """

    heard: str
    count: int
    rows: tuple[str, ...]


class HeardTerm(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a term.

    Attributes:
        term: As it is to be written.
        heard_right: How often it was heard so, or in one of its other spellings.
        otherwise: What else it was heard as, the most frequent first.
    """

    term: str
    heard_right: int
    otherwise: tuple[Misheard, ...]


def read_glossary(path: Path) -> list[Term]:
    """Read a glossary: a term a line, ``term = spelling, spelling`` if others are right too.

    Lines that are blank, or begin with ``#``, say nothing.

    Raises:
        UsageError: It cannot be read, holds no term, or a line holds no letter.
    """
    hint = "a term a line: term, or: term = spelling, spelling"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise UsageError(f"cannot read the glossary {path}: {error.strerror}", hint=hint) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the glossary {path} is not UTF-8", hint=hint) from error
    terms: dict[str, Term] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith(_COMMENT):
            continue
        name, _, others = line.partition("=")
        spellings = [_normalize(each) for each in (name, *others.replace("،", ",").split(","))]
        if not spellings[0]:
            raise UsageError(f"{path}:{number}: the term holds no letter or number", hint=hint)
        known = terms.get(name.strip())
        held = known.spellings if known else ()
        terms[name.strip()] = Term(
            name.strip(), tuple(dict.fromkeys((*held, *filter(None, spellings))))
        )
    if not terms or len(terms) > _MOST_TERMS:
        found = f"{len(terms):,} terms" if terms else "no term"
        raise UsageError(f"the glossary {path} holds {found}; {_MOST_TERMS:,} at most", hint=hint)
    return list(terms.values())


def find_misheard(terms: Sequence[Term], transcripts: Transcripts) -> list[HeardTerm]:
    """Find what was heard in the place of terms, in transcripts of any number.

    Each word of their vocabulary is compared once, and of what stands side by side only what begins as
    a term does. What is a form of the term (with an article, "and", a plural's or a pronoun's ending),
    or one of its spellings, or another term of the glossary, was heard right.

    Args:
        terms: Of the glossary.
        transcripts: What was heard.
    """
    search = _Search(terms)
    vocabulary: set[str] = set()
    for _, text in transcripts():
        vocabulary.update(word.text for word in _tokenize(text))
    search.learn(sorted(vocabulary))
    for row, text in transcripts():
        search.look_through(row, list(_tokenize(text)))
    return search.sum_up()


class _Word(NamedTuple):
    """A normalised word, and how it is written."""

    text: str
    written: str


class _Form(NamedTuple):
    """A spelling of a term as it is looked for.

    Attributes:
        term: The term's number.
        letters: Its words without an article, and without spaces.
        sounds: The same, folded.
        words: How many it has.
        least: Letters that it is heard in at least.
        most: Letters that it is heard in at most.
    """

    term: int
    letters: str
    sounds: str
    words: int
    least: int
    most: int


class _Hit(NamedTuple):
    """A place where a term may have been said: sorted, the best one is the first.

    Attributes:
        unlike: Twice the letters that differ, without the term's own: a long term goes before a part of it.
        extra_words: How many words more or fewer than the term has.
        begin: The place of its first word.
        end: The place behind its last.
        term: The term's number.
        difference: How many letters differ.
    """

    unlike: int
    extra_words: int
    begin: int
    end: int
    term: int
    difference: int


@dataclass(slots=True)
class _Tally:
    count: int = 0
    rows: dict[str, None] = field(default_factory=dict)
    written: Counter[str] = field(default_factory=Counter)


class _Search:
    """Looks for terms in transcripts whose vocabulary it has learnt."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms = terms
        self._forms = [
            _make_form(number, spelling)
            for number, term in enumerate(terms)
            for spelling in term.spellings
        ]
        self._exact: dict[str, int] = {}
        for form in self._forms:
            self._exact.setdefault(form.letters, form.term)
        self._near = [form for form in self._forms if len(form.letters) >= LEAST_LETTERS]
        self._alone: dict[str, list[tuple[int, int]]] = {}
        """By word: terms that it alone may be, each with the number of letters that differ."""
        self._begins: dict[str, list[tuple[str, _Form]]] = {}
        """By word: the stem, and a form that it may be the beginning of."""
        self._right: Counter[int] = Counter()
        self._wrong: dict[tuple[int, str], _Tally] = defaultdict(_Tally)

    # -- the vocabulary -------------------------------------------------------------------------

    def learn(self, vocabulary: Sequence[str]) -> None:
        """Compare each word with each term, alone and as the beginning of one."""
        owners: dict[str, list[str]] = defaultdict(list)
        for word in vocabulary:
            for stem in dict.fromkeys(list_stems(word)):
                owners[stem].append(word)
        stems = list(owners)
        sounds = [fold_sounds(stem) for stem in stems]
        for stem, term, difference in itertools.chain(
            self._find_exact(stems), self._find_near(stems)
        ):
            for word in owners[stem]:
                self._alone.setdefault(word, []).append((term, difference))
        for stem, form in _find_beginnings(self._forms, stems, sounds):
            for word in owners[stem]:
                self._begins.setdefault(word, []).append((stem, form))

    def _find_exact(self, stems: Iterable[str]) -> Iterator[tuple[str, int, int]]:
        for stem in stems:
            # A term, or one with an ending of grammar.
            beginnings = (stem[: len(stem) - cut] for cut in range(_LONGEST_ENDING + 1))
            for form in (each for each in beginnings if each in self._exact):
                if is_form_of(stem, form):
                    yield stem, self._exact[form], 0

    def _find_near(self, stems: Sequence[str]) -> Iterator[tuple[str, int, int]]:
        for form, places in _find_close(self._near, stems):
            for place in places:
                stem = stems[place]
                found = measure_difference(stem, form.letters, form.sounds)
                if found:
                    yield stem, form.term, 0 if is_form_of(stem, form.letters) else found

    # -- the transcripts ------------------------------------------------------------------------

    def look_through(self, row: str, words: Sequence[_Word]) -> None:
        """Count the terms of one transcript: what is right first, then the nearest of what overlaps."""
        hits = sorted(itertools.chain(self._find_alone(words), self._find_windows(words)))
        taken: set[int] = set()
        for hit in hits:
            places = range(hit.begin, hit.end)
            if not taken.isdisjoint(places):
                continue
            taken.update(places)
            if hit.difference == 0:
                self._right[hit.term] += 1
                continue
            heard = words[hit.begin : hit.end]
            stem = " ".join([find_stem(heard[0].text), *(word.text for word in heard[1:])])
            tally = self._wrong[hit.term, stem]
            tally.count += 1
            tally.written[" ".join(word.written for word in heard)] += 1
            if len(tally.rows) < _ROWS_KEPT:
                tally.rows[row] = None

    def _find_alone(self, words: Sequence[_Word]) -> Iterator[_Hit]:
        for place, word in enumerate(words):
            for term, difference in self._alone.get(word.text, ()):
                unlike = 2 * difference - len(word.text)
                yield _Hit(unlike, 0, place, place + 1, term, difference)

    def _find_windows(self, words: Sequence[_Word]) -> Iterator[_Hit]:
        for begin, word in enumerate(words):
            for stem, form in self._begins.get(word.text, ()):
                letters = stem
                last = min(begin + max(form.words + 1, 2), len(words))
                for end in range(begin + 1, last):
                    letters += words[end].text
                    if len(letters) > form.most:
                        break
                    if len(letters) < form.least:
                        continue
                    if (difference := _compare(letters, form)) is not None:
                        extra = abs(end + 1 - begin - form.words)
                        unlike = 2 * difference - len(form.letters)
                        yield _Hit(unlike, extra, begin, end + 1, form.term, difference)

    def sum_up(self) -> list[HeardTerm]:
        """Give what became of each term."""
        found: dict[int, list[Misheard]] = defaultdict(list)
        for (term, _), tally in self._wrong.items():
            heard = tally.written.most_common(1)[0][0]
            found[term].append(Misheard(heard=heard, count=tally.count, rows=tuple(tally.rows)))
        return [
            HeardTerm(
                term=term.name,
                heard_right=self._right[number],
                otherwise=tuple(sorted(found[number], key=lambda each: (-each.count, each.heard))),
            )
            for number, term in enumerate(self._terms)
        ]


def _make_form(term: int, spelling: tuple[str, ...]) -> _Form:
    letters = "".join([find_stem(spelling[0]), *spelling[1:]])
    allowed = count_allowed(len(letters))
    return _Form(
        term=term,
        letters=letters,
        sounds=fold_sounds(letters),
        words=min(len(spelling), _LONGEST_WINDOW),
        least=len(letters) - allowed,
        most=len(letters) + max(allowed, _LONGEST_ENDING),
    )


def _compare(letters: str, form: _Form) -> int | None:
    """Say how many letters of words side by side differ from a form; None if too many do."""
    if letters == form.letters or is_form_of(letters, form.letters):
        return 0
    if len(form.letters) < LEAST_LETTERS:
        return None
    return measure_difference(letters, form.letters, form.sounds)


def _find_close(forms: Sequence[_Form], stems: Sequence[str]) -> Iterator[tuple[_Form, list[int]]]:
    """Find, for each form, the places of the words in which no more letters differ than may."""
    by_most: dict[int, list[_Form]] = defaultdict(list)
    for form in forms:
        by_most[count_allowed(len(form.letters))].append(form)
    for most, group in by_most.items():
        letters = [form.letters for form in group]
        for begin in range(0, len(stems), _PAGE):
            page = stems[begin : begin + _PAGE]
            distances = process.cdist(
                letters, page, scorer=Levenshtein.distance, score_cutoff=most, dtype="uint8"
            )
            for form, line in zip(group, distances, strict=True):
                yield form, [begin + int(place) for place in (line <= most).nonzero()[0]]


def _find_beginnings(
    forms: Sequence[_Form], stems: Sequence[str], sounds: Sequence[str]
) -> Iterator[tuple[str, _Form]]:
    """Find the words that may be the beginning of a form: by their sounds, a longer one not to the letter."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for place, sound in enumerate(sounds):
        by_length[len(sound)].append(place)
    for length, places in by_length.items():
        if length < 2:
            continue
        group = [form for form in forms if len(form.sounds) > length]
        if not group:
            continue
        most = 0 if length <= 3 else 1 if length <= 6 else 2
        beginnings = [form.sounds[:length] for form in group]
        for begin in range(0, len(places), _PAGE):
            page = places[begin : begin + _PAGE]
            distances = process.cdist(
                beginnings,
                [sounds[place] for place in page],
                scorer=Levenshtein.distance,
                score_cutoff=most,
                dtype="uint8",
            )
            for form, line in zip(group, distances, strict=True):
                for place in (line <= most).nonzero()[0]:
                    yield stems[page[int(place)]], form


def _tokenize(text: str) -> Iterator[_Word]:
    return itertools.chain.from_iterable(map(_read_word, split_words(text)))


@functools.lru_cache(_WORDS_REMEMBERED)
def _read_word(written: str) -> tuple[_Word, ...]:
    bare = _trim(_trim(written)[::-1])[::-1]
    return tuple(_Word(word, bare) for word in normalize_word(written, _STEPS))


def _trim(written: str) -> str:
    """Leave out what stands before a word's first letter; marks belong to letters."""
    is_around = (unicodedata.category(character)[0] in "PSZC" for character in written)
    return written[len(list(itertools.takewhile(bool, is_around))) :]


def _normalize(text: str) -> tuple[str, ...]:
    return tuple(word.text for word in _tokenize(text))
