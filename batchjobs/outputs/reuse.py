"""Makes a job's files from those of an equal job, once they are seen to be what they were."""

import hashlib
import stat
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from batchjobs.audio.sndfile import read_span
from batchjobs.checkpoint import FileRecord, JobRecord
from batchjobs.errors import RecordingError
from batchjobs.files import run_folder
from batchjobs.files.atomic import write_part
from batchjobs.outputs.writing import Written, find_target, write_contents, write_samples

_BLOCK_BYTES: Final = 131_072


def copy_result(
    folder: Path, output: str, donor: JobRecord, *, place: Path | None = None
) -> Written | None:
    """Make a job's files from an equal job's, without buying anything.

    Args:
        folder: The run folder.
        output: The new main file's path below it.
        donor: The job that has the result.
        place: The folder below which its files are; None for the run folder.

    Returns:
        The written files; None if the donor's are damaged, or cannot become this format
        without loss.

    Raises:
        OutputError: It cannot be created.
        DiskError: The disk failed or is full.
    """
    if not donor.files or not donor.can_become(output):
        return None
    place = place or folder
    # What is read is what is hashed: the donor's own row may be replacing its file at this moment.
    try:
        if donor.sample_rate == 0:
            main, *others = donor.files
            endings = [Path(file.path).suffix for file in others]
            names = [output, *(run_folder.path_beside(output, ending) for ending in endings)]
            contents = [b"".join(read_intact(place / file.path, file)) for file in (main, *others)]
            return write_contents(folder, dict(zip(names, contents, strict=True)))
        main = donor.files[0]
        source = place / main.path
        if Path(output).suffix.lower() == source.suffix.lower():
            target = find_target(folder, output)
            write_part(target, read_intact(source, main))
            file = replace(main, path=output)
            return Written(targets=(target,), files=(file,), pcm_sha256=donor.pcm_sha256)
        pcm = check_samples(read_span(source, 0, donor.frames), donor.pcm_sha256, source)
        return write_samples(
            folder, output, pcm, frames=donor.frames, sample_rate=donor.sample_rate
        )
    except RecordingError:
        return None


def find_changes(folder: Path, files: Sequence[FileRecord]) -> list[str]:
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
                deque(read_intact(path, file), maxlen=0)
        except FileNotFoundError:
            found.append(f"{file.path}: is missing")
        except OSError as error:
            found.append(f"{file.path}: cannot be read: {error.strerror}")
        except RecordingError as error:
            found.append(f"{file.path}: {error.message}")
    return found


def check_samples(pieces: Iterable[bytes], sha256: str, path: Path) -> Iterator[bytes]:
    """Pass pieces on; at their end, be sure that they were what was expected."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    if digest.hexdigest() != sha256:
        raise RecordingError(f"{path} has another content")


def read_intact(path: Path, known: FileRecord) -> Iterator[bytes]:
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
