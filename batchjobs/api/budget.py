"""Limits in money: what may be spent, what was, what the rest would cost."""

import math
from collections.abc import Mapping

import msgspec

from batchjobs.accounts import Account
from batchjobs.api.request import Request
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import BudgetReachedError, ConfigurationError
from batchjobs.formatting import money, plural
from batchjobs.jobs import TOO_COSTLY
from batchjobs.limits import LIMIT_OPTIONS, Budget, Price
from batchjobs.options import Options
from batchjobs.planning.plan import Action, Plan
from batchjobs.planning.totals import sum_prices, sum_spent
from batchjobs.providers import PRICES, Provider, sum_costs


def check_budget(request: Request, made: Plan, checkpoint: Checkpoint) -> None:
    """Refuse a limit in money that would not hold.

    Raises:
        ConfigurationError: There are prices in several currencies, or one that is not set.
    """
    if request.options.max_cost_per_row is not None:
        _check_prices("--max-cost-per-row", made)
    for name in made.unpriced:
        for account in request.providers[name].every_account:
            if account.budget is not None:
                _check_prices(f"the budget of {account.shown}", made)
    if request.options.budget is None:
        return
    earlier = sum_costs(checkpoint.totals.sum_sent(), request.providers)
    currencies = sorted(
        {code for code, cost in earlier.items() if cost} | made.cost_by_currency.keys()
    )
    if len(currencies) > 1:
        raise ConfigurationError(
            f"--budget cannot add up {' and '.join(currencies)}",
            hint="give --max-characters or --max-audio, or run the providers apart, each with an "
            "--output of its own",
        )
    _check_prices("--budget", made)


def _check_prices(limit: str, made: Plan) -> None:
    if made.unpriced:
        settings = [
            f"{' and '.join(PRICES[kind] for kind in kinds)} below [providers.{name}]"
            for name, kinds in made.unpriced.items()
        ]
        raise ConfigurationError(
            f"{limit} cannot count what {' and '.join(made.unpriced)} costs: no price is set",
            hint=f"set {', '.join(settings)} in batchjobs.toml, or give --max-characters or "
            "--max-audio",
        )


def advise_on_limits(request: Request, made: Plan) -> tuple[str, ...]:
    """Say where a limit in money has no meaning: where nothing costs any.

    Args:
        request: What was asked for.
        made: What there is to do; none of it is without a price.
    """
    costs = {code for code, cost in made.cost_by_currency.items() if cost}
    if request.options.max_cost_per_row is None or not made.to_buy.rows or costs:
        return ()
    names = " and ".join(made.providers)
    return (f"--max-cost-per-row has no meaning here: {names} costs nothing",)


def find_cost_limit(
    checkpoint: Checkpoint, providers: Mapping[str, Provider], errors: Mapping[str, int]
) -> str:
    """Say what --max-cost-per-row has to be for the rows that cost more; empty if none does.

    Args:
        checkpoint: The run folder's.
        providers: By name.
        errors: Failed rows by class.
    """
    if TOO_COSTLY not in errors:
        return ""
    costs = [
        providers[row.provider].cost_of(characters=row.characters, seconds=row.seconds)
        for row in checkpoint.rows.stream_to_do((Action.DEAR,))
        if row.provider in providers
    ]
    return f"{_round_up(max(costs)):.15g}" if costs else ""


def budget_of(request: Request, checkpoint: Checkpoint) -> Budget:
    """Set what may be spent against what was, over all runs in the folder."""
    money, characters, audio_seconds = request.options.spending_limits
    return Budget(
        money=money,
        characters=characters,
        audio_seconds=audio_seconds,
        spent=sum_spent(checkpoint, request.providers),
    )


def account_budgets_of(request: Request, checkpoint: Checkpoint) -> dict[tuple[str, str], Budget]:
    """Set what may be spent with each account that has a limit against what was, in this folder.

    What was sent before the accounts had names was sent with the provider's one key. What was sent
    under the name of a variable counts for an account with that key also if it has a name by now.

    Returns:
        By provider and account.
    """
    limits = {
        (provider.name, account.shown): (provider, account.budget)
        for provider in request.providers.values()
        for account in provider.every_account
        if account.budget is not None
    }
    spent: dict[tuple[str, str], float] = {}
    for total in checkpoint.totals.sum_accounts() if limits else ():
        if (provider := request.providers.get(total.provider)) is not None:
            cost = provider.cost_of(characters=total.characters, seconds=total.paid_seconds)
            for account in _find_spenders(provider, total.account or provider.key_variable):
                name = (provider.name, account.shown)
                spent[name] = spent.get(name, 0.0) + cost
    return {
        name: Budget(money=limit, spent=Price(money=spent.get(name, 0.0)))
        for name, (_, limit) in limits.items()
    }


def _find_spenders(provider: Provider, name: str) -> list[Account]:
    """Find for whom counts what was sent under a name; rather for too many than for none."""
    accounts = provider.every_account
    named = [account for account in accounts if account.shown == name]
    return named or [account for account in accounts if account.key_variable == name]


def encode_limits(options: Options) -> str:
    """Write a run's limits, by the options that set them, for whoever is to raise them."""
    given = (options.budget, options.max_characters, options.max_audio_seconds)
    limits = {
        flag: limit for flag, limit in zip(LIMIT_OPTIONS, given, strict=True) if limit is not None
    }
    return msgspec.json.encode(limits).decode()


def find_larger_limits(checkpoint: Checkpoint, providers: Mapping[str, Provider]) -> dict[str, str]:
    """Say what the last run's limits have to be for the rest of the work, where they are too low.

    With a twentieth on top, since attempts that fail are paid as well, and rounded up.

    Args:
        checkpoint: The run folder's.
        providers: By name.

    Returns:
        Options and their values, as the command line has them.
    """
    limits = msgspec.json.decode(
        checkpoint.read_settings().get("limits", "{}"), type=dict[str, float]
    )
    totals = checkpoint.totals
    needed = sum_prices([*totals.sum_sent(), *totals.sum_unsettled()], providers)
    needs = (needed.money, needed.characters, needed.audio_seconds)
    return {
        flag: f"{_round_up(1.05 * max(need, limits[flag])):.15g}"
        for flag, need in zip(LIMIT_OPTIONS, needs, strict=True)
        if flag in limits and need > 0.95 * limits[flag]
    }


def _round_up(amount: float) -> float:
    """Round up to two digits that count."""
    if amount <= 0:
        return 1.0
    unit = 10.0 ** (math.floor(math.log10(amount)) - 1)
    return math.ceil(amount / unit - 1e-9) * unit


def add_what_is_left(
    error: BudgetReachedError,
    checkpoint: Checkpoint,
    providers: Mapping[str, Provider],
    larger_limits: Mapping[str, str],
) -> BudgetReachedError:
    """Say what is left to do, what it would cost, and which limits it needs.

    Args:
        error: What was reached.
        checkpoint: The run folder's.
        providers: By name.
        larger_limits: The options that are too low, and what they have to be.
    """
    unsettled = checkpoint.totals.sum_unsettled()
    rows, costs = sum(each.rows for each in unsettled), sum_costs(unsettled, providers)
    sums = " + ".join(money(cost, code) for code, cost in sorted(costs.items()) if cost)
    left = f"{plural(rows, 'job')} {'is' if rows == 1 else 'are'} left"
    price = f", which would cost about {sums}" if sums else ""
    needed = " and ".join(f"{flag} to {value}" for flag, value in larger_limits.items())
    hint = f"raise {needed}: enough for all of them" if needed else error.hint
    return BudgetReachedError(f"{error.message}; {left}{price}", hint=hint)
