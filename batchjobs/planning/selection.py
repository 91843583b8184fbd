"""Leaves rows for later: beyond a number, outside a sample, or where a choice does not need them."""

from collections.abc import Iterator, Mapping
from typing import Final

from batchjobs.checkpoint import Checkpoint
from batchjobs.jobs import Job, Kind, Status
from batchjobs.options import Options
from batchjobs.planning.coverage import Candidate, Coverage, choose_texts
from batchjobs.planning.plan import TO_BUY, Action
from batchjobs.planning.totals import list_prices, sum_spent
from batchjobs.providers import Provider

_FREE: Final = 1e-12
"""Of money, for a character that costs nothing: the shorter of two texts is still the better."""


def postpone(
    checkpoint: Checkpoint, providers: Mapping[str, Provider], options: Options
) -> Coverage | None:
    """Leave the staged rows for later that the options do not ask for now.

    Called before there are followers: a row that waits buys nothing for others. A bad row is never
    done, nor is one that costs more than a row may: counted, they would use up the limit of every run.

    Args:
        checkpoint: The rows are staged in it.
        providers: By name, for the prices.
        options: What the command line says.

    Returns:
        What a choice covers; None if there was none.
    """
    coverage = None
    if options.pilot:
        checkpoint.staging.keep_sample((*TO_BUY, Action.COPY), options.pilot)
    if options.max_cost_per_row is not None:
        for prices in list_prices(providers):
            checkpoint.staging.refuse_dear(TO_BUY, prices, options.max_cost_per_row)
    if options.select == "coverage":
        chosen, coverage = choose_texts(
            _list_candidates(checkpoint, providers, in_money=options.budget is not None),
            bought=_list_bought(checkpoint),
            most_cost=_find_most_cost(checkpoint, providers, options),
        )
        checkpoint.staging.keep_only(TO_BUY, chosen)
    if options.limit is not None:
        checkpoint.staging.postpone_beyond((*TO_BUY, Action.COPY), options.limit)
    return coverage


def _list_candidates(
    checkpoint: Checkpoint, providers: Mapping[str, Provider], *, in_money: bool
) -> Iterator[Candidate]:
    """List the texts to buy, each once: rows that ask the same follow the first."""
    keys = set[str]()
    for row in checkpoint.staging.stream(TO_BUY):
        if row.kind != Kind.TTS or row.key in keys:
            continue
        keys.add(row.key)
        job = row.read_job()
        characters = max(row.characters, 1)
        money = providers[row.provider].cost_of(characters=characters)
        cost = max(money, characters * _FREE) if in_money else float(characters)
        yield Candidate(row.position, _voice_of(job), job.text, cost)


def _list_bought(checkpoint: Checkpoint) -> Iterator[tuple[str, str]]:
    """List what this folder has already, with its voices."""
    for row, _ in checkpoint.rows.stream_records(Status.DONE):
        if row.kind == Kind.TTS:
            job = row.read_job()
            yield _voice_of(job), job.text


def _voice_of(job: Job) -> str:
    return job.speech.voice_id if job.speech is not None else ""


def _find_most_cost(
    checkpoint: Checkpoint, providers: Mapping[str, Provider], options: Options
) -> float:
    """Say what may be spent: in money, or in characters where nothing has a price."""
    spent = sum_spent(checkpoint, providers)
    if options.budget is not None:
        return options.budget - spent.money
    if options.max_characters is not None:
        return options.max_characters - spent.characters
    return float("inf")
