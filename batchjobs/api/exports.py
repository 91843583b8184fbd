"""What ``import batchjobs`` offers: each name is imported when it is asked for."""

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Final

__all__ = ["HOMES"]

_NAMES: Final[Mapping[str, str]] = {
    "batchjobs.api.accept": "AcceptReport accept",
    "batchjobs.api.check": "check",
    "batchjobs.api.check_report": "CheckReport",
    "batchjobs.api.glossary": "GlossaryReport find_terms",
    "batchjobs.api.health": "health",
    "batchjobs.api.page": "PageReport write_report",
    "batchjobs.api.probe": "ProbeReport probe",
    "batchjobs.api.prune": "PruneReport Pruned prune",
    "batchjobs.api.report": "RunReport",
    "batchjobs.api.review": "ReviewReport review",
    "batchjobs.api.run": "plan run run_async",
    "batchjobs.api.status": "RunStatus status",
    "batchjobs.api.verify": "VerifyReport verify",
    "batchjobs.api.watch": "watch watch_async",
    "batchjobs.api.watching": "WatchReport",
    "batchjobs.options.health": "HealthSettings",
    "batchjobs.options.watching": "WatchSettings",
    "batchjobs.audiobook": "BoundBook bind",
    "batchjobs.options.audiobook": "BindSettings",
    "batchjobs.book": "Book Chapter read_book write_manifest",
    "batchjobs.checkpoint": "CheckRecord CheckVerdict JobRecord",
    "batchjobs.dataset": "ExportReport export",
    "batchjobs.options.dataset": "ExportSettings",
    "batchjobs.manifest.scan": "ScanReport scan",
    "batchjobs.options": "Defaults Options",
    "batchjobs.outputs.health": "Health",
    "batchjobs.outputs.reports": "read_results",
    "batchjobs.outputs.summary": "RunSummary",
    "batchjobs.planning.plan": "Plan",
    "batchjobs.progress": "AccountLeft Event JobFinished JobRetried LimitReached RunChanged"
    " RunFinished RunPaused RunResumed RunStarted RunStopping SegmentFinished ServiceBack ServiceLost SessionDone SessionLaunched SlowedDown",
}
HOMES: Final = {name: home for home, names in _NAMES.items() for name in names.split()}
"""The module of every name, but for `errors`, which is one, and `__version__`."""


def __getattr__(name: str) -> object:
    """Import a name from its module: ``import batchjobs`` alone must not wait for trio."""
    if name == "errors":
        return import_module("batchjobs.errors")
    if name == "__version__":
        return _find_version()
    if name not in HOMES:
        raise AttributeError(f"module 'batchjobs' has no attribute '{name}'")
    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    """List what can be asked for."""
    package = vars(sys.modules["batchjobs"])
    return sorted({*package, *package["__all__"]})


def _find_version() -> str:
    """Look up the version of the distribution that is installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("batchjobs")
    except PackageNotFoundError as error:
        raise AttributeError("batchjobs is not installed: only its source is here") from error
