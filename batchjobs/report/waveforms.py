"""Wave forms of clips, small enough for a page of many: measured once, kept beside the run."""

import contextlib
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from batchjobs.audio import decoding
from batchjobs.audio.source import Block
from batchjobs.errors import RecordingError
from batchjobs.files import run_folder

PARTS: Final = 96
"""Bars of a picture; each is one character of the page."""
LEVELS: Final = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
"""The characters of levels 0 to 63."""
_LEVEL_BYTES: Final = LEVELS.encode()
_KEY_BYTES: Final = 32
_ENTRY_BYTES: Final = _KEY_BYTES + PARTS
_QUIETEST_DB: Final = -48.0
"""Drawn as nothing: level by decibels shows where speech is, where amplitude shows its vowels."""


class Waveforms:
    """Wave forms by the hash of what they show, in a file of entries that is only appended to.

    It holds nothing that cannot be measured again: a torn end is cut off, and whatever cannot be
    read or written is measured every time.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / run_folder.WAVEFORMS
        self._known = dict(_read_entries(self._path))
        self._new: dict[bytes, bytes] = {}

    def find(self, sha256: str) -> str | None:
        """Give the wave form of a file, if it was measured before."""
        known = self._known.get(bytes.fromhex(sha256))
        return None if known is None else known.decode()

    def measure(self, sha256: str, path: Path) -> str:
        """Measure a file, and remember what it looks like.

        Args:
            sha256: Of the file, or of whatever else tells it from all others.
            path: The file.

        Returns:
            `PARTS` characters of `LEVELS`; empty if it cannot be read.
        """
        try:
            shown = draw(decoding.measure_peaks(path, PARTS))
        except RecordingError:
            shown = ""
        if shown:  # what cannot be read may be mended by the next time
            key = bytes.fromhex(sha256)
            self._known[key] = self._new[key] = shown.encode()
        return shown

    def save(self) -> None:
        """Append what was measured; a folder that cannot be written does without."""
        if not self._new:
            return
        with contextlib.suppress(OSError), self._path.open("ab") as file:
            torn = file.tell() % _ENTRY_BYTES
            if torn:
                file.truncate(file.tell() - torn)
            file.write(b"".join(key + shown for key, shown in self._new.items()))
        self._new.clear()


def draw(peaks: Block) -> str:
    """Write levels from 0 to 1 as characters."""
    with np.errstate(divide="ignore"):
        decibels = 20 * np.log10(peaks)
    steps = np.clip(1 - decibels / _QUIETEST_DB, 0, 1) * (len(LEVELS) - 1)
    return "".join(LEVELS[step] for step in np.rint(steps).astype(np.intp))


def _read_entries(path: Path) -> Iterator[tuple[bytes, bytes]]:
    with contextlib.suppress(OSError), path.open("rb") as file:
        while len(entry := file.read(_ENTRY_BYTES)) == _ENTRY_BYTES:
            shown = entry[_KEY_BYTES:]
            if not shown.translate(None, delete=_LEVEL_BYTES):
                yield entry[:_KEY_BYTES], shown
