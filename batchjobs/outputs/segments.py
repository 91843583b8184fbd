"""The files of long jobs: put together from their segments, which have files of their own until then."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from batchjobs.audio.formats import EXACT_ENDINGS
from batchjobs.audio.sndfile import read_span
from batchjobs.checkpoint import SegmentRecord
from batchjobs.errors import RecordingError
from batchjobs.outputs.reuse import check_samples
from batchjobs.outputs.writing import Written, write_samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A segment's place in a job's file.

    Attributes:
        segment: What stands there.
        pause_frames: How much silence follows it.
    """

    segment: SegmentRecord
    pause_frames: int


class SegmentLostError(RecordingError):
    """A segment's samples are not where they were, or not what they were.

    Args:
        segment: The segment.
        reason: What is wrong.
    """

    def __init__(self, segment: SegmentRecord, reason: str) -> None:
        super().__init__(reason)
        self.segment = segment


def assemble(
    folder: Path,
    output: str,
    spans: Sequence[Span],
    *,
    place: Path | None = None,
    go_on: Callable[[], None] = lambda: None,
) -> tuple[Written, tuple[SegmentRecord, ...]]:
    """Put a long job's file together beside its place; its length needs no memory.

    Args:
        folder: The run folder.
        output: The file's path below it.
        spans: Its segments in order, all of one sample rate.
        place: The folder below which those are; None for the run folder.
        go_on: Called every now and then; whatever it raises ends the work, and leaves no file.

    Returns:
        The file, and where its segments stand in it: nowhere if its format is not exact.

    Raises:
        SegmentLostError: A segment is not what it was.
        OutputError: It cannot be created.
        DiskError: The disk failed or is full.
    """
    rate = spans[0].segment.sample_rate
    frames = sum(span.segment.frames + span.pause_frames for span in spans)
    written = write_samples(
        folder, output, _join_spans(place or folder, spans, go_on), frames=frames, sample_rate=rate
    )
    if Path(output).suffix.lower() not in EXACT_ENDINGS:
        return written, ()
    homes: dict[str, SegmentRecord] = {}
    first_frame = 0
    for span in spans:
        home = replace(
            span.segment, path=output, bytes=written.files[0].bytes, first_frame=first_frame
        )
        homes.setdefault(home.key, home)
        first_frame += span.segment.frames + span.pause_frames
    return written, tuple(homes.values())


def _join_spans(folder: Path, spans: Sequence[Span], go_on: Callable[[], None]) -> Iterator[bytes]:
    for span in spans:
        go_on()
        segment = span.segment
        path = folder / segment.path
        pcm = read_span(path, segment.first_frame, segment.frames)
        try:
            yield from check_samples(pcm, segment.pcm_sha256, path)
        except RecordingError as error:
            raise SegmentLostError(segment, error.message) from error
        yield bytes(2 * span.pause_frames)
