"""The command `verify`."""

from pathlib import Path

import click

from batchjobs.cli.console import exit_on_error, print_json, say, showing_checked
from batchjobs.cli.left_out import describe_left_files
from batchjobs.cli.next_step import command_of
from batchjobs.cli.options import RUN_FOLDER, defaults_option, json_option
from batchjobs.formatting import plural


@click.command()
@RUN_FOLDER
@json_option
@defaults_option
def verify(folder: Path, *, as_json: bool) -> None:
    """Check every output against the checkpoint: that it is there, whole and unchanged.

    Exits with 1 if something is wrong; 'batchjobs run' then makes it again.
    """
    from batchjobs.api.status import status
    from batchjobs.api.verify import verify as verify_files

    with exit_on_error(), showing_checked("job") as progress:
        report = verify_files(folder, progress=progress)
    wrong = report.wrong
    if as_json:
        print_json(report)
    else:
        for line in wrong:
            say(line)
        are = "is not as it was" if len(wrong) == 1 else "are not as they were"
        verdict = f"{plural(len(wrong), 'file')} {are}" if wrong else "all as they were"
        groups = f" and {plural(report.groups, 'group')}" if report.groups else ""
        say(f"{plural(report.checked, 'job')}{groups} checked: {verdict}")
        found = status(folder)
        if line := describe_left_files(found.left_files, folder):
            say(line)
        if wrong:
            say(f"to make them again: {command_of(found, folder)}")
    raise SystemExit(1 if wrong else 0)
