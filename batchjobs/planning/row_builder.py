"""A job as a planned row: the key of what it asks, and the place of its result."""

import hashlib
import math
import unicodedata
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import msgspec

from batchjobs import text
from batchjobs.audio import decoding, formats
from batchjobs.checkpoint import Checkpoint, Row, SourceRecord
from batchjobs.errors import RecordingError
from batchjobs.files import run_folder
from batchjobs.files.paths import PathEscapeError
from batchjobs.jobs import BadRow, Job, Kind, Segment, segment_key
from batchjobs.options import Options
from batchjobs.planning.output_paths import Places
from batchjobs.planning.plan import Action, held_segments
from batchjobs.providers import Provider

__all__ = [
    "Rows",
    "bad_job",
    "bad_row",
    "folders_like_results",
    "moved",
    "recording_key",
    "second_place",
    "speech_key",
    "text_segments",
]

_RESULT_ENDINGS = (*formats.ENDINGS, ".txt")
_DIGEST_HEX_DIGITS = 10
_CUT_AT_PAUSES = "cut at pauses"


class Rows:
    """Makes rows of jobs.

    Args:
        checkpoint: Whose run folder the results go to, and who remembers recordings.
        providers: By name.
        options: What the command line says.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        providers: Mapping[str, Provider],
        options: Options,
    ) -> None:
        self._checkpoint = checkpoint
        self.providers = providers
        self.places = Places(checkpoint.folder)
        self._options = options
        self._layout = options.pauses.layout
        self._sources: list[SourceRecord] = []

    def of(self, job: Job, position: int) -> Row | BadRow:
        """Find a job's key and the place of its result, or say why it has none."""
        seconds = 0.0
        layout = ""
        provider = self.providers[job.provider]
        if job.kind is Kind.TTS:
            key = speech_key(job, provider)
            if len(job.text) > provider.text_limit_characters:
                layout = self._layout
        else:
            try:
                source = self._source(Path(job.audio))
            except RecordingError as error:
                return bad_job(job, "audio", error.message, error.hint)
            seconds = source.seconds
            if seconds > provider.audio_limit_seconds:
                layout = _CUT_AT_PAUSES
            key = recording_key(source.sha256, provider)
        output = self.place(job)
        try:
            self.places.check_inside(output)
        except PathEscapeError as error:
            return bad_job(job, "output" if job.output else "id", error.message, "")
        return Row(
            position=position,
            line=job.line,
            id=job.id,
            place=_place(output),
            key=key,
            action=Action.NEW.value,
            kind=job.kind.value,
            provider=job.provider,
            characters=len(job.text),
            seconds=seconds,
            output=output,
            job=msgspec.json.encode(job),
            layout=layout,
        )

    def without_held(self, row: Row) -> Row:
        """Leave of a long job's work what its finished segments have not done already."""
        if not row.layout:
            return row
        provider = self.providers[row.provider]
        if row.kind == Kind.STT:
            held_seconds = self._checkpoint.segments.sum_transcribed_seconds(
                row.key, rebuys_doubted=self._options.retry_failed
            )
            seconds = max(0.0, row.seconds - held_seconds)
            sessions = math.ceil(seconds / provider.audio_target_seconds)
            return row._replace(seconds=seconds, segments=max(1, sessions))
        job = msgspec.json.decode(row.job, type=Job)
        lengths = {s.key: len(s.text) for s, _ in text_segments(job, provider)}
        held = held_segments(self._checkpoint, list(lengths))
        missing = [
            length
            for key, length in lengths.items()
            if key not in held
            or held[key].is_wanted_again(rebuys_doubted=self._options.retry_failed)
        ]
        return row._replace(characters=sum(missing), segments=len(missing))

    def place(self, job: Job) -> str:
        """Give the path of a job's result below the run folder."""
        if job.output:
            return job.output
        audio_format = self._options.audio_format if job.kind is Kind.TTS else None
        return run_folder.usual_path(text.file_stem(job.id), audio_format)

    def remember(self) -> None:
        """Keep what was read of recordings."""
        if self._sources:
            self._checkpoint.lookups.remember_sources(self._sources)
            self._sources.clear()

    def _source(self, path: Path) -> SourceRecord:
        """Read a recording's length and hash, or remember them if it has not changed."""
        try:
            status = path.stat()
        except OSError as error:
            raise RecordingError(f"cannot read {path}: {error.strerror}") from error
        known = self._checkpoint.lookups.find_source(str(path))
        if known and (known.bytes, known.modified_ns) == (status.st_size, status.st_mtime_ns):
            return known
        recording = decoding.probe(path)
        found = SourceRecord(
            path=str(path),
            bytes=status.st_size,
            modified_ns=status.st_mtime_ns,
            sha256=decoding.sha256_of(path),
            seconds=recording.seconds,
        )
        self._sources.append(found)
        return found


def speech_key(job: Job, provider: Provider, spoken: str | None = None) -> str:
    """Give the key of a text's synthesis, or of a part of it."""
    assert job.speech is not None
    return segment_key(
        kind=job.kind,
        service=_service(provider),
        model=job.speech.model_id,
        speech=job.speech,
        text=job.text if spoken is None else spoken,
        take=job.take,
    )


def recording_key(sha256: str, provider: Provider) -> str:
    """Give the key of the transcription of a recording, or of a part of it, with this hash."""
    return segment_key(
        kind=Kind.STT, service=_service(provider), model=provider.stt_model, audio_sha256=sha256
    )


def text_segments(job: Job, provider: Provider) -> list[tuple[Segment, bool]]:
    """Cut a long text into what one session each speaks.

    Returns:
        The segments in order, each with whether a paragraph ends there.
    """
    return [
        (
            Segment(
                key=speech_key(job, provider, piece.text),
                kind=Kind.TTS,
                text=piece.text,
                speech=job.speech,
            ),
            piece.ends_paragraph,
        )
        for piece in text.split_segments(job.text, limit_characters=provider.text_limit_characters)
    ]


def _service(provider: Provider) -> str:
    return f"{provider.name}/{provider.engine}" if provider.engine else provider.name


def moved(row: Row, output: str) -> Row:
    """Give a row another place."""
    return row._replace(output=output, place=_place(output))


def _place(output: str) -> str:
    """Give a path as file systems see it that ignore case and ways of writing a letter."""
    return unicodedata.normalize("NFC", output).casefold()


def folders_like_results(row: Row) -> list[str]:
    """Give the places of the folders that a row's output lies in, if they have a result's ending."""
    above = [str(folder) for folder in PurePosixPath(row.place or "").parents]
    return [folder for folder in above if folder.endswith(_RESULT_ENDINGS)]


def second_place(row_id: str, output: str) -> str:
    """Give the place for a job whose own is taken by an id that differs only in case."""
    digest = hashlib.sha256(row_id.encode()).hexdigest()[:_DIGEST_HEX_DIGITS]
    path = Path(output)
    return str(path.with_stem(f"{path.stem}-{digest}"))


def bad_job(job: Job, column: str, message: str, hint: str) -> BadRow:
    """Say what is wrong with a job."""
    return BadRow(line=job.line, column=column, message=message, hint=hint, id=job.id, row=job.row)


def bad_row(bad: BadRow, position: int) -> Row:
    """Make a row of what cannot be run."""
    return Row(
        position=position,
        line=bad.line,
        id=bad.id or f"line-{bad.line}",
        place=None,
        key="",
        action=Action.BAD,
        kind="",
        provider="",
        characters=0,
        seconds=0.0,
        output="",
        job=msgspec.json.encode(bad),
    )
