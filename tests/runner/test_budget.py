"""A budget is never exceeded at any concurrency, and is no reason to stop while it lasts."""

from pathlib import Path

import pytest

from batchjobs.errors import BudgetReachedError
from batchjobs.limits import Budget, Price, RetryPolicy
from tests.runner.runs import job, jobs, run_rows
from tests.runner.trouble import fails_by_chance, make_trouble

pytestmark = pytest.mark.usefixtures("standing_clock")


@pytest.mark.unmeasured
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("concurrency", [1, 3, 16])
async def test_a_budget_is_never_exceeded_at_any_concurrency(
    tmp_path: Path, concurrency: int, seed: int
) -> None:
    """Whatever fails and is sent again, the ledger never shows more than the budget."""
    texts = ["مرحبا بكم جميعا", "Hello to everybody who is here today", "نعم"]
    rows = [job(f"{n:03}", f"{texts[n % 3]} {n}") for n in range(40)]
    limit = 400
    policy = RetryPolicy(attempts=6, base_seconds=0.001, limit_seconds=0.002)
    result = await run_rows(
        tmp_path,
        rows,
        fails_by_chance(0.3, seed),
        **make_trouble(retries=policy, concurrency=concurrency, budget=Budget(characters=limit)),
    )
    sent = sum(characters for *_, characters in result.attempts)
    assert sent <= limit
    assert sent > limit / 2
    assert isinstance(result.end.error, BudgetReachedError)
    assert result.end.error.exit_code == 80


async def test_a_budget_that_suffices_is_no_reason_to_stop(tmp_path: Path) -> None:
    """What fits exactly is done, also if it takes turns to fit."""
    rows = jobs(8)
    whole = sum(len(row.text) for row in rows)
    result = await run_rows(
        tmp_path, rows, **make_trouble(concurrency=8, budget=Budget(characters=whole))
    )
    assert result.end.error is None
    assert result.statuses == {"done": 8}


class SettledOnlyAfter(Budget):
    """A budget with a mistake: it counts what was spent, and forgets what is promised."""

    def reserve(self, price: Price) -> bool:
        """Look at what is spent only."""
        if self.spent.characters + price.characters > self.limit_characters:
            return False
        return super().reserve(Price())

    def settle(self, reserved: Price, actual: Price) -> None:
        """Count what a session has cost."""
        assert reserved.characters > 0
        super().settle(Price(), actual)

    limit_characters = 400


async def test_a_budget_that_is_settled_only_after_is_caught(tmp_path: Path) -> None:
    """The check of the ledger can fail: with that mistake it shows more than the budget."""
    rows = [job(f"{n:03}", f"Hello to everybody who is here today {n}") for n in range(40)]
    result = await run_rows(
        tmp_path,
        rows,
        **make_trouble(concurrency=16, budget=SettledOnlyAfter(characters=400)),
    )
    assert sum(characters for *_, characters in result.attempts) > SettledOnlyAfter.limit_characters
