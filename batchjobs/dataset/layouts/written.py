"""Files beside the clips of a dataset: written whole, and described by size and hash."""

import gzip
import hashlib
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from batchjobs.dataset.layout import WrittenFile
from batchjobs.files.atomic import write_whole

_BYTES_A_WRITE: Final = 1 << 20


def describe_file(folder: Path, path: str) -> WrittenFile:
    """Describe a file of a dataset, which is read once."""
    with (folder / path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return WrittenFile(path, file.tell(), digest.hexdigest())


def write_lines(folder: Path, path: str, lines: Iterable[bytes]) -> WrittenFile:
    """Write lines to a file of a dataset; their number needs no memory."""
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    write_whole(folder / path, _join(lines))
    return describe_file(folder, path)


def compress_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Compress lines with gzip, the same bytes each time."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=buffer, mtime=0) as file:
        for piece in _join(lines):
            file.write(piece)
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _join(lines: Iterable[bytes]) -> Iterator[bytes]:
    page = bytearray()
    for line in lines:
        page += line
        if len(page) >= _BYTES_A_WRITE:
            yield bytes(page)
            page.clear()
    yield bytes(page)
