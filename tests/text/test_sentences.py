"""Golden sentences: each text is cut exactly where a reader ends a sentence, and never inside one."""

import pytest

from batchjobs.text import split_messages, split_sentences

GOLDEN = {
    "titles in Arabic": [
        "قالت د. سلمى: نعم.",
        "ثم مضت.",
        "حضر أ.د. سامي الندوة.",
        "وقف م. خالد عند الباب.",
        "سأل أ. هارون عن الكتاب.",
        "أجابت ود. منى صامتة.",
        "كتب د. طه حسين كتابه في باريس.",
        "السيد م. ع. خالد جاء أمس.",
        "لم يحضر د. أحمد و د. عمر.",
        "صرّح د. خالد: «نعم».",
        "قابلتُ «د. ليلى» في المعرض.",
        "هل رأيت (أ. كمال) اليوم؟",
        "لا!",
        "شكرًا يا د. نور.",
    ],
    "references in Arabic": [
        "راجع ص. ١٢ من ج. ٢.",
        "انظر ط. ٢، تحقيق أ. هارون.",
        "ورد في مج. ٣ من الكتاب.",
        "النص في صص. ١٢ و ١٣.",
        "العنوان ص.ب. ١٢٣ الرياض.",
        "انتهى عند ص. ٤٠.",
        "ثم عاد إلى ج. ١، ص. ٩.",
        "هذا في ق. ٥ من المخطوط.",
        "راجع تح. شاكر للنص.",
        "تم.",
    ],
    "eras and names in Arabic": [
        "أكّدت تقارير أ.م. الصادرة اليوم في تمام الساعة 08.45 أن ق.م. وافقت.",
        "ولكن، هل ستنجح م.ت.ف. في ذلك؟",
        "نعم.",
        "ولد سنة ٥٠٠ ق.م. في أثينا.",
        "مات سنة ١٤٤٥ هـ. في مكة.",
        "اجتمعت ج.م.ع. مع جيرانها.",
        "بدأ الدرس ٩ ص. وانتهى ظهرًا.",
        "المسافة ٥ كم. من هنا.",
        "الوزن ٣ كغ. فقط.",
        "ثم ماذا؟",
        "لا شيء.",
    ],
    "numbers in Arabic": [
        "السعر ٢٫١.",
        "ثم صار ٣.٥ ريال.",
        "راجع ٣.٥ و ٤.",
        "بدأ في الساعة ٣.٣٠ مساءً.",
        "النسبة ٩٩.٩٪ تقريبًا.",
        "الإصدار ٢.٠.١ متاح.",
        "قرأ الآية ٥.",
        "ثم قال آمين.",
        "اشتريت iPhone 15.",
        "ثم عدتُ.",
        "المجموع ١٬٠٠٠٫٥ درهم.",
        "كان عمره ٣٠ عامًا.",
        "في عام 1990 جاء.",
        "نما الاقتصاد 2.5 في المئة.",
        "الفصل ٣.",
    ],
    "ellipses in Arabic": [
        "وقف… ثم مشى.",
        "وقف... ثم مشى ببطء.",
        "لا أدري… ربما.",
        "قال: أنا… أنا لا أعرف.",
        "انتظر... لا تذهب!",
        "ما هذا؟!",
        "لا أدري.",
        "«نعم.»",
        "ثم ذهب.",
        "يا سلام!",
    ],
    "with diacritics": [
        "مَرْحَبًا بِكُمْ.",
        "كَيْفَ الحَالُ؟",
        "أَنَا بِخَيْرٍ.",
        "ذَهَبَ الوَلَدُ إِلَى المَدْرَسَةِ.",
        "قَالَ لَهُ: تَعَالَ.",
        "هَذَا لِصٌّ.",
        "فَرَّ.",
        "هو لص.",
        "سافر به.",
        "ثم نام.",
    ],
    "references in English": [
        "See vol. 2 of this set.",
        "Look at fig. 3 and chap. 4, sec. 5, no. 7, p. 9.",
        "It stands in ch. II of the book.",
        "Read pp. 3-4 and vol. IV now.",
        "He cited Smith et al. 2009 for it.",
        "Compare cf. this with that.",
        "It is approx. 5 metres long.",
        "Op. 27 is by Beethoven.",
        "See eq. 4 for more.",
        "He wrote bk. 3 first.",
        "Nos. 5 and 6 are lost.",
        "That was in ca. 1900 or so.",
        "Turn to par. 7 at once.",
        "Some say no.",
        "He left.",
    ],
    "kings and numbers": [
        "Louis XIV. was king.",
        "Henry VIII. ruled long.",
        "It cost 3.50 dollars.",
        "The 2.0.1 release is out.",
        "World War II ended.",
        "It was 1945.",
        "He ran 1.5 km in 4.2 minutes.",
        "At 3.15 p.m. on Monday we met.",
        "Pope Pius IX. died then.",
        "We won.",
    ],
    "names and titles": [
        "J. R. R. Tolkien wrote it.",
        "George W. Bush came.",
        "Mr. Smith met Mrs. Jones.",
        "Prof. Lee and Gen. Roe spoke.",
        "Dr. No is a film.",
        "St. Louis is a city.",
        "He lives in the U.S. now.",
        "The Ph.D. students left.",
        "Smith Jr. came late.",
        "Messrs. Black and White agreed.",
        "Mme. Bovary is a novel.",
        "We saw Mt. Everest.",
        "Is it Lt. Columbo?",
        "Yes!",
        "Use tools, e.g. hammers.",
        "The last one, i.e. this one, is mine.",
        "Apples, pears, etc. are fruit.",
        "Bread, milk, etc.",
        "He went home.",
    ],
    "ellipses in English": [
        "Wait... what is it?",
        "Wait… what was it?",
        "He paused… then he ran.",
        "No… not that.",
        "She said “Go!” and went.",
        'He said "No."',
        "Then he left.",
        "Really?!",
        "I see.",
        "He did not (at all).",
        "Well, yes.",
    ],
    "lists": ["1. Item one.", "2. Item two.", "III. The third.", "Done."],
    "lists in Arabic": ["١. البند الأول.", "٢. البند الثاني.", "أ. الفقرة الأولى.", "انتهى."],
    "Hindi": ["यह एक वाक्य है।", "वह दूसरा वाक्य है।", "क्या यह ठीक है?", "हाँ॥", "ठीक है।", "वह गया।"],
    "Urdu": [
        "یہ ایک جملہ ہے۔",
        "وہ دوسرا جملہ ہے۔",
        "کیا یہ ٹھیک ہے؟",
        "جی ہاں۔",
        "قیمت ۳٫۵ روپے ہے۔",
    ],
    "Armenian": ["Սա նախադասություն է։", "Դա ուրիշ է։", "Այո։"],
    "Amharic": ["ይህ ዓረፍተ ነገር ነው።", "ያ ሌላ ነው።", "አዎ።"],
    "Burmese": ["ဒါက စာကြောင်းပါ။", "ဟုတ်ကဲ့။"],
    "Khmer": ["នេះជាប្រយោគ។", "នោះជាប្រយោគ។"],
    "German": ["Er kam am 3. Mai.", "Das ist z. B. so.", "Siehe S. 5 und Bd. 2 dazu.", "Ja."],
    "French": ["M. Dupont est là.", "C’est fini.", "Vraiment ?", "Oui."],
}
GLUED = {
    "Chinese": ["这是一句话。", "真的吗？", "太好了！", "价格是3.5元。", "他走了。"],
    "Japanese": ["これは文です。", "本当ですか？", "はい！", "終わり。"],
}


