"""Sums the staged rows up to a plan: work, money, and whom they ask."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from batchjobs.checkpoint import Checkpoint, Prices, StagedTotal
from batchjobs.jobs import Kind
from batchjobs.limits import Price
from batchjobs.planning.plan import TO_BUY, Action, Plan, Use, Work
from batchjobs.planning.stager import Stager
from batchjobs.providers import Provider, SentWork, sum_costs

_MIXED: Final = "XXX"
"""ISO 4217 for no currency: the sum is over several."""


def sum_plan(checkpoint: Checkpoint, providers: Mapping[str, Provider], stager: Stager) -> Plan:
    """Sum the staged rows up to a plan.

    Args:
        checkpoint: The rows are staged in it.
        providers: By name.
        stager: It has staged them, and knows what was remarkable.
    """
    by_action = {action: Work() for action in Action}
    to_buy = Work()
    costs: dict[str, float] = {}
    unpriced: dict[str, set[Kind]] = {}
    copied = set()
    spoken_characters = 0
    used = set()
    for total in checkpoint.staging.sum_rows():
        action = Action(total.action)
        provider = providers.get(total.provider)
        work = _work_of(total, provider)
        by_action[action] = _add(by_action[action], work)
        if provider is None:
            continue
        if action in {Action.COPY, Action.FOLLOW}:
            copied.add(provider.name)
        if action not in TO_BUY:
            continue
        used.add(provider.name)
        to_buy = _add(to_buy, work)
        spoken_characters += work.characters
        costs[work.currency] = costs.get(work.currency, 0.0) + work.cost
        if not _price_of(provider, total.kind) and not provider.engine:
            unpriced.setdefault(provider.name, set()).add(Kind(total.kind))
    return Plan(
        rows=stager.count,
        by_action=by_action,
        to_buy=to_buy,
        cost_by_currency={code: round(cost, 4) for code, cost in sorted(costs.items()) if cost},
        unpriced={name: tuple(sorted(kinds)) for name, kinds in sorted(unpriced.items())},
        speech_seconds=stager.builder.reading_time.estimate_seconds(spoken_characters),
        orphans=checkpoint.staging.count_orphans(),
        bad_rows=tuple(stager.bad.first),
        absent=stager.absent.told.total,
        absent_rows=tuple(stager.absent.told.first),
        replaced=dict(stager.decider.replaced),
        superseded=stager.former.list_superseded(),
        tells_all=not (stager.bad.total or stager.absent.unanswered.total or stager.reads_texts),
        providers=tuple(sorted(used)),
        uses=_uses_of(checkpoint, providers),
        copied_providers=tuple(sorted(copied - used)),
        heard_apart=stager.heard_apart,
        notes=(*stager.builder.recordings.tracks.tell(), *stager.groups.tell()),
        dearest=_find_dearest(checkpoint, providers) if by_action[Action.DEAR].rows else {},
    )


def sum_spent(checkpoint: Checkpoint, providers: Mapping[str, Provider]) -> Price:
    """Add up what was spent over all runs in a folder.

    Args:
        checkpoint: The run folder's.
        providers: By name, for the prices.
    """
    return sum_prices(checkpoint.totals.sum_sent(), providers)


def sum_prices(work: Sequence[SentWork], providers: Mapping[str, Provider]) -> Price:
    """Add up work in every unit that is paid for; the money of all currencies in one sum.

    Args:
        work: What was, or is to be, sent.
        providers: By name, for the prices.
    """
    return Price(
        money=sum(sum_costs(work, providers).values(), 0.0),
        characters=sum(each.characters for each in work),
        audio_seconds=sum((each.audio_seconds for each in work), 0.0),
    )


def list_prices(providers: Mapping[str, Provider]) -> Iterator[Prices]:
    """List what each provider takes for a unit of work."""
    for name, provider in providers.items():
        yield Prices(name, provider.cost_of(characters=1), provider.cost_of(seconds=1.0))


def _work_of(total: StagedTotal, provider: Provider | None) -> Work:
    cost, currency = 0.0, ""
    if provider is not None:
        cost = provider.cost_of(characters=total.characters, seconds=total.seconds)
        currency = provider.currency
    return Work(
        rows=total.rows,
        sessions=total.sessions,
        characters=total.characters,
        seconds=total.seconds,
        cost=cost,
        currency=currency,
    )


def _uses_of(checkpoint: Checkpoint, providers: Mapping[str, Provider]) -> tuple[Use, ...]:
    """Say which models and voices the rows to buy ask for."""
    return tuple(
        Use(
            provider=use.provider,
            kind=Kind(use.kind),
            model=use.model if use.kind == Kind.TTS else providers[use.provider].stt_model,
            engine=providers[use.provider].engine,
            voice=use.voice,
            rows=use.rows,
        )
        for use in checkpoint.staging.count_voices(TO_BUY)
    )


def _find_dearest(checkpoint: Checkpoint, providers: Mapping[str, Provider]) -> dict[str, float]:
    """Say what the dearest row costs of those that cost more than a row may, by currency."""
    found: dict[str, float] = {}
    for prices in list_prices(providers):
        currency = providers[prices.provider].currency
        if cost := checkpoint.staging.find_dearest(prices):
            found[currency] = max(found.get(currency, 0.0), cost)
    return found


def _price_of(provider: Provider, kind: str) -> float:
    if kind == Kind.TTS:
        return provider.tts_price_per_million_characters
    return provider.stt_price_per_hour


def _add(one: Work, other: Work) -> Work:
    currencies = {one.currency, other.currency} - {""}
    return Work(
        rows=one.rows + other.rows,
        sessions=one.sessions + other.sessions,
        characters=one.characters + other.characters,
        seconds=one.seconds + other.seconds,
        cost=one.cost + other.cost,
        currency=currencies.pop() if len(currencies) == 1 else _MIXED * bool(currencies),
    )
