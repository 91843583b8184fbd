"""How loud each chapter is: measured side by side, once, and kept in the checkpoint."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

from batchjobs.audiobook.album import SpokenChapter
from batchjobs.audiobook.blocks import read_blocks
from batchjobs.audiobook.filters import make_frame
from batchjobs.audiobook.meter import Meter, Reading
from batchjobs.checkpoint import Checkpoint, LoudnessRecord
from batchjobs.errors import OutputError, RunLockedError

_METHOD: Final = 2
"""To be raised with every change of what the meter says."""
_LOOK_SECONDS: Final = 0.2
_KEEP_SECONDS: Final = 1.0
"""A kill costs what was measured since; a commit, which is synced, takes some milliseconds."""


class Measuring:
    """Measures the chapters of a run that are not as they were when they were measured last.

    Args:
        folder: The run folder.
        place: The folder below which its results are.
        chapters: Those of the book.

    Attributes:
        open_seconds: How much sound there is to measure.
    """

    def __init__(self, folder: Path, place: Path, chapters: Sequence[SpokenChapter]) -> None:
        self._folder = folder
        self._place = place
        self._chapters = chapters
        self._readings: dict[Path, Reading] = {}
        self._unkept: list[LoudnessRecord] = []
        self._kept_at = time.monotonic()
        self._has_stopped = threading.Event()
        self._seconds = 0.0
        self._turn = threading.Lock()
        self._find_known()
        self._open = {c.path: c for c in chapters if c.path not in self._readings}
        self.open_seconds = sum(chapter.seconds for chapter in self._open.values())

    def run(self, progress: Callable[[float], None]) -> list[Reading]:
        """Measure them, as many at once as there are processors.

        Args:
            progress: Called with the seconds of sound that were measured.

        Returns:
            A reading for each chapter, in order.

        Raises:
            RecordingError: A chapter's file is missing or damaged.
            DiskError: The disk failed or is full.
        """
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as workers:
            waiting = {workers.submit(self._measure, each) for each in self._open.values()}
            try:
                while waiting:
                    done, waiting = wait(waiting, _LOOK_SECONDS, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
                    progress(self._seconds)
                    if time.monotonic() - self._kept_at > _KEEP_SECONDS:
                        self._keep()
            finally:
                self._has_stopped.set()
                workers.shutdown(cancel_futures=True)
                self._keep()
        return [self._readings[chapter.path] for chapter in self._chapters]

    def _measure(self, chapter: SpokenChapter) -> None:
        before = self._identify(chapter.path)
        meter = Meter()
        for block in read_blocks(chapter, chapter.sample_rate):
            if self._has_stopped.is_set():
                return
            meter.push([make_frame(block, chapter.sample_rate)])
            with self._turn:
                self._seconds += len(block) / 2 / chapter.sample_rate
        reading = meter.end()
        with self._turn:
            self._readings[chapter.path] = reading
            if before is not None and before == self._identify(chapter.path):
                self._unkept.append(self._record(before, reading))

    def _identify(self, path: Path) -> tuple[str, int, int] | None:
        """Give a file's path in the run, its size and time; None if it is not there."""
        try:
            state = path.stat()
            return str(path.relative_to(self._place)), state.st_size, state.st_mtime_ns
        except (OSError, ValueError):
            return None  # reading it tells why

    def _record(self, file: tuple[str, int, int], reading: Reading) -> LoudnessRecord:
        path, size, modified_ns = file
        return LoudnessRecord(
            path=path,
            bytes=size,
            modified_ns=modified_ns,
            method=_METHOD,
            peak=reading.peak,
            peak_seconds=reading.peak_seconds,
            counts=reading.counts.astype("<u4").tobytes(),
        )

    def _find_known(self) -> None:
        with Checkpoint.read(self._folder) as checkpoint:
            known = checkpoint.loudness.find_all()
        for chapter in self._chapters:
            file = self._identify(chapter.path)
            record = known.get(file[0]) if file else None
            if record is None or record.method != _METHOD:
                continue
            if (record.path, record.bytes, record.modified_ns) == file:
                self._readings[chapter.path] = Reading(
                    counts=np.frombuffer(record.counts, "<u4"),
                    peak=record.peak,
                    peak_seconds=record.peak_seconds,
                )

    def _keep(self) -> None:
        """Write what was measured into the checkpoint, unless a run holds it or it is read-only."""
        with self._turn:
            records, self._unkept = self._unkept, []
        self._kept_at = time.monotonic()
        if records:
            with suppress(RunLockedError, OutputError), Checkpoint.open(self._folder) as checkpoint:
                checkpoint.keep_loudness(records)
