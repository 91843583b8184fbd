#!/usr/bin/env bash
# MeetEval and references in STM as NIST's tools and TED-LIUM have them.
#
# One would guess: STM is NIST's format, the one that sclite reads, so a reference of an older corpus is scored as
# sclite scores it: the label behind the times ("<o,f0,male>") says what kind of speech it is, "{ hello / hallo }" takes
# either word, a word in brackets need not be said, and a stretch marked IGNORE_TIME_SEGMENT_IN_SCORING is left out.
#
# It is so: all of that is words. The label is one in each line that nobody says: a transcript without a mistake has
# a word error rate of a third on utterances of two words. Braces, the slash and both alternatives are five words in place of
# one, and so is the mark of what is to be ignored. Nothing is raised or logged, so the rate looks like that of a weak
# recogniser. What does raise is a line whose channel is a letter and whose begin is a whole second ("2", not "2.0").
# Labels, brackets and braces have to be taken out before.
#
# Seen on 2026-11-29 with meeteval 0.4.3. Source: this output; meeteval/io/stm.py, STMLine.parse: five fields, and what is
# left is the transcript; int(channel) if the begin, not the channel, is digits. NIST's SCTK, doc/infmts.htm, has the
# label and the alternatives.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet meeteval==0.4.3

cat > "$work/score.py" <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

import meeteval

folder = Path(sys.argv[1])
print("meeteval", version("meeteval"))
HEARD = "rec A one 0.0 2.0 hello world\nrec A two 2.0 4.0 good day\n"


def score(what, reference, heard=HEARD):
    """Give errors and words of a transcript against a reference, both in STM."""
    for name, text in (("reference", reference), ("heard", heard)):
        (folder / f"{name}.stm").write_text(text)
    try:
        (rate,) = meeteval.wer.cpwer(folder / "reference.stm", folder / "heard.stm").values()
    except ValueError as error:
        print(f"{what:28} ValueError: {error}".strip())
        return None
    print(f"{what:28} {rate.errors} errors of {rate.length} words, {rate.error_rate:.0%}")
    return rate.errors, rate.length


found = [
    score("plain", HEARD),
    score("with labels", HEARD.replace("hello", "<o,f0,male> hello").replace("good", "<o,f0,female> good")),
    score("with an alternative", HEARD.replace("hello", "{ hello / hallo }")),
    score("with a word that may be left", HEARD.replace("good", "(uh) good")),
    score("with what is to be ignored", HEARD + "rec A gap 4.0 9.0 <o,,> IGNORE_TIME_SEGMENT_IN_SCORING\n"),
    score("with a comment", ";; a comment\n" + HEARD),
    score("with whole seconds", HEARD.replace(".0", ""), HEARD),
    score("the same, channel 1", HEARD.replace(".0", "").replace(" A ", " 1 "), HEARD),
]
if found != [(0, 4), (2, 6), (4, 8), (1, 5), (2, 6), (0, 4), None, (0, 4)]:
    sys.exit(f"CHANGED, not so: {found}")
print("as seen: labels, braces and marks are scored as words")
PYTHON
"$work/venv/bin/python" "$work/score.py" "$work"
