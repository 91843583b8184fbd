#!/usr/bin/env bash
# num2words and Arabic: other currencies, decimals, and round numbers.
#
# One would guess: num2words(5, lang="ar", to="currency", currency="USD") says five dollars, or raises
# NotImplementedError, as it does for a currency that a language does not know. A decimal is spoken with its places,
# as in English ("three point one four one five"). And what one call was asked says nothing about the next one.
#
# It is so: but for the Egyptian, Kuwaiti and Tunisian one each currency is the Saudi one: five dollars, euros or
# dirhams are "خمسة ريالات", five riyals. Half a Kuwaiti dinar, which has 1,000 fils, is "خمسون فلس", fifty of them. A
# decimal is treated as money without a name, with two places: 2.5 is "two , fifty", 3.1415 and 3.14 are the same, 0.05
# is ", five", and of 0.005 nothing is left, an empty text. After one amount in Tunisian dinars (three places) 2.5 is
# "two , five hundred" for the rest of the process: all calls share one converter. 200, 2,000 and 2,000,000 come in the
# form that a noun has to follow ("مئتا", "ألفا", "مليونا"), without a noun; 1,000 and 3,000 are whole. In Persian, beside
# it, 2.05 and 0.005 are "two and a half" and "half". Nothing is raised. What is read aloud, or trained on, are other
# numbers than those that were written.
#
# Seen on 2026-11-29 with num2words 0.5.14. Source: this output; lang_AR.py, set_currency_prefer (its `else`, and
# partPrecision, which to_cardinal does not put back) and decimal_value; lang_FA.py for the Persian.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet num2words==0.5.14

cat > "$work/say.py" <<'PYTHON'
import sys
from importlib.metadata import version

from num2words import num2words

print("num2words", version("num2words"))
holds = {}


def say(number, language="ar", **how):
    said = num2words(number, lang=language, **how)
    print(f"{number!r:9} {language} {' '.join(map(str, how.values())):12} {said!r}")
    return said


def money(amount, currency):
    return say(amount, to="currency", currency=currency)


holds["dollars, euros and dirhams are riyals"] = (
    money(5, "USD") == money(5, "EUR") == money(5, "AED") == money(5, "SR") == "خمسة ريالات"
)
try:
    num2words(5, lang="en", to="currency", currency="XYZ")
except NotImplementedError:
    print("English, a currency that it does not know: NotImplementedError")
else:
    holds["English refuses"] = False
holds["half a Kuwaiti dinar has fifty fils"] = "خمسون فلس" in money(2.5, "KWD")

money(1, "SR")
holds["two and a half: two, fifty"] = "خمسون" in say(2.5)
holds["two places"] = say(3.1415) == say(3.14)
holds["in English there are four"] = say(3.1415, "en").endswith("one four one five")
holds["nothing is left"] = say(0.005) == ""
holds["no nought before it"] = say(0.05).lstrip(" ,") == "خمس"

before = say(2.5)
money(1, "TND")
after = say(2.5)
money(1, "SR")
holds["one amount changes what comes after it"] = "خمسمائة" in after != before
holds["and another one changes it back"] = say(2.5) == before

holds["round numbers without their end"] = [say(200), say(2_000), say(2_000_000)] == ["مئتا", "ألفا", "مليونا"]
holds["others with it"] = [say(1_000), say(3_000)] == ["ألف", "ثلاثة آلاف"]
holds["Persian halves"] = (say(2.05, "fa"), say(0.005, "fa")) == (say(2.5, "fa"), say(0.5, "fa"))
for what, is_so in holds.items():
    print("as seen:" if is_so else "CHANGED, not so:", what)
sys.exit(0 if all(holds.values()) else 1)
PYTHON
"$work/venv/bin/python" "$work/say.py"
