"""What a run leaves for people and programs: results.jsonl, failed.jsonl, summary.json."""

import contextlib
import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
import orjson

from batchjobs.checkpoint import Checkpoint, JobRecord, Row
from batchjobs.errors import NoRunError, UsageError
from batchjobs.files import run_folder
from batchjobs.files.atomic import write_whole
from batchjobs.jobs import BadRow, Job, Kind, Status
from batchjobs.planning import cost_of, decode_row
from batchjobs.providers import Provider

__all__ = [
    "NOT_RUN",
    "STATUSES",
    "last_summary",
    "read_results",
    "result_lines",
    "summary_of",
    "write_again",
    "write_files",
    "write_results",
]

NOT_RUN: Final = "not_run"
STATUSES: Final = (*(status.value for status in Status), NOT_RUN)
"""What can be asked for: a row without an answer has the last."""
_BYTES_A_WRITE: Final = 1 << 20


def write_results(checkpoint: Checkpoint, summary: Mapping[str, object]) -> None:
    """Write the run's three files from the checkpoint, each whole or not at all.

    Args:
        checkpoint: The run folder's.
        summary: What `summary_of` gave, with whatever the caller adds.

    Raises:
        OutputError: They cannot be created.
        DiskError: The disk failed or is full.
    """
    write_files(checkpoint, summary)
    sizes = {name: (checkpoint.folder / name).stat().st_size for name in run_folder.REPORTS}
    checkpoint.keep_report(orjson.dumps({"summary": dict(summary), "bytes": sizes}).decode())


