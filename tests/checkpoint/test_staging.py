"""Rows are staged apart from the last ones, and sums are taken of them."""

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from batchjobs.checkpoint import Checkpoint
from batchjobs.jobs import Job, Kind, SpeechSettings
from tests.builders import ARABIC, make_failed_record, make_record, make_row


def test_staged_rows_wait_apart_from_the_last_runs(folder: Path) -> None:
    """Until a plan is adopted the last one stands; then the new one does, settings too."""
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.staging.begin()
        checkpoint.staging.add([make_row(1), make_row(2)])
        checkpoint.staging.adopt({"manifest": ARABIC, "x": "1"})
        checkpoint.staging.begin()
        checkpoint.staging.add([make_row(1, id=ARABIC, job=ARABIC.encode())])
        assert [row.id for row in checkpoint.rows.stream_to_do(["new"])] == ["r1", "r2"]
        checkpoint.staging.adopt({"x": "2"})
        assert checkpoint.read_settings() == {"manifest": ARABIC, "x": "2"}
        rows = list(checkpoint.rows.stream_to_do(["new"]))
    assert rows == [make_row(1, id=ARABIC, job=ARABIC.encode())]
    with Checkpoint.read(folder) as reader:
        assert list(reader.rows.stream_to_do(["new"])) == rows


def test_taken_ids_and_places_come_back_with_their_holders(folder: Path) -> None:
    """Within a batch and across batches, the first keeps its id and place; bad rows share none."""
    with Checkpoint.none(folder) as checkpoint:
        checkpoint.staging.begin()
        bad = [make_row(number, place=None, output="") for number in (8, 9)]
        taken_id = make_row(2, id="r1", place="other")
        taken_place = make_row(3, place="audio/r1.wav")
        both = make_row(4, id="r1", place="audio/r5.wav")
        five = make_row(5)
        late = make_row(6, place="audio/r5.wav")
        checkpoint.staging.add([make_row(1), taken_id, five, taken_place])
        checkpoint.staging.add([both, late, *bad])
        assert checkpoint.staging.find_twins() == [2, 3, 4, 5, 6]
        assert checkpoint.staging.take(2) == (taken_id, make_row(1))
        assert checkpoint.staging.take(3) == (taken_place, make_row(1))
        assert checkpoint.staging.take(4) == (both, make_row(1))
        assert checkpoint.staging.take(5) == (five, None)  # what had its place has gone
        checkpoint.staging.add([five])
        assert checkpoint.staging.take(6) == (late, five)
        assert sum(total[3] for total in checkpoint.staging.sum_rows()) == 4
        assert checkpoint.staging.add_if_free(late) == five
        assert checkpoint.staging.add_if_free(make_row(6)) is None
        assert checkpoint.staging.take(6) == (make_row(6), None)


@pytest.mark.parametrize("text", [ARABIC, '"speech":{"voice_id":"no"},"audio":"', '\\"speech":{}'])
def test_voices_are_counted_whatever_texts_say(folder: Path, text: str) -> None:
    """What looks like a job's own fields in an id, a text, a voice or a row of it is none of them."""
    speech = SpeechSettings(voice_id=text, model_id="m")
    jobs = [
        Job(id=text, line=1, kind=Kind.TTS, provider=text, text=text, speech=each, row={text: text})
        for each in (speech, speech, replace(speech, speed=1.1), replace(speech, voice_id="v"))
    ]
    heard = Job(id=text, line=1, kind=Kind.STT, provider="p", audio=f"/{text}", reference=text)
    rows = [make_row(n, job=msgspec.json.encode(job)) for n, job in enumerate(jobs, 1)]
    with Checkpoint.none(folder) as checkpoint:
        checkpoint.staging.begin()
        checkpoint.staging.add([*rows, make_row(5, kind="stt", job=msgspec.json.encode(heard))])
        checkpoint.staging.add([make_row(6, action="done", job=rows[0].job)])
        for _ in range(2):
            found = checkpoint.staging.count_voices(["new"])
            assert [(use.kind, use.model, use.voice, use.rows) for use in found] == sorted(
                [("tts", "m", text, 3), ("stt", "", "", 1), ("tts", "m", "v", 1)],
                key=lambda use: (-use[-1], use),
            )


