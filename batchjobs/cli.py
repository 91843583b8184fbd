"""The command line: the only click import; errors become sentences and exit codes here."""

import contextlib
import dataclasses
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, NoReturn, ParamSpec, TextIO, TypeVar

import click

from batchjobs.errors import BatchjobsError, ConfigurationError

if TYPE_CHECKING:
    from batchjobs.api import Options, RunReport
    from batchjobs.plan import Plan
    from batchjobs.progress import Observer

__all__ = ["cli", "main"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_BUG_EXIT_CODE: Final = 70
_USAGE_EXIT_CODE: Final = 2
_FORMATS: Final = ("wav", "flac", "ogg", "mp3")
_RATES: Final = ("pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000")
_Decorator = Callable[[Callable[_P, _T]], Callable[_P, _T]]


# -- what every command shares -----------------------------------------------------------------


def _option(*names: str, **settings: object) -> _Decorator[_P, _T]:
    """Make an option with an environment variable named after it."""
    long = next(name for name in names if name.startswith("--"))
    variable = "BATCHJOBS_" + long.removeprefix("--").upper().replace("-", "_")
    settings.setdefault("envvar", variable)
    return click.option(*names, **settings)  # type: ignore[arg-type]


def _read_config(context: click.Context, _: click.Parameter, value: Path | None) -> Path | None:
    """Take the configuration file's defaults for this command before its options are looked at."""
    from batchjobs import config

    with _told():
        configuration = config.load(value)
    options = {p.name for p in context.command.params}
    defaults = configuration.defaults.get(context.info_name or "", {})
    for name in defaults:
        if name not in options:
            where = f"{configuration.path}: [{context.info_name}]"
            _complain(ConfigurationError(f"{where}: unknown option '{name}'"))
    context.default_map = dict(defaults)
    return value


_CONFIG = _option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    callback=_read_config,
    help="Configuration file.  [default: batchjobs.toml here, if there is one]",
)
_RUN_FOLDER = click.argument(
    "folder", metavar="RUN", type=click.Path(file_okay=False, path_type=Path)
)
_JSON = _option("--json", "as_json", is_flag=True, help="Print JSON.")