def write_files(
    checkpoint: Checkpoint, summary: Mapping[str, object], check: Callable[[], None] | None = None
) -> None:
    """Write the three files from a checkpoint that may only have been opened to look.

    Args:
        checkpoint: The run folder's.
        summary: As for `write_results`.
        check: Called between pieces; what it raises leaves the file it was at as it was.

    Raises:
        OutputError: They cannot be created.
        DiskError: The disk failed or is full.
    """
    folder = checkpoint.folder
    write_whole(folder / run_folder.RESULTS, _gathered(_finished(checkpoint), check))
    write_whole(folder / run_folder.FAILED, _gathered(_failed(checkpoint), check))
    content = orjson.dumps(dict(summary), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    write_whole(folder / run_folder.SUMMARY, content)


def write_again(checkpoint: Checkpoint, providers: Mapping[str, Provider]) -> None:
    """Write the three files anew after something was changed outside a run.

    Args:
        checkpoint: The run folder's.
        providers: By name, for the prices.

    Raises:
        OutputError: They cannot be created.
        DiskError: The disk failed or is full.
    """
    summary = summary_of(checkpoint, providers)
    summary["manifest"] = checkpoint.read_settings().get("manifest", "")
    with contextlib.suppress(OSError, orjson.JSONDecodeError):
        last = orjson.loads((checkpoint.folder / run_folder.SUMMARY).read_bytes())
        summary |= {name: value for name, value in last.items() if name not in summary}
    if summary.get("exit_code", 1) in {0, 1}:  # no other says how the jobs ended
        summary["exit_code"] = int(bool(summary["failed"] or summary["suspect"]))
    write_results(checkpoint, summary)


def last_summary(checkpoint: Checkpoint) -> dict[str, object] | None:
    """Give what ``summary.json`` says, if the three files are there and nothing happened since."""
    kept = checkpoint.read_report()
    if not kept:
        return None
    report = orjson.loads(kept)
    try:
        sizes = {name: (checkpoint.folder / name).stat().st_size for name in run_folder.REPORTS}
    except OSError:
        return None
    return report["summary"] if sizes == report["bytes"] else None


def read_results(
    folder: str | Path, statuses: Collection[str] | None = None
) -> Iterator[dict[str, object]]:
    """Read the results of a run from its checkpoint: right at any time, while it goes on too.

    Where there is none any more, they are those of ``results.jsonl``.

    Args:
        folder: The run folder.
        statuses: Which jobs, of `STATUSES`; each then says its ``status``. None means those that
            are done, as they stand in ``results.jsonl``.

    Yields:
        For each job, the row's columns and what came of it.

    Raises:
        UsageError: There is no such status.
        NoRunError: The folder holds no results.
    """
    if (Path(folder) / run_folder.CHECKPOINT).is_file() or statuses is not None:
        with Checkpoint.read(Path(folder)) as checkpoint:
            for line in result_lines(checkpoint, statuses):
                yield orjson.loads(line)
        return
    try:
        with (Path(folder) / run_folder.RESULTS).open("rb") as lines:
            for line in lines:
                yield orjson.loads(line)
    except FileNotFoundError as error:
        raise NoRunError(
            f"there are no results in {folder}", hint="run the manifest first"
        ) from error


def result_lines(
    checkpoint: Checkpoint, statuses: Collection[str] | None = None
) -> Iterator[bytes]:
    """Give the results as lines of JSON, in the manifest's order.

    Args:
        checkpoint: The run folder's.
        statuses: As for `read_results`. What is not done has the form of ``failed.jsonl``.

    Raises:
        UsageError: There is no such status.
    """
    if statuses is None:
        yield from _finished(checkpoint)
        return
    if unknown := set(statuses) - set(STATUSES):
        raise UsageError(
            f"there is no status '{min(unknown)}'", hint=f"there are {', '.join(STATUSES)}"
        )
    for row, record in checkpoint.rows.stream_outcomes():
        status = NOT_RUN if record is None else record.status.value
        if status in statuses:
            yield _told(row, record, status)


def _told(row: Row, record: JobRecord | None, status: str) -> bytes:
    """Say what became of a row, with its status."""
    job = decode_row(row)
    ours: dict[str, object] = {"id": row.id, "line": row.line, "status": status}
    if record is not None and record.status is Status.DONE:
        ours |= _result(row, record, job)
    elif record is not None:
        ours |= _failure(row, record)
    return _line(dict(job.row), ours)


def summary_of(
    checkpoint: Checkpoint, providers: Mapping[str, Provider], *, is_running: bool = False
) -> dict[str, object]:
    """Count what became of the run's rows, and what was spent.

    Args:
        checkpoint: The run folder's.
        providers: By name, for the prices.
        is_running: A run goes on: what its open sessions have sent is not wasted.
    """
    totals = checkpoint.totals.count_rows()
    characters_wasted, seconds_wasted = 0, 0.0
    spent: dict[str, float] = {}
    wasted: dict[str, float] = {}
    for name, was_useful, characters, seconds in checkpoint.totals.sum_sent(is_running=is_running):
        if not was_useful:
            characters_wasted += characters
            seconds_wasted += seconds
        provider = providers.get(name)
        if provider is None:
            continue
        cost = cost_of(provider, characters=characters, seconds=seconds)
        spent[provider.currency] = round(spent.get(provider.currency, 0.0) + cost, 6)
        if not was_useful:
            wasted[provider.currency] = round(wasted.get(provider.currency, 0.0) + cost, 6)
    return {
        "rows": totals.rows,
        "done": totals.done,
        "suspect": totals.suspect,
        "failed": totals.failed,
        "not_run": totals.not_run,
        "no_speech": totals.no_speech,
        "errors": dict(totals.errors),
        "doubts": dict(totals.doubts),
        "failed_passing": totals.failed_passing,
        "suspect_passing": totals.suspect_passing,
        "audio_seconds": round(totals.audio_seconds_done, 3),
        "attempts": totals.attempts,
        "attempts_open": totals.attempts_open,
        "attempts_lost": totals.attempts_lost,
        "characters_sent": totals.characters_sent,
        "audio_seconds_sent": round(totals.audio_seconds_sent, 3),
        "spent": spent,
        "wasted": wasted,
        "characters_wasted": characters_wasted,
        "audio_seconds_wasted": round(seconds_wasted, 3),
    }


def _gathered(lines: Iterable[bytes], check: Callable[[], None] | None = None) -> Iterator[bytes]:
    """Join lines into larger writes, and call `check` between them."""
    page = bytearray()
    for line in lines:
        page += line
        if len(page) >= _BYTES_A_WRITE:
            yield bytes(page)
            page.clear()
            if check is not None:
                check()
    yield bytes(page)


def _finished(checkpoint: Checkpoint) -> Iterator[bytes]:
    for row, record in checkpoint.rows.stream_outcomes(Status.DONE):
        assert record is not None
        job = decode_row(row)  # once: of a million rows it is a tenth of the time
        yield _line(dict(job.row), _result(row, record, job))


def _failed(checkpoint: Checkpoint) -> Iterator[bytes]:
    found = (checkpoint.rows.stream_outcomes(status) for status in (Status.FAILED, Status.SUSPECT))
    for row, record in heapq.merge(*found, key=lambda outcome: outcome[0].position):
        assert record is not None
        yield _line(dict(decode_row(row).row), _failure(row, record))


def _failure(row: Row, record: JobRecord) -> dict[str, object]:
    """Say what became of a row that has no good result, and what of it is kept."""
    failure: dict[str, object] = {
        "id": row.id,
        "line": row.line,
        "attempts": record.attempts,
        "error": {
            "class": record.error_class,
            "code": record.error_code,
            "message": record.error_message,
        },
    }
    if record.status is not Status.SUSPECT:
        return failure
    kept: dict[str, object] = {
        "output": record.output,
        "files": [file.path for file in record.files],
        "audio_seconds": round(record.audio_seconds, 6),
        "against": [
            {
                "sign": doubt.sign,
                "message": doubt.message,
                "start_seconds": doubt.start_seconds,
                "end_seconds": round(doubt.end_seconds, 6),
            }
            for doubt in record.doubts
        ],
        "for": list(record.support),
        "evidence": None if record.evidence is None else msgspec.to_builtins(record.evidence),
    }
    if record.kind is Kind.STT:
        kept["transcript"] = record.text
    return failure | {"status": record.status, "cost": record.cost, "kept": kept}


def _result(row: Row, record: JobRecord, job: Job | BadRow) -> dict[str, object]:
    result: dict[str, object] = {
        "id": row.id,
        "line": row.line,
        "kind": record.kind,
        "provider": record.provider,
        "output": record.output,
        "files": [file.path for file in record.files],
        "audio_seconds": round(record.audio_seconds, 6),
    }
    if record.kind is Kind.TTS:
        result |= {
            "sample_rate": record.sample_rate,
            "frames": record.frames,
            "pcm_sha256": record.pcm_sha256,
        }
        assert isinstance(job, Job)  # no bad row is ever done
        result["text"] = job.text
    else:
        result |= {"transcript": record.text, "no_speech": not record.text.strip()}
    return result | {
        "attempts": record.attempts,
        "cost": record.cost,
        "copied_from": record.copied_from or None,
        "started_at": round(record.started_at, 3),
        "finished_at": round(record.finished_at, 3),
        "evidence": None if record.evidence is None else msgspec.to_builtins(record.evidence),
    }


def _line(columns: dict[str, object], ours: dict[str, object]) -> bytes:
    """Join a row's columns and our facts; a column that our names hide goes below ``row``."""
    hidden = {
        name: value
        for name, value in columns.items()
        if name in ours and value not in (None, "") and value != ours[name]
    }
    joined = columns | ours
    if hidden:
        joined["row"] = hidden | ({"row": columns["row"]} if "row" in columns else {})
    return orjson.dumps(joined, option=orjson.OPT_APPEND_NEWLINE)
