#!/usr/bin/env bash
# EbookLib: the text of a book, chapter by chapter.
#
# One would guess: `for item in book.get_items_of_type(ITEM_DOCUMENT)` gives the chapters as they are read, and
# item.get_content() the file as it is in the EPUB.
#
# It is so: they come in the order of the manifest, a list of files whose order means nothing (often the alphabet's:
# chapter 10 before chapter 2), with the table of contents among them; the order of reading is the spine. And
# get_content() makes another file around a part of the old one. What stands in <body> before its first element is
# not in it: the first line of a chapter whose lines are set off by <br/>, a verse, a dedication. The title in <head>
# is gone, dir="rtl" of an Arabic book is gone, and its language is "en", whatever it was: who chooses a voice by it
# chooses an English one. get_body_content() has the line, and item.content all of the file, as it is. Nothing is logged.
#
# Seen on 2026-11-29 with EbookLib 0.20 and lxml 6.1.3. Source: this output; ebooklib/epub.py, EpubHtml.get_content, which
# copies the elements below <body> and no text of its own, and takes the language of a book that was not told its own.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet EbookLib==0.20 lxml==6.1.3

cat > "$work/read.py" <<'PYTHON'
import sys
import zipfile
from importlib.metadata import version

import ebooklib
from ebooklib import epub
from lxml import etree

HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
CONTAINER = (
    '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
XHTML = 'xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"'
ORDER = ("1", "2", "10")
path = f"{sys.argv[1]}/book.epub"


def chapter(number):
    return (
        f'{HEAD}<!DOCTYPE html>\n<html {XHTML} lang="ar" xml:lang="ar" dir="rtl"><head><title>الفصل {number}</title>'
        f'</head><body dir="rtl">السطر الأول من {number}<br/>السطر الثاني<p>فقرة</p></body></html>'
    )


def package():
    """Give the package file: the manifest in alphabetical order, the spine in that of reading."""
    items = "".join(
        f'<item id="c{number}" href="c{number}.xhtml" media-type="application/xhtml+xml"/>' for number in sorted(ORDER)
    )
    return (
        f'{HEAD}<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="ar">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">urn:x:1</dc:identifier>'
        "<dc:title>كتاب</dc:title><dc:language>ar</dc:language>"
        '<meta property="dcterms:modified">2026-11-29T00:00:00Z</meta></metadata>'
        f'<manifest>{items}<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/></manifest>'
        '<spine page-progression-direction="rtl">' + "".join(f'<itemref idref="c{number}"/>' for number in ORDER)
        + "</spine></package>"
    )


links = "".join(f'<li><a href="c{number}.xhtml">{number}</a></li>' for number in ORDER)
with zipfile.ZipFile(path, "w") as file:
    file.writestr("mimetype", "application/epub+zip")
    file.writestr("META-INF/container.xml", HEAD + CONTAINER)
    file.writestr("book.opf", package())
    file.writestr(
        "nav.xhtml",
        f"{HEAD}<html {XHTML}><head><title>x</title></head>"
        f'<body><nav epub:type="toc"><ol>{links}</ol></nav></body></html>',
    )
    for number in ORDER:
        file.writestr(f"c{number}.xhtml", chapter(number))

print("EbookLib", version("EbookLib"), "lxml", version("lxml"))
book = epub.read_epub(path)
got = [item.get_name() for item in book.get_items_of_type(ebooklib.ITEM_DOCUMENT)]
spine = [book.get_item_with_id(name).get_name() for name, _ in book.spine]
print("documents:", got)
print("spine:    ", spine)
item = book.get_item_with_href("c2.xhtml")
page = etree.fromstring(item.get_content())
text, body = " ".join("".join(page.itertext()).split()), item.get_body_content().decode()
names = {etree.QName(name).localname: value for name, value in page.attrib.items()}
print("get_content():     ", text)
print("  attributes of <html>:", {name: names.get(name) for name in ("lang", "dir")})
print("get_body_content():", " ".join(body.split()))
print("content:           ", item.content.decode()[-100:])
holds = {
    "the documents come in alphabetical order, with the contents": got[:3] == ["c1.xhtml", "c10.xhtml", "c2.xhtml"]
    and "nav.xhtml" in got,
    "the spine is the order of reading": spine == [f"c{number}.xhtml" for number in ORDER],
    "the first line is not in get_content()": "الأول" not in text and "الثاني" in text,
    "nor is the title": "الفصل" not in text,
    "the language is English": names.get("lang") == "en" and "dir" not in names,
    "get_body_content() has the line": "الأول" in body and 'dir="rtl"' in body,
    "the file as it is has all of it": all(word in item.content.decode() for word in ("الأول", "الفصل", 'lang="ar"')),
}
for what, is_so in holds.items():
    print("as seen:" if is_so else "CHANGED, not so:", what)
sys.exit(0 if all(holds.values()) else 1)
PYTHON
"$work/venv/bin/python" -W ignore "$work/read.py" "$work"
