"""What a run leaves for people and programs: results.jsonl, failed.jsonl, summary.json."""

import contextlib
import heapq
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
import orjson
from msgspec import UNSET, structs

from batchjobs.checkpoint import (
    CheckedOutcome,
    Checkpoint,
    CheckRecord,
    JobRecord,
    Row,
    describe_check,
)
from batchjobs.errors import NoRunError, UsageError
from batchjobs.files import run_folder
from batchjobs.files.atomic import write_whole
from batchjobs.jobs import BadRow, Job, Kind, Status
from batchjobs.manifest.groups import find_part
from batchjobs.outputs.groups import find_group_transcripts, make_groups
from batchjobs.outputs.summary import RunSummary, summarise
from batchjobs.providers import Provider

NOT_RUN: Final = "not_run"
STATUSES: Final = (*(status.value for status in Status), NOT_RUN)
"""What can be asked for: a row without an answer has the last."""
_BYTES_A_WRITE: Final = 1 << 16
"""Four times as much made the files of a run that goes on take 0.9 MiB more (measured)."""


class _Report(msgspec.Struct, frozen=True):
    """What was written last: the summary, and the size of each file."""

    summary: RunSummary
    bytes: dict[str, int]


def write_results(checkpoint: Checkpoint, summary: RunSummary) -> None:
    """Write the run's three files from the checkpoint, each whole or not at all.

    Args:
        checkpoint: The run folder's.
        summary: Of the run as it ended.

    Raises:
        BatchjobsError: They cannot be created, or the disk failed.
    """
    write_files(checkpoint, summary)
    checkpoint.shelf.show(run_folder.REPORTS)
    report = _Report(summary, _measure_files(checkpoint.folder))
    checkpoint.keep_report(msgspec.json.encode(report).decode())


def write_files(
    checkpoint: Checkpoint, summary: RunSummary, check: Callable[[], None] | None = None
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
    write_whole(folder / run_folder.RESULTS, _join_lines(_done_lines(checkpoint), check))
    write_whole(folder / run_folder.FAILED, _join_lines(_failed_lines(checkpoint), check))
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    write_whole(
        folder / run_folder.SUMMARY, orjson.dumps(msgspec.to_builtins(summary), option=options)
    )


def write_again(checkpoint: Checkpoint, providers: Mapping[str, Provider]) -> None:
    """Write the three files anew after something was changed outside a run.

    Args:
        checkpoint: The run folder's.
        providers: By name, for the prices.

    Raises:
        OutputError: They cannot be created.
        DiskError: The disk failed or is full.
    """
    make_groups(checkpoint)
    last = RunSummary()
    with contextlib.suppress(OSError, msgspec.DecodeError):
        content = (checkpoint.folder / run_folder.SUMMARY).read_bytes()
        last = msgspec.json.decode(content, type=RunSummary)
    summary = summarise(checkpoint, providers)
    code = last.exit_code
    if code in {UNSET, 0, 1}:  # no other says how the jobs ended
        code = int(bool(summary.failed or summary.suspect))
    summary = structs.replace(
        summary,
        exit_code=code,
        finished_at=last.finished_at,
        error=last.error,
        written_at=last.written_at,
    )
    write_results(checkpoint, summary)


def find_last_summary(checkpoint: Checkpoint) -> RunSummary | None:
    """Give what ``summary.json`` says, if the three files are there and nothing happened since."""
    kept = checkpoint.read_report()
    if not kept:
        return None
    report = msgspec.json.decode(kept, type=_Report)
    with contextlib.suppress(OSError):
        if report.bytes == _measure_files(checkpoint.folder):
            return report.summary
    return None


def _measure_files(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_size for name in run_folder.REPORTS}


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
        yield from _done_lines(checkpoint)
        return
    if unknown := set(statuses) - set(STATUSES):
        raise UsageError(
            f"there is no status '{min(unknown)}'", hint=f"there are {', '.join(STATUSES)}"
        )
    groups = find_group_transcripts(checkpoint)
    for outcome in _stream_outcomes(checkpoint):
        status = NOT_RUN if outcome.record is None else outcome.record.status.value
        if status in statuses:
            yield _line_with_status(outcome, status, groups)


def _stream_outcomes(checkpoint: Checkpoint) -> Iterator[CheckedOutcome]:
    """Read every row with what became of it; what a check found is looked up only if there was one."""
    if checkpoint.checks.has_any():
        return checkpoint.checks.stream_outcomes()
    found = checkpoint.rows.stream_outcomes()
    return (CheckedOutcome(row, record, None) for row, record in found)


def _line_with_status(
    outcome: CheckedOutcome, status: str, groups: Mapping[str, str | None]
) -> bytes:
    """Say what became of a row, with its status."""
    row, record, check = outcome
    job = row.read()
    ours: dict[str, object] = {"id": row.id, "line": row.line, "status": status}
    if record is not None and record.status is Status.DONE:
        ours |= _result_of(row, record, job, check) | _group_of(job, groups)
    elif record is not None:
        ours |= _failure_of(row, record)
    return _encode_line(dict(job.row), ours)


def _join_lines(lines: Iterable[bytes], check: Callable[[], None] | None = None) -> Iterator[bytes]:
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


def _done_lines(checkpoint: Checkpoint) -> Iterator[bytes]:
    groups = find_group_transcripts(checkpoint)
    for row, record, check in _stream_outcomes(checkpoint):
        if record is not None and record.status is Status.DONE:
            job = row.read()  # once: of a million rows it is a tenth of the time
            ours = _result_of(row, record, job, check) | _group_of(job, groups)
            yield _encode_line(dict(job.row), ours)


def _failed_lines(checkpoint: Checkpoint) -> Iterator[bytes]:
    found = (checkpoint.rows.stream_records(status) for status in (Status.FAILED, Status.SUSPECT))
    for row, record in heapq.merge(*found, key=lambda outcome: outcome[0].position):
        yield _encode_line(dict(row.read().row), _failure_of(row, record))


def _failure_of(row: Row, record: JobRecord) -> dict[str, object]:
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
        if record.sides:
            kept["sides"] = msgspec.to_builtins(record.sides)
    return failure | {"status": record.status, "cost": record.cost, "kept": kept}


def _result_of(
    row: Row, record: JobRecord, job: Job | BadRow, check: CheckRecord | None
) -> dict[str, object]:
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
        if record.sides:
            result["sides"] = msgspec.to_builtins(record.sides)
    found: dict[str, object] = {} if check is None else {"check": describe_check(check)}
    return (
        result
        | found
        | {
            "attempts": record.attempts,
            "cost": record.cost,
            "copied_from": record.copied_from or None,
            "started_at": round(record.started_at, 3),
            "finished_at": round(record.finished_at, 3),
            "evidence": None if record.evidence is None else msgspec.to_builtins(record.evidence),
        }
    )


def _group_of(job: Job | BadRow, groups: Mapping[str, str | None]) -> dict[str, str | None]:
    """Say where the transcript of a row's group is, if it is a part of one."""
    found = find_part(job.row) if groups else None
    if found is None or not found.part:
        return {}
    return {"group_transcript": groups.get(found.group)}


def _encode_line(columns: dict[str, object], ours: dict[str, object]) -> bytes:
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
