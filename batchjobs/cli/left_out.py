"""What a command leaves out or cannot find, said at its end: how much there is of it, and its names."""

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batchjobs.cli.console import say
from batchjobs.formatting import plural
from batchjobs.process.invocation import quote_command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchjobs.manifest.left_out import LeftOut
    from batchjobs.manifest.scan import ScanReport
    from batchjobs.outputs.left_files import LeftFiles
    from batchjobs.planning.plan import Plan

_NAMES_SHOWN: Final = 10


def tell_absent(plan: "Plan", manifest: str) -> None:
    """Say which recordings are gone that were read before; what is done of them stays.

    Args:
        plan: Of the run.
        manifest: Its name, for the lines.
    """
    if not plan.absent:
        return
    are = "is" if plan.absent == 1 else "are"
    say(
        f"batchjobs: {plural(plan.absent, 'recording')} {are} gone, or cannot be read any more; "
        "what is done of them stays:",
        sys.stderr,
    )
    for row in plan.absent_rows[:_NAMES_SHOWN]:
        say(f"  {row.describe(manifest)}", sys.stderr)
    if more := plan.absent - len(plan.absent_rows[:_NAMES_SHOWN]):
        say(f"  … and {more:,} more", sys.stderr)


def tell_left_out(
    items: "Iterable[LeftOut]", told: "set[LeftOut]", listed_in: Path | None = None
) -> None:
    """Name what a scan left out, unless it was said before; what is plainly no recording is only counted.

    Args:
        items: What was left out.
        told: What was said before; gets what is said now.
        listed_in: The file that has all of it: then only the first of each cause are named.
    """
    from batchjobs.manifest.left_out import Cause

    counts: Counter[Cause] = Counter()
    for item in items:
        if item in told or (listed_in and item.cause in {Cause.HIDDEN, Cause.NO_RECORDING}):
            continue
        told.add(item)
        counts[item.cause] += 1
        if listed_in is None or counts[item.cause] <= _NAMES_SHOWN:
            say(_describe(item), sys.stderr)
    for cause, count in counts.items():
        if listed_in is not None and count > _NAMES_SHOWN:
            say(f"… and {count - _NAMES_SHOWN:,} more ({cause}): see {listed_in}", sys.stderr)


def _describe(item: "LeftOut") -> str:
    from batchjobs.manifest.left_out import Cause, show_path

    if item.cause is Cause.DUPLICATE:
        return f"the same as {show_path(item.reason)}: {item.path}"
    if item.cause in {Cause.UNREADABLE, Cause.EXTRA}:
        return f"cannot be transcribed: {item.path}: {item.reason}"
    reason = f": {item.reason}" if item.reason else ""
    return f"not taken: {item.path} ({item.kind}, {item.cause}{reason})"


def tell_tracks(found: "ScanReport") -> None:
    """Say which of the recordings found are heard in part."""
    for sentence in found.tracks.tell():
        say(sentence, sys.stderr)


def tell_notes(plan: "Plan") -> None:
    """Say what was passed over or odd as the manifest was read, and of the options."""
    for note in (*plan.notes, *plan.advice):
        say(f"batchjobs: {note}", sys.stderr)


def describe_left_files(left: "LeftFiles", folder: Path) -> str:
    """Say which results belong to no row any more, and how to be rid of them; empty if none does.

    Args:
        left: What is left.
        folder: The run folder.
    """
    if not left.count:
        return ""
    belongs = "file belongs" if left.count == 1 else "files belong"
    more = f" and {left.count - len(left.first):,} more" if left.count > len(left.first) else ""
    way = f"to see and remove them: {quote_command('prune', folder)}"
    return f"{left.count:,} {belongs} to no row any more: {', '.join(left.first)}{more}; {way}"
