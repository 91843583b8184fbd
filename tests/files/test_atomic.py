"""Writes are whole or absent: with real files and real failures."""

import errno
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from batchjobs.errors import DiskError, DiskFullError, OutputError
from batchjobs.files.atomic import (
    disk_error,
    part_path,
    publish,
    sync_folders,
    write_part,
    write_whole,
)
from tests.clocks import PATIENCE_SECONDS


def test_a_part_stands_beside_its_target(tmp_path: Path) -> None:
    """The part is in the target's folder, hidden, and the target appears only when published."""
    target = tmp_path / "audio" / "deep" / "صوت.wav"
    write_part(target, b"all of it")
    part = part_path(target)
    assert part == target.with_name(".صوت.wav.part")
    assert part.parent == target.parent
    assert part.read_bytes() == b"all of it"
    assert not target.exists()
    publish([target])
    assert target.read_bytes() == b"all of it"
    assert not part.exists()


def test_several_parts_are_published_together(tmp_path: Path) -> None:
    """Targets in several folders are all renamed; none twice, none left."""
    targets = [tmp_path / folder / name for folder in "ab" for name in ("x.wav", "y.wav")]
    for target in targets:
        write_part(target, target.name.encode())
    publish(iter(targets))
    assert [target.read_bytes() for target in targets] == [b"x.wav", b"y.wav"] * 2
    assert sorted(p.name for p in tmp_path.rglob("*.part")) == []
    publish([])


@pytest.mark.parametrize("data", [b"", b"x", b"\0" * 3_000_000])
def test_a_file_holds_all_that_was_written(tmp_path: Path, data: bytes) -> None:
    """Whole content of any size, with the mode that the umask leaves."""
    target = tmp_path / "f"
    write_whole(target, data)
    assert target.read_bytes() == data
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask


def test_old_content_is_replaced_at_once(tmp_path: Path) -> None:
    """A reader that holds the old file keeps all of it; the path has the new."""
    target = tmp_path / "summary.json"
    write_whole(target, b"old")
    with target.open("rb") as reader:
        write_whole(target, b"new")
        assert reader.read() == b"old"
    assert target.read_bytes() == b"new"