def _complete_provider(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Offer the providers' names to the shell."""
    from batchjobs import config

    try:
        names = config.load(context.params.get("config")).providers
    except BatchjobsError:
        return []
    return sorted(name for name in names if name.startswith(incomplete))


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """End the command with a sentence and the right exit code when one of our errors comes."""
    try:
        yield
    except BatchjobsError as error:
        _complain(error)


def _complain(error: BatchjobsError) -> NoReturn:
    _say(f"batchjobs: {error.message}", sys.stderr)
    if error.hint:
        _say(f"  → {error.hint}", sys.stderr)
    raise SystemExit(error.exit_code)


def _say(line: str = "", stream: TextIO | None = None) -> None:
    """Print a line; a reader that went away changes nothing about the work or its exit code."""
    try:
        click.echo(line, file=stream or sys.stdout)
    except (OSError, ValueError):
        _detach(stream or sys.stdout)


def _detach(stream: TextIO) -> None:
    """Point a broken stream at nothing, so that Python's last flush cannot fail either."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="batchjobs", prog_name="batchjobs")
def cli() -> None:
    """Bulk text to speech and speech to text from a manifest.

    A manifest is a CSV or JSON Lines file, one row one job: a row with 'text' is spoken, a row with
    'audio' is transcribed. A run can be stopped or killed anywhere; the same command continues it,
    and nothing finished is paid for twice.

    \b
    Try it, without an account, on the local speech server:
        batchjobs run manifests/quickstart.csv
    See what a run would do and cost, spending nothing:
        batchjobs plan talks.csv --provider munsit
    """


# -- run and plan ------------------------------------------------------------------------------

_MANIFEST = click.argument("manifest", type=click.Path(path_type=Path, allow_dash=True))


def _planning_options(command: Callable[_P, _T]) -> Callable[_P, _T]:
    """The options that `run` and `plan` share."""
    for option in reversed(
        (
            _option(
                "-o",
                "--output",
                type=click.Path(file_okay=False, path_type=Path),
                help="Run folder.  [default: outputs/<manifest's stem>]",
            ),
            _option(
                "-p",
                "--provider",
                default="local",
                show_default=True,
                shell_complete=_complete_provider,
                help="Who does rows that name no provider; see 'batchjobs providers'.",
            ),
            _option("--voice", default="", help="Voice for rows without 'voice_id'."),
            _option("--model", default="", help="Model for rows without 'model_id'."),
            _option("--stability", type=float, help="0 to 1, for rows without one."),
            _option("--similarity-boost", type=float, help="0 to 1, for rows without one."),
            _option("--speed", type=float, help="0.7 to 1.2, for rows without one."),
            _option(
                "--output-format",
                type=click.Choice(_RATES),
                help="Sample rate asked of the service, for rows without one.",
            ),
            _option(
                "--format",
                "audio_format",
                type=click.Choice(_FORMATS),
                default="wav",
                show_default=True,
                help="Format of results whose row gives no 'output'.",
            ),
            _option(
                "--input-root",
                type=click.Path(file_okay=False, exists=True, path_type=Path),
                help="Another folder that recordings and text files may be in.",
            ),
            _option("--retry-failed", is_flag=True, help="Try again what failed for good, too."),
            _option(
                "--skip-bad-rows",
                is_flag=True,
                help="Record rows that cannot be run as failed, and run the others.",
            ),
            _option("--limit", type=click.IntRange(min=0), help="Do at most N rows this time."),
            _option("--engine", default="", help="Engine of the local server: auto, tone, sherpa."),
            _CONFIG,
        )
    ):
        command = option(command)
    return command


@cli.command()
@_MANIFEST
@_planning_options
@_option("--base-url", default="", help="Where the provider is: wss://HOST/api/v1.")
@_option(
    "-c",
    "--concurrency",
    default="",
    metavar="N|auto",
    help="Sessions open at once.  [default: the provider's]",
)
@_option("--rate", default="", metavar="N/s|N/min", help="Sessions started, at most.")
@_option(
    "--attempts",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="Tries a job has before it counts as failed.",
)
@_option(
    "--pace",
    type=click.FloatRange(min=0),
    help="Audio sent, times real time; 0 is unpaced.  [default: the provider's]",
)
@_option(
    "--grace",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long open sessions may go on after Ctrl-C.",
)
@_option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the provider's key, readable by you only.  [default: the environment]",
)
@_option("--insecure", is_flag=True, help="Allow ws:// to other machines: keys in plain text.")
@_option(
    "--model-folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="The local server's recognition model, for --engine sherpa.",
)
@_option(
    "--fault",
    "faults",
    multiple=True,
    metavar="SPEC",
    help="Make the local server misbehave, to rehearse; see 'batchjobs serve --help'.",
)
@_option("--json", "as_json", is_flag=True, help="Print events as JSON lines.")
@_option("-q", "--quiet", is_flag=True, help="Print errors only.")
@_option("-v", "--verbose", count=True, help="Say more; twice: everything.")
def run(  # noqa: PLR0913
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

    _set_logging(verbose, quiet=quiet)
    _tune_collector()
    with _told():
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


@cli.command()
@_MANIFEST
@_planning_options
@_option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def plan(manifest: Path, *, as_json: bool, **given: object) -> None:
    """Check every row of MANIFEST, price it, and say what 'run' would do. Spends nothing.

    \b
    Example:
        batchjobs plan talks.csv -p munsit --voice ar-najdi-male-2
    """
    from batchjobs import api

    with _told():
        made = api.plan(_source(manifest), _options(given))
    if as_json:
        import msgspec

        _say(msgspec.json.encode(made).decode())
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
            _say(line, stream)
    if report.error is not None:
        _say(f"batchjobs: {report.error}", sys.stderr)
    if report.signal_number and report.error is None:
        _die_of(report.signal_number)
    raise SystemExit(report.exit_code)


def _closing_lines(report: "RunReport", manifest: Path) -> list[str]:
    summary = report.summary
    lines = [_counts(summary), f"results: {report.folder}{os.sep}"]
    errors = summary["errors"]
    assert isinstance(errors, dict)
    if errors:
        named = ", ".join(f"{count:,} {name}" for name, count in errors.items())
        lines.append(f"failed: {named} (see {report.folder / 'failed.jsonl'})")
    lines.append(_next_step(report, manifest))
    return lines


def _counts(summary: Mapping[str, object]) -> str:
    rows, done = summary["rows"], summary["done"]
    parts = [f"{done:,} of {rows:,} jobs done"]
    if summary["no_speech"]:
        parts.append(f"{summary['no_speech']:,} of them without speech")
    if summary["failed"]:
        parts.append(f"{summary['failed']:,} failed")
    if summary["not_run"]:
        parts.append(f"{summary['not_run']:,} not run")
    seconds = summary["audio_seconds"]
    assert isinstance(seconds, float)
    parts.append(f"{_duration(seconds)} of audio")
    spent = summary["spent"]
    assert isinstance(spent, dict)
    parts += [f"{cost:.2f} {currency} spent" for currency, cost in spent.items() if cost]
    return ", ".join(parts)


def _next_step(report: "RunReport", manifest: Path) -> str:
    """The last line: how to continue, or what to look at."""
    if report.summary["not_run"]:
        return f"continue: run the same command again (batchjobs run {manifest} …)"
    if report.summary["failed"]:
        return f"again: batchjobs run {manifest} --retry-failed tries the failed jobs once more"
    return f"next: batchjobs verify {report.folder}, or edit {manifest} and run it again"


def _die_of(number: int) -> NoReturn:
    """End by the signal that stopped the run, so that whoever started it can tell."""
    sys.stdout.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    raise SystemExit(128 + number)


def _show_plan(made: "Plan") -> None:
    from batchjobs.plan import TO_BUY, Action

    _say(f"{made.rows:,} rows")
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
            _say(f"  {work.rows:>9,}  {meaning}")
    if made.orphans:
        _say(f"  {made.orphans:>9,}  finished jobs are in the run folder but not in the manifest")
    work = made.to_buy
    parts = [f"{sum(made.by_action[action].rows for action in TO_BUY):,} sessions"]
    if work.characters:
        speech = _duration(made.speech_seconds)
        parts.append(f"{work.characters:,} characters (about {speech} of speech)")
    if work.seconds:
        parts.append(f"{_duration(work.seconds)} of recordings")
    costs = [f"{cost:,.2f} {currency}" for currency, cost in made.cost_by_currency.items()]
    parts.append(" + ".join(costs) if costs else "no cost")
    _say("to do: " + ", ".join(parts))
    for name in made.unpriced:
        _say(f"no price is known for {name}: set one in batchjobs.toml, [providers.{name}]")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02} h" if hours else f"{rest // 60}:{rest % 60:02} min"


# -- looking -----------------------------------------------------------------------------------


@cli.command()
@_RUN_FOLDER
@_JSON
@_CONFIG
def status(folder: Path, *, as_json: bool, config: Path | None) -> None:
    """Say where a run stands, also while it is going on."""
    from batchjobs import api

    with _told():
        found = api.status(folder, config_file=config)
    if as_json:
        _print_json(found)
        return
    _say(_counts(found))
    errors = found["errors"]
    assert isinstance(errors, dict)
    for name, count in errors.items():
        _say(f"  {count:>9,}  failed: {name}")
    if found["attempts_lost"]:
        _say(f"  {found['attempts_lost']:>9,}  sessions were lost when the run was killed")
    if found["not_run"]:
        _say(f"continue: batchjobs run {found['manifest']} -o {folder}")


@cli.command()
@_RUN_FOLDER
@_JSON
def verify(folder: Path, *, as_json: bool) -> None:
    """Check every output against the checkpoint: that it is there, whole and unchanged.

    Exits with 1 if something is wrong; 'batchjobs run' then makes it again.
    """
    from batchjobs import api

    with _told():
        checked, found = api.verify(folder)
    if as_json:
        _print_json({"checked": checked, "wrong": found})
    else:
        for line in found:
            _say(line)
        verdict = f"{len(found):,} files are not as they were" if found else "all as they were"
        _say(f"{checked:,} finished jobs checked: {verdict}")
        if found:
            _say("next: run the manifest again; it makes again what is missing")
    raise SystemExit(1 if found else 0)


@cli.command()
@_JSON
@_CONFIG
def providers(*, as_json: bool, config: Path | None) -> None:
    """List the providers, their settings, and where each value comes from."""
    from batchjobs import config as configuration

    with _told():
        read = configuration.load(config)
    if as_json:
        _print_json({name: dataclasses.asdict(provider) for name, provider in read.providers.items()})
        return
    for name, provider in read.providers.items():
        has_key = bool(os.environ.get(provider.key_variable))
        _say(f"{name}  (key: {provider.key_variable}, {'set' if has_key else 'not set'})")
        for field in dataclasses.fields(provider):
            if field.name == "name":
                continue
            source = str(read.path) if field.name in read.changed.get(name, ()) else "built in"
            _say(f"    {field.name} = {getattr(provider, field.name)!r}  [{source}]")


def _print_json(value: object) -> None:
    import orjson

    _say(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


# -- serving -----------------------------------------------------------------------------------


@cli.command()
@_option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@_option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0: any free one.")
@_option(
    "--engine",
    default="auto",
    show_default=True,
    help="auto: espeak and pocketsphinx; tone: exact, needs nothing; sherpa: your own model.",
)
@_option(
    "--model-folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Recognition model, for sherpa.",
)
@_option(
    "--fault",
    "faults",
    multiple=True,
    metavar="SPEC",
    help="Misbehave on purpose: NAME[:ARGUMENT][@PROBABILITY][#SESSIONS]; may be repeated.",
)
@_option("--seed", type=int, default=0, help="Decides which sessions a fault strikes.")
@_option("--pace", type=click.FloatRange(min=0), default=0.0, help="Stream audio at X times real time.")
@_option("--session-limit", type=click.IntRange(min=1), default=512, help="Sessions open at once.")
@_option(
    "--ledger",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a JSON line for each session's start and end.",
)
@_option(
    "--key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the key to ask for.  [default: BATCHJOBS_LOCAL_KEY, or a new one each time]",
)
@_option("-v", "--verbose", count=True, help="Say more.")
@_CONFIG
def serve(  # noqa: PLR0913
    *,
    faults: tuple[str, ...],
    key_file: Path | None,
    verbose: int,
    config: Path | None,
    **given: object,
) -> None:
    """Serve the same protocol as the hosted services, on this machine.

    It prints its address and the key to use.

    \b
    Examples:
        batchjobs serve
        batchjobs serve --engine tone --fault drop@0.1 --fault error:42901#3

    \b
    Faults to rehearse with, e.g. 'drop', 'error:50001', 'slow:0.1@0.2' (a fifth of the sessions),
    'silent#2' (the first two sessions):
        drop                resets the TCP connection in mid-audio
        hang                stops sending in mid-audio and keeps the connection
        throttle[:N]        error 42901 when more than N sessions are open
        throttle-handshake[:SECONDS]  HTTP 429 with Retry-After
        garbage             sends messages that are not JSON
        truncate            sends 40 % of the audio, then closes with 1000
        slow[:FACTOR]       sends at FACTOR times real time
        error[:CODE]        an error in mid-audio; error-string[:CODE] has the code as a string
        close[:CODE]        closes with CODE in mid-audio
        silent              initialises, then never sends a result
        mute                accepts the connection and never answers anything
        handshake[:STATUS]  refuses the connection with HTTP STATUS
        silence             digital silence of the right length
        half-sample         ends in half a sample
        rate-change         names another sample rate from the second message on
    """
    from batchjobs import config as configuration
    from batchjobs.server.faults import parse_fault

    _set_logging(verbose, quiet=False)
    _tune_collector()
    with _told():
        local = configuration.load(config).providers["local"]
        token = configuration.read_key(local, key_file=key_file, environment=os.environ)
        _serve(token, tuple(parse_fault(spec) for spec in faults), given)


def _serve(token: str, faults: tuple[object, ...], given: Mapping[str, object]) -> None:
    import functools
    import secrets

    import trio

    from batchjobs import masking
    from batchjobs.server import ServerSettings
    from batchjobs.server import serve as serve_sessions

    masking.install_fast_masker()
    settings = ServerSettings(
        token=token or secrets.token_urlsafe(24),
        faults=faults,  # type: ignore[arg-type]
        **given,  # type: ignore[arg-type]
    )

    async def foreground() -> None:
        async with trio.open_nursery() as nursery:
            base_url = await nursery.start(functools.partial(serve_sessions, settings))
            _say(f"serving {settings.engine} at {base_url}")
            if not token:
                _say(f"export BATCHJOBS_LOCAL_KEY={settings.token}")
            _say(f"batchjobs run MANIFEST --base-url {base_url}")
            sys.stdout.flush()
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
                async for number in received:
                    nursery.cancel_scope.cancel()
                    stopped.append(number)
                    return

    stopped: list[int] = []
    trio.run(foreground)
    if stopped:
        _die_of(stopped[0])


# -- the process -------------------------------------------------------------------------------


def _set_logging(verbose: int, *, quiet: bool) -> None:
    level = logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


def _tune_collector() -> None:
    """Collect garbage rarely: at a thousand sessions it was most of the loop's lag (measured)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    code = _USAGE_EXIT_CODE
    try:
        cli.main(standalone_mode=False)
        code = 0
    except SystemExit as ending:
        code = ending.code if isinstance(ending.code, int) else 0
    except click.exceptions.Exit as ending:
        code = ending.exit_code
    except click.ClickException as error:
        with contextlib.suppress(OSError, ValueError):
            error.show(sys.stderr)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _say("stopped before the run began; nothing was spent", sys.stderr)
        _die_of(signal.SIGINT)
    except BatchjobsError as error:
        _say(f"batchjobs: {error}", sys.stderr)
        code = error.exit_code
    except BrokenPipeError:
        code = 0
    except Exception:
        logging.getLogger(__name__).exception("this is a bug of batchjobs; please report it")
        code = _BUG_EXIT_CODE
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _detach(stream)
    raise SystemExit(code)
