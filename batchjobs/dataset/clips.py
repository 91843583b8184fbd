"""The clips of a dataset: a run's files as they are, seen to be whole, or made anew of them."""

import contextlib
import hashlib
import importlib.util
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from batchjobs.audio import decoding
from batchjobs.audio.encoding import encode, write_pcm
from batchjobs.audio.formats import FORMATS
from batchjobs.audio.pcm import window_frames
from batchjobs.audio.source import Recording
from batchjobs.dataset.samples import Sample
from batchjobs.errors import MissingExtraError, RecordingError, UsageError
from batchjobs.files.address import is_address
from batchjobs.jobs import Kind
from batchjobs.options.dataset import ExportSettings
from batchjobs.storage.input_files import InputFiles

_IN_MEMORY_BYTES: Final = 32 * 1024 * 1024
"""A clip that is longer passes through in pieces."""
_BLOCK_BYTES: Final = 1 << 20
_SILENT_BELOW: Final = 0.03
"""Of the loudest 20 ms: what is said at the end of a breath is above it."""
_MARGIN_WINDOWS: Final = 5
"""Kept of the silence, 0.1 s: consonants begin, and rooms die away, below that."""
_CEILING_DBTP: Final = -1.0
_OTHER_ENDINGS: Final = {"oga": "ogg", "opus": "ogg", "wave": "wav"}
_Pieces = Callable[[], Iterable[bytes]]


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """A clip as it goes into the dataset; a struct, because a million are made.

    Attributes:
        ending: Its file's, without the dot.
        frames: How many there are.
        sample_rate: In hertz.
        size: Its file's, in bytes.
        sha256: Of its file; empty where nobody asks for it.
        path: A file that has its content.
        content: Its content, if it is not too long for memory.
        is_made: Whether it is another than the run's own file.
    """

    ending: str
    frames: int
    sample_rate: int
    size: int
    sha256: str
    path: str
    content: bytes | None = None
    is_made: bool = False

    @property
    def seconds(self) -> float:
        """Its length, unrounded: readers cut or pad by what is told."""
        return self.frames / self.sample_rate

    def read(self) -> bytes:
        """Read its whole content."""
        return Path(self.path).read_bytes() if self.content is None else self.content

    def write(self, descriptor: int) -> None:
        """Write its content into an empty file."""
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            if self.content is not None:
                file.write(self.content)
                return
            with Path(self.path).open("rb") as source:
                shutil.copyfileobj(source, file, _BLOCK_BYTES)


def ending_of(sample: Sample) -> str:
    """Say what a sample's file is called at its end, without the dot; opus and oga are Ogg."""
    # By hand: a path's own parsing of a million rows took a third of the time (measured).
    ending = sample.path.rpartition("/")[2].rpartition(".")[2].lower()
    return _OTHER_ENDINGS.get(ending, ending)


def check_loudness_extra() -> None:
    """See that what measures loudness is there.

    Raises:
        MissingExtraError: It is not.
    """
    if importlib.util.find_spec("av") is None:
        raise MissingExtraError("bringing clips to a loudness", package="av", extra="dataset")


def refuse_link(place: object) -> UsageError:
    """Say that nothing can link to what is in a bucket.

    Args:
        place: What is there.
    """
    return UsageError(
        f"{place} is in a bucket, and nothing here can link to it",
        hint="leave out --link: it is fetched and copied",
    )


