"""How fast to go, when to try again, what may be spent: arithmetic on a passed-in time."""

from batchjobs.limits.breaker import Breaker
from batchjobs.limits.budget import LIMIT_OPTIONS, Budget, Price
from batchjobs.limits.concurrency import ConcurrencyLimit, HandshakeRefusals, LatencyDrift
from batchjobs.limits.quiet import QuietTime
from batchjobs.limits.rate import ConnectionRamp, StartRate
from batchjobs.limits.retries import RetryBudget, RetryPolicy
from batchjobs.limits.settle import SettleTime
from batchjobs.limits.waits import GrowingWait

__all__ = [
    "LIMIT_OPTIONS",
    "Breaker",
    "Budget",
    "ConcurrencyLimit",
    "ConnectionRamp",
    "GrowingWait",
    "HandshakeRefusals",
    "LatencyDrift",
    "Price",
    "QuietTime",
    "RetryBudget",
    "RetryPolicy",
    "SettleTime",
    "StartRate",
]
