"""Plans over real manifests, checkpoints and files: what a run would do, and why."""

import pytest

from batchjobs.checkpoint import Checkpoint
from batchjobs.options import Options
from batchjobs.planning.make_plan import make_plan
from batchjobs.planning.plan import BadRowsError
from tests.planning.desk import Desk, text_rows


def test_a_first_run_is_all_new_and_a_second_has_nothing_to_do(desk: Desk) -> None:
    """What is finished is not touched again."""
    table = text_rows("واحِد", "two", "ثَلَاثَة ٣")
    assert desk.plan(table) == {"r1": "new", "r2": "new", "r3": "new"}
    assert desk.run(table) == ["r1", "r2", "r3"]
    assert desk.plan(table) == {"r1": "done", "r2": "done", "r3": "done"}
    assert desk.run(table) == []


def test_only_what_an_edit_changed_runs_again(desk: Desk) -> None:
    """A diacritic, a joiner, a tatweel, a voice, a speed: each makes its row another purchase."""
    table: list[dict[str, object]] = [
        {"id": f"r{n}", "text": f"سلام {n}", "voice_id": "v", "speed": "1.0", "note": "a"}
        for n in range(8)
    ]
    desk.run(table)
    table[1]["text"] = "سلامٌ 1"
    table[2]["text"] = "سلا\u200cم 2"
    table[3]["text"] = "سلـام 3"
    table[4]["voice_id"] = "w"
    table[5]["speed"] = "1.1"
    table[6]["speed"] = "1"
    table[7]["note"] = "another"
    expected = ["done", *["changed"] * 5, "done", "done"]
    assert list(desk.plan(table).values()) == expected
    assert desk.run(table) == ["r1", "r2", "r3", "r4", "r5"]


def test_order_and_neighbours_do_not_matter(desk: Desk) -> None:
    """Rows that move, come and go leave the others as they are."""
    table = text_rows("one", "two", "three", "four")
    desk.run(table)
    changed = [{"id": "x", "text": "new"}, table[3], table[0], {"id": "y", "text": "new too"}]
    assert desk.plan(changed) == {"x": "new", "r4": "done", "r1": "done", "y": "new"}
    with Checkpoint.read(desk.folder) as checkpoint:
        assert desk.made(changed, checkpoint).orphans == 2


def test_failures_are_retried_if_they_may_pass_and_kept_if_not(desk: Desk) -> None:
    """A passing failure is tried again by itself, a lasting one when asked, a changed one always."""
    table = text_rows("one", "two", "three")
    desk.run(table, failing={"r1": True, "r2": False})
    assert desk.plan(table) == {"r1": "retry", "r2": "kept", "r3": "done"}
    assert desk.plan(table, retry_failed=True) == {"r1": "retry", "r2": "retry", "r3": "done"}
    table[1]["text"] = "other"
    assert desk.plan(table)["r2"] == "changed"


@pytest.mark.parametrize("harm", ["gone", "short", "folder", "link"])
def test_a_result_that_is_gone_or_damaged_is_made_again(desk: Desk, harm: str) -> None:
    """A missing file, another size, a folder or a link in its place: bought once more."""
    table = text_rows("one", "two")
    desk.run(table)
    path = desk.folder / "audio" / "r1.wav"
    path.rename(desk.home / "away")
    if harm == "short":
        path.write_bytes(b"x")
    elif harm == "folder":
        path.mkdir()
        with pytest.raises(BadRowsError, match="not a plain file"):
            desk.plan(table)
        return
    elif harm == "link":
        path.symlink_to(desk.folder / "audio" / "r2.wav")
        (desk.folder / "audio" / "r2.wav").write_bytes(b"xx")
    assert desk.plan(table)["r1"] == "remake"
    assert "r1" in desk.run(table)


def test_a_damaged_result_with_a_whole_twin_is_copied(desk: Desk) -> None:
    """What another row still has is not bought again."""
    table = text_rows("same", "same")
    assert desk.run(table) == ["r1"]
    (desk.folder / "audio" / "r1.wav").unlink()
    assert desk.plan(table) == {"r1": "copy", "r2": "done"}
    (desk.folder / "audio" / "r2.wav").unlink()
    assert desk.plan(table) == {"r1": "remake", "r2": "follow"}
    assert desk.run(table) == ["r1"]


