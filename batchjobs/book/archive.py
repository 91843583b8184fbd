"""An EPUB's archive: bounded, opened without harm, its files as bytes, text or XML."""

import codecs
import html.entities
import lzma
import posixpath
import re
import unicodedata
import zipfile
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from batchjobs.book.letters import clean_letters
from batchjobs.errors import ManifestError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from xml.etree.ElementTree import Element

_ENCRYPTION: Final = "META-INF/encryption.xml"
_FONT_SCRAMBLING: Final = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_MOST_BYTES: Final = 512 * 1024 * 1024
_MOST_PAGE_BYTES: Final = 32 * 1024 * 1024
"""Ten times the Bible: a page that is longer is made to harm."""
_MOST_FILES: Final = 20_000
_ENTITY: Final = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_OF_XML: Final = frozenset(["amp", "lt", "gt", "quot", "apos"])
_STRAY_AMPERSAND: Final = re.compile(r"&(?!#?\w+;)")
_ENCODING: Final = re.compile(
    rb"""^\s*<\?xml[^>]*encoding\s*=\s*["']([\w.:-]+)["']"""
    rb"""|(?i:<meta\b[^>]{0,200}\bcharset\s*=\s*["']?\s*([\w.:-]+))"""
)
_HEAD_BYTES: Final = 2_048
"""Where a page says its encoding."""
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_NOT_ASCII: Final = re.compile(rb"[\x80-\xff]")
_CALLED_LATIN: Final = frozenset(["iso8859-1", "ascii"])
"""What is declared as these is windows-1252 to every browser: quotation marks stand in it."""
_CHECK: Final = "it is damaged: fetch it again, or open and save it in Calibre or Sigil"


@contextmanager
def open_archive(path: Path) -> "Iterator[Archive]":
    """Open a book's archive.

    Raises:
        ManifestError: It is none, is damaged, protected, or unpacks to more than any book.
    """
    try:
        with zipfile.ZipFile(path) as file:
            yield Archive(path, file)
    except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} is no EPUB: {error}", hint="check the file") from error
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror or error}") from error


class Archive:
    """The files of a book. Nothing is unpacked to the disk, so no name leads out of it.

    Args:
        path: For messages.
        file: The open archive.

    Raises:
        ManifestError: It unpacks to more than any book, or is protected.
    """

    def __init__(self, path: Path, file: zipfile.ZipFile) -> None:
        self.path = path
        self._file = file
        infos = file.infolist()
        if len(infos) > _MOST_FILES or sum(info.file_size for info in infos) > _MOST_BYTES:
            raise self.error("unpacks to more than any book", "check where it comes from")
        self.names = frozenset(info.filename for info in infos)
        self._by_folded_name: dict[str, list[str]] = {}
        for name in sorted(self.names):
            self._by_folded_name.setdefault(_fold_name(name), []).append(name)
        self._refuse_protected()

    def find(self, name: str) -> str:
        """Find a file that may be written another way: in Unicode form, case, escapes or slashes.

        Returns:
            Its name in the archive; the one given, if there is none or more than one.
        """
        if name in self.names:
            return name
        found = self._by_folded_name.get(_fold_name(name), [])
        return found[0] if len(found) == 1 else name

    def error(self, message: str, hint: str = _CHECK) -> ManifestError:
        """Make an error about this book."""
        return ManifestError(f"{self.path} {message}", hint=hint)

    def read(self, name: str) -> bytes:
        """Read a file of the archive.

        Raises:
            ManifestError: It is not there, or damaged.
        """
        try:
            # No more than the archive says, which was added up: a lie about it ends here.
            with self._file.open(name) as file:
                return file.read(self._file.getinfo(name).file_size)
        except KeyError as error:
            raise self.error(f"lacks its file '{name}'") from error
        except RuntimeError as error:  # also NotImplementedError, of rare methods
            raise self.error(
                f"cannot be unpacked: {error}", "give a book without a password, packed as EPUB is"
            ) from error
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError) as error:
            raise self.error(f"cannot be unpacked: '{name}': {error}") from error

    def text(self, name: str) -> str:
        """Read a page, in the encoding that it says, if that can be; UTF-8 if it says none.

        Raises:
            ManifestError: It is in another, or longer than any page.
        """
        content = self.read(name)
        if len(content) > _MOST_PAGE_BYTES:
            raise self.error(f"has a page longer than any book: '{name}'", "split it")
        encoding = _find_encoding(content)
        try:
            return content.decode(encoding)
        except (LookupError, ValueError) as error:
            # Replacement characters would be bought and spoken: better none.
            raise self.error(
                f"has a page that is not '{encoding}', as it should be: '{name}'",
                "open and save it in Calibre or Sigil",
            ) from error

    def xml(self, name: str) -> "Element":
        """Read a file as XML. HTML's named characters are known; other entities are refused.

        Raises:
            ManifestError: It is damaged, or made to harm.
            MissingExtraError: The extra ``book`` is not installed.
        """
        try:
            from defusedxml import DefusedXmlException, ElementTree
        except ImportError as error:
            raise MissingExtraError(
                "reading an EPUB", package="defusedxml", extra="book"
            ) from error
        try:
            root: Element = ElementTree.fromstring(
                _STRAY_AMPERSAND.sub("&amp;", _ENTITY.sub(_write_entity, self.text(name)))
            )
        except (ElementTree.ParseError, DefusedXmlException, ValueError) as error:
            raise self.error(f"has a damaged '{name}': {error}") from error
        return root

    def _refuse_protected(self) -> None:
        if _ENCRYPTION not in self.names:
            return
        for each in all_below(self.xml(_ENCRYPTION), "EncryptedData"):
            methods = [m.get("Algorithm", "") for m in all_below(each, "EncryptionMethod")]
            if not methods or not all(m in _FONT_SCRAMBLING for m in methods):
                raise self.error("is protected (DRM)", "only books without protection can be read")


