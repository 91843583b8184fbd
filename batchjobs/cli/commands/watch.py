"""The command `watch`: scan and run for good."""

import functools
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from batchjobs.cli.commands.run import run as run_command
from batchjobs.cli.console import counts_of, die_of, exit_on_error, say, set_logging
from batchjobs.cli.job_options import read_options, run_settings
from batchjobs.cli.next_step import typed_command
from batchjobs.cli.options import SETTINGS, LocalPath, option, setting_options
from batchjobs.options import fill, settings_of
from batchjobs.options.watching import WatchSettings
from batchjobs.process import signals
from batchjobs.process.tuning import tune_process

if TYPE_CHECKING:
    from batchjobs.api.watching import WatchReport
    from batchjobs.progress import Observer

_NOT_HERE: Final = frozenset(
    """
    voice_id model_id stability similarity_boost speed output_format audio_format input_root
    retry_failed replace skip_bad_rows limit pilot select sentence_pause_seconds
    paragraph_pause_seconds max_characters work_folder take_over
    """.split()
)
"""Settings of a run that are for speech, or for a manifest that does not grow."""


@click.command()
@click.argument("folder", type=LocalPath(exists=True, file_okay=False, path_type=Path))
@setting_options(settings_of(WatchSettings))
@functools.partial(run_settings, only=SETTINGS.keys() - _NOT_HERE, like=run_command)
@option("--json", "as_json", is_flag=True, help="Print events as JSON lines.")
@option("-q", "--quiet", is_flag=True, help="Print errors only.")
@option("-v", "--verbose", count=True, help="Tell every retry; twice: every finished job, too.")
def watch(folder: Path, *, as_json: bool, quiet: bool, verbose: int, **given: object) -> None:
    """Transcribe what is below FOLDER, and what arrives there, until a signal ends it.

    Files that are still being copied wait, and what cannot be read is told. Each recording is heard
    once, whatever ends the watch and however often it begins again; one that is replaced is new. A
    service that cannot be reached, and a full disk, are waited for.

    \b
    Examples:
        batchjobs watch inbox -p munsit --beside
        batchjobs watch inbox --done-folder heard --every 60

    Exit codes: those of run; 75 if another watch or run holds the folder.
    """
    from batchjobs.api.watch import carry_out_watch

    set_logging(verbose, quiet=quiet)
    tune_process()
    with exit_on_error(), signals.raise_first():
        report = carry_out_watch(
            folder,
            read_options(given),
            fill(WatchSettings, given),
            observe=_choose_observer(as_json=as_json, quiet=quiet, verbose=verbose),
            tell=None if quiet else _tell,
        )
    _conclude(report, quiet=quiet)


def _choose_observer(*, as_json: bool, quiet: bool, verbose: int) -> "Observer | None":
    """Choose who listens: lines, which a log can hold, also on a terminal."""
    from batchjobs.progress import JsonLines, Lines

    if as_json:
        return JsonLines(sys.stdout)
    return None if quiet else Lines(sys.stderr, verbosity=verbose)


def _tell(sentence: str) -> None:
    say(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {sentence}", sys.stderr)


def _conclude(report: "WatchReport", *, quiet: bool) -> None:
    if report.error is not None:
        say(f"batchjobs: {report.error.describe()}", sys.stderr)
    if not quiet and report.last is not None:
        say(counts_of(report.last.summary), sys.stderr)
    if not quiet:
        say(f"go on: {typed_command()}", sys.stderr)
    if report.signal_number and report.error is None:
        die_of(report.signal_number)
    raise SystemExit(report.exit_code)
