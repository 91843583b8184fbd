"""The command `run`."""

import contextlib
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from batchjobs.cli.console import counts, die_of, say, set_logging, told, wasted
from batchjobs.cli.job_options import MANIFEST, job_options, options_from, source_of
from batchjobs.cli.next_step import next_step, quoted, typed
from batchjobs.cli.options import budget_option, config_option, hooks_option, option
from batchjobs.formatting import plural
from batchjobs.process import signals
from batchjobs.process.tuning import tune_process

if TYPE_CHECKING:
    from batchjobs.api import RunReport
    from batchjobs.progress import Observer

__all__ = ["run"]

_ENCODINGS: Final = ("compact", "padded")


def _concurrency(_: click.Context, __: click.Parameter, text: str) -> int | None:
    if text in {"", "auto"}:
        return 0 if text else None
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise click.BadParameter(
            f"'{text}' is not a number of sessions; give 1 to 10000, or auto",
            param_hint="'--concurrency'",
        )
    return int(text)


def _rate(_: click.Context, __: click.Parameter, text: str) -> float:
    from batchjobs.limits import parse_rate

    with told():
        return parse_rate(text) if text else 0.0


@click.command()
@MANIFEST
@job_options
@config_option
@option(
    "--base-url",
    default="",
    metavar="URL",
    help="Where --provider is, if not where its settings say: wss://HOST/api/v1.",
)
@option(
    "-c",
    "--concurrency",
    default="",
    metavar="N|auto",
    callback=_concurrency,
    help="Sessions open at once; 'auto' finds out how many the service takes.  "
    "[default: the provider's]",
)
@option(
    "--rate",
    "starts_per_second",
    default="",
    metavar="N/s|N/min",
    callback=_rate,
    help="Start no more sessions than so many a second, or a minute.",
)
@option(
    "--attempts",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    metavar="N",
    help="Tries a job has before it counts as failed.",
)
@option(
    "--pace",
    type=click.FloatRange(min=0),
    metavar="X",
    help="How fast recordings are sent: 1 is real time, 4 four times as fast, 0 as fast as the line "
    "takes them.  [default: the provider's]",
)
@option(
    "--encoding",
    type=click.Choice(_ENCODINGS),
    default="compact",
    show_default=True,
    help="How recordings are written into messages: 'padded' takes a fifth of the processor time and "
    "21 % more bytes than 'compact', for fast lines and busy machines.",
)
@option(
    "--compress",
    is_flag=True,
    help="Compress what is sent, where the service takes it (permessage-deflate): recordings take a "
    "third of the bytes, for thin lines, and 0.7 ms more processor time for each second of audio.",
)
@option(
    "--preopen",
    is_flag=True,
    help="Open the next session's connection while the current one is at work: saves the round trips "
    "to a service far away. It counts as a connection: of --concurrency N, N/2 are sessions.",
)
@hooks_option
@option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long open sessions may go on after Ctrl-C.",
)
@budget_option
@option(
    "--max-characters",
    type=click.IntRange(min=0),
    metavar="N",
    help="Send at most N characters, over all runs in this folder.",
)
@option(
    "--max-audio",
    "max_audio_seconds",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Send at most so many seconds of recordings, over all runs in this folder.",
)
@option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the provider's key, readable by you only.  [default: the environment]",
)
@option(
    "--vad",
    is_flag=True,
    help="Find the speech in long recordings by a detector, not by loudness; needs the extra 'vad'.",
)
@option(
    "--insecure",
    is_flag=True,
    help="Allow ws:// to other machines: the key and all else travel in plain text.",
)
@option(
    "--model-folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="The local server's recognition model, for --engine sherpa.",
)
@option(
    "--fault",
    "faults",
    multiple=True,
    metavar="SPEC",
    help="Make the local server misbehave, to rehearse; see 'batchjobs serve --help'.",
)
@option("--json", "as_json", is_flag=True, help="Print events as JSON lines.")
@option("-q", "--quiet", is_flag=True, help="Print errors only.")
@option("-v", "--verbose", count=True, help="Tell every retry; twice: every finished job, too.")
def run(
    manifest: Path,
    *,
    as_json: bool,
    quiet: bool,
    verbose: int,
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
    from batchjobs.api.carry_out import carry_out

    set_logging(verbose, quiet=quiet)
    tune_process()
    with told():
        with signals.raised():
            report = carry_out(
                source_of(manifest),
                options_from(given),
                observe=_observer(as_json=as_json, quiet=quiet, verbose=verbose),
                progress=_checked if sys.stderr.isatty() and not quiet else None,
            )
        _conclude(report, manifest, as_json=as_json, quiet=quiet)


def _observer(*, as_json: bool, quiet: bool, verbose: int) -> "Observer | None":
    from batchjobs.progress import Bars, JsonLines, Lines

    if as_json:
        return JsonLines(sys.stdout)
    if quiet:
        return None
    watch = Bars if sys.stderr.isatty() else Lines
    return watch(sys.stderr, verbosity=verbose)


def _checked(rows: int) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"\r\x1b[Kchecked {plural(rows, 'row')}\r")
        sys.stderr.flush()


def _conclude(report: "RunReport", manifest: Path, *, as_json: bool, quiet: bool) -> None:
    """Say how the run ended and what to do next, and exit accordingly."""
    if report.error is not None:
        say(f"batchjobs: {report.error}", sys.stderr)
    if not quiet:
        stream = sys.stderr if as_json else sys.stdout
        for line in _closing_lines(report, manifest):
            say(line, stream)
    else:
        for line in _shortfalls(report):
            say(f"batchjobs: {line}", sys.stderr)
    if report.signal_number and report.error is None:
        die_of(report.signal_number)
    raise SystemExit(report.exit_code)


def _closing_lines(report: "RunReport", manifest: Path) -> Iterator[str]:
    """Say what became of the jobs, what it cost for nothing, and, last, what to do next."""
    from batchjobs.planning import Action

    summary, planned = report.summary, report.plan
    before = planned.by_action[Action.DONE].rows
    yield counts(summary, done_before=before, is_idle=not planned.to_do)
    if line := wasted(summary):
        yield line
    yield f"results: {report.folder}{os.sep}"
    yield from _shortfalls(report)
    step = next_step(summary, typed(), str(manifest), report.folder)
    look = f"next: {quoted('verify', report.folder)}"
    if str(manifest) != "-":
        look += f", or edit {shlex.quote(str(manifest))} and run it again"
    yield step or look


def _shortfalls(report: "RunReport") -> Iterator[str]:
    """Count the suspect jobs by what speaks against them, and the failed ones by class."""
    for what, counted in (("suspect", "doubts"), ("failed", "errors")):
        counts_by_name = report.summary.get(counted, {})
        assert isinstance(counts_by_name, dict)
        if counts_by_name:
            named = ", ".join(f"{count:,} {name}" for name, count in counts_by_name.items())
            yield f"{what}: {named} (see {report.folder / 'failed.jsonl'})"
