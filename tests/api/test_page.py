"""A page is written into its run folder, whole or not at all."""

import sys
from pathlib import Path

import pytest

import batchjobs
from batchjobs.errors import MissingExtraError, NoRunError
from tests.builders import ARABIC
from tests.report.listened import make_clip_row, make_done, make_run, write_clip


def make_small_run(folder: Path) -> Path:
    """Make a run of one clip."""
    return make_run(
        folder, [make_clip_row(1, ARABIC)], [make_done(1, write_clip(folder, "audio/r1.wav"))]
    )


def test_a_page_is_written_beside_its_clips(tmp_path: Path) -> None:
    """With its size, and a second one is the same."""
    written = batchjobs.write_report(make_small_run(tmp_path))
    assert written.path == tmp_path / "report.html"
    content = written.path.read_bytes()
    assert (written.bytes, written.rows, written.shown) == (len(content), 1, 1)
    seen: list[tuple[int, int]] = []
    batchjobs.write_report(str(tmp_path), progress=lambda *numbers: seen.append(numbers))
    assert written.path.read_bytes() == content
    assert seen == [(1, 1)]


def test_no_run_is_no_page(tmp_path: Path) -> None:
    """A folder without a run is left as it is."""
    with pytest.raises(NoRunError):
        batchjobs.write_report(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_missing_library_is_told_by_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was there stays."""
    make_small_run(tmp_path)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"batchjobs\[report\]"):
        batchjobs.write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()
