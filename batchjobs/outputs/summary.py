"""What became of a run's rows and what was spent: counted, and as ``summary.json`` keeps it."""

from collections.abc import Mapping

import msgspec
from msgspec import UNSET, UnsetType, structs

from batchjobs.checkpoint import Checkpoint
from batchjobs.providers import Provider

__all__ = ["RunSummary", "summarise"]


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a run's rows, and what was spent in its folder.

    The order is that of ``summary.json``. What an earlier version did not count is zero; the last
    four are unset until a run writes its files.

    Attributes:
        rows: Rows of the manifest.
        done: Rows with a good result.
        suspect: Rows with a result in doubt.
        failed: Rows without a result.
        not_run: Rows without an answer.
        no_speech: Recordings among `done` that hold no speech.
        errors: Failed rows by class of error.
        doubts: Suspect rows by what speaks against them.
        failed_passing: Failed rows that the next run tries again.
        suspect_passing: Suspect rows that the next run tries again.
        audio_seconds: Length of what is done.
        attempts: Sessions begun, over all runs in the folder.
        attempts_open: Those that have not ended.
        attempts_lost: Those that a killed run left open.
        characters_sent: Over all runs in the folder.
        audio_seconds_sent: The same, of recordings.
        spent: Money by currency, over all runs in the folder.
        wasted: What of it led to nothing.
        characters_wasted: Characters sent that led to nothing.
        audio_seconds_wasted: Seconds of recordings sent that led to nothing.
        manifest: The manifest, as it was named.
        exit_code: What the run exited with; None while it goes on, or where it was cancelled.
        finished_at: Unix time; None while it goes on.
        error: What stopped the run.
        written_at: Unix time of a summary that was written while the run went on.
    """

    rows: int = 0
    done: int = 0
    suspect: int = 0
    failed: int = 0
    not_run: int = 0
    no_speech: int = 0
    errors: dict[str, int] = {}
    doubts: dict[str, int] = {}
    failed_passing: int = 0
    suspect_passing: int = 0
    audio_seconds: float = 0.0
    attempts: int = 0
    attempts_open: int = 0
    attempts_lost: int = 0
    characters_sent: int = 0
    audio_seconds_sent: float = 0.0
    spent: dict[str, float] = {}
    wasted: dict[str, float] = {}
    characters_wasted: int = 0
    audio_seconds_wasted: float = 0.0
    manifest: str = ""
    exit_code: int | UnsetType | None = UNSET
    finished_at: float | UnsetType | None = UNSET
    error: str | UnsetType = UNSET
    written_at: float | UnsetType = UNSET


def summarise(
    checkpoint: Checkpoint, providers: Mapping[str, Provider], *, is_running: bool = False
) -> RunSummary:
    """Count what became of the run's rows, and what was spent.

    Args:
        checkpoint: The run folder's.
        providers: By name, for the prices.
        is_running: A run goes on: what its open sessions have sent is not wasted.
    """
    totals = checkpoint.totals.count_rows()
    characters_wasted, seconds_wasted = 0, 0.0
    spent: dict[str, float] = {}
    wasted: dict[str, float] = {}
    for name, was_useful, characters, seconds in checkpoint.totals.sum_sent(is_running=is_running):
        if not was_useful:
            characters_wasted += characters
            seconds_wasted += seconds
        provider = providers.get(name)
        if provider is None:
            continue
        cost = provider.cost_of(characters=characters, seconds=seconds)
        for sums in (spent,) if was_useful else (spent, wasted):
            sums[provider.currency] = round(sums.get(provider.currency, 0.0) + cost, 6)
    counted = structs.asdict(totals)
    for name in ("audio_seconds", "audio_seconds_sent"):
        counted[name] = round(counted[name], 3)
    return RunSummary(
        **counted,
        spent=spent,
        wasted=wasted,
        characters_wasted=characters_wasted,
        audio_seconds_wasted=round(seconds_wasted, 3),
        manifest=checkpoint.read_settings().get("manifest", ""),
    )
