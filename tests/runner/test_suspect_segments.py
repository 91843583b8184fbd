"""A long job with a segment in doubt is suspect as a whole, and edited like any other."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

import batchjobs
from batchjobs.jobs import Status
from tests.builders import audio_message
from tests.runner.runs import OPTIONS, QUICK, RATE, job, run_rows, speech_for
from tests.streams import Peer
from tests.suspects import AGAIN, kept_files

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
        await peer.send(audio_message(pcm[: int(len(pcm) * share) // 2 * 2], RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    return talk


async def test_a_long_job_with_a_segment_in_doubt_is_suspect_as_a_whole(tmp_path: Path) -> None:
    """All that there is is put together and kept, with the place in time of what is doubtful."""
    rows = [job("book", "\n\n".join(SENTENCES))]
    run = await run_rows(tmp_path, rows, sentence_shares({1: [0.1, 0.1]}), provider=BY_SENTENCE)
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
    again = await run_rows(tmp_path, rows, provider=BY_SENTENCE)
    assert not again.service.streams
    settings = replace(OPTIONS, retry_failed=True)
    again = await run_rows(
        tmp_path,
        rows,
        sentence_shares({}),
        provider=BY_SENTENCE,
        plan_options=AGAIN,
        run_options=settings,
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
    await run_rows(tmp_path, rows, sentence_shares({1: [0.1, 0.1]}), provider=BY_SENTENCE)
    assert batchjobs.accept(tmp_path, ["book"]).accepted == ("book",)
    assert not (tmp_path / "suspect").exists()
    edited = [job("book", "\n\n".join([*SENTENCES[:2], "جملة أخرى تماما في آخر هذا النص القصير."]))]
    run = await run_rows(tmp_path, edited, provider=BY_SENTENCE)
    assert len(run.service.streams) == 1
    assert run.statuses == {"done": 1}
    third = run.records["book"]
    assert not third.doubts


async def test_what_is_kept_of_a_long_job_stays_its_home_in_an_exact_format(tmp_path: Path) -> None:
    """A row that wants MP3 by now holds no samples: the segments stay where they are exactly."""
    rows = [job("book", "\n\n".join(SENTENCES))]
    await run_rows(tmp_path, rows, sentence_shares({1: [0.1, 0.1]}), provider=BY_SENTENCE)
    mp3 = replace(AGAIN, audio_format="mp3")
    settings = replace(OPTIONS, retry_failed=True)
    run = await run_rows(
        tmp_path, rows, provider=BY_SENTENCE, plan_options=mp3, run_options=settings
    )
    assert (len(run.service.streams), run.statuses) == (1, {"done": 1})
    edited = [job("book", "\n\n".join([*SENTENCES[:2], "جملة أخرى تماما في آخر هذا النص القصير."]))]
    run = await run_rows(tmp_path, edited, provider=BY_SENTENCE, plan_options=replace(mp3))
    assert len(run.service.streams) == 1


async def test_a_good_segment_goes_before_one_in_doubt(tmp_path: Path) -> None:
    """Wherever they are: what was bought better for one book is not in doubt in its next edition."""
    first = job("zz", "\n\n".join(SENTENCES[:2]), output="zz/b1.wav")
    second = job("b2", "\n\n".join([SENTENCES[1], SENTENCES[2]]), output="audio/b2.wav")
    await run_rows(tmp_path, [first, second], sentence_shares({1: [0.1] * 4}), provider=BY_SENTENCE)
    settings = replace(OPTIONS, retry_failed=True)
    run = await run_rows(
        tmp_path, [first], provider=BY_SENTENCE, plan_options=AGAIN, run_options=settings
    )
    assert run.records["zz"].status is Status.DONE
    edited = structs.replace(first, text="\n\n".join([SENTENCES[2], SENTENCES[1]]))
    run = await run_rows(tmp_path, [edited], provider=BY_SENTENCE)
    assert run.records["zz"].status is Status.DONE


async def test_an_edit_elsewhere_leaves_a_segment_in_doubt(tmp_path: Path) -> None:
    """Nothing was accepted: it is not bought again by the way, and the job stays suspect."""
    rows = [job("book", "\n\n".join(SENTENCES))]
    await run_rows(tmp_path, rows, sentence_shares({1: [0.1, 0.1]}), provider=BY_SENTENCE)
    edited = [job("book", "\n\n".join([*SENTENCES[:2], "جملة أخرى تماما في آخر هذا النص القصير."]))]
    run = await run_rows(tmp_path, edited, provider=BY_SENTENCE)
    assert len(run.service.streams) == 1
    assert run.statuses == {"suspect": 1}
    assert len(kept_files(tmp_path)) == 1
