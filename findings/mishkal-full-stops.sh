#!/usr/bin/env bash
# mishkal: the full stops of a text that it puts vowels on.
#
# One would guess: a program that adds vowels to Arabic, as one does before speech is made of it, adds vowels. The
# letters, numbers and marks of the text come out as they went in, with a space more or less.
#
# It is so: each full stop, comma, colon and exclamation mark of ASCII comes out as U+0001, a control character, and takes
# the spaces around it along. "2.5" is "2", U+0001, "5", "3:30" and "1,000" likewise; where a sentence ended there is
# no mark that a voice would pause at, and no space. The Arabic marks "،" and "؟" are kept. A terminal shows nothing of it,
# and nothing is raised.
#
# Seen on 2026-11-29 with mishkal 0.4.1 on CPython 3.11. Source: this output; mishkal/tashkeel.py: re.sub with the
# replacement u"\1", which is not a raw string, so no group but the character of that number.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet mishkal==0.4.1 PyArabic==0.6.15 Tashaphyne==0.3.6

cat > "$work/vowels.py" <<'PYTHON'
import sys
from importlib.metadata import version

import mishkal.tashkeel
from pyarabic.araby import strip_tashkeel

print("mishkal", version("mishkal"), "CPython", sys.version.split()[0])
vocalizer = mishkal.tashkeel.TashkeelClass()
holds = {}
for text, lost in (
    ("بلغ السعر 2.5 دولار", "."),
    ("وزنه 1,000 كيلو", ","),
    ("الساعة 3:30", ":"),
    ("ذهب الولد. جاء الرجل.", ".."),
    ("شكرا! نعم", "!"),
    ("www.example.com", ".."),
    ("نعم، شكرا", ""),
    ("كيف حالك؟", ""),
):
    got = vocalizer.tashkeel(text)
    bare = strip_tashkeel(got)
    print(f"{text!r:28} becomes {got!r}")
    kept = all(mark in bare for mark in "،؟" if mark in text)
    alone = not any(pair in bare for pair in (" \x01", "\x01 "))
    holds[text] = bare.count("\x01") == len(lost) and not set(lost) & set(bare) and kept and alone
    letters = [character for character in bare if character.isalnum()]
    assert letters == [character for character in text if character.isalnum()], "other letters, too"
for text, is_so in holds.items():
    print("as seen:" if is_so else "CHANGED, not so:", text)
sys.exit(0 if all(holds.values()) else 1)
PYTHON
"$work/venv/bin/python" -W ignore "$work/vowels.py"
