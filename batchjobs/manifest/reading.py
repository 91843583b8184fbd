"""Manifests: CSV and JSON Lines to jobs, streaming, with errors by line and column."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import BinaryIO

from batchjobs.errors import ManifestError
from batchjobs.jobs import BadRow, Job
from batchjobs.manifest.csv_rows import csv_rows
from batchjobs.manifest.jsonl_rows import jsonl_rows
from batchjobs.manifest.rules import Rules
from batchjobs.manifest.source import Form, blocks_of, lines_of, opened, recognised
from batchjobs.options import Defaults
from batchjobs.providers import Provider

__all__ = ["read_rows"]


def read_rows(
    source: Path | BinaryIO,
    *,
    name: str,
    folder: Path,
    providers: Mapping[str, Provider],
    defaults: Defaults,
    input_root: Path | None = None,
) -> Iterator[Job | BadRow]:
    """Read a manifest row by row; its memory does not grow with the manifest.

    Whether ids and outputs are unique is for the caller to see, who sees them all.

    Args:
        source: The manifest: a path, or an open binary stream. gzip is recognised by its first
            bytes. A path's ending tells CSV (``.csv``, ``.tsv``, ``.txt``) from JSON Lines
            (``.jsonl``, ``.ndjson``); for anything else the first character does.
        name: What messages call it.
        folder: What relative paths in rows are relative to: the manifest's own folder.
        providers: The providers that rows may name, by name.
        defaults: What holds for rows that leave a column empty.
        input_root: A second folder for recordings and text files, tried after `folder`.

    Yields:
        A job for every good row and a `BadRow` for every other, in order.

    Raises:
        ManifestError: The manifest as a whole cannot be read.
        UsageError: The defaults are wrong.
    """
    rules = Rules(folder=folder, input_root=input_root, providers=providers, defaults=defaults)
    rules.check_defaults()
    path = PurePath(source.name.lower()) if isinstance(source, Path) else PurePath()
    gzipped = path.suffix == ".gz"
    ending = PurePath(path.stem).suffix if gzipped else path.suffix
    with opened(source, name) as stream:
        blocks = blocks_of(stream, name, gzipped=gzipped)
        form, blocks = recognised(blocks, name, ending=ending)
        rows = csv_rows if form is Form.CSV else jsonl_rows
        found = False
        for item in rows(lines_of(blocks, name, form), name):
            found = True
            yield item if isinstance(item, BadRow) else rules.judge(*item)
        if not found:
            where = f"{name}:1: there is a header but" if form is Form.CSV else f"{name}: there is"
            raise ManifestError(f"{where} no row", hint="add a line for every job")
