"""A row is done for as long as its files are as they were; what else happened to them is noticed."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from batchjobs.checkpoint import Checkpoint
from batchjobs.planning.intact import find_open
from batchjobs.storage.input_files import InputFiles
from tests.builders import make_row

ROWS = 2_001
"""Two pages, and one row more."""
CHANGED = (1, 7, 10, 1_000, 1_001, 1_500, 1_999, ROWS)
"""At the borders of pages, and between them."""
CONTENT = "السَّلامُ".encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder whose rows are all done: each has a file, every tenth three, every hundredth a recording."""
    folder = tmp_path / "مجلد"
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.staging.begin()
        checkpoint.staging.add([make_row(number, action="done") for number in range(1, ROWS + 1)])
        checkpoint.staging.adopt({})
        files: list[tuple[int, str, int, int | None]] = []
        for number in range(1, ROWS + 1):
            endings = (".wav",) if number % 10 else (".txt", ".json", ".srt")
            for ending in endings:
                path = path_of(number, ending)
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(CONTENT)
                files.append((number, path, len(CONTENT), None))
            if number % 100 == 0:
                recording = folder / f"سمع{number}.mp3"
                recording.write_bytes(CONTENT)
                files.append((number, str(recording), len(CONTENT), recording.stat().st_mtime_ns))
        with checkpoint._database.transaction() as connection:
            connection.executemany("INSERT INTO finished VALUES (?, ?, ?, ?)", files)
    return folder


def path_of(number: int, ending: str = ".wav") -> str:
    """The path of a row's file, a hundred rows a folder, with an Arabic-Indic number."""
    digits = str(number).translate(str.maketrans("0123456789", "٠١٢٣٤٥٦٧٨٩"))
    return f"audio/{number // 100}/ص{digits}{ending}"


def found(folder: Path) -> list[int]:
    """Find the rows that are open."""
    with Checkpoint.open(folder) as checkpoint:
        pages = list(checkpoint.rows.stream_finished())
        assert [page.first for page in pages[1:]] == [page.last + 1 for page in pages[:-1]]
        assert (pages[0].first, pages[-1].last) == (1, ROWS)
        lists = [find_open(checkpoint.shelf, page, InputFiles()) for page in pages]
    return [position for each in lists for position in each]


def remove(path: Path) -> None:
    """Delete it."""
    path.unlink()


def grow(path: Path) -> None:
    """Make it longer."""
    path.write_bytes(CONTENT + b".")


def link(path: Path) -> None:
    """Put a link in its place, to a file of its size."""
    other = path.with_name(f"{path.name} there")
    path.rename(other)
    path.symlink_to(other)


def make_folder(path: Path) -> None:
    """Put a folder in its place."""
    path.unlink()
    path.mkdir()


def remove_folder(path: Path) -> None:
    """Move it, and put a file where its folder was."""
    shutil.rmtree(path.parent)
    path.parent.write_bytes(CONTENT)


def test_rows_whose_files_are_as_they_were_are_done(folder: Path) -> None:
    """Nothing is to do."""
    assert found(folder) == []


@pytest.mark.parametrize("change", [remove, grow, link, make_folder])
def test_a_file_that_changed_opens_its_row(folder: Path, change: Callable[[Path], None]) -> None:
    """Its own and no other, wherever in a page it stands; of three files any one counts."""
    for number in CHANGED:
        change(folder / path_of(number, ".wav" if number % 10 else ".srt"))
    assert found(folder) == sorted(CHANGED)


def test_a_folder_that_is_none_any_more_opens_its_rows(folder: Path) -> None:
    """All of those whose files were in it, across two pages."""
    remove_folder(folder / path_of(1_050))
    assert found(folder) == list(range(1_000, 1_100)), "those of 1,000 stand in it too"


@pytest.mark.parametrize("change", [remove, grow, lambda path: os.utime(path, ns=(1, 1))])
def test_a_recording_that_changed_opens_its_row(
    folder: Path, change: Callable[[Path], None]
) -> None:
    """Its size or its time tells."""
    change(folder / "سمع1100.mp3")
    assert found(folder) == [1_100]


def test_rows_without_files_are_open(folder: Path) -> None:
    """Nothing shows them to be done; what else is in their pages is looked at all the same."""
    with (
        Checkpoint.open(folder) as checkpoint,
        checkpoint._database.transaction() as connection,
    ):
        connection.executemany(
            "DELETE FROM finished WHERE position = ?", [(number,) for number in CHANGED]
        )
    (folder / path_of(8)).unlink()
    assert found(folder) == sorted((*CHANGED, 8))
