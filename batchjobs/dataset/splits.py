"""Which split a row belongs to: decided by what it is and by nothing else, so none ever moves."""

import hashlib
import unicodedata
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Self

import numpy as np

from batchjobs.errors import UsageError

ONLY_SPLIT: Final = "train"
"""What all rows are in where no shares are given: what the libraries call it."""
_TATWEEL: Final = "\u0640"
_HASH_BYTES: Final = 8
_MOST_SPLITS: Final = 16
_HINT: Final = "give names and shares: --split train=90,validation=5,test=5"
_SAME_LETTER: Final = {"ٱ": "ا", "ى": "ي", "ة": "ه"}
"""What one word is written with, by one or the other; other alefs lose their hamza as a mark."""


def normalise_text(text: str) -> str:
    """Bring a text to the form by which it is told from others: its letters and digits.

    Case, width, marks, tatweel, invisible characters, punctuation and the spelling of alef, yeh and
    teh marbuta make no difference. This decides what split a row is in: to change it moves rows.
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return " ".join(plain.translate(_LETTERS).split()) or text.strip()


class _Letters(dict[int, str]):
    """What each character becomes, found out once: a text of 100 takes 2 us and not 40 (measured)."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if category == "Nd":
            character = str(unicodedata.decimal(character))
        elif category[0] in "ZPS" or character.isspace():
            character = " "
        elif category[0] not in "LN" or character == _TATWEEL:
            character = ""
        self[code] = _SAME_LETTER.get(character, character)
        return self[code]


_LETTERS: Final = _Letters()


def hash_of(text: str) -> int:
    """Hash a text to a whole number of 64 bits, the same everywhere and for ever."""
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=_HASH_BYTES)
    return int.from_bytes(digest.digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """The splits of a dataset, and where each one's part of all hashes ends."""

    names: tuple[str, ...]
    ends: tuple[int, ...]

    @classmethod
    def parse(cls, shares: str) -> Self:
        """Read shares as they are typed: ``train=90,validation=5,test=5``.

        Raises:
            UsageError: They are no shares.
        """
        if not shares:
            return cls(names=(ONLY_SPLIT,), ends=(1 << 64,))
        found: dict[str, float] = {}
        for part in shares.split(","):
            name, _, share = (piece.strip() for piece in part.partition("="))
            if not name.isascii() or not name.replace("_", "").isalnum() or name in found:
                raise UsageError(
                    f"'{name}' cannot be a split's name, or is there twice", hint=_HINT
                )
            try:
                found[name] = float(share)
            except ValueError:
                raise UsageError(f"'{share}' is no share of '{name}'", hint=_HINT) from None
            if not 0 < found[name] < float("inf"):
                raise UsageError(f"the share of '{name}' is not above 0", hint=_HINT)
        if len(found) > _MOST_SPLITS:
            raise UsageError(f"there are more than {_MOST_SPLITS} splits", hint=_HINT)
        total = sum(found.values())
        ends = [round(end / total * (1 << 64)) for end in accumulate(found.values())]
        return cls(names=tuple(found), ends=(*ends[:-1], 1 << 64))

    def choose(self, number: int) -> int:
        """Give the place, in `names`, of the split that a hash belongs to."""
        return next(place for place, end in enumerate(self.ends) if number < end)


class SharedTexts:
    """Finds texts that stand in several splits, where something else than the text decides.

    Eight bytes a row: a million take no more.

    Args:
        splits: The splits.
    """

    def __init__(self, splits: Splits) -> None:
        self._splits = splits
        self._seen = [np.zeros(0, np.uint64)]
        self._page: list[int] = []

    def note(self, text_hash: int, split: int) -> None:
        """Note that a text stands in a split."""
        self._page.append(_tag(text_hash, split))
        if len(self._page) >= 100_000:
            self._close_page()

    def find(self) -> dict[int, int]:
        """Find the texts that stand in several splits, and the one split where each may stay."""
        self._close_page()
        tagged = np.unique(np.concatenate(self._seen))
        self._seen = [tagged]
        texts = tagged // _MOST_SPLITS
        is_shared = texts[1:] == texts[:-1]
        allowed: dict[int, list[int]] = {text: [] for text in texts[1:][is_shared].tolist()}
        for number in tagged[np.isin(texts, texts[1:][is_shared])].tolist():
            allowed[number // _MOST_SPLITS].append(number % _MOST_SPLITS)
        # By the text's hash, among the splits where it stands: the shares decide here, too.
        return {text: self._stay(text, splits) for text, splits in allowed.items()}

    def _stay(self, text: int, splits: list[int]) -> int:
        chosen = self._splits.choose(text * _MOST_SPLITS)
        return chosen if chosen in splits else splits[text % len(splits)]

    def _close_page(self) -> None:
        if self._page:
            self._seen.append(np.array(self._page, np.uint64))
            self._page = []


def _tag(text_hash: int, split: int) -> int:
    return text_hash // _MOST_SPLITS * _MOST_SPLITS + split


def text_of_hash(text_hash: int) -> int:
    """Give what `SharedTexts.find` calls a text."""
    return text_hash // _MOST_SPLITS
