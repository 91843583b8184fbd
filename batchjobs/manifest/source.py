"""A manifest's bytes: opened, unpacked, recognised and cut into numbered lines of UTF-8."""

import contextlib
import enum
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count, repeat
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from batchjobs.errors import ManifestError
from batchjobs.files.address import Address
from batchjobs.storage.input_files import InputFiles
from batchjobs.storage.reading import ObjectChangedError

if TYPE_CHECKING:
    from typing_extensions import TypeIs

ROW_LIMIT_BYTES = 16 * 1024 * 1024
"""The longest row: thirty times the longest text of any service."""

BOM = "\ufeff"
"""The byte order mark, as a character; files that were joined have it in their middle."""

_BLOCK_BYTES = 256 * 1024
# gzip's best on a manifest of equal rows is near 1000 : 1, on texts 3 to 10 : 1. A small file may
# be as monotonous as it likes.
_RATIO_LIMIT = 200
_RATIO_FREE_BYTES = 64 * 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW_BITS = 31
_BOM_BYTES = BOM.encode()
_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")


class Form(enum.StrEnum):
    """How a manifest's rows are written."""

    CSV = "csv"
    JSONL = "jsonl"


_FORM_OF_ENDING = {
    ".jsonl": Form.JSONL,
    ".ndjson": Form.JSONL,
    ".csv": Form.CSV,
    ".tsv": Form.CSV,
    ".txt": Form.CSV,
}


Rows: TypeAlias = Iterable[Mapping[str, object]]
"""A program's rows: column to what JSON can hold."""
Source: TypeAlias = Path | Address | BinaryIO | Rows
"""A manifest: its path, its address in a bucket, an open binary stream, or its rows."""


def is_rows(source: str | Source) -> "TypeIs[Rows]":
    """Whether a manifest is neither a path, nor an address, nor a stream."""
    return not isinstance(source, str | Path | Address) and not hasattr(source, "read")


@contextlib.contextmanager
def open_source(
    source: Path | Address | BinaryIO, name: str, files: InputFiles
) -> Iterator[BinaryIO]:
    """Open a manifest for reading; a stream that is open already is left open.

    Args:
        source: The manifest.
        name: What messages call it.
        files: Reads it from a bucket.

    Raises:
        ManifestError: It cannot be opened, or does not stay as it is.
        BatchjobsError: Its store cannot be reached, or refuses.
    """
    if not isinstance(source, Path | Address):
        yield source
        return
    try:
        stream = files.open(source) if isinstance(source, Address) else source.open("rb")
    except FileNotFoundError as error:
        hint = "check the path; '-' reads the standard input"
        raise ManifestError(f"{name}: there is no such file", hint=hint) from error
    except IsADirectoryError as error:
        hint = "name the manifest in it; 'batchjobs scan' makes one of a folder of recordings"
        raise ManifestError(f"{name}: is a folder", hint=hint) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _unreadable(error, name) from error
    except ObjectChangedError as error:
        hint = "run the same command once nobody writes it"
        raise ManifestError(f"{name}: changes while it is read", hint=hint) from error
    with stream:
        yield stream


def _unreadable(error: Exception, name: str) -> ManifestError:
    number = error.errno if isinstance(error, OSError) else None
    reason = os.strerror(number) if number else str(error)
    return ManifestError(f"{name}: cannot be read: {reason}")


