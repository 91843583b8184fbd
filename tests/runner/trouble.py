"""Settings for runs under trouble that lasts."""

import random
from typing import Any

from batchjobs.limits import Budget, RetryPolicy
from batchjobs.options import Options
from tests.runner.runs import fails_with, obeys
from tests.streams import Peer, Talk

POLICY = RetryPolicy(attempts=2, base_seconds=0.05, limit_seconds=0.1, throttle_seconds=0.05)


def make_trouble(
    *, concurrency: int = 4, retries: RetryPolicy = POLICY, budget: Budget | None = None
) -> dict[str, Any]:
    """Say how to run: four sessions at once, two attempts, but for what a test says."""
    return {"run_options": Options(concurrency=concurrency), "retries": retries, "budget": budget}


def fails_by_chance(share: float, seed: int) -> Talk:
    """Make a service that answers a share of the sessions with 50001."""
    dice = random.Random(seed)

    async def talk(peer: Peer) -> None:
        if dice.random() < share:
            await fails_with(peer, 50001)
        else:
            await obeys(peer)

    return talk
