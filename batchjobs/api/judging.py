"""What was heard of a run's clips, held against their texts: a verdict for each."""

import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Final, Self

import msgspec

from batchjobs.api.hearing import Clip, Heard, stream_heard
from batchjobs.api.scoring import ClipScorer
from batchjobs.checkpoint import CheckRecord, CheckVerdict, ClipSigns, JobRecord, SpeechScores
from batchjobs.errors import RecordingError
from batchjobs.files.shelf import Shelf
from batchjobs.quality.compare import Comparison, compare
from batchjobs.quality.normalize import Step
from batchjobs.quality.signs import measure_clip
from batchjobs.quality.verdicts import (
    Hearing,
    Judgement,
    Recogniser,
    doubt_judgement,
    weigh_signs,
)
from batchjobs.quality.voices import Voices

_IN_MEMORY_BYTES: Final = 16 * 1024 * 1024
_LENGTH_BYTES: Final = 4
_CER_WEIGHT: Final = 10.0
_MEASURED_AT_ONCE: Final = 16
"""So many clips are brought at a time, if they are in a bucket."""
_SCORED_AT_ONCE: Final = 32


class _Note(msgspec.Struct, frozen=True, array_like=True):
    """A clip with what was heard of it, as it waits until all are there."""

    clip: Clip
    heard: Heard
    comparison: Comparison | None
    signs: ClipSigns | None

    @property
    def hearing(self) -> Hearing:
        """What is to be judged."""
        return Hearing(
            group=self.clip.voice,
            comparison=self.comparison,
            signs=self.signs,
            trouble=self.heard.trouble,
        )


