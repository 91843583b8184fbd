#!/usr/bin/env bash
# espeak-ng's Arabic voice and the marks within Arabic numbers.
#
# One would guess: a voice for Arabic that reads "2.5" as "two, point, five" and "2,500" as "two
# thousand five hundred" reads the same numbers as well when they are written with Arabic-Indic digits
# and with the separators that Unicode has for them, U+066B (decimal) and U+066C (thousands); and a
# voice whose English sister says "percent" and "minus" says something for these signs.
#
# It is so: the digits are understood, the marks are not. "٢٫٥" is spoken as "two, five": the decimal
# separator leaves no trace, and neither does "," in its place. "٢٬٥٠٠" ends the number and is spoken as
# "two, five hundred", where "2,500" is right; "١٬٠٠٠" as "one, nought, nought, nought". A percent sign,
# Latin or Arabic, and the hyphen before a number are left out: "-٥" is five, "٢٥٪" twenty-five. The
# Persian voice of the same build has a word for U+066B and for both percent signs; the English one has
# words for "%" and "-". Nothing is raised and no length looks odd.
#
# Seen on 2026-11-28 with espeak-ng 1.52.0 in the wheel espeakng-loader 0.2.4, by its own function
# espeak_TextToPhonemes; no other code is involved. Source: this output; the voice's dictionary source
# (dictsource/ar_list in espeak-ng) has no entry for U+066B and U+066C, and names for "%" and "-" as
# characters, which a number beside them keeps from being said.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet espeakng-loader==0.2.4

cat > "$work/numbers.py" <<'PYTHON'
import ctypes
import sys

import espeakng_loader

library = ctypes.CDLL(espeakng_loader.get_library_path())
library.espeak_Initialize(2, 0, str(espeakng_loader.get_data_path()).encode(), 0)
library.espeak_TextToPhonemes.restype = ctypes.c_char_p
library.espeak_Info.restype = ctypes.c_char_p


def phonemes(voice, text):
    assert library.espeak_SetVoiceByName(voice.encode()) == 0, voice
    content = ctypes.create_string_buffer(text.encode())
    place = ctypes.c_void_p(ctypes.addressof(content))
    said = []
    while place.value:
        said.append((library.espeak_TextToPhonemes(ctypes.byref(place), 1, 0) or b"").decode())
    return " ".join(" ".join(said).split())


def report(voice, text):
    said = phonemes(voice, text)
    print(f"{voice:6} {text!r:12} {said}")
    return said


print("espeak-ng", library.espeak_Info(None).decode())
point, marked = report("ar", "2.5"), report("ar", "٢٫٥")
latin, comma = report("ar", "٢ ٥"), report("ar", "2,5")
thousands, arabic = report("ar", "2,500"), report("ar", "٢٬٥٠٠")
apart = report("ar", "٢ ٥٠٠")
plain, percent, sign = report("ar", "٢٥"), report("ar", "٢٥٪"), report("ar", "25%")
five, minus = report("ar", "٥"), report("ar", "-٥")
persian = report("fa", "۲٫۵")
persian_apart = report("fa", "۲ ۵")
english = report("en-us", "25%"), report("en-us", "25"), report("en-us", "-5"), report("en-us", "5")

expected = {
    "the full stop is read as a decimal point": point != latin,
    "U+066B is not: two, five": marked == latin == comma,
    "the comma groups thousands": thousands != apart,
    "U+066C does not: two, five hundred": arabic == apart,
    "percent signs are left out": plain == percent == sign,
    "the minus is left out": five == minus,
    "the Persian voice has a word for U+066B": persian != persian_apart,
    "the English voice has words for % and -": english[0] != english[1] and english[2] != english[3],
}
for what, holds in expected.items():
    print("as seen:" if holds else "NOT SO:", what)
sys.exit(0 if all(expected.values()) else 1)
PYTHON
"$work/venv/bin/python" "$work/numbers.py"
