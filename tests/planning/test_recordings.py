"""Recordings are read once until they change, and bought once."""

import os

import pytest

from batchjobs.checkpoint import Checkpoint
from batchjobs.options import Options
from batchjobs.planning.make_plan import make_plan
from batchjobs.planning.plan import BadRowsError
from tests.planning.desk import Desk, write_sound


def test_a_recording_is_read_once_until_it_changes(desk: Desk) -> None:
    """Same size and time: not read again. Another time: read, and bought only if it differs."""
    path = desk.home / "تسجيل.wav"
    write_sound(path)
    table = [{"id": "a", "audio": "تسجيل.wav"}]
    assert desk.run(table) == ["a"]
    status = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(len(content) - 100))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert desk.plan(table) == {"a": "done"}
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert desk.plan(table) == {"a": "changed"}
    path.write_bytes(content)
    assert desk.plan(table) == {"a": "done"}
    write_sound(path, 2.0)
    assert desk.plan(table) == {"a": "changed"}


def test_equal_recordings_are_bought_once(desk: Desk) -> None:
    """Two files with the same bytes are one transcription."""
    write_sound(desk.home / "a.wav")
    write_sound(desk.home / "b.wav")
    table = [{"id": "a", "audio": "a.wav"}, {"id": "b", "audio": "b.wav"}]
    assert desk.plan(table) == {"a": "new", "b": "follow"}
    assert desk.run(table) == ["a"]
    assert desk.plan(table) == {"a": "done", "b": "done"}


def test_recordings_that_cannot_be_run_are_bad_rows(desk: Desk) -> None:
    """Damaged, empty or vanished: each is told before anything is spent."""
    (desk.home / "damaged.wav").write_bytes(b"RIFFxxxx")
    write_sound(desk.home / "empty.wav", 0.0)
    write_sound(desk.home / "gone.wav")
    table = [{"id": n, "audio": f"{n}.wav"} for n in ("damaged", "empty", "gone")]
    rows = list(desk.rows(table))
    (desk.home / "gone.wav").unlink()
    with Checkpoint.none(desk.folder) as checkpoint, pytest.raises(BadRowsError) as caught:
        make_plan(
            rows,
            checkpoint=checkpoint,
            providers=desk.providers,
            options=Options(),
            name="m.csv",
        )
    assert [row.column for row in caught.value.rows] == ["audio"] * 3
    assert "No such file" in str(caught.value)
