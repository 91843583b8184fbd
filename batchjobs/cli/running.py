"""The commands `run` and `plan`."""

import contextlib
import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar

import click

from batchjobs import signals
from batchjobs.cli.options import complete_provider, config_option, option
from batchjobs.cli.telling import counts, die_of, duration, say, set_logging, told, tune_collector

if TYPE_CHECKING:
    from batchjobs.api import Options, RunReport
    from batchjobs.planning import Plan
    from batchjobs.progress import Observer

__all__ = ["plan", "run"]

_Command = TypeVar("_Command")
_FORMATS: Final = ("wav", "flac", "ogg", "mp3")
_ENCODINGS: Final = ("compact", "padded")
_RATES: Final = ("pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000")

_MANIFEST = click.argument("manifest", type=click.Path(path_type=Path, allow_dash=True))


def _planning_options(command: _Command) -> _Command:
    """The options that `run` and `plan` share."""
    for add in reversed(
        (
            option(
                "-o",
                "--output",
                type=click.Path(path_type=Path),
                help="Run folder.  [default: outputs/<manifest's stem>]",
            ),
            option(
                "-p",
                "--provider",
                default="local",
                show_default=True,
                shell_complete=complete_provider,
                help="Who does rows that name no provider; see 'batchjobs providers'.",
            ),
            option("--voice", default="", help="Voice for rows without 'voice_id'."),
            option("--model", default="", help="Model for rows without 'model_id'."),
            option("--stability", type=float, help="0 to 1, for rows without one."),
            option("--similarity-boost", type=float, help="0 to 1, for rows without one."),
            option("--speed", type=float, help="0.7 to 1.2, for rows without one."),
            option(
                "--output-format",
                type=click.Choice(_RATES),
                help="Sample rate asked of the service, for rows without one.",
            ),
            option(
                "--format",
                "audio_format",
                type=click.Choice(_FORMATS),
                default="wav",
                show_default=True,
                help="Format of results whose row gives no 'output'.",
            ),
            option(
                "--input-root",
                type=click.Path(file_okay=False, exists=True, path_type=Path),
                help="Another folder that recordings and text files may be in.",
            ),
            option("--retry-failed", is_flag=True, help="Try again what failed for good, too."),
            option(
                "--skip-bad-rows",
                is_flag=True,
                help="Record rows that cannot be run as failed, and run the others.",
            ),
            option("--limit", type=click.IntRange(min=0), help="Do at most N rows this time."),
            option(
                "--sentence-pause",
                "sentence_pause_ms",
                type=click.IntRange(min=0, max=60_000),
                default=0,
                show_default=True,
                metavar="MS",
                help="Silence between the segments of a long text, within a paragraph.",
            ),
            option(
                "--paragraph-pause",
                "paragraph_pause_ms",
                type=click.IntRange(min=0, max=60_000),
                default=400,
                show_default=True,
                metavar="MS",
                help="Silence between segments where a paragraph ends.",
            ),
            option("--engine", default="", help="Engine of the local server: auto, tone, sherpa."),
            config_option,
        )
    ):
        command = add(command)
    return command


