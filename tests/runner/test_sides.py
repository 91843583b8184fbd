"""Recordings whose channels are heard apart, in whole runs: copies, doubts, failures, and what is kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from msgspec import structs

import batchjobs
from batchjobs.jobs import Hearing, Job, SideState, Sign, Status
from batchjobs.speech import Channels
from tests.builders import make_recording_job, transcript_message
from tests.runner.books import PLAN, RUN, run_book
from tests.runner.runs import RETRIES
from tests.runner.test_suspect_transcripts import words
from tests.streams import Peer
from tests.suspects import kept_files

pytestmark = pytest.mark.usefixtures("standing_clock")

LOUD, FAINT = 9_000, 1_500


def sounds(*loudness: int) -> np.ndarray:
    """Make sounds of three seconds that can be speech, each so loud, a second of silence behind each."""
    one = np.frombuffer(words(3.0), "<i2") / 8_000
    silence = np.zeros(16_000)
    return np.concatenate([part for level in loudness for part in (one * level, silence)])


def call(folder: Path, name: str = "call", names: tuple[str, ...] = ()) -> Job:
    """Make the row of a call: loud on the left, faint on the right."""
    path = folder / "call.wav"
    if not path.exists():
        sides = sounds(LOUD, 0, LOUD), sounds(0, FAINT, FAINT)[::-1]
        soundfile.write(path, np.stack(sides, axis=1).astype("<i2"), 16_000)
    hearing = Hearing(channels=Channels.APART, names=names)
    return structs.replace(make_recording_job(path, name), hearing=hearing)


class Hearer:
    """A service that says how loud it is; it leaves out, or fails at, what is faint, so many times."""

    def __init__(self, *, deaf: int = 0, fails: int = 0) -> None:
        self.deaf = deaf
        self.fails = fails
        self.sessions = 0

    async def __call__(self, peer: Peer) -> None:
        """Hear one segment."""
        self.sessions += 1
        pcm = b""
        while True:
            message = await peer.get()
            pcm += bytes(message["data"]["audioBuffer"])[44:]
            level = np.abs(np.frombuffer(pcm, "<i2").astype(float)).max()
            is_faint = level < (LOUD + FAINT) / 2
            if is_faint and self.fails:
                self.fails -= 1
                await peer.send({"event": "transcription_error", "data": "لا"})
                return
            said = "خافتٌ ٢" if is_faint else "عـالٍ 1"
            if is_faint and self.deaf:
                said = ""
            await peer.send(transcript_message(said))


def words_of(text: str) -> dict[str, str]:
    """What is said, by who says it."""
    return dict(line.split(": ", 1) for line in text.splitlines())


async def test_equal_calls_are_bought_once_under_whatever_names(tmp_path: Path) -> None:
    """One with the same names is copied; with others it is put together of the same segments."""
    rows = [call(tmp_path), call(tmp_path, "same"), call(tmp_path, "named", ("موظف", "B & co"))]
    hearer = Hearer()
    run = await run_book(tmp_path / "run", rows, hearer)
    assert run.statuses == {"done": 3}
    first = run.records["call"]
    assert hearer.sessions == first.attempts
    assert run.records["same"].copied_from == "call"
    assert run.records["same"].sides == first.sides
    assert run.records["named"].text == first.text.replace("Left", "موظف").replace(
        "Right", "B & co"
    )
    assert first.said == run.records["named"].said
    assert [side.state for side in first.sides] == [SideState.HEARD] * 2
    again = Hearer()
    run = await run_book(tmp_path / "run", rows, again)
    assert not again.sessions
    renamed = [call(tmp_path, each.id, ("A", "B")) for each in rows]
    run = await run_book(tmp_path / "run", renamed, again)
    assert not again.sessions
    assert {record.text[:2] for record in run.records.values()} == {"A:"}


async def test_a_side_in_doubt_makes_the_call_suspect_until_it_is_heard_again(
    tmp_path: Path,
) -> None:
    """What is kept says who says it, and where the doubt is; only that segment is bought again."""
    rows, hearer = [call(tmp_path)], Hearer(deaf=99)
    run = await run_book(tmp_path / "run", rows, hearer)
    record = run.records["call"]
    assert record.status is Status.SUSPECT
    assert kept_files(tmp_path / "run") == ["call.json", "call.srt", "call.txt", "call.vtt"]
    assert set(words_of(record.text)) == {"Left"}
    assert [side.state for side in record.sides] == [SideState.HEARD] * 2
    assert {doubt.sign for doubt in record.doubts} == {Sign.UNHEARD}
    better = Hearer()
    settings = replace(RUN, retry_failed=True)
    run = await run_book(
        tmp_path / "run",
        rows,
        better,
        plan_options=replace(PLAN, retry_failed=True),
        run_options=settings,
    )
    assert run.statuses == {"done": 1}
    assert better.sessions == len({doubt.key for doubt in record.doubts})
    assert words_of(run.records["call"].text).keys() == {"Left", "Right"}
    assert not (tmp_path / "run" / "suspect").exists()


async def test_a_suspect_call_that_is_accepted_can_still_be_renamed(tmp_path: Path) -> None:
    """For nothing: its segments stay."""
    await run_book(tmp_path / "run", [call(tmp_path)], Hearer(deaf=99))
    report = batchjobs.accept(tmp_path / "run", every=True)
    assert report.accepted == ("call",)
    again = Hearer()
    run = await run_book(tmp_path / "run", [call(tmp_path, names=("A", "B"))], again)
    assert not again.sessions
    assert set(words_of(run.records["call"].text)) == {"A"}


async def test_a_side_that_fails_fails_the_call_and_goes_on_alone(tmp_path: Path) -> None:
    """What the other side said is kept, and not bought again; nor is it swept away by a prune."""
    rows, once = [call(tmp_path)], replace(RETRIES, attempts=1)
    first = Hearer(fails=1)
    run = await run_book(
        tmp_path / "run", rows, first, retries=once, run_options=replace(RUN, concurrency=1)
    )
    assert run.records["call"].status is Status.FAILED
    batchjobs.prune(tmp_path / "run")
    second = Hearer()
    run = await run_book(
        tmp_path / "run", rows, second, plan_options=replace(PLAN, retry_failed=True)
    )
    assert run.statuses == {"done": 1}
    assert first.sessions - 1 + second.sessions == run.records["call"].attempts


async def test_a_call_in_which_nobody_speaks_costs_nothing(tmp_path: Path) -> None:
    """Both sides are said to be silent."""
    soundfile.write(tmp_path / "call.wav", np.zeros((32_000, 2), "<i2"), 16_000)
    hearer = Hearer()
    run = await run_book(tmp_path / "run", [call(tmp_path)], hearer)
    assert not hearer.sessions
    record = run.records["call"]
    assert (record.status, record.text, record.error_class) == (Status.DONE, "", "no_speech")
    assert [side.state for side in record.sides] == [SideState.SILENT] * 2
