"""The command `accept`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from batchjobs.cli.console import exit_on_error, print_json, say
from batchjobs.cli.options import RUN_FOLDER, config_option, json_option, option
from batchjobs.formatting import plural

if TYPE_CHECKING:
    from batchjobs.api.accept import AcceptReport

_REASONS: Final = "silent abrupt short long broken unheard few_words unsettled rejected".split()


@click.command()
@RUN_FOLDER
@click.argument("ids", metavar="[ID]...", nargs=-1)
@option("--all", "every", is_flag=True, help="Accept every suspect result that was not rejected.")
@option(
    "--reason",
    "reasons",
    multiple=True,
    type=click.Choice(_REASONS),
    help="Accept those against which nothing else speaks; may be given several times.",
)
@json_option
@config_option
def accept(
    folder: Path,
    ids: tuple[str, ...],
    *,
    every: bool,
    reasons: tuple[str, ...],
    as_json: bool,
    config: Path | None,
) -> None:
    """Make suspect results of RUN done: they were listened to, and are good. Buys nothing.

    What is in doubt stands in RUN/suspect, and why, in RUN/failed.jsonl. The others stay as they
    are; 'batchjobs run --retry-failed' buys them again and keeps the better of the two.

    \b
    Examples:
        batchjobs accept outputs/talks intro chapter-7
        batchjobs accept outputs/talks --reason abrupt
        batchjobs accept outputs/talks --all
    """
    from batchjobs.api.accept import accept as accept_jobs

    with exit_on_error():
        report = accept_jobs(folder, ids, every=every, reasons=reasons, config_file=config)
    if as_json:
        import dataclasses

        left = report.suspects - len(report.accepted)
        print_json(dataclasses.asdict(report) | {"suspects_left": left})
    else:
        _show(report, folder)
    raise SystemExit(1 if report.damaged or report.other_format else 0)


def _show(report: "AcceptReport", folder: Path) -> None:
    for name in report.done_before:
        say(f"'{name}' is done already")
    for name in report.damaged:
        say(f"batchjobs: what was kept of '{name}' is gone or has changed", sys.stderr)
    for name in report.other_format:
        say(
            f"batchjobs: '{name}' is kept in a format that cannot become the one asked for by now",
            sys.stderr,
        )
    if report.other_format:
        say("  → ask for the format that it has, or buy it again", sys.stderr)
    if report.damaged:
        say("  → 'batchjobs run … --retry-failed' buys it again", sys.stderr)
    if not report.suspects:
        say(f"nothing is suspect in {folder}")
        return
    left = report.suspects - len(report.accepted)
    say(f"{plural(len(report.accepted), 'job')} accepted, {left:,} suspect left")
