"""What became of a run's rows and what was spent: counted, and as ``summary.json`` keeps it."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import UNSET, UnsetType, field, structs

from batchjobs.checkpoint import Checkpoint, RunTotals, SentTotal
from batchjobs.errors import BatchjobsError
from batchjobs.files import run_folder
from batchjobs.outputs.groups import GroupState, list_groups
from batchjobs.providers import Provider, SentWork, sum_costs


class RunSummary(RunTotals, frozen=True, kw_only=True):
    """What became of a run's rows, and what was spent in its folder.

    What an earlier version did not count is zero; the last four are unset until a run writes its files.

    Attributes:
        spent: Money by currency, over all runs in the folder.
        account_spent: The same by provider and account, where a provider was asked with several.
        wasted: What of it led to nothing.
        characters_wasted: Characters sent that led to nothing.
        audio_seconds_wasted: Seconds of recordings sent that led to nothing.
        checks: Finished results by what a check says of them; those not checked are not counted.
        check_spent: Money by currency that it cost to have clips heard.
        check_audio_seconds: Seconds of clips that were sent for it.
        quality_spent: Money by currency that went into clips bought again.
        quality_characters: Characters sent for those.
        groups: Recordings that follow each other: each group's transcript, or what it waits for.
        manifest: The manifest, as it was named.
        exit_code: What the run exited with; None while it goes on, or where it was cancelled.
        finished_at: Unix time; None while it goes on.
        error: What stopped the run.
        written_at: Unix time of a summary that was written while the run went on.
    """

    spent: dict[str, float] = field(default_factory=dict)
    account_spent: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    wasted: dict[str, float] = field(default_factory=dict)
    characters_wasted: int = 0
    audio_seconds_wasted: float = 0.0
    checks: dict[str, int] = field(default_factory=dict)
    check_spent: dict[str, float] = field(default_factory=dict)
    check_audio_seconds: float = 0.0
    quality_spent: dict[str, float] = field(default_factory=dict)
    quality_characters: int = 0
    groups: list[GroupState] = field(default_factory=list)
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
    counted = structs.asdict(checkpoint.totals.count_rows())
    for name in ("audio_seconds", "audio_seconds_sent", "audio_seconds_billed"):
        counted[name] = round(counted[name], 3)
    sent = checkpoint.totals.sum_sent(is_running=is_running)
    wasted = [each for each in sent if not each.led_to_result]
    heard = _read_sent(checkpoint.folder / run_folder.CHECK)
    bought_again = _read_sent(checkpoint.folder / run_folder.TAKES)
    return RunSummary(
        **counted,
        spent=_price(sent, providers),
        account_spent=_price_accounts(checkpoint, providers),
        wasted=_price(wasted, providers),
        characters_wasted=sum(each.characters for each in wasted),
        audio_seconds_wasted=round(sum((each.audio_seconds for each in wasted), 0.0), 3),
        checks={verdict.value: count for verdict, count in checkpoint.checks.count().items()},
        check_spent=_price(heard, providers),
        check_audio_seconds=round(sum((each.audio_seconds for each in heard), 0.0), 3),
        quality_spent=_price(bought_again, providers),
        quality_characters=sum(each.characters for each in bought_again),
        groups=list_groups(checkpoint),
        manifest=checkpoint.read_settings().get("manifest", ""),
    )


def _read_sent(folder: Path) -> list[SentTotal]:
    """Read what was sent in a run below this one; nothing if there is none that can be read."""
    if not (folder / run_folder.CHECKPOINT).is_file():
        return []
    with contextlib.suppress(BatchjobsError), Checkpoint.read(folder) as checkpoint:
        return checkpoint.totals.sum_sent()
    return []


def _price_accounts(
    checkpoint: Checkpoint, providers: Mapping[str, Provider]
) -> dict[str, dict[str, dict[str, float]]]:
    """Price what was sent by provider and account; of a provider that was asked with one, nothing."""
    costs: dict[str, dict[str, dict[str, float]]] = {}
    for total in checkpoint.totals.sum_accounts():
        costs.setdefault(total.provider, {})[total.account] = _price([total], providers)
    return {provider: accounts for provider, accounts in costs.items() if len(accounts) > 1}


def _price(sent: Iterable[SentWork], providers: Mapping[str, Provider]) -> dict[str, float]:
    return {code: round(cost, 6) for code, cost in sum_costs(sent, providers).items()}
