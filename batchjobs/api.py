"""The same as the command line, for Python: plan, run, look, verify."""

import dataclasses
import functools
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

import trio

from batchjobs import config, manifest, masking, outputs, planning, results, signals
from batchjobs.audio import FORMATS
from batchjobs.checkpoint import FILE_NAME, Checkpoint
from batchjobs.config import Configuration
from batchjobs.errors import (
    BatchjobsError,
    BudgetReachedError,
    ConfigurationError,
    InternalError,
    KeyRefusedError,
    ManifestError,
    OutputError,
    RunLockedError,
    UsageError,
)
from batchjobs.jobs import Pauses
from batchjobs.limits import Budget, Price, RetryPolicy
from batchjobs.manifest import Defaults
from batchjobs.planning import Action, Plan, PlanSettings, cost_of, fingerprint
from batchjobs.progress import Event, Observer, RunFinished, RunStarted, forgiving
from batchjobs.protocol.codec import ChunkEncoding
from batchjobs.providers import MOST_SESSIONS, Provider, check_base_url, with_settings
from batchjobs.runner import RunEnd, Runner, RunSettings
from batchjobs.server.child import local_server
from batchjobs.session import Link
from batchjobs.voice_activity import SileroDetector
from batchjobs.wording import money, plural

__all__ = ["Options", "RunReport", "plan", "run", "run_async", "status", "verify"]

