"""Which rows of one or several runs go into a dataset, streamed from their checkpoints."""

import enum
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Final

from batchjobs.checkpoint import CheckedOutcome, Checkpoint, JobRecord
from batchjobs.dataset.columns import OwnColumns
from batchjobs.dataset.samples import Sample
from batchjobs.jobs import Job, Kind, Status
from batchjobs.options.dataset import ExportSettings
from batchjobs.outputs.decided import is_rejected
from batchjobs.text import script_of

_LANGUAGES: Final = {"arabic": "ar", "latin": "en"}


class LeftOut(enum.StrEnum):
    """Why a row is not in a dataset; the value ends the sentence "12 rows are left out: ..."."""

    NOT_RUN = "not run yet"
    FAILED = "failed"
    SUSPECT = "suspect"
    REJECTED = "rejected"
    DROPPED = "dropped"
    OTHER_VERDICT = "of another verdict, or not checked"
    NO_TEXT = "without a text"
    TOO_SHORT = "shorter than --min-seconds"
    TOO_LONG = "longer than --max-seconds"
    IN_TWO_SPLITS = "of a text that is in another split"
    DAMAGED = "whose file is missing or changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that is exported.

    Attributes:
        name: What it is called in the dataset.
        folder: Its folder.
    """

    name: str
    folder: Path


@dataclass(slots=True, kw_only=True)
class Census:
    """What was seen of the rows.

    Attributes:
        rows: How many there are, in all runs.
        left_out: How many are not in the dataset, by the reason.
        going: Names of the runs that are still going on.
        has_checks: Whether any row was ever checked.
    """

    rows: int = 0
    left_out: Counter[LeftOut] = field(default_factory=Counter)
    going: list[str] = field(default_factory=list)
    has_checks: bool = False


def name_runs(folders: Sequence[Path]) -> list[Run]:
    """Name runs after their folders, with as many folders above as it takes to tell them apart."""
    paths = [folder.resolve() for folder in folders]
    runs = []
    for folder, path in zip(folders, paths, strict=True):
        parts = 1
        while sum(_tail(other, parts) == _tail(path, parts) for other in paths) > 1:
            parts += 1
            if parts > len(path.parts):
                break
        runs.append(Run(name=_tail(path, parts), folder=folder))
    return runs


def _tail(path: PurePath, parts: int) -> str:
    return "/".join(path.parts[-parts:])


def stream_samples(
    runs: Sequence[Run], settings: ExportSettings, own: OwnColumns, census: Census
) -> Iterator[Sample]:
    """Read the rows that go into a dataset, in the order of the runs and of their manifests.

    Args:
        runs: The runs.
        settings: What is wanted of them.
        own: Gets to know the columns.
        census: Counts them.

    Yields:
        The rows, numbered from 0.

    Raises:
        NoRunError: There is no run in a folder.
        DiskError: A checkpoint is damaged.
    """
    number = 0
    for run in runs:
        with Checkpoint.read(run.folder) as checkpoint:
            if checkpoint.is_running():
                census.going.append(run.name)
            chooser = _Chooser(checkpoint, settings)
            census.has_checks |= chooser.has_checks
            maker = _Maker(run, checkpoint, settings, own)
            for outcome in chooser.stream():
                census.rows += 1
                reason = chooser.judge(outcome)
                if reason is None:
                    sample = maker.make(number, outcome)
                    reason = _judge_sample(sample, settings)
                    if reason is None:
                        number += 1
                        yield sample
                if reason is not None:
                    census.left_out[reason] += 1


class _Chooser:
    """Says which rows of a run are wanted."""

    def __init__(self, checkpoint: Checkpoint, settings: ExportSettings) -> None:
        self._checkpoint = checkpoint
        self._include = settings.include
        self._verdicts = settings.verdicts
        self._dropped = frozenset[str]()
        if "dropped" not in self._include:
            self._dropped = frozenset(checkpoint.reviews.find_dropped())
        self.has_checks = checkpoint.checks.has_any()

    def stream(self) -> Iterator[CheckedOutcome]:
        """Read the rows, each with what became of it."""
        if self.has_checks:
            yield from self._checkpoint.checks.stream_outcomes()
            return
        for row, record in self._checkpoint.rows.stream_outcomes():
            yield CheckedOutcome(row, record, None)

    def judge(self, outcome: CheckedOutcome) -> LeftOut | None:
        """Say why a row is left out; None if it is not."""
        record, check = outcome.record, outcome.check
        if record is None:
            return LeftOut.NOT_RUN
        if record.status is not Status.DONE and (reason := self._judge_status(record)):
            return reason
        if outcome.row.id in self._dropped:
            return LeftOut.DROPPED
        if record.is_damaged or not record.files:
            return LeftOut.DAMAGED
        is_other = check is None or check.verdict not in self._verdicts
        return LeftOut.OTHER_VERDICT if self._verdicts and is_other else None

    def _judge_status(self, record: JobRecord) -> LeftOut | None:
        """Say why what is not done is left out; what somebody rejected is in doubt, too."""
        if record.status is Status.FAILED:
            return LeftOut.FAILED
        reason = LeftOut.REJECTED if is_rejected(record) else LeftOut.SUSPECT
        return None if reason.value in self._include else reason


class _Maker:
    """Makes samples of a run's rows."""

    def __init__(
        self, run: Run, checkpoint: Checkpoint, settings: ExportSettings, own: OwnColumns
    ) -> None:
        self._run = run
        self._folder = str(run.folder.resolve())
        self._checkpoint = checkpoint
        self._language = settings.language
        self._own = own

    def make(self, number: int, outcome: CheckedOutcome) -> Sample:
        """Make the sample of a row that is wanted.

        Args:
            number: It is the dataset's nth.
            outcome: The row, and what became of it.
        """
        row, record, check = outcome
        assert record is not None
        job = row.read_job()
        is_speech = record.kind is Kind.TTS
        text = job.text if is_speech else record.said
        path, size, sha256, head_bytes = self._find_clip(job, record)
        return Sample(
            number=number,
            id=row.id,
            run=self._run.name,
            kind=record.kind,
            text=text,
            voice=job.speech.voice_id if job.speech is not None else "",
            language=self._language_of(job, text),
            provider=record.provider,
            model=job.speech.model_id if job.speech is not None else "",
            path=path,
            bytes=size,
            sha256=sha256,
            head_bytes=head_bytes,
            frames=record.frames,
            sample_rate=record.sample_rate,
            seconds=record.frames / record.sample_rate if record.frames else record.audio_seconds,
            verdict="" if check is None else check.verdict.value,
            cer=None if check is None else check.cer,
            columns=self._own.take(job.row),
        )

    def _find_clip(self, job: Job, record: JobRecord) -> tuple[str, int, str, int]:
        """Find where a row's sound is, its size, its hash, and the first bytes hashed last."""
        if record.kind is Kind.TTS:
            file = record.files[0]
            return f"{self._folder}/{file.path}", file.bytes, file.sha256, file.head_bytes
        source = self._checkpoint.lookups.find_source(job.audio)
        if source is None:
            return job.audio, 0, "", 0
        return job.audio, source.bytes, source.sha256, 0

    def _language_of(self, job: Job, text: str) -> str:
        for column in ("language", "lang"):
            given = job.row.get(column)
            if isinstance(given, str) and given:
                return given
        return self._language or _LANGUAGES[script_of(text)]


def _judge_sample(sample: Sample, settings: ExportSettings) -> LeftOut | None:
    """Say why a row is left out by what it holds; None if it is not."""
    if not sample.text.strip():
        return LeftOut.NO_TEXT
    if settings.trim:  # how long it is shows when it is cut
        return None
    return judge_length(sample.seconds, settings)


def judge_length(seconds: float, settings: ExportSettings) -> LeftOut | None:
    """Say whether a clip is too short or too long; None if it is neither."""
    if seconds < settings.min_seconds:
        return LeftOut.TOO_SHORT
    if settings.max_seconds and seconds > settings.max_seconds:
        return LeftOut.TOO_LONG
    return None
