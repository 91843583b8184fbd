"""The nursery: a feeder, fixed workers, a recorder, and the signals that stop them."""

from batchjobs.runner.runner import RunEnd, Runner, sweep

__all__ = ["RunEnd", "Runner", "sweep"]
