"""CSV: a header, then rows; strict about quotes, because one astray swallows rows."""

import csv
from collections.abc import Iterable, Iterator, Sequence

from batchjobs.formatting import plural
from batchjobs.jobs import BadRow, derive_id
from batchjobs.manifest.csv_header import Header, read_header
from batchjobs.manifest.source import ROW_LIMIT_BYTES
from batchjobs.manifest.stray_quotes import explain_broken_row, refuse_swallowed_rows
from batchjobs.manifest.tape import Tape


def read_csv(lines: Iterable[bytes], name: str) -> Iterator[tuple[int, dict[str, object]] | BadRow]:
    """Read CSV whose first row names the columns.

    Args:
        lines: The manifest's lines.
        name: The manifest, for messages.

    Yields:
        The line on which a row starts, and the row; or what is wrong with it.

    Raises:
        ManifestError: The header is wrong; a line is not UTF-8 or holds a NUL byte; or a quote is
            astray, so that it is open what the rows are.
    """
    # The csv module's limit belongs to the whole process, so it is only ever raised.
    if csv.field_size_limit() < ROW_LIMIT_BYTES:
        csv.field_size_limit(ROW_LIMIT_BYTES)
    tape = Tape(lines, name)
    header = read_header(tape)
    columns, width = header.columns, len(header.columns)
    for line, fields in _records(tape, header.delimiter):
        if isinstance(fields, BadRow):
            yield fields
            continue
        if len(tape.row) > 1 and width > 1:
            refuse_swallowed_rows(tape, line, header, fields)
        if len(fields) == width:
            yield line, dict(zip(columns, fields, strict=True))
        else:
            yield _wrong_width(line, fields, header)


def _records(tape: Tape, delimiter: str) -> Iterator[tuple[int, list[str] | BadRow]]:
    reader = csv.reader(tape.texts, delimiter=delimiter, strict=True)
    while True:
        tape.forget()
        line = tape.number + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield line, explain_broken_row(tape, line, delimiter, error)
        else:
            if not _is_blank(tape, delimiter):
                yield line, fields


def _is_blank(tape: Tape, delimiter: str) -> bool:
    """Say whether the row is a line with nothing on it, or, as Excel has it, with delimiters only.

    Nothing but delimiters and ASCII spaces: a letter that cannot be seen is a mistake.
    """
    return len(tape.row) == 1 and not tape.row[0].strip(f"{delimiter} \t\r\n")


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
