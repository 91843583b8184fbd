"""A finished job's files: written beside their places, put together, or copied from others."""

import contextlib
import functools
import hashlib
import os
import re
import stat
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from batchjobs.audio import decoding, encoding
from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.audio.decoding import read_span
from batchjobs.audio.encoding import write_pcm
from batchjobs.audio.formats import EXACT_ENDINGS
from batchjobs.checkpoint import FileRecord, JobRecord, SegmentRecord
from batchjobs.errors import OutputError, RecordingError
from batchjobs.files import run_folder
from batchjobs.files.atomic import fill_part, write_part
from batchjobs.files.paths import PathEscapeError, plain_path_inside
from batchjobs.jobs import Evidence
from batchjobs.transcripts import cues
from batchjobs.transcripts.joining import Transcript

__all__ = [
    "SegmentLostError",
    "Span",
    "Written",
    "assembled",
    "copied",
    "file_changes",
    "remove_segments",
    "spoken",
    "sweep_segments",
    "transcribed",
]

_OWN_NAME: Final = re.compile(r"\.?[0-9a-f]{64}\..*")
_BLOCK_BYTES: Final = 131_072
_WHOLE_BYTES: Final = 4 * 1024 * 1024
"""Longer speech is written piece by piece; at once is faster, 0.1 ms for 10 s (measured)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Files that stand beside their places, ready to be published.

    Attributes:
        targets: Where each will stand.
        files: What the checkpoint is to remember of each, the main one first.
        pcm_sha256: Of the samples, for audio.
    """

    targets: tuple[Path, ...]
    files: tuple[FileRecord, ...]
    pcm_sha256: str = ""


