"""Nobody's finished work is replaced by mistake: another manifest's results stay, unless it is meant."""

import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import batchjobs
from batchjobs.errors import UsageError
from batchjobs.planning.plan import Action
from tests.commands import Command, process

ARABIC = "السَّلامُ عَلَيْكُـــم ٣٤"
OURS = {"أ": ARABIC, "b": "Hello to everybody here"}
THEIRS = {"أ": "شيء آخر تمامًا", "z": "Not of the first manifest"}


def _write(path: Path, rows: dict[str, str], **columns: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"id": name, "text": text, **columns} for name, text in rows.items()]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")
    return path


def _options(folder: Path, **more: Any) -> batchjobs.Options:
    return batchjobs.Options(engine="tone", output=folder / "run", **more)


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A manifest that has been run into tmp_path / 'run'."""
    path = _write(tmp_path / "A" / "m.jsonl", OURS)
    assert batchjobs.run(path, _options(tmp_path)).exit_code == 0
    return path


@contextmanager
def _untouched(folder: Path) -> Iterator[None]:
    """Nothing in the run folder changes, whatever is tried."""

    def content() -> dict[Path, bytes]:
        found = (path for path in (folder / "run").rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in found if "sqlite3" not in path.name}

    before = content()
    assert before
    yield
    assert content() == before


def _refused(source: "Path | io.BytesIO", options: batchjobs.Options, match: str) -> str:
    """Neither a plan nor a run takes it; gives the hint."""
    with pytest.raises(UsageError, match=match):
        batchjobs.plan(source, options)
    if isinstance(source, io.BytesIO):
        source.seek(0)
    with pytest.raises(UsageError, match=match) as caught:
        batchjobs.run(source, options)
    return caught.value.hint


def test_another_manifest_replaces_nothing(first: Path, tmp_path: Path) -> None:
    """An id in both asks something else: refused, with the two ways out."""
    other = _write(tmp_path / "B" / "other.jsonl", THEIRS)
    with _untouched(tmp_path):
        hint = _refused(other, _options(tmp_path), "1 finished result would be replaced")
    assert "--output" in hint
    assert "--replace" in hint


def test_on_purpose_it_does(first: Path, tmp_path: Path) -> None:
    """Asked for, the results are replaced, and the folder is the other manifest's from then on."""
    other = _write(tmp_path / "B" / "other.jsonl", THEIRS)
    report = batchjobs.run(other, _options(tmp_path, replace=True))
    assert (report.exit_code, report.summary.done) == (0, 2)
    _write(other, THEIRS | {"أ": ARABIC + " مرة"})
    assert batchjobs.plan(other, _options(tmp_path)).by_action[Action.CHANGED].rows == 1
    _refused(first, _options(tmp_path), "another manifest")


def test_the_command_line_says_the_same(first: Path, tmp_path: Path, command: Command) -> None:
    """Exit 2 with the sentence; with --replace it runs, by `plan` as by `run`."""
    other = _write(tmp_path / "B" / "other.jsonl", THEIRS)
    words = (other, "--engine", "tone", "-o", tmp_path / "run")
    ended = command("run", *words)
    assert (ended.code, "would be replaced" in ended.err) == (2, True)
    assert str(first) in ended.err
    assert command("plan", *words).code == 2
    assert command("plan", *words, "--replace").code == 0
    assert command("run", *words, "--replace").code == 0


def test_a_limit_does_not_let_it_in_by_the_back_door(first: Path, tmp_path: Path) -> None:
    """What is left for later is the same loss, later: the next run would be the owner's."""
    other = _write(tmp_path / "B" / "other.jsonl", THEIRS)
    _refused(other, _options(tmp_path, limit=0), "would be replaced")


def test_a_result_may_be_replaced_by_what_costs_nothing(first: Path, tmp_path: Path) -> None:
    """Two texts that have changed places are copies of each other's files: still a loss."""
    swapped = dict(zip(OURS, reversed(OURS.values()), strict=True))
    other = _write(tmp_path / "B" / "m.jsonl", swapped)
    plan = batchjobs.plan(other, _options(tmp_path, replace=True))
    assert plan.by_action[Action.COPY].rows == 2
    _refused(other, _options(tmp_path), "2 finished results would be replaced")


def test_a_file_may_be_replaced_under_another_id(first: Path, tmp_path: Path) -> None:
    """A new id whose output is where a finished result stands."""
    rows = OURS | {"new": "Something that is new"}
    other = _write(tmp_path / "B" / "m.jsonl", rows)
    lines = other.read_text(encoding="utf-8").splitlines()
    del lines[1]
    lines[-1] = json.dumps({"id": "new", "text": "Something new", "output": "audio/b.wav"})
    other.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with _untouched(tmp_path):
        _refused(other, _options(tmp_path), "1 finished result would be replaced")


def test_results_are_not_dropped_from_the_reports_of_who_still_has_the_manifest(
    first: Path, tmp_path: Path
) -> None:
    """Nothing is overwritten, but results.jsonl would tell of other rows: refused while both exist."""
    other = _write(tmp_path / "B" / "m.jsonl", {"z": "Not of the first manifest"})
    with _untouched(tmp_path):
        _refused(other, _options(tmp_path), "2 finished jobs would be in no report any more")
    first.unlink()
    assert batchjobs.plan(other, _options(tmp_path)).by_action[Action.NEW].rows == 1


def test_a_manifest_that_is_gone_still_has_its_results(first: Path, tmp_path: Path) -> None:
    """They were paid for: that the rows are gone does not make them anybody's."""
    first.unlink()
    other = _write(tmp_path / "B" / "other.jsonl", THEIRS)
    with _untouched(tmp_path):
        _refused(other, _options(tmp_path), "1 finished result would be replaced")


