"""A program that uses each name, as its author's mypy sees it: that reads it, and nobody runs it."""

from pathlib import Path
from typing import assert_type

import batchjobs


def watch(event: batchjobs.Event) -> None:
    """Look at each event."""
    match event:
        case batchjobs.RunStarted():
            assert_type(event.to_do, int)
        case batchjobs.JobFinished():
            assert_type(event.record, batchjobs.JobRecord)
        case batchjobs.SegmentFinished():
            assert_type(event.audio_seconds, float)
        case batchjobs.JobRetried():
            assert_type(event.attempt, int)
        case batchjobs.SlowedDown():
            assert_type(event.concurrency, int)
        case batchjobs.ServiceLost() | batchjobs.ServiceBack() | batchjobs.AccountLeft():
            assert_type(event.account, str)
            assert_type(event.provider, str)
        case batchjobs.LimitReached():
            assert_type(event.message, str)
        case batchjobs.SessionLaunched() | batchjobs.SessionDone():
            assert_type(event.number, int)
        case batchjobs.RunPaused():
            assert_type(event.since, float)
        case batchjobs.RunResumed():
            pass
        case batchjobs.RunChanged():
            assert_type(event.message, str)
        case batchjobs.RunStopping():
            assert_type(event.reason, str)
        case batchjobs.RunFinished():
            assert_type(event.totals, batchjobs.RunSummary)


async def run_within_trio(options: batchjobs.Options) -> batchjobs.RunReport:
    """Run in a loop of one's own."""
    return await batchjobs.run_async("talks.csv", options, observe=watch)


async def watch_within_trio(options: batchjobs.Options) -> batchjobs.WatchReport:
    """Watch in a loop of one's own."""
    return await batchjobs.watch_async("inbox", options, observe=watch)


book: batchjobs.Book = batchjobs.read_book("alice.epub")
chapters: tuple[batchjobs.Chapter, ...] = book.chapters
assert_type(batchjobs.write_manifest(book, [1], Path("alice.jsonl")), int)
scanned: batchjobs.ScanReport = batchjobs.scan("archive", "archive.jsonl")
assert_type(scanned.new, int)
probed: batchjobs.ProbeReport = batchjobs.probe("munsit", voice="v")
assert_type(probed.close_drains, bool)
options = batchjobs.Options(speech=batchjobs.Defaults(voice_id="v"))
plan: batchjobs.Plan = batchjobs.plan("talks.csv", options)
rows: list[dict[str, str]] = [{"text": "مرحبا"}]
plan = batchjobs.plan(rows, batchjobs.Options(output="run"))
batchjobs.plan([1])  # type: ignore[list-item]
try:
    report = batchjobs.run("talks.csv", options, observe=watch).raise_for_status()
except batchjobs.errors.JobsFailedError as error:
    assert_type(error.failed, int)
    raise SystemExit(error.exit_code) from error
assert_type(report.summary.errors, dict[str, int])
for result in batchjobs.read_results(report.folder):
    assert_type(result, dict[str, object])
status: batchjobs.RunStatus = batchjobs.status(report.folder)
assert_type((status.done, status.is_running), tuple[int, bool])
well: batchjobs.Health = batchjobs.health(report.folder, batchjobs.HealthSettings(stuck_minutes=60))
assert_type(well.reason, str)
watched: batchjobs.WatchReport = batchjobs.watch(
    "inbox", batchjobs.Options(provider="munsit"), batchjobs.WatchSettings(beside=True)
)
assert_type(watched.rounds, int)
verified: batchjobs.VerifyReport = batchjobs.verify(report.folder)
assert_type(verified.wrong, tuple[str, ...])
accepted: batchjobs.AcceptReport = batchjobs.accept(report.folder, every=True)
assert_type(accepted.accepted, tuple[str, ...])
checked: batchjobs.CheckReport = batchjobs.check(report.folder, options, regenerate=1)
found: list[batchjobs.CheckRecord] = [*checked.bad]
assert_type(found[0].verdict, batchjobs.CheckVerdict)
bound: batchjobs.BoundBook = batchjobs.bind(report.folder, batchjobs.BindSettings(form="mp3"))
assert_type(bound.path, Path)
made: batchjobs.ExportReport = batchjobs.export(
    [report.folder, "other"], batchjobs.ExportSettings(form="parquet"), output="corpus"
)
assert_type(made.rows, int)
pruned: batchjobs.PruneReport = batchjobs.prune(report.folder, remove=lambda found: found.bytes > 1)
first: list[batchjobs.Pruned] = list(pruned.found.values())
assert_type(first[0].files, int)
page: batchjobs.PageReport = batchjobs.write_report(report.folder, most_rows=500)
assert_type((page.path, page.rows, page.shown), tuple[Path, int, int])
terms: batchjobs.GlossaryReport = batchjobs.find_terms(report.folder, "terms.txt")
assert_type([each.term for each in terms.misheard], list[str])
reviewed: batchjobs.ReviewReport = batchjobs.review(report.folder, "review.jsonl")
assert_type(reviewed.rejected, tuple[str, ...])
print(batchjobs.__version__)
print(batchjobs.no_such_name)  # type: ignore[attr-defined]
