"""Writes a job's files beside their places, ready to be published."""

import contextlib
import functools
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from batchjobs.audio import decoding, encoding
from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.audio.encoding import write_pcm
from batchjobs.checkpoint import FileRecord
from batchjobs.errors import OutputError
from batchjobs.files import run_folder
from batchjobs.files.atomic import fill_part, part_path, write_part
from batchjobs.files.paths import PathEscapeError, plain_path_inside
from batchjobs.jobs import Evidence, Side
from batchjobs.protocol.stt import SttResult
from batchjobs.protocol.tts_audio import TtsResult
from batchjobs.transcripts import cues, joining
from batchjobs.transcripts.joining import Transcript, TranscriptPart

_WHOLE_BYTES: Final = 4 * 1024 * 1024
"""Longer speech is written piece by piece; at once is faster, 0.1 ms for 10 s (measured)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Files that stand beside their places, ready to be published.

    Attributes:
        targets: Where each will stand.
        files: What the checkpoint is to remember of each, the main one first.
        pcm_sha256: Of the samples, for audio.
        parts: Where the files stand meanwhile, by target, if that is not beside their places.
    """

    targets: tuple[Path, ...]
    files: tuple[FileRecord, ...]
    pcm_sha256: str = ""
    parts: Mapping[Path, Path] = field(default_factory=dict)


class Parts(msgspec.Struct, frozen=True, array_like=True):
    """Files that another process has written and synced, for places that are not decided yet.

    Attributes:
        files: Their paths below the run folder and what is known of each, the main one first.
        pcm_sha256: Of the samples, for audio.
    """

    files: tuple[FileRecord, ...] = ()
    pcm_sha256: str = ""