def test_readers_see_old_or_new_never_a_mixture(tmp_path: Path) -> None:
    """While a file is written again and again, every read gives one whole version."""
    target = tmp_path / "f"
    versions = [bytes([n]) * 50_000 for n in range(40)]
    write_whole(target, versions[0])
    seen = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.append(target.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for version in versions:
        write_whole(target, version)
    stop.set()
    reader.join()
    assert set(seen) <= set(versions)


def test_a_left_over_part_is_written_anew(tmp_path: Path) -> None:
    """What a killed run left under the part's name does not end up in the result."""
    target = tmp_path / "f"
    part_path(target).write_bytes(b"a much longer left-over")
    write_whole(target, b"new")
    assert target.read_bytes() == b"new"


def test_a_link_at_the_parts_place_is_not_followed(tmp_path: Path) -> None:
    """A symbolic link put in the way loses its place; what it points to stays untouched."""
    foreign, target = tmp_path / "foreign", tmp_path / "f"
    foreign.write_bytes(b"precious")
    for pointed in (foreign, tmp_path / "not-there"):
        part_path(target).symlink_to(pointed)
        write_whole(target, b"new")
        assert not target.is_symlink()
        assert target.read_bytes() == b"new"
    assert foreign.read_bytes() == b"precious"
    assert not (tmp_path / "not-there").exists()


def test_a_link_at_the_targets_place_is_replaced(tmp_path: Path) -> None:
    """A rename replaces a link, it does not write through it."""
    foreign, target = tmp_path / "foreign", tmp_path / "f"
    foreign.write_bytes(b"precious")
    target.symlink_to(foreign)
    write_whole(target, b"new")
    assert foreign.read_bytes() == b"precious"
    assert not target.is_symlink()


@pytest.mark.parametrize("below", ["f", "deep/f", "deep/er/f"])
def test_a_file_in_the_folders_place(tmp_path: Path, below: str) -> None:
    """A folder that cannot be made is an output error that names the path."""
    (tmp_path / "audio").write_bytes(b"in the way")
    with pytest.raises(OutputError, match="audio") as caught:
        write_part(tmp_path / "audio" / below, b"x")
    assert caught.value.hint
    assert (tmp_path / "audio").read_bytes() == b"in the way"


def test_a_folder_in_the_parts_place(tmp_path: Path) -> None:
    """A folder under the part's name is left alone and told."""
    target = tmp_path / "f"
    part_path(target).mkdir()
    with pytest.raises(OutputError):
        write_part(target, b"x")
    assert part_path(target).is_dir()


def test_a_folder_in_the_targets_place(tmp_path: Path) -> None:
    """A folder under the target's name is left alone and told; the part is still whole."""
    target = tmp_path / "f"
    target.mkdir()
    write_part(target, b"x")
    with pytest.raises(OutputError, match="f"):
        publish([target])
    assert target.is_dir()
    assert part_path(target).read_bytes() == b"x"


def test_a_name_too_long_is_the_outputs_fault(tmp_path: Path) -> None:
    """A name that the file system cannot hold is no broken disk."""
    with pytest.raises(OutputError):
        write_part(tmp_path / ("ص" * 127), b"x")
    with pytest.raises(OutputError):
        write_part(tmp_path / ("d" * 300) / "f", b"x")


def test_a_missing_part_is_not_published(tmp_path: Path) -> None:
    """Publishing what was never written fails, and no target appears."""
    with pytest.raises(DiskError):
        publish([tmp_path / "f"])
    assert not (tmp_path / "f").exists()


def test_a_missing_folder_cannot_be_synced(tmp_path: Path) -> None:
    """A folder that is gone, or is a file, is told."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DiskError):
        sync_folders([tmp_path / "gone"])
    with pytest.raises(OutputError):
        sync_folders([tmp_path / "file"])


def _fails_small(target: Path) -> None:
    """Run in a child: nothing over 10,000 bytes can be written there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    write_whole(target, b"x" * 9_999)
    try:
        write_whole(target, b"y" * 20_000)
    except DiskFullError as error:
        sys.stdout.write(f"full: {error}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))  # coverage writes more at exit


def _run_here(name: str, target: Path, *before: str) -> "subprocess.CompletedProcess[str]":
    here = Path(__file__)
    program = (
        f"import sys; sys.path[:0] = [{str(here.parent)!r}, {str(here.parent.parent)!r}]\n"
        f"from pathlib import Path\nimport {here.stem}\n{here.stem}.{name}(Path(sys.argv[1]))"
    )
    command = [*before, sys.executable, "-c", program, str(target)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )


def test_a_file_size_limit_is_a_full_disk(tmp_path: Path) -> None:
    """A write that stops half-way leaves the old content whole and no part behind."""
    target = tmp_path / "f"
    done = _run_here("_fails_small", target)
    assert done.stdout.startswith("full: no space for"), done.stderr
    assert "make room" in done.stdout
    assert target.read_bytes() == b"x" * 9_999
    assert list(tmp_path.iterdir()) == [target]


def _fails_on_a_full_disk(folder: Path) -> None:
    """Run in a child with its own mounts: fill a small file system up."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)
    write_whole(folder / "f", b"x" * 20_000)
    try:
        write_whole(folder / "f", b"y" * 200_000)
    except DiskFullError as error:
        left = sorted(path.name for path in folder.iterdir())
        whole = (folder / "f").read_bytes() == b"x" * 20_000
        sys.stdout.write(f"full: {error.__cause__!r} {left} {whole}\n")
    write_whole(folder / "f", b"z" * 20_000)
    sys.stdout.write("and again\n")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        write_whole(folder / "f", b"y")
    except OutputError as error:
        sys.stdout.write(f"read-only: {error}\n")


def test_a_full_disk_and_a_read_only_one(tmp_path: Path) -> None:
    """On a real full file system the old content stays whole; after making room it works again."""
    alone = ["unshare", "-Urm"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody have mounts of their own")
    done = _run_here("_fails_on_a_full_disk", tmp_path, *alone)
    full, again, read_only = done.stdout.splitlines() or [done.stderr, "", ""]
    assert full.startswith("full: OSError(28")
    assert full.endswith("['f'] True")
    assert again == "and again"
    assert read_only.startswith("read-only: cannot create")


@pytest.mark.parametrize(
    ("number", "kind", "exit_code"),
    [
        (errno.ENOSPC, DiskFullError, 74),
        (errno.EDQUOT, DiskFullError, 74),
        (errno.EFBIG, DiskFullError, 74),
        (errno.EACCES, OutputError, 73),
        (errno.EROFS, OutputError, 73),
        (errno.ENAMETOOLONG, OutputError, 73),
        (errno.EIO, DiskError, 74),
        (errno.EMFILE, DiskError, 74),
    ],
)
def test_failed_writes_go_by_what_can_be_done(number: int, kind: type, exit_code: int) -> None:
    """Full, forbidden and broken are three errors with their own exit codes and hints."""
    error = disk_error(OSError(number, "x"), Path("a/b"))
    assert type(error) is kind
    assert error.exit_code == exit_code
    assert "a/b" in error.message
    assert os.strerror(number) in error.message
    assert error.hint


def test_an_error_without_a_number_is_the_disks() -> None:
    """An OSError that says nothing but words is told in its words."""
    error = disk_error(OSError("odd"), Path("f"))
    assert type(error) is DiskError
    assert "odd" in error.message