class _Notes(AbstractContextManager["_Notes"]):
    """Notes one after the other, in a file once they are many: read more than once."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES)  # noqa: SIM115  # closed by us
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(_Note)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, note: _Note) -> None:
        content = self._encoder.encode(note)
        self._file.write(len(content).to_bytes(_LENGTH_BYTES, "big") + content)

    def __iter__(self) -> Iterator[_Note]:
        self._file.seek(0)
        while head := self._file.read(_LENGTH_BYTES):
            yield self._decoder.decode(self._file.read(int.from_bytes(head, "big")))


class Judge:
    """Judges a run's clips, and later the takes that are bought in their place, by one measure.

    Args:
        shelf: Where the run's clips stand.
        steps: What makes no difference between two texts.
        scorer: Knows, or computes, what listeners would say.
    """

    def __init__(self, shelf: Shelf, steps: frozenset[Step], scorer: ClipScorer) -> None:
        self._shelf = shelf
        self._folder = shelf.folder
        self._scorer = scorer
        self._steps = steps
        self._voices = Voices()
        self._numbers: dict[str, int] = {}
        self._recogniser = Recogniser()

    def measure(self, clips: Iterable[Clip]) -> None:
        """Measure clips, those that can be read; one that was measured is not measured again."""
        waiting = (clip for clip in clips if clip.sha256 not in self._numbers)
        while batch := list(islice(waiting, _MEASURED_AT_ONCE)):
            with self._shelf.holding(clip.path for clip in batch) as place:
                for clip in batch:
                    self._measure(clip, place / clip.path)

    def _measure(self, clip: Clip, path: Path) -> None:
        if clip.sha256 in self._numbers:  # one of these has the same sound
            return
        try:
            measured = measure_clip(path, clip.sample_rate)
        except RecordingError:
            return  # whoever hears it says why it cannot be read
        self._numbers[clip.sha256] = self._voices.add(
            measured, voice=clip.voice, spoken=clip.text, speed=clip.speed
        )

    def find_worst(self, clips: Iterable[Clip], count: int) -> set[str]:
        """Find the clips with the worst signs.

        Args:
            clips: All that there are, measured.
            count: How many to find.

        Returns:
            Their ids.
        """
        weighed = []
        for clip in clips:
            signs = self._describe(clip)
            weighed.append((0.0 if signs is None else -weigh_signs(signs), clip.id))
        return {name for _, name in sorted(weighed)[:count]}

    def judge(self, clips: Iterable[Clip]) -> Iterator[CheckRecord]:
        """Judge what was heard of the run's clips; first all of it, then one by one.

        Args:
            clips: Measured, all of them.
        """
        with _Notes() as notes:
            for clip, heard in stream_heard(self._folder, clips):
                note = self._note(clip, heard)
                self._recogniser.add(note.hearing)
                notes.add(note)
            for note in notes:
                hearing = note.hearing
                self._recogniser.count(hearing, self._recogniser.judge(hearing))
            yield from self._record_all(notes)

    def judge_takes(self, clips: Iterable[Clip]) -> Iterator[CheckRecord]:
        """Judge what was heard of takes, by what is known of the run's own clips.

        Args:
            clips: Measured, all of them.
        """
        heard_clips = stream_heard(self._folder, clips)
        yield from self._record_all(self._note(clip, heard) for clip, heard in heard_clips)

    def _record_all(self, notes: Iterable[_Note]) -> Iterator[CheckRecord]:
        iterator = iter(notes)
        while batch := list(islice(iterator, _SCORED_AT_ONCE)):
            scores = self._scorer.score([note.clip for note in batch])
            for note, each in zip(batch, scores, strict=True):
                yield self._record(note, each)

    def _note(self, clip: Clip, heard: Heard) -> _Note:
        comparison = None if heard.text is None else compare(clip.text, heard.text, self._steps)
        return _Note(clip, heard, comparison, self._describe(clip))

    def _describe(self, clip: Clip) -> ClipSigns | None:
        number = self._numbers.get(clip.sha256)
        if number is None:
            return None
        return self._voices.describe(number, voice=clip.voice, spoken=clip.text, speed=clip.speed)

    def _record(self, note: _Note, scores: SpeechScores | None) -> CheckRecord:
        hearing = note.hearing
        judgement = self._recogniser.judge(hearing)
        if why := self._recogniser.find_fault(hearing.group, judgement):
            judgement = doubt_judgement(judgement, why)
        signs = note.signs if note.signs is None else replace(note.signs, scores=scores)
        return _make_record(note.clip, note.heard, note.comparison, signs, judgement)


def _make_record(
    clip: Clip,
    heard: Heard,
    found: Comparison | None,
    signs: ClipSigns | None,
    judgement: Judgement,
) -> CheckRecord:
    """Put together what is kept of a check.

    Args:
        clip: The clip.
        heard: What was heard of it.
        found: That beside its text.
        signs: What was measured of it.
        judgement: What is said of it.
    """
    return CheckRecord(
        id=clip.row_id,
        sha256=clip.sha256,
        path=clip.path,
        take=clip.take,
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        badness=round(judgement.badness, 3),
        cer=None if found is None else round(found.cer, 4),
        wer=None if found is None else round(found.wer, 4),
        missing=None if found is None else found.missing,
        foreign=None if found is None else found.foreign,
        heard=heard.text or "",
        provider=heard.provider,
        signs=signs,
        checked_at=round(time.time(), 3),
    )


def score_transcript(record: JobRecord, *, reference: str, steps: frozenset[Step]) -> CheckRecord:
    """Measure a transcript beside its row's reference.

    Args:
        record: Of the transcription.
        reference: The true text.
        steps: What makes no difference.
    """
    found = compare(reference, record.said, steps)
    return CheckRecord(
        id=record.id,
        sha256=record.files[0].sha256,
        path=record.output,
        verdict=CheckVerdict.SCORED,
        badness=round(_CER_WEIGHT * found.cer, 3),
        cer=round(found.cer, 4),
        wer=round(found.wer, 4),
        missing=found.missing,
        foreign=found.foreign,
        provider=record.provider,
        checked_at=round(time.time(), 3),
    )
