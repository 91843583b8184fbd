"""Jobs x checkpoint: what there is to do, what it costs, and every row that cannot be done."""

import enum
import hashlib
import itertools
import stat
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from batchjobs import audio, text
from batchjobs.checkpoint import Checkpoint, JobRecord, Row, SourceRecord
from batchjobs.errors import ManifestError, OutputError, RecordingError
from batchjobs.files import PathEscapeError, path_inside
from batchjobs.jobs import BadRow, Job, Kind, Status, segment_key
from batchjobs.providers import Provider

__all__ = [
    "TO_BUY",
    "TO_DO",
    "Action",
    "BadRowsError",
    "Plan",
    "PlanSettings",
    "Work",
    "cost_of",
    "decode_row",
    "is_intact",
    "make_plan",
]

_BATCH_ROWS: Final = 500
_BAD_ROWS_SHOWN: Final = 100
_LETTERS_PER_SECOND: Final = 13.0
"""Ordinary reading pace, to estimate how long the audio of a text will be."""


class Action(enum.StrEnum):
    """What a run does about a row."""

    NEW = "new"
    CHANGED = "changed"
    RETRY = "retry"
    REMAKE = "remake"
    """It was done, but its files are gone or damaged."""
    COPY = "copy"
    """The same was bought before, for another row or under another name."""
    FOLLOW = "follow"
    """An earlier row of this manifest will buy the same."""
    BAD = "bad"
    DONE = "done"
    KEPT = "kept"
    """It failed for a reason that will not pass, and stays failed."""
    LATER = "later"
    """Left for another run by a limit."""


TO_BUY: Final = (Action.NEW, Action.CHANGED, Action.RETRY, Action.REMAKE)
TO_DO: Final = (*TO_BUY, Action.COPY, Action.FOLLOW, Action.BAD)


class BadRowsError(ManifestError):
    """Rows of the manifest cannot be run.

    Args:
        name: The manifest, for messages.
        rows: The bad rows, the first hundred.
        total: How many there are.
    """

    def __init__(self, name: str, rows: Sequence[BadRow], total: int) -> None:
        lines = [row.located(name) for row in rows]
        if total > len(rows):
            lines.append(f"… and {total - len(rows):,} more")
        super().__init__(
            "\n".join(lines),
            hint="nothing was spent; mend the rows, or pass --skip-bad-rows to run the others",
        )
        self.rows = tuple(rows)
        self.total = total

    def __str__(self) -> str:
        """Give the rows, one a line."""
        return self.message


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSettings:
    """What the command line says about planning.

    Attributes:
        name: The manifest, for messages.
        audio_format: Format of results whose row gives no ``output``.
        retry_failed: Try again what failed for good, too.
        skip_bad_rows: Record bad rows as failed instead of refusing the manifest.
        limit: At most so many purchases; None means all.
    """

    name: str
    audio_format: str = "wav"
    retry_failed: bool = False
    skip_bad_rows: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A sum over rows: how many, characters and seconds of audio to send, and what that costs."""

    rows: int = 0
    characters: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    currency: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run of this manifest would do.

    Attributes:
        rows: Rows in the manifest.
        by_action: Work per action; every action is there.
        to_buy: Work that needs sessions.
        cost_by_currency: Of `to_buy`.
        unpriced: Providers whose price nobody has set, among those that would be paid.
        speech_seconds: Estimated length of the speech to make.
        orphans: Finished jobs in the run folder that the manifest no longer has.
        bad_rows: The first bad rows.
        providers: The providers that would be used.
    """

    rows: int
    by_action: Mapping[Action, Work]
    to_buy: Work
    cost_by_currency: Mapping[str, float]
    unpriced: tuple[str, ...] = ()
    speech_seconds: float = 0.0
    orphans: int = 0
    bad_rows: tuple[BadRow, ...] = ()
    providers: tuple[str, ...] = ()

    @property
    def to_do(self) -> int:
        """Rows that a run would touch."""
        return sum(self.by_action[action].rows for action in TO_DO)


