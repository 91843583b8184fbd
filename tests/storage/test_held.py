"""Folders for what is read: one's own, there as long as their reader, gone after a kill."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from batchjobs.errors import OutputError
from batchjobs.storage.held import have_own_folder, sweep_folders
from tests.commands import ROOT

_HOLD = """
import sys, time
from pathlib import Path
from batchjobs.storage.held import have_own_folder
with have_own_folder(Path(sys.argv[1])) as folder:
    (folder / "a").write_text("theirs")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_each_reader_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """It goes with its reader, and what holds them all with the last."""
    parent = tmp_path / "held"
    with have_own_folder(parent) as one, have_own_folder(parent) as other:
        (one / "a").write_text("mine")
        assert list(other.iterdir()) == []
        sweep_folders(parent)
        assert (one / "a").read_text() == "mine"
        assert other.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_reader_left_goes_and_nothing_while_it_lives(tmp_path: Path) -> None:
    """However often others read meanwhile."""
    parent = tmp_path / "held"
    reader = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert reader.stdout is not None
    held = Path(reader.stdout.readline().strip())
    sweep_folders(parent)
    with have_own_folder(parent) as other:
        assert other != held
    assert (held / "a").read_text() == "theirs"
    reader.send_signal(signal.SIGKILL)
    reader.communicate()
    assert (held / "a").is_file()
    with have_own_folder(parent):
        assert not held.exists()
    sweep_folders(parent)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_removed_or_written_behind_a_link(tmp_path: Path) -> None:
    """Whoever may write in the run folder leads nobody elsewhere."""
    (tmp_path / "theirs" / "folder").mkdir(parents=True)
    (tmp_path / "held").symlink_to("theirs")
    sweep_folders(tmp_path / "held")
    with pytest.raises(OutputError, match="symbolic link"), have_own_folder(tmp_path / "held"):
        raise AssertionError
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "link").symlink_to(tmp_path / "theirs")
    sweep_folders(tmp_path / "others")
    assert (tmp_path / "theirs" / "folder").is_dir()
