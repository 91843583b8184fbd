"""CSV: a header, then rows; strict about quotes, because one astray swallows rows."""

import csv
import functools
from collections.abc import Iterable, Iterator, Sequence

from batchjobs.errors import ManifestError
from batchjobs.formatting import plural
from batchjobs.jobs import BadRow, derive_id
from batchjobs.manifest.cells import shorten
from batchjobs.manifest.columns import KNOWN_COLUMNS, SOURCES, is_header, is_other_header
from batchjobs.manifest.csv_header import Header, read_header
from batchjobs.manifest.notes import Notes, Oddity
from batchjobs.manifest.plain_pages import PageJudge, PlainPage, Records
from batchjobs.manifest.source import BOM, ROW_LIMIT_BYTES
from batchjobs.manifest.stray_quotes import explain_broken_row, refuse_swallowed_rows
from batchjobs.manifest.tape import Tape


def read_csv(
    pages: Iterable[Sequence[bytes]], name: str, notes: Notes, judge: PageJudge
) -> Iterator[tuple[int, dict[str, object]] | BadRow | PlainPage]:
    """Read CSV whose first row names the columns.

    Args:
        pages: The manifest's lines, many at a time.
        name: The manifest, for messages.
        notes: Gets what is passed over or odd.
        judge: Judges rows that are plainly good, many at a time.

    Yields:
        The line on which a row starts, and the row; or what is wrong with it; or many that are good.

    Raises:
        ManifestError: The header is wrong; a line is not UTF-8 or holds a NUL byte; or a quote is
            astray, so that it is open what the rows are.
    """
    # The csv module's limit belongs to the whole process, so it is only ever raised.
    if csv.field_size_limit() < ROW_LIMIT_BYTES:
        csv.field_size_limit(ROW_LIMIT_BYTES)
    tape = Tape(pages, name)
    header = read_header(tape)
    width = len(header.columns)
    names = {*KNOWN_COLUMNS, header.columns[0].strip().casefold()}
    for line, fields in _records(tape, header, judge):
        if not isinstance(fields, list):
            yield fields
            continue
        if len(fields) > width:
            _drop_empty_end(fields, width)
        if header.nameless:
            _refuse_nameless(tape, line, fields, header)
        if len(tape.row) > 1 and width > 1:
            refuse_swallowed_rows(tape, line, header, fields)
        if fields[0].strip().casefold() in names and _is_header_again(tape, line, fields, header):
            notes.add(Oddity.HEADER_AGAIN, line)
        else:
            yield _name_fields(tape, line, fields, header, notes)


def _name_fields(
    tape: Tape, line: int, fields: list[str], header: Header, notes: Notes
) -> tuple[int, dict[str, object]] | BadRow:
    """Make a row of fields, one for each column, or say that they are none."""
    missing = len(header.columns) - len(fields)
    if missing:
        if not _ends_early(tape, fields, header.columns):
            return _wrong_width(line, fields, header)
        notes.add(Oddity.SHORT_ROW, line)
        fields = fields + [""] * missing
    row: dict[str, object] = dict(zip(header.columns, fields, strict=True))
    row.pop("", None)
    return line, row


def _records(
    tape: Tape, header: Header, judge: PageJudge
) -> Iterator[tuple[int, list[str] | BadRow | PlainPage]]:
    delimiter = header.delimiter
    reader = csv.reader(tape.texts, delimiter=delimiter, strict=True)
    while True:
        tape.forget()
        line = tape.number + 1
        if page := judge.find_page(line, tape.peek, functools.partial(_split_plainly, header)):
            tape.pass_over(len(page))
            yield line, page
            continue
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, explain_broken_row(tape, line, delimiter, error)
        else:
            if (fields and fields[0].strip()) or not _is_blank(tape, delimiter):
                yield line, fields


def _split_plainly(header: Header, lines: Sequence[bytes]) -> Records | None:
    """Split lines into fields that are a row each; None if anything about them is to be looked at."""
    block = b"".join(lines)
    if header.nameless or b"\0" in block:
        return None
    try:
        text = block.decode()
        if BOM in text:
            return None
        cells = _cut(text, len(lines), header) or _read(lines, header)
    except (UnicodeDecodeError, csv.Error):
        return None
    return None if cells is None else Records(header.columns, cells)


