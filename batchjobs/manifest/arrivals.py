"""Recordings as they arrive in a folder that is watched: the extra `scan`."""

import contextlib
import itertools
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from batchjobs.errors import ConfigurationError, ManifestError
from batchjobs.manifest.scan import ENDINGS, walk_recordings

if TYPE_CHECKING:
    from watchfiles import Change


def watch_folder(folder: Path, *, settle_seconds: float) -> Iterator[Path]:
    """Wait for recordings to arrive below a folder, for ever; from the call on, none is missed.

    Args:
        folder: Where.
        settle_seconds: How long a file must not have grown: it may still be copied.

    Returns:
        Gives each recording once it stands still; again whenever it is written again.

    Raises:
        ConfigurationError: The extra ``scan`` is not installed.
    """
    try:
        from watchfiles import watch
    except ImportError as error:
        raise ConfigurationError(
            "watching a folder needs the extra 'scan'", hint="pip install 'batchjobs[scan]'"
        ) from error
    step = max(50, round(settle_seconds * 250))
    changes = watch(folder, yield_on_timeout=True, rust_timeout=step, step=50, raise_interrupt=True)
    first = next(changes)  # it watches only once it is asked
    return _wait_settled(folder, itertools.chain([first], changes), settle_seconds)


def _wait_settled(
    folder: Path, changes: "Iterable[set[tuple[Change, str]]]", settle_seconds: float
) -> Iterator[Path]:
    """Give the recordings of the changes, each once it stands still."""
    waiting: dict[Path, tuple[int, float]] = {}
    for changed in changes:
        for _, name in changed:
            for path in _recordings_of(Path(name)):
                if not _is_hidden(path, folder):
                    waiting[path] = (-1, 0.0)
        yield from _pop_settled(waiting, settle_seconds)


def _recordings_of(path: Path) -> Iterator[Path]:
    """Find the recordings of a change: all those of a new folder, which may be older than the watch."""
    if path.is_dir() and not path.is_symlink():
        with contextlib.suppress(ManifestError):  # it is gone again
            yield from walk_recordings(path)
    elif path.suffix.lower() in ENDINGS:
        yield path


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _pop_settled(waiting: dict[Path, tuple[int, float]], settle_seconds: float) -> Iterator[Path]:
    """Take out the files whose size has not changed for long enough, and those that are gone."""
    now = time.monotonic()
    for path, (size, since) in list(waiting.items()):
        try:
            status = path.lstat()
        except OSError:
            del waiting[path]
            continue
        if not stat.S_ISREG(status.st_mode):
            del waiting[path]
        elif status.st_size != size:
            waiting[path] = (status.st_size, now)
        elif now - since >= settle_seconds:
            del waiting[path]
            yield path
