"""Recordings as they arrive in a folder that is watched: the extra `scan`."""

import contextlib
import itertools
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from batchjobs.errors import ConfigurationError, ManifestError
from batchjobs.manifest.walking import is_hidden, is_partial, walk

if TYPE_CHECKING:
    from watchfiles import Change

_State: TypeAlias = tuple[int, int]
"""A file's size, and when it was written to last: some copies have their whole size from the start."""


def watch_folder(folder: Path, *, settle_seconds: float) -> Iterator[Path]:
    """Wait for files to arrive below a folder, for ever; from the call on, none is missed.

    Args:
        folder: Where.
        settle_seconds: How long a file must not have been written to: it may still be copied.

    Returns:
        Gives each file once it stands still, and has the name that it is to keep; again whenever it
        is written again.

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
    """Give the files of the changes, each once it stands still."""
    waiting: dict[Path, tuple[_State, float]] = {}
    for changed in changes:
        for _, name in changed:
            for path in _files_of(Path(name)):
                if not is_hidden(path.relative_to(folder)) and not is_partial(path):
                    waiting[path] = ((-1, 0), 0.0)
        yield from _pop_settled(waiting, settle_seconds)


def _files_of(path: Path) -> Iterator[Path]:
    """Find the files of a change: all those of a new folder, which may be older than the watch."""
    if path.is_dir() and not path.is_symlink():
        with contextlib.suppress(ManifestError):  # it is gone again
            yield from (found for found in walk(path) if isinstance(found, Path))
    else:
        yield path


def _pop_settled(
    waiting: dict[Path, tuple[_State, float]], settle_seconds: float
) -> Iterator[Path]:
    """Take out the files that were not written to for long enough, and those that are gone."""
    now = time.monotonic()
    for path, (state, since) in list(waiting.items()):
        try:
            status = path.lstat()
        except OSError:
            del waiting[path]
            continue
        found = status.st_size, status.st_mtime_ns
        if not stat.S_ISREG(status.st_mode):
            del waiting[path]
        elif found != state:
            waiting[path] = (found, now)
        elif now - since >= settle_seconds:
            del waiting[path]
            yield path