def _cut(text: str, lines: int, header: Header) -> Sequence[Sequence[str]] | None:
    """Cut lines without a quote at their delimiters, in a third of the csv module's time.

    Args:
        text: The lines.
        lines: How many there are.
        header: What comes before them.

    Returns:
        The cells of each column; None if something else than delimiters and ends is to be looked at.
    """
    if '"' in text:
        return None
    if not text.endswith("\n"):
        text += "\n"
    delimiter, width = header.delimiter, len(header.columns)
    fields = text.replace("\n", f"{delimiter}\n{delimiter}").split(delimiter)
    fields.pop()  # what comes behind the last end
    cells = [fields[place :: width + 1] for place in range(width + 1)]
    # Where the ends stand behind equally many fields, each row has as many as the header.
    if len(fields) != lines * (width + 1) or cells.pop().count("\n") != lines:
        return None
    if "\r" in text:
        if [cell[-1:] for cell in cells[-1]].count("\r") != lines:
            return None
        cells[-1] = [cell[:-1] for cell in cells[-1]]
    return cells


def _read(lines: Sequence[bytes], header: Header) -> Sequence[Sequence[str]] | None:
    """Read lines with the csv module.

    Returns:
        The cells of each column; None if the lines are not a row each.

    Raises:
        csv.Error: Their quotes are wrong.
    """
    texts = [line.decode() for line in lines]
    rows = list(csv.reader(texts, delimiter=header.delimiter, strict=True))
    # As many rows as lines: none goes over several.
    if len(rows) != len(lines) or set(map(len, rows)) != {len(header.columns)}:
        return None
    return list(zip(*rows, strict=True))


def _is_blank(tape: Tape, delimiter: str) -> bool:
    """Say whether the row is a line with nothing on it, or, as Excel has it, with delimiters only.

    Nothing but delimiters and ASCII spaces: a letter that cannot be seen is a mistake.
    """
    return len(tape.row) == 1 and not tape.row[0].strip(f"{delimiter} \t\r\n")


def _drop_empty_end(fields: list[str], width: int) -> None:
    """Drop the empty fields behind the header's last column, as spreadsheets write them."""
    while len(fields) > width and not fields[-1].strip(" \t"):
        fields.pop()


def _is_header_again(tape: Tape, line: int, fields: Sequence[str], header: Header) -> bool:
    """Say whether a row is the header, as where files were joined.

    Raises:
        ManifestError: It is a header of other columns: what the rows below it mean, is open.
    """
    if is_header(fields, header.columns):
        return True
    if is_other_header(fields):
        raise ManifestError(
            f"{tape.name}:{line}: another header stands here ({', '.join(fields)}); the one on "
            f"line {header.line} is {', '.join(header.columns)}",
            hint="run these files one by one, or give them the same columns before they are joined",
        )
    return False


def _ends_early(tape: Tape, fields: Sequence[str], columns: Sequence[str]) -> bool:
    """Say whether a row only lacks empty fields at its end, which some spreadsheets leave out.

    What says who it is and what to do has to be there, and the row may be nothing that was cut off
    or that a quote has put together.
    """
    present = dict(zip(columns, fields, strict=False))
    return (
        len(fields) < len(columns)
        and len(tape.row) == 1
        and tape.row[0].endswith(("\n", "\r"))
        and ("id" in present or "id" not in columns)
        and any(present.get(source, "").strip() for source in SOURCES)
    )


def _refuse_nameless(tape: Tape, line: int, fields: Sequence[str], header: Header) -> None:
    """Refuse a value that no column's name says the meaning of.

    Raises:
        ManifestError: There is one.
    """
    for place in header.nameless:
        if place < len(fields) and fields[place].strip():
            raise ManifestError(
                f"{tape.name}:{header.line}: column {place + 1} of the header has no name, and "
                f"line {line} has '{shorten(fields[place])}' in it",
                hint="name it, remove it, or put quotes around a text that holds the delimiter",
            )


def _wrong_width(line: int, fields: Sequence[str], header: Header) -> BadRow:
    many = len(fields) > len(header.columns)
    row: dict[str, object] = dict(zip(header.columns, fields, strict=False))
    return BadRow(
        line=line,
        column="",
        message=f"has {plural(len(fields), 'field')}, "
        f"the header on line {header.line} has {len(header.columns)}",
        hint="put quotes around a text that holds the delimiter"
        if many
        else "an empty field still needs its delimiter",
        id=str(row.get("id") or derive_id({"": list(fields)})),
        row=row,
    )
