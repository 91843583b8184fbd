"""What is to be heard of recordings, as far as their headers say: looked at once, and remembered."""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import orjson

from batchjobs.audio.tracks import Tracks
from batchjobs.checkpoint import SIDES, Checkpoint, ShapeRecord, SourceRecord
from batchjobs.errors import RecordingError
from batchjobs.files.address import is_address
from batchjobs.formatting import plural
from batchjobs.jobs import CONTENT_COLUMN, Hearing, Job
from batchjobs.speech import Channels
from batchjobs.storage.input_files import InputFile, InputFiles
from batchjobs.storage.reading import FileFacts

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
CUT_AT_PAUSES: Final = "cut at pauses"
_USUAL_NAMES: Final = ("Left", "Right")


class Sought(NamedTuple):
    """What is to be heard of a recording.

    Attributes:
        sha256: Of its file.
        seconds: How long it is.
        hearing: What its row asks for, as far as it makes a difference to this recording.
        sides: How many channels are heard apart; 0 if none are.
    """

    sha256: str
    seconds: float
    hearing: Hearing
    sides: int


class NamesError(RecordingError):
    """The names of a recording's sides are not as many as it has."""


def resolve(hearing: Hearing, source: SourceRecord, shape: ShapeRecord | None) -> Sought:
    """Say what a row asks of a recording.

    One channel has no sides, and what has one track has no other: what is bought then is what it
    would be without asking for either.

    Args:
        hearing: What the row says.
        source: The recording.
        shape: The track that is asked for, where not all is heard as it is.

    Raises:
        NamesError: The row names fewer or more sides than there are.
    """
    if shape is None:
        return Sought(source.sha256, source.seconds, Hearing(), 0)
    is_another = source.tracks > 1 and hearing.track not in {0, source.track}
    channels = hearing.channels if shape.channels > 1 else Channels.MIX
    sides = shape.channels if channels is Channels.APART else 0
    if sides and len(hearing.names) not in {0, sides}:
        named = plural(len(hearing.names), "name")
        raise NamesError(
            f"{named} for {plural(sides, 'channel')} of {source.path}",
            hint="name each, or none",
        )
    asked = Hearing(channels=channels, track=hearing.track if is_another else 0)
    return Sought(source.sha256, shape.seconds, asked, sides)


def name_sides(hearing: Hearing, sides: int) -> tuple[str, ...]:
    """Name the sides of a recording."""
    if len(hearing.names) == sides:
        return hearing.names
    if sides == len(_USUAL_NAMES):
        return _USUAL_NAMES
    return tuple(f"Channel {number}" for number in range(1, sides + 1))


def layout_of_sides(hearing: Hearing, sides: int) -> str:
    """Say how a transcript of so many sides is put together: renaming them buys nothing."""
    return SIDES + orjson.dumps(name_sides(hearing, sides)).decode()


def count_sides(layout: str) -> int:
    """Say how many sides there are in a transcript that is put together so; 0 if they are not apart."""
    return len(orjson.loads(layout.removeprefix(SIDES))) if layout.startswith(SIDES) else 0


def is_of_other_content(job: Job, sha256: str) -> bool:
    """Whether a row says that it is of another content than a file has.

    A file that takes the place of one that was heard is a recording of its own, and has its own row.

    Args:
        job: The row's.
        sha256: The hash of what is there.
    """
    wanted = job.row.get(CONTENT_COLUMN)
    return isinstance(wanted, str) and bool(_SHA256.fullmatch(wanted)) and wanted != sha256


