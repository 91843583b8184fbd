"""The first look at all rows: which split each is in, what columns there are, how many pieces."""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, Self

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
    texts = SharedTexts(splits) if settings.disjoint == "voice" else None

    def begin(split: str) -> "_SplitList":
        return _SplitList(path_of(folder, split), PieceRule(layout, settings))

    number = -1
    try:
        with contextlib.ExitStack() as stack:
            lists = [stack.enter_context(begin(split)) for split in splits.names]
            for sample in stream_samples(runs, settings, own, census):
                number = sample.number
                lists[_choose_split(sample, splits, texts)].add(write_line(sample), sample)
                if number % _TOLD_EVERY == 0:
                    progress(number)
        if texts is not None and (shared := texts.find()):
            lists = [
                _leave_out_shared(path_of(folder, split), place, shared, begin, census)
                for place, split in enumerate(splits.names)
            ]
    except OSError as error:
        raise disk_error(error, folder) from error
    return Listing(
        census=census,
        own=own,
        schema=Schema(own=own.columns(), has_runs=len(runs) > 1, has_checks=census.has_checks),
        rows={name: each.rows for name, each in zip(splits.names, lists, strict=True)},
        pieces={name: each.pieces for name, each in zip(splits.names, lists, strict=True)},
        endings=sum((each.endings for each in lists), Counter()),
        last_number=max(0, number),
    )


def path_of(folder: Path, split: str) -> Path:
    """Give the place of a split's list."""
    return folder / f"{split}.list"


class _SplitList:
    """Writes a split's list, and plans its pieces on the way."""

    def __init__(self, path: Path, rule: PieceRule) -> None:
        self.rows = 0
        self.pieces: list[PiecePlan] = []
        self.endings: Counter[str] = Counter()
        self._file = path.open("wb", buffering=1 << 20)
        self._rule = rule
        self._start = self._offset = self._lines = 0
        self._digest = hashlib.sha256()

    def add(self, line: bytes, sample: Sample) -> None:
        """Write a row."""
        if self._rule.begins(sample) and self._lines:
            self._end_piece()
        self._file.write(line)
        self._digest.update(line)
        self._offset += len(line)
        self._lines += 1
        self.rows += 1
        self.endings[ending_of(sample)] += 1

    def __enter__(self) -> Self:
        """Close the file at the end of a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file, and end the last piece."""
        self._file.close()
        if self._lines:
            self._end_piece()

    def _end_piece(self) -> None:
        self.pieces.append(PiecePlan(self._start, self._lines, self._digest.hexdigest()))
        self._start, self._lines, self._digest = self._offset, 0, hashlib.sha256()


def _choose_split(sample: Sample, splits: Splits, texts: SharedTexts | None) -> int:
    """Choose the split of a row, by its place in `splits`."""
    if len(splits.names) == 1:
        return 0
    text = hash_of(normalise_text(sample.text))
    if texts is None:
        return splits.choose(text)
    place = splits.choose(hash_of(sample.voice))
    texts.note(text, place)
    return place


def _leave_out_shared(
    path: Path,
    split: int,
    shared: dict[int, int],
    begin: Callable[[str], _SplitList],
    census: Census,
) -> _SplitList:
    """Write a list again without the rows whose text stays in another split."""
    whole = path.rename(path.with_suffix(".whole"))
    with begin(path.stem) as left:
        for line, sample in read_lines(whole):
            text = text_of_hash(hash_of(normalise_text(sample.text)))
            if shared.get(text, split) == split:
                left.add(line, sample)
            else:
                census.left_out[LeftOut.IN_TWO_SPLITS] += 1
    whole.unlink()
    return left
