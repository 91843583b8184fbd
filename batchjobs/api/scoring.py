"""Scores of clips by a model of listeners, each computed once."""

import concurrent.futures
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from batchjobs.api.hearing import Clip
from batchjobs.checkpoint import Checkpoint, SpeechScores
from batchjobs.errors import RecordingError
from batchjobs.quality.dnsmos import Dnsmos


class ClipScorer:
    """Scores clips, or finds what they were scored before.

    Args:
        looking: The run's checkpoint, which knows what was scored.
        computes: Whether clips without a score get one.
        progress: Called with the number of clips scored so far.

    Raises:
        MissingExtraError: Scores are to be computed, and the extra ``quality`` is not installed.
    """

    def __init__(
        self,
        looking: Checkpoint,
        *,
        computes: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self._looking = looking
        self._model = Dnsmos() if computes else None
        self._progress = progress
        self._has_any = looking.checks.has_any()
        self._count = 0

    def score(self, clips: Sequence[Clip]) -> list[SpeechScores | None]:
        """Score clips side by side, a thread a core; None where there is no score."""
        found = [self._find_known(clip) for clip in clips]
        if self._model is None:
            return found
        missing = [number for number, scores in enumerate(found) if scores is None]
        unknown = [clips[number] for number in missing]
        with (
            self._looking.shelf.holding(clip.path for clip in unknown) as place,
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
        ):
            for number, scores in zip(
                missing, pool.map(functools.partial(self._compute, place), unknown), strict=True
            ):
                found[number] = scores
        self._count += len(clips)
        if self._progress is not None:
            self._progress(self._count)
        return found

    def _find_known(self, clip: Clip) -> SpeechScores | None:
        if not self._has_any:
            return None
        for record in self._looking.checks.find_takes(clip.row_id):
            if record.sha256 == clip.sha256 and record.signs is not None:
                return record.signs.scores
        return None

    def _compute(self, place: Path, clip: Clip) -> SpeechScores | None:
        assert self._model is not None
        try:
            return self._model.score(place / clip.path)
        except RecordingError:
            return None  # whoever hears it says why it cannot be read