class Recordings:
    """Looks at recordings, each once.

    Args:
        checkpoint: Remembers them.
        files: Lends them.
    """

    def __init__(self, checkpoint: Checkpoint, files: InputFiles) -> None:
        self._lookups = checkpoint.lookups
        self.files = files
        self._sources: dict[str, SourceRecord] = {}
        self._shapes: dict[tuple[str, int], ShapeRecord] = {}
        self.tracks = Tracks()

    def expect(self, jobs: Iterable[Job]) -> None:
        """Get ready to look at recordings in a bucket, in this order: many are asked after at once.

        What is not remembered as it is, is fetched ahead.
        """
        names = [job.audio for job in jobs if is_address(job.audio)]
        if names:
            self.files.ask_ahead(names)
            self.files.fetch_ahead(self._find_unknown(dict.fromkeys(names)))

    def look_at(self, job: Job) -> Sought:
        """Find what a job asks of its recording.

        Raises:
            TrackMissingError: It has no such track.
            RecordingError: It cannot be read.
        """
        with self.files.borrow(job.audio) as file:
            return self._look_at(job, file)

    def _look_at(self, job: Job, file: InputFile) -> Sought:
        hearing = job.hearing
        source = self._source_of(file)
        if is_of_other_content(job, source.sha256):
            raise RecordingError(
                f"{job.audio} is another recording now than the row is of",
                hint=f"its '{CONTENT_COLUMN}' says which: bring that one back, or take the row out",
            )
        shape = self._shape_of(file, hearing)
        name = str(job.row.get("audio", job.audio))
        if not hearing.track:
            self.tracks.add(name, heard=source.track, tracks=source.tracks)
        return resolve(hearing, source, shape)

    def recall(self, job: Job) -> Sought | None:
        """Find what a job asks of a recording that was looked at before; None if it was not."""
        source = self._lookups.find_source(job.audio)
        shape = self._lookups.find_shape(job.audio, job.hearing.track)
        if source is None or is_of_other_content(job, source.sha256):
            return None
        if _needs_shape(job.hearing) and shape is None:
            return None
        return resolve(job.hearing, source, shape if _needs_shape(job.hearing) else None)

    def remember(self) -> None:
        """Keep what was read of them."""
        if self._sources:
            self._lookups.remember_sources(list(self._sources.values()))
            self._sources.clear()
        if self._shapes:
            self._lookups.remember_shapes(list(self._shapes.values()))
            self._shapes.clear()

    def _find_unknown(self, names: Iterable[str]) -> Iterator[tuple[str, FileFacts]]:
        """Find the recordings whose length and hash are not remembered; what is wrong is told later."""
        for name in names:
            try:
                facts = self.files.look_up(name)
            except RecordingError:
                continue
            if self._recall_source(name, facts) is None:
                yield name, facts

    def _recall_source(self, name: str, facts: FileFacts) -> SourceRecord | None:
        known = self._sources.get(name) or self._lookups.find_source(name)
        return known if known and (known.bytes, known.modified_ns) == facts else None

    def _source_of(self, file: InputFile) -> SourceRecord:
        """Read a recording's length and hash, or remember them if it has not changed."""
        known = self._recall_source(file.name, file.facts)
        if known is not None:
            return known
        from batchjobs.audio import decoding, looking

        recording = looking.look_at(file.path)
        found = SourceRecord(
            path=file.name,
            bytes=file.facts.bytes,
            modified_ns=file.facts.mark,
            sha256=decoding.sha256_of(file.path),
            seconds=recording.seconds,
            track=recording.track,
            tracks=recording.tracks,
        )
        self._sources[found.path] = found
        return found

    def _shape_of(self, file: InputFile, hearing: Hearing) -> ShapeRecord | None:
        """Look at a track and its channels, where not all is heard as it is."""
        if not _needs_shape(hearing):
            return None
        asked = file.name, hearing.track
        if known := self._shapes.get(asked):
            return known
        # What is remembered of the tracks of a recording that has changed is of the one before.
        is_new = file.name in self._sources
        if not is_new and (known := self._lookups.find_shape(*asked)):
            return known
        from batchjobs.audio import looking

        recording = looking.look_at(file.path, track=hearing.track)
        found = ShapeRecord(*asked, recording.seconds, recording.channels)
        self._shapes[asked] = found
        return found


def _needs_shape(hearing: Hearing) -> bool:
    return hearing.channels is not Channels.MIX or hearing.track != 0
