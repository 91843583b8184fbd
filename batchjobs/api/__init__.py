"""The same as the command line, for Python."""

from batchjobs.api.accept import AcceptReport, accept
from batchjobs.api.probe import ProbeReport, probe
from batchjobs.api.report import RunReport
from batchjobs.api.run import plan, run, run_async
from batchjobs.api.status import RunStatus, status
from batchjobs.api.verify import VerifyReport, verify
from batchjobs.options import Options

__all__ = [
    "AcceptReport",
    "Options",
    "ProbeReport",
    "RunReport",
    "RunStatus",
    "VerifyReport",
    "accept",
    "plan",
    "probe",
    "run",
    "run_async",
    "status",
    "verify",
]
