"""The command `export`."""

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchjobs.cli.console import exit_on_error, print_json, say
from batchjobs.cli.options import LocalPath, defaults_option, json_option, option, setting_options
from batchjobs.formatting import duration, file_size, plural
from batchjobs.options import fill, settings_of
from batchjobs.options.dataset import ExportSettings

if TYPE_CHECKING:
    from batchjobs.dataset import ExportReport


@click.command()
@click.argument(
    "folders",
    metavar="RUN...",
    nargs=-1,
    required=True,
    type=LocalPath(file_okay=False, path_type=Path),
)
@option(
    "-o",
    "--output",
    envvar=None,
    type=LocalPath(path_type=Path),
    help="The dataset's folder.  [default: beside RUN, called after it and the form]",
)
@setting_options(settings_of(ExportSettings))
@json_option
@defaults_option
def export(
    folders: tuple[Path, ...], *, output: Path | None, as_json: bool, **given: object
) -> None:
    """Make a dataset of what is done in RUN, or in several runs, that training code loads as it is.

    It is there once all of it is on the disk; the same command continues an export that was stopped or
    killed. Only rows that are done and not rejected are in it, unless asked. Its README.md says what is
    in it, how it was checked, and how to load it.

    \b
    Examples:
        batchjobs export outputs/talks --to hf --split train=90,validation=5,test=5
        batchjobs export outputs/a outputs/b --to webdataset --sample-rate 16000 -o corpus
    """
    from batchjobs.dataset import export as export_runs
    from batchjobs.process import signals
    from batchjobs.progress.steps import StepBar

    settings = fill(ExportSettings, given)
    with exit_on_error(), signals.raise_first(), StepBar(sys.stderr, unit="row") as bar:
        report = export_runs(folders, settings, output=output, progress=bar)
    if as_json:
        print_json(dataclasses.asdict(report) | {"path": str(report.path)})
    else:
        _complain(report)
        _show(report, settings)
    raise SystemExit(1 if report.damaged else 0)


def _complain(report: "ExportReport") -> None:
    """Say what is not in it."""
    for name in report.going:
        say(f"{name} is still going on: exported as far as it is done", sys.stderr)
    for reason, count in report.left_out.items():
        say(f"left out: {plural(count, 'row')} {reason}", sys.stderr)
    if report.damaged:
        say(
            f"  → 'batchjobs verify', then run it again: {', '.join(report.damaged[:10])}",
            sys.stderr,
        )


def _show(report: "ExportReport", settings: ExportSettings) -> None:
    size = file_size(report.bytes)
    say(f"{plural(report.rows, 'clip')}, {duration(report.seconds)}, {size}: {report.path}")
    if settings.split:
        say(", ".join(f"{split} {rows:,}" for split, rows in report.splits.items()))
    for split in (split for split, rows in report.splits.items() if not rows):
        say(
            f"no row is in '{split}': there are too few {settings.disjoint}s for its share",
            sys.stderr,
        )
    if report.made:
        say(f"made anew of the run's files: {plural(report.made, 'clip')}")
    if report.changed_texts:
        say(
            f"changed, because '{report.form}' has no place for them as they are: "
            f"{plural(report.changed_texts, 'text')}"
        )
    for old, new in report.renamed.items():
        say(f"the column '{old}' is called '{new}': '{report.form}' keeps its name for itself")
    if len(report.sample_rates) > 1:
        rates = ", ".join(f"{count:,} at {rate} Hz" for rate, count in report.sample_rates.items())
        say(f"sample rates differ: {rates}; --sample-rate makes them one")
    say(f"how to load it: {report.path}/README.md")