_OUTPUTS: Final = Path("outputs")
_LEAST: Final[Mapping[str, int]] = {
    "concurrency": 0,
    "starts_per_second": 0,
    "attempts": 1,
    "limit": 0,
    "sentence_pause_seconds": 0,
    "paragraph_pause_seconds": 0,
    "grace_seconds": 0,
    "budget": 0,
    "max_characters": 0,
    "max_audio_seconds": 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a run can be told; the command line's option is named where it differs from the field.

    Attributes:
        output: The run folder; None means ``outputs/<the manifest's stem>``.
        provider: Who does rows that name no provider.
        base_url: Where that provider is, if not where its table says.
        concurrency: Sessions open at once; 0 finds it out; None takes the provider's setting.
        starts_per_second: Sessions started a second; 0 means no limit. ``--rate``
        attempts: Tries a segment has before it counts as failed.
        pace: STT audio sent, times real time; 0 unpaced; None takes the provider's setting.
        encoding: How audio for STT is written: ``compact``, or ``padded`` for less processor time
            and more bytes on the wire.
        compress: Offer the service permessage-deflate: a third of the bytes of STT audio for ten times
            the processor time; without it where the service does not take it.
        preopen: Open connections for the next sessions while the current ones speak. They count:
            half of `concurrency` is then sessions.
        library_hooks: Put faster parts of ours into libraries, where they give the same; False leaves
            the libraries alone, and takes twice the processor time for STT.
            ``--no-library-hooks``
        audio_format: ``wav``, ``flac``, ``ogg`` or ``mp3`` for rows without ``output``. ``--format``
        retry_failed: Try again what failed for good, too.
        skip_bad_rows: Record bad rows as failed and run the others.
        limit: Do at most so many rows; None means all.
        sentence_pause_seconds: Silence between segments of a long text, within a paragraph.
            ``--sentence-pause``, in milliseconds
        paragraph_pause_seconds: The same at the end of a paragraph. ``--paragraph-pause``
        vad: Let a detector find the speech in long recordings, in place of the level of the sound.
        grace_seconds: How long open sessions may go on after the first signal. ``--grace``
        budget: Money that may be spent in this folder, over all runs; None means no limit.
        max_characters: Characters that may be sent, over all runs; None means no limit.
        max_audio_seconds: Seconds of audio that may be sent, over all runs; None means no limit.
            ``--max-audio``
        key_file: A file with the provider's key, for its owner only; None takes the environment.
        insecure: Allow unencrypted connections to other machines.
        input_root: Another folder that recordings and text files may be in.
        speech: The manifest's columns that empty cells take. ``--voice``, ``--model``,
            ``--stability``, ``--similarity-boost``, ``--speed``, ``--output-format``
        engine: The local server's engine.
        model_folder: The model of the local server's recogniser.
        faults: What the local server shall do wrong. ``--fault``
        config: The configuration file; None means ``batchjobs.toml`` here, if there is one.
        command: How to call it again, for `status`; empty if there is no such command.
    """

    output: str | Path | None = None
    provider: str = "local"
    base_url: str = ""
    concurrency: int | None = None
    starts_per_second: float = 0.0
    attempts: int = 5
    pace: float | None = None
    encoding: str = "compact"
    compress: bool = False
    preopen: bool = False
    library_hooks: bool = True
    audio_format: str = "wav"
    retry_failed: bool = False
    skip_bad_rows: bool = False
    limit: int | None = None
    sentence_pause_seconds: float = 0.0
    paragraph_pause_seconds: float = 0.4
    vad: bool = False
    grace_seconds: float = 30.0
    budget: float | None = None
    max_characters: int | None = None
    max_audio_seconds: float | None = None
    key_file: Path | None = None
    insecure: bool = False
    input_root: Path | None = None
    speech: Defaults = field(default_factory=Defaults)
    engine: str = ""
    model_folder: Path | None = None
    faults: tuple[str, ...] = ()
    config: Path | None = None
    command: str = ""

    @property
    def pauses(self) -> Pauses:
        """The silence between the segments of a long text."""
        return Pauses(
            sentences_seconds=self.sentence_pause_seconds,
            paragraphs_seconds=self.paragraph_pause_seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """How a run ended.

    Attributes:
        folder: The run folder.
        exit_code: What the command would exit with.
        summary: What ``summary.json`` says.
        plan: What there was to do.
        error: What stopped the run; None if it came to its end.
        signal_number: The signal that stopped it; 0 if none did.
    """

    folder: Path
    exit_code: int
    summary: Mapping[str, object]
    plan: Plan
    error: BatchjobsError | None = None
    signal_number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setup:
    """A request, made definite."""

    source: Path | BinaryIO
    name: str
    folder: Path
    manifest_folder: Path
    options: Options
    providers: Mapping[str, Provider]
    base_url: str


def plan(
    source: str | Path | BinaryIO,
    options: Options | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> Plan:
    """Check every row, price it, and say what a run would do; spends and changes nothing.

    Args:
        source: The manifest: a path, or an open binary stream.
        options: As for `run`.
        progress: Called with the number of rows seen so far.

    Raises:
        ManifestError: The manifest, or rows of it, cannot be run.
        BatchjobsError: Anything else that `run` would refuse.
    """
    setup = _set_up(source, options or Options())
    folder = setup.folder
    exists = (folder / FILE_NAME).is_file()
    with Checkpoint.read(folder) if exists else Checkpoint.none(folder) as checkpoint:
        return _planned(setup, checkpoint, progress)[0]


def run(
    source: str | Path | BinaryIO,
    options: Options | None = None,
    *,
    observe: Observer | None = None,
    progress: Callable[[int], None] | None = None,
) -> RunReport:
    """Run a manifest, or continue it: the same call.

    Args:
        source: The manifest: a path, or an open binary stream.
        options: How to run it.
        observe: Told of everything that happens, from the event loop: must be quick.
        progress: Called with the number of rows checked so far, before the run begins.

    Returns:
        How it ended, also if the service or a signal stopped it.

    Raises:
        UsageError: An option is out of its range.
        ManifestError: The manifest, or rows of it, cannot be run; nothing was spent.
        RunLockedError: Another run holds the folder.
        ConfigurationError: A key or setting is missing or wrong.
        BatchjobsError: Anything else that keeps the run from starting.
    """
    setup = _set_up(source, options or Options())
    told = forgiving(observe or _ignore)
    with _opened(setup) as checkpoint:
        made, kept = _planned(setup, checkpoint, progress)
        keys = _keys(setup, made)
        _check_budget(setup, made)
        # From here on a signal never leaves things half done: it drains, and the report is written.
        with signals.noted() as noted:
            facts = _facts(setup, kept)
            work = functools.partial(
                _work, setup, checkpoint, made, facts, keys, observe=told, noted=noted
            )
            end = trio.run(work)
            report = _reported(setup, checkpoint, made, end, told)
        if noted.number and not report.signal_number:
            code = 128 + noted.number if report.error is None else report.exit_code
            return dataclasses.replace(report, signal_number=noted.number, exit_code=code)
        return report


async def run_async(
    source: str | Path | BinaryIO,
    options: Options | None = None,
    *,
    observe: Observer | None = None,
) -> RunReport:
    """Run a manifest from within trio; as `run`, but leaves signals to the caller.

    Cancelling it is safe: it continues where it was when called again.
    """
    setup = _set_up(source, options or Options())
    with _opened(setup) as checkpoint:
        made, kept = await trio.to_thread.run_sync(_planned, setup, checkpoint, None)
        keys = _keys(setup, made)
        _check_budget(setup, made)
        facts, told = _facts(setup, kept), forgiving(observe or _ignore)
        end = await _work(setup, checkpoint, made, facts, keys, observe=told, noted=None)
        return await trio.to_thread.run_sync(_reported, setup, checkpoint, made, end, told)


def status(folder: str | Path, *, config_file: Path | None = None) -> dict[str, object]:
    """Count where a run stands, also while it goes on.

    Raises:
        NoRunError: There is no run in the folder.
    """
    providers = config.load(config_file).providers
    with Checkpoint.read(Path(folder)) as checkpoint:
        is_running = checkpoint.is_running()
        settings = checkpoint.settings()
        facts = {name: settings.get(name, "") for name in ("manifest", "command", "working_folder")}
        summary = results.summary_of(checkpoint, providers, is_running=is_running)
        return facts | {"is_running": is_running} | summary


def verify(
    folder: str | Path, *, progress: Callable[[int], None] | None = None
) -> tuple[int, list[str]]:
    """Check every output against the checkpoint: there, size, samples, hash.

    The next run makes again what was found changed.

    Args:
        folder: The run folder.
        progress: Called with the number of jobs checked so far.

    Returns:
        How many finished jobs were checked, and what is wrong with their files.

    Raises:
        NoRunError: There is no run in the folder.
    """
    folder = Path(folder)
    found: list[str] = []
    checked = 0
    judged: dict[bool, list[str]] = {True: [], False: []}
    with Checkpoint.read(folder) as checkpoint:
        for record in checkpoint.done_records():
            checked += 1
            changes = outputs.file_changes(folder, record.files)
            found += [f"{record.id}: {change}" for change in changes]
            if bool(changes) != record.is_damaged:
                judged[bool(changes)].append(record.id)
            if progress is not None:
                progress(checked)
    if any(judged.values()):
        # A run that is going on, or a folder that cannot be written, keeps its own opinion.
        with suppress(RunLockedError, OutputError), Checkpoint.open(folder) as checkpoint:
            for is_damaged, ids in judged.items():
                checkpoint.judge(ids, is_damaged=is_damaged)
    return checked, found


def _check(options: Options) -> None:
    """Refuse what the command line would: after the first purchase is too late.

    Raises:
        UsageError: An option is out of its range.
    """
    for name, least in _LEAST.items():
        value = getattr(options, name)
        if value is not None and not value >= least:  # nor is what is no number
            raise UsageError(f"the option {name} is {value}", hint=f"give {least} or more")
    if (options.concurrency or 0) > MOST_SESSIONS:
        raise UsageError(
            f"the option concurrency is {options.concurrency}",
            hint=f"give {MOST_SESSIONS} at most",
        )
    if options.audio_format not in FORMATS:
        raise UsageError(
            f"there is no result format '{options.audio_format}'", hint=f"use {', '.join(FORMATS)}"
        )
    if options.compress and not options.library_hooks:
        hint = "leave out one of --compress and --no-library-hooks"
        raise UsageError("--compress needs its hook into trio-websocket", hint=hint)
    if options.encoding not in set(ChunkEncoding):
        known = ", ".join(ChunkEncoding)
        raise UsageError(f"there is no encoding '{options.encoding}'", hint=f"there are {known}")


def _set_up(source: str | Path | BinaryIO, options: Options) -> _Setup:
    _check(options)
    if options.vad:
        SileroDetector()  # is it there? Not after everything is planned
    configuration = config.load(options.config)
    providers = _providers(configuration, options)
    if isinstance(source, str | Path):
        path = Path(source)
        stem = Path(path.name.removesuffix(".gz")).stem
        folder = _OUTPUTS / stem if options.output is None else Path(options.output)
        if path.resolve() == (folder / results.FAILED).resolve():
            raise UsageError(
                f"{path} is written anew by every run in {folder}",
                hint="run its manifest with --retry-failed, or give another --output",
            )
        name, manifest_folder = str(source), path.parent
        definite: Path | BinaryIO = path
    else:
        if options.output is None:
            raise UsageError(
                "a manifest from the standard input has no name", hint="give --output DIR"
            )
        folder, name = Path(options.output), "<stdin>"
        manifest_folder, definite = Path(), source
    base_url = options.base_url and check_base_url(options.base_url, insecure=options.insecure)
    return _Setup(
        source=definite,
        name=name,
        folder=folder,
        manifest_folder=manifest_folder,
        options=options,
        providers=providers,
        base_url=base_url,
    )


def _providers(configuration: Configuration, options: Options) -> dict[str, Provider]:
    """Apply what the options say to the table of providers."""
    providers = dict(configuration.providers)
    if options.provider not in providers:
        known = ", ".join(sorted(providers))
        raise ConfigurationError(
            f"there is no provider '{options.provider}'", hint=f"there are {known}"
        )
    if options.pace is not None:
        pace: Mapping[str, object] = {"pace": options.pace}
        providers = {n: with_settings(p, pace, where="--pace") for n, p in providers.items()}
    if options.engine:
        engine = {"engine": options.engine}
        providers["local"] = with_settings(providers["local"], engine, where="--engine")
    return providers


@contextmanager
def _opened(setup: _Setup) -> Iterator[Checkpoint]:
    """Hold the run folder; leaves no trace of a run that was refused before it began."""
    existed = setup.folder.exists()
    with signals.noted() as noted:
        checkpoint = Checkpoint.open(setup.folder)
    with checkpoint:
        try:
            if noted.number:
                raise signals.Interrupted(noted.number)
            yield checkpoint
        except (ManifestError, ConfigurationError, OutputError, UsageError, KeyboardInterrupt):
            if not existed and not checkpoint.has_begun():
                checkpoint.close()
                for file in setup.folder.glob(f"{FILE_NAME}*"):
                    file.unlink(missing_ok=True)
                setup.folder.rmdir()
            raise


def _planned(
    setup: _Setup, checkpoint: Checkpoint, progress: Callable[[int], None] | None
) -> tuple[Plan, str]:
    """Plan; give the fingerprint too, under which the same manifest need not be read again."""
    options = setup.options
    rows = manifest.read_rows(
        setup.source,
        name=setup.name,
        folder=setup.manifest_folder,
        providers=setup.providers,
        defaults=dataclasses.replace(options.speech, provider=options.provider),
        input_root=_input_root(setup),
    )
    before = _fingerprint(setup)
    settings = PlanSettings(
        name=setup.name,
        audio_format=options.audio_format,
        retry_failed=options.retry_failed,
        skip_bad_rows=options.skip_bad_rows,
        limit=options.limit,
        pauses=options.pauses,
        fingerprint=before,
        inputs_folder="" if _input_root(setup) else str(setup.manifest_folder.resolve()),
    )
    made = planning.make_plan(
        rows,
        checkpoint=checkpoint,
        providers=setup.providers,
        settings=settings,
        progress=progress,
    )
    _refuse_replacing(setup, checkpoint, made)
    # What changed while it was read cannot be told by what it was before.
    is_told = made.tells_all and _fingerprint(setup) == before
    return made, before if is_told else ""


def _refuse_replacing(setup: _Setup, checkpoint: Checkpoint, made: Plan) -> None:
    """Stop before results that were paid for, or another manifest's, are overwritten by mistake.

    Raises:
        UsageError: They would be.
    """
    for (held, wanted), rows in made.replaced.items():
        raise UsageError(
            f"{rows:,} finished results of the provider '{held}' would be replaced by"
            f" '{wanted}', which their rows do not name",
            hint=f"give --provider {held}, or another --output; or move their files away",
        )
    other = checkpoint.settings().get("manifest_path", "")
    is_ours = not other or setup.options.output is not None or other == _path_of(setup)
    loses = made.by_action[Action.CHANGED].rows or made.orphans
    if not is_ours and loses and Path(other).exists():
        raise UsageError(
            f"{setup.folder} is the run of another manifest, {other}",
            hint="give this one a folder of its own with --output",
        )


def _input_root(setup: _Setup) -> Path | None:
    """Give the second place for inputs; of a run's ``failed.jsonl``, where its manifest is."""
    if setup.options.input_root is not None:
        return setup.options.input_root.absolute()
    folder = setup.manifest_folder
    if setup.source != folder / results.FAILED or not (folder / FILE_NAME).is_file():
        return None
    with Checkpoint.read(folder) as checkpoint:
        path = checkpoint.settings().get("manifest_path", "")
    return Path(path).parent if path else None


def _path_of(setup: _Setup) -> str:
    return str(setup.source.absolute()) if isinstance(setup.source, Path) else ""


def _fingerprint(setup: _Setup) -> str:
    """Tell the manifest and what its rows are made with from others; empty for a stream."""
    if not isinstance(setup.source, Path):
        return ""
    options = setup.options
    return fingerprint(
        setup.source,
        setup.name,
        setup.manifest_folder.resolve(),
        _input_root(setup),
        setup.providers,
        options.provider,
        options.speech,
        options.audio_format,
        options.pauses,
    )


def _facts(setup: _Setup, fingerprint_kept: str) -> dict[str, str]:
    return {
        "fingerprint": fingerprint_kept,
        "manifest": setup.name,
        "manifest_path": _path_of(setup),
        "provider": setup.options.provider,
        "command": setup.options.command,
        "working_folder": _working_folder(),
        "planned_at": str(time.time()),
    }


def _working_folder() -> str:
    """Say where we are; empty if that is gone, or its name is no text."""
    try:
        here = str(Path.cwd())
        here.encode()
    except (OSError, UnicodeEncodeError):
        return ""
    return here


def _keys(setup: _Setup, made: Plan) -> dict[str, str]:
    """Find the key of every provider that the plan uses.

    Raises:
        ConfigurationError: One is missing or cannot be read.
    """
    keys = {}
    for name in (*made.providers, *made.copied_providers):
        provider = setup.providers[name]
        key_file = setup.options.key_file if name == setup.options.provider else None
        key = config.read_key(provider, key_file=key_file, environment=os.environ)
        if not key and not provider.engine:
            if name not in made.providers:
                continue  # only needed if what is to be copied turns out to be damaged
            raise ConfigurationError(
                f"no key for the provider '{name}'",
                hint=f"set {provider.key_variable}, or give --key-file FILE",
            )
        keys[name] = key
    return keys


async def _work(
    setup: _Setup,
    checkpoint: Checkpoint,
    made: Plan,
    facts: Mapping[str, str],
    keys: Mapping[str, str],
    *,
    observe: Observer,
    noted: signals.Noted | None,
) -> RunEnd:
    """Start the local server if it is needed, adopt the plan, and do what there is to do."""
    options = setup.options
    if not made.to_do:
        await trio.to_thread.run_sync(checkpoint.adopt_staged, facts)
        await trio.to_thread.run_sync(checkpoint.recover, time.time())
        # Killed at its very end, a run leaves files that nobody needs any more.
        outputs.sweep_segments(checkpoint.folder, checkpoint.segment_files())
        return RunEnd()
    if options.library_hooks:
        masking.install_fast_masker()
    else:
        masking.remove_fast_masker()
    observe(RunStarted(rows=made.rows, to_do=made.to_do, folder=str(setup.folder)))
    async with AsyncExitStack() as stack:
        links = {}
        for name, key in keys.items():
            provider = setup.providers[name]
            base_url = setup.base_url if name == options.provider else ""
            base_url = base_url or provider.base_url
            if not base_url:
                child = await stack.enter_async_context(
                    local_server(
                        engine=provider.engine,
                        model_folder=options.model_folder,
                        faults=options.faults,
                        compresses=options.compress,
                        library_hooks=options.library_hooks,
                        withheld=[each.key_variable for each in setup.providers.values()],
                    )
                )
                base_url, key = child.base_url, child.token  # noqa: PLW2901
            url = check_base_url(base_url, insecure=options.insecure)
            links[name] = Link(
                provider,
                base_url=url,
                key=key,
                encoding=ChunkEncoding(options.encoding),
                compresses=options.compress,
                library_hooks=options.library_hooks,
            )
        # Not before: where a recogniser or its extra is missing, the last plan stands as it did.
        await trio.to_thread.run_sync(checkpoint.adopt_staged, facts)
        # A signal that came before the runner listens counts; None leaves signals alone.
        if noted is not None and noted.number:
            return RunEnd(signal_number=noted.number)
        runner = Runner(
            checkpoint,
            links=links,
            settings=RunSettings(
                concurrency=options.concurrency,
                preopens=options.preopen,
                starts_per_second=options.starts_per_second,
                retries=RetryPolicy(attempts=options.attempts),
                grace_seconds=options.grace_seconds,
                handles_signals=noted is not None,
                budget=_budget(setup, checkpoint),
                pauses=options.pauses,
                detector=SileroDetector if options.vad else None,
            ),
            observe=observe,
        )
        return _explained(await runner.run(), setup, keys)
    raise AssertionError  # the stack never swallows an exception


def _explained(end: RunEnd, setup: _Setup, keys: Mapping[str, str]) -> RunEnd:
    """Say of a refused key that there was none: a local server elsewhere may ask for one."""
    name = setup.options.provider
    if not isinstance(end.error, KeyRefusedError) or dict(keys) != {name: ""}:
        return end
    error = KeyRefusedError(
        f"no key for the provider '{name}', and {end.error.message}",
        hint=f"set {setup.providers[name].key_variable} to the one that 'batchjobs serve' printed",
    )
    return dataclasses.replace(end, error=error)


def _check_budget(setup: _Setup, made: Plan) -> None:
    """Refuse a limit in money that would not hold.

    Raises:
        ConfigurationError: There are prices in several currencies, or one that nobody has set.
    """
    if setup.options.budget is None:
        return
    currencies = {setup.providers[name].currency for name in made.providers}
    if len(currencies) > 1:
        raise ConfigurationError(
            f"--budget cannot add up {' and '.join(sorted(currencies))}",
            hint="give --max-characters or --max-audio, or run the providers apart",
        )
    if made.unpriced:
        raise ConfigurationError(
            f"--budget cannot count what {' and '.join(made.unpriced)} costs: no price is set",
            hint="set it in batchjobs.toml, or give --max-characters or --max-audio",
        )


def _budget(setup: _Setup, checkpoint: Checkpoint) -> Budget:
    """Set what may be spent against what was, over all runs in the folder."""
    options = setup.options
    spent = Price()
    for name, _, characters, seconds in checkpoint.sent_by_provider():
        provider = setup.providers.get(name)
        cost = (
            0.0 if provider is None else cost_of(provider, characters=characters, seconds=seconds)
        )
        spent = Price(
            money=spent.money + cost,
            characters=spent.characters + characters,
            audio_seconds=spent.audio_seconds + seconds,
        )
    return Budget(
        money=math.inf if options.budget is None else options.budget,
        characters=math.inf if options.max_characters is None else options.max_characters,
        audio_seconds=math.inf if options.max_audio_seconds is None else options.max_audio_seconds,
        spent=spent,
    )


def _with_what_is_left(
    error: BudgetReachedError, checkpoint: Checkpoint, providers: Mapping[str, Provider]
) -> BudgetReachedError:
    """Say what is left to do and what it would cost."""
    rows, costs = 0, dict[str, float]()
    for name, count, characters, seconds in checkpoint.unsettled():
        rows += count
        provider = providers.get(name)
        if provider is not None:
            cost = cost_of(provider, characters=characters, seconds=seconds)
            costs[provider.currency] = costs.get(provider.currency, 0.0) + cost
    sums = " + ".join(money(cost, code) for code, cost in sorted(costs.items()) if cost)
    left = f"{plural(rows, 'job')} {'is' if rows == 1 else 'are'} left"
    price = f", which would cost about {sums}" if sums else ""
    return BudgetReachedError(f"{error.message}; {left}{price}", hint=error.hint)


def _unanswered(summary: Mapping[str, object], made: Plan) -> InternalError | None:
    """Every row gets an answer, unless a limit leaves it for later: see to it here, at the end."""
    later = made.by_action[Action.LATER].rows
    missing = int(str(summary["not_run"])) - later
    if missing <= 0:
        return None
    return InternalError(
        f"the run ended with rows that have no answer: {missing:,}",
        hint="this is a bug of batchjobs; the same command does these rows",
    )


def _reported(
    setup: _Setup, checkpoint: Checkpoint, made: Plan, end: RunEnd, observe: Observer
) -> RunReport:
    """Write the run's files and say how it ended; where nothing has changed, they stay."""
    last = None if made.to_do else results.last_summary(checkpoint)
    if last is not None and end == RunEnd() and last["exit_code"] == 0:
        observe(RunFinished(exit_code=0, totals=last))
        return RunReport(folder=setup.folder, exit_code=0, summary=last, plan=made)
    summary = results.summary_of(checkpoint, setup.providers)
    error = end.error
    if error is None and not end.signal_number:
        error = _unanswered(summary, made)
    if isinstance(error, BudgetReachedError):
        error = _with_what_is_left(error, checkpoint, setup.providers)
    failed = bool(summary["failed"])
    code = error.exit_code if error is not None else int(failed)
    if end.signal_number and error is None:
        code = 128 + end.signal_number
    summary |= {"manifest": setup.name, "exit_code": code, "finished_at": round(time.time(), 3)}
    if error is not None:
        summary["error"] = str(error)
    try:
        results.write_results(checkpoint, summary)
    except BatchjobsError as disk_error:
        error = error or disk_error
        code = error.exit_code
    observe(RunFinished(exit_code=code, totals=summary))
    return RunReport(
        folder=setup.folder,
        exit_code=code,
        summary=summary,
        plan=made,
        error=error,
        signal_number=end.signal_number,
    )


def _ignore(_: Event) -> None:
    """Stand in for an observer."""
