"""A socket in a folder: its owner's alone, however long the path, whatever a kill has left there."""

import os
import socket
import stat
import sys
from pathlib import Path

import pytest

from batchjobs.files import sockets


def exchange(path: Path, listening: socket.socket) -> bytes:
    """Send a word through a socket."""
    with sockets.connect(path, 5.0) as asking:
        asking.sendall("سلام".encode())
        answering, _ = listening.accept()
        with answering:
            return answering.recv(100)


def test_it_is_its_owner_s_alone_and_leaves_nothing_else(tmp_path: Path) -> None:
    """Whatever the mask for new files says, which stays as it was."""
    path = tmp_path / "control.sock"
    mask = os.umask(0)
    try:
        with sockets.listen(path) as listening:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert os.umask(0) == 0
            assert [each.name for each in tmp_path.iterdir()] == ["control.sock"]
            assert exchange(path, listening) == "سلام".encode()
    finally:
        os.umask(mask)


def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    """A socket that no one hears, and a half-made one."""
    path = tmp_path / "control.sock"
    sockets.listen(path).close()
    with pytest.raises(ConnectionRefusedError):
        sockets.connect(path, 1.0)
    half = tmp_path / "control.sock.part"
    half.touch()
    with sockets.listen(path) as listening:
        assert exchange(path, listening)
        assert not half.exists()
    sockets.remove(path)
    assert not list(tmp_path.iterdir())


def test_a_folder_in_its_place_is_an_error_and_stays(tmp_path: Path) -> None:
    """It is somebody's."""
    path = tmp_path / "control.sock"
    path.mkdir()
    (path / "mine.txt").touch()
    with pytest.raises(OSError, match="directory"):
        sockets.listen(path)
    assert (path / "mine.txt").exists()
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="descriptors have names on Linux")
def test_a_path_of_any_length_will_do(tmp_path: Path) -> None:
    """An address takes 108 bytes; Arabic letters take two each."""
    folder = tmp_path / "النجوم" / ("كتابٌ طويلٌ " * 8).strip() / ("x" * 100)
    folder.mkdir(parents=True)
    path = folder / "control.sock"
    assert len(os.fsencode(path)) > 250
    with sockets.listen(path) as listening:
        assert exchange(path, listening)


def test_a_path_that_is_too_long_is_said_to_be_where_there_is_no_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS."""
    monkeypatch.setattr(sockets, "_DESCRIPTORS", tmp_path / "none")
    path = tmp_path / ("x" * 120) / "control.sock"
    path.parent.mkdir()
    with pytest.raises(OSError, match="longer than the 100 bytes"):
        sockets.listen(path)
    assert not list(path.parent.iterdir())
