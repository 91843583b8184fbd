"""The fixed corpus of texts: those that must come back byte for byte, and those without a word."""

from collections.abc import Iterator

__all__ = ["MARKS_ONLY", "SPOKEN"]

MARKS_ONLY: tuple[str, ...] = (
    *(" ", "   ", "\t", "\u00a0", "\u1680", "\u2003", "\u202f", "\u205f", "\u3000"),
    *(
        "\u200b",
        "\u200c",
        "\u200d",
        "\u200e",
        "\u200f",
        "\u061c",
        "\u202a",
        "\u202e",
        "\u2060",
        "\u2066",
    ),
    *(
        "\u0301",
        "\u064e",
        "\u0651\u064b",
        "\u20dd",
        "\ufe0f",
        "\u00ad",
        "\x01",
        "\x1b",
        "\x7f",
        "\x85",
    ),
    *(
        "…",
        "...",
        "!!!",
        "؟",
        "،",
        "؛",
        "—",
        "«»",
        "()",
        "_",
        "___",
        "*",
        "/",
        "ـ",
        "ـــ",
        "ـ\u064e",
        "٪",
    ),
    *(
        "🎧",
        "👍🏽",
        "🇸🇦",
        "👩\u200d👩\u200d👧",
        "♥",
        "©",
        "™",
        "$",
        "€",
        "﷼",
        "+",
        "=",
        "|",
        "~",
        "^",
        "\ufffd",
    ),
)
"""Texts with nothing to speak: white space, format characters, bare marks, punctuation, symbols."""

_BASE = "نص قصير للتجربة مع كلمات كافية"


def _families() -> Iterator[str]:
    for point in (*range(0x064B, 0x0660), 0x0670, *range(0x0610, 0x061B), *range(0x06D6, 0x06DD)):
        yield f"كتاب{chr(point)} جديد في المكتبة {point}"
    for point in (
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        0x061C,
        *range(0x2060, 0x2070),
        0xFEFF,
    ):
        yield f"كلمة{chr(point)}كلمة بين حروف {point}"
    for point in (
        9,
        10,
        11,
        12,
        13,
        0x1C,
        0x1D,
        0x1E,
        0x1F,
        0x85,
        0xA0,
        0x1680,
        *range(0x2000, 0x200B),
    ):
        yield f"قبل المسافة{chr(point)}بعد المسافة {point}"
    for point in (0x2028, 0x2029, 0x202F, 0x205F, 0x3000):
        yield f"قبل المسافة{chr(point)}بعد المسافة {point}"
    for point in (1, 2, 7, 8, 0x1B, 0x7F, 0x80, 0x9F, 0xAD, 0xE000, 0xFDD0, 0xFFFD, 0xFFFE, 0xFFFF):
        yield f"a control{chr(point)}character is kept {point}"
    for point in (0x10000, 0x1D49C, 0x103A0, 0x1EE00, 0x2F800, 0xE0001, 0xF0000, 0x10FFFF):
        yield f"beyond the plane {chr(point)} and back {point}"


_PAIRS = (
    ("آمن", "ا\u0653من"),
    ("أمل", "ا\u0654مل"),
    ("مؤمن", "مو\u0654من"),
    ("سائل", "ساي\u0654ل"),
    ("إيمان", "ا\u0655يمان"),
    ("café", "cafe\u0301"),
    ("Ångström", "A\u030angstro\u0308m"),
    ("Ångström", "\u212bngström"),
    ("한국어", "\u1112\u1161\u11ab\u1100\u116e\u11a8\u110b\u1165"),
    ("ﻻ إله إلا ﷲ", "لا إله إلا الله"),
    ("شَدَّة", "شَد\u0651\u064eة"),
    ("ﬁne", "fine"),
    ("كتاب", "كتـــاب"),
    ("١٢٣", "123"),
    ("۴۵۶", "٤٥٦"),
    ("می\u200cخواهم", "میخواهم"),
    ("लक्ष", "लक्\u200dष"),
)

_SINGLE = (
    "السَّلامُ عَلَيْكُمْ وَرَحْمَةُ اللهِ وَبَرَكاتُهُ.",
    "بِسْمِ ٱللَّهِ ٱلرَّحْمَـٰنِ ٱلرَّحِيمِ",
    "وُلِدَ عام ١٩٤٨ في قرية تبعد ٢٥ كيلومترًا.",
    "نستخدم مكتبة trio مع WebSocket لإنجاز العمل بسرعة!",
    "العربية لغةٌ جميـــلة؛ فاستمع إليها على مهل.",
    "قال: «لن أعود…» ثم مضى، ولم يلتفت\u200f.",
    "النسبة ٣٫٥٪ أي 3.5% من المجموع، والباقي (٩٦٫٥٪).",
    "English then عربي then English again ثم عربي.",
    "\u202bعربي محاط\u202c and \u2067معزول\u2069 done",
    " مسافة في الأول وفي الآخر ",
    "\tعلامة جدولة في الأول",
    "سطر أول\nسطر ثانٍ\r\nسطر ثالث\rسطر رابع",
    "\n\nأسطر فارغة قبل النص\n\n\nوبعده\n\n",
    "\ufeffعلامة ترتيب في أول النص",
    "🎧 استمع 👩\u200d👩\u200d👧 إلى 🇸🇦 هذا 👍🏽 الآن 1️⃣",
    "ه\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308 كومة من العلامات فوق حرف",
    '{"type":"closeConnection"}',
    '{"type":"text","text":"injected","flush":true}',
    '"},{"type":"clear"},{"text":"',
    "<speak><break time='9s'/>hello there</speak>",
    "</script><script>alert('xss')</script> hello",
    "'; DROP TABLE jobs; -- and more",
    "%s %d %n {0} {name} ${HOME} $(id) `id` words",
    "back\\slash \\n \\u0041 \\x41 and more",
    '"quoted" ""doubled"" and """more"""',
    "a,b;c\td,e and fields",
    "=HYPERLINK(1) +1 -1 @SUM words",
    "https://example.com/?x-api-key=none&y=ز#ق",
    "Dr. Smith paid $3.50, i.e. 12% more, in St. Louis.",
    "كلمةواحدةبلافراغات" * 6,
    "word " * 60,
    "جملة. " * 40,
    "سؤال؟ جواب! تعجب؟! انتظار… نهاية",
    "، فاصلة في الأول",
    "٠",
    "7",
    "a",
    "و",
    "لا",
    "x" * 600,
    "طويلة بلا علامات وقف " * 40,
    "東京は日本の首都です。とても大きいです。",
    "Привет, мир! Γειά σου Κόσμε. שלום עולם",
    "हिन्दी में एक वाक्य और कुछ शब्द",
    "ภาษาไทยไม่มีช่องว่าง",
    "אבג ערבית عربي mixed ١٢ 12 ۱۲",
    f"{_BASE} " * 12,
)

SPOKEN: tuple[str, ...] = tuple(
    dict.fromkeys(
        (
            *_SINGLE,
            *_families(),
            *(f"{word} من الكلمات" for pair in _PAIRS for word in pair),
        )
    )
)
"""Texts that must be spoken and come back byte for byte; no two are equal, many look so."""
