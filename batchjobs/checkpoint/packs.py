"""Staged rows in packs: nobody may ever ask for one of them, and to write a million out takes long.

A plan that is only looked at, of rows that are all new and differ, is summed up as its rows come. One that
is carried out writes them once, where they stay.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from batchjobs.checkpoint.new_rows import NEW_VALUES, NewRows
from batchjobs.checkpoint.records import Row

_ROW_VALUES: Final = f"VALUES ({','.join('?' * len(Row._fields))})"
_PACKS: Final = "SELECT is_new, content FROM temp.packs ORDER BY number"
_encode: Final = msgspec.msgpack.Encoder().encode


class _Names(msgspec.Struct, array_like=True):
    """The beginning of `NewRows`; the rest is passed over."""

    first_position: int
    first_line: int
    ids: list[str]
    places: list[str]


_new_rows: Final = msgspec.msgpack.Decoder(NewRows)
_names: Final = msgspec.msgpack.Decoder(_Names)
_rows: Final = msgspec.msgpack.Decoder(list[Row])


def begin(connection: sqlite3.Connection) -> None:
    """Have no packs."""
    drop(connection)
    connection.execute(
        "CREATE TEMP TABLE packs (number INTEGER PRIMARY KEY, is_new INTEGER, content BLOB)"
    )


def drop(connection: sqlite3.Connection) -> None:
    """Do away with all of it."""
    connection.execute("DROP TABLE IF EXISTS temp.packs")


def add(connection: sqlite3.Connection, rows: NewRows | Sequence[Row]) -> None:
    """Add a pack of rows, which come behind those of all others."""
    is_new = isinstance(rows, NewRows)
    connection.execute("INSERT INTO temp.packs VALUES (NULL, ?, ?)", (is_new, _encode(rows)))


def write_out(connection: sqlite3.Connection, table: str) -> None:
    """Write all rows to the end of a table, in their order.

    Args:
        connection: In a transaction.
        table: Its name; its columns are those of a `Row`.
    """
    for rows in _stream(connection):
        write(connection, table, rows)


def write(connection: sqlite3.Connection, table: str, rows: NewRows | Sequence[Row]) -> None:
    """Write rows into a table, likewise."""
    if isinstance(rows, NewRows):
        connection.executemany(f"INSERT INTO {table} {NEW_VALUES}", rows.list_values())
    else:
        connection.executemany(f"INSERT INTO {table} {_ROW_VALUES}", rows)


def stream_column(connection: sqlite3.Connection, column: str) -> Iterator[Sequence[str]]:
    """Read the ids or the places of all rows; bad ones have no place.

    Args:
        connection: Nothing is written to it meanwhile.
        column: ``id`` or ``place``.
    """
    for is_new, content in connection.execute(_PACKS):
        if is_new:
            names = _names.decode(content)
            yield names.ids if column == "id" else names.places
        else:
            rows = _rows.decode(content)
            texts = [row.id if column == "id" else row.place for row in rows]
            yield [text for text in texts if text is not None]


def _stream(connection: sqlite3.Connection) -> Iterator[NewRows | Sequence[Row]]:
    for is_new, content in connection.execute(_PACKS):
        yield _new_rows.decode(content) if is_new else _rows.decode(content)
