"""What a command leaves out or cannot find, said at its end: how much there is of it, and its names."""

import sys
from typing import TYPE_CHECKING, Final

from batchjobs.cli.console import say
from batchjobs.formatting import plural

if TYPE_CHECKING:
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