@click.command()
@_MANIFEST
@_planning_options
@option("--base-url", default="", help="Where the provider is: wss://HOST/api/v1.")
@option(
    "-c",
    "--concurrency",
    default="",
    metavar="N|auto",
    help="Sessions open at once.  [default: the provider's]",
)
@option("--rate", default="", metavar="N/s|N/min", help="Sessions started, at most.")
@option(
    "--attempts",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Tries a job has before it counts as failed.",
)
@option(
    "--pace",
    type=click.FloatRange(min=0),
    help="Audio sent, times real time; 0 is unpaced.  [default: the provider's]",
)
@option(
    "--encoding",
    type=click.Choice(_ENCODINGS),
    default="compact",
    show_default=True,
    help="How audio for STT is written: 'padded' takes a fifth of the processor time and sends "
    "21 % more bytes, for fast lines and full machines.",
)
@option(
    "--compress",
    is_flag=True,
    help="Compress what is sent, where the service takes it (permessage-deflate): a third of the "
    "bytes of STT audio, for thin lines; costs about 0.7 ms of processor a second of audio.",
)
@option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long open sessions may go on after Ctrl-C.",
)
@option(
    "--budget",
    type=click.FloatRange(min=0),
    metavar="MONEY",
    help="Spend at most so much in this run folder, over all runs.",
)
@option(
    "--max-characters",
    type=click.IntRange(min=0),
    help="Send at most N characters, over all runs in this folder.",
)
@option(
    "--max-audio",
    "max_audio_seconds",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Send at most so much audio, over all runs in this folder.",
)
@option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the provider's key, readable by you only.  [default: the environment]",
)
@option(
    "--vad",
    is_flag=True,
    help="Find the speech in long recordings by a detector, not by level.",
)
@option("--insecure", is_flag=True, help="Allow ws:// to other machines: keys in plain text.")
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
@option("-v", "--verbose", count=True, help="Say more; twice: everything.")
def run(
    manifest: Path,
    *,
    concurrency: str,
    rate: str,
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

    Exit codes: 0 all done, 1 some jobs failed, 2 usage, 65 bad manifest, 69 service unavailable or
    quota spent, 70 our bug, 73 cannot create output, 74 disk, 75 folder in use, 77 key refused,
    78 bad configuration, 80 budget reached; on a signal, the signal's.
    """
    from batchjobs import api
    from batchjobs.limits import parse_rate

    set_logging(verbose, quiet=quiet)
    tune_collector()
    with told():
        with signals.raised():
            options = dataclasses.replace(
                _options(given),
                concurrency=_concurrency(concurrency),
                starts_per_second=parse_rate(rate) if rate else 0.0,
            )
            report = api.run(
                _source(manifest),
                options,
                observe=_observer(as_json=as_json, quiet=quiet),
                progress=_checked if sys.stderr.isatty() and not quiet else None,
            )
        _conclude(report, manifest, as_json=as_json, quiet=quiet)


@click.command(short_help="Check and price a manifest; spends nothing.")
@_MANIFEST
@_planning_options
@option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan(manifest: Path, *, as_json: bool, **given: object) -> None:
    """Check every row of MANIFEST, price it, and say what 'run' would do. Spends nothing.

    \b
    Example:
        batchjobs plan talks.csv -p munsit --voice ar-najdi-male-2
    """
    from batchjobs import api

    with told():
        made = api.plan(_source(manifest), _options(given))
    if as_json:
        import msgspec

        say(msgspec.json.encode(made).decode())
    else:
        _show_plan(made)


def _options(given: Mapping[str, object]) -> "Options":
    """Put the command line's values where the library wants them."""
    from batchjobs.api import Options
    from batchjobs.manifest import Defaults

    values = dict(given)
    speech = Defaults(
        voice_id=str(values.pop("voice") or ""),
        model_id=str(values.pop("model") or ""),
        stability=values.pop("stability"),  # type: ignore[arg-type]
        similarity_boost=values.pop("similarity_boost"),  # type: ignore[arg-type]
        speed=values.pop("speed"),  # type: ignore[arg-type]
        output_format=str(values.pop("output_format") or ""),
    )
    for name in ("sentence_pause", "paragraph_pause"):
        values[f"{name}_seconds"] = int(str(values.pop(f"{name}_ms"))) / 1_000
    if "grace" in values:
        values["grace_seconds"] = values.pop("grace")
    return Options(speech=speech, **values)  # type: ignore[arg-type]


def _source(manifest: Path) -> "Path | BinaryIO":
    return sys.stdin.buffer if str(manifest) == "-" else manifest


def _concurrency(text: str) -> int | None:
    if text in {"", "auto"}:
        return 0 if text else None
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise click.BadParameter(
            f"'{text}' is not a number of sessions; give 1 to 10000, or auto",
            param_hint="'--concurrency'",
        )
    return int(text)


def _observer(*, as_json: bool, quiet: bool) -> "Observer | None":
    from batchjobs.progress import Bars, JsonLines

    if as_json:
        return JsonLines(sys.stdout)
    return None if quiet else Bars(sys.stderr)


def _checked(rows: int) -> None:
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"\r\x1b[Kchecked {rows:,} rows\r")
        sys.stderr.flush()


def _conclude(report: "RunReport", manifest: Path, *, as_json: bool, quiet: bool) -> None:
    """Say how the run ended and what to do next, and exit accordingly."""
    if not quiet:
        stream = sys.stderr if as_json else sys.stdout
        for line in _closing_lines(report, manifest):
            say(line, stream)
    if report.error is not None:
        say(f"batchjobs: {report.error}", sys.stderr)
    if report.signal_number and report.error is None:
        die_of(report.signal_number)
    raise SystemExit(report.exit_code)


def _closing_lines(report: "RunReport", manifest: Path) -> list[str]:
    summary = report.summary
    lines = [counts(summary), f"results: {report.folder}{os.sep}"]
    errors = summary["errors"]
    assert isinstance(errors, dict)
    if errors:
        named = ", ".join(f"{count:,} {name}" for name, count in errors.items())
        lines.append(f"failed: {named} (see {report.folder / 'failed.jsonl'})")
    lines.append(_next_step(report, manifest))
    return lines


def _next_step(report: "RunReport", manifest: Path) -> str:
    """The last line: how to continue, or what to look at."""
    if report.summary["not_run"]:
        return f"continue: run the same command again (batchjobs run {manifest} …)"
    if report.summary["failed"]:
        return f"again: batchjobs run {manifest} --retry-failed tries the failed jobs once more"
    return f"next: batchjobs verify {report.folder}, or edit {manifest} and run it again"


def _show_plan(made: "Plan") -> None:
    from batchjobs.planning import Action

    say(f"{made.rows:,} rows")
    meanings = {
        Action.NEW: "new",
        Action.CHANGED: "changed since they were done",
        Action.RETRY: "failed, to be tried again",
        Action.REMAKE: "done, but their files are gone",
        Action.COPY: "the same as a finished job: copied, not bought",
        Action.FOLLOW: "the same as an earlier row: bought once",
        Action.DONE: "done",
        Action.KEPT: "failed for good (--retry-failed tries them again)",
        Action.BAD: "cannot be run (see --skip-bad-rows)",
        Action.LATER: "left for later by --limit",
    }
    for action, meaning in meanings.items():
        work = made.by_action[action]
        if work.rows:
            say(f"  {work.rows:>9,}  {meaning}")
    if made.orphans:
        say(f"  {made.orphans:>9,}  finished jobs are in the run folder but not in the manifest")
    work = made.to_buy
    parts = [f"{work.sessions:,} session{'s' * (work.sessions != 1)}"]
    if work.characters:
        speech = duration(made.speech_seconds)
        parts.append(f"{work.characters:,} characters (about {speech} of speech)")
    if work.seconds:
        parts.append(f"{duration(work.seconds)} of recordings")
    costs = [f"{cost:,.2f} {currency}" for currency, cost in made.cost_by_currency.items()]
    parts.append(" + ".join(costs) if costs else "no cost")
    say("to do: " + ", ".join(parts))
    for name in made.unpriced:
        say(f"no price is known for {name}: set one in batchjobs.toml, [providers.{name}]")
