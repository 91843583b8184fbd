"""Bulk text to speech and speech to text from a manifest: bounded, resumable, nothing paid twice.

    import batchjobs

    report = batchjobs.run("talks.csv", batchjobs.Options(provider="munsit", concurrency=8))
    for result in batchjobs.read_results(report.folder):
        print(result["id"], result["output"])

Functions do what the commands do, under the same names: `plan`, `run`, `status`, `verify`, `accept`,
`review`, `check`, `scan`, `bind`, `export`, `prune`, `probe`, `watch`. `health` is ``batchjobs status --health``. `read_results` gives what ``batchjobs results`` prints; `read_book` and
`write_manifest` are ``batchjobs book``, and `write_report` is ``batchjobs report``. `run_async` is `run`
for programs that use trio.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchjobs import errors
    from batchjobs.api.accept import AcceptReport, accept
    from batchjobs.api.check import check
    from batchjobs.api.check_report import CheckReport
    from batchjobs.api.glossary import GlossaryReport, find_terms
    from batchjobs.api.health import health
    from batchjobs.api.page import PageReport, write_report
    from batchjobs.api.probe import ProbeReport, probe
    from batchjobs.api.prune import Pruned, PruneReport, prune
    from batchjobs.api.report import RunReport
    from batchjobs.api.review import ReviewReport, review
    from batchjobs.api.run import plan, run, run_async
    from batchjobs.api.status import RunStatus, status
    from batchjobs.api.verify import VerifyReport, verify
    from batchjobs.api.watch import watch, watch_async
    from batchjobs.api.watching import WatchReport
    from batchjobs.audiobook import BoundBook, bind
    from batchjobs.book import Book, Chapter, read_book, write_manifest
    from batchjobs.checkpoint import CheckRecord, CheckVerdict, JobRecord
    from batchjobs.dataset import ExportReport, export
    from batchjobs.manifest.scan import ScanReport, scan
    from batchjobs.options import Defaults, Options
    from batchjobs.options.audiobook import BindSettings
    from batchjobs.options.dataset import ExportSettings
    from batchjobs.options.health import HealthSettings
    from batchjobs.options.watching import WatchSettings
    from batchjobs.outputs.health import Health
    from batchjobs.outputs.reports import read_results
    from batchjobs.outputs.summary import RunSummary
    from batchjobs.planning.plan import Plan
    from batchjobs.progress import (
        AccountLeft,
        Event,
        JobFinished,
        JobRetried,
        LimitReached,
        RunChanged,
        RunFinished,
        RunPaused,
        RunResumed,
        RunStarted,
        RunStopping,
        SegmentFinished,
        ServiceBack,
        ServiceLost,
        SessionDone,
        SessionLaunched,
        SlowedDown,
    )

    __version__: str
else:
    from batchjobs.api.exports import __dir__, __getattr__  # noqa: F401  # Python looks them up

__all__ = [
    "AcceptReport",
    "AccountLeft",
    "BindSettings",
    "Book",
    "BoundBook",
    "Chapter",
    "CheckRecord",
    "CheckReport",
    "CheckVerdict",
    "Defaults",
    "Event",
    "ExportReport",
    "ExportSettings",
    "GlossaryReport",
    "Health",
    "HealthSettings",
    "JobFinished",
    "JobRecord",
    "JobRetried",
    "LimitReached",
    "Options",
    "PageReport",
    "Plan",
    "ProbeReport",
    "PruneReport",
    "Pruned",
    "ReviewReport",
    "RunChanged",
    "RunFinished",
    "RunPaused",
    "RunReport",
    "RunResumed",
    "RunStarted",
    "RunStatus",
    "RunStopping",
    "RunSummary",
    "ScanReport",
    "SegmentFinished",
    "ServiceBack",
    "ServiceLost",
    "SessionDone",
    "SessionLaunched",
    "SlowedDown",
    "VerifyReport",
    "WatchReport",
    "WatchSettings",
    "__version__",
    "accept",
    "bind",
    "check",
    "errors",
    "export",
    "find_terms",
    "health",
    "plan",
    "probe",
    "prune",
    "read_book",
    "read_results",
    "review",
    "run",
    "run_async",
    "scan",
    "status",
    "verify",
    "watch",
    "watch_async",
    "write_manifest",
    "write_report",
]
