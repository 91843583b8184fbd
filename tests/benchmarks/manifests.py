"""Makes the manifests of the whole-run cases: Arabic with diacritics, every row another text."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = [
    "KINDS",
    "SENTENCE_WORDS",
    "SPEECH_WORDS",
    "VOICE",
    "texts",
    "write_configuration",
    "write_manifest",
]

VOICE: Final = "ar-najdi-male-2"
SPEECH_WORDS: Final = (20, 20)
"""About 110 letters: ten seconds of speech, as the canned server sends them."""
TINY_WORDS: Final = (1, 1)
PACED_WORDS: Final = SPEECH_WORDS
KINDS: Final = {"tts": SPEECH_WORDS, "paced": PACED_WORDS, "tiny": TINY_WORDS}
"""How many words a text of each kind of session has."""
SENTENCE_WORDS: Final = (3, 24)
"""As long as the sentences of a speech data set: 20 to 260 characters with their marks."""

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


def texts(rows: int, words: tuple[int, int]) -> Iterator[str]:
    """Make texts of so many words each, from one seed: the same every time, no two alike.

    Args:
        rows: How many texts.
        words: The fewest and the most words of one.

    Yields:
        A text that ends in its number, in Arabic-Indic digits, and a full stop.
    """
    dice = random.Random(_SEED)
    digits = str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩")
    for number in range(rows):
        chosen = dice.choices(_WORDS, k=dice.randint(*words))
        yield f"{' '.join(chosen)} {str(number).translate(digits)}."


def write_manifest(path: Path, rows: int, words: tuple[int, int], *, ending: str = "") -> None:
    """Write a manifest of so many texts to speak.

    Args:
        path: Where to.
        rows: How many.
        words: The fewest and the most words of a text.
        ending: If given, the rows name their results, of this format, a thousand a folder: no
            file system likes a million files in one.
    """
    with path.open("w", encoding="utf-8") as file:
        file.write("id,text,voice_id,output\n")
        for number, text in enumerate(texts(rows, words)):
            name = f"r{number:07}"
            folder = number // _ROWS_A_FOLDER
            output = f"audio/{folder:04}/{name}.{ending}" if ending else ""
            file.write(f"{name},{text},{VOICE},{output}\n")


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
