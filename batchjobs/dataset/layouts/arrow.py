"""Parquet, written by pyarrow: types of columns, row groups, and what `datasets` reads of a file."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batchjobs.dataset.columns import Column, ColumnKind
from batchjobs.errors import MissingExtraError
from batchjobs.files.atomic import disk_error

if TYPE_CHECKING:
    import pyarrow as pa

_ROW_GROUP_BYTES: Final = 16 * 1024 * 1024
_ROW_GROUP_ROWS: Final = 1_000
"""Small: a reader that wants one row takes its group into memory."""


def check_extra() -> None:
    """See that pyarrow is there.

    Raises:
        MissingExtraError: It is not.
    """
    try:
        import pyarrow as pa  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "exporting to this form", package="pyarrow", extra="dataset"
        ) from error


def features_of(columns: Sequence[Column], *, has_audio: bool) -> dict[str, dict[str, str]]:
    """Describe columns as `datasets` does; without a rate for the sound, which would resample it."""
    features = {name: {"dtype": kind.value, "_type": "Value"} for name, kind in columns}
    return ({"audio": {"_type": "Audio"}} if has_audio else {}) | features


class TableWriter:
    """Writes a table row by row; its length needs no memory.

    Args:
        path: The file, which is not there yet.
        columns: Its columns.
        audio: Whether a clip's content stands before them.
        first: The name of a text column before them, if there is one.
    """

    def __init__(
        self, path: Path, columns: Sequence[Column], *, audio: bool = False, first: str = ""
    ) -> None:
        import pyarrow.parquet as pq

        named = (Column(first, ColumnKind.TEXT),) if first else ()
        self._columns = [*named, *columns]
        self._path = path
        self._rows: list[Sequence[object]] = []
        self._contents: list[bytes] = []
        self._names: list[str] = []
        self._size = 0
        self._has_audio = audio
        self._schema = _make_schema(self._columns, has_audio=audio)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._writer = pq.ParquetWriter(
                path,
                self._schema,
                # Sound does not get smaller, nor does it repeat.
                compression=_choose_compression(self._columns),
                use_dictionary=[name for name, kind in self._columns if kind is ColumnKind.TEXT],
                write_statistics=[name for name, _ in self._columns],
            )
        except OSError as error:
            raise disk_error(error, path) from error

    def add(self, values: Sequence[object], content: bytes = b"", name: str = "") -> None:
        """Write a row.

        Args:
            values: Of the columns, in their order.
            content: The clip's file.
            name: Its bare name.
        """
        self._rows.append(values)
        self._contents.append(content)
        self._names.append(name)
        self._size += len(content)
        if self._size >= _ROW_GROUP_BYTES or len(self._rows) >= _ROW_GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        self._flush()
        try:
            self._writer.close()
        except OSError as error:
            raise disk_error(error, self._path) from error

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._rows:
            return
        arrays = [
            pa.array(values, field.type)
            for values, field in zip(
                zip(*self._rows, strict=True), list(self._schema)[self._has_audio :], strict=True
            )
        ]
        if self._has_audio:
            kind = self._schema.field("audio").type
            contents = pa.array(self._contents, pa.binary())
            names = pa.array(self._names, pa.string())
            arrays.insert(0, pa.StructArray.from_arrays([contents, names], fields=list(kind)))
        try:
            self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        except OSError as error:
            raise disk_error(error, self._path) from error
        self._rows, self._contents, self._names, self._size = [], [], [], 0


def _make_schema(  # type: ignore[no-any-unimported]  # pyarrow has no types
    columns: Sequence[Column], *, has_audio: bool
) -> "pa.Schema":
    import pyarrow as pa

    kinds = {
        ColumnKind.TEXT: pa.string(),
        ColumnKind.WHOLE: pa.int64(),
        ColumnKind.NUMBER: pa.float64(),
        ColumnKind.FLAG: pa.bool_(),
    }
    fields = [pa.field(name, kinds[kind]) for name, kind in columns]
    metadata: Mapping[str, str] = {}
    if has_audio:
        # Exactly this: with large types, other names or another order it loads as plain bytes.
        audio = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        fields.insert(0, pa.field("audio", audio))
        info = {"info": {"features": features_of(columns, has_audio=True)}}
        metadata = {"huggingface": json.dumps(info)}
    return pa.schema(fields, metadata=metadata)


def _choose_compression(columns: Sequence[Column]) -> dict[str, str]:
    return {name: "snappy" for name, _ in columns} | {"audio.bytes": "none", "audio.path": "snappy"}