def spoken(folder: Path, output: str, pcm: bytes | ReceivedAudio, sample_rate: int) -> Written:
    """Encode speech in the format of its path's ending and write it beside its place.

    Args:
        folder: The run folder.
        output: The result's path below it.
        pcm: 16-bit mono samples; a WAV or FLAC holds exactly these.
        sample_rate: In hertz.

    Raises:
        OutputError: It cannot be created.
        DiskError: The disk failed or is full.
    """
    if len(pcm) > _WHOLE_BYTES:
        pieces = [pcm] if isinstance(pcm, bytes) else pcm
        return _encoded(folder, output, pieces, frames=len(pcm) // 2, sample_rate=sample_rate)
    pcm = bytes(pcm)
    ending = Path(output).suffix.removeprefix(".").lower()
    digest = hashlib.sha256(pcm)
    pcm_sha256 = digest.hexdigest()
    if ending == "wav":
        head, *samples = encoding.wav_pieces((pcm,), sample_rate=sample_rate)
        target = _inside(folder, output)
        write_part(target, (head, *samples))
        # The samples are hashed once for both: a fifth of the time that writing a file takes.
        digest.update(head)
        size = len(head) + len(pcm)
        sha256 = digest.hexdigest()
        file = FileRecord(path=output, bytes=size, sha256=sha256, head_bytes=len(head))
        return Written(targets=(target,), files=(file,), pcm_sha256=pcm_sha256)
    content = encoding.encode(pcm, sample_rate=sample_rate, format=ending)
    return replace(_write(folder, {output: content}), pcm_sha256=pcm_sha256)


def transcribed(
    folder: Path,
    output: str,
    transcript: Transcript,
    *,
    audio_seconds: float,
    evidence: Evidence | None,
) -> Written:
    """Write a transcript beside its place: the text, JSON with what is known of it, subtitles.

    Args:
        folder: The run folder.
        output: The text file's path below it; the others stand next to it.
        transcript: Its text is written byte for byte without a line end of ours.
        audio_seconds: Length of the recording.
        evidence: Why it counts as complete.

    Raises:
        OutputError: It cannot be created.
        DiskError: The disk failed or is full.
    """
    details = {
        "text": transcript.text,
        "audio_seconds": round(audio_seconds, 3),
        "evidence": evidence,
        "segments": transcript.segments,
        "words": transcript.words,
    }
    content = msgspec.json.format(msgspec.json.encode(details), indent=2) + b"\n"
    return _write(
        folder,
        {
            output: transcript.text.encode(),
            run_folder.beside(output, ".json"): content,
            run_folder.beside(output, ".srt"): cues.to_srt(transcript).encode(),
            run_folder.beside(output, ".vtt"): cues.to_vtt(transcript).encode(),
        },
    )


def copied(folder: Path, output: str, donor: JobRecord) -> Written | None:
    """Make a job's files from an equal job's, without buying anything.

    Args:
        folder: The run folder.
        output: The new main file's path below it.
        donor: The job that has the result.

    Returns:
        The written files; None if the donor's are damaged, or cannot become this format
        without loss.

    Raises:
        OutputError: It cannot be created.
        DiskError: The disk failed or is full.
    """
    if not donor.files or not donor.can_become(output):
        return None
    # What is read is what is hashed: the donor's own row may be replacing its file at this moment.
    try:
        if donor.sample_rate == 0:
            main, *others = donor.files
            endings = [Path(file.path).suffix for file in others]
            names = [output, *(run_folder.beside(output, ending) for ending in endings)]
            contents = [b"".join(_intact(folder / file.path, file)) for file in (main, *others)]
            return _write(folder, dict(zip(names, contents, strict=True)))
        main = donor.files[0]
        source = folder / main.path
        if Path(output).suffix.lower() == source.suffix.lower():
            target = _inside(folder, output)
            write_part(target, _intact(source, main))
            file = replace(main, path=output)
            return Written(targets=(target,), files=(file,), pcm_sha256=donor.pcm_sha256)
        pcm = _checked(read_span(source, 0, donor.frames), donor.pcm_sha256, source)
        return _encoded(folder, output, pcm, frames=donor.frames, sample_rate=donor.sample_rate)
    except RecordingError:
        return None


def _intact(path: Path, known: FileRecord) -> Iterator[bytes]:
    """Read a file that is as it was.

    Raises:
        RecordingError: It is not, or cannot be read; what was given before is worth nothing. Says
            why, without the path.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise RecordingError("cannot be read: it is not a plain file")
        digest = hashlib.sha256()
        with path.open("rb") as file:
            head = file.read(known.head_bytes)
            yield head
            while piece := file.read(_BLOCK_BYTES):
                digest.update(piece)
                yield piece
        digest.update(head)
    except OSError as error:
        raise RecordingError(f"cannot be read: {error.strerror}") from error
    if digest.hexdigest() != known.sha256:
        raise RecordingError("its content has changed")


def _checked(pieces: Iterable[bytes], sha256: str, path: Path) -> Iterator[bytes]:
    """Pass pieces on; at their end, be sure that they were what was expected."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != sha256:
        raise RecordingError(f"{path} has another content")


# -- long jobs ----------------------------------------------------------------------------------


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


def assembled(
    folder: Path,
    output: str,
    spans: Sequence[Span],
    *,
    go_on: Callable[[], None] = lambda: None,
) -> tuple[Written, tuple[SegmentRecord, ...]]:
    """Put a long job's file together beside its place; its length needs no memory.

    Args:
        folder: The run folder.
        output: The file's path below it.
        spans: Its segments in order, all of one sample rate.
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
    written = _encoded(
        folder, output, _joined(folder, spans, go_on), frames=frames, sample_rate=rate
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


def _joined(folder: Path, spans: Sequence[Span], go_on: Callable[[], None]) -> Iterator[bytes]:
    for span in spans:
        go_on()
        segment = span.segment
        path = folder / segment.path
        pcm = read_span(path, segment.first_frame, segment.frames)
        try:
            yield from _checked(pcm, segment.pcm_sha256, path)
        except RecordingError as error:
            raise SegmentLostError(segment, error.message) from error
        yield bytes(2 * span.pause_frames)


def _encoded(
    folder: Path, output: str, pcm: Iterable[bytes], *, frames: int, sample_rate: int
) -> Written:
    """Write samples in the format of a path's ending, beside it."""
    target = _inside(folder, output)
    digest = hashlib.sha256()

    def hashed() -> Iterator[bytes]:
        for piece in pcm:
            digest.update(piece)
            yield piece

    def write(descriptor: int) -> None:
        ending = target.suffix.removeprefix(".").lower()
        write_pcm(descriptor, hashed(), frames=frames, sample_rate=sample_rate, format=ending)

    part = fill_part(target, write)
    file = FileRecord(path=output, bytes=part.stat().st_size, sha256=decoding.sha256_of(part))
    return Written(targets=(target,), files=(file,), pcm_sha256=digest.hexdigest())


def file_changes(folder: Path, files: Sequence[FileRecord]) -> list[str]:
    """Compare files with what the checkpoint remembers: size and SHA-256.

    Returns:
        What is wrong, a line a file; nothing if all is as it was.
    """
    found = []
    for file in files:
        path = folder / file.path
        try:
            size = path.stat().st_size
            if size != file.bytes:
                found.append(f"{file.path}: {size:,} bytes, not {file.bytes:,}")
            else:
                deque(_intact(path, file), maxlen=0)
        except FileNotFoundError:
            found.append(f"{file.path}: is missing")
        except OSError as error:
            found.append(f"{file.path}: cannot be read: {error.strerror}")
        except RecordingError as error:
            found.append(f"{file.path}: {error.message}")
    return found


def _write(folder: Path, contents: dict[str, bytes]) -> Written:
    targets, files = [], []
    for output, content in contents.items():
        target = _inside(folder, output)
        write_part(target, content)
        targets.append(target)
        digest = hashlib.sha256(content).hexdigest()
        files.append(FileRecord(path=output, bytes=len(content), sha256=digest))
    return Written(targets=tuple(targets), files=tuple(files))


def _inside(folder: Path, output: str) -> Path:
    try:
        base = "" if folder.is_absolute() else os.getcwd()  # noqa: PTH109
        return plain_path_inside(_resolved(folder, base), output)
    except PathEscapeError as error:
        raise OutputError(error.message, hint="the run folder was tampered with") from error


@functools.lru_cache(maxsize=16)
def _resolved(folder: Path, _base: str) -> Path:
    """Resolve a run folder once; `publish` sees what has become a link since."""
    return folder.resolve()


def sweep_segments(folder: Path, kept: Collection[str]) -> None:
    """Remove what killed runs have left in the folder of segments, and the folder if it is empty.

    Args:
        folder: The run folder.
        kept: Paths below it of the files that are still needed.
    """
    place = folder / run_folder.SEGMENTS
    if place.is_symlink() or not place.is_dir():
        return
    with contextlib.suppress(OSError):  # what cannot be removed does no harm
        for path in place.iterdir():
            if f"{run_folder.SEGMENTS}/{path.name}" not in kept and _OWN_NAME.fullmatch(path.name):
                path.unlink(missing_ok=True)
        place.rmdir()  # unless something is left in it


def remove_segments(folder: Path, paths: Iterable[str]) -> None:
    """Remove the files of segments that stand in their job's file now."""
    for path in paths:
        with contextlib.suppress(OSError):  # the next run's sweep finds it
            (folder / path).unlink(missing_ok=True)
