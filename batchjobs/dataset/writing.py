"""Writes a split piece by piece; what an earlier, killed export has finished is kept."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from batchjobs.dataset.clips import Clip, ClipMaker
from batchjobs.dataset.layout import Entry, Layout, Plan
from batchjobs.dataset.listing import PiecePlan, path_of
from batchjobs.dataset.rows import LeftOut, judge_length
from batchjobs.dataset.samples import Sample, read_lines
from batchjobs.dataset.staging import ClipEntry, Staging, WrittenPiece
from batchjobs.dataset.totals import Totals
from batchjobs.errors import RecordingError


class SplitWriter:
    """Writes the pieces of one split.

    Args:
        plan: The dataset's.
        layout: Its form.
        split: The split.
        pieces: What it has, as they were listed.
        staging: Where it is made.
        maker: Makes the clips.
    """

    def __init__(
        self,
        plan: Plan,
        layout: Layout,
        split: str,
        pieces: Sequence[PiecePlan],
        *,
        staging: Staging,
        maker: ClipMaker,
    ) -> None:
        self._plan = plan
        self._layout = layout
        self._split = split
        self._pieces = pieces
        self._maker = maker
        self._journal = staging.journal(split)
        self._list = path_of(staging.lists, split)

    def write(self, tell: Callable[[int], None]) -> None:
        """Write the pieces that are not there yet, or that would not be the same again.

        Args:
            tell: Called with how many rows were dealt with since it was called last.

        Raises:
            OutputError: A file cannot be created.
            DiskError: The disk failed or is full.
        """
        for number, piece in enumerate(self._pieces):
            written = self._journal.find(number)
            if written is not None and written.digest == piece.digest:
                tell(piece.lines)
            else:
                self._journal.append(self._write_piece(number, piece, tell))

    def read_pieces(self) -> Iterator[WrittenPiece]:
        """Read what was written of every piece."""
        return self._journal.stream(len(self._pieces))

    def read_entries(self) -> Iterator[Entry]:
        """Read the rows whose clips are files, each with its clip."""
        samples = (sample for _, sample in read_lines(self._list))
        for piece in self.read_pieces():
            for written in piece.clips:
                sample = next(each for each in samples if each.number == written.number)
                yield Entry(sample, _clip_of(written), written.path)

    def _write_piece(
        self, number: int, planned: PiecePlan, tell: Callable[[int], None]
    ) -> WrittenPiece:
        totals = Totals()
        clips: list[ClipEntry] = []
        piece = self._layout.begin(self._plan, self._split, number)
        lines = read_lines(self._list, offset=planned.offset)
        for _, sample in itertools.islice(lines, planned.lines):
            clip = self._make_clip(sample, totals)
            if clip is not None:
                path = piece.add(sample, clip)
                totals.add(sample, clip)
                if path:
                    clips.append(_entry_of(sample, clip, path))
            tell(1)
        totals.changed_texts = piece.changed_texts
        return WrittenPiece(
            number=number,
            digest=planned.digest,
            files=list(piece.close()),
            clips=clips,
            totals=totals,
        )

    def _make_clip(self, sample: Sample, totals: Totals) -> Clip | None:
        """Make a sample's clip; None if the sample is left out, which is counted."""
        try:
            clip = self._maker.make(sample)
        except RecordingError:
            totals.leave_out(sample, LeftOut.DAMAGED)
            return None
        reason = judge_length(clip.seconds, self._plan.settings)
        if reason is not None:
            totals.leave_out(sample, reason)
            return None
        return clip


def _entry_of(sample: Sample, clip: Clip, path: str) -> ClipEntry:
    return ClipEntry(
        number=sample.number,
        path=path,
        bytes=clip.size,
        sha256=clip.sha256,
        frames=clip.frames,
        sample_rate=clip.sample_rate,
        is_made=clip.is_made,
    )


def _clip_of(written: ClipEntry) -> Clip:
    return Clip(
        ending=Path(written.path).suffix.removeprefix("."),
        frames=written.frames,
        sample_rate=written.sample_rate,
        size=written.bytes,
        sha256=written.sha256,
        path="",
        is_made=written.is_made,
    )
