"""A run's status, said again and again: drawn anew on a terminal, else told when it has changed."""

import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from batchjobs.cli.console import die_of, has_no_reader, say
from batchjobs.formatting import clock

if TYPE_CHECKING:
    from batchjobs.api.status import RunStatus

_LEAST_SECONDS: Final = 2.0
_REST: Final = 20
"""So many times as long as it looked it rests: a twentieth of a core at most, however many rows."""
_ANEW: Final = "\x1b[H\x1b[J"
"""Goes to the terminal's first line, and clears from there."""


def order_status(found: "RunStatus") -> dict[str, object]:
    """Give a status as JSON has it: first whose it is."""
    import msgspec

    values: dict[str, object] = msgspec.to_builtins(found)
    first = ("manifest", "command", "working_folder", "is_running")
    return {name: values.pop(name) for name in first} | values


def watch_status(
    find: Callable[[], "RunStatus"],
    describe: Callable[["RunStatus"], Iterable[str]],
    *,
    as_json: bool,
) -> None:
    """Say how a run stands until none goes on, or Ctrl-C.

    Args:
        find: Looks at the run.
        describe: Puts what was found into lines.
        as_json: A line of JSON for each look that finds something else than the one before.
    """
    import signal

    try:
        _watch(find, describe, as_json=as_json)
    except KeyboardInterrupt:  # nothing was begun
        die_of(signal.SIGINT)


def _watch(
    find: Callable[[], "RunStatus"],
    describe: Callable[["RunStatus"], Iterable[str]],
    *,
    as_json: bool,
) -> None:
    is_drawn = sys.stdout.isatty() and not as_json
    before: RunStatus | None = None
    while True:
        began = time.monotonic()
        found = find()
        took = time.monotonic() - began
        if is_drawn:
            say("\n".join([f"{_ANEW}{clock(time.time())}", *describe(found)]))
        elif found != before:
            _say_once(found, describe, as_json=as_json)
        if not found.is_running or has_no_reader(sys.stdout):
            return
        before = found
        time.sleep(max(_LEAST_SECONDS, _REST * took))


def _say_once(
    found: "RunStatus", describe: Callable[["RunStatus"], Iterable[str]], *, as_json: bool
) -> None:
    if as_json:
        import orjson

        say(orjson.dumps(order_status(found)).decode())
        return
    for line in describe(found):
        say(f"{clock(time.time())} {line}")
    sys.stdout.flush()
