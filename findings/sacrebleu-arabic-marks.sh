#!/usr/bin/env bash
# sacrebleu and Arabic punctuation.
#
# One would guess: the tokenizer that sacrebleu takes by itself ("13a") sets punctuation apart from words, and where a
# language needs another one sacrebleu says so, as it does for Chinese and Japanese. So a space more or less before a
# mark, of which speech recognisers and translators each have their habit, costs nothing.
#
# It is so for the marks of ASCII. "؟", "،" and "؛" stay part of the word before them: an Arabic sentence that has each word
# and each mark right, and a space before its marks, has a BLEU of 15 in place of 100. The same sentence with "?" and ","
# has 100. So it is with Persian and Urdu. chrF++ loses as well, since it knows the marks of ASCII alone. tokenize="intl" sets them apart. The
# signature of the score says which was used; nothing warns.
#
# Seen on 2026-11-29 with sacrebleu 2.6.0. Source: this output; sacrebleu/tokenizers/tokenizer_13a.py and tokenizer_re.py,
# whose ranges are of ASCII, and metrics/chrf.py, which takes string.punctuation.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet sacrebleu==2.6.0

cat > "$work/score.py" <<'PYTHON'
import sys

import sacrebleu

print("sacrebleu", sacrebleu.__version__)


def score(text):
    """Score a text against itself with a space before each mark: BLEU as it is, BLEU with "intl", chrF++."""
    apart = "".join(f" {each}" if each in "؟،؛?,;۔" else each for each in text)
    found = (
        sacrebleu.corpus_bleu([apart], [[text]]).score,
        sacrebleu.corpus_bleu([apart], [[text]], tokenize="intl").score,
        sacrebleu.corpus_chrf([apart], [[text]], word_order=2).score,
    )
    print("{!r}: BLEU {:.0f}, with intl {:.0f}, chrF++ {:.0f}".format(text, *found))
    return found


holds = []
for text, is_ascii in (
    ("how are you today, my friend?", True),
    ("كيف حالك اليوم, يا صديقي?", True),
    ("كيف حالك اليوم، يا صديقي؟", False),
    ("هل أنت بخير؟", False),
    ("امروز حال شما چطور است؟", False),
    ("آج آپ کا کیا حال ہے؟", False),
):
    bleu, international, chrf = score(text)
    holds.append(round(international) == 100)
    holds.append(round(bleu) == round(chrf) == 100 if is_ascii else bleu < 90 and chrf < 99)
if not all(holds):
    sys.exit(f"CHANGED, not so: {holds}")
print("as seen: marks of Arabic writing are part of the word before them")
PYTHON
"$work/venv/bin/python" "$work/score.py"
