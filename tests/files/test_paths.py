"""Paths stay inside their root, however they are written, links and all."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchjobs.files.paths import PathEscapeError, path_inside, plain_path_inside


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a folder with all kinds of things in and beside it."""
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "plain.wav").write_bytes(b"x")
    (folder / "صوت.wav").write_bytes(b"x")
    (folder / "sub" / "inner.wav").write_bytes(b"x")
    (tmp_path / "root-twin").mkdir()
    (tmp_path / "root-twin" / "secret").write_bytes(b"x")
    (tmp_path / "secret").write_bytes(b"x")
    (folder / "out").symlink_to(tmp_path / "secret")
    (folder / "out-folder").symlink_to(tmp_path)
    (folder / "in").symlink_to("sub/inner.wav")
    (folder / "in-folder").symlink_to(folder / "sub")
    (folder / "round").symlink_to("around")
    (folder / "around").symlink_to("round")
    (folder / "self").symlink_to("self")
    (folder / "dangling").symlink_to("nothing-there")
    (folder / "dangling-out").symlink_to(tmp_path / "nothing-there")
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "environ").symlink_to("/proc/self/environ")
    os.mkfifo(folder / "fifo")
    return folder


@pytest.mark.parametrize(
    ("relative", "expected"),
    [
        ("plain.wav", "plain.wav"),
        ("صوت.wav", "صوت.wav"),
        ("./plain.wav", "plain.wav"),
        ("sub//inner.wav", "sub/inner.wav"),
        ("sub/../plain.wav", "plain.wav"),
        ("../root/plain.wav", "plain.wav"),
        ("in", "sub/inner.wav"),
        ("in-folder/inner.wav", "sub/inner.wav"),
        ("out-folder/root/plain.wav", "plain.wav"),
        ("dangling", "nothing-there"),
        ("new/deep/file.wav", "new/deep/file.wav"),
        ("نص جديد.wav", "نص جديد.wav"),
        ("...", "..."),
        ("~", "~"),
        ("a\nb", "a\nb"),
    ],
)
def test_paths_that_stay_inside(root: Path, relative: str, expected: str) -> None:
    """A path below the root is given back resolved, whether it exists or not."""
    assert path_inside(root, relative) == root.resolve() / expected
    assert plain_path_inside(root.resolve(), relative) == root.resolve() / expected


def test_an_absolute_path_below_the_root_is_inside(root: Path) -> None:
    """Absolute paths count if they are below the root, also by way of a link to it."""
    assert path_inside(root, str(root / "plain.wav")) == root.resolve() / "plain.wav"
    link = root.parent / "link"
    link.symlink_to(root)
    assert path_inside(link, "plain.wav") == root.resolve() / "plain.wav"
    assert path_inside(root, str(link / "plain.wav")) == root.resolve() / "plain.wav"


@pytest.mark.parametrize(
    "relative",
    [
        "",
        ".",
        "sub/..",
        "..",
        "../secret",
        "sub/../../secret",
        "../root-twin/secret",
        "/etc/passwd",
        "//etc/passwd",
        "out",
        "out-folder/secret",
        "out-folder/new",
        "dangling-out",
        "round",
        "round/x",
        "self",
        "zero",
        "environ",
        "fifo",
        "sub",
        "in-folder",
        "sub/",
        "plain.wav/x",
        "x" * 300,
        "x/" * 3000,
        "plain.wav\0",
        "\0",
        "\ud800",
        "/proc/self/environ",
        "/dev/zero",
    ],
)
def test_paths_that_lead_elsewhere(root: Path, relative: str) -> None:
    """What leaves the root, is the root or is no plain file is refused, and nothing is opened."""
    for way, base in ((path_inside, root), (plain_path_inside, root.resolve())):
        with pytest.raises(PathEscapeError) as caught:
            way(base, relative)
        assert caught.value.exit_code == 65


def test_the_systems_files_are_refused_below_any_root() -> None:
    """With / as the root, /proc/self/environ still gives no keys away."""
    for path in ("proc/self/environ", "proc/self/cmdline", "/proc/1/environ", "sys/kernel/notes"):
        for way in (path_inside, plain_path_inside):
            with pytest.raises(PathEscapeError):
                way(Path("/"), path)


def test_a_socket_is_no_plain_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket is refused like a FIFO or a device."""
    monkeypatch.chdir(root)  # a socket's path has to be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        with pytest.raises(PathEscapeError, match="not a plain file"):
            path_inside(root, "socket")


@given(
    st.lists(st.sampled_from(["..", ".", "", "sub", "in-folder", "out-folder", "root", "x", "out"]))
)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_walk_leaves_the_root(root: Path, parts: list[str]) -> None:
    """However a path winds, it ends below the root or in an error."""
    try:
        path = path_inside(root, "/".join(parts))
    except PathEscapeError:
        return
    assert Path(os.path.realpath(path)).is_relative_to(root.resolve())
    assert path != root.resolve()
