"""Bulk text to speech and speech to text from a manifest: bounded, resumable, nothing paid twice.

    import batchjobs

    report = batchjobs.run("talks.csv", batchjobs.Options(provider="munsit", concurrency=8))
    for result in batchjobs.read_results(report.folder):
        print(result["id"], result["output"])

Everything here is what the command line does, with the same words.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchjobs import errors
    from batchjobs.api.accept import AcceptReport, accept
    from batchjobs.api.report import RunReport
    from batchjobs.api.run import plan, run, run_async
    from batchjobs.api.status import status, verify
    from batchjobs.options import Defaults, Options
    from batchjobs.outputs.reports import read_results
    from batchjobs.planning import Plan

    __version__: str

__all__ = [
    "AcceptReport",
    "Defaults",
    "Options",
    "Plan",
    "RunReport",
    "__version__",
    "accept",
    "errors",
    "plan",
    "read_results",
    "run",
    "run_async",
    "status",
    "verify",
]

_HOMES = {
    "AcceptReport": "batchjobs.api.accept",
    "Defaults": "batchjobs.options",
    "Options": "batchjobs.options",
    "Plan": "batchjobs.planning",
    "RunReport": "batchjobs.api.report",
    "accept": "batchjobs.api.accept",
    "plan": "batchjobs.api.run",
    "read_results": "batchjobs.outputs.reports",
    "run": "batchjobs.api.run",
    "run_async": "batchjobs.api.run",
    "status": "batchjobs.api.status",
    "verify": "batchjobs.api.status",
}


def __getattr__(name: str) -> object:
    """Import what is asked for when it is asked for: the help must not wait for trio."""
    if name == "errors":
        return import_module("batchjobs.errors")
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module 'batchjobs' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def _version() -> str:
    """Look up the version of the distribution that is installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("batchjobs")
    except PackageNotFoundError as error:
        raise AttributeError("batchjobs is not installed: only its source is here") from error


def __dir__() -> list[str]:
    """List what can be asked for."""
    return sorted({*globals(), *__all__})
