"""A run that outlives its terminal: checked before our eyes, and gone to the background once it begins."""

import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from batchjobs.cli.console import die_of, say
from batchjobs.files import run_folder
from batchjobs.process.invocation import quote_command

if TYPE_CHECKING:
    from batchjobs.progress import Event, Observer


class Background:
    """The process that runs: it leaves the terminal as the run begins.

    Until then what it says is said there, and what it refuses ends the command with its own code.

    Args:
        begun: Where the other process is told of the run's folder.
        observe: Gets every event; None if nobody listens.
    """

    def __init__(self, begun: int, observe: "Observer | None") -> None:
        self._begun = begun
        self._observe = observe

    def __call__(self, event: "Event") -> None:
        """Take one event into account."""
        from batchjobs.progress import RunStarted

        if isinstance(event, RunStarted):
            self._leave(Path(event.folder))
        if self._observe is not None:
            self._observe(event)

    def _leave(self, folder: Path) -> None:
        """Write into the log in the run folder from now on, and read nothing more."""
        place = folder / run_folder.LOG
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        try:
            log = os.open(place, flags, 0o600)
        except OSError:  # say, a folder stands there: it is not worth the run
            log = os.open(os.devnull, os.O_WRONLY)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for old, new in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(old, new)
        os.close(log)
        os.close(nothing)
        os.write(self._begun, os.fsencode(folder))
        os.close(self._begun)


def go_to_background(observe: "Observer | None") -> Background:
    """Go on in a process without a terminal; this one waits until that has begun to run, and ends.

    What it says is lost neither: the key stays in the environment, where it was.

    Args:
        observe: Gets every event of the run.
    """
    told, begun = os.pipe()
    process = os.fork()
    if process:
        os.close(begun)
        _wait_begun(process, told)
    os.close(told)
    os.setsid()  # no signal of the terminal reaches it, nor its end
    return Background(begun, observe)


def _wait_begun(process: int, told: int) -> NoReturn:
    """Wait until the run begins, or ends before that, and end likewise."""
    try:
        with os.fdopen(told, "rb") as stream:
            folder = stream.read()
        if not folder:
            _end_as(os.waitpid(process, 0)[1])
    except KeyboardInterrupt:
        os.kill(process, signal.SIGINT)
        _end_as(os.waitpid(process, 0)[1])
    for line in _describe(process, Path(os.fsdecode(folder))):
        say(line)
    raise SystemExit(0)


def _end_as(status: int) -> NoReturn:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        die_of(-code)
    raise SystemExit(code)


def _describe(process: int, folder: Path) -> Iterator[str]:
    yield f"running in the background: process {process}"
    yield f"what it says: {shlex.quote(str(folder / run_folder.LOG))}"
    yield f"how it stands: {quote_command('status', folder, '--watch')}"
    yield f"to stop it: {quote_command('ctl', folder, 'drain')}"
