"""Results in doubt: kept durably, never under a final name, bought better, or accepted as they are."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import trio

import batchjobs
from batchjobs import api
from batchjobs.checkpoint import FILE_NAME, Checkpoint, Row
from batchjobs.errors import BatchjobsError, NoRunError, OutputError, UsageError
from batchjobs.jobs import Doubt, Job, Kind, Sign, Status
from batchjobs.outputs import suspects
from batchjobs.outputs.reports import summary_of, write_results
from batchjobs.outputs.writing import file_changes
from batchjobs.planning import PlanSettings
from batchjobs.progress import JobFinished, JobRetried
from tests.streams import Peer, audio
from tests.test_runner import QUICK, RATE, SETTINGS, TEXT, job, jobs, ran, speech_for

TOO_SHORT = 0.1
"""Of its natural length: nobody speaks ten times as fast."""
AGAIN = PlanSettings(name="t.csv", skip_bad_rows=True, retry_failed=True)


def shares(script: dict[str, list[float]], *, silent: bool = False) -> Callable[[Peer], Any]:
    """Make a service that gives, for a text that ends so, these shares of its audio; then all."""

    async def talk(peer: Peer) -> None:
        await peer.begin()
        text = await peer.text()
        steps = script.get(text.rsplit(" ", 1)[-1], [])
        share = steps.pop(0) if steps else 1.0
        pcm = speech_for(text)
        pcm = pcm[: int(len(pcm) * share) // 2 * 2]
        await peer.send(audio(bytes(len(pcm)) if silent and share < 1 else pcm, RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    return talk


def results_of(run_folder: Path) -> list[dict[str, Any]]:
    """Report the run as its end does, and read what has failed or is in doubt."""
    with Checkpoint.open(run_folder) as checkpoint:
        write_results(checkpoint, summary_of(checkpoint, {"quick": QUICK}) | {"exit_code": 1})
    lines = (run_folder / "failed.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def ledger_of(run_folder: Path) -> list[str]:
    """Read how the attempts ended."""
    with closing(sqlite3.connect(run_folder / FILE_NAME)) as database:
        return [row[0] for row in database.execute("SELECT result FROM attempts ORDER BY number")]


def kept_files(run_folder: Path) -> list[str]:
    """Name what stands in the folder of results in doubt."""
    return sorted(path.name for path in (run_folder / "suspect").glob("*"))


def contents_of(run_folder: Path) -> dict[Path, bytes]:
    """Read all files below a run folder."""
    return {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()}


# -- the status ---------------------------------------------------------------------------------


async def test_a_job_that_is_suspect_twice_alike_is_kept_and_told(tmp_path: Path) -> None:
    """The second agrees with the first, so no third is bought; its audio is there, not as a result."""
    run = await ran(tmp_path, jobs(4), shares({"002": [TOO_SHORT] * 5}))
    assert run.end.error is None
    assert run.statuses == {"done": 3, "suspect": 1}
    record = run.records["002"]
    assert (record.attempts, record.error_class, record.is_passing) == (2, "suspect", False)
    assert len(run.service.streams) == 5
    assert kept_files(tmp_path) == ["002.wav"]
    assert not (tmp_path / "audio/002.wav").exists()
    pcm, rate = soundfile.read(tmp_path / "suspect/002.wav", dtype="int16")
    whole = speech_for(f"{TEXT} 002")
    assert rate == RATE
    assert pcm.tobytes() == whole[: int(len(whole) * TOO_SHORT) // 2 * 2]
    assert not file_changes(tmp_path, record.files)
    assert record.cost == 2 * len(job("002").text)
    assert ledger_of(tmp_path).count("kept") == 1
    assert ledger_of(tmp_path).count("suspect") == 1
    assert [e.error_class for e in run.of(JobRetried)] == ["suspect"]
    assert [e.record.id for e in run.of(JobFinished) if e.record.status is Status.SUSPECT] == [
        "002"
    ]
    (line,) = results_of(tmp_path)
    assert (line["id"], line["status"], line["error"]["class"]) == ("002", "suspect", "suspect")
    assert line["kept"]["output"] == "suspect/002.wav"
    assert line["kept"]["against"][0]["sign"] == "short"
    assert line["kept"]["against"][0]["end_seconds"] == pytest.approx(record.audio_seconds)
    again = await ran(tmp_path, jobs(4))
    assert not again.service.streams
    assert again.statuses == {"done": 3, "suspect": 1}


async def test_silence_is_kept_too(tmp_path: Path) -> None:
    """Whatever was paid for is there to be looked at."""
    run = await ran(tmp_path, jobs(2), shares({"001": [0.9, 0.9]}, silent=True))
    assert run.records["001"].doubts[0].sign is Sign.SILENT
    assert kept_files(tmp_path) == ["001.wav"]


async def test_what_is_kept_is_no_waste_and_counts_as_its_own(tmp_path: Path) -> None:
    """The summary counts suspects apart, adds up, and tells kept audio from what led to nothing."""
    await ran(tmp_path, jobs(4), shares({"002": [TOO_SHORT] * 2}))
    with Checkpoint.read(tmp_path) as checkpoint:
        summary = summary_of(checkpoint, {"quick": QUICK})
    assert (summary["rows"], summary["done"], summary["suspect"]) == (4, 3, 1)
    assert (summary["failed"], summary["not_run"]) == (0, 0)
    assert summary["doubts"] == {"short": 1}
    assert summary["characters_wasted"] == len(job("002").text)


async def test_of_several_attempts_the_best_is_kept(tmp_path: Path) -> None:
    """Each is judged by how much speaks against it; what is worse replaces nothing."""
    run = await ran(tmp_path, jobs(2), shares({"001": [0.1, 0.2, 0.15]}))
    record = run.records["001"]
    assert (record.status, record.attempts) == (Status.SUSPECT, 3)
    whole = speech_for(f"{TEXT} 001")
    assert record.frames == int(len(whole) * 0.2) // 2
    assert kept_files(tmp_path) == ["001~2.wav"]
    assert ledger_of(tmp_path)[1:] == ["suspect", "kept", "suspect"]


async def test_what_fails_after_it_takes_nothing_away(tmp_path: Path) -> None:
    """A job whose first attempt was suspect and whose others failed is suspect, and says both."""
    steps = iter(["short", "down", "down"])

    async def talk(peer: Peer) -> None:
        await peer.begin()
        text = await peer.text()
        step = next(steps) if text.endswith("001") else "whole"
        if step == "down":
            await peer.send({"type": "error", "errorCode": 50001, "errorMessage": "لا"})
            return
        pcm = speech_for(text)
        await peer.send(audio(pcm[: len(pcm) // 20 * 2] if step == "short" else pcm, RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    run = await ran(tmp_path, jobs(2), talk)
    record = run.records["001"]
    assert (record.status, record.attempts, record.is_passing) == (Status.SUSPECT, 3, False)
    assert "the last attempt failed: transient" in record.error_message
    assert kept_files(tmp_path) == ["001.wav"]


async def test_retry_failed_buys_again_and_keeps_the_better(tmp_path: Path) -> None:
    """A worse one changes nothing, a better one is kept, a whole one is the result."""
    await ran(tmp_path, jobs(2), shares({"001": [0.2, 0.2]}))
    whole = speech_for(f"{TEXT} 001")
    for script, status, share, files in (
        ([0.1, 0.2], "suspect", 0.2, ["001.wav"]),
        ([0.25, 0.25], "suspect", 0.25, ["001~2.wav"]),
        ([], "done", 1.0, []),
    ):
        run = await ran(tmp_path, jobs(2), shares({"001": script}), plan_settings=AGAIN)
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

    two = replace(SETTINGS, retries=replace(SETTINGS.retries, attempts=3))
    run = await ran(
        tmp_path,
        jobs(2),
        shares({"001": [0.1]}),
        during=during,
        observe=stop(held),
        run_settings=two,
    )
    record = run.records["001"]
    assert (record.status, record.is_passing, record.attempts) == (Status.SUSPECT, True, 1)
    assert kept_files(tmp_path) == ["001.wav"]
    run = await ran(tmp_path, jobs(2), shares({"001": [0.2, 0.15]}), run_settings=two)
    record = run.records["001"]
    assert (record.status, record.is_passing, record.attempts) == (Status.SUSPECT, False, 3)
    assert len(run.service.streams) == 2
    assert record.cost == 3 * len(job("001").text)


async def test_followers_of_a_suspect_job_have_its_audio_in_doubt_too(tmp_path: Path) -> None:
    """Bought once, in doubt for all; accepting one lets the next run copy it to the others."""
    rows = [job("a", "same words here in both"), job("b", "same words here in both")]
    run = await ran(tmp_path, rows, shares({"both": [0.1, 0.1]}))
    assert run.statuses == {"suspect": 2}
    assert len(run.service.streams) == 2
    assert run.records["b"].copied_from == "a"
    assert kept_files(tmp_path) == ["a.wav", "b.wav"]
    assert api.accept(tmp_path, ["a"]).accepted == ("a",)
    run = await ran(tmp_path, rows)
    assert not run.service.streams
    assert run.statuses == {"done": 2}
    assert not (tmp_path / "suspect").exists()


async def test_an_edit_undone_finds_what_was_kept(tmp_path: Path) -> None:
    """What another text of the row has come to takes nothing away, in doubt, failed or done."""
    first = [job("a", "first text of this row")]
    await ran(tmp_path, first, shares({"row": [0.1, 0.1]}))
    kept = (tmp_path / "suspect/a.wav").read_bytes()
    await ran(tmp_path, [job("a", "another text of this row")], shares({"row": [0.1, 0.1]}))
    assert kept_files(tmp_path) == ["a.wav", "a~2.wav"]
    refused = [job("a", "a third text of this row")]

    async def refuses(peer: Peer) -> None:
        await peer.begin()
        await peer.text()
        await peer.send({"type": "error", "errorCode": 40001, "errorMessage": "no"})

    run = await ran(tmp_path, refused, refuses)
    assert run.statuses == {"failed": 1}
    run = await ran(tmp_path, first)
    assert not run.service.streams
    assert run.statuses == {"suspect": 1}
    assert (tmp_path / run.records["a"].output).read_bytes() == kept
    assert (run.records["a"].copied_from, run.records["a"].attempts) == ("", 2)


async def test_ids_that_look_like_second_places_are_left_alone(tmp_path: Path) -> None:
    """Sections are numbered so: what is kept of 1.2 is not in the way of what is kept of 1."""
    rows = [job("1", f"{TEXT} one"), job("1.2", f"{TEXT} again two")]
    await ran(tmp_path, rows, shares({"one": [0.1, 0.1], "two": [0.1, 0.1]}))
    assert kept_files(tmp_path) == ["1.2.wav", "1.wav"]
    other = (tmp_path / "suspect/1.2.wav").read_bytes()
    again = shares({"one": [0.12, 0.12], "two": [0.05] * 3})
    run = await ran(tmp_path, rows, again, plan_settings=AGAIN)
    assert run.statuses == {"suspect": 2}
    assert kept_files(tmp_path) == ["1.2.wav", "1~2.wav"]
    assert (tmp_path / "suspect/1.2.wav").read_bytes() == other


async def test_what_was_kept_and_is_gone_is_bought_again(tmp_path: Path) -> None:
    """Nothing is believed to be kept that is not there: the next run keeps what comes."""
    await ran(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    (tmp_path / "suspect/001.wav").unlink()
    run = await ran(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    assert len(run.service.streams) == 2
    assert run.statuses == {"done": 1, "suspect": 1}
    assert api.accept(tmp_path, ["001"]).accepted == ("001",)


async def test_verify_looks_at_what_is_kept_too(tmp_path: Path) -> None:
    """And what it finds changed is bought again."""
    await ran(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    path = tmp_path / "suspect/001.wav"
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    assert api.verify(tmp_path) == (2, ["001: suspect/001.wav: its content has changed"])
    run = await ran(tmp_path, jobs(2))
    assert run.statuses == {"done": 2}
    assert len(run.service.streams) == 1


async def test_a_settled_doubt_leads_rows_that_come_later(tmp_path: Path) -> None:
    """They ask the same, and have it in doubt too; nothing is bought for them."""
    rows = [job("a", "same words here in both"), job("b", "same words here in both")]
    await ran(tmp_path, rows[:1], shares({"both": [0.1, 0.1]}))
    run = await ran(tmp_path, rows)
    assert not run.service.streams
    assert run.statuses == {"suspect": 2}


async def test_a_row_that_has_as_good_a_result_in_doubt_keeps_its_own(tmp_path: Path) -> None:
    """What an equal row was bought meanwhile is no better: its own stays, with what it cost."""
    b, a = job("b", "same words here in both"), job("a", "same words here in both")
    await ran(tmp_path, [b], shares({"both": [0.1, 0.1]}))
    before = (tmp_path / "suspect/b.wav").read_bytes()
    run = await ran(tmp_path, [a, b], shares({"both": [0.05, 0.05]}), plan_settings=AGAIN)
    assert run.statuses == {"suspect": 2}
    record = run.records["b"]
    assert (record.copied_from, record.attempts) == ("", 2)
    assert "failed" not in record.error_message
    assert (tmp_path / record.output).read_bytes() == before


async def test_those_who_wait_for_a_copy_follow_into_doubt(tmp_path: Path) -> None:
    """The original is damaged, and what is bought in its place is in doubt: for all, bought once."""
    rows = [job(name, "same words here in both") for name in "abcd"]
    await ran(tmp_path, rows[:1])
    path = tmp_path / "audio/a.wav"
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    run = await ran(tmp_path, rows[1:], shares({"both": [0.1, 0.1]}))
    assert len(run.service.streams) == 2
    assert run.statuses == {"suspect": 3}


async def test_a_run_with_fewer_attempts_settles_what_is_kept(tmp_path: Path) -> None:
    """It says what speaks against it, and of no process that died."""
    await ran(tmp_path, jobs(1), shares({"000": [0.1]}))
    one = replace(SETTINGS, retries=replace(SETTINGS.retries, attempts=1))
    with Checkpoint.open(tmp_path) as checkpoint:
        kept = replace(
            checkpoint.records(["000"])["000"],
            status=Status.SUSPECT,
            is_passing=True,
            doubts=(Doubt(sign=Sign.SHORT, message="too short"),),
            error_message="too short",
        )
        checkpoint.commit(records=[kept])
    run = await ran(tmp_path, jobs(1), run_settings=one)
    assert not run.service.streams
    assert (run.statuses, run.records["000"].error_message) == ({"suspect": 1}, "too short")


async def test_a_copy_in_doubt_does_not_write_over_what_is_kept(tmp_path: Path) -> None:
    """A row that follows another has its own file, until the new one is committed."""
    rows = [job("a", "same words here in both"), job("b", "same words here in both")]
    await ran(tmp_path, rows, shares({"both": [0.1, 0.1]}))
    assert kept_files(tmp_path) == ["a.wav", "b.wav"]
    await ran(tmp_path, rows, shares({"both": [0.2, 0.2]}), plan_settings=AGAIN)
    assert kept_files(tmp_path)[1:] == ["b~2.wav"]


async def test_what_a_kill_has_left_in_the_folder_is_swept(tmp_path: Path) -> None:
    """A file that no job in doubt has goes with the next run, if it was ours; others stay."""
    await ran(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        database.execute("INSERT INTO own_files VALUES ('suspect/001~2.wav')")
    for name in ("001~2.wav", ".001~2.wav.part", "mine.wav"):
        (tmp_path / "suspect" / name).write_bytes(b"x")
    await ran(tmp_path, [*jobs(2), job("more")])
    assert kept_files(tmp_path) == ["001.wav", "mine.wav"]


async def test_what_is_kept_of_two_edits_ago_is_not_written_over(tmp_path: Path) -> None:
    """A third text finds a place of its own, and the first one undone is still there."""
    one, two, three = ([job("a", f"{word} text of this row")] for word in ("first", "next", "last"))
    await ran(tmp_path, one, shares({"row": [0.1, 0.1]}))
    await ran(tmp_path, two)
    await ran(tmp_path, three, shares({"row": [0.1, 0.1]}))
    run = await ran(tmp_path, one)
    assert not run.service.streams
    assert run.statuses == {"suspect": 1}


async def test_verify_goes_on_telling_what_is_gone(tmp_path: Path) -> None:
    """Until it is bought again; and what is put back and accepted is done for good."""
    await ran(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    path = tmp_path / "suspect/001.wav"
    content = path.read_bytes()
    path.unlink()
    for _ in range(2):
        assert api.verify(tmp_path) == (2, ["001: suspect/001.wav: is missing"])
    path.write_bytes(content)
    assert api.accept(tmp_path, ["001"]).accepted == ("001",)
    run = await ran(tmp_path, jobs(2))
    assert not run.service.streams
    assert run.statuses == {"done": 2}


# -- accepting ----------------------------------------------------------------------------------


async def test_accept_makes_it_done_without_a_purchase(tmp_path: Path) -> None:
    """The very samples that were kept stand under the final name, and no later run buys anything."""
    await ran(tmp_path, jobs(3), shares({"001": [0.1, 0.1], "002": [0.1, 0.1]}))
    kept = (tmp_path / "suspect/001.wav").read_bytes()
    results_of(tmp_path)
    report = api.accept(tmp_path, ["001"])
    assert report == api.AcceptReport(accepted=("001",), suspects=2)
    assert (tmp_path / "audio/001.wav").read_bytes() == kept
    assert kept_files(tmp_path) == ["002.wav"]
    summary = json.loads((tmp_path / "summary.json").read_bytes())
    assert (summary["done"], summary["suspect"], summary["exit_code"]) == (2, 1, 1)
    assert [line["id"] for line in batchjobs.read_results(tmp_path)] == ["000", "001"]
    assert api.accept(tmp_path, every=True).accepted == ("002",)
    summary = json.loads((tmp_path / "summary.json").read_bytes())
    assert (summary["done"], summary["suspect"], summary["exit_code"]) == (3, 0, 0)
    assert (tmp_path / "failed.jsonl").read_bytes() == b""
    assert not (tmp_path / "suspect").exists()
    assert api.verify(tmp_path) == (3, [])
    again = await ran(tmp_path, jobs(3), plan_settings=AGAIN)
    assert not again.service.streams
    assert again.statuses == {"done": 3}
    assert ledger_of(tmp_path).count("done") == 3


async def test_accept_after_one_that_was_killed_writes_what_that_did_not(tmp_path: Path) -> None:
    """Killed between the commit and the report: nothing is suspect any more, and all has to say so."""
    await ran(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    results_of(tmp_path)
    before = contents_of(tmp_path)
    api.accept(tmp_path, ["001"])
    with Checkpoint.open(tmp_path) as checkpoint:
        (record,) = checkpoint.records(["001"]).values()
        checkpoint.commit(records=[record])  # as the killed one left it: with no report
    for name in ("results.jsonl", "summary.json", "failed.jsonl", "suspect/001.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(before[tmp_path / name])
    report = api.accept(tmp_path, ["001"])
    assert (report.accepted, report.done_before) == ((), ("001",))
    assert [line["id"] for line in batchjobs.read_results(tmp_path)] == ["000", "001"]
    assert not (tmp_path / "suspect").exists()
    summary = (tmp_path / "summary.json").stat()
    assert api.accept(tmp_path, every=True) == api.AcceptReport(accepted=())
    assert (tmp_path / "summary.json").stat() == summary


async def test_accept_by_reason_takes_those_with_no_other(tmp_path: Path) -> None:
    """What is also in doubt for another reason waits for an ear of its own."""
    await ran(tmp_path, jobs(3), shares({"001": [0.1, 0.1]}))
    await ran(tmp_path, jobs(3), shares({"002": [0.1, 0.1]}, silent=True))
    both = Doubt(sign=Sign.ABRUPT, message="ends in mid-sound")
    with Checkpoint.open(tmp_path) as checkpoint:
        (record,) = checkpoint.records(["001"]).values()
        checkpoint.commit(records=[replace(record, doubts=(*record.doubts, both))])
    assert api.accept(tmp_path, reasons=["short"]).accepted == ()
    assert api.accept(tmp_path, reasons=["short", "abrupt"]).accepted == ("001",)


@pytest.mark.parametrize(
    ("ids", "shown"),
    [
        (["nobody"], "there is no job 'nobody'"),
        (["001", "nobody"], "there is no job 'nobody'"),
        (["003"], "'003' was not run yet"),
        (["002"], "'002' has failed"),
    ],
)
async def test_accepting_what_cannot_be_changes_nothing(
    ids: list[str], shown: str, tmp_path: Path
) -> None:
    """One wrong id among good ones is told, and none is accepted."""

    async def talk(peer: Peer) -> None:
        await peer.begin()
        text = await peer.text()
        if text.endswith("002"):
            await peer.send({"type": "error", "errorCode": 40001, "errorMessage": "no"})
            return
        pcm = speech_for(text)
        await peer.send(audio(pcm[: len(pcm) // 20 * 2] if text.endswith("001") else pcm, RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    limited = PlanSettings(name="t.csv", limit=3)
    await ran(tmp_path, jobs(4), talk, plan_settings=limited)
    results_of(tmp_path)
    before = contents_of(tmp_path)
    with pytest.raises(UsageError, match=shown):
        api.accept(tmp_path, ids)
    assert before == contents_of(tmp_path)


async def test_accepting_what_is_done_says_so_and_changes_nothing(tmp_path: Path) -> None:
    """Nothing is wrong with it."""
    await ran(tmp_path, jobs(2))
    report = api.accept(tmp_path, ["001"])
    assert report == api.AcceptReport(accepted=(), done_before=("001",))
    assert api.accept(tmp_path, every=True) == api.AcceptReport(accepted=())


def test_accepting_needs_a_run_and_to_be_told_what(tmp_path: Path) -> None:
    """A folder without a run is not made one; nothing is accepted by accident."""
    with pytest.raises(NoRunError):
        api.accept(tmp_path / "none", every=True)
    assert not (tmp_path / "none").exists()
    for wrong in ({}, {"ids": ["a"], "every": True}, {"every": True, "reasons": ["short"]}):
        with pytest.raises(UsageError, match=r"said.* what to accept"):
            api.accept(tmp_path, **wrong)
    with pytest.raises(UsageError, match="no reason 'loud'"):
        api.accept(tmp_path, reasons=["loud"])


async def test_what_was_kept_and_is_damaged_is_not_accepted(tmp_path: Path) -> None:
    """A byte that changed makes it another's audio: it stays suspect, and is bought again."""
    await ran(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    path = tmp_path / "suspect/001.wav"
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    report = api.accept(tmp_path, every=True)
    assert (report.accepted, report.damaged) == ((), ("001",))
    assert not (tmp_path / "audio/001.wav").exists()


async def test_a_row_that_wants_another_format_by_now_gets_it(tmp_path: Path) -> None:
    """What is kept holds the samples exactly, and becomes what the manifest asks for."""
    await ran(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    kept, _ = soundfile.read(tmp_path / "suspect/001.wav", dtype="int16")
    flac = PlanSettings(name="t.csv", audio_format="flac")
    await ran(tmp_path, jobs(2), plan_settings=flac)
    assert api.accept(tmp_path, every=True).accepted == ("001",)
    pcm, _ = soundfile.read(tmp_path / "audio/001.flac", dtype="int16")
    assert pcm.tobytes() == kept.tobytes()


async def test_a_file_that_is_somebody_elses_is_not_overwritten(tmp_path: Path) -> None:
    """A row has another place by now, and a file that no run wrote stands there: it stays."""
    await ran(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    await ran(tmp_path, jobs(2), plan_settings=PlanSettings(name="t.csv", audio_format="flac"))
    mine = tmp_path / "audio/001.flac"
    mine.write_bytes(b"mine")
    with pytest.raises(OutputError, match="not this run's"):
        api.accept(tmp_path, every=True)
    assert mine.read_bytes() == b"mine"
    assert kept_files(tmp_path) == ["001.wav"]


async def test_what_a_killed_accept_leaves_is_known_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended between the rename and the commit, it may be done again, and so may the row."""

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    await ran(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    await ran(tmp_path, jobs(2), plan_settings=PlanSettings(name="t.csv", audio_format="flac"))
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "accept", dies)
        with pytest.raises(KeyboardInterrupt):
            api.accept(tmp_path, every=True)
    assert (tmp_path / "audio/001.flac").exists()
    assert kept_files(tmp_path) == ["001.wav"]
    assert api.accept(tmp_path, every=True).accepted == ("001",)


async def test_what_cannot_become_the_format_asked_for_is_no_damage(tmp_path: Path) -> None:
    """Samples that an Ogg file lost do not come back: it says so, and a new one takes its place."""
    script = {"001": [0.1, 0.1, 0.1, 0.1]}
    ogg, flac = (PlanSettings(name="t.csv", audio_format=name) for name in ("ogg", "flac"))
    await ran(tmp_path, jobs(2), shares(script), plan_settings=ogg)
    await ran(tmp_path, jobs(2), plan_settings=flac)
    report = api.accept(tmp_path, every=True)
    assert (report.accepted, report.damaged, report.other_format) == ((), (), ("001",))
    assert kept_files(tmp_path) == ["001.ogg"]
    again = replace(flac, retry_failed=True)
    run = await ran(tmp_path, jobs(2), shares(script), plan_settings=again)
    assert run.statuses == {"done": 1, "suspect": 1}
    assert kept_files(tmp_path) == ["001.flac"]
    assert api.accept(tmp_path, every=True).accepted == ("001",)


# -- long jobs ----------------------------------------------------------------------------------

SENTENCES = [
    "وصل القطار إلى المحطة في الصباح الباكر وكان المسافرون ينتظرون على الرصيف رقم ٣.",
    "The second sentence of this text is spoken by a session of its own, as all of them are.",
    "ثم عاد الجميع إلى بيوتهم قبل غروب الشمس بقليل، ولم يبق في المحطة إلا حارسها القديم.",
]
BY_SENTENCE = replace(QUICK, text_limit_characters=100)


def sentence_shares(script: dict[int, list[float]]) -> Callable[[Peer], Any]:
    """Make a service that gives these shares of the audio of sentences by number; then all."""

    async def talk(peer: Peer) -> None:
        await peer.begin()
        text = await peer.text()
        number = next((n for n, each in enumerate(SENTENCES) if text.strip() == each), None)
        steps = script.get(-1 if number is None else number, [])
        share = steps.pop(0) if steps else 1.0
        pcm = speech_for(text)
        await peer.send(audio(pcm[: int(len(pcm) * share) // 2 * 2], RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    return talk


async def test_a_long_job_with_a_segment_in_doubt_is_suspect_as_a_whole(tmp_path: Path) -> None:
    """All that there is is put together and kept, with the place in time of what is doubtful."""
    rows = [job("book", "\n\n".join(SENTENCES))]
    run = await ran(tmp_path, rows, sentence_shares({1: [0.1, 0.1]}), provider=BY_SENTENCE)
    assert run.statuses == {"suspect": 1}
    record = run.records["book"]
    assert len(run.service.streams) == 4
    assert (record.segments, record.attempts) == (3, 4)
    assert kept_files(tmp_path) == ["book.wav"]
    (doubt,) = record.doubts
    first = len(speech_for(SENTENCES[0] + "\n\n")) / 2 / RATE
    assert doubt.start_seconds == pytest.approx(first + 0.4, abs=0.001)
    assert doubt.end_seconds - doubt.start_seconds == pytest.approx(
        0.1 * len(speech_for(SENTENCES[1] + "\n\n")) / 2 / RATE, abs=0.001
    )
    assert "0:00:0" in record.error_message
    again = await ran(tmp_path, rows, provider=BY_SENTENCE)
    assert not again.service.streams
    settings = replace(SETTINGS, rebuys_doubted=True)
    again = await ran(
        tmp_path,
        rows,
        sentence_shares({}),
        provider=BY_SENTENCE,
        plan_settings=AGAIN,
        run_settings=settings,
    )
    assert len(again.service.streams) == 1
    assert again.statuses == {"done": 1}
    assert not (tmp_path / "suspect").exists()
    assert not (tmp_path / "segments").exists()
    pauses = 2 * round(0.4 * RATE)
    frames = sum(len(speech_for(s + "\n\n")) // 2 for s in SENTENCES[:2])
    frames += len(speech_for(SENTENCES[2])) // 2
    assert again.records["book"].frames == frames + pauses


async def test_an_accepted_long_job_is_edited_like_any_other(tmp_path: Path) -> None:
    """Its segments are found in its file, the one in doubt too: an edit buys what it changes."""
    rows = [job("book", "\n\n".join(SENTENCES))]
    await ran(tmp_path, rows, sentence_shares({1: [0.1, 0.1]}), provider=BY_SENTENCE)
    assert api.accept(tmp_path, ["book"]).accepted == ("book",)
    assert not (tmp_path / "suspect").exists()
    edited = [job("book", "\n\n".join([*SENTENCES[:2], "جملة أخرى تماما في آخر هذا النص القصير."]))]
    run = await ran(tmp_path, edited, provider=BY_SENTENCE)
    assert len(run.service.streams) == 1
    assert run.statuses == {"done": 1}
    third = run.records["book"]
    assert not third.doubts


async def test_what_is_kept_of_a_long_job_stays_its_home_in_an_exact_format(tmp_path: Path) -> None:
    """A row that wants MP3 by now holds no samples: the segments stay where they are exactly."""
    rows = [job("book", "\n\n".join(SENTENCES))]
    await ran(tmp_path, rows, sentence_shares({1: [0.1, 0.1]}), provider=BY_SENTENCE)
    mp3 = replace(AGAIN, audio_format="mp3")
    settings = replace(SETTINGS, rebuys_doubted=True)
    run = await ran(tmp_path, rows, provider=BY_SENTENCE, plan_settings=mp3, run_settings=settings)
    assert (len(run.service.streams), run.statuses) == (1, {"done": 1})
    edited = [job("book", "\n\n".join([*SENTENCES[:2], "جملة أخرى تماما في آخر هذا النص القصير."]))]
    run = await ran(tmp_path, edited, provider=BY_SENTENCE, plan_settings=replace(mp3))
    assert len(run.service.streams) == 1


async def test_a_good_segment_goes_before_one_in_doubt(tmp_path: Path) -> None:
    """Wherever they are: what was bought better for one book is not in doubt in its next edition."""
    first = job("zz", "\n\n".join(SENTENCES[:2]), output="zz/b1.wav")
    second = job("b2", "\n\n".join([SENTENCES[1], SENTENCES[2]]), output="audio/b2.wav")
    await ran(tmp_path, [first, second], sentence_shares({1: [0.1] * 4}), provider=BY_SENTENCE)
    settings = replace(SETTINGS, rebuys_doubted=True)
    run = await ran(
        tmp_path, [first], provider=BY_SENTENCE, plan_settings=AGAIN, run_settings=settings
    )
    assert run.records["zz"].status is Status.DONE
    edited = replace(first, text="\n\n".join([SENTENCES[2], SENTENCES[1]]))
    run = await ran(tmp_path, [edited], provider=BY_SENTENCE)
    assert run.records["zz"].status is Status.DONE


async def test_an_edit_elsewhere_leaves_a_segment_in_doubt(tmp_path: Path) -> None:
    """Nothing was accepted: it is not bought again by the way, and the job stays suspect."""
    rows = [job("book", "\n\n".join(SENTENCES))]
    await ran(tmp_path, rows, sentence_shares({1: [0.1, 0.1]}), provider=BY_SENTENCE)
    edited = [job("book", "\n\n".join([*SENTENCES[:2], "جملة أخرى تماما في آخر هذا النص القصير."]))]
    run = await ran(tmp_path, edited, provider=BY_SENTENCE)
    assert len(run.service.streams) == 1
    assert run.statuses == {"suspect": 1}
    assert len(kept_files(tmp_path)) == 1


# -- transcripts --------------------------------------------------------------------------------


def words(seconds: float) -> bytes:
    """Make sound that can be speech, at 16 kHz: syllables of changing pitch with gaps."""
    times = np.arange(round(seconds * 16_000)) / 16_000
    pitch = 200 + 1_800 * (np.floor(times * 4) % 5) / 4
    wave = np.sin(2 * np.pi * np.cumsum(pitch) / 16_000) * (np.sin(2 * np.pi * 4 * times) > -0.5)
    return (wave * 8_000).astype("<i2").tobytes()


async def test_a_recording_of_sound_without_words_is_kept_in_doubt(tmp_path: Path) -> None:
    """Tried again, then kept: its empty transcript stands in no result, and its place is named."""
    source = tmp_path / "in.wav"
    soundfile.write(source, np.frombuffer(words(4.0), dtype=np.int16), 16_000)

    async def hears_nothing(peer: Peer) -> None:
        while True:
            await peer.get()
            await peer.send({"event": "transcription", "data": " "})

    listen = Job(id="t", line=2, kind=Kind.STT, provider="quick", audio=str(source))
    run = await ran(tmp_path / "o", [listen], hears_nothing)
    record = run.records["t"]
    assert record.status is Status.SUSPECT
    assert record.doubts[0].sign is Sign.UNHEARD
    assert 0.0 <= record.doubts[0].start_seconds < record.doubts[0].end_seconds <= 4.01
    assert len(run.service.streams) == 2
    assert kept_files(tmp_path / "o") == ["t.json", "t.srt", "t.txt", "t.vtt"]
    assert not (tmp_path / "o/transcripts").exists()
    assert api.accept(tmp_path / "o", every=True).accepted == ("t",)
    assert (tmp_path / "o/transcripts/t.txt").read_bytes() == b""
    with Checkpoint.read(tmp_path / "o") as checkpoint:
        assert checkpoint.totals().no_speech == 1


async def test_a_stretch_without_words_makes_a_long_recording_suspect(tmp_path: Path) -> None:
    """The other stretches are there; the one that is missing is named with its place in time."""
    source = tmp_path / "in.wav"
    silence = bytes(2 * 16_000 * 6)
    pcm = words(8.0) + silence + words(8.0) + silence + words(8.0)
    soundfile.write(source, np.frombuffer(pcm, dtype=np.int16), 16_000)
    provider = replace(QUICK, audio_limit_seconds=12.0, audio_target_seconds=8.0)
    sessions: list[Peer] = []

    async def hears(peer: Peer) -> None:
        sessions.append(peer)
        heard = "" if len(sessions) == 1 else "كلمات كثيرة جدا هنا"
        while True:
            await peer.get()
            await peer.send({"event": "transcription", "data": heard})

    listen = Job(id="t", line=2, kind=Kind.STT, provider="quick", audio=str(source))
    run_settings = replace(SETTINGS, retries=replace(SETTINGS.retries, attempts=1))
    run = await ran(tmp_path / "o", [listen], hears, provider=provider, run_settings=run_settings)
    record = run.records["t"]
    assert record.status is Status.SUSPECT
    assert len(sessions) == 3
    (doubt,) = record.doubts
    assert doubt.sign is Sign.UNHEARD
    assert 7.0 < doubt.end_seconds - doubt.start_seconds < 9.5
    assert "كلمات" in record.text
    again = replace(run_settings, rebuys_doubted=True)
    run = await ran(
        tmp_path / "o", [listen], hears, provider=provider, run_settings=again, plan_settings=AGAIN
    )
    assert run.statuses == {"done": 1}
    assert len(run.service.streams) == 1
    assert not (tmp_path / "o/suspect").exists()


# -- places -------------------------------------------------------------------------------------


def row(name: str, output: str) -> Row:
    """Make a row with an id and an output."""
    return Row(1, 1, name, output, "k", "new", "tts", "p", 1, 0.0, output, b"")


def test_places_tell_apart_what_outputs_tell_apart() -> None:
    """An id is the file's name where it is that of the result; elsewhere a hash is added."""
    assert suspects.place_of(row("a", "audio/a.wav"), ()) == "suspect/a.wav"
    assert suspects.place_of(row("a", "transcripts/a.txt"), ()) == "suspect/a.txt"
    others = {
        suspects.place_of(row(name, output), ())
        for name, output in (
            ("a", "audio/a.wav"),
            ("a", "audio/b.wav"),
            ("a", "one/a.wav"),
            ("a", "two/a.wav"),
            ("قصة", "audio/x.wav"),
        )
    }
    assert len(others) == 5
    assert all(place.startswith("suspect/") and place.count("/") == 1 for place in others)


def test_what_is_kept_is_never_written_over() -> None:
    """The better of two stands beside the other until it is committed."""
    here = row("a", "audio/a.wav")
    second = suspects.place_of(here, {"suspect/a.wav"})
    assert second == "suspect/a~2.wav"
    assert suspects.place_of(here, {second}) == "suspect/a.wav"
    assert suspects.place_of(here, {"suspect/a.wav", second}) == "suspect/a~3.wav"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (10.0, 10.5, True),
        (10.0, 9.1, True),
        (10.0, 8.5, False),
        (0.0, 0.0, True),
        (0.0, 1.0, False),
    ],
)
def test_results_agree_if_they_are_as_long(one: float, other: float, *, same: bool) -> None:
    """Within what a voice varies by from one time to the next."""
    assert suspects.agree(one, other) is same
