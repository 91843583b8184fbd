"""Ids and places: derived, told apart, moved, and owned by one."""

import pytest

from batchjobs.checkpoint import Checkpoint
from batchjobs.planning.plan import BadRowsError
from tests.planning.desk import Desk, write_sound


def test_equal_rows_without_ids_are_jobs_of_their_own(desk: Desk) -> None:
    """Each has an id and a file; one that was not made yet is not done because its twin is."""
    table = [{"text": "سَلام"}, {"text": "سَلام"}, {"text": "other"}, {"text": "سَلام"}]
    made = desk.plan(table)
    first = next(iter(made))
    twins = [name for name in made if name.startswith(first)]
    assert sorted(twins) == [first, f"{first}-2", f"{first}-3"]
    assert [made[name] for name in sorted(twins)] == ["new", "follow", "follow"]
    with Checkpoint.open(desk.folder) as checkpoint:
        row = next(checkpoint.rows.stream_to_do(["new"]))
        assert desk.do(checkpoint, row, {})
    made = desk.plan(table)
    assert [made[name] for name in sorted(twins)] == ["done", "copy", "copy"]
    assert len(desk.run(table)) == 1
    assert set(desk.plan(table).values()) == {"done"}
    (desk.folder / "audio" / f"{first}-2.wav").unlink()
    made = desk.plan(table)
    assert [made[name] for name in sorted(twins)] == ["done", "copy", "done"]
    moved = [table[2], table[0], table[1], table[3]]
    desk.run(moved)
    assert set(desk.plan(moved).values()) == {"done"}


def test_a_derived_id_does_not_depend_on_its_place(desk: Desk) -> None:
    """A row without an id is the same job when rows come before it."""
    desk.run([{"text": "one"}, {"text": "two"}])
    assert list(desk.plan([{"text": "zero"}, {"text": "two"}, {"text": "one"}]).values()) == [
        "new",
        "done",
        "done",
    ]


def test_a_given_id_may_be_what_a_twin_would_be_called(desk: Desk) -> None:
    """A derived name that somebody uses is not used twice."""
    first = next(iter(desk.plan([{"id": "", "text": "one"}])))
    table = [
        {"id": "", "text": "one"},
        {"id": f"{first}-2", "text": "two"},
        {"id": "", "text": "one"},
    ]
    made = desk.plan(table)
    assert list(made) == [first, f"{first}-2", f"{first}-2-2"]


def test_ids_that_differ_in_case_get_files_that_do_not(desk: Desk) -> None:
    """No file system mixes them up, a second run has nothing to do, whatever the order."""
    names = ["Ali", "ali", "ALI", "مَثَل", "Straße", "STRASSE"]
    table = [{"id": name, "text": f"text {name}"} for name in names]
    assert set(desk.plan(table).values()) == {"new"}
    assert len(desk.run(table)) == 6
    files = {str(path.relative_to(desk.folder)) for path in desk.folder.glob("audio/*")}
    assert len({name.casefold() for name in files}) == 6
    assert set(desk.plan(table).values()) == {"done"}
    assert set(desk.plan(table[::-1]).values()) == {"done"}
    assert set(desk.plan(table[1:3]).values()) == {"done"}
    (desk.folder / "audio" / "Ali.wav").unlink()
    assert desk.run(table) == ["Ali"]


def test_case_twins_in_transcripts_keep_apart_too(desk: Desk) -> None:
    """Their text files and the JSON beside them are four files."""
    write_sound(desk.home / "a.wav")
    write_sound(desk.home / "b.wav", 2.0)
    table = [{"id": "x", "audio": "a.wav"}, {"id": "X", "audio": "b.wav"}]
    desk.run(table)
    assert len(list(desk.folder.glob("transcripts/*"))) == 8
    assert set(desk.plan(table).values()) == {"done"}