def read_blocks(stream: BinaryIO, name: str, *, gzipped: bool) -> Iterator[bytes]:
    """Read a stream block by block, unpacked if it is gzip, without a UTF-8 byte order mark.

    Args:
        stream: Where from.
        name: The manifest, for messages.
        gzipped: Whether its name says that it is gzip; if not, its first bytes tell.

    Yields:
        Blocks of at most 256 KiB, none empty.

    Raises:
        ManifestError: It cannot be read or unpacked, is empty, or is no UTF-8 text at all.
    """
    raw = _read(stream, name)
    head, raw = _peek(raw, len(_GZIP_MAGIC))
    if head.startswith(_GZIP_MAGIC):
        raw = _unpack(raw, name)
    elif head and gzipped:
        raise ManifestError(f"{name}: is not gzip, as its ending says", hint="correct the ending")
    head, raw = _peek(raw, 4)
    _refuse_other_formats(head, name)
    if not head.removeprefix(_BOM_BYTES):
        raise ManifestError(f"{name}: is empty", hint="add a line for every job")
    yield next(raw).removeprefix(_BOM_BYTES)
    yield from raw


def _read(stream: BinaryIO, name: str) -> Iterator[bytes]:
    while True:
        try:
            block = stream.read(_BLOCK_BYTES)
        except (OSError, ValueError) as error:  # ValueError: a stream that was closed
            raise _unreadable(error, name) from error
        if not block:
            return
        yield block


