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
    from batchjobs.api import (
        AcceptReport,
        Options,
        RunReport,
        accept,
        plan,
        run,
        run_async,
        status,
        verify,
    )
    from batchjobs.manifest import Defaults
    from batchjobs.planning import Plan
    from batchjobs.results import read_results

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
    "AcceptReport": "batchjobs.api",
    "Defaults": "batchjobs.manifest",
    "Options": "batchjobs.api",
    "Plan": "batchjobs.planning",
    "RunReport": "batchjobs.api",
    "accept": "batchjobs.api",
    "plan": "batchjobs.api",
    "read_results": "batchjobs.results",
    "run": "batchjobs.api",
    "run_async": "batchjobs.api",
    "status": "batchjobs.api",
    "verify": "batchjobs.api",
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
