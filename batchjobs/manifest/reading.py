"""Manifests: CSV and JSON Lines to jobs, streaming, with errors by line and column."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from typing import Final, ParamSpec

from batchjobs.errors import ManifestError
from batchjobs.files.address import Address
from batchjobs.jobs import BadRow, Job
from batchjobs.manifest.csv_rows import read_csv
from batchjobs.manifest.jsonl_rows import read_jsonl, read_mappings
from batchjobs.manifest.notes import Notes
from batchjobs.manifest.plain_pages import PageJudge, PlainPage
from batchjobs.manifest.rules import Rules
from batchjobs.manifest.source import (
    Form,
    Source,
    is_rows,
    open_source,
    read_blocks,
    recognise_form,
    split_lines,
)
from batchjobs.options import Defaults
from batchjobs.providers import Provider
from batchjobs.storage.input_files import InputFiles

_Given = ParamSpec("_Given")


def read_pages(
    source: Source,
    *,
    name: str,
    folder: Path | Address,
    providers: Mapping[str, Provider],
    defaults: Defaults,
    input_root: Path | Address | None = None,
    files: InputFiles | None = None,
    notes: Notes | None = None,
) -> Iterator[Job | BadRow | PlainPage]:
    """Read a manifest, rows that are plainly good many at a time; its memory does not grow with it.

    Whether ids and outputs are unique is for the caller to see, who sees them all.

    Args:
        source: The manifest: a path, an address, an open binary stream, or rows, each as if it were a
            line of JSON Lines. gzip is recognised by its first bytes. A path's ending tells CSV (``.csv``,
            ``.tsv``, ``.txt``) from JSON Lines (``.jsonl``, ``.ndjson``); for anything else the
            first character does.
        name: What messages call it.
        folder: What relative paths in rows are relative to: the manifest's own folder.
        providers: The providers that rows may name, by name.
        defaults: What holds for rows that leave a column empty.
        input_root: A second folder for recordings and text files, tried after `folder`.
        files: Reads what of these is in a bucket.
        notes: Gets what is passed over or odd, for the caller to tell; None if nobody asks.

    Yields:
        In order, a page of rows that are plainly good, a job for another good one, and a `BadRow`.

    Raises:
        ManifestError: The manifest as a whole cannot be read.
        UsageError: The defaults are wrong.
    """
    notes = notes or Notes()
    files = files or InputFiles()
    rules = Rules(
        folder=folder,
        input_root=input_root,
        files=files,
        providers=providers,
        defaults=defaults,
        notes=notes,
    )
    judge = PageJudge(rules)
    if is_rows(source):
        yield from _judge_all(
            read_mappings(source, notes), rules, f"{name}: there is", "give one a job"
        )
        return
    path = PurePath(source.name.lower()) if isinstance(source, Path | Address) else PurePath()
    gzipped = path.suffix == ".gz"
    ending = PurePath(path.stem).suffix if gzipped else path.suffix
    with open_source(source, name, files) as stream:
        blocks = read_blocks(stream, name, gzipped=gzipped)
        form, blocks = recognise_form(blocks, name, ending=ending)
        pages = split_lines(blocks, name, form)
        if form is Form.CSV:
            rows, where = read_csv(pages, name, notes, judge), f"{name}:1: there is a header but"
        else:
            rows, where = read_jsonl(pages, name, notes, judge), f"{name}: there is"
        yield from _judge_all(rows, rules, where, "add a line for every job")


def _unfold(
    read: Callable[_Given, Iterator[Job | BadRow | PlainPage]],
) -> Callable[_Given, Iterator[Job | BadRow]]:
    def read_one_by_one(*given: _Given.args, **named: _Given.kwargs) -> Iterator[Job | BadRow]:
        for item in read(*given, **named):
            if isinstance(item, PlainPage):
                yield from item.list_jobs()
            else:
                yield item

    return read_one_by_one


read_rows: Final = _unfold(read_pages)
"""Reads a manifest as `read_pages` does, row by row: a job for every good row, a `BadRow` for every other."""


def _judge_all(
    rows: Iterable[tuple[int, dict[str, object]] | BadRow | PlainPage],
    rules: Rules,
    where: str,
    hint: str,
) -> Iterator[Job | BadRow | PlainPage]:
    found = False
    for item in rules.look_ahead(rows) if rules.looks_ahead else rows:
        found = True
        yield rules.judge(*item) if isinstance(item, tuple) else item
    if not found:
        raise ManifestError(f"{where} no row", hint=hint)
