"""The manifest of a folder that is watched: each content a row, added durably, nothing read twice."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batchjobs.audio import decoding
from batchjobs.errors import ManifestError
from batchjobs.manifest.intake import Found, Intake, KnownRow, NewRow, Unreadable, Unsettled
from batchjobs.manifest.left_out import Cause, LeftOut
from tests.builders import make_tone, write_recording

if TYPE_CHECKING:
    from batchjobs.checkpoint import SourceRecord


class World:
    """A folder that is watched, and what was read of it."""

    def __init__(self, tmp_path: Path) -> None:
        self.folder = tmp_path / "صندوق"
        self.folder.mkdir()
        self.manifest = tmp_path / "m.jsonl"
        self.sources: dict[str, SourceRecord] = {}
        self.intake = self.open()

    def open(self) -> Intake:
        """Open the manifest, as a watch that begins does."""
        return Intake(self.folder, self.manifest, follows_links=False, find_source=self.sources.get)

    def record(self, name: str, seconds: float = 0.5) -> Path:
        """Write a recording, each length another content."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_recording(path, make_tone(seconds, 16_000))

    def look(self, path: Path) -> Found:
        """Look into a file as it is, and remember and add what it is."""
        status = path.stat()
        found = self.intake.look_into(path, (status.st_size, status.st_mtime_ns))
        if isinstance(found, NewRow | KnownRow) and found.source is not None:
            self.sources[str(path)] = found.source
        if isinstance(found, NewRow):
            self.intake.add(found.line)
        return found

    def rows(self) -> list[dict[str, object]]:
        """The manifest's rows."""
        return [json.loads(line) for line in self.manifest.read_bytes().splitlines()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty folder, watched."""
    return World(tmp_path)


def test_a_recording_becomes_a_row_with_its_content(world: World) -> None:
    """Its id is made of its path, in Arabic too; its row says which content it is of."""
    path = world.record("سنة ١٩٤٨/حديث.wav")
    assert isinstance(world.look(path), NewRow)
    (row,) = world.rows()
    assert row["id"] == "سنة-١٩٤٨-حديث"
    assert row["audio"] == "صندوق/سنة ١٩٤٨/حديث.wav"
    assert (row["seconds"], row["recording_sha256"]) == (0.5, decoding.sha256_of(path))


def test_what_was_read_is_not_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch that begins again knows a file by its size and time; a new time alone makes no row."""
    path = world.record("a.wav")
    world.look(path)
    world.intake = world.open()
    with monkeypatch.context() as patch:
        patch.delattr(decoding, "sha256_of")
        assert world.look(path) == KnownRow("a", None)
    os.utime(path, ns=(1, 1))
    found = world.look(path)
    assert isinstance(found, KnownRow)
    assert found.source is not None
    assert found.id == "a"
    assert len(world.rows()) == 1


def test_a_recording_that_is_replaced_is_another_row(world: World) -> None:
    """Under the same path; the first one's row stays, and when it comes back it is known."""
    first = world.record("a.wav", 0.5).read_bytes()
    path = world.folder / "a.wav"
    world.look(path)
    world.record("a.wav", 0.75)
    assert isinstance(world.look(path), NewRow)
    assert [row["audio"] for row in world.rows()] == ["صندوق/a.wav"] * 2
    assert len({str(row["id"]) for row in world.rows()}) == 2
    path.write_bytes(first)
    found = world.look(path)
    assert isinstance(found, KnownRow)
    assert found.id == "a"


def test_a_scans_row_is_of_what_was_there(world: World) -> None:
    """It names no content: what is there is it, unless it was read as something else before."""
    path = world.record("a.wav")
    world.manifest.write_text('{"id":"mine","audio":"صندوق/a.wav","seconds":0.5}')
    world.intake = world.open()
    found = world.look(path)
    assert isinstance(found, KnownRow)
    assert found.id == "mine"
    world.record("a.wav", 0.75)
    assert isinstance(world.look(path), NewRow)
    assert [row["id"] for row in world.rows()] == ["mine", "a"]


def test_ids_differ_in_more_than_case(world: World) -> None:
    """They name files, on systems that may not tell cases apart."""
    world.look(world.record("Talk.wav", 0.5))
    world.look(world.record("talk.wav", 0.6))
    world.look(world.record("talk.flac", 0.7))
    ids = [str(row["id"]).casefold() for row in world.rows()]
    assert len(set(ids)) == 3


def test_half_a_recording_is_unreadable_and_what_is_none_is_left_out(world: World) -> None:
    """The first may be on its way still; the others are what they are."""
    whole = world.record("a.flac", 2.0).read_bytes()
    half = world.folder / "half.flac"
    half.write_bytes(whole[:30])
    assert isinstance(world.look(half), Unreadable)
    empty = world.folder / "empty.wav"
    empty.write_bytes(b"")
    assert isinstance(world.look(empty), Unreadable)
    note = world.folder / "note.txt"
    note.write_text("ملاحظة")
    found = world.look(note)
    assert isinstance(found, LeftOut)
    assert found.cause is Cause.NO_RECORDING
    assert not world.manifest.exists()


def test_a_file_that_changes_while_it_is_read_is_not_taken(world: World) -> None:
    """Nor one that is gone by then."""
    path = world.record("a.wav")
    status = path.stat()
    assert isinstance(world.intake.look_into(path, (status.st_size, 1)), Unsettled)
    path.unlink()
    assert isinstance(world.intake.look_into(path, (1, 1)), Unsettled)


def test_a_row_that_a_kill_cut_off_is_taken_off(world: World) -> None:
    """The next watch finds its recording again; what is no row elsewhere is refused."""
    world.look(world.record("a.wav", 0.5))
    world.look(world.record("b.wav", 0.6))
    whole = world.manifest.read_bytes()
    world.manifest.write_bytes(whole[:-30])
    world.intake = world.open()
    assert len(world.rows()) == 1
    world.look(world.folder / "b.wav")
    assert world.manifest.read_bytes() == whole
    world.manifest.write_bytes(b"{}\n" + whole)
    with pytest.raises(ManifestError, match=r"m\.jsonl:1"):
        world.open()


def test_a_manifest_that_others_write_to_is_noticed(world: World) -> None:
    """And one without a last line break gets one before a row."""
    assert world.intake.is_as_left()
    world.look(world.record("a.wav", 0.5))
    assert world.intake.is_as_left()
    with world.manifest.open("a") as file:
        file.write('{"id":"x","audio":"صندوق/x.wav"}')
    assert not world.intake.is_as_left()
    world.intake = world.open()
    assert world.intake.lines == 2
    world.look(world.record("b.wav", 0.6))
    assert [row["id"] for row in world.rows()] == ["a", "x", "b"]
    assert world.intake.lines == 3
