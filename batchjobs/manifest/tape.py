"""A CSV manifest's lines on their way to the csv module, with those of the row being read."""

from collections.abc import Iterable, Iterator

from batchjobs.errors import ManifestError
from batchjobs.manifest.source import BOM, ROW_LIMIT_BYTES, decode_line

MULTILINE_HINT = (
    "close the quote, and double every quote inside a quoted text; "
    "a text that really has such lines can stand in a 'text_file' or in JSON Lines"
)


class Tape:
    """Hands lines on to the csv module, and keeps those of the row it is in.

    Files that were joined have the second one's byte order mark at the start of a row: it is no part
    of the row.

    Args:
        lines: The manifest's.
        name: The manifest, for messages.

    Attributes:
        name: The manifest, for messages.
        number: How many lines have been read.
        row: The lines of the row so far.
        texts: The lines to come, decoded.

    Raises:
        ManifestError: From `texts`: a line is not UTF-8, or a row has no end.
    """

    __slots__ = ("_size_bytes", "name", "number", "row", "texts")

    def __init__(self, lines: Iterable[bytes], name: str) -> None:
        self.name = name
        self.number = 0
        self.row: list[str] = []
        self.texts = self._read(lines)
        self._size_bytes = 0

    def _read(self, lines: Iterable[bytes]) -> Iterator[str]:
        for line in lines:
            self.number += 1
            self._size_bytes += len(line)
            text = decode_line(line, self.number, self.name)
            if not self.row:  # inside a quoted text the character is the text's
                text = text.removeprefix(BOM)
            self.row.append(text)
            if self._size_bytes > ROW_LIMIT_BYTES:
                first = self.number - len(self.row) + 1
                raise ManifestError(
                    f"{self.name}:{first}: the row goes on for more than 16 MiB",
                    hint=MULTILINE_HINT,
                )
            yield text

    def forget(self) -> None:
        """Begin the next row."""
        self.row.clear()
        self._size_bytes = 0