def test_sums_are_per_action_kind_and_provider(folder: Path) -> None:
    """Staged rows are counted with their characters and seconds."""
    with Checkpoint.none(folder) as checkpoint:
        checkpoint.staging.begin()
        checkpoint.staging.add(
            [make_row(1), make_row(2), make_row(3, provider="munsit"), make_row(4, action="done")]
        )
        checkpoint.staging.add([make_row(5, kind="stt", characters=0, seconds=2.5)])
        assert sorted(checkpoint.staging.sum_rows()) == [
            ("done", "tts", "local", 1, 10, 0.0, 1),
            ("new", "stt", "local", 1, 0, 2.5, 1),
            ("new", "tts", "local", 2, 20, 0.0, 2),
            ("new", "tts", "munsit", 1, 10, 0.0, 1),
        ]


@pytest.mark.parametrize(
    ("endings", "actions"),
    [
        ("wav wav wav", "new follow follow"),
        ("wav flac mp3 ogg", "new follow follow follow"),
        ("mp3 wav mp3 flac", "follow new follow follow"),
        ("mp3 mp3 ogg ogg", "new follow new follow"),
        ("MP3 mp3 Wav", "follow follow new"),
        ("txt txt", "new follow"),
    ],
)
def test_one_purchase_serves_every_format_that_can_be_made_of_it(
    folder: Path, endings: str, actions: str
) -> None:
    """The exact format is bought wherever it stands, others follow if a copy can serve them."""
    with Checkpoint.none(folder) as checkpoint:
        checkpoint.staging.begin()
        rows = [
            make_row(number, key="k", output=f"{number}.{ending}")
            for number, ending in enumerate(endings.split(), 1)
        ]
        checkpoint.staging.add([*rows, make_row(8), make_row(9, key="k", action="done")])
        checkpoint.staging.mark_followers(["new", "changed"], "follow")
        with checkpoint._database.use() as database:
            query = "SELECT action FROM temp.staged ORDER BY position"
            found = [row[0] for row in database.execute(query)]
    assert " ".join(found) == f"{actions} new done"


def test_beyond_a_limit_rows_wait(folder: Path) -> None:
    """The first rows to do are left, the others with these actions wait."""
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.staging.begin()
        checkpoint.staging.add(
            [make_row(n, action="done" if n % 2 else "new") for n in range(1, 9)]
        )
        checkpoint.staging.postpone_beyond(["new", "changed"], 3)
        checkpoint.staging.adopt({})
        assert [row.position for row in checkpoint.rows.stream_to_do(["new"])] == [2, 4, 6]
        assert [row.position for row in checkpoint.rows.stream_to_do(["later"])] == [8]


def test_orphans_are_finished_jobs_without_a_row(folder: Path) -> None:
    """A failed job that has left the manifest is no orphan."""
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.commit(records=[make_record(1), make_record(2), make_failed_record(3)])
        checkpoint.staging.begin()
        checkpoint.staging.add([make_row(1)])
        assert checkpoint.staging.count_orphans() == 1


def test_orphans_are_remembered_until_something_changes(folder: Path) -> None:
    """They are kept with the report, for a manifest that comes again as it was."""

    def count(checkpoint: Checkpoint) -> int:
        checkpoint.staging.begin(keeps_rest=True)
        orphans = checkpoint.staging.count_orphans()
        checkpoint.staging.adopt({})
        return orphans

    with Checkpoint.open(folder) as checkpoint:
        checkpoint.commit(records=[make_record(1), make_record(2)])
        checkpoint.staging.begin()
        checkpoint.staging.add([make_row(1, action="done")])
        checkpoint.staging.adopt({})
        checkpoint.keep_report("as it is")
        assert [count(checkpoint), count(checkpoint)] == [1, 1]
        with checkpoint._database.transaction() as connection:
            connection.execute("DELETE FROM jobs WHERE id = 'r2'")
        assert count(checkpoint) == 1  # it is remembered, indeed
        checkpoint.commit(records=[make_record(3), make_record(4)])
        assert count(checkpoint) == 2
        checkpoint.keep_report("as it is now")
        assert [count(checkpoint), count(checkpoint)] == [2, 2]
