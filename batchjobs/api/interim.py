"""Results while a run goes on: written from time to time, as they stand by then."""

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio
from msgspec import structs

from batchjobs.api.request import Request
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import BatchjobsError
from batchjobs.files import run_folder
from batchjobs.outputs import reports
from batchjobs.outputs.groups import make_groups
from batchjobs.outputs.summary import summarise
from batchjobs.process.tuning import trim_memory

_logger = logging.getLogger(__name__)
_LEAST_SECONDS: Final = 60.0
_REST: Final = 20
"""So many times as long as it wrote it rests: a twentieth of a core at most, however many rows."""
_ROOM: Final = 4
"""So many times the size of the results has to be free for a second copy of them."""
_BREATH_SECONDS: Final = 0.002
"""Between two pieces of a file, in which the event loop has the interpreter to itself."""


async def write_repeatedly(write: Callable[[Callable[[], None]], None]) -> None:
    """Write every minute, or less often if it takes long. Cancelled, it ends within a piece.

    Args:
        write: Does it, in a thread; calls what it is given every now and then, which raises once it
            is to end.
    """
    rest = _LEAST_SECONDS
    while True:
        await trio.sleep(rest)
        began = trio.current_time()
        await trio.to_thread.run_sync(_write_once, write)
        rest = max(_LEAST_SECONDS, _REST * (trio.current_time() - began))


def _write_once(write: Callable[[Callable[[], None]], None]) -> None:
    try:
        write(_breathe)
    except BatchjobsError as error:  # of the disk, which has its own way to stop a run
        _logger.warning("the results so far could not be written: %s", error.message)
    except Exception:  # no report is worth a run
        _logger.exception("the results so far could not be written")


def _breathe() -> None:
    trio.from_thread.check_cancelled()
    time.sleep(_BREATH_SECONDS)


def write_interim(request: Request, held: Checkpoint, check: Callable[[], None]) -> None:
    """Write a run's files as things stand; ``exit_code`` is null while there is none.

    The checkpoint is read through a connection of its own: the recorder never waits.

    Args:
        request: The run's.
        held: The run's checkpoint, to make the transcripts of groups that are whole by now.
        check: Called every now and then; what it raises leaves the files as they were.

    Raises:
        BatchjobsError: They cannot be written.
    """
    if _is_scarce(request.folder):
        return
    make_groups(held, check)
    trim_memory()  # what sessions have freed for good makes room for what is read now
    with Checkpoint.read(request.folder) as checkpoint, checkpoint.hold_steady():
        checkpoint.shrink_cache()
        summary = summarise(checkpoint, request.providers, is_running=True)
        check()
        now = round(time.time(), 3)
        summary = structs.replace(summary, exit_code=None, finished_at=None, written_at=now)
        reports.write_files(checkpoint, summary, check)
    held.shelf.show(run_folder.REPORTS)


def _is_scarce(folder: Path) -> bool:
    """Whether a second copy of the results would take the room that results themselves need."""
    try:
        size = (folder / run_folder.RESULTS).stat().st_size
        return shutil.disk_usage(folder).free < _ROOM * size
    except OSError:  # there is none yet
        return False
