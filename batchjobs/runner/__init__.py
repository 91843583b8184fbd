"""The nursery: a feeder, fixed workers, a recorder, and the signals that stop them."""

from batchjobs.runner.runner import Runner, sweep
from batchjobs.runner.settings import RunEnd, RunSettings

__all__ = ["RunEnd", "RunSettings", "Runner", "sweep"]
