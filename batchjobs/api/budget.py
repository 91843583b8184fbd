"""Limits in money: what may be spent, what was, what the rest would cost."""

import math
from collections.abc import Mapping
from typing import Final

from batchjobs.api.request import Request
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import BudgetReachedError, ConfigurationError
from batchjobs.formatting import money, plural
from batchjobs.jobs import Kind
from batchjobs.limits import Budget, Price
from batchjobs.planning.plan import Plan
from batchjobs.providers import Provider

_PRICES: Final = {Kind.TTS: "tts_price_per_million_characters", Kind.STT: "stt_price_per_hour"}


def check_budget(request: Request, made: Plan, checkpoint: Checkpoint) -> None:
    """Refuse a limit in money that would not hold.

    Raises:
        ConfigurationError: There are prices in several currencies, or one that is not set.
    """
    if request.options.budget is None:
        return
    earlier = {
        request.providers[name].currency
        for name, _, characters, seconds in checkpoint.totals.sum_sent()
        if name in request.providers
        and request.providers[name].cost_of(characters=characters, seconds=seconds)
    }
    currencies = sorted(earlier | made.cost_by_currency.keys())
    if len(currencies) > 1:
        raise ConfigurationError(
            f"--budget cannot add up {' and '.join(currencies)}",
            hint="give --max-characters or --max-audio, or run the providers apart, each with an "
            "--output of its own",
        )
    if made.unpriced:
        settings = [
            f"{' and '.join(_PRICES[kind] for kind in kinds)} below [providers.{name}]"
            for name, kinds in made.unpriced.items()
        ]
        raise ConfigurationError(
            f"--budget cannot count what {' and '.join(made.unpriced)} costs: no price is set",
            hint=f"set {', '.join(settings)} in batchjobs.toml, or give --max-characters or "
            "--max-audio",
        )


def budget_of(request: Request, checkpoint: Checkpoint) -> Budget:
    """Set what may be spent against what was, over all runs in the folder."""
    options = request.options
    return Budget(
        money=math.inf if options.budget is None else options.budget,
        characters=math.inf if options.max_characters is None else options.max_characters,
        audio_seconds=math.inf if options.max_audio_seconds is None else options.max_audio_seconds,
        spent=sum_spent(checkpoint, request.providers),
    )


def sum_spent(checkpoint: Checkpoint, providers: Mapping[str, Provider]) -> Price:
    """Add up what was spent over all runs in a folder.

    Args:
        checkpoint: The run folder's.
        providers: By name, for the prices.
    """
    spent = Price()
    for name, _, characters, seconds in checkpoint.totals.sum_sent():
        provider = providers.get(name)
        cost = 0.0 if provider is None else provider.cost_of(characters=characters, seconds=seconds)
        spent = Price(
            money=spent.money + cost,
            characters=spent.characters + characters,
            audio_seconds=spent.audio_seconds + seconds,
        )
    return spent


def add_what_is_left(
    error: BudgetReachedError, checkpoint: Checkpoint, providers: Mapping[str, Provider]
) -> BudgetReachedError:
    """Say what is left to do and what it would cost."""
    rows, costs = 0, dict[str, float]()
    for name, count, characters, seconds in checkpoint.totals.sum_unsettled():
        rows += count
        provider = providers.get(name)
        if provider is not None:
            cost = provider.cost_of(characters=characters, seconds=seconds)
            costs[provider.currency] = costs.get(provider.currency, 0.0) + cost
    sums = " + ".join(money(cost, code) for code, cost in sorted(costs.items()) if cost)
    left = f"{plural(rows, 'job')} {'is' if rows == 1 else 'are'} left"
    price = f", which would cost about {sums}" if sums else ""
    return BudgetReachedError(f"{error.message}; {left}{price}", hint=error.hint)
