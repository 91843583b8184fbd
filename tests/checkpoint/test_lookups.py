"""What is known of jobs, files and recordings is found again exactly."""

from pathlib import Path

import pytest

from batchjobs.checkpoint import Checkpoint, ShapeRecord, SourceRecord
from tests.builders import (
    ARABIC,
    adopt,
    make_evidence,
    make_failed_record,
    make_file,
    make_record,
    make_row,
    make_start,
)


def test_what_is_known_of_jobs_is_found_again_exactly(folder: Path) -> None:
    """Records come back as they went in, by id, by key, and as failures."""
    record = make_record(
        1,
        id=ARABIC,
        text="ﷺ ـــ\u200d\u202b٣\u202c",
        evidence=make_evidence(first_result_seconds=0.1),
        files=(make_file("audio/ض.wav", bytes=5),),
        cost=0.1 + 0.2,
    )
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.commit(
            records=[record, make_record(2, key="k1"), make_failed_record(3, key="k1")]
        )
        assert checkpoint.lookups.find([ARABIC, "nobody"]) == {ARABIC: record}
        assert checkpoint.lookups.find([]) == {}
        assert checkpoint.lookups.find_bought_keys(["k1", "k3"]) == {"k1"}
        assert {donor.id for donor in checkpoint.lookups.find_donors("k1")} == {ARABIC, "r2"}
        assert checkpoint.lookups.find_donors("none") == []
        failure = checkpoint.lookups.find_failure("k1")
        assert failure is not None
        assert failure.id == "r3"
        assert checkpoint.lookups.find_failure("k2") is None


def test_a_thousand_equal_jobs_offer_some_donors(folder: Path) -> None:
    """A copy need not read the records of all other copies."""
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.commit(records=[make_record(number, key="k") for number in range(1000)])
        assert 1 < len(checkpoint.lookups.find_donors("k")) <= 50


def test_of_many_equal_jobs_those_that_can_become_anything_are_offered(folder: Path) -> None:
    """A hundred MP3s hide no WAV: a FLAC that is asked for now is copied from it, not bought."""
    lossy = [make_record(number, key="k", output=f"audio/{number}.MP3") for number in range(100)]
    exact = make_record(0, id="zz", key="k", output="audio/zz.wav")
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.commit(records=[*lossy, exact])
        donors = checkpoint.lookups.find_donors("k")
    assert donors[0].id == "zz"
    assert donors[1].can_become("audio/more.mp3")
    assert any(donor.can_become("audio/new.flac") for donor in donors)


@pytest.mark.parametrize(
    ("held", "wanted", "expected"),
    [
        ("a.wav", "b.wav", True),
        ("a.wav", "b.mp3", True),
        ("a.flac", "b.WAV", True),
        ("a.MP3", "b.mp3", True),
        ("a.mp3", "b.wav", False),
        ("a.ogg", "b.mp3", False),
        ("a.txt", "b.txt", True),
    ],
)
def test_what_a_result_can_become(held: str, wanted: str, *, expected: bool) -> None:
    """An exact format becomes any other; one with losses only itself."""
    assert make_record(1, output=held).can_become(wanted) is expected


def test_recordings_are_remembered(folder: Path) -> None:
    """What was read of a recording is kept, and replaced when it is read anew."""
    old = SourceRecord(path="/س.wav", bytes=1, modified_ns=2**62, sha256="a", seconds=1.25)
    new = SourceRecord(path="/س.wav", bytes=2, modified_ns=2**62 + 1, sha256="b", seconds=2.5)
    with Checkpoint.open(folder) as checkpoint:
        assert checkpoint.lookups.find_source(old.path) is None
        checkpoint.lookups.remember_sources([old])
        assert checkpoint.lookups.find_source(old.path) == old
        checkpoint.lookups.remember_sources([new])
    with Checkpoint.read(folder) as reader:
        assert reader.lookups.find_source(old.path) == new


def test_tracks_are_remembered_with_their_recording(folder: Path) -> None:
    """Until there is another one at its path."""
    film = SourceRecord("/film.mkv", 1, 1, "a", 1.0, track=2, tracks=3)
    plain = SourceRecord("/film.mkv", 2, 2, "b", 1.0)
    with Checkpoint.open(folder) as checkpoint:
        for source in (film, plain, film):
            checkpoint.lookups.remember_sources([source])
            assert checkpoint.lookups.find_source(film.path) == source


def test_files_are_owned_by_their_paths(folder: Path) -> None:
    """A begun attempt and a result own the planned path, and no other, for good."""
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, make_row(1), make_row(2), make_row(3))
        assert not checkpoint.lookups.is_own_file("audio/r1.wav")
        checkpoint.commit(starts=[make_start(1)])
        checkpoint.commit(records=[make_record(2, output="other/r2.flac")])
        adopt(checkpoint, make_row(3))
        assert checkpoint.lookups.is_own_file("audio/r1.wav")
        assert checkpoint.lookups.is_own_file("other/r2.flac")
        assert not checkpoint.lookups.is_own_file("audio/mine.wav")
        assert not checkpoint.lookups.is_own_file("audio/r3.wav")
        checkpoint.commit(records=[make_record(2, output="moved.flac")])
        assert checkpoint.lookups.is_own_file("other/r2.flac")


def test_a_copy_owns_its_file_before_it_is_committed(folder: Path) -> None:
    """A run killed between a copy's rename and its commit can be continued."""
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, make_row(1, action="copy"), make_row(2, action="follow"), make_row(3))
        assert checkpoint.lookups.is_own_file("audio/r1.wav")
        assert checkpoint.lookups.is_own_file("audio/r2.wav")
        assert not checkpoint.lookups.is_own_file("audio/r3.wav")
        # Also if the next plan, which is cancelled as well, has nothing to copy any more.
        adopt(checkpoint, make_row(2), make_row(3))
        assert checkpoint.lookups.is_own_file("audio/r1.wav")
        assert checkpoint.lookups.is_own_file("audio/r2.wav")
        assert not checkpoint.lookups.is_own_file("audio/r3.wav")


def test_the_shape_of_a_recording_goes_with_it(folder: Path) -> None:
    """Another recording at its path has channels and a length of its own."""
    call = SourceRecord(path="/مكالمة.wav", bytes=1, modified_ns=1, sha256="a", seconds=2.0)
    shapes = [ShapeRecord(call.path, track, 2.0, 2) for track in (0, 3)]
    with Checkpoint.open(folder) as checkpoint:
        lookups = checkpoint.lookups
        lookups.remember_sources([call])
        lookups.remember_shapes(shapes)
        assert [lookups.find_shape(call.path, track) for track in (0, 3)] == shapes
        assert lookups.find_shape(call.path, 1) is None
        lookups.remember_sources([call._replace(modified_ns=2, sha256="b", seconds=9.0)])
        assert lookups.find_shape(call.path, 0) is lookups.find_shape(call.path, 3) is None
        assert lookups.find_length(0, call.path) == 9.0
