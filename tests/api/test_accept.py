"""Results in doubt are accepted as they are: done without a purchase."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile

import batchjobs
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import NoRunError, OutputError, UsageError
from batchjobs.jobs import Doubt, Sign
from batchjobs.options import Options
from tests.builders import audio_message
from tests.runner.runs import RATE, jobs, run_rows, speech_for
from tests.streams import Peer
from tests.suspects import AGAIN, kept_files, ledger_of, results_of, shares


def contents_of(run_folder: Path) -> dict[Path, bytes]:
    """Read all files below a run folder."""
    return {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()}


async def test_accept_makes_it_done_without_a_purchase(tmp_path: Path) -> None:
    """The very samples that were kept stand under the final name, and no later run buys anything."""
    await run_rows(tmp_path, jobs(3), shares({"001": [0.1, 0.1], "002": [0.1, 0.1]}))
    kept = (tmp_path / "suspect/001.wav").read_bytes()
    results_of(tmp_path)
    report = batchjobs.accept(tmp_path, ["001"])
    assert report == batchjobs.AcceptReport(accepted=("001",), suspects=2)
    assert (tmp_path / "audio/001.wav").read_bytes() == kept
    assert kept_files(tmp_path) == ["002.wav"]
    summary = json.loads((tmp_path / "summary.json").read_bytes())
    assert (summary["done"], summary["suspect"], summary["exit_code"]) == (2, 1, 1)
    assert [line["id"] for line in batchjobs.read_results(tmp_path)] == ["000", "001"]
    assert batchjobs.accept(tmp_path, every=True).accepted == ("002",)
    summary = json.loads((tmp_path / "summary.json").read_bytes())
    assert (summary["done"], summary["suspect"], summary["exit_code"]) == (3, 0, 0)
    assert (tmp_path / "failed.jsonl").read_bytes() == b""
    assert not (tmp_path / "suspect").exists()
    assert batchjobs.verify(tmp_path) == batchjobs.VerifyReport(checked=3)
    again = await run_rows(tmp_path, jobs(3), plan_options=AGAIN)
    assert not again.service.streams
    assert again.statuses == {"done": 3}
    assert ledger_of(tmp_path).count("done") == 3


async def test_accept_after_one_that_was_killed_writes_what_that_did_not(tmp_path: Path) -> None:
    """Killed between the commit and the report: nothing is suspect any more, and all has to say so."""
    await run_rows(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    results_of(tmp_path)
    before = contents_of(tmp_path)
    batchjobs.accept(tmp_path, ["001"])
    with Checkpoint.open(tmp_path) as checkpoint:
        (record,) = checkpoint.lookups.find(["001"]).values()
        checkpoint.commit(records=[record])  # as the killed one left it: with no report
    for name in ("results.jsonl", "summary.json", "failed.jsonl", "suspect/001.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(before[tmp_path / name])
    report = batchjobs.accept(tmp_path, ["001"])
    assert (report.accepted, report.done_before) == ((), ("001",))
    assert [line["id"] for line in batchjobs.read_results(tmp_path)] == ["000", "001"]
    assert not (tmp_path / "suspect").exists()
    summary = (tmp_path / "summary.json").stat()
    assert batchjobs.accept(tmp_path, every=True) == batchjobs.AcceptReport(accepted=())
    assert (tmp_path / "summary.json").stat() == summary


async def test_accept_by_reason_takes_those_with_no_other(tmp_path: Path) -> None:
    """What is also in doubt for another reason waits for an ear of its own."""
    await run_rows(tmp_path, jobs(3), shares({"001": [0.1, 0.1]}))
    await run_rows(tmp_path, jobs(3), shares({"002": [0.1, 0.1]}, silent=True))
    both = Doubt(sign=Sign.ABRUPT, message="ends in mid-sound")
    with Checkpoint.open(tmp_path) as checkpoint:
        (record,) = checkpoint.lookups.find(["001"]).values()
        checkpoint.commit(records=[replace(record, doubts=(*record.doubts, both))])
    assert batchjobs.accept(tmp_path, reasons=["short"]).accepted == ()
    assert batchjobs.accept(tmp_path, reasons=["short", "abrupt"]).accepted == ("001",)


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
        await peer.send(
            audio_message(pcm[: len(pcm) // 20 * 2] if text.endswith("001") else pcm, RATE)
        )
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    limited = Options(limit=3)
    await run_rows(tmp_path, jobs(4), talk, plan_options=limited)
    results_of(tmp_path)
    before = contents_of(tmp_path)
    with pytest.raises(UsageError, match=shown):
        batchjobs.accept(tmp_path, ids)
    assert before == contents_of(tmp_path)


async def test_accepting_what_is_done_says_so_and_changes_nothing(tmp_path: Path) -> None:
    """Nothing is wrong with it."""
    await run_rows(tmp_path, jobs(2))
    report = batchjobs.accept(tmp_path, ["001"])
    assert report == batchjobs.AcceptReport(accepted=(), done_before=("001",))
    assert batchjobs.accept(tmp_path, every=True) == batchjobs.AcceptReport(accepted=())


def test_accepting_needs_a_run_and_to_be_told_what(tmp_path: Path) -> None:
    """A folder without a run is not made one; nothing is accepted by accident."""
    with pytest.raises(NoRunError):
        batchjobs.accept(tmp_path / "none", every=True)
    assert not (tmp_path / "none").exists()
    wrongs: list[dict[str, Any]] = [
        {},
        {"ids": ["a"], "every": True},
        {"every": True, "reasons": ["short"]},
    ]
    for wrong in wrongs:
        with pytest.raises(UsageError, match=r"said.* what to accept"):
            batchjobs.accept(tmp_path, **wrong)
    with pytest.raises(UsageError, match="no reason 'loud'"):
        batchjobs.accept(tmp_path, reasons=["loud"])


async def test_what_was_kept_and_is_damaged_is_not_accepted(tmp_path: Path) -> None:
    """A byte that changed makes it another's audio: it stays suspect, and is bought again."""
    await run_rows(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    path = tmp_path / "suspect/001.wav"
    path.write_bytes(path.read_bytes()[:-1] + b"\x55")
    report = batchjobs.accept(tmp_path, every=True)
    assert (report.accepted, report.damaged) == ((), ("001",))
    assert not (tmp_path / "audio/001.wav").exists()


async def test_a_row_that_wants_another_format_by_now_gets_it(tmp_path: Path) -> None:
    """What is kept holds the samples exactly, and becomes what the manifest asks for."""
    await run_rows(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    kept, _ = soundfile.read(tmp_path / "suspect/001.wav", dtype="int16")
    flac = Options(audio_format="flac")
    await run_rows(tmp_path, jobs(2), plan_options=flac)
    assert batchjobs.accept(tmp_path, every=True).accepted == ("001",)
    pcm, _ = soundfile.read(tmp_path / "audio/001.flac", dtype="int16")
    assert pcm.tobytes() == kept.tobytes()


async def test_a_file_that_is_somebody_elses_is_not_overwritten(tmp_path: Path) -> None:
    """A row has another place by now, and a file that no run wrote stands there: it stays."""
    await run_rows(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    await run_rows(tmp_path, jobs(2), plan_options=Options(audio_format="flac"))
    mine = tmp_path / "audio/001.flac"
    mine.write_bytes(b"mine")
    with pytest.raises(OutputError, match="not this run's"):
        batchjobs.accept(tmp_path, every=True)
    assert mine.read_bytes() == b"mine"
    assert kept_files(tmp_path) == ["001.wav"]


async def test_what_a_killed_accept_leaves_is_known_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended between the rename and the commit, it may be done again, and so may the row."""

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    await run_rows(tmp_path, jobs(2), shares({"001": [0.1, 0.1]}))
    await run_rows(tmp_path, jobs(2), plan_options=Options(audio_format="flac"))
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "accept", dies)
        with pytest.raises(KeyboardInterrupt):
            batchjobs.accept(tmp_path, every=True)
    assert (tmp_path / "audio/001.flac").exists()
    assert kept_files(tmp_path) == ["001.wav"]
    assert batchjobs.accept(tmp_path, every=True).accepted == ("001",)


async def test_what_cannot_become_the_format_asked_for_is_no_damage(tmp_path: Path) -> None:
    """Samples that an Ogg file lost do not come back: it says so, and a new one takes its place."""
    script = {"001": [0.1, 0.1, 0.1, 0.1]}
    ogg, flac = (Options(audio_format=name) for name in ("ogg", "flac"))
    await run_rows(tmp_path, jobs(2), shares(script), plan_options=ogg)
    await run_rows(tmp_path, jobs(2), plan_options=flac)
    report = batchjobs.accept(tmp_path, every=True)
    assert (report.accepted, report.damaged, report.other_format) == ((), (), ("001",))
    assert kept_files(tmp_path) == ["001.ogg"]
    again = replace(flac, retry_failed=True)
    run = await run_rows(tmp_path, jobs(2), shares(script), plan_options=again)
    assert run.statuses == {"done": 1, "suspect": 1}
    assert kept_files(tmp_path) == ["001.flac"]
    assert batchjobs.accept(tmp_path, every=True).accepted == ("001",)
