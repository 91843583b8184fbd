"""Makes of a job a planned row: the key of what it asks, the path of its result, what it takes."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from batchjobs import text
from batchjobs.audio import decoding, looking
from batchjobs.audio.tracks import Tracks
from batchjobs.checkpoint import Checkpoint, Row, SourceRecord
from batchjobs.errors import RecordingError
from batchjobs.files import run_folder
from batchjobs.files.paths import PathEscapeError
from batchjobs.jobs import CONTENT_COLUMN, BadRow, Job, Kind
from batchjobs.options import Options
from batchjobs.planning.bad_rows import blame
from batchjobs.planning.intact import find_held_segments
from batchjobs.planning.keys import cut_text, recording_key, speech_key
from batchjobs.planning.output_paths import OutputPaths, fold
from batchjobs.planning.plan import Action
from batchjobs.providers import Provider

_CUT_AT_PAUSES: Final = "cut at pauses"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class RowBuilder:
    """Makes rows of jobs.

    Args:
        checkpoint: Whose run folder the results go to, and who remembers recordings.
        providers: By name.
        options: What the command line says.
    """

    def __init__(
        self, checkpoint: Checkpoint, providers: Mapping[str, Provider], options: Options
    ) -> None:
        self._checkpoint = checkpoint
        self.providers = providers
        self.paths = OutputPaths(checkpoint.folder)
        self._options = options
        self._speech_layout = options.pause_layout
        self._sources: list[SourceRecord] = []
        self.tracks = Tracks()
        self.reading_time = text.ReadingTime()

    def build(self, job: Job, position: int) -> Row | BadRow:
        """Find a job's key and the path of its result, or say why it has none."""
        try:
            key, seconds = self._find_key(job)
            self.paths.check_inside(self.output_of(job))
        except RecordingError as error:
            return blame(job, "audio", error.message, error.hint)
        except PathEscapeError as error:
            return blame(job, "output" if job.output else "id", error.message)
        return self.make_row(job, position, key=key, seconds=seconds)

    def make_row(self, job: Job, position: int, *, key: str, seconds: float) -> Row:
        """Make the row of a job whose key is known, and nothing of it looked at.

        Args:
            job: The job.
            position: The row's place in the manifest.
            key: Of what it asks.
            seconds: Of its recording; 0 for a text.
        """
        output = self.output_of(job)
        provider = self.providers[job.provider]
        if job.kind is Kind.TTS:
            self.reading_time.add(job.text)
            is_long = len(job.text) > provider.text_limit_characters
            layout = self._speech_layout if is_long else ""
        else:
            layout = _CUT_AT_PAUSES if seconds > provider.audio_limit_seconds else ""
        return Row(
            position=position,
            line=job.line,
            id=job.id,
            place=fold(output),
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

    def leave_out_held(self, row: Row) -> Row:
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
        lengths = {s.key: len(s.text) for s, _ in cut_text(row.read_job(), provider)}
        held = find_held_segments(self._checkpoint, list(lengths))
        missing = [
            length
            for key, length in lengths.items()
            if key not in held
            or held[key].is_wanted_again(rebuys_doubted=self._options.retry_failed)
        ]
        return row._replace(characters=sum(missing), segments=len(missing))

    def output_of(self, job: Job) -> str:
        """Give the path of a job's result below the run folder."""
        if job.output:
            return job.output
        audio_format = self._options.audio_format if job.kind is Kind.TTS else None
        return run_folder.usual_path(text.file_stem(job.id), audio_format)

    def remember_sources(self) -> None:
        """Keep what was read of recordings."""
        if self._sources:
            self._checkpoint.lookups.remember_sources(self._sources)
            self._sources.clear()

    def make_recording_row(self, job: Job, position: int, source: SourceRecord) -> Row:
        """Make the row of a recording as it was when it was read.

        Args:
            job: The job.
            position: The row's place in the manifest.
            source: What was read.
        """
        key = recording_key(source.sha256, self.providers[job.provider], job)
        return self.make_row(job, position, key=key, seconds=source.seconds)

    def _find_key(self, job: Job) -> tuple[str, float]:
        """Give the key of what a job asks, and the seconds of its recording.

        Raises:
            RecordingError: Its recording cannot be read.
        """
        provider = self.providers[job.provider]
        if job.kind is Kind.TTS:
            return speech_key(job, provider), 0.0
        source = self._source_at(Path(job.audio))
        if is_of_other_content(job, source.sha256):
            raise RecordingError(
                f"{job.audio} is another recording now than the row is of",
                hint=f"its '{CONTENT_COLUMN}' says which: bring that one back, or take the row out",
            )
        name = str(job.row.get("audio", job.audio))
        self.tracks.add(name, heard=source.track, tracks=source.tracks)
        return recording_key(source.sha256, provider, job), source.seconds

    def _source_at(self, path: Path) -> SourceRecord:
        """Read a recording's length and hash, or remember them if it has not changed."""
        try:
            status = path.stat()
        except OSError as error:
            raise RecordingError(f"cannot read {path}: {error.strerror}") from error
        known = self._checkpoint.lookups.find_source(str(path))
        if known and (known.bytes, known.modified_ns) == (status.st_size, status.st_mtime_ns):
            return known
        recording = looking.look_at(path)
        found = SourceRecord(
            path=str(path),
            bytes=status.st_size,
            modified_ns=status.st_mtime_ns,
            sha256=decoding.sha256_of(path),
            seconds=recording.seconds,
            track=recording.track,
            tracks=recording.tracks,
        )
        self._sources.append(found)
        return found


def is_of_other_content(job: Job, sha256: str) -> bool:
    """Whether a row says that it is of another content than a file has.

    A file that takes the place of one that was heard is a recording of its own, and has its own row.

    Args:
        job: The row's.
        sha256: The hash of what is there.
    """
    wanted = job.row.get(CONTENT_COLUMN)
    return isinstance(wanted, str) and bool(_SHA256.fullmatch(wanted)) and wanted != sha256
