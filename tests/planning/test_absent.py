"""Recordings that move out of an archive: what is done of them stays, and the others go on."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import batchjobs
from batchjobs.checkpoint import Checkpoint
from batchjobs.jobs import Kind
from batchjobs.planning.plan import Action, BadRowsError
from tests.builders import make_record, make_tone, write_recording
from tests.calls import speak, write_channels
from tests.planning.desk import Desk, write_sound

TABLE = [{"id": name, "audio": f"{name}.wav"} for name in ("قديم", "b", "c")]


def _recorded(desk: Desk) -> Desk:
    for number, row in enumerate(TABLE, start=1):
        write_sound(desk.home / row["audio"], number / 4)
    return desk


def test_a_recording_that_has_moved_away_blocks_no_other(desk: Desk) -> None:
    """Its transcript stays done, by whatever way the manifest is looked at; a new one is heard."""
    _recorded(desk)
    assert len(desk.run(TABLE)) == 3
    (desk.home / "قديم.wav").unlink()
    write_sound(desk.home / "new.wav", 2.0)
    table = [*TABLE, {"id": "new", "audio": "new.wav"}]
    assert desk.run(table) == ["new"]
    for _ in range(2):
        with Checkpoint.open(desk.folder) as checkpoint:
            made = desk.made(table, checkpoint)
            assert made.by_action[Action.DONE].rows == 4
            assert (made.absent, made.to_do, made.bad_rows) == (1, 0, ())
            assert made.absent_rows[0].line == 2
            assert "there is no file 'قديم.wav'" in made.absent_rows[0].message
            assert "bring it back" in made.absent_rows[0].hint


def test_one_that_is_to_be_heard_otherwise_is_not_done(desk: Desk) -> None:
    """What was heard of all its channels is not what was said on one; it waits until it is back."""
    write_channels(desk.home / "call.wav", speak("نعم"), speak("لا"))
    call = {"id": "call", "audio": "call.wav"}
    assert desk.run([call]) == ["call"]
    left = call | {"channels": "left"}
    assert desk.plan([left]) == {"call": "changed"}
    (desk.home / "call.wav").rename(desk.home / "away")
    assert desk.plan([call]) == {"call": "done"}
    assert desk.plan([left]) == {"call": "bad"}
    (desk.home / "away").rename(desk.home / "call.wav")
    assert desk.plan([left]) == {"call": "changed"}


def test_one_that_was_read_and_not_heard_fails_alone(desk: Desk) -> None:
    """In every later plan too, until it is back; then it is heard."""
    _recorded(desk)
    desk.plan(TABLE)
    (desk.home / "b.wav").rename(desk.home / "away")
    assert desk.run(TABLE) == ["قديم", "c"]
    for _ in range(2):
        assert desk.plan(TABLE) == {"قديم": "done", "b": "bad", "c": "done"}
    (desk.home / "away").rename(desk.home / "b.wav")
    assert desk.run(TABLE) == ["b"]


def test_one_that_was_never_read_is_a_bad_row_as_ever(desk: Desk) -> None:
    """It may be a mistyped path, also where the id is known: nothing is spent."""
    _recorded(desk)
    assert len(desk.run(TABLE)) == 3
    mistyped = [*TABLE[:2], {"id": "c", "audio": "cc.wav"}]
    with Checkpoint.open(desk.folder) as checkpoint, pytest.raises(BadRowsError, match=r"cc\.wav"):
        desk.made(mistyped, checkpoint)


def test_one_that_a_scan_has_read_fails_alone(tmp_path: Path) -> None:
    """Its row has the length that was read: the path is no mistake, and the others need not wait."""
    (tmp_path / "r").mkdir()
    for name in "abc":
        write_recording(tmp_path / "r" / f"{name}.wav", make_tone(0.5 + ord(name) / 1_000))
    manifest, options = tmp_path / "m.jsonl", batchjobs.Options(output=tmp_path / "run")
    batchjobs.scan(tmp_path / "r", manifest, settle_seconds=0)
    (tmp_path / "r" / "b.wav").unlink()
    made = batchjobs.plan(manifest, options)
    assert [made.by_action[action].rows for action in (Action.NEW, Action.BAD)] == [2, 1]
    assert (made.absent, made.tells_all) == (1, False)
    assert made.absent_rows[0].describe("m").startswith("m:2: column 'audio': there is no file")
    rows = manifest.read_bytes().splitlines()
    for spoilt in (b'"0.597"', b"true", b"0", b"null"):
        changed = re.sub(rb'"seconds":[0-9.]+', b'"seconds":' + spoilt, rows[1])
        manifest.write_bytes(b"\n".join([rows[0], changed, rows[2]]))
        with pytest.raises(BadRowsError, match=r"m\.jsonl:2: .*b\.wav"):
            batchjobs.plan(manifest, options)


@pytest.mark.parametrize("what", ["damaged", "a folder", "a link out"])
def test_one_that_cannot_be_read_any_more_is_gone_too(desk: Desk, what: str) -> None:
    """What stands in its place now is neither read nor followed, and is told."""
    _recorded(desk)
    desk.run(TABLE)
    path = desk.home / "b.wav"
    path.unlink()
    if what == "damaged":
        path.write_bytes(b"RIFFxxxx")
    elif what == "a folder":
        path.mkdir()
    else:
        path.symlink_to("/etc/hostname")
    with Checkpoint.open(desk.folder) as checkpoint:
        made = desk.made(TABLE, checkpoint)
    assert (made.by_action[Action.DONE].rows, made.absent, made.to_do) == (3, 1, 0)


def test_its_result_is_copied_for_rows_that_ask_the_same(desk: Desk) -> None:
    """Its content is what was bought, under whatever name."""
    _recorded(desk)
    desk.run(TABLE)
    (desk.home / "b.wav").unlink()
    table = [{"id": "other name", "audio": "b.wav"}, TABLE[0], TABLE[2]]
    assert desk.plan(table) == {"other name": "copy", "قديم": "done", "c": "done"}
    assert desk.run(table) == []


def test_what_is_kept_in_doubt_of_it_stays(desk: Desk) -> None:
    """It was paid for, and nothing better is to be had."""
    _recorded(desk)
    desk.run(TABLE)
    with Checkpoint.open(desk.folder) as checkpoint:
        done = checkpoint.lookups.find(["b"])["b"]
        suspect = make_record(id="b", key=done.key, kind=Kind.STT, status="suspect")
        suspect = replace(suspect, output=done.output, files=done.files, is_passing=True)
        checkpoint.commit(records=[suspect])
    assert desk.plan(TABLE)["b"] == "retry"
    (desk.home / "b.wav").unlink()
    assert desk.plan(TABLE)["b"] == "suspect"


def test_one_whose_result_is_gone_too_fails(desk: Desk) -> None:
    """There is nothing left to make it of."""
    _recorded(desk)
    desk.run(TABLE)
    (desk.home / "b.wav").unlink()
    for path in (desk.folder / "transcripts").glob("b.*"):
        path.unlink()
    assert desk.plan(TABLE) == {"قديم": "done", "b": "bad", "c": "done"}


def test_speech_is_none_of_this(desk: Desk) -> None:
    """A row that names no file is bad for other reasons, and blocks as ever."""
    write_recording(desk.home / "a.wav")
    desk.run([{"id": "a", "audio": "a.wav", "text": ""}])
    with Checkpoint.open(desk.folder) as checkpoint, pytest.raises(BadRowsError):
        desk.made([{"id": "a", "audio": "", "text": "ـــ"}], checkpoint)
