"""Recordings of several tracks: which one is heard is told, in plan, run and scan."""

from pathlib import Path

import pytest

from batchjobs.audio import decoding
from batchjobs.audio.tracks import Tracks
from batchjobs.checkpoint import Checkpoint
from batchjobs.manifest.scan import Scan
from batchjobs.providers import BUILT_IN
from tests.audio.test_containers import write_tracks
from tests.planning.desk import Desk


@pytest.mark.parametrize("default", [0, 1])
def test_the_track_that_is_heard_has_its_number(tmp_path: Path, default: int) -> None:
    """As players count, from one."""
    recording = decoding.probe(write_tracks(tmp_path / "film.mkv", default))
    assert (recording.track, recording.tracks) == (default + 1, 2)


def test_a_sentence_says_what_is_not_heard() -> None:
    """With the first names, each once, and a count of the rest; nothing where all is heard."""
    tracks = Tracks()
    tracks.add("a.wav", heard=1, tracks=1)
    assert tracks.tell() == ()
    tracks.add("فيلم.mkv", heard=2, tracks=3)
    tracks.add("فيلم.mkv", heard=2, tracks=3)
    (one,) = tracks.tell()
    assert one.startswith("1 recording has several audio tracks, of which one is heard: ")
    assert "فيلم.mkv (track 2 of 3);" in one
    assert "--track" in one
    for number in range(9):
        tracks.add(f"{number}.mov", heard=1, tracks=2)
    (many,) = tracks.tell()
    assert "10 recordings have" in many
    assert "0.mov (track 1 of 2), 1.mov (track 1 of 2) and 7 more" in many


def test_a_plan_tells_it_also_of_what_was_read_before(tmp_path: Path) -> None:
    """The recording is not read again; another one at its place has tracks of its own."""
    desk = Desk(home=tmp_path, providers=BUILT_IN)
    path = write_tracks(desk.home / "film.mkv", 1)
    for _ in range(2):
        with Checkpoint.open(desk.folder) as checkpoint:
            (note,) = desk.made([{"id": "a", "audio": "film.mkv"}], checkpoint).notes
        assert "film.mkv (track 2 of 2)" in note
    path.write_bytes(write_tracks(desk.home / "other.mkv", 0).read_bytes())
    with Checkpoint.open(desk.folder) as checkpoint:
        (note,) = desk.made([{"id": "a", "audio": "film.mkv"}], checkpoint).notes
    assert "film.mkv (track 1 of 2)" in note


def test_a_scan_tells_it(tmp_path: Path) -> None:
    """Of what is new."""
    (tmp_path / "films").mkdir()
    write_tracks(tmp_path / "films" / "film.mkv", 1)
    for expected in (1, 0):
        found = Scan(tmp_path / "films", tmp_path / "m.jsonl", settle_seconds=0).run()
        assert len(found.tracks.tell()) == expected
