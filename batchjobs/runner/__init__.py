"""The nursery: a feeder, fixed workers, a recorder, and the signals that stop them."""

from batchjobs.runner.runner import Runner
from batchjobs.runner.state import RunEnd, RunState

__all__ = ["RunEnd", "RunState", "Runner"]
