"""The same as the command line, for Python: plan, run, look, verify."""

from batchjobs.api.accept import AcceptReport, accept
from batchjobs.api.report import RunReport
from batchjobs.api.run import plan, run, run_async
from batchjobs.api.status import status, verify
from batchjobs.options import Options

__all__ = [
    "AcceptReport",
    "Options",
    "RunReport",
    "accept",
    "plan",
    "run",
    "run_async",
    "status",
    "verify",
]
