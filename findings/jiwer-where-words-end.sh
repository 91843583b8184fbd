#!/usr/bin/env bash
# jiwer: where a word ends.
#
# One would guess: a word error rate counts what stands between white space, so a transcript in lines, as subtitles and
# most text files are, has the rate of the same words in one line. And RemoveSpecificWords(["من"]), with which
# words that do not matter are left out, removes that word and no part of another one.
#
# It is so: jiwer.wer() cuts at the space alone. A line break, a tab or a no-break space holds two words together: the
# same words in three lines have errors at each line's end, and the fewer words a line has, the more. Two such characters in a
# row are made one space, so a text with empty lines between its lines, or with spaces at their ends, has none: the rate
# hangs on what cannot be seen. And to the transforms by words a vowel of Arabic is the end of a word: "منَع" (he
# forbade) loses its first two letters, a vowel and a letter stay. SubstituteWords, likewise. Nothing is raised.
# RemoveWhiteSpace(replace_by_space=True) before the rest, and vowels taken away before, help.
#
# Seen on 2026-11-29 with jiwer 4.0.0. Source: this output; jiwer/transforms.py: ReduceToListOfListOfWords splits at " ",
# RemoveMultipleSpaces replaces two and more, RemoveSpecificWords and SubstituteWords look for \b.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet jiwer==4.0.0

cat > "$work/words.py" <<'PYTHON'
import sys
from importlib.metadata import version

import jiwer

print("jiwer", version("jiwer"))
WORDS = "بلغ عدد الكتب في المكتبة ألفا ومئتين وهي مفتوحة كل يوم من التاسعة".split()
LINE = " ".join(WORDS)


def lines(between, each=4):
    """Give the words in lines of a few words."""
    return between.join(" ".join(WORDS[start : start + each]) for start in range(0, len(WORDS), each))


def rate(what, reference, **how):
    """Give the word error rate of a transcript that has each word right."""
    found = jiwer.wer(reference, LINE, **how)
    print(f"{what:34} {found:.0%}")
    return found


first = jiwer.Compose([
    jiwer.RemoveWhiteSpace(replace_by_space=True),
    jiwer.RemoveMultipleSpaces(),
    jiwer.Strip(),
    jiwer.ReduceToListOfListOfWords(),
])
holds = {
    "lines of four words": rate("in lines of four words", lines("\n")) > 0.3,
    "lines of two": rate("in lines of two", lines("\n", 2)) > 0.9,
    "tabs": rate("with tabs between", lines("\t")) > 0.3,
    "no-break spaces": rate("with no-break spaces between", lines("\u00a0")) > 0.3,
    "empty lines between": rate("with empty lines between", lines("\n\n")) == 0,
    "spaces at the ends of lines": rate("with a space at each line's end", lines(" \n")) == 0,
    "white space replaced first": rate(
        "in lines, white space replaced", lines("\n"), reference_transform=first, hypothesis_transform=first
    ) == 0,
}
for text, left, replaced in (
    ("خرج من البيت", "خرج البيت", "خرج مِن البيت"),
    ("منَع الدخول", "َع الدخول", "مِنَع الدخول"),
    ("مناسبة", "مناسبة", "مناسبة"),
):
    got = " ".join(jiwer.RemoveSpecificWords(["من"])(text).split())
    other = jiwer.SubstituteWords({"من": "مِن"})(text)
    print(f"without من: {text!r} becomes {got!r}; with another one in its place {other!r}")
    holds[f"{text} without من"] = got == left
    holds[f"{text} with another word for it"] = other == replaced
for what, is_so in holds.items():
    print("as seen:" if is_so else "CHANGED, not so:", what)
sys.exit(0 if all(holds.values()) else 1)
PYTHON
"$work/venv/bin/python" "$work/words.py"
