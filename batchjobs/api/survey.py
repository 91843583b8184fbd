"""What a run holds that can be checked, and what has to be there before it is."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from batchjobs import config
from batchjobs.api.request import Request
from batchjobs.checkpoint import Checkpoint, Row
from batchjobs.errors import ConfigurationError, OutputError, RunLockedError, UsageError
from batchjobs.files import run_folder
from batchjobs.jobs import Job, Kind, Status
from batchjobs.planning.keys import speech_key
from batchjobs.providers import DEFAULT_PROVIDER, Provider
from batchjobs.server.engines.registry import ENGINES

_FOLDERS: Final = (run_folder.CHECK, run_folder.TAKES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a run holds that can be checked.

    Attributes:
        clips: How many finished clips it has.
        references: How many transcripts beside references.
        most_take: The largest number in the column `take`.
        engine: Of the local server that spoke; empty if it was another provider.
        speakers: The providers that spoke.
        provider: Who does what names no provider.
        is_running: Whether a run goes on in the folder.
    """

    clips: int
    references: int
    most_take: int
    engine: str
    speakers: frozenset[str]
    provider: str
    is_running: bool


def survey_run(looking: Checkpoint, providers: Mapping[str, Provider]) -> Survey:
    """Look at all rows of a run.

    Args:
        looking: Its checkpoint.
        providers: By name.

    Raises:
        UsageError: There is nothing that could be checked.
        OutputError: A row's result stands where a check keeps its own files.
    """
    clips = references = most_take = 0
    engine, speakers = "", set()
    for row, record in looking.rows.stream_outcomes():
        if not row.kind:
            continue
        _refuse_place(row)
        job = row.read_job()
        most_take = max(most_take, job.take)
        if record is None or record.status is not Status.DONE:
            continue
        if job.kind is Kind.STT:
            references += bool(job.reference.strip())
            continue
        clips += 1
        speakers.add(job.provider)
        engine = engine or _find_engine(row, job, providers)
    if not clips and not references:
        raise UsageError(
            f"there is nothing to check in {looking.folder}",
            hint="a check is for finished speech, and for transcripts of rows with a 'reference'",
        )
    return Survey(
        clips=clips,
        references=references,
        most_take=most_take,
        engine=engine,
        speakers=frozenset(speakers),
        provider=looking.read_settings().get("provider", "") or DEFAULT_PROVIDER,
        is_running=looking.is_running(),
    )


def _refuse_place(row: Row) -> None:
    first = (row.place or "").partition("/")[0]
    if first in _FOLDERS:
        raise OutputError(
            f"the result of '{row.id}', {row.output}, stands where a check keeps its own files",
            hint="give the row another 'output', and run the manifest again",
        )


def _find_engine(row: Row, job: Job, providers: Mapping[str, Provider]) -> str:
    """Find which engine of the local server spoke a row: its key tells."""
    local = providers.get(job.provider)
    if local is None or not local.engine:
        return ""
    for name in (local.engine, *ENGINES):
        if speech_key(job, dataclasses.replace(local, engine=name)) == row.key:
            return name
    return ""


def refuse_purchases(survey: Survey, request: Request) -> None:
    """Refuse to buy bad clips again, before anything is bought, where that could not be done.

    Args:
        survey: Of the run.
        request: Of the transcription.

    Raises:
        RunLockedError: A run goes on in the folder.
        ConfigurationError: A key is missing, or a budget could not be kept.
    """
    if survey.is_running:
        raise RunLockedError(
            "a run goes on in the folder, and its clips cannot be replaced",
            hint="wait for it, or check without --regenerate what is done by now",
        )
    options = request.options
    known = {name: request.providers[name] for name in survey.speakers if name in request.providers}
    for name, provider in known.items():
        key_file = options.key_file if name == options.provider else None
        config.read_key(provider, key_file=key_file, environment=os.environ, is_needed=True)
    if options.budget is None:
        return
    for name, provider in known.items():
        if not provider.engine and not provider.tts_price_per_million_characters:
            raise ConfigurationError(
                f"--budget cannot count what {name} costs: no price is set",
                hint=f"set tts_price_per_million_characters below [providers.{name}] in"
                " batchjobs.toml, or leave out --regenerate",
            )
    hearing = request.providers[options.provider]
    paid = [*known.values(), *([hearing] if hearing.stt_price_per_hour else [])]
    currencies = sorted({provider.currency for provider in paid if not provider.engine})
    if len(currencies) > 1:
        raise ConfigurationError(
            f"--budget cannot add up {' and '.join(currencies)}",
            hint="leave out --regenerate, or have the clips heard by a provider of one currency",
        )
