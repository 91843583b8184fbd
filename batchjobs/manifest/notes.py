"""What reading a manifest passed over or found odd: told with a count, never done in silence."""

import enum
import re
from collections.abc import Iterator
from typing import Final

from batchjobs.formatting import GIVEN_ROWS, plural

_SHOWN: Final = 3
# What Excel, LibreOffice and pandas make of ids such as 1234567890123, 3-1 and 2026-03-01. A plain
# date is not among them: as an id it may be meant.
_NUMBER: Final = r"\d(?:[.,]\d+)?E[+-]\d{2,}"
_MONTH: Final = (
    r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|يناير|فبراير|مارس|[أا]بريل|مايو|يونيو|يوليو"
    r"|[أا]غسطس|سبتمبر|[أا]كتوبر|نوفمبر|ديسمبر)"
)
_DATE: Final = rf"\d{{1,4}}-{_MONTH}(?:-\d{{2,4}})?|{_MONTH}-\d{{2,4}}"
_SLASHED_DATE: Final = r"\d{1,2}/\d{1,2}/(?:\d{2}|\d{4})"
_MOMENT: Final = r"\d{4}-\d{2}-\d{2} 00:00:00"
_SPREADSHEET_ID: Final = re.compile(rf"{_NUMBER}|{_DATE}|{_SLASHED_DATE}|{_MOMENT}", re.IGNORECASE)
SPREADSHEET_ERRORS: Final = frozenset(
    "#NAME? #REF! #VALUE! #DIV/0! #N/A #NUM! #NULL! #SPILL!".split()
)
"""What stands in a cell whose content a spreadsheet took for a formula."""
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""All but tabs and line ends: what tools leave of signs that they have lost, mishkal of full stops."""


class Oddity(enum.Enum):
    """What can be odd about a line of a manifest and yet is no mistake."""

    HEADER_AGAIN = "the header stands again"
    SHORT_ROW = "a row ends before its last fields"
    SPREADSHEET_ID = "an id looks like a number or date that a spreadsheet made"
    DIALECT_UNUSED = "a dialect is named where none can be asked for"
    NEAR_COLUMN = "a column is spelt nearly as one of ours"
    PART_UNREAD = "a group is named, and its part is no number of one"
    CONTROL_CHARACTER = "a text holds a control character"


def is_of_spreadsheet(job_id: str) -> bool:
    """Whether a spreadsheet has made an id of something else."""
    # First what all of them have, at a fraction of the time of the pattern.
    has_sign = "-" in job_id or "/" in job_id or "+" in job_id
    return has_sign and _SPREADSHEET_ID.fullmatch(job_id) is not None


def find_control(text: str) -> str:
    """Name the first control character of a text that is to be spoken; empty if there is none."""
    found = _CONTROL.search(text)
    return f"U+{ord(found[0]):04X}" if found else ""


class Notes:
    """Counts what was odd, and keeps the first lines of each kind."""

    __slots__ = ("_counts", "_first")

    def __init__(self) -> None:
        self._counts: dict[Oddity, int] = {}
        self._first: dict[Oddity, list[tuple[int, str]]] = {}

    def add(self, oddity: Oddity, line: int, shown: str = "") -> None:
        """Count a line.

        Args:
            oddity: What is odd about it.
            line: Its number.
            shown: The value that is odd; empty if the line as a whole is.
        """
        self._counts[oddity] = self._counts.get(oddity, 0) + 1
        first = self._first.setdefault(oddity, [])
        if len(first) < _SHOWN:
            first.append((line, shown))

    def look_at_id(self, job_id: str, line: int) -> None:
        """Count an id if a spreadsheet has made it."""
        if is_of_spreadsheet(job_id):
            self.add(Oddity.SPREADSHEET_ID, line, job_id)

    def tell(self, name: str) -> Iterator[str]:
        """Say what was odd, a sentence a kind.

        Args:
            name: The manifest, for messages.
        """
        for oddity, count in self._counts.items():
            yield f"{name}: {_SENTENCES[oddity](count, self._where(oddity, name))}"

    def _where(self, oddity: Oddity, name: str) -> str:
        unit = "row" if name == GIVEN_ROWS else "line"
        first = self._first[oddity]
        shown = [f"'{value}' on {unit} {line}" if value else f"{line}" for line, value in first]
        if not first[0][1]:
            shown[0] = f"{unit}{'s' * (len(first) > 1)} {shown[0]}"
        more = self._counts[oddity] - len(first)
        return ", ".join(shown) + (f" and {more:,} more" if more else "")


def _tell_headers(count: int, where: str) -> str:
    times = "once more" if count == 1 else f"{count:,} times more"
    return f"the header stands there {times} ({where}), as in files that were joined: passed over"


def _tell_short_rows(count: int, where: str) -> str:
    ends = "row ends" if count == 1 else "rows end"
    return f"{count:,} {ends} before the last columns ({where}): what is missing is taken as empty"


def _tell_spreadsheet_ids(count: int, where: str) -> str:
    looks = "looks like a number or date" if count == 1 else "look like numbers or dates"
    return (
        f"{plural(count, 'id')} {looks} that a spreadsheet made of something else ({where}): "
        "compare with what was there, and format that column as text"
    )


def _tell_dialects(count: int, where: str) -> str:
    names = "names" if count == 1 else "name"
    return (
        f"{plural(count, 'row')} {names} a dialect ({where}), which has no effect over a WebSocket: it"
        ' is asked for only by providers with tts_transport = "http"'
    )


def _tell_near_columns(count: int, where: str) -> str:
    have = "row has" if count == 1 else "rows have"
    return (
        f"{count:,} {have} a column that travels along unread ({where}): if another one was meant, "
        "rename it; the columns are listed in manifests/README.md"
    )


def _tell_parts(count: int, where: str) -> str:
    names = "row names" if count == 1 else "rows name"
    return (
        f"{count:,} {names} a group, and a part that is no whole number from 1 ({where}): they are in "
        "no group's transcript"
    )


def _tell_controls(count: int, where: str) -> str:
    holds = "text holds a control character" if count == 1 else "texts hold control characters"
    return (
        f"{count:,} {holds} ({where}): it is sent as it stands, and nobody can speak it; look at what "
        "wrote it"
    )


_SENTENCES: Final = {
    Oddity.HEADER_AGAIN: _tell_headers,
    Oddity.SHORT_ROW: _tell_short_rows,
    Oddity.SPREADSHEET_ID: _tell_spreadsheet_ids,
    Oddity.DIALECT_UNUSED: _tell_dialects,
    Oddity.NEAR_COLUMN: _tell_near_columns,
    Oddity.PART_UNREAD: _tell_parts,
    Oddity.CONTROL_CHARACTER: _tell_controls,
}
