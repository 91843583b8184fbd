"""The command `prune`."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchjobs.cli.console import exit_on_error, print_json, say
from batchjobs.cli.options import RUN_FOLDER, defaults_option, json_option, option
from batchjobs.formatting import file_size, plural

if TYPE_CHECKING:
    from batchjobs.api.prune import PruneReport


@click.command()
@RUN_FOLDER
@option("--yes", is_flag=True, help="Remove it, without a question.")
@json_option
@defaults_option
def prune(folder: Path, *, yes: bool, as_json: bool) -> None:
    """Show what RUN holds that no row needs any more, and remove it if that is wanted.

    That is audio and transcripts of rows that are gone, takes that a check did not keep, finished
    segments of long jobs, and results in doubt of rows that are gone. Should a row come back, it is
    bought again. Without --yes it asks, or shows only where nobody can be asked.

    \b
    Example:
        batchjobs prune outputs/talks
    """
    from batchjobs.api.prune import prune as prune_folder
    from batchjobs.outputs.pruning import Leftover
    from batchjobs.progress.steps import StepBar

    kinds = {kind.name.lower(): kind.value for kind in Leftover}
    can_ask = sys.stdin.isatty() and sys.stdout.isatty() and not as_json

    with exit_on_error(), StepBar(sys.stderr, unit="file") as bar:

        def is_wanted(report: "PruneReport") -> bool:
            bar.close()
            _show(report, kinds)
            return yes or click.confirm("Remove all of it?")

        wanted = yes if as_json or not can_ask else is_wanted
        report = prune_folder(folder, remove=wanted, progress=bar)
    if as_json:
        print_json(dataclasses.asdict(report))
        return
    if not can_ask or not report.found:
        _show(report, kinds)
    _conclude(report, folder)


def _show(report: "PruneReport", kinds: dict[str, str]) -> None:
    for kind, found in report.found.items():
        more = ", ..." if found.files > len(found.first) else ""
        say(f"{plural(found.files, 'file')}, {file_size(found.bytes)}: {kinds[kind]}")
        say(f"    {', '.join(found.first)}{more}")
    for path in report.changed:
        say(f"stays, because it is not as it was written: {path}", sys.stderr)
    if report.waiting:
        rows = plural(report.waiting, "long row")
        say(f"what holds segments stays: {rows} not done yet may be made of them", sys.stderr)


def _conclude(report: "PruneReport", folder: Path) -> None:
    if not report.found:
        say(f"nothing to remove in {folder}")
    elif report.is_removed:
        say(f"removed: {file_size(report.bytes)}")
    else:
        say("nothing was removed; --yes removes it")