class ClipMaker:
    """Makes clips of samples.

    Args:
        settings: How they are to be.
        endings: Those that the dataset takes.
        ending: The one that all have, or that a clip gets which has none of `endings`.
        scratch: A folder for clips that are too long for memory; each replaces the one before.
        is_hashed: Whether the hashes of the clips' files are asked for.
        files: Lends recordings that are in a bucket.
        places: By the names of runs whose results are read elsewhere: their folders, and where that is.
    """

    def __init__(
        self,
        settings: ExportSettings,
        *,
        endings: Collection[str],
        ending: str,
        scratch: Path,
        is_hashed: bool,
        files: InputFiles,
        places: Mapping[str, tuple[str, str]],
    ) -> None:
        self._files = files
        self._places = places
        self._lent = contextlib.ExitStack()
        self._settings = settings
        self._is_hashed = is_hashed
        self._endings = endings
        self._ending = ending
        self._scratch = scratch

    def make(self, sample: Sample) -> Clip:
        """Make a sample's clip; it can be read until the next one is made.

        Raises:
            RecordingError: Its file is missing, or not what it was.
            UsageError: It is to be linked to, and is in a bucket.
            BatchjobsError: Its bucket cannot be read, or the disk is full.
        """
        self._lent.close()
        path = self._find_place(sample)
        if is_address(path):
            if self._settings.link:
                raise refuse_link(path)
            lent = self._lent.enter_context(self._files.borrow(path, is_last=True))
            path = str(lent.path)
        found = _read_whole(sample, path, is_hashed=self._is_hashed)
        ending = ending_of(sample)
        recording = None
        if sample.kind is Kind.STT or not sample.frames:
            recording = decoding.probe(Path(found.path))
        rate = recording.sample_rate if recording is not None else sample.sample_rate
        if self._is_fit(ending, recording, rate):
            frames = sample.frames
            if recording is not None:
                frames, rate = decoding.measure(Path(found.path))
            return Clip(
                ending=ending,
                frames=frames,
                sample_rate=rate,
                size=found.size,
                sha256=found.sha256,
                path=found.path,
                content=found.content,
            )
        return self._convert(sample, Path(found.path), rate)

    def _find_place(self, sample: Sample) -> str:
        """Say where a sample's file can be read; a list calls it by its place in the run."""
        if sample.kind is Kind.STT or sample.run not in self._places:
            return sample.path
        folder, place = self._places[sample.run]
        return place + sample.path.removeprefix(folder)

    def _is_fit(self, ending: str, recording: Recording | None, rate: int) -> bool:
        """Say whether a file can go into the dataset as it is."""
        settings = self._settings
        if settings.trim or settings.loudness_lufs is not None or ending not in self._endings:
            return False
        if recording is not None and (recording.channels > 1 or recording.container != ending):
            return False
        return not settings.sample_rate or settings.sample_rate == rate

    def _convert(self, sample: Sample, source: Path, rate: int) -> Clip:
        settings = self._settings
        ending = ending_of(sample) if ending_of(sample) in self._endings else self._ending
        rate = settings.sample_rate or rate
        if rate not in FORMATS[ending].sample_rates:
            ending = "flac"
        # What is to be louder is raised before 16 bits round it.
        gain = 1.0 if settings.loudness_lufs is None else None
        pieces = _decode(source, rate, 2 * rate * (sample.seconds + 1), gain)
        frames = sum(len(piece) // 2 for piece in pieces())
        if settings.trim:
            first, last = _find_edges(pieces(), rate)
            pieces, frames = _cut(pieces, first, last), last - first
        if settings.loudness_lufs is not None:
            pieces = _level(pieces, rate, settings.loudness_lufs)
        return self._write(pieces, frames=frames, sample_rate=rate, ending=ending)

    def _write(self, pieces: _Pieces, *, frames: int, sample_rate: int, ending: str) -> Clip:
        path, content = "", None
        if 2 * frames <= _IN_MEMORY_BYTES:
            content = encode(b"".join(pieces()), sample_rate=sample_rate, format=ending)
            size, digest = len(content), hashlib.sha256(content).hexdigest()
        else:
            scratch = self._scratch / f"clip.{ending}"
            path = str(scratch)
            with scratch.open("w+b") as file:
                write_pcm(
                    file.fileno(), pieces(), frames=frames, sample_rate=sample_rate, format=ending
                )
                size = os.fstat(file.fileno()).st_size
            digest = decoding.sha256_of(scratch)
        return Clip(
            ending=ending,
            frames=frames,
            sample_rate=sample_rate,
            size=size,
            sha256=digest,
            path=path,
            content=content,
            is_made=True,
        )


# -- a run's file ---------------------------------------------------------------------------------


class _File(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    size: int
    sha256: str
    content: bytes | None


def _read_whole(sample: Sample, path: str, *, is_hashed: bool) -> _File:
    """Read a sample's file, and see that it is what the run knows it to be.

    Args:
        sample: The sample.
        path: Where its file is, by now.
        is_hashed: Whether its hash as a file is asked for, too.

    Raises:
        RecordingError: It is not, or is not there.
    """
    try:
        with FileIO(path) as file:
            size = os.fstat(file.fileno()).st_size
            if sample.bytes and size != sample.bytes:
                raise RecordingError(f"{path} has {size:,} bytes, not {sample.bytes:,}")
            if size > _IN_MEMORY_BYTES:
                digest, known = _hash_long(file, sample.head_bytes)
                content = None
            else:
                content = file.read()
                digest, known = _hash_content(content, sample, is_hashed=is_hashed)
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from error
    if sample.sha256 and known != sample.sha256:
        raise RecordingError(f"{path} has another content than the run wrote")
    return _File(path=path, size=size, sha256=digest, content=content)


def _hash_content(content: bytes, sample: Sample, *, is_hashed: bool) -> tuple[str, str]:
    """Hash a file as it stands, if that is asked for, and as the run does."""
    is_same = not sample.head_bytes
    digest = hashlib.sha256(content).hexdigest() if is_same or is_hashed else ""
    if is_same:
        return digest, digest
    view = memoryview(content)
    known = hashlib.sha256(view[sample.head_bytes :])
    known.update(view[: sample.head_bytes])
    return digest, known.hexdigest()


def _hash_long(file: FileIO, head_bytes: int) -> tuple[str, str]:
    """Do the same piece by piece."""
    head = file.read(head_bytes)
    digest, known = hashlib.sha256(head), hashlib.sha256()
    while piece := file.read(_BLOCK_BYTES):
        digest.update(piece)
        known.update(piece)
    known.update(head)
    return digest.hexdigest(), known.hexdigest()


# -- making another of it -------------------------------------------------------------------------


def _decode(path: Path, rate: int, size: float, gain: float | None) -> _Pieces:
    """Decode a file to 16-bit mono, once if that fits into memory."""
    if size > _IN_MEMORY_BYTES:
        return lambda: decoding.pcm_chunks(path, sample_rate=rate, gain=gain)
    pcm = b"".join(decoding.pcm_chunks(path, sample_rate=rate, gain=gain))
    return lambda: (pcm,)


def _find_edges(pieces: Iterable[bytes], rate: int) -> tuple[int, int]:
    """Find the frames between the silence before speech and that after it, with a margin."""
    width = window_frames(rate)
    powers: list[float] = []
    held = np.zeros(0, np.float64)
    frames = 0
    for piece in pieces:
        samples = np.frombuffer(piece, dtype="<i2")
        frames += len(samples)
        held = np.concatenate((held, samples.astype(np.float64)))
        count = len(held) // width
        powers += np.square(held[: count * width]).reshape(count, width).mean(axis=1).tolist()
        held = held[count * width :]
    if len(held):
        powers.append(float(np.square(held).mean()))
    heard = np.flatnonzero(np.array(powers) >= max(powers, default=0.0) * _SILENT_BELOW**2)
    if not len(heard) or not max(powers):
        return 0, frames
    first = max(0, int(heard[0]) - _MARGIN_WINDOWS) * width
    return first, min(frames, (int(heard[-1]) + 1 + _MARGIN_WINDOWS) * width)


def _cut(pieces: _Pieces, first: int, last: int) -> _Pieces:
    def give() -> Iterator[bytes]:
        position = 0
        for piece in pieces():
            yield piece[2 * max(0, first - position) : 2 * max(0, last - position)]
            position += len(piece) // 2

    return give


def _level(pieces: _Pieces, rate: int, target_lufs: float) -> _Pieces:
    """Bring a sound to a loudness; what is silent, or too short to be measured, stays as it is."""
    from batchjobs.audiobook.filters import Chain, Level, level_filters
    from batchjobs.audiobook.meter import Loudness, Meter, join_readings
    from batchjobs.dataset.loudness import fit_level

    def measure(level: Level) -> Loudness:
        meter, chain = Meter(), Chain(rate, level_filters(level, rate))
        for piece in _in_blocks(pieces(), rate):
            meter.push(chain.push(piece))
        meter.push(chain.end())
        return join_readings([meter.end()])

    level = fit_level(measure, target_lufs=target_lufs, ceiling_db=_CEILING_DBTP)
    if level == Level():
        return pieces
    filters = [*level_filters(level, rate), ("aformat", "sample_fmts=s16")]

    def give() -> Iterator[bytes]:
        chain = Chain(rate, filters)
        for piece in _in_blocks(pieces(), rate):
            yield from (frame.to_ndarray().tobytes() for frame in chain.push(piece))
        yield from (frame.to_ndarray().tobytes() for frame in chain.end())

    return give


def _in_blocks(pieces: Iterable[bytes], rate: int) -> Iterator[bytes]:
    """Cut pieces to a second at most; a filter takes no empty one."""
    for piece in pieces:
        for start in range(0, len(piece), 2 * rate):
            yield piece[start : start + 2 * rate]
