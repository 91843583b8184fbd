"""Books that are harmed, locked or no books are told, and cost nothing."""

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from batchjobs.book import read_book
from batchjobs.errors import ManifestError
from tests.book.epubs import body, change_file, epub2, point
from tests.books import CONTAINER, write_epub, write_zip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"META-INF/encryption.xml": "<a><EncryptedData /></a>"}, "protected"),
        (
            {
                "META-INF/encryption.xml": "<a xmlns:e='x'><e:EncryptedData>"
                "<e:EncryptionMethod Algorithm='aes'/></e:EncryptedData></a>"
            },
            "protected",
        ),
        ({"META-INF/encryption.xml": "<a"}, "damaged"),
        ({"META-INF/container.xml": CONTAINER.replace("OEBPS", "../..")}, "lacks its file"),
        ({"OEBPS/toc.ncx": "<ncx"}, "damaged"),
        ({"OEBPS/toc.ncx": "<!DOCTYPE x [<!ENTITY a 'aa'>]><ncx>&a;</ncx>"}, "damaged"),
        ({"META-INF/container.xml": "<a/>"}, "lacks its file"),
        ({"OEBPS/a.xhtml": body("<img src='x.png'/>")}, "holds no text"),
    ],
)
def test_what_is_no_readable_book_is_told(
    tmp_path: Path, change: dict[str, str], message: str
) -> None:
    """Protected, damaged, made to harm, or of pictures only."""
    path = epub2(
        tmp_path / "a.epub",
        {"a.xhtml": body("<p>x</p>")},
        point("A", "a.xhtml"),
        ["a.xhtml"],
        **change,
    )
    with pytest.raises(ManifestError, match=message):
        read_book(path)


def test_harmed_books_are_told(tmp_path: Path) -> None:
    """Whatever bytes are wrong: our errors only."""
    rng = np.random.default_rng(1)
    whole = write_epub(tmp_path / "a.epub", [("A", ["b c d"] * 20), ("B", ["x"] * 5)]).read_bytes()
    told = 0
    for _ in range(400):
        harmed = bytearray(whole)
        for place in rng.integers(0, len(harmed), rng.integers(1, 6)):
            harmed[place] = rng.integers(0, 256)
        (tmp_path / "b.epub").write_bytes(harmed[: rng.integers(1, 2 * len(harmed))])
        try:
            read_book(tmp_path / "b.epub")
        except ManifestError:
            told += 1
    assert told > 100


def test_a_page_without_end_is_told(tmp_path: Path) -> None:
    """It is not even parsed."""
    path = epub2(tmp_path / "a.epub", {"a.xhtml": body("<p>x</p>")}, "", ["a.xhtml"])
    with pytest.raises(ManifestError, match="longer than any book"):
        read_book(change_file(path, "OEBPS/a.xhtml", b" " * (33 << 20)))


def test_a_locked_archive_is_told(tmp_path: Path) -> None:
    """With a password, or packed as no EPUB is."""
    path = epub2(tmp_path / "a.epub", {"a.xhtml": body("<p>x</p>")}, "", ["a.xhtml"])
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 8] |= 1
    content[content.index(b"PK\x03\x04") + 6] |= 1
    path.write_bytes(content)
    with pytest.raises(ManifestError, match="cannot be unpacked"):
        read_book(path)


def test_scrambled_fonts_are_no_protection(tmp_path: Path) -> None:
    """The text is readable."""
    scrambling = (
        '<encryption><EncryptedData><EncryptionMethod Algorithm="http://www.idpf.org/2008/embedding"/>'
        "</EncryptedData></encryption>"
    )
    path = epub2(
        tmp_path / "a.epub",
        {"a.xhtml": body("<p>x</p>")},
        "",
        ["a.xhtml"],
        **{"META-INF/encryption.xml": scrambling},
    )
    assert read_book(path).chapters[0].text == "x"


def test_a_bomb_and_no_archive_are_told(tmp_path: Path) -> None:
    """Neither is unpacked."""
    bomb = write_zip(tmp_path / "bomb.epub", {"x": "y"})
    content = bytearray(bomb.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 600 * 1024 * 1024)
    bomb.write_bytes(content)
    with pytest.raises(ManifestError, match="more than any book"):
        read_book(bomb)
    (tmp_path / "no.epub").write_bytes(b"no")
    with pytest.raises(ManifestError, match="is no EPUB"):
        read_book(tmp_path / "no.epub")
    with pytest.raises(ManifestError, match="cannot be read"):
        read_book(tmp_path / "none.epub")


def test_a_torn_file_in_an_epub_is_told(tmp_path: Path) -> None:
    """Its checksum says so."""
    path = tmp_path / "a.epub"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/container.xml", CONTAINER)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"<rootfiles>", b"<rootfilez>", 1))
    with pytest.raises(ManifestError, match="cannot be unpacked"):
        read_book(path)
