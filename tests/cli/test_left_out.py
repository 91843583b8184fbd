"""What is left out is said with a count and names, whatever else there is to do."""

import json
from pathlib import Path

import pytest

from tests.builders import make_tone, write_recording
from tests.whole_runs import batchjobs


def _archive(folder: Path, count: int) -> None:
    (folder / "arch").mkdir()
    for number in range(count):
        write_recording(folder / "arch" / f"تسجيل {number:02}.wav", make_tone(0.2 + number / 100))


def test_an_archive_goes_on_without_recordings_that_left_it(tmp_path: Path) -> None:
    """A run hears what is new, tells what is gone, and its results have both."""
    _archive(tmp_path, 3)
    run = ("run", "arch.jsonl", "--engine", "tone")
    batchjobs("scan", "arch", cwd=tmp_path)
    batchjobs(*run, "-q", cwd=tmp_path)
    (tmp_path / "arch" / "تسجيل 01.wav").unlink()
    write_recording(tmp_path / "arch" / "جديد.wav", make_tone(0.7))
    assert "not there any more: arch/تسجيل 01.wav" in batchjobs("scan", "arch", cwd=tmp_path).stderr
    for words in (run, (*run, "-q"), (*run, "--skip-bad-rows"), ("plan", *run[1:])):
        told = batchjobs(*words, cwd=tmp_path)
        assert "1 recording is gone" in told.stderr
        assert "arch.jsonl:2: column 'audio': " in told.stderr
    names = [
        json.loads(line)["id"]
        for line in (tmp_path / "outputs" / "arch" / "results.jsonl").read_text().splitlines()
    ]
    assert len(set(names)) == 4
    assert not (tmp_path / "outputs" / "arch" / "failed.jsonl").read_bytes()


@pytest.mark.parametrize("count", [12])
def test_many_that_are_gone_are_counted(tmp_path: Path, count: int) -> None:
    """Ten by name, and those that nobody heard fail while the others are heard."""
    _archive(tmp_path, count)
    batchjobs("scan", "arch", cwd=tmp_path)
    batchjobs("run", "arch.jsonl", "--engine", "tone", "--limit", "1", cwd=tmp_path)
    for path in sorted((tmp_path / "arch").iterdir())[:-1]:
        path.unlink()
    told = batchjobs("run", "arch.jsonl", "--engine", "tone", cwd=tmp_path, expect=1)
    assert "11 recordings are gone" in told.stderr
    assert "… and 1 more" in told.stderr
    assert "2 of 12 jobs done" in told.stdout
    assert "10 failed" in told.stdout
