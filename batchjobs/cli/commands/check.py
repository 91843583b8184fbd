"""The command `check`."""

import functools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from batchjobs.cli.console import (
    checks_of,
    die_of,
    exit_on_error,
    print_json,
    say,
    set_logging,
    show_progress,
    watch_run,
)
from batchjobs.cli.job_options import read_options, run_settings
from batchjobs.cli.next_step import typed_command
from batchjobs.cli.options import RUN_FOLDER, json_option, option
from batchjobs.errors import BudgetReachedError, ConfigurationError
from batchjobs.formatting import duration, money, plural
from batchjobs.options.table import parse_share
from batchjobs.process import signals
from batchjobs.process.invocation import quote_command
from batchjobs.process.tuning import tune_process

if TYPE_CHECKING:
    from batchjobs.api.check_report import CheckReport
    from batchjobs.planning.plan import Plan

_SETTINGS: Final = frozenset(
    "provider engine config base_url concurrency starts_per_second attempts pace encoding compress"
    " preopen library_hooks grace_seconds budget key_file insecure model_folder faults".split()
)
_STEPS: Final = "forms joiners marks tatweel hamza yeh teh digits case punctuation numbers".split()
_SHOWN: Final = 20


def _read_share(_: click.Context, __: click.Parameter, given: str) -> float:
    """Read ``5%``, or 0.05."""
    try:
        share = parse_share(given) if given.endswith("%") else float(given)
    except (ConfigurationError, ValueError):
        share = -1.0
    if not 0 < share <= 1:
        raise click.BadParameter(
            f"'{given}' is no share of the clips; give more than 0%, at most 100%"
        )
    return share


@click.command()
@RUN_FOLDER
@option(
    "--sample",
    default="100%",
    show_default=True,
    metavar="SHARE",
    callback=_read_share,
    help="Check so many of the clips, the same ones each time: 5%.",
)
@option(
    "--worst",
    type=click.IntRange(1),
    metavar="N",
    help="Check only the N clips whose level, pace, silence or voice are the oddest.",
)
@option(
    "--regenerate",
    type=click.IntRange(0, 9),
    default=0,
    show_default=True,
    metavar="N",
    help="Buy bad clips again, each at most N times, and keep the best of the takes.",
)
@option(
    "--quality",
    is_flag=True,
    help="Score each clip on this machine as listeners would: noise, gaps, tones, clipping. Needs the "
    "extra 'quality'; about a quarter of a second of processor time for nine of audio.",
)
@option(
    "--distinguish",
    multiple=True,
    type=click.Choice(_STEPS),
    help="Tell apart what usually makes no difference; may be given several times.",
)
@functools.partial(run_settings, only=_SETTINGS)
@json_option
@option("-q", "--quiet", is_flag=True, help="Print errors only.")
@option("-v", "--verbose", count=True, help="Tell every retry; twice: every finished job, too.")
def check(
    folder: Path,
    *,
    sample: float,
    worst: int | None,
    regenerate: int,
    distinguish: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    verbose: int,
    **given: object,
) -> None:
    """Have the speech of RUN heard again, and hold it against its text.

    Any provider of speech to text can listen. Each clip is good, bad (with the words that are
    missing or foreign), or it cannot be told. The same command continues; nothing is heard or
    bought twice. --budget holds for all checks of the run. Transcripts whose rows have a
    'reference' are measured beside it.

    \b
    Examples:
        batchjobs check outputs/talks
        batchjobs check outputs/talks -p munsit --sample 5% --budget 2
        batchjobs check outputs/talks -p munsit --regenerate 2 --budget 10

    Exit codes: 0 nothing is bad, 1 bad clips are left; else as those of 'batchjobs run'.
    """
    from batchjobs.api.check import carry_out_check
    from batchjobs.api.check_report import Choice

    set_logging(verbose, quiet=quiet)
    tune_process()
    with exit_on_error():
        with signals.raise_first():
            report = carry_out_check(
                folder,
                read_options(given),
                Choice(
                    sample=sample, worst=worst, regenerate=regenerate, scores=bool(given["quality"])
                ),
                distinguish,
                observe=watch_run(as_json=False, quiet=quiet or as_json, verbose=verbose),
                announce=None if quiet or as_json else _announce,
                progress=_show_scored
                if given["quality"] and sys.stderr.isatty() and not quiet
                else None,
            )
        _conclude(report, as_json=as_json, quiet=quiet, has_scores=bool(given["quality"]))


