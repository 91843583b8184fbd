"""Results in doubt are bought better, copied, found again after edits, and never written over."""

import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

import batchjobs
from batchjobs.checkpoint import Checkpoint, JobRecord
from batchjobs.errors import BatchjobsError
from batchjobs.files.run_folder import CHECKPOINT
from batchjobs.jobs import Doubt, Sign, Status
from batchjobs.outputs import reuse
from batchjobs.outputs.writing import Written
from batchjobs.progress import Event, JobFinished, JobRetried
from tests.clocks import PATIENCE_SECONDS
from tests.runner.runs import RETRIES, TEXT, job, jobs, run_rows, speech_for
from tests.streams import Peer
from tests.suspects import AGAIN, kept_files, ledger_of, shares


async def test_retry_failed_buys_again_and_keeps_the_better(tmp_path: Path) -> None:
    """A worse one changes nothing, a better one is kept, a whole one is the result."""
    await run_rows(tmp_path, jobs(2), shares({"001": [0.2, 0.2]}))
    whole = speech_for(f"{TEXT} 001")
    for script, status, share, files in (
        ([0.1, 0.2], "suspect", 0.2, ["001.wav"]),
        ([0.25, 0.25], "suspect", 0.25, ["001~2.wav"]),
        ([], "done", 1.0, []),
    ):
        run = await run_rows(tmp_path, jobs(2), shares({"001": script}), plan_options=AGAIN)
        record = run.records["001"]
        assert record.status == status
        assert record.frames == int(len(whole) * share) // 2
        assert kept_files(tmp_path) == files
    assert (tmp_path / "audio/001.wav").exists()
    assert not (tmp_path / "suspect").exists()
    assert "kept" not in ledger_of(tmp_path)


async def test_a_run_that_ends_between_two_attempts_goes_on_with_what_is_left(
    tmp_path: Path,
) -> None:
    """Its first result is on the disk by then; the next run has one attempt less, and all its cost."""

    def stop(runner: Any) -> Callable[[Any], None]:
        def told(event: Any) -> None:
            if isinstance(event, JobRetried):
                runner[0].stop(BatchjobsError("enough"))

        return told

    held: list[Any] = []

    async def during(runner: Any) -> None:
        held.append(runner)
        await trio.lowlevel.checkpoint()

    two = replace(RETRIES, attempts=3)
    run = await run_rows(
        tmp_path,
        jobs(2),
        shares({"001": [0.1]}),
        during=during,
        observe=stop(held),
        retries=two,
    )
    record = run.records["001"]
    assert (record.status, record.is_passing, record.attempts) == (Status.SUSPECT, True, 1)
    assert kept_files(tmp_path) == ["001.wav"]
    run = await run_rows(tmp_path, jobs(2), shares({"001": [0.2, 0.15]}), retries=two)
    record = run.records["001"]
    assert (record.status, record.is_passing, record.attempts) == (Status.SUSPECT, False, 3)
    assert len(run.service.streams) == 2
    assert record.cost == 3 * len(job("001").text)


async def test_followers_of_a_suspect_job_have_its_audio_in_doubt_too(tmp_path: Path) -> None:
    """Bought once, in doubt for all; accepting one lets the next run copy it to the others."""
    rows = [job("a", "same words here in both"), job("b", "same words here in both")]
    run = await run_rows(tmp_path, rows, shares({"both": [0.1, 0.1]}))
    assert run.statuses == {"suspect": 2}
    assert len(run.service.streams) == 2
    assert run.records["b"].copied_from == "a"
    assert kept_files(tmp_path) == ["a.wav", "b.wav"]
    assert batchjobs.accept(tmp_path, ["a"]).accepted == ("a",)
    run = await run_rows(tmp_path, rows)
    assert not run.service.streams
    assert run.statuses == {"done": 2}
    assert not (tmp_path / "suspect").exists()


