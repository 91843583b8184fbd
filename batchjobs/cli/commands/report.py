"""The command `report`."""

import sys
from pathlib import Path

import click

from batchjobs.cli.console import exit_on_error, print_json, say, show_progress
from batchjobs.cli.options import RUN_FOLDER, config_option, json_option, option
from batchjobs.formatting import plural


@click.command()
@RUN_FOLDER
@option(
    "--rows",
    "most_rows",
    type=click.IntRange(min=1),
    default=50_000,
    show_default=True,
    help="Show at most so many rows, the worst; the figures are of all.",
)
@json_option
@config_option
def report(folder: Path, *, most_rows: int, as_json: bool, config: Path | None) -> None:
    """Write RUN/report.html: a page to look at the results of RUN and listen to them.

    It opens from the disk, and fetches nothing but the clips beside it. Rows stand worst first, each
    with its wave form and its text beside what was heard; accept and reject with the keys a and r,
    and save review.jsonl for 'batchjobs review'.

    \b
    Examples:
        batchjobs report outputs/talks
        batchjobs report outputs/talks --rows 500
    """
    from batchjobs.api.page import write_report

    shows = sys.stderr.isatty() and not as_json

    def progress(number: int, total: int) -> None:
        if shows and (number % 50 == 0 or number == total):
            show_progress(
                "" if number == total else f"{number:,} of {plural(total, 'row')} looked at"
            )

    with exit_on_error():
        written = write_report(folder, most_rows=most_rows, config_file=config, progress=progress)
    if as_json:
        import dataclasses

        print_json(dataclasses.asdict(written) | {"path": str(written.path)})
        return
    left = written.rows - written.shown
    say(f"{plural(written.shown, 'row')} in {written.path}, {written.bytes / 1e6:,.1f} MB")
    if left:
        say(f"the worst ones: {left:,} are left out, and counted in its figures; see --rows")
