"""The command `review`."""

from pathlib import Path

import click

from batchjobs.cli.console import exit_on_error, print_json, say
from batchjobs.cli.options import RUN_FOLDER, LocalPath, config_option, json_option
from batchjobs.formatting import plural


@click.command()
@RUN_FOLDER
@click.argument("decisions", metavar="FILE", type=LocalPath(dir_okay=False, path_type=Path))
@json_option
@config_option
def review(folder: Path, decisions: Path, *, as_json: bool, config: Path | None) -> None:
    """Carry out what was decided in the report of RUN, all of FILE or nothing. Buys nothing.

    FILE is the review.jsonl that the page has saved. What was accepted and in doubt is done; what was
    rejected is bought again by the next run, and kept until then; what was dropped is left out of
    exports. Nothing is changed if FILE is of another run, or about a clip that has changed since.

    \b
    Examples:
        batchjobs review outputs/talks ~/Downloads/review.jsonl
    """
    from batchjobs.api.review import review as carry_out

    with exit_on_error():
        report = carry_out(folder, decisions, config_file=config)
    if as_json:
        import dataclasses

        print_json(dataclasses.asdict(report))
        return
    good = len(report.accepted) + len(report.confirmed)
    parts = [f"{plural(good, 'clip')} accepted"]
    if report.accepted:
        parts[0] += f", {len(report.accepted):,} of them in doubt until now"
    parts.append(f"{len(report.rejected):,} rejected")
    parts.append(f"{len(report.dropped):,} dropped from exports")
    say("; ".join(parts))
    if report.known:
        say(f"{plural(report.known, 'decision')} had been carried out before")
    if report.rejected_with:
        say(f"rejected with them, as they have the same sound: {', '.join(report.rejected_with)}")
    if report.rejected or report.rejected_with:
        from batchjobs.api.status import status
        from batchjobs.cli.next_step import command_of

        with exit_on_error():
            say(f"buy them again: {command_of(status(folder, config_file=config), folder)}")