def test_there_are_enough_golden_sentences() -> None:
    """A hundred and fifty at least."""
    assert sum(map(len, [*GOLDEN.values(), *GLUED.values()])) >= 150


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_sentences_are_cut_exactly(name: str) -> None:
    """Joined by a space, they come apart again."""
    sentences = GOLDEN[name]
    assert [each.rstrip() for each in split_sentences(" ".join(sentences))] == sentences


@pytest.mark.parametrize("name", GLUED)
def test_golden_sentences_without_spaces_are_cut_exactly(name: str) -> None:
    """As Chinese and Japanese are written."""
    assert split_sentences("".join(GLUED[name])) == GLUED[name]


@pytest.mark.parametrize("sentence", [s for every in GOLDEN.values() for s in every])
def test_a_golden_sentence_alone_is_one(sentence: str) -> None:
    """Whatever language is guessed from it."""
    assert split_sentences(sentence) == [sentence]


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("ثم جاء إلى هنا د. أحمد", 21, ["ثم جاء إلى هنا ", "د. أحمد"]),
        ("كان هذا، ثم جاء د. أحمد", 20, ["كان هذا، ", "ثم جاء د. أحمد"]),
        ("and so, he saw vol. 2 of it", 21, ["and so, ", "he saw vol. 2 of it"]),
    ],
)
def test_a_long_sentence_is_not_cut_after_an_abbreviation(
    text: str, limit: int, expected: list[str]
) -> None:
    """But after another clause, or a word."""
    assert split_messages(text, limit_characters=limit) == expected
