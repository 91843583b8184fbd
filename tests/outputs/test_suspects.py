"""Results in doubt are kept durably, never under a final name, and told."""

from pathlib import Path

import pytest
import soundfile

from batchjobs.checkpoint import Checkpoint, Row
from batchjobs.jobs import Sign, Status
from batchjobs.outputs import suspects
from batchjobs.outputs.reuse import find_changes
from batchjobs.outputs.summary import summarise
from batchjobs.progress import JobFinished, JobRetried
from tests.builders import audio_message, make_row
from tests.runner.runs import QUICK, RATE, TEXT, job, jobs, run_rows, speech_for
from tests.streams import Peer
from tests.suspects import kept_files, ledger_of, results_of, shares

TOO_SHORT = 0.1
"""Of its natural length: nobody speaks ten times as fast."""


async def test_a_job_that_is_suspect_twice_alike_is_kept_and_told(tmp_path: Path) -> None:
    """The second agrees with the first, so no third is bought; its audio is there, not as a result."""
    run = await run_rows(tmp_path, jobs(4), shares({"002": [TOO_SHORT] * 5}))
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
    assert not find_changes(tmp_path, record.files)
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
    again = await run_rows(tmp_path, jobs(4))
    assert not again.service.streams
    assert again.statuses == {"done": 3, "suspect": 1}


async def test_silence_is_kept_too(tmp_path: Path) -> None:
    """Whatever was paid for is there to be looked at."""
    run = await run_rows(tmp_path, jobs(2), shares({"001": [0.9, 0.9]}, silent=True))
    assert run.records["001"].doubts[0].sign is Sign.SILENT
    assert kept_files(tmp_path) == ["001.wav"]


async def test_what_is_kept_is_no_waste_and_counts_as_its_own(tmp_path: Path) -> None:
    """The summary counts suspects apart, adds up, and tells kept audio from what led to nothing."""
    await run_rows(tmp_path, jobs(4), shares({"002": [TOO_SHORT] * 2}))
    with Checkpoint.read(tmp_path) as checkpoint:
        summary = summarise(checkpoint, {"quick": QUICK})
    assert (summary.rows, summary.done, summary.suspect) == (4, 3, 1)
    assert (summary.failed, summary.not_run) == (0, 0)
    assert summary.doubts == {"short": 1}
    assert summary.characters_wasted == len(job("002").text)


async def test_of_several_attempts_the_best_is_kept(tmp_path: Path) -> None:
    """Each is judged by how much speaks against it; what is worse replaces nothing."""
    run = await run_rows(tmp_path, jobs(2), shares({"001": [0.1, 0.2, 0.15]}))
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
        await peer.send(audio_message(pcm[: len(pcm) // 20 * 2] if step == "short" else pcm, RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    run = await run_rows(tmp_path, jobs(2), talk)
    record = run.records["001"]
    assert (record.status, record.attempts, record.is_passing) == (Status.SUSPECT, 3, False)
    assert "the last attempt failed: transient" in record.error_message
    assert kept_files(tmp_path) == ["001.wav"]


def row(name: str, output: str) -> Row:
    """Make a row with an id and an output."""
    return make_row(1, id=name, place=output, output=output)


def test_places_tell_apart_what_outputs_tell_apart() -> None:
    """An id is the file's name where it is that of the result; elsewhere a hash is added."""
    assert suspects.choose_path(row("a", "audio/a.wav"), ()) == "suspect/a.wav"
    assert suspects.choose_path(row("a", "transcripts/a.txt"), ()) == "suspect/a.txt"
    others = {
        suspects.choose_path(row(name, output), ())
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
    second = suspects.choose_path(here, {"suspect/a.wav"})
    assert second == "suspect/a~2.wav"
    assert suspects.choose_path(here, {second}) == "suspect/a.wav"
    assert suspects.choose_path(here, {"suspect/a.wav", second}) == "suspect/a~3.wav"


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
    assert suspects.is_same_length(one, other) is same
