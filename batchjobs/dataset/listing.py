"""The first look at all rows: which split each is in, what columns there are, how many pieces."""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BufferedWriter
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from batchjobs.dataset.clips import ending_of
from batchjobs.dataset.columns import OwnColumns, Schema
from batchjobs.dataset.layout import Layout
from batchjobs.dataset.rows import Census, LeftOut, Run, stream_samples
from batchjobs.dataset.samples import Sample, read_lines, write_line
from batchjobs.dataset.splits import SharedTexts, Splits, hash_of, normalise_text, text_of_hash
from batchjobs.files.atomic import disk_error
from batchjobs.options.dataset import ExportSettings

_CLIPS_A_PIECE: Final = 256
_BYTES_A_SECOND: Final = 48_000
"""Of a clip that is made anew, roughly: where a shard ends is decided before it is made."""
_TOLD_EVERY: Final = 1_000


class PieceRule:
    """Says where one piece ends and the next begins, by the listed rows alone.

    Args:
        layout: The form.
        settings: How large a shard is to be.
    """

    def __init__(self, layout: Layout, settings: ExportSettings) -> None:
        self._most_rows = _CLIPS_A_PIECE if layout.has_clip_files else 1 << 62
        self._most_bytes = 1 << 62 if layout.has_clip_files else settings.shard_megabytes * 10**6
        self._rows = self._bytes = 0

    def begins(self, sample: Sample) -> bool:
        """Take the next row; say whether a piece begins with it."""
        size = sample.bytes or round(sample.seconds * _BYTES_A_SECOND)
        is_first = not self._rows
        if self._rows >= self._most_rows or self._bytes + size > self._most_bytes:
            is_first, self._rows, self._bytes = True, 0, 0
        self._rows += 1
        self._bytes += size
        return is_first


class PiecePlan(NamedTuple):
    """A piece as it is listed: where in the list it begins, how many lines it has, and their hash."""

    offset: int
    lines: int
    digest: str


@dataclass(slots=True, kw_only=True)
class Listing:
    """What the first look found.

    Attributes:
        census: What was seen of the rows.
        own: The manifests' own columns.
        schema: All columns.
        rows: How many rows are listed in each split.
        pieces: The pieces of each split.
        endings: How many clips have which ending, as they are.
        last_number: The number of the last row.
    """

    census: Census
    own: OwnColumns
    schema: Schema
    rows: dict[str, int] = field(default_factory=dict)
    pieces: dict[str, list[PiecePlan]] = field(default_factory=dict)
    endings: Counter[str] = field(default_factory=Counter)
    last_number: int = 0


def list_rows(
    runs: Sequence[Run],
    settings: ExportSettings,
    layout: Layout,
    splits: Splits,
    *,
    folder: Path,
    progress: Callable[[int], None],
) -> Listing:
    """List the rows of a dataset, a file a split.

    Args:
        runs: Where they are from.
        settings: Which are wanted.
        layout: The form.
        splits: The splits.
        folder: Where the lists are written.
        progress: Called with the number of rows listed so far.

    Raises:
        NoRunError: There is no run in a folder.
        DiskError: The disk failed or is full, or a checkpoint is damaged.
    """
    census = Census()
    own = OwnColumns(is_reserved=layout.is_reserved)
    listing = Listing(census=census, own=own, schema=Schema())
    texts = SharedTexts(splits) if settings.disjoint == "voice" else None
    try:
        with contextlib.ExitStack() as stack:
            lists = [stack.enter_context(path_of(folder, s).open("wb")) for s in splits.names]
            sorter = _Sorter(splits, texts, lists)
            for number, sample in enumerate(stream_samples(runs, settings, own, census)):
                sorter.put(msgspec.structs.replace(sample, number=number))
                if number % _TOLD_EVERY == 0:
                    progress(number)
                listing.last_number = number
        shared = texts.find() if texts is not None else {}
        for place, name in enumerate(splits.names):
            if shared:
                _leave_out_shared(path_of(folder, name), place, shared, census)
            _measure(listing, name, folder, PieceRule(layout, settings))
    except OSError as error:
        raise disk_error(error, folder) from error
    listing.schema = Schema(own=own.columns(), has_runs=len(runs) > 1, has_checks=census.has_checks)
    return listing


def path_of(folder: Path, split: str) -> Path:
    """Give the place of a split's list."""
    return folder / f"{split}.list"


class _Sorter:
    """Writes rows into the lists of their splits."""

    def __init__(
        self, splits: Splits, texts: SharedTexts | None, lists: Sequence[BufferedWriter]
    ) -> None:
        self._splits = splits
        self._texts = texts
        self._lists = lists

    def put(self, sample: Sample) -> None:
        """Write a row."""
        place = 0
        if len(self._lists) > 1:
            text = hash_of(normalise_text(sample.text))
            place = self._splits.choose(text if self._texts is None else hash_of(sample.voice))
            if self._texts is not None:
                self._texts.note(text, place)
        self._lists[place].write(write_line(sample))


def _leave_out_shared(path: Path, split: int, shared: dict[int, int], census: Census) -> None:
    """Write a list again without the rows whose text stays in another split."""
    other = path.with_suffix(".new")
    with other.open("wb") as file:
        for line, sample in read_lines(path):
            text = text_of_hash(hash_of(normalise_text(sample.text)))
            if shared.get(text, split) == split:
                file.write(line)
            else:
                census.left_out[LeftOut.IN_TWO_SPLITS] += 1
    other.replace(path)


def _measure(listing: Listing, split: str, folder: Path, rule: PieceRule) -> None:
    """Count a list's rows and endings, and plan its pieces."""
    pieces: list[PiecePlan] = []
    offset = start = lines = 0
    digest = hashlib.sha256()
    for line, sample in read_lines(path_of(folder, split)):
        if rule.begins(sample) and lines:
            pieces.append(PiecePlan(start, lines, digest.hexdigest()))
            start, lines, digest = offset, 0, hashlib.sha256()
        digest.update(line)
        offset += len(line)
        lines += 1
        listing.endings[ending_of(sample)] += 1
    if lines:
        pieces.append(PiecePlan(start, lines, digest.hexdigest()))
    listing.pieces[split] = pieces
    listing.rows[split] = sum(piece.lines for piece in pieces)