def _fold_name(name: str) -> str:
    """Write a file's name so that all its spellings are one."""
    with suppress(UnicodeError):  # an entry without its UTF-8 flag is read as code page 437
        name = name.encode("cp437").decode("utf-8")
    path = posixpath.normpath(unquote(name).replace("\\", "/"))
    return unicodedata.normalize("NFC", path.lstrip("/")).casefold()


def _find_encoding(content: bytes) -> str:
    """Find a page's encoding: what its first bytes prove goes before what it declares."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return encoding
    declared = _ENCODING.search(content[:_HEAD_BYTES])
    said = (declared[1] or declared[2]).decode("ascii") if declared else "utf-8"
    try:
        name = codecs.lookup(said).name
    except LookupError:
        return said
    # The declaration was read as ASCII, so the page is not in 16 or 32 bits a letter.
    if name.startswith(("utf-16", "utf-32")) or (_NOT_ASCII.search(content) and _is_utf8(content)):
        return "utf-8"
    return "cp1252" if name in _CALLED_LATIN else said


def _is_utf8(content: bytes) -> bool:
    """Say whether bytes are UTF-8: those of another encoding are not, by chance, for a page."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _write_entity(found: re.Match[str]) -> str:
    """Write a named character of HTML as XML does, which knows five."""
    if found[1] in _OF_XML:
        return found[0]
    meant = html.entities.html5.get(f"{found[1]};")
    return found[0] if meant is None else "".join(f"&#{ord(c)};" for c in meant)


def local_name(element: "Element") -> str:
    """Give an element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def all_below(root: "Element", name: str) -> "Iterator[Element]":
    """Give every element of a name, whatever its namespace, in the document's order."""
    return (element for element in root.iter() if local_name(element) == name)


def attribute_of(element: "Element", name: str) -> str:
    """Give an attribute whatever its namespace."""
    found: Mapping[str, str] = element.attrib
    return next((v for k, v in found.items() if k.rpartition("}")[2] == name), "")


def text_of(element: "Element") -> str:
    """Give the text of an element and those in it, on one line."""
    return " ".join(clean_letters("".join(element.itertext())).split())
