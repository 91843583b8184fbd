"""What was rejected is bought again whole: long texts, recordings, and within the budget."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

import batchjobs
from batchjobs.checkpoint import Checkpoint
from batchjobs.jobs import Status
from batchjobs.limits import Budget
from tests.api.test_review import Seller, decide, find
from tests.builders import make_recording_job, transcript_message
from tests.runner.books import LONG, run_book
from tests.runner.runs import QUICK, job, jobs, run_rows
from tests.runner.test_suspect_transcripts import words
from tests.streams import Peer
from tests.suspects import kept_files


async def test_a_long_text_that_was_rejected_is_bought_whole(tmp_path: Path) -> None:
    """None of its segments is taken from the file that was rejected, nor from another chapter's."""
    run = tmp_path / "run"
    rows = [job("b", LONG), job("c", f"{LONG} ثم جملة أخرى في آخره.")]
    first = Seller()
    await run_book(run, rows, first)
    batchjobs.review(run, decide(run, {"b": "reject"}))
    assert kept_files(run) == ["b.wav"]
    second = Seller()
    again = await run_book(run, rows, second)
    assert again.statuses == {"done": 2}
    assert sorted(second.texts) == sorted(each for each in first.texts if "آخره" not in each)
    assert len(second.texts) > 1
    assert not (run / "suspect").exists()
    await run_book(run, rows, second)
    assert len(second.texts) < len(first.texts)


async def test_a_recording_whose_transcript_was_rejected_is_sent_again(tmp_path: Path) -> None:
    """All four of its files are kept until the new ones are there."""
    source, run = tmp_path / "in.wav", tmp_path / "run"
    soundfile.write(source, np.frombuffer(words(4.0), dtype=np.int16), 16_000)
    said = ["كلمات ليست هي", "هذه هي الكلمات"]

    async def hears(peer: Peer) -> None:
        heard = said.pop(0)
        while True:
            await peer.get()
            await peer.send(transcript_message(heard))

    listen = make_recording_job(source)
    await run_rows(run, [listen], hears)
    batchjobs.review(run, decide(run, {"t": "reject"}))
    assert kept_files(run) == ["t.json", "t.srt", "t.txt", "t.vtt"]
    assert not list((run / "transcripts").iterdir())
    await run_rows(run, [listen], hears)
    assert (run / "transcripts/t.txt").read_text(encoding="utf-8") == "هذه هي الكلمات"
    assert not (run / "suspect").exists()


async def test_a_budget_holds_for_what_was_rejected(tmp_path: Path) -> None:
    """It is a purchase like any other: without money it stays in doubt, and kept."""
    run = tmp_path / "run"
    await run_rows(run, jobs(2))
    batchjobs.review(run, decide(run, {"001": "reject"}))
    seller = Seller()
    await run_rows(run, jobs(2), seller, budget=Budget(money=0.0))
    assert not seller.texts
    assert find(run, "001").status is Status.SUSPECT
    assert kept_files(run) == ["001.wav"]


async def test_money_for_what_was_rejected_has_led_to_nothing(tmp_path: Path) -> None:
    """Once the new one is there; until then something is kept for it."""
    run = tmp_path / "run"
    await run_rows(run, jobs(2))
    batchjobs.review(run, decide(run, {"001": "reject"}))

    def wasted() -> int:
        with Checkpoint.read(run) as checkpoint:
            sent = checkpoint.totals.sum_sent()
        return sum(each.characters for each in sent if not each.led_to_result)

    assert wasted() == 0
    await run_rows(run, jobs(2), provider=replace(QUICK))
    assert wasted() == len(jobs(2)[1].text)
