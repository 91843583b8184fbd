"""What a book says of itself, as EPUB 2, EPUB 3 and Calibre write it."""

from xml.etree import ElementTree as ET

import pytest

from batchjobs.book.facts import Facts, read_facts


def facts_of(metadata: str) -> Facts:
    """Read the facts of a package document."""
    spaces = 'xmlns:opf="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    return read_facts(ET.fromstring(f"<package {spaces}>{metadata}</package>"))  # ours


@pytest.mark.parametrize(
    ("metadata", "authors", "narrator"),
    [
        ("<dc:creator>فلان</dc:creator><dc:creator>علّان</dc:creator>", ["فلان", "علّان"], ""),
        (
            (
                '<dc:creator opf:role="trl">مترجم</dc:creator><dc:creator opf:role="aut">كاتب</dc:creator>'
                '<dc:creator opf:role="nrt">قارئ</dc:creator>'
            ),
            ["كاتب"],
            "قارئ",
        ),
        (
            (
                '<dc:creator id="a">Ill</dc:creator><dc:creator id="b">Aut</dc:creator>'
                '<meta refines="#a" property="role" scheme="marc:relators">ill</meta>'
                '<meta refines="#b" property="role">http://id.loc.gov/vocabulary/relators/AUT</meta>'
                '<dc:contributor id="c">Reader</dc:contributor><meta refines="#c" property="role">nrt</meta>'
            ),
            ["Aut"],
            "Reader",
        ),
        ('<dc:creator opf:role="edt">Editor</dc:creator>', ["Editor"], ""),
        (
            '<dc:creator opf:role="edt">E</dc:creator><dc:contributor opf:role="Author">A</dc:contributor>',
            ["A"],
            "",
        ),
    ],
)
def test_people_are_known_by_their_roles(metadata: str, authors: list[str], narrator: str) -> None:
    """An illustrator is no author, and who reads it aloud is the narrator."""
    found = facts_of(metadata)
    assert (found.authors, found.others.get("narrator", "")) == (authors, narrator)


@pytest.mark.parametrize(
    ("metadata", "date"),
    [
        ("<dc:date>1865</dc:date>", "1865"),
        ("<dc:date>2011-07-05T00:00:00+00:00</dc:date>", "2011-07-05"),
        ("<dc:date>١٩٥٢</dc:date>", "١٩٥٢"),
        (
            (
                '<dc:date opf:event="conversion">2020-01-01</dc:date>'
                '<dc:date opf:event="publication">1999-05</dc:date>'
            ),
            "1999-05",
        ),
        ('<dc:date opf:event="modification">2020-01-01</dc:date>', ""),
        ('<meta property="dcterms:modified">2020-01-01T00:00:00Z</meta>', ""),
        ('<meta property="dcterms:issued">1988</meta>', "1988"),
        ("<dc:date>0101-01-01T00:00:00+00:00</dc:date>", ""),
    ],
)
def test_the_date_is_when_it_appeared(metadata: str, date: str) -> None:
    """Not when a file was changed or converted."""
    assert facts_of(metadata).others.get("date", "") == date


@pytest.mark.parametrize(
    ("metadata", "series"),
    [
        (
            (
                '<meta name="calibre:series" content="الثلاثية"/>'
                '<meta name="calibre:series_index" content="2.0"/>'
            ),
            ("الثلاثية", "2"),
        ),
        (
            (
                '<meta id="s" property="belongs-to-collection">A Set</meta>'
                '<meta refines="#s" property="collection-type">set</meta>'
                '<meta id="c" property="belongs-to-collection">A Series</meta>'
                '<meta refines="#c" property="collection-type">series</meta>'
                '<meta refines="#c" property="group-position">1.5</meta>'
            ),
            ("A Series", "1.5"),
        ),
        ('<meta name="calibre:series_index" content="1.0"/>', ("", "")),
    ],
)
def test_the_series_is_known(metadata: str, series: tuple[str, str]) -> None:
    """With the book's place in it."""
    others = facts_of(metadata).others
    assert (others.get("series", ""), others.get("series_index", "")) == series


def test_the_main_title_and_the_words_of_a_description_are_taken() -> None:
    """Not the subtitle that stands before it, nor the markup that shops want."""
    found = facts_of(
        '<dc:title id="s">Sub</dc:title><meta refines="#s" property="title-type">subtitle</meta>'
        '<dc:title id="m">Main</dc:title><meta refines="#m" property="title-type">main</meta>'
        "<dc:description>&lt;p&gt;One &amp;amp; two.&lt;/p&gt;&lt;p&gt;ثلاثة.&lt;/p&gt;</dc:description>"
    )
    assert (found.title, found.others["description"]) == ("Main", "One & two. ثلاثة.")
