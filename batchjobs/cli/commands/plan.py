"""The command `plan`."""

import functools
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from batchjobs.cli.commands.run import run
from batchjobs.cli.console import exit_on_error, say, showing_checked
from batchjobs.cli.job_options import (
    MANIFEST,
    is_voice_typed,
    manifest_source,
    read_options,
    run_settings,
)
from batchjobs.cli.left_out import tell_absent, tell_notes
from batchjobs.cli.next_step import typed_options
from batchjobs.cli.options import LocalPath, option
from batchjobs.formatting import duration, money, plural
from batchjobs.process.invocation import quote_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batchjobs.planning.coverage import Coverage
    from batchjobs.planning.plan import Plan, Use

_WORK: Final = {"tts": "speech", "stt": "transcription"}
_NAMES_SHOWN: Final = 3
"""Of models, and of voices; the others are counted."""


@click.command()
@MANIFEST
@functools.partial(run_settings, only_planned=True, like=run)
@option(
    "--to",
    "target",
    type=LocalPath(path_type=Path),
    metavar="FILE",
    help="Where the manifest of what --select takes is written.  "
    "[default: MANIFEST's name with .coverage.jsonl]",
)
@option("--force", is_flag=True, help="Write it over one that is there.")
@option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan(
    manifest: Path | str, *, target: Path | None, force: bool, as_json: bool, **given: object
) -> None:
    """Check every row of MANIFEST, price it, and say what 'run' would do. Spends nothing.

    With --select, what it takes is written as a manifest of its own.

    \b
    Examples:
        batchjobs plan talks.csv -p munsit --voice ar-najdi-male-2
        batchjobs plan talks.csv -p munsit --select coverage --budget 20
    """
    from batchjobs.api.run import plan as plan_run
    from batchjobs.api.selection import write_selection

    with exit_on_error():
        options = read_options(given)
        source = manifest_source(manifest)
        chosen = None
        with showing_checked() as progress:
            if options.select == "all":
                refuses = is_voice_typed()
                made = plan_run(source, options, refuses_voice=refuses, progress=progress)
            else:
                chosen = write_selection(source, options, target, replace=force, progress=progress)
                made = chosen.plan
    tell_absent(made, str(manifest))
    tell_notes(made)
    if as_json:
        import msgspec

        say(msgspec.json.encode(made).decode())
    else:
        _show_plan(made)
    stream = sys.stderr if as_json else sys.stdout
    if chosen is not None and not made.to_buy.rows:
        say(f"nothing was chosen: {chosen.path} has no rows", stream)
    elif chosen is not None:
        left = ("output", "select", "target", "force", "as_json")
        same = typed_options(*left, *(["input_root"] if chosen.input_root else []))
        root = ("--input-root", chosen.input_root) if chosen.input_root else ()
        step = quote_command("run", chosen.path, "-o", chosen.folder, *root, *same)
        say(f"chosen rows: {chosen.path}\nnext: {step}", stream)


def _show_plan(made: "Plan") -> None:
    from batchjobs.planning.plan import Action

    say(plural(made.rows, "row"))
    meanings = {
        Action.NEW: "new",
        Action.CHANGED: "changed since they were done",
        Action.RETRY: "failed or in doubt, to be tried again",
        Action.REMAKE: "done, but their files are gone",
        Action.COPY: "the same as a finished job: copied, not bought",
        Action.FOLLOW: "the same as an earlier row: bought once",
        Action.DONE: "done",
        Action.KEPT: "failed for good (--retry-failed tries them again)",
        Action.SUSPECT: "kept, in doubt (accept them, or --retry-failed buys them again)",
        Action.BAD: "cannot be run (see --skip-bad-rows), or whose recordings are gone",
        Action.LATER: "left for later by --limit, --pilot or --select",
        Action.DEAR: "would cost more than --max-cost-per-row: not bought",
    }
    for action, meaning in meanings.items():
        work = made.by_action[action]
        if work.rows:
            say(f"  {work.rows:>9,}  {meaning}")
    if made.orphans:
        are = "job is" if made.orphans == 1 else "jobs are"
        say(f"  {made.orphans:>9,}  finished {are} in the run folder but not in the manifest")
    for currency, cost in made.dearest.items():
        say(f"  the dearest of those that cost too much would cost {money(cost, currency)}")
    _show_coverage(made.coverage)
    say("to do: " + _describe_work(made))
    if made.heard_apart:
        apart = plural(made.heard_apart, "recording")
        say(f"  {apart} heard channel by channel: silent and equal channels are found by the run")
    _show_uses(made.uses)
    _show_stand_ins(made)
    from batchjobs.providers import PRICES

    for name, kinds in made.unpriced.items():
        for kind in kinds:
            say(
                f"no price is known for {_WORK[kind]} by {name}: set {PRICES[kind]} in "
                f"batchjobs.toml, [providers.{name}]"
            )


def _describe_work(made: "Plan") -> str:
    """Say how much there is to buy, and what it costs."""
    work = made.to_buy
    parts = [plural(work.sessions, "session")]
    if work.characters:
        speech = duration(made.speech_seconds)
        parts.append(f"{plural(work.characters, 'character')} (about {speech} of speech)")
    if work.seconds:
        most = "at most " if made.heard_apart else ""
        parts.append(f"{most}{duration(work.seconds)} of recordings")
    costs = [money(cost, currency) for currency, cost in made.cost_by_currency.items()]
    parts.append(" + ".join(costs) or ("cost unknown" if made.unpriced else "no cost"))
    return ", ".join(parts)


def _show_coverage(coverage: "Coverage | None") -> None:
    if coverage is None:
        return
    share = f"{100 * coverage.rows / max(coverage.of_rows, 1):.1f} %"
    say(
        f"chosen: {coverage.rows:,} of {plural(coverage.of_rows, 'text')} ({share}); with what is "
        f"done they hold {coverage.pairs:,} of {plural(coverage.of_pairs, 'pair')} of letters with their "
        f"marks and {coverage.words:,} of {plural(coverage.of_words, 'word')}"
    )


def _show_uses(uses: "Sequence[Use]") -> None:
    """Say who would do it, and with what, a line for each provider and kind."""
    for name, kind in dict.fromkeys((use.provider, use.kind) for use in uses):
        models, voices = Counter[str](), Counter[str]()
        for use in uses:
            if (use.provider, use.kind) == (name, kind):
                models[f"engine {use.engine}" if use.engine else use.model] += use.rows
                voices[use.voice] += use.rows
        line = f"{_WORK[kind]} by {name} with {_join_names(models, none='no model named')}"
        if any(voices):
            line += f", {'voice' if len(voices) == 1 else 'voices'} {_join_names(voices)}"
        say(line)
        if any(voices) and not any(use.engine for use in uses if use.provider == name):
            say(f"  not asked here whether it has them: 'batchjobs providers --voices {name}' does")


def _show_stand_ins(made: "Plan") -> None:
    """Say which voices the local server speaks for without having them."""
    from batchjobs.api.voices import find_stand_ins

    voices = Counter[str]()
    for use in find_stand_ins(made):
        voices[use.voice] += use.rows
    if voices:
        say(
            f"voices that the local server does not have, so that others speak for them: "
            f"{_join_names(voices)} ('batchjobs providers --voices local' lists its own)"
        )


def _join_names(names: "Counter[str]", *, none: str = "") -> str:
    """List names with the number of rows that use them, if there are several."""
    if len(names) == 1:
        return next(iter(names)) or none
    shown = [f"{name or none} ({rows:,})" for name, rows in names.most_common(_NAMES_SHOWN)]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")
