"""A CSV manifest's lines on their way to the csv module, with those of the row being read."""

import sys
from collections.abc import Iterable, Iterator, Sequence

from batchjobs.errors import ManifestError
from batchjobs.manifest.source import BOM, ROW_LIMIT_BYTES, decode_lines

MULTILINE_HINT = (
    "close the quote, and double every quote inside a quoted text; "
    "a text that really has such lines can stand in a 'text_file' or in JSON Lines"
)


class Tape:
    """Hands lines on to the csv module, and keeps those of the row it is in.

    Files that were joined have the second one's byte order mark at the start of a row: it is no part
    of the row.

    Args:
        pages: The manifest's lines, many at a time.
        name: The manifest, for messages.

    Attributes:
        name: The manifest, for messages.
        number: How many lines have been read.
        row: The lines of the row so far.
        texts: The lines to come, decoded.

    Raises:
        ManifestError: From `texts`: a line is not UTF-8, or a row has no end.
    """

    __slots__ = (
        "_end",
        "_is_read",
        "_lines",
        "_pages",
        "_size_bytes",
        "name",
        "number",
        "row",
        "texts",
    )

    def __init__(self, pages: Iterable[Sequence[bytes]], name: str) -> None:
        self.name = name
        self.number = 0
        self.row: list[str] = []
        self.texts = self._read()
        self._pages = iter(pages)
        self._lines: Sequence[bytes] = ()
        self._end = 0
        """How many lines will have been read once this page is over."""
        self._is_read = False
        """Whether `texts` is on this page, and at the line that comes next."""
        self._size_bytes = 0

    def _read(self) -> Iterator[str]:
        while lines := self.peek(sys.maxsize):
            self._is_read = True
            texts = decode_lines(lines, self.number + 1, self.name)
            for line, text in zip(lines, texts, strict=True):
                self.number += 1
                if self.row:  # inside a quoted text
                    self._size_bytes += len(line)
                    self._check_size()
                    self.row.append(text)
                    yield text
                else:
                    self._size_bytes = len(line)
                    self.row.append(text.removeprefix(BOM))
                    yield self.row[0]
                if not self._is_read:  # some were passed over
                    break

    def peek(self, most: int) -> Sequence[bytes]:
        """Look between two rows at lines to come, of one page.

        Args:
            most: So many lines at most.

        Returns:
            The lines; none at the end.

        Raises:
            ManifestError: As from reading on.
        """
        if not self._turn_page():
            return ()
        first = len(self._lines) - (self._end - self.number)
        return self._lines[first : first + most]

    def pass_over(self, lines: int) -> None:
        """Go on behind so many of the lines that were looked at."""
        self.number += lines
        self._is_read = False

    def forget(self) -> None:
        """Begin the next row."""
        self.row.clear()

    def _turn_page(self) -> bool:
        """Whether there are more lines, on this page or another one."""
        while self.number == self._end:
            lines = next(self._pages, None)
            if lines is None:
                return False
            self._lines, self._end, self._is_read = lines, self.number + len(lines), False
        return True

    def _check_size(self) -> None:
        if self._size_bytes > ROW_LIMIT_BYTES:
            first = self.number - len(self.row)
            raise ManifestError(
                f"{self.name}:{first}: the row goes on for more than 16 MiB", hint=MULTILINE_HINT
            )
