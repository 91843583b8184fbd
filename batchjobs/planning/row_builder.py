"""Makes of a job a planned row: the key of what it asks, the path of its result, what it takes."""

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from batchjobs import text
from batchjobs.checkpoint import SIDES, Checkpoint, JobRecord, NewRows, Row
from batchjobs.errors import RecordingError, TrackMissingError
from batchjobs.files import run_folder
from batchjobs.files.paths import PathEscapeError
from batchjobs.jobs import BadRow, Job, Kind, Status
from batchjobs.manifest import PlainPage
from batchjobs.options import Options
from batchjobs.planning.bad_rows import blame
from batchjobs.planning.intact import find_held_segments
from batchjobs.planning.keys import cut_text, recording_key, speech_key
from batchjobs.planning.output_paths import OutputPaths, fold
from batchjobs.planning.page_rows import PageRows
from batchjobs.planning.plan import Action
from batchjobs.planning.recordings import (
    CUT_AT_PAUSES,
    NamesError,
    Recordings,
    Sought,
    count_sides,
    layout_of_sides,
)
from batchjobs.providers import Provider
from batchjobs.storage.input_files import InputFiles

_NEW: Final = Action.NEW.value
_encode: Final = msgspec.json.Encoder().encode


class RowBuilder:
    """Makes rows of jobs.

    Args:
        checkpoint: Whose run folder the results go to, and who remembers recordings.
        providers: By name.
        options: What the command line says.
        files: Lends the recordings.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        providers: Mapping[str, Provider],
        options: Options,
        files: InputFiles,
    ) -> None:
        self._checkpoint = checkpoint
        self.providers = providers
        self.paths = OutputPaths(checkpoint.folder)
        self._options = options
        self._speech_layout = options.pause_layout
        self.recordings = Recordings(checkpoint, files)
        self.reading_time = text.ReadingTime()
        self._page_rows = PageRows(providers, options.audio_format)

    def build(self, job: Job, position: int) -> Row | BadRow:
        """Find a job's key and the path of its result, or say why it has none."""
        try:
            made = self._make_row(job, position)
            self.paths.check_inside(made.output)
        except TrackMissingError as error:
            return blame(job, "track", error.message, error.hint)
        except NamesError as error:
            return blame(job, "channel_names", error.message, error.hint)
        except RecordingError as error:
            return blame(job, "audio", error.message, error.hint)
        except PathEscapeError as error:
            return blame(job, "output" if job.output else "id", error.message)
        return made

    def _make_row(self, job: Job, position: int) -> Row:
        if job.kind is Kind.STT:
            return self.make_recording_row(job, position, self.recordings.look_at(job))
        provider = self.providers[job.provider]
        self.reading_time.add(job.text)
        is_long = len(job.text) > provider.text_limit_characters
        layout = self._speech_layout if is_long else ""
        return self.make_row(job, position, key=speech_key(job, provider), layout=layout)

    def build_page(self, page: PlainPage, first_position: int) -> NewRows | None:
        """Do for a page of good rows what `build` does for each.

        Args:
            page: The rows.
            first_position: Of the first of them.

        Returns:
            None if one of them is to be looked at by itself.
        """
        rows = self._page_rows.make(page, first_position)
        if rows is None or not self.paths.are_inside(rows):
            return None
        for spoken in page.texts[: self.reading_time.wanted]:
            self.reading_time.add(spoken)
        return rows

    def make_row(
        self, job: Job, position: int, *, key: str, layout: str, seconds: float = 0.0
    ) -> Row:
        """Make the row of a job whose key is known, and nothing of it looked at.

        Args:
            job: The job.
            position: The row's place in the manifest.
            key: Of what it asks.
            layout: How it is put together; empty if one session does it.
            seconds: Of audio to send.
        """
        output = self.output_of(job)
        return Row(  # by place: by name it takes twice as long
            position,
            job.line,
            job.id,
            fold(output),
            key,
            _NEW,
            job.kind.value,
            job.provider,
            len(job.text),
            seconds,
            output,
            _encode(job),
            1,
            layout,
        )

    def leave_out_held(self, row: Row, record: JobRecord | None = None) -> Row:
        """Leave of a long job's work what its finished segments have not done already.

        Args:
            row: The row.
            record: What is known of its job.
        """
        if not row.layout:
            return row
        if _is_transcribed(row, record):
            return row._replace(seconds=0.0, segments=0)
        provider = self.providers[row.provider]
        if row.kind == Kind.STT:
            held_seconds = self._checkpoint.segments.sum_transcribed_seconds(
                row.key, rebuys_doubted=self._options.retry_failed
            )
            seconds = max(0.0, row.seconds - held_seconds)
            sessions = math.ceil(seconds / provider.audio_target_seconds)
            least = 1 if held_seconds else max(1, count_sides(row.layout))
            return row._replace(seconds=seconds, segments=max(least, sessions))
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

    def make_recording_row(self, job: Job, position: int, sought: Sought) -> Row:
        """Make the row of a recording as it was when it was read.

        Args:
            job: The job.
            position: The row's place in the manifest.
            sought: What of it is to be heard.
        """
        provider = self.providers[job.provider]
        key = recording_key(sought.sha256, provider, job, sought.hearing)
        if sought.sides:
            layout = layout_of_sides(job.hearing, sought.sides)
        else:
            layout = CUT_AT_PAUSES if sought.seconds > provider.audio_limit_seconds else ""
        seconds = sought.seconds * max(1, sought.sides)
        return self.make_row(job, position, key=key, seconds=seconds, layout=layout)


def _is_transcribed(row: Row, record: JobRecord | None) -> bool:
    """Whether all sides of a recording were heard, and only its files are to be made again."""
    return (
        record is not None
        and row.kind == Kind.STT
        and record.status is Status.DONE
        and record.key == row.key
        and record.layout.startswith(SIDES)
    )
