"""The command `run`."""

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchjobs.cli.background import go_to_background
from batchjobs.cli.console import (
    checks_of,
    counts_of,
    die_of,
    exit_on_error,
    glossary_of,
    groups_of,
    say,
    set_logging,
    showing_checked,
    sides_of,
    waste_of,
    watch_run,
)
from batchjobs.cli.job_options import (
    MANIFEST,
    is_voice_typed,
    manifest_source,
    read_options,
    run_settings,
)
from batchjobs.cli.left_out import describe_left_files, tell_absent, tell_notes
from batchjobs.cli.next_step import (
    next_step,
    step_of_done,
    typed_command,
    typed_options,
    with_options,
)
from batchjobs.cli.options import option
from batchjobs.files import run_folder
from batchjobs.formatting import duration, money, plural
from batchjobs.process import signals
from batchjobs.process.invocation import quote_command
from batchjobs.process.tuning import tune_process
from batchjobs.storage.shelf import read_mark

if TYPE_CHECKING:
    from batchjobs.api.report import RunReport
    from batchjobs.outputs.forecast import Forecast
    from batchjobs.progress import Observer


@click.command()
@MANIFEST
@run_settings
@option("--json", "as_json", is_flag=True, help="Print events as JSON lines.")
@option("-q", "--quiet", is_flag=True, help="Print errors only.")
@option("-v", "--verbose", count=True, help="Tell every retry; twice: every finished job, too.")
@option(
    "--detach",
    "is_detached",
    is_flag=True,
    help="Once all is checked, go on in the background, without the terminal; what is said goes into "
    "run.log in the run folder.",
)
def run(
    manifest: Path | str,
    *,
    as_json: bool,
    quiet: bool,
    verbose: int,
    is_detached: bool,
    **given: object,
) -> None:
    """Run MANIFEST, or continue it: the same command.

    Every row is checked before the first session opens; a bad row costs nothing. Results land in
    the run folder, with results.jsonl, failed.jsonl and summary.json. Ctrl-C once lets the open
    sessions finish, twice stops at once; running the command again continues.

    \b
    Examples:
        batchjobs run manifests/quickstart.csv
        batchjobs run talks.csv -p munsit --voice ar-najdi-male-2 -c 8
        zcat rows.jsonl.gz | batchjobs run - -o outputs/rows

    Exit codes: 0 all done, 1 some jobs failed or are suspect, 2 usage, 65 bad manifest, 69 service unavailable or
    quota spent, 70 our bug, 73 cannot create output, 74 disk, 75 folder in use, 77 key refused,
    78 bad configuration, 80 budget reached; on a signal, the signal's.
    """
    from batchjobs.api.run import carry_out

    set_logging(verbose, quiet=quiet)
    tune_process()
    if is_detached:
        observe: Observer | None = go_to_background(
            watch_run(as_json=as_json, quiet=quiet, verbose=verbose, has_terminal=False)
        )
    else:
        observe = watch_run(as_json=as_json, quiet=quiet, verbose=verbose)
    with exit_on_error():
        with signals.raise_first(), showing_checked(quiet=quiet) as progress:
            report = carry_out(
                manifest_source(manifest),
                read_options(given),
                refuses_voice=is_voice_typed(),
                observe=observe,
                progress=progress,
            )
        _conclude(report, manifest, as_json=as_json, quiet=quiet)


def _conclude(report: "RunReport", manifest: Path | str, *, as_json: bool, quiet: bool) -> None:
    """Say how the run ended and what to do next, and exit accordingly."""
    tell_absent(report.plan, str(manifest))
    if report.error is not None:
        say(f"batchjobs: {report.error.describe()}", sys.stderr)
    if not quiet:
        tell_notes(report.plan)
        stream = sys.stderr if as_json else sys.stdout
        for line in _closing_lines(report, manifest):
            say(line, stream)
    else:
        for line in _shortfalls(report):
            say(f"batchjobs: {line}", sys.stderr)
    if report.signal_number and report.error is None:
        die_of(report.signal_number)
    raise SystemExit(report.exit_code)


def _closing_lines(report: "RunReport", manifest: Path | str) -> Iterator[str]:
    """Say what became of the jobs, what it cost for nothing, and, last, what to do next."""
    from batchjobs.planning.plan import Action

    summary, plan = report.summary, report.plan
    before = plan.by_action[Action.DONE].rows
    yield counts_of(summary, done_before=before, is_idle=not plan.to_do)
    if line := waste_of(summary):
        yield line
    if line := sides_of(summary):
        yield line
    yield from checks_of(summary)
    yield from groups_of(summary)
    mark = read_mark(report.folder)
    yield f"results: {mark.address}/" if mark else f"results: {report.folder}{os.sep}"
    if report.forecast is not None:
        yield from _forecast_lines(report.forecast)
    yield from _shortfalls(report)
    if report.glossary is not None:
        yield from glossary_of(report.glossary)
    if line := describe_left_files(report.left_files, report.folder):
        yield line
    if report.forecast is not None and not report.signal_number and report.error is None:
        whole = quote_command("run", manifest, *typed_options("pilot"))
        yield f"listen to some, or: {quote_command('check', report.folder)}"
        yield f"all of it, without what is done: {whole}"
        return
    limits, nature = report.larger_limits, report.nature
    command = with_options(typed_command(), limits)
    step = next_step(
        summary,
        command,
        report.folder,
        nature,
        is_out=bool(limits),
        cost_limit=report.cost_limit,
        results=mark.address if mark else "",
    )
    yield step or step_of_done(report.folder, manifest, nature)


def _forecast_lines(forecast: "Forecast") -> Iterator[str]:
    """Say what all rows would cost, how long they take, and how many would be bad."""
    rows = forecast.sampled + forecast.left
    yield f"pilot: {forecast.sampled:,} of {plural(rows, 'job')}; of all of them, 19 times in 20:"
    cost, speech, share = forecast.cost, forecast.speech_seconds, forecast.bad_share
    if cost is not None and forecast.currency:
        low, likely, high = (money(value, forecast.currency) for value in cost)
        yield f"  cost: about {likely} ({low} to {high}), retries included"
    if speech.likely:
        low, likely, high = map(duration, speech)
        yield f"  speech: about {likely} ({low} to {high})"
    if forecast.work_seconds:
        yield f"  time: about {duration(forecast.work_seconds)} more, as fast as the pilot went"
    least, most = math.floor(share.low * rows), math.ceil(share.high * rows)
    yield (
        f"  bad clips: {forecast.bad:,} of {forecast.sampled:,} failed or are in doubt; "
        f"{least:,} to {most:,} of all ({100 * share.low:.1f} to {100 * share.high:.1f} %)"
    )


def _shortfalls(report: "RunReport") -> Iterator[str]:
    """Count the suspect jobs by what speaks against them, and the failed ones by class."""
    summary = report.summary
    for what, counts in (("suspect", summary.doubts), ("failed", summary.errors)):
        if counts:
            named = ", ".join(f"{count:,} {name}" for name, count in counts.items())
            yield f"{what}: {named} (see {report.folder / run_folder.FAILED})"