def write_speech(
    folder: Path, output: str, pcm: bytes | ReceivedAudio, sample_rate: int
) -> Written:
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
        return write_samples(folder, output, pieces, frames=len(pcm) // 2, sample_rate=sample_rate)
    pcm = bytes(pcm)
    ending = output.rpartition(".")[2].lower()
    digest = hashlib.sha256(pcm)
    pcm_sha256 = digest.hexdigest()
    if ending == "wav":
        head, *samples = encoding.wav_pieces((pcm,), sample_rate=sample_rate)
        target = find_target(folder, output)
        write_part(target, (head, *samples))
        # The samples are hashed once for both: a fifth of the time that writing a file takes.
        digest.update(head)
        size = len(head) + len(pcm)
        sha256 = digest.hexdigest()
        file = FileRecord(path=output, bytes=size, sha256=sha256, head_bytes=len(head))
        return Written(targets=(target,), files=(file,), pcm_sha256=pcm_sha256)
    content = encoding.encode(pcm, sample_rate=sample_rate, format=ending)
    return replace(write_contents(folder, {output: content}), pcm_sha256=pcm_sha256)


def write_transcript(
    folder: Path,
    output: str,
    transcript: Transcript,
    *,
    audio_seconds: float,
    evidence: Evidence | None,
    more: Mapping[str, object] = MappingProxyType({}),
    sides: Sequence[Side] = (),
) -> Written:
    """Write a transcript beside its place: the text, JSON with what is known of it, subtitles.

    Args:
        folder: The run folder.
        output: The text file's path below it; the others stand next to it.
        transcript: Its text is written byte for byte without a line end of ours.
        audio_seconds: Length of the recording.
        evidence: Why it counts as complete.
        more: What else the JSON is to say, first.
        sides: What became of the recording's channels, if they were to be heard apart.

    Raises:
        OutputError: It cannot be created.
        DiskError: The disk failed or is full.
    """
    details = {
        **more,
        "text": transcript.text,
        "audio_seconds": round(audio_seconds, 3),
        "evidence": evidence,
        **({"sides": sides} if sides else {}),
        "segments": transcript.segments,
        "words": transcript.words,
        **({"traits": transcript.traits} if transcript.traits else {}),
    }
    content = msgspec.json.format(msgspec.json.encode(details), indent=2) + b"\n"
    return write_contents(
        folder,
        {
            output: transcript.text.encode(),
            run_folder.path_beside(output, ".json"): content,
            run_folder.path_beside(output, ".srt"): cues.to_srt(transcript).encode(),
            run_folder.path_beside(output, ".vtt"): cues.to_vtt(transcript).encode(),
        },
    )


def write_result(
    folder: Path, output: str, result: TtsResult[ReceivedAudio] | SttResult, *, seconds: float
) -> Written:
    """Write what a session has brought beside its place.

    Args:
        folder: The run folder.
        output: The path of the main file below it.
        result: What came.
        seconds: Length of the recording, of a transcript.

    Raises:
        OutputError: It cannot be created.
        DiskError: The disk failed or is full.
    """
    if isinstance(result, TtsResult):
        return write_speech(folder, output, result.pcm, result.sample_rate)
    part = TranscriptPart(
        start_seconds=0.0,
        seconds=seconds,
        text=result.text,
        word_start_seconds=result.word_start_seconds,
        word_end_seconds=result.word_end_seconds,
        silences=result.silences,
        traits=result.traits,
    )
    transcript = joining.join_parts([part])
    return write_transcript(
        folder, output, transcript, audio_seconds=seconds, evidence=result.evidence
    )


def write_contents(folder: Path, contents: Mapping[str, bytes]) -> Written:
    """Write whole files beside their places.

    Args:
        folder: The run folder.
        contents: What is to stand in each, by its path below the folder, the main one first.

    Raises:
        OutputError: It cannot be created.
        DiskError: The disk failed or is full.
    """
    targets, files = [], []
    for output, content in contents.items():
        target = find_target(folder, output)
        write_part(target, content)
        targets.append(target)
        digest = hashlib.sha256(content).hexdigest()
        files.append(FileRecord(path=output, bytes=len(content), sha256=digest))
    return Written(targets=tuple(targets), files=tuple(files))


def write_samples(
    folder: Path, output: str, pcm: Iterable[bytes], *, frames: int, sample_rate: int
) -> Written:
    """Write samples beside a path in the format of its ending; their length needs no memory.

    Args:
        folder: The run folder.
        output: The file's path below it.
        pcm: 16-bit mono samples, in pieces.
        frames: How many there are.
        sample_rate: In hertz.

    Raises:
        OutputError: It cannot be created.
        DiskError: The disk failed or is full.
        Exception: What reading the samples raises; then no file is left.
    """
    target = find_target(folder, output)
    digest = hashlib.sha256()

    def hash_pieces() -> Iterator[bytes]:
        for piece in pcm:
            digest.update(piece)
            yield piece

    def write(descriptor: int) -> None:
        ending = target.suffix.removeprefix(".").lower()
        write_pcm(descriptor, hash_pieces(), frames=frames, sample_rate=sample_rate, format=ending)

    fill_part(target, write)
    part = part_path(target)
    file = FileRecord(path=output, bytes=part.stat().st_size, sha256=decoding.sha256_of(part))
    return Written(targets=(target,), files=(file,), pcm_sha256=digest.hexdigest())


def to_parts(folder: Path, written: Written) -> Parts:
    """Say where the files of a result stand, so that another process can publish them.

    Args:
        folder: The run folder.
        written: The files.
    """
    root = folder.resolve()
    names = [str(part_path(target).relative_to(root)) for target in written.targets]
    files = zip(written.files, names, strict=True)
    return Parts(
        files=tuple(replace(file, path=name) for file, name in files),
        pcm_sha256=written.pcm_sha256,
    )


def claim_parts(folder: Path, output: str, parts: Parts) -> Written:
    """Give the files that another process has written their places.

    Args:
        folder: The run folder.
        output: The result's path below it.
        parts: The files.

    Raises:
        OutputError: A link leads out of the folder.
    """
    targets, files, sources = [], [], {}
    for file, path in zip(parts.files, run_folder.files_of_result(output), strict=True):
        target = find_target(folder, path)
        targets.append(target)
        files.append(replace(file, path=path))
        sources[target] = find_target(folder, file.path)
    return Written(
        targets=tuple(targets), files=tuple(files), pcm_sha256=parts.pcm_sha256, parts=sources
    )


def drop_parts(folder: Path, parts: Parts) -> None:
    """Remove files that another process has written, and that get no place; at the end all are swept.

    Args:
        folder: The run folder.
        parts: The files.
    """
    for file in parts.files:
        with contextlib.suppress(OSError, OutputError):
            find_target(folder, file.path).unlink(missing_ok=True)


def find_target(folder: Path, output: str) -> Path:
    """Resolve the place of a result in a run folder.

    Raises:
        OutputError: A link leads out of the folder.
    """
    try:
        base = "" if folder.is_absolute() else os.getcwd()  # noqa: PTH109
        return plain_path_inside(_resolve_once(folder, base), output)
    except PathEscapeError as error:
        raise OutputError(error.message, hint="the run folder was tampered with") from error


@functools.lru_cache(maxsize=16)
def _resolve_once(folder: Path, _base: str) -> Path:
    """Resolve a run folder once; `publish` sees what has become a link since."""
    return folder.resolve()
