"""What a plan comes to: work and money, summed over the staged rows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from batchjobs.checkpoint import Checkpoint
from batchjobs.jobs import Kind
from batchjobs.planning.plan import TO_BUY, Action, Plan, Use, Work, cost_of
from batchjobs.planning.stager import Stager
from batchjobs.providers import Provider

__all__ = ["LETTERS_PER_SECOND", "summed"]

LETTERS_PER_SECOND: Final = 13.0
"""Ordinary reading pace, to estimate how long the audio of a text will be."""
_MIXED: Final = "XXX"
"""ISO 4217 for no currency: the sum is over several."""


def summed(checkpoint: Checkpoint, providers: Mapping[str, Provider], stager: Stager) -> Plan:
    """Give the plan of what is staged.

    Args:
        checkpoint: The rows are staged in it.
        providers: By name.
        stager: It has staged them, and knows what was remarkable.
    """
    by_action = {action: Work() for action in Action}
    to_buy = Work()
    costs: dict[str, float] = {}
    unpriced: dict[str, set[Kind]] = {}
    used = set()
    copied = set()
    spoken_characters = 0
    for (
        name,
        kind,
        provider_name,
        rows,
        characters,
        seconds,
        sessions,
    ) in checkpoint.staging.sum_rows():
        action = Action(name)
        work = Work(rows=rows, sessions=sessions, characters=characters, seconds=seconds)
        provider = providers.get(provider_name)
        if provider is not None:
            cost = cost_of(provider, characters=characters, seconds=seconds)
            work = replace(work, cost=cost, currency=provider.currency)
        by_action[action] = _sum(by_action[action], work)
        if provider is not None and action in {Action.COPY, Action.FOLLOW}:
            copied.add(provider_name)
        if provider is None or action not in TO_BUY:
            continue
        used.add(provider_name)
        to_buy = _sum(to_buy, work)
        spoken_characters += characters
        costs[work.currency] = costs.get(work.currency, 0.0) + work.cost
        if not _price(provider, kind) and not provider.engine:
            unpriced.setdefault(provider_name, set()).add(Kind(kind))
    return Plan(
        rows=stager.count,
        by_action=by_action,
        to_buy=to_buy,
        cost_by_currency={code: round(cost, 4) for code, cost in sorted(costs.items()) if cost},
        unpriced={name: tuple(sorted(kinds)) for name, kinds in sorted(unpriced.items())},
        speech_seconds=spoken_characters / LETTERS_PER_SECOND,
        orphans=checkpoint.staging.count_orphans(),
        bad_rows=tuple(stager.bad),
        replaced=dict(stager.replaced),
        superseded=stager.former.found(),
        tells_all=not stager.bad_total and not stager.reads_texts,
        providers=tuple(sorted(used)),
        uses=_uses(checkpoint, providers),
        copied_providers=tuple(sorted(copied - used)),
    )


def _uses(checkpoint: Checkpoint, providers: Mapping[str, Provider]) -> tuple[Use, ...]:
    """Say which models and voices the rows to buy ask for."""
    return tuple(
        Use(
            provider=name,
            kind=Kind(kind),
            model=model if kind == Kind.TTS else providers[name].stt_model,
            engine=providers[name].engine,
            voice=voice,
            rows=rows,
        )
        for name, kind, model, voice, rows in checkpoint.staging.count_voices(TO_BUY)
    )


def _price(provider: Provider, kind: str) -> float:
    if kind == Kind.TTS:
        return provider.tts_price_per_million_characters
    return provider.stt_price_per_hour


def _sum(one: Work, other: Work) -> Work:
    currencies = {one.currency, other.currency} - {""}
    return Work(
        rows=one.rows + other.rows,
        sessions=one.sessions + other.sessions,
        characters=one.characters + other.characters,
        seconds=one.seconds + other.seconds,
        cost=one.cost + other.cost,
        currency=currencies.pop() if len(currencies) == 1 else _MIXED * bool(currencies),
    )
