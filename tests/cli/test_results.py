"""The command `results`: what a run has by now, whole, for programs and for spreadsheets."""

import csv
import io
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

import batchjobs
from batchjobs.outputs.reports import read_results
from tests.commands import Command, process

ROWS = (
    {"id": "أ", "text": "السَّلامُ عليكـــم ٣٤", "note": "=HYPERLINK(1)"},
    {"id": "b", "text": "- Hello to everybody here", "note": "قال: «نعم»,\r\nثم مضى"},
    {"id": "c", "text": "One more text\u200f to speak"},
)


@pytest.fixture
def manifest(folder: Path) -> Path:
    """A manifest of three rows, in an empty current folder."""
    path = folder / "m.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS]
    path.write_text("".join(lines), encoding="utf-8", newline="")
    return path


@pytest.fixture
def mixed(command: Command, manifest: Path) -> Path:
    """A run with one row done, one failed, and one not run."""
    words = ("run", manifest, "--engine", "tone", "-o", "run", "--limit", 1)
    command(*words)
    assert command(*words, "--fault", "error:40001").code == 1
    return Path("run")


def _lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_results_are_those_of_the_file(command: Command, mixed: Path) -> None:
    """By default, byte for byte what results.jsonl holds."""
    ended = command("results", mixed)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.encode() == (mixed / "results.jsonl").read_bytes()
    assert [line["id"] for line in _lines(ended.out)] == ["أ"]


def test_every_status_can_be_asked_for(command: Command, mixed: Path) -> None:
    """In the manifest's order, each with its status; what failed as failed.jsonl has it."""
    told = _lines(command("results", mixed, "--status", "all").out)
    assert [(line["id"], line["status"]) for line in told] == [
        ("أ", "done"),
        ("b", "failed"),
        ("c", "not_run"),
    ]
    (failed,) = _lines((mixed / "failed.jsonl").read_text(encoding="utf-8"))
    assert failed | {"status": "failed"} == told[1]
    assert told[2] == ROWS[2] | {"line": 3, "status": "not_run"}
    two = _lines(command("results", mixed, "--status", "not_run", "--status", "failed").out)
    assert two == told[1:]
    assert command("results", mixed, "--status", "suspect").out == ""
    assert list(read_results(mixed, ["failed", "not_run"])) == two


def test_a_status_that_there_is_not_is_told(command: Command, mixed: Path) -> None:
    """On the command line and from Python."""
    ended = command("results", mixed, "--status", "lost")
    assert (ended.code, "'not_run'" in ended.err) == (2, True)
    with pytest.raises(batchjobs.errors.UsageError, match="no status 'lost'"):
        list(batchjobs.read_results(mixed, ["lost"]))


def test_a_table_has_a_row_for_each_result_and_runs_nothing(command: Command, mixed: Path) -> None:
    """The manifest's columns and ours; texts that a spreadsheet would run are made texts."""
    ended = command("results", mixed, "--to", "csv", "--status", "all")
    assert (ended.code, ended.err) == (0, "")
    first, second, third = csv.DictReader(io.StringIO(ended.out, newline=""))
    assert (first["id"], first["line"], first["status"]) == ("أ", "1", "done")
    assert first["text"] == ROWS[0]["text"]
    assert first["note"] == "'=HYPERLINK(1)"
    assert first["evidence.ending"]
    assert json.loads(first["files"]) == [first["output"]]
    assert (second["text"], second["note"]) == (f"'{ROWS[1]['text']}", ROWS[1]["note"])
    assert (second["error.class"], second["error.code"]) == ("permanent", "40001")
    assert (third["status"], third["note"], third["output"]) == ("not_run", "", "")


@pytest.mark.parametrize("fault", ["", "silence", "error:40001"])
def test_a_table_s_columns_do_not_depend_on_what_is_in_it_by_now(
    command: Command, manifest: Path, fault: str
) -> None:
    """Before the first job has ended they are those of its end: done, suspect, and failed."""
    words = ("run", manifest, "--engine", "tone", "-o", "run", "--attempts", 1)
    tables: list[list[dict[str, str]]] = []
    for more in (("--limit", 0), ("--fault", fault) if fault else ()):
        command(*words, *more)
        told = command("results", "run", "--to", "csv", "--status", "all").out
        tables.append(list(csv.DictReader(io.StringIO(told, newline=""))))
    before, after = tables
    assert (len(before), len(after)) == (3, 3)
    assert list(before[0]) == list(after[0])
    expected = {"": "done", "silence": "suspect"}.get(fault, "failed")
    assert {row["status"] for row in after} == {expected}


@pytest.mark.parametrize("words", [[], ["--to", "csv"], ["--status", "all"]], ids=str)
def test_a_folder_without_a_run_is_told(command: Command, folder: Path, words: list[str]) -> None:
    """With exit code 2, and nothing on the standard output."""
    ended = command("results", folder, *words)
    assert (ended.code, ended.out) == (2, "")
    assert "there is no run in" in ended.err


def test_a_killed_run_has_its_results(command: Command, manifest: Path) -> None:
    """What was done before the kill is given, although no file tells of it; from Python too."""
    words = ("run", manifest, "--engine", "tone", "-o", "run", "-c", 1, "--fault", "slow:3")
    run = process(*words, "--json", stdout=subprocess.PIPE)
    assert run.stdout is not None
    while "job_finished" not in run.stdout.readline():
        assert run.poll() is None
    during = _lines(command("results", "run").out)
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=60)
    after = _lines(command("results", "run").out)
    assert not Path("run/results.jsonl").exists()
    assert [line["id"] for line in during][:1] == ["أ"]
    assert during == after[: len(during)]
    assert list(batchjobs.read_results("run")) == after


def test_results_outlive_their_checkpoint(command: Command, mixed: Path) -> None:
    """Where only the files were kept, results.jsonl is what there is."""
    before = list(batchjobs.read_results(mixed))
    for path in mixed.glob("checkpoint*"):
        path.unlink()
    assert list(batchjobs.read_results(mixed)) == before
    with pytest.raises(batchjobs.errors.NoRunError):
        list(batchjobs.read_results(mixed, ["failed"]))


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_reader_that_goes_away_is_no_failure(mixed: Path, form: str) -> None:
    """As in ``batchjobs results RUN | head``."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        left = process("results", mixed, "--to", form, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    _, told = left.communicate(timeout=60)
    assert (left.returncode, told) == (0, "")


def test_results_that_do_not_fit_are_no_success(mixed: Path) -> None:
    """Unlike a message that nobody reads: what is missing in the file would be missed."""
    with Path("/dev/full").open("w") as full:
        ended = process("results", mixed, stdout=full, stderr=subprocess.PIPE)
        _, told = ended.communicate(timeout=60)
    assert ended.returncode == 74
    assert "no space for the standard output" in told
    assert "Traceback" not in told
