"""A walk through a folder meets everything once, opens nothing but folders, and always ends."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchjobs.errors import ManifestError
from batchjobs.manifest.left_out import Cause, LeftOut
from batchjobs.manifest.walking import is_hidden, is_partial, walk


def names(folder: Path, *, follows_links: bool = False) -> list[str]:
    """The files that are found, below the folder."""
    found = walk(folder, follows_links=follows_links)
    return [str(path.relative_to(folder)) for path in found if isinstance(path, Path)]


def left(folder: Path, *, follows_links: bool = False) -> dict[str, tuple[Cause, str]]:
    """What is left out, with its cause and what it is."""
    found = walk(folder, follows_links=follows_links)
    return {i.path: (i.cause, i.kind) for i in found if isinstance(i, LeftOut)}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """A folder with files, folders and everything else."""
    for name in ("a", "b/c", "b/د", ".hidden/x", "._a.wav", "سطر\nآخر"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / os.fsdecode(b"caf\xe9")).write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.wav")
    return tmp_path


def test_files_come_in_order_and_the_rest_is_told(archive: Path) -> None:
    """A pipe is not opened: nobody writes into this one."""
    assert names(archive) == ["a", "b/c", "b/د", os.fsdecode(b"caf\xe9"), "سطر\nآخر"]
    assert left(archive) == {
        ".hidden": (Cause.HIDDEN, "hidden"),
        "._a.wav": (Cause.HIDDEN, "hidden"),
        "pipe.wav": (Cause.SPECIAL, "pipe"),
    }


def test_sockets_are_no_files(tmp_path: Path) -> None:
    """And are not connected to."""
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as one:
        one.bind(f"{short}/s")
        assert left(Path(short)) == {"s": (Cause.SPECIAL, "socket")}


def test_links_are_told_or_followed_once(archive: Path) -> None:
    """Not in circles, not to what is found without them, and also to what lies outside."""
    outside = archive.parent / "outside"
    outside.mkdir()
    (outside / "talk").write_bytes(b"x")
    (outside / "back").symlink_to(archive)
    (archive / "b" / "circle").symlink_to(archive)
    (archive / "again").symlink_to("a")
    (archive / "elsewhere").symlink_to(outside)
    (archive / "nowhere").symlink_to("nothing")
    (archive / "itself").symlink_to("itself")
    links = {"b/circle", "again", "elsewhere", "nowhere", "itself"}
    assert {p for p, (cause, _) in left(archive).items() if cause is Cause.LINK} == links
    assert "elsewhere/talk" not in names(archive)
    found = names(archive, follows_links=True)
    assert found[-1] == "elsewhere/talk"
    assert len(found) == len(set(found)) == 6
    told = {p for p, (cause, _) in left(archive, follows_links=True).items() if cause is Cause.LINK}
    assert told == links - {"elsewhere"} | {"elsewhere/back"}


def test_hard_links_are_files(tmp_path: Path) -> None:
    """Two names of one file are both found: whether they are the same is for others to say."""
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert names(tmp_path) == names(tmp_path, follows_links=True) == ["a", "b"]


def test_deep_trees_are_walked() -> None:
    """As deep as the system lets a path be, which is told where it ends."""
    folder = Path(tempfile.mkdtemp())  # not pytest's, which could not remove it after a kill
    here = os.open(folder, os.O_RDONLY)
    try:
        for _ in range(1_500):
            os.mkdir("deep", dir_fd=here)
            below = os.open("deep", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        found = left(folder)
        assert [cause for cause, _ in found.values()] == [Cause.UNLISTED]
        assert len(next(iter(found))) > 3_000
    finally:
        os.close(here)
        subprocess.run(["rm", "-r", str(folder)], check=True)  # Python's own does not go so deep


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder, and no right to read what is forbidden in it, also for root."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65_534)
        try:
            yield Path(folder)
        finally:
            if is_root:
                os.seteuid(0)


def test_a_folder_that_cannot_be_read_ends_nothing(nobody: Path) -> None:
    """It is told, and what stands beside it is found."""
    root = os.geteuid()
    os.seteuid(os.getuid())
    for name in ("a/x", "b/x", "c/x"):
        (nobody / name).parent.mkdir()
        (nobody / name).write_bytes(b"x")
    (nobody / "b").chmod(0)
    os.seteuid(root)
    assert names(nobody) == ["a/x", "c/x"]
    assert left(nobody) == {"b": (Cause.UNLISTED, "folder")}
    with pytest.raises(ManifestError, match="cannot be read: Permission denied"):
        list(walk(nobody / "b"))


def test_a_folder_that_vanishes_meanwhile_ends_nothing(tmp_path: Path) -> None:
    """It is told, and the walk goes on."""
    for name in ("a/x", "b/x", "c/x"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"x")
    found = []
    for entry in walk(tmp_path):
        found.append(entry)
        if len(found) == 1:
            (tmp_path / "b" / "x").unlink()
            (tmp_path / "b").rmdir()
    assert [isinstance(entry, Path) for entry in found] == [True, False, True]


def test_names_of_what_is_not_whole_are_known() -> None:
    """Those of browsers and of download managers; rsync's and syncthing's are hidden."""
    for name in ("a.wav.part", "a.crdownload", "A.WAV.PARTIAL", "a.mp3.filepart", "x.tmp"):
        assert is_partial(Path(name))
    assert is_hidden(Path("a/.b.wav.Xy12Zz"))
    assert is_hidden(Path(".rsync-partial/b.wav"))
    assert not is_hidden(Path("a/b.wav"))
    assert not is_partial(Path("part.wav"))
