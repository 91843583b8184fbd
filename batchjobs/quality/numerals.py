"""Numbers in words, Arabic and English, by their value."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple


class Number(NamedTuple):
    """Words that are a number, or several side by side: from `begin`, before `end`."""

    begin: int
    end: int
    digits: str


def _table(names: str, values: Sequence[int]) -> dict[str, int]:
    groups = [group.split("/") for group in names.split()]
    return {name: value for group, value in zip(groups, values, strict=True) for name in group}


_ONES: Final = (
    _table(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
        " fifteen sixteen seventeen eighteen nineteen",
        range(20),
    )
    # As `normalize` leaves them: no hamza, no marks, heh for teh marbuta.
    | _table(
        "صفر واحد/واحده/احد/احدي اثنان/اثنين/اثنتان/اثنتين/اثنا/اثني/اثنتا/اثنتي ثلاثه/ثلاث"
        " اربعه/اربع خمسه/خمس سته/ست سبعه/سبع ثمانيه/ثماني/ثمان تسعه/تسع عشره/عشر",
        range(11),
    )
)
_TENS: Final = _table(
    "twenty thirty forty/fourty fifty sixty seventy eighty ninety", range(20, 100, 10)
) | _table(
    "عشرون/عشرين ثلاثون/ثلاثين اربعون/اربعين خمسون/خمسين ستون/ستين سبعون/سبعين ثمانون/ثمانين"
    " تسعون/تسعين",
    range(20, 100, 10),
)
_HUNDRED: Final = frozenset({"hundred", "ميه", "مايه"})
_HUNDREDS: Final = _table(
    "ميتان/ميتين/مايتان/مايتين ثلاثميه/ثلاثمايه اربعميه/اربعمايه خمسميه/خمسمايه ستميه/ستمايه"
    " سبعميه/سبعمايه ثمانميه/ثمانمايه/ثمانيميه/ثمانيمايه تسعميه/تسعمايه",
    range(200, 1000, 100),
)
_SCALES: Final = _table(
    "thousand/الف/الفا/الاف million/مليون/مليونا/ملايين billion/مليار/مليارا/مليارات",
    (10**3, 10**6, 10**9),
)
_DUALS: Final = _table(
    "الفان/الفين مليونان/مليونين ملياران/مليارين", (2 * 10**3, 2 * 10**6, 2 * 10**9)
)
_TEEN: Final = frozenset({"عشر", "عشره"})
_AND: Final = frozenset({"and", "و"})
_WAW: Final = "و"
_KNOWN: Final = frozenset({*_ONES, *_TENS, *_HUNDRED, *_HUNDREDS, *_SCALES, *_DUALS})


class _Sum:
    """One number as its words come."""

    def __init__(self) -> None:
        self._total = 0
        self._current = 0
        self._is_empty = True
        self._scale = 10**12

    @property
    def value(self) -> int:
        return self._total + self._current

    def take(self, word: str, *, is_joined: bool) -> bool:
        """Add a word to the number; False if it belongs to the next one.

        Args:
            word: A number's, in its folded form.
            is_joined: Whether an "and" stands before it.
        """
        taken = self._take_small(word, is_joined) or self._take_large(word)
        self._is_empty = self._is_empty and not taken
        return taken

    def _take_small(self, word: str, is_joined: bool) -> bool:  # noqa: FBT001  # as `take`
        rest = self._current % 100
        if word in _TEEN and not is_joined and 1 <= rest <= 9:
            self._current += 10
        elif word in _TENS:
            is_behind_ones = is_joined and 1 <= rest < 10
            if not (is_behind_ones or (not rest and self._may_follow(is_joined, _TENS[word]))):
                return False
            self._current += _TENS[word]
        elif word in _ONES:
            value = _ONES[word]
            is_unit = rest >= 20 and 1 <= value < 10 and rest % 10 == 0
            if not (is_unit or (not rest and self._may_follow(is_joined, value))):
                return False
            self._current += value
        else:
            return False
        return True

    def _may_follow(self, is_joined: bool, value: int) -> bool:  # noqa: FBT001  # as `take`
        """Whether tens or ones may come now: first of all, or behind hundreds and thousands."""
        is_behind = self._current >= 100 or (self._total > 0 and self._current == 0)
        return self._is_empty or (is_behind and value > 0) or (is_joined and is_behind)

    def _take_large(self, word: str) -> bool:
        current = self._current
        if word in _HUNDRED and current < 20:
            self._current = max(current, 1) * 100
        elif word in _HUNDREDS and not current:
            self._current = _HUNDREDS[word]
        elif (
            word in _SCALES
            and _SCALES[word] < self._scale
            and (current or self._is_empty or self._total)
        ):
            self._scale = _SCALES[word]
            self._total += max(current, 1) * self._scale
            self._current = 0
        elif word in _DUALS and not current and _DUALS[word] // 2 < self._scale:
            self._scale = _DUALS[word] // 2
            self._total += _DUALS[word]
        else:
            return False
        return True


def find_numbers(words: Sequence[str]) -> Iterator[Number]:
    """Find the numbers in a text, in digits or in words.

    What stands side by side is one number: ``nineteen ninety eight`` is 1998, and a telephone
    number is its digits, however they are grouped.

    Args:
        words: Normalised by every step.
    """
    place = 0
    while place < len(words):
        end, digits = _read_digits(words, place)
        if not digits:
            place += 1
            continue
        yield Number(place, end, digits)
        place = end


def _read_digits(words: Sequence[str], place: int) -> tuple[int, str]:
    """Read the numbers that begin at a place: where they end, and their digits; none if there is none."""
    digits = ""
    end = place
    while place < len(words):
        word = words[place]
        if word.isdecimal():
            digits += word
            place = end = place + 1
            continue
        stop, value = _read_value(words, place)
        if stop == place:
            break
        digits += str(value)
        place = end = stop
    return end, digits


def _read_value(words: Sequence[str], place: int) -> tuple[int, int]:
    """Read one number in words: where it ends, and its value; it ends where it begins if it is none."""
    number = _Sum()
    first = end = place
    is_joined = False
    while place < len(words):
        word = words[place]
        if word in _AND and end > first and not is_joined:
            is_joined = True
            place += 1
            continue
        if word not in _KNOWN and word.startswith(_WAW) and word[1:] in _KNOWN:
            word, is_joined = word[1:], True
        if word not in _KNOWN or not number.take(word, is_joined=is_joined):
            break
        place += 1
        end = place
        is_joined = False
    return end, number.value
