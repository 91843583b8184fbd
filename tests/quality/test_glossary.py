"""What was heard in the place of a glossary's terms: near misses, and no ordinary words."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from batchjobs.errors import UsageError
from batchjobs.quality.glossary import HeardTerm, find_misheard, read_glossary

PROSE = Path(__file__).parent.parent / "prose"
GLOSSARY = """\ufeff# products, names, medicines

Kubernetes
Munsit = منصت
Riyadh
أرامكو = Aramco، ارامكوه
كُوبَرْنِيتِس
الأنسولين
البنك المركزي
الذكاء الاصطناعي
المركزي
Public Investment Fund
Claude
Ibuprofen
PostgreSQL
"""


@pytest.fixture
def glossary(tmp_path: Path) -> Path:
    """A file of terms in both languages."""
    path = tmp_path / "terms.txt"
    path.write_text(GLOSSARY, encoding="utf-8")
    return path


def look(glossary: Path, *texts: str) -> dict[str, HeardTerm]:
    """Look for the terms in texts; those of which anything was heard, by name."""
    rows = [(f"r{number}", text) for number, text in enumerate(texts, 1)]
    found = find_misheard(read_glossary(glossary), lambda: rows)
    return {term.term: term for term in found if term.heard_right or term.otherwise}


@pytest.mark.parametrize(
    ("term", "heard"),
    [
        ("Kubernetes", "cubernetes"),
        ("Kubernetes", "Kubernetis"),
        ("Kubernetes", "cuber netties"),
        ("Kubernetes", "coober netes"),
        ("Munsit", "moon sit"),
        ("Munsit", "Mansit"),
        ("Riyadh", "Riyad"),
        ("Riyadh", "Reyad"),
        ("أرامكو", "رامكو"),
        ("أرامكو", "عرامكو"),
        ("أرامكو", "وَأرمكو"),
        ("كُوبَرْنِيتِس", "كيوبرنيتس"),
        ("كُوبَرْنِيتِس", "وكوبرنيتيز"),
        ("كُوبَرْنِيتِس", "كوبر نيتز"),
        ("الأنسولين", "بالانصولين"),
        ("الأنسولين", "الأنسـلين"),
        ("البنك المركزي", "البنك المركذي"),
        ("البنك المركزي", "والبنق المركزي"),
        ("الذكاء الاصطناعي", "بالزكاء الاصطناعي"),
        ("Public Investment Fund", "public investmant fund"),
        ("Claude", "cloude"),
        ("Ibuprofen", "ibu profin"),
    ],
)
def test_a_term_that_was_heard_otherwise_is_found(glossary: Path, term: str, heard: str) -> None:
    """In letters that sound alike, in two words, with "and" or an article before it, marks or tatweel in it."""
    found = look(glossary, f"قال {heard}، then more text", "nothing here")
    assert list(found) == [term]
    (misheard,) = found[term].otherwise
    assert (misheard.heard, misheard.count, misheard.rows) == (heard, 1, ("r1",))


@pytest.mark.parametrize(
    ("term", "heard"),
    [
        ("Kubernetes", "KUBERNETES's"),
        ("Munsit", "منصت"),
        ("Munsit", "munsits"),
        ("أرامكو", "وارامكو"),
        ("أرامكو", "آرامكُو"),
        ("أرامكو", "لأرامكو"),
        ("أرامكو", "aramco"),
        ("الأنسولين", "للأنسولين"),
        ("الأنسولين", "أنســولين"),
        ("الأنسولين", "بالإنسولين"),
        ("البنك المركزي", "والبنكِ المركزيِّ"),
        ("البنك المركزي", "بالبنك المركزي"),
        ("الذكاء الاصطناعي", "الذكاءالاصطناعي"),
        ("Public Investment Fund", "Public-Investment Funds"),
        ("PostgreSQL", "postgre sql"),
    ],
)
def test_a_form_of_a_term_was_heard_right(glossary: Path, term: str, heard: str) -> None:
    """Articles, clitics, hamza's forms, marks, tatweel, plurals, and its other spellings are the term."""
    found = look(glossary, f"قال {heard} اليوم")
    assert {name: (each.heard_right, each.otherwise) for name, each in found.items()} == {
        term: (1, ())
    }


def test_ordinary_text_is_in_no_list(glossary: Path) -> None:
    """Of a novel, fables, news, poems and diaries in both languages, no word is taken for a term."""
    texts = [path.read_text("utf-8") for path in sorted(PROSE.glob("*.txt"))]
    assert sum(len(text.split()) for text in texts) > 25_000
    assert look(glossary, *texts) == {}


def test_terms_are_counted_over_rows_the_most_frequent_first(glossary: Path) -> None:
    """The same hearing in two rows is one, with both; each other one stands by itself."""
    texts = ["رامكو ثم ورامكو", "رامكو. أرامكو", "عرامكو"]
    term = look(glossary, *texts)["أرامكو"]
    assert term.heard_right == 1
    assert [(each.heard, each.count, each.rows) for each in term.otherwise] == [
        ("رامكو", 2, ("r1", "r2")),
        ("عرامكو", 1, ("r3",)),
        ("ورامكو", 1, ("r1",)),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no term"),
        (b"# only a comment\n\n", "no term"),
        (b"good\n= a, b\n", ":2: the term holds no letter or number"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_file_that_is_no_glossary_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    """Nothing to look for, a line without a term, bytes that are no text."""
    path = tmp_path / "terms.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_glossary(path)


def test_spellings_of_a_term_that_stands_twice_are_put_together(tmp_path: Path) -> None:
    """The second line adds to the first; an Arabic comma parts spellings, too."""
    path = tmp_path / "terms.txt"
    path.write_text("نيوم = NEOM، Neum\nنيوم = نيومُ, Nium\n", encoding="utf-8")
    (term,) = read_glossary(path)
    assert _joined(term.spellings) == ["نيوم", "neom", "neum", "nium"]


def _joined(spellings: Sequence[tuple[str, ...]]) -> list[str]:
    return [" ".join(words) for words in spellings]