@dataclass(slots=True)
class _Tally:
    """What the staging pass counts as it goes."""

    rows: int = 0
    bad: list[BadRow] = field(default_factory=list)
    bad_total: int = 0
    twins: dict[str, int] = field(default_factory=dict)

    def add_bad(self, row: BadRow) -> None:
        self.bad_total += 1
        if len(self.bad) < _BAD_ROWS_SHOWN:
            self.bad.append(row)


def cost_of(provider: Provider, *, characters: int, seconds: float) -> float:
    """Price characters spoken and seconds of audio transcribed, in the provider's currency."""
    return (
        characters * provider.tts_price_per_million_characters / 1_000_000
        + seconds * provider.stt_price_per_hour / 3_600
    )


def decode_row(row: Row) -> Job | BadRow:
    """Read back the job, or the bad row, that a planned row carries."""
    if row.action == Action.BAD:
        return msgspec.json.decode(row.job, type=BadRow)
    return msgspec.json.decode(row.job, type=Job)


def is_intact(folder: Path, record: JobRecord) -> bool:
    """Whether a finished job's files are there with their sizes; `verify` looks at their content."""
    for file in record.files:
        try:
            status = (folder / file.path).lstat()
        except OSError:
            return False
        if not stat.S_ISREG(status.st_mode) or status.st_size != file.bytes:
            return False
    return bool(record.files)


def make_plan(
    rows: Iterable[Job | BadRow],
    *,
    checkpoint: Checkpoint,
    providers: Mapping[str, Provider],
    settings: PlanSettings,
    progress: Callable[[int], None] | None = None,
) -> Plan:
    """Check every row, find out what is done, and stage the rest in the checkpoint.

    Spends nothing and changes nothing in the run folder but the memory of recordings read.

    Args:
        rows: The manifest's rows, streamed.
        checkpoint: The run folder's.
        providers: By name.
        settings: What the command line says.
        progress: Called with the number of rows seen so far.

    Returns:
        The plan; the staged rows wait in the checkpoint for `Checkpoint.adopt_staged`.

    Raises:
        BadRowsError: Rows that cannot be run, unless they are to be skipped.
        ManifestError: The manifest cannot be read.
        OutputError: A result would overwrite a file that is not this run's.
    """
    checkpoint.begin_staging()
    tally = _Tally()
    for batch in _batched(rows, _BATCH_ROWS):
        _stage_batch(batch, tally, checkpoint, providers, settings)
        if progress is not None:
            progress(tally.rows)
    if tally.bad_total and not settings.skip_bad_rows:
        raise BadRowsError(settings.name, tally.bad, tally.bad_total)
    checkpoint.mark_followers(TO_BUY, Action.FOLLOW)
    if settings.limit is not None:
        checkpoint.drop_staged_beyond(TO_DO, settings.limit)
    return _summed(checkpoint, providers, tally)


def _batched(rows: Iterable[Job | BadRow], size: int) -> Iterable[list[Job | BadRow]]:
    iterator = iter(rows)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _stage_batch(
    batch: Sequence[Job | BadRow],
    tally: _Tally,
    checkpoint: Checkpoint,
    providers: Mapping[str, Provider],
    settings: PlanSettings,
) -> None:
    sources: list[SourceRecord] = []
    staged: list[Row] = []
    for item in batch:
        tally.rows += 1
        checked = (
            _keyed(item, tally.rows, checkpoint, providers, settings, sources)
            if isinstance(item, Job)
            else item
        )
        if isinstance(checked, BadRow):
            tally.add_bad(checked)
            staged.append(_bad(checked, tally.rows))
        else:
            staged.append(checked)
    if sources and checkpoint.folder.is_dir():
        checkpoint.remember_sources(sources)
    good = [row for row in staged if row.action != Action.BAD]
    records = checkpoint.records([row.id for row in good])
    bought = checkpoint.keys_with_donors([row.key for row in good])
    for index, row in enumerate(staged):
        if row.action != Action.BAD:
            action = _decide(row, records.get(row.id), bought, checkpoint.folder, settings)
            staged[index] = replace(row, action=action)
    for row in staged:
        _refuse_foreign(row, checkpoint, records)
    for refused, holder in checkpoint.stage(staged):
        _stage_refused(refused, holder, tally, checkpoint)


