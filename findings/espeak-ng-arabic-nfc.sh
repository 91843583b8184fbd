#!/usr/bin/env bash
# espeak-ng's Arabic voice and text in NFC.
#
# One would guess: NFC changes nothing that anybody sees or hears. It is the form that Unicode recommends and that
# pipelines bring texts into first; "مُدَرِّس" looks the same before and after, and is spoken the same. And a
# tatweel, which only draws a line longer ("كتـاب" for "كتاب"), is not heard.
#
# It is so: where the shadda (doubling) was typed first and its vowel behind it, NFC puts the vowel first, since its
# combining class is lower (27 to 32; shadda has 33). The voice knows shadda-vowel only. Given vowel-shadda it
# leaves out fatha, kasra and tanwin ("mudarris" becomes "mudarrs", "kattaba" "katbba", "haqqun" "haqq"), and for
# damma makes the vowel long in place of the consonant. Fully vowelled text, which is written for the sake of a
# voice, is hit the hardest: every doubled letter. A tatweel keeps the voice from guessing the vowels of a word
# that has none: "kitaab" becomes "ktaab". Nothing is raised. Whatever takes its phonemes from espeak-ng takes
# this along. To put the shadda first and leave tatweel out, behind all normalizing, gives the words back.
#
# Seen on 2026-11-29 with espeak-ng 1.52.0 in the wheel espeakng-loader 0.2.4, by its own function
# espeak_TextToPhonemes. Source: this output, and the combining classes in Unicode's data; espeak-ng has no
# normalization of its own (its issue 2332 asks for one).
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet espeakng-loader==0.2.4

cat > "$work/marks.py" <<'PYTHON'
import ctypes
import re
import sys
import unicodedata

import espeakng_loader

SHADDA = "\u0651"
NAMES = {"\u064e": "fatha", "\u064f": "damma", "\u0650": "kasra"}
NAMES |= {"\u064b": "fathatan", "\u064c": "dammatan", "\u064d": "kasratan"}

library = ctypes.CDLL(espeakng_loader.get_library_path())
library.espeak_Initialize(2, 0, str(espeakng_loader.get_data_path()).encode(), 0)
library.espeak_TextToPhonemes.restype = ctypes.c_char_p
library.espeak_Info.restype = ctypes.c_char_p
assert library.espeak_SetVoiceByName(b"ar") == 0


def phonemes(text):
    content = ctypes.create_string_buffer(text.encode())
    place = ctypes.c_void_p(ctypes.addressof(content))
    said = []
    while place.value:
        said.append((library.espeak_TextToPhonemes(ctypes.byref(place), 1, 0) or b"").decode())
    return " ".join(" ".join(said).split())


def shadda_first(text):
    """Give a text as it is typed."""
    return re.sub(f"([{''.join(NAMES)}]){SHADDA}", rf"{SHADDA}\1", text)


def sounds(said):
    """Leave the stress out."""
    return re.sub("[',]", "", said)


print("espeak-ng", library.espeak_Info(None).decode(), "Unicode", unicodedata.unidata_version)
expected = {}
for vowel, name in NAMES.items():
    typed = f"حق{SHADDA}{vowel}" + ("ا" if name == "fathatan" else "")
    assert unicodedata.combining(vowel) < unicodedata.combining(SHADDA)
    was, became = phonemes(typed), phonemes(unicodedata.normalize("NFC", typed))
    print(f"{name:9} typed {was:10} NFC {became}")
    if name == "damma":
        expected["damma becomes long"] = sounds(was)[-2:] == ":u" and sounds(became)[-2:] == "u:"
    else:
        bare = phonemes(f"حق{SHADDA}" + ("ا" if name == "fathatan" else ""))
        expected[f"{name} is not heard"] = sounds(became) == sounds(bare) != sounds(was)
for written in ("مُدَرِّس", "كَتَّبَ", "مُحَمَّد", "السَّلَامُ عَلَيْكُمْ"):
    typed, normal = shadda_first(written), unicodedata.normalize("NFC", written)
    was, became = phonemes(typed), phonemes(normal)
    print(f"typed {was:28} NFC {became:28} {written}")
    expected[f"{written}: other sounds"] = sounds(was) != sounds(became)
    expected[f"{written}: put back, the same"] = phonemes(shadda_first(normal)) == was
    assert unicodedata.normalize("NFC", typed) == normal, "the two are not the same text"
for plain, drawn in (("كتاب", "كتـاب"), ("جميل", "جميـل"), ("العربية", "العربيـــة")):
    was, became = phonemes(plain), phonemes(drawn)
    print(f"plain {was:28} with tatweel {became:20} {drawn}")
    expected[f"{drawn}: the tatweel changes its sounds"] = sounds(was) != sounds(became)
for what, holds in expected.items():
    print("as seen:" if holds else "CHANGED, not so:", what)
sys.exit(0 if all(expected.values()) else 1)
PYTHON
"$work/venv/bin/python" "$work/marks.py"
