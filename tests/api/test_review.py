"""What was decided in a page is carried out: all of it, or nothing; and nothing is bought by it."""

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import batchjobs
from batchjobs.checkpoint import Checkpoint, Decision, JobRecord
from batchjobs.errors import DiskError, NoRunError, OutputError, ReviewError, RunLockedError
from batchjobs.files.run_folder import CHECKPOINT
from batchjobs.files.shelf import Shelf
from batchjobs.jobs import Sign, Status
from batchjobs.options import Options
from batchjobs.outputs import decided
from tests.builders import ARABIC, audio_message
from tests.runner.runs import RATE, job, jobs, run_rows, speech_for
from tests.streams import Peer
from tests.suspects import AGAIN, kept_files, ledger_of, results_of, shares


def contents_of(run: Path) -> dict[Path, bytes]:
    """Read all files below a run folder, but for SQLite's own."""
    found = (path for path in run.rglob("*") if path.is_file() and "-" not in path.name)
    return {path: path.read_bytes() for path in found}


class Seller:
    """A service that speaks, and remembers what it was asked to.

    Args:
        shares: For a text that ends so: how much of its audio it gives, time after time; then all.

    Attributes:
        texts: What it has sold.
    """

    def __init__(self, **shares: list[float]) -> None:
        self.texts: list[str] = []
        self._shares = {name.removeprefix("_"): list(each) for name, each in shares.items()}

    async def __call__(self, peer: Peer) -> None:
        """Speak one text."""
        await peer.begin()
        text = await peer.text()
        self.texts.append(text)
        steps = self._shares.get(text.rsplit(" ", 1)[-1], [])
        pcm = speech_for(text)
        share = steps.pop(0) if steps else 1.0
        await peer.send(audio_message(pcm[: int(len(pcm) * share) // 2 * 2], RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)


def find(run: Path, name: str) -> JobRecord:
    """Look up what is known of a job."""
    with Checkpoint.read(run) as checkpoint:
        return checkpoint.lookups.find([name])[name]


def decide(run: Path, decisions: Mapping[str, str], **changes: Any) -> Path:
    """Write decisions about a run's rows as its page saves them; gives the file."""
    with Checkpoint.read(run) as checkpoint:
        records = checkpoint.lookups.find(list(decisions))
        identity = checkpoint.identify()
    lines = []
    for name, decision in decisions.items():
        record = records.get(name)
        sha256 = record.files[0].sha256 if record is not None and record.files else ""
        line = {"run": identity, "id": name, "decision": decision, "note": ARABIC, "sha256": sha256}
        lines.append(json.dumps(line | changes, ensure_ascii=False) + "\n")
    path = run.parent / "review.jsonl"
    path.write_text("".join(lines), encoding="utf-8")
    return path


# -- what is carried out ---------------------------------------------------------------------------


async def test_each_decision_is_carried_out(tmp_path: Path) -> None:
    """What was in doubt is done, what was rejected is not, and what was dropped is known for that."""
    run = tmp_path / "run"
    await run_rows(run, jobs(5), shares({"001": [0.1, 0.1]}))
    results_of(run)
    kept = (run / "suspect/001.wav").read_bytes()
    spoken = (run / "audio/002.wav").read_bytes()
    asked = {"001": "accept", "000": "accept", "002": "reject", "003": "drop"}
    assert batchjobs.review(run, decide(run, asked)) == batchjobs.ReviewReport(
        accepted=("001",), confirmed=("000",), rejected=("002",), dropped=("003",)
    )
    assert (run / "audio/001.wav").read_bytes() == kept
    assert not (run / "audio/002.wav").exists()
    assert (run / "suspect/002.wav").read_bytes() == spoken
    assert kept_files(run) == ["002.wav"]
    assert [line["id"] for line in batchjobs.read_results(run)] == ["000", "001", "003", "004"]
    summary = json.loads((run / "summary.json").read_bytes())
    assert (summary["done"], summary["suspect"], summary["exit_code"]) == (4, 1, 1)
    assert summary["doubts"] == {"rejected": 1}
    rejected = find(run, "002")
    assert ARABIC in rejected.error_message
    assert batchjobs.verify(run) == batchjobs.VerifyReport(checked=5)
    with Checkpoint.read(run) as checkpoint:
        assert checkpoint.reviews.find_dropped() == {"003"}
        found = checkpoint.reviews.find(list(asked))
        assert {name: review.decision for name, review in found.items()} == asked
        assert found["000"].note == ARABIC


async def test_the_next_run_buys_what_was_rejected_and_nothing_else(tmp_path: Path) -> None:
    """One session more, under the final name; the rejected file is kept until then, and goes."""
    run = tmp_path / "run"
    await run_rows(run, jobs(3))
    batchjobs.review(run, decide(run, {"001": "reject"}))
    seller = Seller()
    again = await run_rows(run, jobs(3), seller)
    assert seller.texts == [jobs(3)[1].text]
    assert again.statuses == {"done": 3}
    assert (run / "audio/001.wav").exists()
    assert not (run / "suspect").exists()
    assert ledger_of(run) == ["done", "suspect", "done", "done"]
    record = find(run, "001")
    assert (record.status, record.doubts, record.attempts) == (Status.DONE, (), 1)
    await run_rows(run, jobs(3), seller)
    assert len(seller.texts) == 1


async def test_a_rejected_row_has_as_many_attempts_as_any(tmp_path: Path) -> None:
    """Though it had used them up; and a new one in doubt is better than one that was rejected."""
    run = tmp_path / "run"
    await run_rows(run, jobs(2), shares({"001": [0.1, 0.1]}))
    rejected = (run / "suspect/001.wav").read_bytes()
    batchjobs.review(run, decide(run, {"001": "reject"}))
    assert kept_files(run) == ["001.wav"]
    seller = Seller(_001=[0.2, 0.2, 0.2])
    await run_rows(run, jobs(2), seller)
    assert len(seller.texts) > 1
    record = find(run, "001")
    assert (record.status, record.is_passing) == (Status.SUSPECT, False)
    assert Sign.REJECTED not in {doubt.sign for doubt in record.doubts}
    assert (run / record.output).read_bytes() != rejected
    assert len(kept_files(run)) == 1


async def test_what_fails_to_be_bought_again_is_kept(tmp_path: Path) -> None:
    """The rejected sound is there still, in doubt; it can be accepted after all, by its name alone."""
    run = tmp_path / "run"
    await run_rows(run, jobs(2))
    spoken = (run / "audio/001.wav").read_bytes()
    batchjobs.review(run, decide(run, {"001": "reject"}))

    async def refuses(peer: Peer) -> None:
        await peer.begin()
        await peer.send({"type": "error", "errorCode": 40001, "errorMessage": "no"})

    again = await run_rows(run, jobs(2), refuses)
    assert again.statuses == {"done": 1, "suspect": 1}
    assert (run / "suspect/001.wav").read_bytes() == spoken
    assert batchjobs.accept(run, every=True).accepted == ()
    assert batchjobs.accept(run, ["001"]).accepted == ("001",)
    assert (run / "audio/001.wav").read_bytes() == spoken
    assert kept_files(run) == []
    assert ledger_of(run)[:2] == ["done", "done"]


async def test_a_rejected_sound_is_copied_by_nobody(tmp_path: Path) -> None:
    """Rows that ask the same have the same sound: all of them get the new one, bought once."""
    run = tmp_path / "run"
    rows = [job("a", "the same text"), job("b", "the same text"), job("c", "another text")]
    await run_rows(run, rows)
    report = batchjobs.review(run, decide(run, {"b": "reject"}))
    assert (report.rejected, report.rejected_with) == (("b",), ("a",))
    assert {find(run, name).status for name in "ab"} == {Status.SUSPECT}
    seller = Seller()
    again = await run_rows(run, [*rows, job("d", "the same text")], seller)
    assert seller.texts == ["the same text"]
    assert again.statuses == {"done": 4}


async def test_one_sound_is_not_accepted_and_rejected(tmp_path: Path) -> None:
    """Two rows that have the same one, decided otherwise: somebody has to say which it is."""
    run = tmp_path / "run"
    await run_rows(run, [job("c", "another text"), job("d", "another text")])
    with pytest.raises(ReviewError, match="'c' is accepted, and 'd', its copy, rejected"):
        batchjobs.review(run, decide(run, {"c": "accept", "d": "reject"}))


async def test_a_result_of_an_earlier_edit_is_no_way_around(tmp_path: Path) -> None:
    """What a row had, lost by an edit and has again is one sound: rejected, it is not copied back."""
    run = tmp_path / "run"
    first, second = job("a", "the first text"), job("a", "the second text")
    await run_rows(run, [first, job("b", "the first text")])
    await run_rows(run, [second, job("b", "the first text")])
    batchjobs.review(run, decide(run, {"b": "reject"}))
    seller = Seller()
    again = await run_rows(run, [first, job("b", "the first text")], seller)
    assert seller.texts == ["the first text"]
    assert again.statuses == {"done": 2}


async def test_the_same_file_once_more_changes_nothing(tmp_path: Path) -> None:
    """Also after the next run, when what was rejected has been bought anew."""
    run = tmp_path / "run"
    await run_rows(run, jobs(3), shares({"001": [0.1, 0.1]}))
    decisions = decide(run, {"001": "accept", "002": "reject"})
    batchjobs.review(run, decisions)
    before = contents_of(run)
    assert batchjobs.review(run, decisions) == batchjobs.ReviewReport(known=2)
    assert contents_of(run) == before
    await run_rows(run, jobs(3))
    results_of(run)
    before = contents_of(run)
    assert batchjobs.review(run, decisions) == batchjobs.ReviewReport(known=2)
    assert contents_of(run) == before
    assert find(run, "002").status is Status.DONE


async def test_a_decision_can_be_changed(tmp_path: Path) -> None:
    """Rejected, then accepted before the next run: it is done, and nothing was bought."""
    run = tmp_path / "run"
    await run_rows(run, jobs(2))
    spoken = (run / "audio/001.wav").read_bytes()
    batchjobs.review(run, decide(run, {"001": "reject", "000": "drop"}))
    report = batchjobs.review(run, decide(run, {"001": "accept", "000": "accept"}))
    assert (report.accepted, report.confirmed) == (("001",), ("000",))
    assert (run / "audio/001.wav").read_bytes() == spoken
    with Checkpoint.read(run) as checkpoint:
        assert checkpoint.reviews.find_dropped() == set()
    assert not (await run_rows(run, jobs(2))).service.streams
    assert ledger_of(run) == ["done", "done"]


async def test_a_file_system_without_links_gets_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept is the same."""

    def refuses(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    run = tmp_path / "run"
    await run_rows(run, jobs(2))
    spoken = (run / "audio/001.wav").read_bytes()
    monkeypatch.setattr(os, "link", refuses)
    batchjobs.review(run, decide(run, {"001": "reject"}))
    assert (run / "suspect/001.wav").read_bytes() == spoken
    assert not (run / "audio/001.wav").exists()


# -- what is refused -------------------------------------------------------------------------------


def _cut(path: Path, run: Path) -> str:
    content = path.read_bytes()
    path.write_bytes(content[:-20])
    return "line 3: is no decision, or not all of one"


def _name_nobody(path: Path, run: Path) -> str:
    path.write_text(path.read_text(encoding="utf-8").replace('"000"', '"nobody"'), encoding="utf-8")
    return "line 2: there is no job 'nobody' in this run"


def _come_from_another_run(path: Path, run: Path) -> str:
    line = json.loads(path.read_text(encoding="utf-8").splitlines()[1]) | {"run": "0" * 32}
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line | {"id": "003"}) + "\n")
    return "line 4: is of another run"


def _ask_for_what_is_no_decision(path: Path, run: Path) -> str:
    path.write_text(path.read_text(encoding="utf-8").replace('"drop"', '"keep"'), encoding="utf-8")
    return "line 3: is no decision"


def _disagree(path: Path, run: Path) -> str:
    line = path.read_text(encoding="utf-8").splitlines()[1].replace('"reject"', '"accept"')
    with path.open("a", encoding="utf-8") as file:
        file.write(f"\n{line}\n")
    return "line 5: '000' is decided otherwise on line 2"


def _change_the_clip(path: Path, run: Path) -> str:
    clip = run / "audio/000.wav"
    clip.write_bytes(clip.read_bytes()[:-1] + b"\x55")
    return "the clip of '000' has changed since: audio/000.wav: its content has changed"


def _lose_the_clip(path: Path, run: Path) -> str:
    (run / "suspect/001.wav").unlink()
    return "the clip of '001' has changed since: suspect/001.wav: is missing"


def _buy_another_clip(path: Path, run: Path) -> str:
    with Checkpoint.open(run) as checkpoint:
        (record,) = checkpoint.lookups.find(["000"]).values()
        file = replace(record.files[0], sha256="ab" * 32)
        checkpoint.commit(records=[replace(record, files=(file,))])
    return "'000' has another clip by now than the one that was listened to"


def _fail_meanwhile(path: Path, run: Path) -> str:
    with Checkpoint.open(run) as checkpoint:
        (record,) = checkpoint.lookups.find(["000"]).values()
        checkpoint.commit(records=[replace(record, status=Status.FAILED, files=(), output="")])
    return "'000' has no result by now"


def _be_no_text(path: Path, run: Path) -> str:
    path.write_bytes(b"\xff\xfe\x00" + path.read_bytes())
    return "line 1: is no decision"


def _be_a_folder(path: Path, run: Path) -> str:
    path.unlink()
    path.mkdir()
    return "cannot read"


@pytest.mark.parametrize(
    "spoil",
    [
        _cut,
        _name_nobody,
        _come_from_another_run,
        _ask_for_what_is_no_decision,
        _disagree,
        _change_the_clip,
        _lose_the_clip,
        _buy_another_clip,
        _fail_meanwhile,
        _be_no_text,
        _be_a_folder,
    ],
)
async def test_one_wrong_line_among_good_ones_is_named_and_nothing_is_changed(
    tmp_path: Path, spoil: Callable[[Path, Path], str]
) -> None:
    """Whatever is wrong with it, the decisions beside it wait until it is put right."""
    run = tmp_path / "run"
    await run_rows(run, jobs(4), shares({"001": [0.1, 0.1]}))
    results_of(run)
    path = decide(run, {"001": "accept", "000": "reject", "002": "drop"})
    problem = spoil(path, run)
    before = contents_of(run)
    with pytest.raises(ReviewError) as caught:
        batchjobs.review(run, path)
    assert problem in caught.value.message
    assert "nothing was changed" in caught.value.hint or path.is_dir()
    assert caught.value.exit_code == 65
    assert contents_of(run) == before
    with Checkpoint.read(run) as checkpoint:
        assert list(checkpoint.reviews.stream()) == []


async def test_every_wrong_line_is_named_up_to_twenty(tmp_path: Path) -> None:
    """The rest is counted."""
    run = tmp_path / "run"
    await run_rows(run, jobs(1))
    path = decide(run, {f"nobody {number}": "drop" for number in range(1_234)})
    with pytest.raises(ReviewError) as caught:
        batchjobs.review(run, path)
    lines = caught.value.message.splitlines()
    assert len(lines) == 21
    assert "nobody 19" in lines[19]
    assert lines[20].endswith("and 1,214 more")


async def test_a_row_without_a_result_can_be_dropped_and_nothing_else(tmp_path: Path) -> None:
    """There is nothing to accept of a row that was not run yet."""
    run = tmp_path / "run"
    await run_rows(run, jobs(2), plan_options=Options(limit=1))
    with pytest.raises(ReviewError, match="'001' has no result by now"):
        batchjobs.review(run, decide(run, {"001": "accept"}))
    assert batchjobs.review(run, decide(run, {"001": "drop"})).dropped == ("001",)


async def test_a_run_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    """And so is a folder without one."""
    run = tmp_path / "run"
    await run_rows(run, jobs(1))
    path = decide(run, {"000": "reject"})
    with Checkpoint.open(run), pytest.raises(RunLockedError):
        batchjobs.review(run, path)
    with pytest.raises(NoRunError):
        batchjobs.review(tmp_path / "none", path)
    assert not (tmp_path / "none").exists()


# -- what fails half way ---------------------------------------------------------------------------


async def _prepare(folder: Path) -> tuple[Path, Path]:
    run = folder / "run"
    await run_rows(run, jobs(4), shares({"001": [0.1, 0.1], "002": [0.1, 0.1]}))
    results_of(run)
    return run, decide(run, {"001": "accept", "002": "accept", "000": "reject", "003": "drop"})


@pytest.mark.parametrize("fails", ["review", "link", "publish", "second"])
async def test_a_disk_that_fails_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """At whichever step: no file more, no file less, no row changed; and then it can be done."""
    run, path = await _prepare(tmp_path)
    before = contents_of(run)
    del before[run / CHECKPOINT]

    def breaks(*_: object, **__: object) -> None:
        raise DiskError("the disk failed")

    def breaks_if_any(_: Shelf, targets: Iterable[Path], __: object = None) -> None:
        if list(targets):
            breaks()

    calls: list[object] = []
    prepare = decided.prepare_acceptance

    def breaks_later(*arguments: Any) -> Any:
        calls.append(arguments)
        return prepare(*arguments) if len(calls) == 1 else breaks()

    with monkeypatch.context() as patch:
        match fails:
            case "review":
                patch.setattr(Checkpoint, "review", breaks)
            case "link":
                patch.setattr(decided, "link_files", breaks)
            case "publish":
                patch.setattr(Shelf, "publish", breaks_if_any)
            case _:
                patch.setattr(decided, "prepare_acceptance", breaks_later)
        with pytest.raises(DiskError):
            batchjobs.review(run, path)
    after = contents_of(run)
    del after[run / CHECKPOINT]
    assert after == before
    with Checkpoint.read(run) as checkpoint:
        assert list(checkpoint.reviews.stream()) == []
        assert checkpoint.lookups.count_suspects() == 2
    report = batchjobs.review(run, path)
    assert (report.accepted, report.rejected) == (("001", "002"), ("000",))


async def test_a_transaction_that_fails_in_the_middle_is_undone_whole(tmp_path: Path) -> None:
    """What SQLite refuses for one row, no other row has."""
    run, path = await _prepare(tmp_path)
    with closing(sqlite3.connect(run / CHECKPOINT)) as database:
        database.executescript(
            """CREATE TRIGGER breaks BEFORE INSERT ON jobs WHEN new.id = '000'
               BEGIN SELECT RAISE(FAIL, 'not this one'); END;"""
        )
    with pytest.raises(DiskError, match="not this one"):
        batchjobs.review(run, path)
    with Checkpoint.read(run) as checkpoint:
        assert list(checkpoint.reviews.stream()) == []
        assert checkpoint.lookups.count_suspects() == 2
    assert kept_files(run) == ["001.wav", "002.wav"]


async def test_a_kill_after_the_commit_leaves_no_rejected_clip_under_its_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is done next takes it away: the next run, or the same review."""
    run, path = await _prepare(tmp_path)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("batchjobs.api.review._conclude", dies)
        with pytest.raises(KeyboardInterrupt):
            batchjobs.review(run, path)
    assert (run / "audio/000.wav").exists()
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    batchjobs.review(run, path)
    assert not (run / "audio/000.wav").exists()
    assert [line["id"] for line in batchjobs.read_results(run)] == ["001", "002", "003"]
    seller = Seller()
    again = await run_rows(copy, jobs(4), seller, plan_options=AGAIN)
    assert seller.texts == [jobs(4)[0].text]
    assert again.statuses == {"done": 4}


async def test_ctrl_c_while_the_commit_syncs_leaves_what_was_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python raises it as SQLite returns: all of it has happened, and its files are the run's."""
    run, path = await _prepare(tmp_path)
    commit = Checkpoint.review

    def commits_and_is_interrupted(*arguments: Any, **options: Any) -> None:
        commit(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "review", commits_and_is_interrupted)
        with pytest.raises(KeyboardInterrupt):
            batchjobs.review(run, path)
    assert batchjobs.verify(run).wrong == ()
    seller = Seller()
    again = await run_rows(run, jobs(4), seller, plan_options=AGAIN)
    assert seller.texts == [jobs(4)[0].text]
    assert again.statuses == {"done": 4}


async def test_what_somebody_puts_in_the_place_of_a_rejected_clip_stays(tmp_path: Path) -> None:
    """Their own recording, better than what was rejected: no sweep takes it for the rejected one."""
    run, path = await _prepare(tmp_path)
    batchjobs.review(run, path)
    mine = run / "audio/000.wav"
    assert not mine.exists()
    mine.write_bytes(b"read by myself")
    batchjobs.prune(run, remove=True)
    batchjobs.review(run, decide(run, {"003": "drop"}))
    batchjobs.review(run, decide(run, {"003": "reject"}))
    assert not (run / "audio/003.wav").exists()
    assert mine.read_bytes() == b"read by myself"


async def test_a_file_that_is_somebody_elses_is_not_overwritten(tmp_path: Path) -> None:
    """A row has another place by now, and a file that no run wrote stands there: nothing is changed."""
    run = tmp_path / "run"
    await run_rows(run, jobs(2), shares({"001": [0.1, 0.1]}))
    await run_rows(run, jobs(2), plan_options=Options(audio_format="flac"))
    mine = run / "audio/001.flac"
    mine.write_bytes(b"mine")
    with pytest.raises(OutputError, match="not this run's"):
        batchjobs.review(run, decide(run, {"001": "accept", "000": "drop"}))
    assert mine.read_bytes() == b"mine"
    with Checkpoint.read(run) as checkpoint:
        assert checkpoint.reviews.find(["000"]) == {}


def test_decisions_are_spelt_as_the_page_spells_them() -> None:
    """The page's script, the checkpoint and the file mean the same words."""
    from batchjobs.report.page import read_script

    for decision in Decision:
        assert f"{decision}: " in read_script()