def _keyed(
    job: Job,
    position: int,
    checkpoint: Checkpoint,
    providers: Mapping[str, Provider],
    settings: PlanSettings,
    sources: list[SourceRecord],
) -> Row | BadRow:
    """Find a job's key and the place of its result."""
    provider = providers[job.provider]
    service = f"{provider.name}/{provider.engine}" if provider.engine else provider.name
    seconds = 0.0
    if job.kind is Kind.TTS:
        assert job.speech is not None
        model = job.speech.model_id
        key = segment_key(
            kind=job.kind, service=service, model=model, speech=job.speech, text=job.text, take=job.take
        )
        default = f"audio/{text.file_stem(job.id)}.{settings.audio_format}"
    else:
        try:
            source = _source(Path(job.audio), checkpoint, sources)
        except RecordingError as error:
            return _bad_job(job, "audio", error.message, error.hint)
        seconds = source.seconds
        if seconds > provider.audio_limit_seconds:
            limit = f"{provider.audio_limit_seconds:,.0f} s"
            message = f"the recording is {seconds:,.0f} s long; {provider.name} takes {limit}"
            return _bad_job(job, "audio", message, "split it")
        key = segment_key(
            kind=job.kind, service=service, model=provider.stt_model, audio_sha256=source.sha256
        )
        default = f"transcripts/{text.file_stem(job.id)}.txt"
    output = job.output or default
    try:
        path_inside(checkpoint.folder, output)
    except PathEscapeError as error:
        return _bad_job(job, "output" if job.output else "id", error.message, "")
    return Row(
        position=position,
        line=job.line,
        id=job.id,
        place=_place(output),
        key=key,
        action=Action.NEW,
        kind=job.kind,
        provider=job.provider,
        characters=len(job.text),
        seconds=seconds,
        output=output,
        job=msgspec.json.encode(job),
    )


def _place(output: str) -> str:
    return unicodedata.normalize("NFC", output).casefold()


def _source(path: Path, checkpoint: Checkpoint, sources: list[SourceRecord]) -> SourceRecord:
    """Read a recording's length and hash, or remember them if it has not changed."""
    try:
        status = path.stat()
    except OSError as error:
        raise RecordingError(f"cannot read {path}: {error.strerror}") from error
    known = checkpoint.source(str(path))
    if known and (known.bytes, known.modified_ns) == (status.st_size, status.st_mtime_ns):
        return known
    recording = audio.probe(path)
    found = SourceRecord(
        path=str(path),
        bytes=status.st_size,
        modified_ns=status.st_mtime_ns,
        sha256=audio.sha256_of(path),
        seconds=recording.seconds,
    )
    sources.append(found)
    return found


def _bad_job(job: Job, column: str, message: str, hint: str) -> BadRow:
    return BadRow(
        line=job.line, column=column, message=message, hint=hint, id=job.id, row=job.row
    )


def _bad(bad: BadRow, position: int) -> Row:
    return Row(
        position=position,
        line=bad.line,
        id=bad.id or f"line-{bad.line}",
        place=None,
        key="",
        action=Action.BAD,
        kind="",
        provider="",
        characters=0,
        seconds=0.0,
        output="",
        job=msgspec.json.encode(bad),
    )


def _decide(
    row: Row, record: JobRecord | None, bought: set[str], folder: Path, settings: PlanSettings
) -> Action:
    """Compare a row with what is known of its job."""
    if record is None or record.key != row.key:
        if row.key in bought:
            return Action.COPY
        return Action.NEW if record is None else Action.CHANGED
    if record.status is Status.FAILED:
        if row.key in bought:
            return Action.COPY
        return Action.RETRY if record.is_passing or settings.retry_failed else Action.KEPT
    if record.output != row.output:
        return Action.COPY
    return Action.DONE if is_intact(folder, record) else Action.REMAKE


def _refuse_foreign(row: Row, checkpoint: Checkpoint, records: Mapping[str, JobRecord]) -> None:
    """Stop before a result would overwrite a file that is not this run's."""
    if row.action not in TO_DO or row.action == Action.BAD:
        return
    record = records.get(row.id)
    if record is not None and record.output == row.output:
        return
    target = checkpoint.folder / row.output
    try:
        target.lstat()
    except OSError:
        return
    if not checkpoint.owns(row.output, row.id):
        raise OutputError(
            f"{target} is there already and is not this run's",
            hint="move it away, or choose another --output",
        )


