"""Exports that are killed at a change of the disk: forked, and struck by themselves.

    python -m tests.dataset.killed RUN TARGET FORM

Reads a number a line and forks an export that kills itself at its change of the disk with that number,
counted from 1; 0 is never. Answers with the exit code, or the negative number of the signal.
"""

import os
import signal
import sys
from pathlib import Path

import numpy  # noqa: F401, ICN001  # what an export imports as it goes
import soundfile  # noqa: F401

import batchjobs
from batchjobs.dataset import exporting, listing, staging  # noqa: F401
from batchjobs.errors import BatchjobsError
from batchjobs.options.dataset import ExportSettings

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate"}
CLIPS_A_PIECE = 3


def strike_at(number: int, place: str) -> None:
    """Let this process die at a change of the disk below a folder, or beside it."""
    seen = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        is_change = event in CHANGES
        if event == "open":
            flags = arguments[2]
            is_change = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
        if is_change and place in str(arguments[0]):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def main() -> None:
    """Fork an export for each line."""
    run, target, form = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    vars(listing)["_CLIPS_A_PIECE"] = CLIPS_A_PIECE
    settings = ExportSettings(form=form, shard_megabytes=1, split="train=70,test=30")
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            code = 70
            try:
                if int(line):
                    strike_at(int(line), target.name)
                batchjobs.export(run, settings, output=target)
                code = 0
            except BatchjobsError as error:
                print(error, file=sys.stderr)
                code = error.exit_code
            finally:
                os._exit(code)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
