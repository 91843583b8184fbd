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
_encode: Final = msgspec.msgpack.Encoder().encode
_new_rows: Final = msgspec.msgpack.Decoder(NewRows)
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


def _stream(connection: sqlite3.Connection) -> Iterator[NewRows | Sequence[Row]]:
    query = "SELECT is_new, content FROM temp.packs ORDER BY number"
    for is_new, content in connection.execute(query):
        yield _new_rows.decode(content) if is_new else _rows.decode(content)
