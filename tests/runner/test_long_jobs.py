"""Long texts: segments bought once, in parallel, one by one durable; put together exactly."""

import itertools
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile
import trio

from batchjobs import text
from batchjobs.audio.sndfile import read_span
from batchjobs.checkpoint import Checkpoint, SegmentRecord
from batchjobs.errors import ConfigurationError, DiskError
from batchjobs.files.run_folder import CHECKPOINT
from batchjobs.jobs import Status
from batchjobs.options import Options
from batchjobs.outputs import segments
from batchjobs.planning.intact import find_held_segments
from batchjobs.planning.make_plan import make_plan
from batchjobs.progress import SegmentFinished
from batchjobs.runner import RunEnd
from tests.builders import TO_VERSION_4, audio_message
from tests.clocks import PATIENCE_SECONDS
from tests.runner.books import PLAN, RUN, SHORT, run_book
from tests.runner.runs import RATE, job, speech_for
from tests.streams import Peer

pytestmark = pytest.mark.usefixtures("standing_clock")

SENTENCES = tuple(
    f"الجُملة رقم {number} من كتابٍ طويلٍ، وفيها كلامٌ كثيرٌ عن النجوم والبحار. "
    for number in range(400)
)


def book(*, paragraphs: int = 4, sentences: int = 12, first: int = 0) -> str:
    """A text of whole paragraphs."""
    taken = itertools.islice(SENTENCES, first, first + paragraphs * sentences)
    pages = ["".join(itertools.islice(taken, sentences)).rstrip() for _ in range(paragraphs)]
    return "\n\n".join(pages)