def _peek(blocks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """Look at the first bytes, at least `size` of them if there are as many."""
    head = b""
    while len(head) < size and (block := next(blocks, b"")):
        head += block
    return head, chain((head,), blocks) if head else blocks


class _Gzip:
    """Unpacks gzip of one or more members, a bounded piece at a time."""

    def __init__(self) -> None:
        self._engine = zlib.decompressobj(_GZIP_WINDOW_BITS)
        self.inside_member = False

    def pieces(self, block: bytes) -> Iterator[bytes]:
        """Unpack the next bytes.

        Raises:
            zlib.error: They are no gzip.
        """
        rest, full = block, False
        while rest or full:
            if not self.inside_member:
                rest = rest.lstrip(b"\0")  # members may be padded to whole tape blocks
                if not rest:
                    return
                self._engine = zlib.decompressobj(_GZIP_WINDOW_BITS)
                self.inside_member = True
            piece = self._engine.decompress(rest, _BLOCK_BYTES)
            yield piece
            self.inside_member = not self._engine.eof
            rest = self._engine.unconsumed_tail or self._engine.unused_data
            full = self.inside_member and len(piece) == _BLOCK_BYTES


def _unpack(blocks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Unpack gzip, within a ratio.

    Raises:
        ManifestError: It is damaged, cut off, or grows beyond all measure.
    """
    gzip = _Gzip()
    taken = given = 0
    for block in blocks:
        taken += len(block)
        try:
            for piece in filter(None, gzip.pieces(block)):
                given += len(piece)
                if given > _RATIO_FREE_BYTES and given > _RATIO_LIMIT * taken:
                    raise _bomb(name)
                yield piece
        except zlib.error as error:
            hint = "copy or pack it again"
            raise ManifestError(f"{name}: is damaged gzip: {error}", hint=hint) from error
    if gzip.inside_member:
        raise ManifestError(f"{name}: is cut off: its gzip has no end", hint="copy it again")


def _bomb(name: str) -> ManifestError:
    return ManifestError(
        f"{name}: unpacks to more than {_RATIO_LIMIT} times its size, like a decompression bomb",
        hint="if it is what you want to run, unpack it first",
    )


def _refuse_other_formats(head: bytes, name: str) -> None:
    start = head[:4]
    zeros = [byte == 0 for byte in start]
    # Latin letters in UTF-16 and UTF-32 have a zero at every even or every odd place.
    wide = len(start) == 4 and any(start) and (all(zeros[::2]) or all(zeros[1::2]))
    if wide or start.startswith(_WIDE_BOMS):
        raise ManifestError(
            f"{name}: is UTF-16 or UTF-32, not UTF-8",
            hint="save it as 'CSV UTF-8', or convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW",
        )
    if start.startswith(b"PK\x03\x04"):
        hint = "save the sheet as 'CSV UTF-8'"
        raise ManifestError(f"{name}: is a spreadsheet or zip file", hint=hint)


def recognise_form(
    blocks: Iterator[bytes], name: str, *, ending: str
) -> tuple[Form, Iterator[bytes]]:
    """Tell CSV from JSON Lines, by the ending if it says so, else by the first character.

    Args:
        blocks: The manifest's bytes.
        name: The manifest, for messages.
        ending: Of its name, such as ``.csv``; may be empty.

    Returns:
        The form, and all the blocks.

    Raises:
        ManifestError: Nothing but white space, or one JSON array in place of lines.
    """
    head = next(blocks)
    while not head.strip() and (block := next(blocks, b"")):
        head += block
        _check_length(head, 1, name)
    first = head.lstrip()[:1]
    if not first:
        raise ManifestError(f"{name}: is blank", hint="the first line names the columns")
    whole = chain((head,), blocks)
    if first == b"[" and _FORM_OF_ENDING.get(ending) is not Form.CSV:
        hint = "write an object a line: jq -c '.[]' OLD > NEW"
        raise ManifestError(f"{name}: is a JSON array, not JSON Lines", hint=hint)
    sniffed = Form.JSONL if first == b"{" else Form.CSV
    return _FORM_OF_ENDING.get(ending, sniffed), whole


def split_lines(blocks: Iterator[bytes], name: str, form: Form) -> Iterator[list[bytes]]:
    r"""Cut blocks into lines, each with its own end.

    In CSV a line ends with ``\n``, ``\r\n`` or ``\r``; in JSON Lines with ``\n`` alone. Nothing
    else ends one: U+0085, U+2028 and U+2029 are characters of a text.

    Args:
        blocks: The manifest's bytes.
        name: The manifest, for messages.
        form: Whose line ends.

    Yields:
        The lines in order, those of a block together, the last perhaps without an end.

    Raises:
        ManifestError: A line is longer than `ROW_LIMIT_BYTES`.
    """
    number = 0
    rest = b""
    for block in blocks:
        data = rest + block
        if form is Form.CSV:
            lines = data.splitlines(keepends=True)
            # A \r at the very end may yet turn out to be the first half of an end.
            rest = b"" if data.endswith(b"\n") else lines.pop()
        else:
            *whole, rest = data.split(b"\n")
            lines = [line + b"\n" for line in whole]
        yield lines
        number += len(lines)
        _check_length(rest, number + 1, name)
    if rest:
        yield [rest]


def _check_length(line: bytes, number: int, name: str) -> None:
    if len(line) > ROW_LIMIT_BYTES:
        hint = "if it holds a very long text, put that into a file and name it in 'text_file'"
        raise ManifestError(f"{name}:{number}: the line is longer than 16 MiB", hint=hint)


def decode_lines(lines: Sequence[bytes], first: int, name: str) -> Iterator[str]:
    """Read lines as UTF-8.

    Args:
        lines: Their bytes.
        first: The number of the first, from 1, for messages.
        name: The manifest, for messages.

    Raises:
        ManifestError: As from `decode_line`, once what stands before it has been given.
    """
    if b"\0" in b"".join(lines):
        return map(decode_line, lines, count(first), repeat(name))
    try:
        return iter([line.decode() for line in lines])
    except UnicodeDecodeError:
        return map(decode_line, lines, count(first), repeat(name))


def decode_line(line: bytes, number: int, name: str) -> str:
    """Read a line as UTF-8.

    Args:
        line: Its bytes.
        number: Its number from 1, for messages.
        name: The manifest, for messages.

    Raises:
        ManifestError: It is not UTF-8, or holds a NUL byte.
    """
    if b"\0" in line:
        hint = "remove it; a damaged file or another format has these"
        raise ManifestError(f"{name}:{number}: a NUL byte", hint=hint)
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"{name}:{number}: not UTF-8 at byte {error.start + 1} of the line",
            hint="save it as UTF-8, or convert it, for example: "
            "iconv -f WINDOWS-1256 -t UTF-8 OLD > NEW",
        ) from error
