"""Settings for runs under trouble that lasts."""

import random

from batchjobs.limits import RetryPolicy
from batchjobs.runner import RunSettings
from tests.runner.runs import fails_with, obeys
from tests.streams import Peer

POLICY = RetryPolicy(attempts=2, base_seconds=0.05, limit_seconds=0.1, throttle_seconds=0.05)


def settings(**others: object) -> RunSettings:
    """Four sessions at once, two attempts, little patience, but for what a test says."""
    given: dict[str, object] = {"concurrency": 4, "retries": POLICY, "handles_signals": False}
    return RunSettings(**(given | others))  # type: ignore[arg-type]


def fails_by_chance(share: float, seed: int) -> object:
    """Make a service that answers a share of the sessions with 50001."""
    dice = random.Random(seed)

    async def talk(peer: Peer) -> None:
        if dice.random() < share:
            await fails_with(peer, 50001)
        else:
            await obeys(peer)

    return talk
