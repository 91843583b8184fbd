"""Audio as it is received: whatever was moved to a file comes back whole and in order."""

from array import array
from pathlib import Path

import pytest

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.errors import DiskError

UNIT = 4


def move(audio: ReceivedAudio) -> bytes:
    """Do by hand what the spool does: append what is moved to the file."""
    pcm = audio.start_move(UNIT)
    assert pcm is not None
    assert audio.path is not None
    with audio.path.open("ab") as file:
        file.write(pcm)
    return bytes(pcm)


def test_all_of_it_comes_back_from_file_and_memory(tmp_path: Path) -> None:
    """Two moves and a rest give the bytes as they came."""
    audio = ReceivedAudio(path=tmp_path / "a")
    everything = b""
    for number in range(1, 4):
        pcm = bytes([number]) * 1_001
        everything += pcm
        audio.add(pcm)
        if number < 3:
            move(audio)
            audio.end_move(array("d", [1.0]), has_sound=True)
    assert audio.moved_bytes > 0
    assert len(audio) == len(everything)
    assert bytes(audio) == everything


def test_the_account_is_told_of_every_byte(tmp_path: Path) -> None:
    """What comes counts, what is in the file does not, what is let go of counts no more."""
    told: list[int] = []
    audio = ReceivedAudio(count=told.append, path=tmp_path / "a")
    audio.add(bytes(100))
    size = len(move(audio))
    assert sum(told) == 100
    audio.end_move(array("d"), has_sound=False)
    assert sum(told) == 100 - size == len(audio.rest)
    audio.discard()
    audio.discard()
    assert sum(told) == 0


def test_what_is_on_its_way_to_the_file_is_still_there(tmp_path: Path) -> None:
    """A reader that comes before the disk is done finds it in memory, and is left alone."""
    audio = ReceivedAudio(path=tmp_path / "a")
    audio.add(bytes(range(100)))
    move(audio)
    audio.add(b"more")
    assert bytes(audio.rest) == bytes(range(100)) + b"more"
    audio.seal()
    audio.end_move(array("d"), has_sound=True)
    assert bytes(audio) == bytes(range(100)) + b"more"
    assert audio.moved_bytes == 0


def test_the_end_stays_in_memory() -> None:
    """The last 20 ms are for the judge; less than that, or what is read, is not moved."""
    audio = ReceivedAudio()
    audio.add(bytes(UNIT))
    assert audio.start_move(UNIT) is None
    audio.add(bytes(UNIT))
    assert audio.start_move(UNIT) == bytes(UNIT)
    assert audio.start_move(UNIT) is None
    assert audio.held_bytes == UNIT
    sealed = ReceivedAudio()
    sealed.add(bytes(100))
    sealed.seal()
    assert sealed.start_move(UNIT) is None


@pytest.mark.parametrize("left", [None, b"", b"short"])
def test_a_file_that_lost_something_is_told(tmp_path: Path, left: bytes | None) -> None:
    """Audio is never shorter than it was, without a word."""
    audio = ReceivedAudio(path=tmp_path / "a")
    audio.add(bytes(100))
    move(audio)
    audio.end_move(array("d"), has_sound=True)
    assert audio.path is not None
    audio.path.unlink()
    if left is not None:
        audio.path.write_bytes(left)
    with pytest.raises(DiskError, match=r"lost|cannot read"):
        bytes(audio)


def test_the_last_byte_can_be_taken_back(tmp_path: Path) -> None:
    """Half a sample at the end, whatever was moved before; the account is told."""
    told: list[int] = []
    audio = ReceivedAudio(count=told.append, path=tmp_path / "a")
    audio.add(b"ab" * 500 + b"c")
    move(audio)
    audio.add(b"dd")
    audio.drop(1)
    assert bytes(audio) == b"ab" * 500 + b"cd"
    audio.end_move(array("d", [1.0]), has_sound=True)
    assert len(audio) == 1_002
    audio.discard()
    assert sum(told) == 0