async def test_an_edit_undone_finds_what_was_kept(tmp_path: Path) -> None:
    """What another text of the row has come to takes nothing away, in doubt, failed or done."""
    first = [job("a", "first text of this row")]
    await run_rows(tmp_path, first, shares({"row": [0.1, 0.1]}))
    kept = (tmp_path / "suspect/a.wav").read_bytes()
    await run_rows(tmp_path, [job("a", "another text of this row")], shares({"row": [0.1, 0.1]}))
    assert kept_files(tmp_path) == ["a.wav", "a~2.wav"]
    refused = [job("a", "a third text of this row")]

    async def refuses(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send({"type": "error", "errorCode": 40001, "errorMessage": "no"})

    run = await run_rows(tmp_path, refused, refuses)
    assert run.statuses == {"failed": 1}
    run = await run_rows(tmp_path, first)
    assert not run.service.streams
    assert run.statuses == {"suspect": 1}
    assert (tmp_path / run.records["a"].output).read_bytes() == kept
    assert (run.records["a"].copied_from, run.records["a"].attempts) == ("", 2)


async def test_ids_that_look_like_second_places_are_left_alone(tmp_path: Path) -> None:
    """Sections are numbered so: what is kept of 1.2 is not in the way of what is kept of 1."""
    rows = [job("1", f"{TEXT} one"), job("1.2", f"{TEXT} again two")]
    await run_rows(tmp_path, rows, shares({"one": [0.1, 0.1], "two": [0.1, 0.1]}))
    assert kept_files(tmp_path) == ["1.2.wav", "1.wav"]
    other = (tmp_path / "suspect/1.2.wav").read_bytes()
    again = shares({"one": [0.12, 0.12], "two": [0.05] * 3})
    run = await run_rows(tmp_path, rows, again, plan_options=AGAIN)
    assert run.statuses == {"suspect": 2}
    assert kept_files(tmp_path) == ["1.2.wav", "1~2.wav"]
    assert (tmp_path / "suspect/1.2.wav").read_bytes() == other


async def test_what_was_kept_and_is_gone_is_bought_again(tmp_path: Path) -> None:
    """Nothing is believed to be kept that is not there: the next run keeps what comes."""
    await run_rows(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    (tmp_path / "suspect/001.wav").unlink()
    run = await run_rows(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    assert len(run.service.streams) == 2
    assert run.statuses == {"done": 1, "suspect": 1}
    assert batchjobs.accept(tmp_path, ["001"]).accepted == ("001",)


async def test_verify_looks_at_what_is_kept_too(tmp_path: Path) -> None:
    """And what it finds changed is bought again."""
    await run_rows(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    path = tmp_path / "suspect/001.wav"
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    assert batchjobs.verify(tmp_path) == batchjobs.VerifyReport(
        checked=2, wrong=("001: suspect/001.wav: its content has changed",)
    )
    run = await run_rows(tmp_path, jobs(2))
    assert run.statuses == {"done": 2}
    assert len(run.service.streams) == 1


async def test_a_settled_doubt_leads_rows_that_come_later(tmp_path: Path) -> None:
    """They ask the same, and have it in doubt too; nothing is bought for them."""
    rows = [job("a", "same words here in both"), job("b", "same words here in both")]
    await run_rows(tmp_path, rows[:1], shares({"both": [0.1, 0.1]}))
    run = await run_rows(tmp_path, rows)
    assert not run.service.streams
    assert run.statuses == {"suspect": 2}


async def test_a_row_that_has_as_good_a_result_in_doubt_keeps_its_own(tmp_path: Path) -> None:
    """What an equal row was bought meanwhile is no better: its own stays, with what it cost."""
    b, a = job("b", "same words here in both"), job("a", "same words here in both")
    await run_rows(tmp_path, [b], shares({"both": [0.1, 0.1]}))
    before = (tmp_path / "suspect/b.wav").read_bytes()
    run = await run_rows(tmp_path, [a, b], shares({"both": [0.05, 0.05]}), plan_options=AGAIN)
    assert run.statuses == {"suspect": 2}
    record = run.records["b"]
    assert (record.copied_from, record.attempts) == ("", 2)
    assert "failed" not in record.error_message
    assert (tmp_path / record.output).read_bytes() == before


async def test_those_who_wait_for_a_copy_follow_into_doubt(tmp_path: Path) -> None:
    """The original is damaged, and what is bought in its place is in doubt: for all, bought once."""
    rows = [job(name, "same words here in both") for name in "abcd"]
    await run_rows(tmp_path, rows[:1])
    path = tmp_path / "audio/a.wav"
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    run = await run_rows(tmp_path, rows[1:], shares({"both": [0.1, 0.1]}))
    assert len(run.service.streams) == 2
    assert run.statuses == {"suspect": 3}


@pytest.mark.parametrize(
    ("steps", "bought", "statuses"), [([0.1, 0.1], 2, {"suspect": 3}), ([], 1, {"done": 3})]
)
async def test_who_looks_at_the_original_for_long_finds_what_was_bought_meanwhile(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    steps: list[float],
    bought: int,
    statuses: dict[str, int],
) -> None:
    """A slow disk is reading the damaged file as the others have bought and copied: it is not bought again."""
    rows = [job(name, "same words here in both") for name in "abcd"]
    await run_rows(tmp_path, rows[:1])
    path = tmp_path / "audio/a.wav"
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    copy_result, ended = reuse.copy_result, Counter[str]()
    others_are_done = threading.Event()

    def copy_slowly(folder: Path, output: str, donor: JobRecord, *, place: Path) -> Written | None:
        copied = copy_result(folder, output, donor, place=place)
        if output == "audio/d.wav" and copied is None:
            assert others_are_done.wait(PATIENCE_SECONDS)
        return copied

    def count(event: Event) -> None:
        if isinstance(event, JobFinished):
            ended[event.record.id] += 1
            if ended["b"] and ended["c"]:
                others_are_done.set()

    monkeypatch.setattr(reuse, "copy_result", copy_slowly)
    run = await run_rows(tmp_path, rows[1:], shares({"both": steps}), observe=count)
    assert len(run.service.streams) == bought
    assert run.statuses == statuses


async def test_a_run_with_fewer_attempts_settles_what_is_kept(tmp_path: Path) -> None:
    """It says what speaks against it, and of no process that died."""
    await run_rows(tmp_path, jobs(1), shares({"000": [0.1]}))
    one = replace(RETRIES, attempts=1)
    with Checkpoint.open(tmp_path) as checkpoint:
        kept = replace(
            checkpoint.lookups.find(["000"])["000"],
            status=Status.SUSPECT,
            is_passing=True,
            doubts=(Doubt(sign=Sign.SHORT, message="too short"),),
            error_message="too short",
        )
        checkpoint.commit(records=[kept])
    run = await run_rows(tmp_path, jobs(1), retries=one)
    assert not run.service.streams
    assert (run.statuses, run.records["000"].error_message) == ({"suspect": 1}, "too short")


async def test_a_copy_in_doubt_does_not_write_over_what_is_kept(tmp_path: Path) -> None:
    """A row that follows another has its own file, until the new one is committed."""
    rows = [job("a", "same words here in both"), job("b", "same words here in both")]
    await run_rows(tmp_path, rows, shares({"both": [0.1, 0.1]}))
    assert kept_files(tmp_path) == ["a.wav", "b.wav"]
    await run_rows(tmp_path, rows, shares({"both": [0.2, 0.2]}), plan_options=AGAIN)
    assert kept_files(tmp_path)[1:] == ["b~2.wav"]


async def test_what_a_kill_has_left_in_the_folder_is_swept(tmp_path: Path) -> None:
    """A file that no job in doubt has goes with the next run, if it was ours; others stay."""
    await run_rows(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    with closing(sqlite3.connect(tmp_path / CHECKPOINT)) as database, database:
        database.execute("INSERT INTO own_files VALUES ('suspect/001~2.wav')")
    for name in ("001~2.wav", ".001~2.wav.part", "mine.wav"):
        (tmp_path / "suspect" / name).write_bytes(b"x")
    await run_rows(tmp_path, [*jobs(2), job("more")])
    assert kept_files(tmp_path) == ["001.wav", "mine.wav"]


async def test_what_is_kept_of_two_edits_ago_is_not_written_over(tmp_path: Path) -> None:
    """A third text finds a place of its own, and the first one undone is still there."""
    one, two, three = ([job("a", f"{word} text of this row")] for word in ("first", "next", "last"))
    await run_rows(tmp_path, one, shares({"row": [0.1, 0.1]}))
    await run_rows(tmp_path, two)
    await run_rows(tmp_path, three, shares({"row": [0.1, 0.1]}))
    run = await run_rows(tmp_path, one)
    assert not run.service.streams
    assert run.statuses == {"suspect": 1}


async def test_verify_goes_on_telling_what_is_gone(tmp_path: Path) -> None:
    """Until it is bought again; and what is put back and accepted is done for good."""
    await run_rows(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    path = tmp_path / "suspect/001.wav"
    content = path.read_bytes()
    path.unlink()
    for _ in range(2):
        assert batchjobs.verify(tmp_path) == batchjobs.VerifyReport(
            checked=2, wrong=("001: suspect/001.wav: is missing",)
        )
    path.write_bytes(content)
    assert batchjobs.accept(tmp_path, ["001"]).accepted == ("001",)
    run = await run_rows(tmp_path, jobs(2))
    assert not run.service.streams
    assert run.statuses == {"done": 2}
