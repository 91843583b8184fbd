"""Recordings as they arrive in a folder that is watched: the extra `scan`."""

import contextlib
import itertools
import logging
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from batchjobs.errors import ConfigurationError, ManifestError
from batchjobs.manifest.walking import is_hidden, is_partial, walk

if TYPE_CHECKING:
    from watchfiles import Change

    Changes: TypeAlias = Iterator[set[tuple[Change, str]]]

_REST: Final = 9
"""Times as long as a look through the folder takes: a tenth of the time is spent looking."""
_logger = logging.getLogger(__name__)
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
    changes = _watch(folder, settle_seconds / 4)
    first = next(changes)  # it watches only once it is asked
    return _wait_settled(folder, itertools.chain([first], changes), settle_seconds)


def _watch(folder: Path, step_seconds: float) -> "Changes":
    """Give what changes below a folder, or nothing every few steps.

    Where the system watches nothing more, and where a name is no text, which ends watchfiles 1.3.0 and
    keeps it from beginning (see findings/watchfiles-name-not-text.sh), it is looked through again
    and again.
    """
    try:
        from watchfiles import watch
    except ImportError as error:
        raise ConfigurationError(
            "watching a folder needs the extra 'scan'", hint="pip install 'batchjobs[scan]'"
        ) from error
    try:
        yield from watch(
            folder,
            watch_filter=None,
            yield_on_timeout=True,
            rust_timeout=max(50, round(step_seconds * 1_000)),
            step=50,
            raise_interrupt=True,
            ignore_permission_denied=True,
        )
    except (OSError, RuntimeError) as error:
        _logger.warning("%s is looked through again and again from now on: %s", folder, error)
    yield from _look_again(folder, step_seconds)


def _look_again(folder: Path, step_seconds: float) -> "Changes":
    """Give what has changed each time a folder is looked through; the first time that is all of it."""
    from watchfiles import Change

    before: dict[Path, _State] = {}
    while True:
        began = time.monotonic()
        now: dict[Path, _State] = {}
        with contextlib.suppress(ManifestError):  # it is gone, perhaps for a moment
            for path in walk(folder):
                if isinstance(path, Path):
                    with contextlib.suppress(OSError):
                        now[path] = _state_of(path.lstat())
        yield {(Change.modified, str(path)) for path in now if now[path] != before.get(path)}
        before = now
        time.sleep(max(step_seconds, _REST * (time.monotonic() - began)))


def _state_of(status: os.stat_result) -> _State:
    return status.st_size, status.st_mtime_ns


def _wait_settled(folder: Path, changes: "Changes", settle_seconds: float) -> Iterator[Path]:
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
        found = _state_of(status)
        if not stat.S_ISREG(status.st_mode):
            del waiting[path]
        elif found != state:
            waiting[path] = (found, now)
        elif now - since >= settle_seconds:
            del waiting[path]
            yield path
