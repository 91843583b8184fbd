#!/usr/bin/env bash
# phonemizer, espeak-ng and an Arabic question.
#
# One would guess: phonemize(…, preserve_punctuation=True) keeps the marks of a text, so that what is trained on the
# phonemes hears where a sentence asks, pauses or ends; and "كم الساعة؟", "what time is it?", begins with "kam".
#
# It is so: its marks are those of Latin writing. "?", ",", ";" and even "«" are kept; "؟", "،" and "؛", which Arabic,
# Persian and Urdu are written with, are gone, and so are the marks of Chinese and Hindi. A question has the phonemes of
# a statement, and a comma is no pause, in each text of a corpus. Moreover "كم" ("how many", "how much"), which so many
# questions begin with, is a unit of length to espeak-ng's Arabic voice: it says "kilometre", with a number before it and
# without. With a vowel on it ("كَم") it is the word. The Arabic marks in `punctuation_marks=` are kept. Nothing is logged.
#
# Seen on 2026-11-29 with phonemizer 3.4.0 and espeak-ng 1.52.0 in the wheel espeakng-loader 0.2.4. Source: this output;
# phonemizer/punctuation.py, the default marks; dictsource/ar_list of espeak-ng, which has "كم" among its units only.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet phonemizer==3.4.0 espeakng-loader==0.2.4

cat > "$work/ask.py" <<'PYTHON'
import sys
from importlib.metadata import version

import espeakng_loader
from phonemizer import phonemize
from phonemizer.backend.espeak.wrapper import EspeakWrapper
from phonemizer.punctuation import Punctuation

EspeakWrapper.set_library(espeakng_loader.get_library_path())
EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
ARABIC = "؟،؛"


def say(text, language="ar", **how):
    said = phonemize(text, language=language, backend="espeak", preserve_punctuation=True, **how)
    print(f"{language:6} {text!r:22} {said!r}")
    return said


print("phonemizer", version("phonemizer"), "espeak-ng", ".".join(map(str, EspeakWrapper().version)))
print("default marks:", Punctuation.default_marks())
holds = {}
for latin, arabic in zip("?,;", ARABIC):
    holds[f"{latin} is kept"] = latin in say(f"نعم{latin} لا")
    holds[f"{arabic} is not"] = arabic not in say(f"نعم{arabic} لا")
holds["a question has the phonemes of a statement"] = say("هل أنت بخير؟") == say("هل أنت بخير")
holds["so it is in Persian"] = "؟" not in say("حال شما؟", "fa")
holds["and in Chinese"] = "？" not in say("你好吗？", "cmn")
holds["and of the full stop in Hindi"] = "।" not in say("ठीक।", "hi")
told = say("نعم؟ لا، نعم؛ لا", punctuation_marks=Punctuation.default_marks() + ARABIC)
holds["told the marks, it keeps them"] = all(mark in told for mark in ARABIC)

unit = say("٥ كم").split()[1:]
holds["kilometre after a number"] = "".join(unit).startswith("kiːluː")
holds["kilometre at the beginning of a question"] = say("كم الساعة؟").split()[: len(unit)] == unit
holds["kilometre before what is counted"] = say("كم كتابا قرأت؟").split()[: len(unit)] == unit
holds["with a vowel the word"] = say("كَم الساعة؟").split()[0] == "kam"
for what, is_so in holds.items():
    print("as seen:" if is_so else "CHANGED, not so:", what)
sys.exit(0 if all(holds.values()) else 1)
PYTHON
"$work/venv/bin/python" "$work/ask.py"