def test_an_explicit_output_has_one_owner(desk: Desk) -> None:
    """A second row with it, in any spelling, is told both lines."""
    table = [
        {"id": "a", "text": "one", "output": "x/ف.wav"},
        {"id": "b", "text": "two", "output": "X/ف.WAV"},
    ]
    with pytest.raises(BadRowsError) as caught:
        desk.plan(table)
    assert caught.value.rows[0].column == "output"
    assert "m.csv:3: column 'output': 'X/ف.WAV' is already the output of line 2" in str(
        caught.value
    )


def test_equal_rows_with_one_explicit_output_are_told(desk: Desk) -> None:
    """Without ids too, the second row is a bad row with its line, and can be skipped."""
    table = [{"text": "one", "output": "x.wav"}, {"text": "one", "output": "x.wav"}]
    with pytest.raises(BadRowsError) as caught:
        desk.plan(table)
    assert [(row.line, row.column) for row in caught.value.rows] == [(3, "output")]
    assert sorted(desk.plan(table, skip_bad_rows=True).values()) == ["bad", "new"]


def test_a_default_place_that_is_taken_gives_way_to_the_explicit_one(desk: Desk) -> None:
    """Whoever says where a result goes has it there; the other gets a name of its own."""
    table = [{"id": "a", "text": "one", "output": "audio/b.wav"}, {"id": "b", "text": "two"}]
    desk.run(table)
    assert set(desk.plan(table).values()) == {"done"}
    assert len(list(desk.folder.glob("audio/b*.wav"))) == 2
    taken = next(path for path in desk.folder.glob("audio/b-*.wav"))
    third = {"id": "c", "text": "three", "output": f"audio/{taken.name}"}
    with pytest.raises(BadRowsError, match="is already that of line 3"):
        desk.plan([table[0], third, table[1]])


def test_duplicate_ids_name_both_lines(desk: Desk) -> None:
    """An id given twice is told with the line that has it already."""
    table = [{"id": "ا", "text": "one"}, {"id": "b", "text": "two"}, {"id": "ا", "text": "three"}]
    with pytest.raises(BadRowsError) as caught:
        desk.plan(table)
    assert "m.csv:4: column 'id': the id 'ا' is already used on line 2" in str(caught.value)
    assert caught.value.exit_code == 65
    made = desk.plan(table, skip_bad_rows=True)
    assert made == {"ا": "new", "b": "new", "ا-line-4": "bad"}


def test_bad_rows_with_one_name_are_told_apart(desk: Desk) -> None:
    """Equal bad rows, and good rows named as they would be, all have their answers."""
    table = [
        {"id": "a", "text": ""},
        {"id": "a", "text": ""},
        {"id": "a-line-4", "text": "good"},
        {"id": "a", "text": ""},
        {"id": "", "text": "\u00a0"},
        {"id": "", "text": "\u00a0"},
    ]
    made = desk.plan(table, skip_bad_rows=True)
    assert len(made) == 6
    assert made["a-line-4"] == "new"
    assert list(made.values()).count("bad") == 5
    table[1]["id"] = "a-line-5"
    assert len(desk.plan(table, skip_bad_rows=True)) == 6


def test_a_result_is_no_folder_of_another(desk: Desk) -> None:
    """In either order, and whatever the case: told before anything is spent."""
    table = [
        {"id": "a", "text": "one", "output": "deep/X.wav/y.wav/z.wav"},
        {"id": "b", "text": "two", "output": "deep/x.wav"},
        {"id": "c", "text": "three", "output": "fine.wav/c.wav"},
        {"id": "d", "text": "four", "output": "deep/x.wav/d.mp3"},
    ]
    with pytest.raises(BadRowsError) as caught:
        desk.plan(table)
    assert [row.id for row in caught.value.rows] == ["a", "d"]
    assert "'deep/x.wav' is the output of line 3" in str(caught.value)
    assert set(desk.run(table, skip_bad_rows=True)) == {"b", "c"}
