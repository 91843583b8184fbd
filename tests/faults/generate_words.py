"""What generated input is made of: words in all scripts, and bytes that are damaged."""

import random
import unicodedata

LETTERS = "ابتثجحخدذرزسشصضطظعغفقكلمنهويءآأؤإئةىabcxyzABC"


MARKS = "\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652\u0653\u0654\u0670\u0640\u0301\u0308"


INVISIBLE = "\u200b\u200c\u200d\u200e\u200f\u061c\u2066\u2069\u202b\u202c\ufeff\u00ad\u2060"


SPACES = " \t\n\r\u00a0\u2003\u2028\u2029\u0085\u3000"


OTHERS = "٠١٢٣٤٥٦٧٨٩0123456789.,;:!?؟،؛…«»()\"'\\/<>{}[]|=+-_@#$%^&*~`🎧👍🏽🇸🇦東京한"


class Wrong(Exception):  # noqa: N818  # it is the verdict
    """What should not have come of an input."""


def words_of(dice: random.Random, most: int = 60) -> str:
    """Make a text out of every kind of character."""
    pools = (LETTERS, LETTERS, LETTERS, MARKS, INVISIBLE, SPACES, OTHERS)
    made = "".join(dice.choice(dice.choice(pools)) for _ in range(dice.randint(1, most)))
    if dice.random() < 0.1:
        made += chr(dice.choice((dice.randrange(1, 0xD800), dice.randrange(0xE000, 0x110000))))
    if dice.random() < 0.1:
        made = unicodedata.normalize(dice.choice(("NFC", "NFD")), made)
    return made


def damaged(dice: random.Random, content: bytes, most: int = 4) -> bytes:
    """Flip, insert, delete, repeat and cut."""
    data = bytearray(content)
    for _ in range(dice.randint(1, most)):
        place = dice.randrange(len(data) + 1)
        match dice.randrange(6):
            case 0:
                data[place : place + 1] = bytes([dice.randrange(256)])
            case 1:
                data[place:place] = dice.choice(
                    (b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"{", b"\\")
                )
            case 2:
                del data[place : place + dice.randint(1, 9)]
            case 3:
                data[place:place] = data[place : place + dice.randint(1, 99)]
            case 4:
                del data[place:]
            case _:
                data[place : place + 4] = dice.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"))
    return bytes(data)