def _stage_refused(row: Row, holder: Row, tally: _Tally, checkpoint: Checkpoint) -> None:
    """Stage a row whose id or place is taken, if another name serves; else count it as bad."""
    if row.action == Action.BAD:
        _stage_as(replace(row, id=f"{row.id}-line-{row.line}"), checkpoint)
        return
    job = msgspec.json.decode(row.job, type=Job)
    if row.id == holder.id and job.id_is_derived:
        # Two equal rows without ids are two jobs that ask the same: it does not matter which of
        # them is called the second.
        tally.twins[row.id] = number = tally.twins.get(row.id, 1) + 1
        renamed = replace(job, id=f"{row.id}-{number}", id_is_derived=True)
        output = row.output.replace(row.id, renamed.id)
        _stage_as(_renamed(row, renamed, output), checkpoint)
        return
    if row.id == holder.id:
        message = f"the id '{row.id}' is already used on line {holder.line}"
        bad = _bad_job(job, "id", message, "ids must be unique; rename one of them")
    elif job.output:
        message = f"'{job.output}' is already the output of line {holder.line}"
        bad = _bad_job(job, "output", message, "give every row an output of its own")
    else:
        # Two ids that differ only in case: fine, but not as file names on every system.
        digest = hashlib.sha256(row.id.encode()).hexdigest()[:10]
        path = Path(row.output)
        _stage_as(_renamed(row, job, str(path.with_stem(f"{path.stem}-{digest}"))), checkpoint)
        return
    tally.add_bad(bad)
    _stage_as(_bad(replace(bad, id=f"{row.id}-line-{row.line}"), row.position), checkpoint)


def _renamed(row: Row, job: Job, output: str) -> Row:
    """Give a row another name and place.

    Its action stands: it was decided for a job nobody had heard of, or for a copy.
    """
    return replace(
        row, id=job.id, output=output, place=_place(output), job=msgspec.json.encode(job)
    )


def _stage_as(row: Row, checkpoint: Checkpoint) -> None:
    if checkpoint.stage([row]):
        raise ManifestError(f"line {row.line}: '{row.id}' collides with another row's name or output")


def _summed(checkpoint: Checkpoint, providers: Mapping[str, Provider], tally: _Tally) -> Plan:
    by_action = {action: Work() for action in Action}
    to_buy = Work()
    costs: dict[str, float] = {}
    unpriced = set()
    used = set()
    spoken_characters = 0
    for name, kind, provider_name, rows, characters, seconds in checkpoint.staged_totals():
        action = Action(name)
        work = Work(rows=rows, characters=characters, seconds=seconds)
        if provider_name:
            provider = providers[provider_name]
            cost = cost_of(provider, characters=characters, seconds=seconds)
            work = replace(work, cost=cost, currency=provider.currency)
        by_action[action] = _sum(by_action[action], work)
        if action not in TO_BUY:
            continue
        used.add(provider_name)
        to_buy = _sum(to_buy, work)
        spoken_characters += characters
        costs[work.currency] = costs.get(work.currency, 0.0) + work.cost
        price = (
            provider.tts_price_per_million_characters
            if kind == Kind.TTS
            else provider.stt_price_per_hour
        )
        if not price and not provider.engine:
            unpriced.add(provider_name)
    return Plan(
        rows=tally.rows,
        by_action=by_action,
        to_buy=to_buy,
        cost_by_currency={code: round(cost, 4) for code, cost in sorted(costs.items()) if cost},
        unpriced=tuple(sorted(unpriced)),
        speech_seconds=spoken_characters / _LETTERS_PER_SECOND,
        orphans=checkpoint.orphans(),
        bad_rows=tuple(tally.bad),
        providers=tuple(sorted(used)),
    )


def _sum(one: Work, other: Work) -> Work:
    return Work(
        rows=one.rows + other.rows,
        characters=one.characters + other.characters,
        seconds=one.seconds + other.seconds,
        cost=one.cost + other.cost,
        currency=other.currency or one.currency,
    )
