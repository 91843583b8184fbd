"""Files moved to where nothing is overwritten, across disks too, and never lost by a kill."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from batchjobs.files.moving import ChangedError, choose_place, move, put
from batchjobs.files.paths import PathEscapeError

CONTENT = "تسجيل".encode() * 1_000


def is_recording(path: Path) -> bool:
    """Whether a file has the recording's content."""
    return path.read_bytes() == CONTENT


class Recording:
    """A file that is to move."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "in" / "سنة" / "a.wav"
        self.path.parent.mkdir(parents=True)
        self.path.write_bytes(CONTENT)
        os.utime(self.path, ns=(10**18, 10**18))
        self.done = tmp_path / "done"
        self.sha256 = hashlib.sha256(CONTENT).hexdigest()
        self.state = (len(CONTENT), 10**18)

    def move(self, target: Path) -> None:
        """Move it."""
        move(self.path, target, state=self.state, sha256=self.sha256, is_same=is_recording)


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    """A recording in a folder."""
    return Recording(tmp_path)


def refuse_links(number: int, monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    """Let the system refuse links as a file system does that has none, or that is another one."""
    real = os.link

    def link(path: Path, target: Path, *, follow_symlinks: bool) -> None:
        if number != errno.EXDEV or path == source:
            raise OSError(number, os.strerror(number))
        real(path, target, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "link", link)


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return [path.name for path in folder.iterdir()]


@pytest.mark.parametrize("refusal", [0, errno.EXDEV, errno.EPERM])
def test_a_file_moves_whole(
    recording: Recording, refusal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its time, into folders that are made; also to another disk, and without links."""
    target = recording.done / "سنة" / "a.wav"
    if refusal:
        refuse_links(refusal, monkeypatch, recording.path)
    recording.move(target)
    assert target.read_bytes() == CONTENT
    assert target.stat().st_mtime_ns == 10**18
    assert not recording.path.exists()
    assert names(target.parent) == ["a.wav"]


def test_a_kill_between_the_two_halves_is_mended(recording: Recording) -> None:
    """It stands in both places: then it only goes from the first."""
    target = recording.done / "a.wav"
    recording.done.mkdir()
    os.link(recording.path, target)
    recording.move(target)
    assert target.read_bytes() == CONTENT
    assert not recording.path.exists()


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_has_changed_stays(
    recording: Recording, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is another recording, which nobody has heard; nothing is left where it was to go."""
    recording.path.write_bytes(CONTENT[:-2] + b"xx")
    if not links:
        refuse_links(errno.EPERM, monkeypatch, recording.path)
    with pytest.raises(ChangedError):
        recording.move(recording.done / "a.wav")
    assert recording.path.exists()
    assert names(recording.done) == []


def test_what_takes_its_place_in_the_middle_of_a_move_stays(recording: Recording) -> None:
    """The first stands in both places, and then another has the name of the one."""
    target = recording.done / "a.wav"
    recording.done.mkdir()
    os.link(recording.path, target)
    recording.path.unlink()
    recording.path.write_bytes(b"another")
    with pytest.raises(ChangedError):
        recording.move(target)
    assert recording.path.read_bytes() == b"another"
    assert target.read_bytes() == CONTENT


def test_nothing_is_overwritten(recording: Recording) -> None:
    """A name that is taken gets a number; the same file is no other."""
    recording.done.mkdir()
    other = recording.done / "a.wav"
    other.write_bytes(b"another")
    place = choose_place(recording.done, Path("a.wav"), lambda _: False)
    assert place == recording.done / "a~2.wav"
    assert choose_place(recording.done, Path("a.wav"), lambda path: path == other) == other
    part = recording.done / ".a.wav.part"
    part.write_bytes(CONTENT)
    with pytest.raises(FileExistsError):
        put(part, other)
    assert names(recording.done) == ["a.wav"]
    assert other.read_bytes() == b"another"


def test_what_takes_a_place_that_was_free_keeps_no_recording_from_being_kept(
    recording: Recording,
) -> None:
    """Two watches move to one folder: the second has chosen a name before the first one took it."""
    recording.done.mkdir()
    target = choose_place(recording.done, Path("a.wav"), is_recording)
    target.write_bytes(b"another")
    with pytest.raises(FileExistsError):
        recording.move(target)
    assert recording.path.read_bytes() == CONTENT
    assert target.read_bytes() == b"another"


def test_no_link_leads_out(recording: Recording, tmp_path: Path) -> None:
    """A folder that became a link to elsewhere is refused."""
    recording.done.mkdir()
    (recording.done / "سنة").symlink_to(tmp_path)
    with pytest.raises(PathEscapeError):
        choose_place(recording.done, Path("سنة/a.wav"), lambda _: False)
