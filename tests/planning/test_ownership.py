"""Files of others are never overwritten, and ours are known for ours."""

import pytest

from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import OutputError
from batchjobs.files import run_folder
from batchjobs.files.atomic import publish
from batchjobs.jobs import BadRow, Job
from batchjobs.options import Options
from batchjobs.outputs import writing
from batchjobs.planning.plan import BadRowsError
from batchjobs.planning.row_builder import RowBuilder
from batchjobs.providers import BUILT_IN
from batchjobs.storage.input_files import InputFiles
from tests.builders import make_start
from tests.planning.desk import SPOKEN, Desk, text_rows, write_sound


@pytest.mark.parametrize("name", ["audio/r1.wav", "audio/r2.wav"])
def test_a_foreign_file_is_never_overwritten(desk: Desk, name: str) -> None:
    """What somebody else put where a result goes stops the run before anything is spent."""
    path = desk.folder / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(OutputError) as caught:
        desk.run(text_rows("one", "one"))
    assert caught.value.exit_code == 73
    assert str(path) in caught.value.message
    assert "--output" in caught.value.hint
    assert path.read_bytes() == b"mine"


def test_a_foreign_transcript_is_not_overwritten_on_either_side(desk: Desk) -> None:
    """The JSON beside a transcript is looked at as well as the text."""
    write_sound(desk.home / "a.wav")
    path = desk.folder / "notes" / "a.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"a\.json"):
        desk.run([{"id": "a", "audio": "a.wav", "output": "notes/a.txt"}])
    path.unlink()
    assert desk.run([{"id": "a", "audio": "a.wav", "output": "notes/a.txt"}]) == ["a"]


@pytest.mark.parametrize("name", run_folder.REPORTS)
def test_foreign_reports_are_not_overwritten(desk: Desk, name: str) -> None:
    """A first run in a folder with somebody's own results.jsonl stops; a later one has its own."""
    desk.folder.mkdir(parents=True)
    (desk.folder / name).write_bytes(b"mine")
    with pytest.raises(OutputError, match=name):
        desk.run(text_rows("one"))
    (desk.folder / name).unlink()
    desk.run(text_rows("one"))
    (desk.folder / name).write_bytes(b"ours")
    assert desk.plan(text_rows("one")) == {"r1": "done"}


def test_a_twins_place_is_looked_at_too(desk: Desk) -> None:
    """A row that gets another name is checked where it really goes."""
    table = [{"text": "one"}, {"text": "one"}]
    first = next(iter(desk.plan(table[:1])))
    path = desk.folder / "audio" / f"{first}-2.wav"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match=f"{first}-2.wav"):
        desk.run(table)
    assert path.read_bytes() == b"mine"


def test_an_edited_output_does_not_make_a_foreign_file_ours(desk: Desk) -> None:
    """That a job has run before gives it no right to another path."""
    desk.run([{"id": "a", "text": "one"}])
    (desk.folder / "mine.wav").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"mine\.wav"):
        desk.run([{"id": "a", "text": "one", "output": "mine.wav"}])


def test_a_left_over_of_our_own_is_accepted(desk: Desk) -> None:
    """A run killed between rename and commit left its file: the next one makes it again."""
    table = text_rows("one", "one", "three")
    desk.plan(table)
    with Checkpoint.open(desk.folder) as checkpoint:
        row = next(checkpoint.rows.stream_to_do(["new"]))
        start = make_start(key=row.key, job=row.id, provider=row.provider)
        checkpoint.commit(starts=[start])
        for name in ("r1", "r2"):
            publish(writing.write_speech(desk.folder, f"audio/{name}.wav", SPOKEN, 24_000).targets)
    assert desk.plan(table) == {"r1": "new", "r2": "follow", "r3": "new"}
    assert desk.run(table) == ["r1", "r3"]


def test_an_output_that_moves_and_moves_back_is_ours_all_the_way(desk: Desk) -> None:
    """Copies of copies too: no file of a run ever stops it."""
    table: list[dict[str, str]] = [{**row, "output": ""} for row in text_rows("same", "same")]
    desk.run(table)
    table[1]["output"] = "else/where.wav"
    assert desk.run(table) == []
    table[1]["output"] = ""
    assert desk.run(table) == []
    assert set(desk.plan(table).values()) == {"done"}


def test_a_link_out_of_the_run_folder_is_a_bad_row(desk: Desk) -> None:
    """A folder or file inside that leads out is not written through, by default names or given."""
    outside = desk.home / "outside"
    outside.mkdir()
    desk.folder.mkdir(parents=True)
    (desk.folder / "audio").symlink_to(outside)
    (desk.folder / "x.wav").symlink_to(desk.home / "secret")
    with pytest.raises(BadRowsError) as caught:
        desk.plan([{"id": "a", "text": "one"}, {"id": "b", "text": "two", "output": "x.wav"}])
    assert [row.column for row in caught.value.rows] == ["id", "output"]
    assert list(outside.iterdir()) == []


def test_a_link_that_comes_back_in_opens_no_way_out(desk: Desk) -> None:
    """A folder that leads out is refused for every row, also after a file in it led back in."""
    outside = desk.home / "outside"
    outside.mkdir()
    (desk.folder / "in").mkdir(parents=True)
    (outside / "back.wav").symlink_to(desk.folder / "in" / "a.wav")
    (desk.folder / "out").symlink_to(outside)
    (desk.folder / "in" / "b.wav").symlink_to(outside / "secret")
    table = [
        {"id": "a", "text": "one", "output": "out/back.wav"},
        {"id": "b", "text": "two", "output": "out/x.wav"},
        {"id": "c", "text": "three", "output": "in/c.wav"},
        {"id": "d", "text": "four", "output": "in/d.wav"},
        {"id": "e", "text": "five", "output": "in/b.wav"},
        {"id": "f", "text": "six", "output": "in/d.wav/x.wav"},
    ]
    (desk.folder / "in" / "d.wav").write_bytes(b"mine")
    with Checkpoint.none(desk.folder) as checkpoint:
        builder = RowBuilder(checkpoint, BUILT_IN, Options(), InputFiles())
        jobs = [job for job in desk.rows(table) if isinstance(job, Job)]
        made = [builder.build(job, number) for number, job in enumerate(jobs)]
    assert [row.id for row in made if isinstance(row, BadRow)] == ["b", "e", "f"]
