"""Runs a book's manifest, and kills itself at one of its disk calls.

    python -m tests.faults.struck_book NUMBER BASE_URL

The first call has the number 1; 0 is none. Counted are Python's own calls, and the moments around a commit.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

import batchjobs
from batchjobs.checkpoint import Checkpoint
from tests.faults.sabotage import plant

__all__: list[str] = []

CALLS: Final = ("fsync", "write", "rename", "replace", "unlink", "mkdir", "rmdir")


def main() -> int:
    """Plant the strike and run; gives the exit code."""
    left = int(sys.argv[1])

    def strike() -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    def striking(call: Callable[..., object]) -> Callable[..., object]:
        def struck(*given: object, **named: object) -> object:
            strike()
            return call(*given, **named)

        return struck

    for name in CALLS:
        plant(os, name, striking(getattr(os, name)))
    commit = Checkpoint.commit

    def around(self: Checkpoint, **entries: Any) -> object:
        strike()
        numbers = commit(self, **entries)
        strike()
        return numbers

    plant(Checkpoint, "commit", around)
    options = batchjobs.Options(base_url=sys.argv[2], concurrency=2, output="run")
    return batchjobs.run("book.jsonl", options).exit_code


if __name__ == "__main__":
    sys.exit(main())
