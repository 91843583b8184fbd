"""The nursery: a feeder, fixed workers, a recorder, and the signals that stop them."""

from batchjobs.runner.runner import Runner, sweep
from batchjobs.runner.state import RunEnd

__all__ = ["RunEnd", "Runner", "sweep"]