class Sold:
    """A service that speaks, and remembers every text that it was paid for."""

    def __init__(self, *, fails: Sequence[str] = (), slow: float = 0.0) -> None:
        self.texts: Counter[str] = Counter()
        self.fails = set(fails)
        self.slow = slow

    async def __call__(self, peer: Peer) -> None:
        """Speak one text."""
        await peer.begin()
        spoken = await peer.text()
        self.texts[spoken] += 1
        if any(part in spoken for part in self.fails):
            await peer.send({"type": "error", "errorCode": 40001, "errorMessage": "لا"})
            await peer.connection.aclose(1000)
            return
        await trio.sleep(self.slow)
        await peer.send(audio_message(speech_for(spoken), RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)


def expected(spoken: str, options: Options = PLAN) -> bytes:
    """The samples of a long text: its segments' and the silences between them."""
    pieces = text.split_segments(spoken, limit_characters=SHORT.text_limit_characters)
    whole = []
    for piece in pieces:
        seconds = options.sentence_pause_seconds
        if piece.ends_paragraph:
            seconds = options.paragraph_pause_seconds
        whole += [speech_for(piece.text), bytes(2 * round(seconds * RATE))]
    return b"".join(whole[:-1])


def heard(path: Path) -> bytes:
    """The samples of a file."""
    return bytes(soundfile.read(path, dtype="int16")[0].tobytes())


def pieces_of(spoken: str) -> set[str]:
    """The texts of a long text's segments."""
    return {
        p.text for p in text.split_segments(spoken, limit_characters=SHORT.text_limit_characters)
    }


@pytest.mark.parametrize("ending", ["wav", "flac"])
async def test_a_long_text_is_spoken_in_parts_and_put_together_exactly(
    tmp_path: Path, ending: str
) -> None:
    """Every sample of every segment, with the pauses between them and nothing else."""
    service = Sold()
    run = await run_book(tmp_path, [job("b", book(), output=f"b.{ending}")], service)
    assert run.end == RunEnd()
    record = run.records["b"]
    assert heard(tmp_path / record.output) == expected(book())
    assert record.frames == len(expected(book())) // 2
    assert record.segments == len(pieces_of(book())) == sum(service.texts.values()) > 5
    assert record.cost == len(book())
    assert record.evidence is not None
    assert record.evidence.sent_characters == len(book())
    assert not (tmp_path / "segments").exists()
    told_of = run.of(SegmentFinished)
    assert sorted(event.done for event in told_of) == list(range(1, record.segments + 1))


async def test_segments_run_side_by_side(tmp_path: Path) -> None:
    """One job fills all the sessions there may be; the longest segments begin first."""
    run = await run_book(tmp_path, [job("b", book())], Sold(slow=0.05))
    assert run.statuses == {"done": 1}
    assert run.service.most_open == RUN.concurrency


async def test_editing_one_sentence_buys_its_segment_only(tmp_path: Path) -> None:
    """The others are taken out of the file that is there."""
    edited = book().replace("الجُملة رقم 20 ", "الجُملة رقم عشرون ")
    await run_book(tmp_path, [job("b", book())], Sold())
    with Checkpoint.read(tmp_path) as checkpoint:
        rows = [job("b", edited)]
        plan = make_plan(
            rows, checkpoint=checkpoint, providers={"quick": SHORT}, options=PLAN, name="t.csv"
        )
    changed = pieces_of(edited) - pieces_of(book())
    assert plan.to_buy.sessions == len(changed)
    assert plan.to_buy.characters == sum(map(len, changed))
    service = Sold()
    run = await run_book(tmp_path, [job("b", edited)], service)
    assert set(service.texts) == changed
    assert len(changed) <= 3
    assert heard(tmp_path / run.records["b"].output) == expected(edited)


async def test_other_pauses_cost_nothing(tmp_path: Path) -> None:
    """The file is put together anew, out of itself."""
    await run_book(tmp_path, [job("b", book())], Sold())
    plan = replace(PLAN, sentence_pause_seconds=0.0, paragraph_pause_seconds=1.0)
    service = Sold()
    run = await run_book(
        tmp_path,
        [job("b", book())],
        service,
        plan_options=plan,
        run_options=replace(RUN, sentence_pause_seconds=0.0, paragraph_pause_seconds=1.0),
    )
    assert not service.texts
    assert heard(tmp_path / run.records["b"].output) == expected(book(), plan)


async def test_a_lossy_book_keeps_its_segments(tmp_path: Path) -> None:
    """What an MP3 holds is not what was bought: an edit takes the others from their own files."""
    await run_book(tmp_path, [job("b", book(), output="b.mp3")], Sold())
    assert len(list((tmp_path / "segments").iterdir())) == len(pieces_of(book()))
    edited = book().replace("الجُملة رقم 20 ", "الجُملة رقم عشرون ")
    service = Sold()
    run = await run_book(tmp_path, [job("b", edited, output="b.mp3")], service)
    assert set(service.texts) == pieces_of(edited) - pieces_of(book())
    assert run.statuses == {"done": 1}


async def test_one_failed_segment_fails_its_job_and_keeps_the_others(tmp_path: Path) -> None:
    """What was bought is not bought again when the failed ones are tried once more."""
    service = Sold(fails=["رقم 20 "])
    one = replace(RUN, concurrency=1)
    run = await run_book(tmp_path, [job("b", book())], service, run_options=one)
    assert run.records["b"].status is Status.FAILED
    assert run.records["b"].error_code == "40001"
    assert set(service.texts) < pieces_of(book())  # what had not begun was not begun any more
    bought = [spoken for spoken in service.texts if "رقم 20 " not in spoken]
    again = Sold()
    retry = replace(PLAN, retry_failed=True)
    run = await run_book(tmp_path, [job("b", book())], again, plan_options=retry)
    assert run.statuses == {"done": 1}
    assert set(again.texts) == pieces_of(book()) - set(bought)
    assert heard(tmp_path / run.records["b"].output) == expected(book())


async def test_equal_segments_are_bought_once(tmp_path: Path) -> None:
    """Twice in one text, and in two texts that run at the same time."""
    chorus = book(paragraphs=2)
    rows = [job("a", f"{chorus}\n\n{chorus}\n\n"), job("b", chorus + "\n\n" + book(first=100))]
    service = Sold(slow=0.01)
    run = await run_book(tmp_path, rows, service)
    assert run.statuses == {"done": 2}
    assert set(service.texts.values()) == {1}
    for row in rows:
        assert heard(tmp_path / run.records[row.id].output) == expected(row.text)


async def test_what_moves_away_while_two_books_look_for_it_is_bought(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One book finds segments and the other, a moment later, does not: both come to their end."""
    chorus = book(paragraphs=2)
    await run_book(tmp_path, [job("0", chorus, output="0.mp3")], Sold())
    one = job("a", chorus + "\n\n" + book(first=100))
    two = job("b", chorus + "\n\n" + book(first=200, paragraphs=8))
    both = threading.Barrier(2)

    def held(checkpoint: Checkpoint, keys: Sequence[str]) -> dict[str, SegmentRecord]:
        both.wait(timeout=PATIENCE_SECONDS)
        if len(keys) == len(pieces_of(one.text)):
            return find_held_segments(checkpoint, keys)
        time.sleep(0.2)
        return {}

    monkeypatch.setattr("batchjobs.runner.cutting.find_held_segments", held)
    proof = job("p")  # as long as the service may not be there, books come one by one
    run = await run_book(tmp_path, [proof, one, two], Sold())
    assert run.end == RunEnd()
    assert run.statuses == {"done": 3}
    for row in (one, two):
        assert heard(tmp_path / run.records[row.id].output) == expected(row.text)


async def test_two_equal_books_are_one_purchase(tmp_path: Path) -> None:
    """The second is a copy; and one that was bought by a failed neighbour still serves."""
    service = Sold()
    run = await run_book(tmp_path, [job("a", book()), job("b", book())], service)
    assert set(service.texts.values()) == {1}
    assert run.records["b"].copied_from == "a"
    assert heard(tmp_path / run.records["b"].output) == expected(book())


class Halting(Checkpoint):
    """A checkpoint whose disk fails when a job's record is to be written."""

    def commit(self, **entries: Any) -> list[int]:
        """Fail for finished jobs only."""
        if entries.get("records"):
            raise DiskError("gone")
        return super().commit(**entries)


async def test_a_kill_between_the_rename_and_the_commit_costs_nothing(tmp_path: Path) -> None:
    """The new file is in the place of the old: its segments are found in it."""
    edited = book().replace("الجُملة رقم 20 ", "الجُملة رقم عشرون ")
    await run_book(tmp_path, [job("b", book())], Sold())
    halted = Sold()
    run = await run_book(tmp_path, [job("b", edited)], halted, opener=Halting)
    assert isinstance(run.end.error, DiskError)
    assert heard(tmp_path / "audio" / "b.wav") == expected(edited)  # renamed, not committed
    service = Sold()
    run = await run_book(tmp_path, [job("b", edited)], service)
    assert not service.texts
    assert run.statuses == {"done": 1}
    assert heard(tmp_path / run.records["b"].output) == expected(edited)


async def test_a_damaged_segment_is_bought_again(tmp_path: Path) -> None:
    """A file of the right size with other samples is noticed when it is read."""
    service = Sold(fails=["رقم 40 "])
    await run_book(tmp_path, [job("b", book())], service)
    damaged = min((tmp_path / "segments").iterdir())
    content = damaged.read_bytes()
    damaged.write_bytes(content[:44] + content[:43:-1])
    again = Sold()
    retry = replace(PLAN, retry_failed=True)
    run = await run_book(tmp_path, [job("b", book())], again, plan_options=retry)
    assert run.statuses == {"done": 1}
    assert heard(tmp_path / run.records["b"].output) == expected(book())
    whole = service.texts + again.texts
    assert sorted(whole.values())[-2:] == [2, 2]  # the failed one, and the damaged one
    assert sorted(whole.values())[:-2] == [1] * (len(pieces_of(book())) - 2)


async def test_what_a_kill_leaves_in_the_folder_of_segments_is_swept(tmp_path: Path) -> None:
    """Only what is ours, and nobody needs: a stranger's file stays."""
    place = tmp_path / "segments"
    place.mkdir()
    (place / f".{'a' * 64}.wav.part").write_bytes(b"x")
    (place / f"{'b' * 64}.wav").write_bytes(b"x")
    (place / "mine.txt").write_bytes(b"x")
    await run_book(tmp_path, [job("b", book())], Sold())
    assert [path.name for path in place.iterdir()] == ["mine.txt"]


async def test_a_budget_counts_what_is_left_of_a_book(tmp_path: Path) -> None:
    """What the rows still need shrinks with every segment that is there."""
    service = Sold(fails=["رقم 20 "])
    await run_book(tmp_path, [job("b", book())], service)
    with Checkpoint.read(tmp_path) as checkpoint:
        plan = make_plan(
            [job("b", book())],
            checkpoint=checkpoint,
            providers={"quick": SHORT},
            options=replace(PLAN, retry_failed=True),
            name="t.csv",
        )
    bought = sum(len(spoken) for spoken in service.texts if "رقم 20 " not in spoken)
    assert plan.to_buy.characters == len(book()) - bought


async def test_a_checkpoint_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    """What it says is done stays done."""
    await run_book(tmp_path, [job("a")], Sold())
    with sqlite3.connect(tmp_path / CHECKPOINT) as database:
        database.executescript(
            TO_VERSION_4
            + """DROP TABLE segments; DROP INDEX attempts_lost;
               PRAGMA user_version = 1;
               DROP TABLE finished; DROP INDEX rows_id; DROP INDEX rows_place;
               ALTER TABLE rows DROP COLUMN segments; ALTER TABLE rows DROP COLUMN layout;"""
        )
    database.close()
    with pytest.raises(ConfigurationError, match="earlier version"):
        Checkpoint.read(tmp_path)
    service = Sold()
    run = await run_book(tmp_path, [job("a"), job("b", book())], service)
    assert run.statuses == {"done": 2}
    assert job("a").text not in service.texts


async def test_cancelled_while_it_is_put_together_a_book_costs_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file is left half written; the next run puts together what is there."""
    with trio.CancelScope() as scope:
        read = read_span

        def cancelling(*span: Any) -> Any:
            trio.from_thread.run_sync(scope.cancel)
            return read(*span)

        monkeypatch.setattr(segments, "read_span", cancelling)
        await run_book(tmp_path, [job("b", book())], Sold())
    assert scope.cancelled_caught
    assert not list((tmp_path / "audio").iterdir())
    monkeypatch.undo()
    service = Sold()
    run = await run_book(tmp_path, [job("b", book())], service)
    assert not service.texts
    assert heard(tmp_path / run.records["b"].output) == expected(book())
