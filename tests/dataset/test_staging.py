"""A dataset is whole or not there: exports are killed at their changes of the disk, and continued."""

import hashlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import batchjobs
from batchjobs.options.dataset import ExportSettings
from tests.commands import ROOT
from tests.dataset.runs import make_run
from tests.whole_runs import environment

ROWS = [
    {"id": f"{n:02}", "text": f"نصّ {n}", "seconds": 0.6, "output": f"audio/{n}.wav"}
    for n in range(14)
]
FORMS = ("hf", "lhotse", "ljspeech", "nemo", "parquet", "webdataset")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of some rows."""
    return make_run(tmp_path_factory.mktemp("killed") / "run", ROWS)


@contextmanager
def exports(run: Path, target: Path, form: str) -> Iterator[Callable[[int], int]]:
    """Exports to one place; each is called with the change of the disk to die at, 0 for none."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.dataset.killed", str(run), str(target), form],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    commands, answers = process.stdin, process.stdout

    def strike(number: int) -> int:
        commands.write(f"{number}\n")
        commands.flush()
        return int(answers.readline())

    try:
        yield strike
    finally:
        commands.close()
        process.wait()
        answers.close()


def content_of(dataset: Path) -> dict[str, str]:
    """All files of a dataset, by their hashes."""
    return {
        path.relative_to(dataset).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in dataset.rglob("*")
        if path.is_file()
    }


def finished_in(target: Path) -> dict[Path, int]:
    """The clips and shards that an export has made so far, by their numbers in the file system."""
    root = target.with_name(f".{target.name}.part") / "data"
    return {path: path.stat().st_ino for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", FORMS)
def test_an_export_that_is_killed_is_none_and_continues(
    run: Path, tmp_path: Path, form: str
) -> None:
    """Killed over and over, each time a little later, it comes to the very files of an undisturbed one."""
    target = tmp_path / "set"
    with exports(run, target, form) as strike:
        assert strike(0) == 0
        whole = content_of(target)
        for name in list(whole):
            (target / name).unlink()
        for place in sorted(target.rglob("*"), reverse=True):
            place.rmdir()
        kills = 0
        while True:
            code = strike(5 + 4 * kills)
            if code == 0:
                break
            assert code == -signal.SIGKILL
            assert not target.exists() or content_of(target) in ({}, whole)
            kills += 1
    assert kills >= 3
    assert content_of(target) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.long
@pytest.mark.parametrize("form", ["hf", "parquet"])
def test_no_change_of_the_disk_is_a_bad_moment(run: Path, tmp_path: Path, form: str) -> None:
    """Killed at each change in turn, also while it replaces an earlier one, it is whole in the end."""
    target = tmp_path / "set"
    with exports(run, target, form) as strike:
        assert strike(0) == 0
        whole = content_of(target)
        number = 0
        while True:
            number += 1
            code = strike(number)
            # For a moment, between two renames, the earlier one stands in the hidden folder.
            assert not target.exists() or content_of(target) == whole
            if code == 0:
                break
            assert code == -signal.SIGKILL
            assert strike(0) == 0
            assert content_of(target) == whole
    assert number > 20


def test_what_is_finished_is_kept(run: Path, tmp_path: Path) -> None:
    """Clips of an export that was killed are not written again; with other settings all are."""
    target = tmp_path / "set"
    with exports(run, target, "hf") as strike:
        assert strike(40) == -signal.SIGKILL
        before = finished_in(target)
        assert len(before) >= 6
        assert strike(0) == 0
    kept = sum(
        (target / path.relative_to(target.with_name(".set.part") / "data")).stat().st_ino == inode
        for path, inode in before.items()
    )
    assert kept >= 6


def test_what_was_bought_since_is_in_the_export_that_continues(tmp_path: Path) -> None:
    """Rows that moved, went or came while it lay there are where they belong; nothing is left over."""
    rows = [dict(row) for row in ROWS]
    run, target = make_run(tmp_path / "run", rows), tmp_path / "set"
    with exports(run, target, "nemo") as strike:
        assert strike(40) == -signal.SIGKILL
        new = {"id": "new", "text": "جديد", "output": "audio/new.wav"}
        other = make_run(tmp_path / "other", [rows[3], *rows[5:], new])
        run.rename(tmp_path / "gone")
        other.rename(run)
        assert strike(0) == 0
    plain = batchjobs.export(
        run,
        ExportSettings(form="nemo", split="train=70,test=30", shard_megabytes=1),
        output=tmp_path / "plain",
    )
    both = [content_of(place) for place in (target, plain.path)]
    for content in both:
        for name in ("README.md", "SHA256SUMS"):  # these name the folder
            del content[name]
    assert both[0] == both[1]