def _show_scored(clips: int) -> None:
    show_progress(f"scored {plural(clips, 'clip')}")


def _announce(purpose: str, plan: "Plan") -> None:
    """Say what is about to be bought, and what it will cost."""
    from batchjobs.api.checking import HEARING

    work = plan.to_buy
    if purpose == HEARING:
        what = f"to hear: {plural(work.rows, 'clip')}, {duration(work.seconds)} of audio"
    else:
        what = f"to buy again: {plural(work.rows, 'clip')}, {plural(work.characters, 'character')}"
    cost = f", about {money(work.cost, work.currency)}" if work.cost else ""
    say(f"{what}, by {' and '.join(plan.providers)}{cost}", sys.stderr)


def _conclude(report: "CheckReport", *, as_json: bool, quiet: bool, has_scores: bool) -> None:
    """Say what was found and what to do next, and exit accordingly."""
    if report.error is not None:
        say(f"batchjobs: {report.error.describe()}", sys.stderr)
    if as_json:
        from batchjobs.checkpoint import describe_check

        print_json(
            {
                "folder": str(report.folder),
                "exit_code": report.exit_code,
                "clips": report.clips,
                "verdicts": {each.value: count for each, count in report.verdicts.items()},
                "bought_again": report.bought_again,
                "improved": list(report.improved),
                "is_stored": report.is_stored,
                "error": None if report.error is None else report.error.describe(),
                "bad": [{"id": each.id, **describe_check(each)} for each in report.bad],
            }
        )
    elif not quiet:
        for line in _closing_lines(report, has_scores=has_scores):
            say(line)
    if report.signal_number and report.error is None:
        die_of(report.signal_number)
    raise SystemExit(report.exit_code)


def _closing_lines(report: "CheckReport", *, has_scores: bool) -> Iterator[str]:
    for each in report.bad[:_SHOWN]:
        yield f"{each.id}: {'; '.join(each.reasons)}"
    if len(report.bad) > _SHOWN:
        yield f"… and {len(report.bad) - _SHOWN:,} more; 'batchjobs results' has them all"
    yield _counts_of(report)
    for line in checks_of(report.summary):
        if not line.startswith("checked"):
            yield line
    if report.improved:
        yield f"{plural(len(report.improved), 'clip')} replaced by a better take"
    yield from _next_lines(report, has_scores=has_scores)


def _next_lines(report: "CheckReport", *, has_scores: bool) -> Iterator[str]:
    """Say what to do next."""
    if not report.is_stored:
        yield (
            "a run goes on in the folder: it was checked as far as it is done, and the verdicts are "
            "not kept yet; check again after it, nothing is heard twice"
        )
    elif report.bad and not report.bought_again:
        yield "to buy them again: the same command with --regenerate 2"
    if isinstance(report.error, BudgetReachedError):
        return  # it says what to raise
    if report.signal_number or report.error is not None:
        yield f"continue: {typed_command()}"
    elif has_scores and report.verdicts:
        yield f"the scores, voice by voice: {quote_command('report', report.folder)}"


def _counts_of(report: "CheckReport") -> str:
    from batchjobs.checkpoint import CheckVerdict

    checked = sum(
        count for verdict, count in report.verdicts.items() if verdict is not CheckVerdict.SCORED
    )
    parts = [f"{checked:,} of {plural(report.clips, 'clip')} checked"] if report.clips else []
    parts += [f"{count:,} {verdict.value}" for verdict, count in report.verdicts.items()]
    return ", ".join(parts)
