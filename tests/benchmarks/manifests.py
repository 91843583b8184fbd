"""Makes the manifests and the configuration of the cases that measure whole runs."""

import csv
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["PRICED_PROVIDER", "VOICE", "write_configuration", "write_repeated", "write_sentences"]

PRICED_PROVIDER: Final = "munsit"
"""For rows that nobody is to buy: its prices are known, and no key is there to buy with."""
VOICE: Final = "ar-najdi-male-2"
_FEWEST_WORDS: Final = 3
_MOST_WORDS: Final = 24
"""As the sentences of a speech data set: 20 to 260 characters with their marks."""
_WORDS: Final = [
    "السَّلامُ",
    "عَلَيْكُمْ",
    "وَرَحْمَةُ",
    "اللهِ",
    "وَبَرَكاتُهُ",
    "كَتَبَ",
    "الطّالِبُ",
    "دَرْسَهُ",
    "في",
    "الصَّباحِ",
    "الباكِرِ",
    "ثُمَّ",
    "ذَهَبَ",
    "إلى",
    "المَدْرَسَةِ",
    "مَعَ",
    "أَصْدِقائِهِ",
    "وَقَرَأَ",
    "كِتابًا",
    "عَنْ",
    "تاريخِ",
    "المَدينَةِ",
    "القَديمَةِ",
    "الَّتي",
    "تَقَعُ",
    "عَلى",
    "ساحِلِ",
    "البَحْرِ",
    "وَتَشْتَهِرُ",
    "بِأَسْواقِها",
    "وَمَساجِدِها",
    "صباح",
    "الخير",
    "كيف",
    "حالك",
    "اليوم",
    "أتمنى",
    "لك",
    "يومًا",
    "سعيدًا",
    "مكتبة",
    "البيت",
    "الكبير",
    "نافذة",
    "مفتوحة",
]
_ROWS_A_FOLDER: Final = 1_000
_SEED: Final = 5


def _sentences(rows: int) -> Iterator[str]:
    """Make sentences from one seed: the same every time, no two alike."""
    dice = random.Random(_SEED)
    digits = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
    for number in range(rows):
        words = dice.choices(_WORDS, k=dice.randint(_FEWEST_WORDS, _MOST_WORDS))
        yield f"{' '.join(words)} {str(number).translate(digits)}."


def write_sentences(path: Path, rows: int) -> None:
    """Write a manifest of sentences to speak, each another.

    The rows name their results, a thousand a folder: no file system likes a million files in one.

    Args:
        path: Where to.
        rows: How many.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "text", "voice_id", "output"))
        for number, text in enumerate(_sentences(rows)):
            name = f"r{number:07}"
            output = f"audio/{number // _ROWS_A_FOLDER:04}/{name}.wav"
            writer.writerow((name, text, VOICE, output))


def write_repeated(path: Path, rows: int, text: str) -> None:
    """Write a manifest that has one text spoken again and again, each time another purchase.

    Args:
        path: Where to.
        rows: How many.
        text: What the canned server answers plausibly.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "text", "voice_id", "take"))
        writer.writerows((f"r{number:07}", text, VOICE, number) for number in range(rows))


def write_configuration(path: Path, url: str) -> None:
    """Write a configuration whose provider ``canned`` is the benchmarks' server.

    ``close_drains`` is what that server does; every deadline and every check stays as it is.

    Args:
        path: Where to.
        url: The server's base URL.
    """
    path.write_text(
        "[providers.canned]\n"
        f'base_url = "{url}"\n'
        'key_variable = "BATCHJOBS_BENCHMARK_KEY"\n'
        f'voice = "{VOICE}"\n'
        "close_drains = true\n",
        encoding="utf-8",
    )
