"""What makes no difference between two texts, each step for itself and all of them together."""

import pytest

from batchjobs.quality.normalize import EVERY_STEP, Step, normalize, tokenize

GOLDEN = {
    "السَّلامُ عَلَيْكُمْ وَرَحْمَةُ اللهِ وَبَرَكاتُهُ.": "السلام عليكم ورحمه الله وبركاته",
    "العربية لغةٌ جميـــلة؛ فاستمع إليها على مهل.": "العربيه لغه جميله فاستمع اليها علي مهل",
    "وُلِدَ عام ١٩٤٨ في قرية تبعد ٢٥ كيلومترًا.": "ولد عام 1948 في قريه تبعد 25 كيلومترا",
    "قال: «لن أعود…» ثم مضى، ولم يلتفت\u200f.": "قال لن اعود ثم مضي ولم يلتفت",
    "می\u200cخواهم لا\u200dإله\nإلا الله": "ميخواهم لااله الا الله",
    "مسؤول شيء قراءة آمن مئة ٱلرحمن": "مسوول شي قراه امن 100 الرحمن",
    "ﷲ ﻻ ﺑﻴﺖ": "الله لا بيت",
    "Don\u2019t  stop: it's 1,948 (or ٣٫٥)!": "dont stop its 1948 or 35",
    "naïve café, STRASSE Straße": "naïve café strasse strasse",
    "نستخدم trio مع WebSocket!": "نستخدم trio مع websocket",
    "بلغ و٣ و٢٥": "بلغ 325",
    "؟!… — «»": "",
    "": "",
    "東京 และ": "東 京 และ",
}


@pytest.mark.parametrize("text", GOLDEN)
def test_texts_are_normalised_as_ever(text: str) -> None:
    """Each text has the form that it had when somebody looked at it, and that form stays as it is."""
    assert normalize(text) == GOLDEN[text]
    assert normalize(GOLDEN[text]) == GOLDEN[text]


APART = {
    Step.FORMS: ("ﻻ", "لا"),
    Step.JOINERS: ("می\u200cخواهم", "میخواهم"),
    Step.MARKS: ("كَتَبَ", "كتب"),
    Step.TATWEEL: ("جميـــلة", "جميلة"),
    Step.HAMZA: ("أعود", "اعود"),
    Step.YEH: ("على", "علي"),
    Step.TEH: ("مدرسة", "مدرسه"),
    Step.DIGITS: ("٢٥", "25"),
    Step.CASE: ("Run", "run"),
    Step.PUNCTUATION: ("run!", "run"),
    Step.NUMBERS: ("three", "3"),
}


@pytest.mark.parametrize("step", Step)
def test_each_step_can_be_left_out(step: Step) -> None:
    """With it two spellings are one, without it they are two; the other steps do not do its work."""
    one, other = APART[step]
    # Digits and numbers know each other's values.
    without = EVERY_STEP - {step} - ({Step.NUMBERS, Step.FORMS} if step is Step.DIGITS else set())
    if step is not Step.FORMS:
        without -= {Step.FORMS}
    assert normalize(one) == normalize(other)
    assert normalize(one, without) != normalize(other, without)


def test_words_point_to_the_text_as_it_is_written() -> None:
    """What is missing is shown as it stands in the text, whatever became of it in between."""
    tokens, written = tokenize("وُلِدَ، عام ألف وتسعمئة — 48؛ trio-websocket")
    assert [each.text for each in tokens] == ["ولد", "عام", "190048", "trio", "websocket"]
    assert written[1] == "عام"
    number = tokens[2]
    assert number.is_number
    assert written[number.first : number.last + 1] == ["ألف", "وتسعمئة", "—", "48؛"]
    assert {tokens[3].first, tokens[4].first} == {written.index("trio-websocket")}