def test_equal_rows_are_bought_once_unless_they_are_different_takes(desk: Desk) -> None:
    """The first buys, the others follow; a take of its own is a purchase of its own."""
    table = [
        {"id": "a", "text": "هَلَا", "take": ""},
        {"id": "b", "text": "هَلَا", "take": "0"},
        {"id": "c", "text": "هَلَا", "take": "1"},
        {"id": "d", "text": "هلا", "take": ""},
    ]
    assert desk.plan(table) == {"a": "new", "b": "follow", "c": "new", "d": "new"}
    assert desk.run(table) == ["a", "c", "d"]
    more = [*table, {"id": "e", "text": "هَلَا", "take": "1"}]
    assert desk.plan(more)["e"] == "copy"
    assert desk.run(more) == []
    assert desk.plan([{"id": "z", "text": "هَلَا"}]) == {"z": "copy"}


def test_a_failed_row_takes_what_another_has_bought_since(desk: Desk) -> None:
    """The same text done for another row settles a failure without a session."""
    table = text_rows("same")
    desk.run(table, failing={"r1": False})
    desk.run([{"id": "other", "text": "same"}])
    assert desk.plan(table) == {"r1": "copy"}


def test_a_copy_is_planned_only_if_it_can_be_made(desk: Desk) -> None:
    """From WAV to MP3 costs nothing; from MP3 to WAV is a purchase, and priced as one."""
    desk.run([{"id": "a", "text": "one", "output": "a.wav"}])
    assert desk.plan([{"id": "a", "text": "one", "output": "a.mp3"}]) == {"a": "copy"}
    assert desk.run([{"id": "a", "text": "one", "output": "a.mp3"}]) == []
    assert desk.plan([{"id": "a", "text": "one", "output": "b.mp3"}]) == {"a": "copy"}
    assert desk.plan([{"id": "a", "text": "one", "output": "b.wav"}]) == {"a": "remake"}
    assert desk.plan([{"id": "b", "text": "one", "output": "b.wav"}]) == {"b": "new"}


def test_of_equal_rows_the_exact_format_is_bought(desk: Desk) -> None:
    """An MP3 row follows a WAV row wherever the two stand: one purchase."""
    table = [
        {"id": "a", "text": "one", "output": "a.mp3"},
        {"id": "b", "text": "one", "output": "b.flac"},
        {"id": "c", "text": "one", "output": "c.wav"},
    ]
    assert desk.plan(table) == {"a": "follow", "b": "new", "c": "follow"}
    assert desk.run(table) == ["b"]
    assert list(desk.plan(table).values()) == ["done"] * 3


def test_undoing_an_edit_that_failed_buys_nothing(desk: Desk) -> None:
    """What was paid for before an unlucky edit is still there when the edit is undone."""
    table = [{"id": "a", "text": "one", "speed": "1"}]
    desk.run(table)
    typo = [{"id": "a", "text": "one", "speed": "9"}]
    assert desk.run(typo, skip_bad_rows=True) == []
    assert desk.plan(table) == {"a": "copy"}
    assert desk.run(table) == []
    desk.run(text_rows("x") and [{"id": "a", "text": "other"}], failing={"a": False})
    assert desk.run(table) == []
    assert desk.plan(table) == {"a": "done"}


def test_long_texts_are_not_gathered_by_hundreds(desk: Desk) -> None:
    """What rows take in memory while they are planned does not grow with their texts."""
    seen: list[int] = []
    with Checkpoint.none(desk.folder) as checkpoint:
        make_plan(
            desk.rows(text_rows(*(f"{number} {'نَصّ ' * 20_000}" for number in range(15)))),
            checkpoint=checkpoint,
            providers=desk.providers,
            options=Options(),
            name="m.csv",
            progress=seen.append,
        )
    assert seen == [10, 15]
