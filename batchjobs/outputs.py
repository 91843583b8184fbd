"""A finished job's files: written beside their places and synced, or copied from an equal job's."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from batchjobs import audio
from batchjobs.checkpoint import FileRecord, JobRecord
from batchjobs.errors import OutputError, RecordingError
from batchjobs.files import PathEscapeError, path_inside, write_part
from batchjobs.jobs import Evidence

__all__ = ["Written", "copied", "file_changes", "spoken", "transcribed"]


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


def spoken(folder: Path, output: str, pcm: bytes, sample_rate: int) -> Written:
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
    ending = Path(output).suffix.removeprefix(".").lower()
    content = audio.encode(pcm, sample_rate=sample_rate, format=ending)
    written = _write(folder, {output: content})
    return replace(written, pcm_sha256=hashlib.sha256(pcm).hexdigest())


def transcribed(
    folder: Path, output: str, text: str, *, audio_seconds: float, evidence: Evidence
) -> Written:
    """Write a transcript beside its place: the text as it came, and JSON with what is known of it.

    Args:
        folder: The run folder.
        output: The text file's path below it; the JSON file stands next to it.
        text: The transcript, written byte for byte without a line end of ours.
        audio_seconds: Length of the recording.
        evidence: Why it counts as complete.

    Raises:
        OutputError: It cannot be created.
        DiskError: The disk failed or is full.
    """
    details = {"text": text, "audio_seconds": round(audio_seconds, 3), "evidence": evidence}
    content = msgspec.json.format(msgspec.json.encode(details), indent=2) + b"\n"
    return _write(folder, {output: text.encode(), _beside(output): content})


def _beside(output: str) -> str:
    path = Path(output)
    json_path = path.with_suffix(".json")
    return str(json_path if json_path != path else path.with_name(path.name + ".json"))


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
    contents = _intact(folder, donor.files) if donor.can_become(output) else []
    if not contents:
        return None
    if donor.sample_rate == 0:
        return _write(folder, dict(zip([output, _beside(output)], contents, strict=True)))
    source = folder / donor.files[0].path
    if Path(output).suffix.lower() == source.suffix.lower():
        written = _write(folder, {output: contents[0]})
        return replace(written, pcm_sha256=donor.pcm_sha256)
    pcm = audio.decoded_pcm(source)
    if hashlib.sha256(pcm).hexdigest() != donor.pcm_sha256:  # replaced since it was read above
        return None
    return spoken(folder, output, pcm, donor.sample_rate)


def _intact(folder: Path, files: Sequence[FileRecord]) -> list[bytes]:
    """Read files that are as they were; nothing if one is not.

    What was read is what is hashed: the donor's own row may be replacing its file at this moment.
    """
    contents = []
    for file in files:
        try:
            if (folder / file.path).stat().st_size != file.bytes:
                return []
            content = (folder / file.path).read_bytes()
        except OSError:
            return []
        if hashlib.sha256(content).hexdigest() != file.sha256:
            return []
        contents.append(content)
    return contents


def file_changes(folder: Path, files: Sequence[FileRecord]) -> list[str]:
    """Compare files with what the checkpoint remembers: size and SHA-256.

    Returns:
        What is wrong, a line a file; nothing if all is as it was.
    """
    found = []
    for file in files:
        path = folder / file.path
        try:
            if path.stat().st_size != file.bytes:
                found.append(f"{file.path}: {path.stat().st_size:,} bytes, not {file.bytes:,}")
            elif audio.sha256_of(path) != file.sha256:
                found.append(f"{file.path}: its content has changed")
        except FileNotFoundError:
            found.append(f"{file.path}: is missing")
        except OSError as error:
            found.append(f"{file.path}: cannot be read: {error.strerror}")
        except RecordingError as error:
            found.append(f"{file.path}: cannot be read: {error.message}")
    return found


def _write(folder: Path, contents: dict[str, bytes]) -> Written:
    targets, files = [], []
    for output, content in contents.items():
        try:
            target = path_inside(folder, output)
        except PathEscapeError as error:
            raise OutputError(error.message, hint="the run folder was tampered with") from error
        write_part(target, content)
        targets.append(target)
        digest = hashlib.sha256(content).hexdigest()
        files.append(FileRecord(path=output, bytes=len(content), sha256=digest))
    return Written(targets=tuple(targets), files=tuple(files))
