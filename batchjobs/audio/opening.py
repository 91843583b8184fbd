"""Opens a recording with whatever reads it, after its header was looked at."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Final

from batchjobs.audio.containers import open_container
from batchjobs.audio.header import read_header
from batchjobs.audio.parts import Decoder, Part, join_parts
from batchjobs.audio.sndfile import open_encoded
from batchjobs.audio.source import Container, Source
from batchjobs.audio.uncompressed import Samples, open_samples
from batchjobs.errors import RecordingError

_WITH_TRACKS: Final = frozenset(
    {
        Container.MP4,
        Container.MATROSKA,
        Container.ASF,
        Container.AVI,
        Container.FLASH,
        Container.MPEG_STREAM,
        Container.TRANSPORT_STREAM,
    }
)
"""Of any other, the number of a track travels along: of a song it is its place on a record."""


@contextmanager
def open_file(path: Path) -> Iterator[BufferedReader]:
    """Open a plain file, and translate whatever the system says against it.

    Raises:
        RecordingError: It is none, or cannot be read.
    """
    try:
        # Before it is opened: to open a FIFO waits for ever, and to open a device may do things.
        if not path.is_file():
            what = "is not a plain file" if path.exists() else "does not exist"
            raise RecordingError(f"{path} {what}", hint="name a recording")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise RecordingError(
            f"{path} cannot be read: {reason}", hint="check the path, its permissions and the disk"
        ) from error


@contextmanager
def open_source(path: Path, track: int = 0) -> Iterator[Source]:
    """Look at the header, and only then let a decoder at the file.

    Args:
        path: The recording.
        track: Which of its audio tracks, from 1; 0 for the default one.

    Raises:
        RecordingError: As of `decoding.probe`.
    """
    with open_file(path) as file:
        header = read_header(file)
        content, container = header.content, header.container
        track = track if container in _WITH_TRACKS else 0
        if isinstance(content, Samples):
            yield open_samples(path, file, container, content)
        elif len(content) == 1:
            with _open_part(path, file, container, content[0], track) as source:
                yield source
        else:
            openers = [partial(_open_part, path, file, container, part, track) for part in content]
            yield join_parts(path, openers)


@contextmanager
def _open_part(
    path: Path, file: BufferedReader, container: Container, part: Part, track: int
) -> Iterator[Source]:
    """Open a part with the decoder that reads all of it."""
    if part.decoder is Decoder.SNDFILE:
        with open_encoded(path, file, container, part) as source:
            if source.recording.frames >= source.least_frames:
                yield source
                return
    with open_container(path, file, container, part, track) as source:
        yield source