def test_what_is_gone_from_the_disk_can_be_replaced(first: Path, tmp_path: Path) -> None:
    """Whoever moves the files away has answered the question."""
    other = _write(tmp_path / "B" / "other.jsonl", THEIRS)
    first.unlink()
    for path in (tmp_path / "run" / "audio").iterdir():
        path.unlink()
    assert batchjobs.run(other, _options(tmp_path)).exit_code == 0


@pytest.mark.parametrize("how", ["moved", "copied", "linked", "grown"])
def test_the_same_rows_are_welcome_from_anywhere(first: Path, tmp_path: Path, how: str) -> None:
    """Moved, renamed, linked to, copied, or with more rows: nothing is lost by that."""
    other = tmp_path / "C" / "renamed.jsonl"
    other.parent.mkdir()
    match how:
        case "moved":
            first.rename(other)
        case "copied":
            other.write_bytes(first.read_bytes())
        case "linked":
            other.symlink_to(first)
        case _:
            _write(other, OURS | {"c": "One more text to speak"})
    report = batchjobs.run(other, _options(tmp_path))
    assert report.exit_code == 0
    assert report.plan.by_action[Action.DONE].rows == 2


@pytest.mark.parametrize("how", ["itself", "by a link"])
def test_whoever_edits_a_manifest_means_it(first: Path, tmp_path: Path, how: str) -> None:
    """Changed and removed rows of the same file need no word, by whichever way it is reached."""
    path = first
    if how == "by a link":
        path = tmp_path / "link.jsonl"
        path.symlink_to(first)
    _write(first, {"أ": "نص جديد"})
    report = batchjobs.run(path, _options(tmp_path))
    assert report.exit_code == 0
    assert report.plan.by_action[Action.CHANGED].rows == 1


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_a_project_may_move_with_its_run_folder(first: Path, tmp_path: Path, how: str) -> None:
    """A manifest that lies where it lay, seen from the run folder, is still the same one, edited."""
    away = tmp_path / "elsewhere"
    if how == "moved":
        away.mkdir()
        (tmp_path / "A").rename(away / "A")
        (tmp_path / "run").rename(away / "run")
    else:
        shutil.copytree(tmp_path, away)
    manifest = _write(away / "A" / "m.jsonl", {"أ": "نص جديد"})
    report = batchjobs.run(manifest, _options(away))
    assert report.exit_code == 0
    assert report.plan.by_action[Action.CHANGED].rows == 1


def test_an_edit_that_failed_is_no_finished_result(first: Path, tmp_path: Path) -> None:
    """The manifest has given the earlier result up: moved to another place, it still may."""
    _write(first, OURS | {"أ": "نص جديد"})
    faulty = _options(tmp_path, faults=("error:40001",))
    assert batchjobs.run(first, faulty).exit_code == 1
    moved = first.rename(tmp_path / "moved.jsonl")
    assert batchjobs.run(moved, _options(tmp_path, retry_failed=True)).exit_code == 0


# -- the standard input ------------------------------------------------------------------------


def _stream(rows: dict[str, str]) -> io.BytesIO:
    lines = [json.dumps({"id": name, "text": text}) + "\n" for name, text in rows.items()]
    return io.BytesIO("".join(lines).encode())


def test_rows_from_the_standard_input_replace_no_manifest_s_results(
    first: Path, tmp_path: Path
) -> None:
    """They have no path that could tell whose they are: what they would replace is refused."""
    with _untouched(tmp_path):
        _refused(_stream(THEIRS), _options(tmp_path), "would be replaced")
        _refused(_stream({"z": "new"}), _options(tmp_path), "in no report")
    assert batchjobs.run(_stream(OURS), _options(tmp_path)).exit_code == 0


def test_the_same_rows_can_be_piped_again(tmp_path: Path) -> None:
    """The same ones, more of them, or fewer; edited ones take the word."""
    assert batchjobs.run(_stream(OURS), _options(tmp_path)).exit_code == 0
    for rows in (OURS, OURS | {"c": "One more"}, OURS):
        assert batchjobs.run(_stream(rows), _options(tmp_path)).exit_code == 0
    edited = OURS | {"أ": "نص جديد"}
    hint = _refused(_stream(edited), _options(tmp_path), "the run of rows from the standard input")
    assert "--replace" in hint
    assert batchjobs.run(_stream(edited), _options(tmp_path, replace=True)).exit_code == 0


def test_a_pipe_is_refused_like_a_stream(first: Path, tmp_path: Path) -> None:
    """As in ``cat rows | batchjobs run - -o outputs/m``."""
    piped = process(
        "run",
        "-",
        "-o",
        tmp_path / "run",
        "--engine",
        "tone",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _, told = piped.communicate(_stream(THEIRS).read().decode(), timeout=60)
    assert piped.returncode == 2
    assert "would be replaced" in told


def test_failures_of_a_run_can_be_run_elsewhere_again_and_again(tmp_path: Path) -> None:
    """Each time ``failed.jsonl`` is the same manifest, whatever is in it then."""
    path = _write(tmp_path / "m.jsonl", OURS)
    faulty = _options(tmp_path, faults=("error:40001",))
    assert batchjobs.run(path, faulty).exit_code == 1
    failed = tmp_path / "run" / "failed.jsonl"
    again = batchjobs.Options(engine="tone", output=tmp_path / "again")
    assert batchjobs.run(failed, again).exit_code == 0
    _write(path, {"أ": "آخر", "b": "other"})
    assert batchjobs.run(path, faulty).exit_code == 1
    assert batchjobs.run(failed, again).exit_code == 0
