"""The command `results`."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import click

from batchjobs.cli.console import exit_on_error
from batchjobs.cli.options import RUN_FOLDER, defaults_option, option

_STATUSES: Final = ("done", "suspect", "failed", "not_run")


@click.command()
@RUN_FOLDER
@option(
    "--to",
    "form",
    type=click.Choice(("jsonl", "csv")),
    default="jsonl",
    show_default=True,
    help="JSON Lines, exact; or a flat table for spreadsheets.",
)
@option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice((*_STATUSES, "all")),
    help="Which jobs; may be given several times. Each then says its status.  [default: done]",
)
@defaults_option
def results(folder: Path, *, form: str, statuses: tuple[str, ...]) -> None:
    """Print the results of RUN as they stand in its checkpoint: also after a kill, or while it runs.

    JSON Lines are as in results.jsonl, and what is not done as in failed.jsonl. CSV is UTF-8 with a
    header: nested facts are columns such as evidence.ending, lists are JSON, and a text that a
    spreadsheet would run (it begins with = + - @, a tab or a line end) has an apostrophe before it.

    \b
    Examples:
        batchjobs results outputs/talks | jq -r .output
        batchjobs results outputs/talks --to csv > results.csv
        batchjobs results outputs/talks --status failed --status suspect
    """
    from batchjobs.outputs.tables import encode_results

    asked = None if not statuses else _STATUSES if "all" in statuses else statuses
    with exit_on_error():
        _print(encode_results(form, folder, asked))


def _print(pieces: Iterable[bytes]) -> None:
    """Write to the standard output; unlike a message, what does not get there is a failure."""
    from batchjobs.files.atomic import disk_error

    stream = sys.stdout.buffer
    try:
        for piece in pieces:
            stream.write(piece)
        stream.flush()
    except BrokenPipeError:  # `main` distinguishes them
        raise
    except OSError as error:
        raise disk_error(error, Path("the standard output")) from error
