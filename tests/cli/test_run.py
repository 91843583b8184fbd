"""The command `run` as a user meets it: its streams, its lines, its exit codes."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
import threading
from pathlib import Path

import pytest

from tests.clocks import PATIENCE_SECONDS
from tests.commands import Command, process


def test_a_run_ends_with_where_its_results_are_and_what_to_do_next(
    command: Command, greeting: Path
) -> None:
    """The summary counts, says where the results are, and what to try next."""
    ended = command("run", greeting, "--engine", "tone")
    assert ended.code == 0
    assert ended.out.splitlines()[0].startswith("2 of 2 jobs done")
    assert "outputs/greeting" in ended.out
    assert "next:" in ended.out.splitlines()[-1]


def test_quiet_prints_nothing_that_is_no_error(command: Command, greeting: Path) -> None:
    """A quiet run that works prints nothing at all."""
    ended = command("run", greeting, "--engine", "tone", "-q")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_json_events_are_lines_of_json_and_the_last_one_tells_the_end(
    command: Command, greeting: Path
) -> None:
    """With --json the standard output holds events only."""
    ended = command("run", greeting, "--engine", "tone", "--json")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert [event["event"] for event in events] == [
        "run_started",
        "job_finished",
        "job_finished",
        "run_finished",
    ]
    assert events[-1]["exit_code"] == 0
    assert events[-1]["totals"]["done"] == 2
    assert "2 of 2 jobs done" in ended.err


def test_failed_jobs_exit_with_1_and_say_how_to_try_again(command: Command, greeting: Path) -> None:
    """A run with failed jobs names their classes and the way on; failed.jsonl is a manifest."""
    ended = command("run", greeting, "--engine", "tone", "--fault", "error:40001")
    assert ended.code == 1
    assert "2 permanent" in ended.out
    assert "--retry-failed" in ended.out.splitlines()[-1]
    kept = command("run", greeting, "--engine", "tone")
    assert (kept.code, "2 failed" in kept.out) == (1, True)
    assert command("run", greeting, "--engine", "tone", "--retry-failed").code == 0
    command("run", greeting, "--engine", "tone", "-o", "again", "--fault", "error:40001")
    ended = command("run", "again/failed.jsonl", "--engine", "tone")
    assert ended.code == 0
    assert (Path("outputs/failed/audio/a.wav")).is_file()


def test_failed_rows_that_name_files_are_a_manifest_with_an_input_root(
    command: Command, tmp_path: Path
) -> None:
    """Their paths are as they were: relative to the folder of the manifest that they came from."""
    Path("texts").mkdir()
    Path("texts/a.txt").write_text("Hello to everybody here")
    Path("texts/rows.csv").write_text("id,text_file\na,a.txt\n")
    faulty = ("--engine", "tone", "--fault", "error:40001", "-o", "out")
    assert command("run", "texts/rows.csv", *faulty).code == 1
    ended = command("run", "out/failed.jsonl", "--engine", "tone", "--input-root", "texts")
    assert ended.code == 0


def test_limit_leaves_the_rest_for_the_next_run(command: Command, greeting: Path) -> None:
    """--limit does so many rows and says how to continue."""
    ended = command("run", greeting, "--engine", "tone", "--limit", "1")
    assert ended.code == 0
    assert "1 not run" in ended.out
    assert "continue:" in ended.out.splitlines()[-1]
    assert "2 of 2" in command("run", greeting, "--engine", "tone").out


def test_a_manifest_can_come_from_standard_input(greeting: Path) -> None:
    """'-' reads the manifest from the standard input."""
    with greeting.open() as source:
        run = process(
            "run", "-", "-o", "piped", "--engine", "tone", stdin=source, stdout=subprocess.PIPE
        )
        output, _ = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 0
    assert "2 of 2" in output


def test_bars_show_on_a_terminal_and_vanish(greeting: Path) -> None:
    """On a terminal there is a bar of jobs and one of audio; at the end neither is left."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    seen = bytearray()

    def read() -> None:
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:
                return
            if not piece:
                return
            seen.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    run = process("run", greeting, "--engine", "tone", stdout=subprocess.DEVNULL, stderr=theirs)
    run.wait(PATIENCE_SECONDS)
    os.close(theirs)
    reader.join(PATIENCE_SECONDS)
    os.close(ours)
    assert run.returncode == 0
    text = seen.decode()
    assert "jobs:" in text
    assert "audio:" in text
    assert not text.rsplit("\r", 1)[-1].strip("\x1b[AK \n")


@pytest.mark.parametrize("target", ["/dev/full", "closed pipe"])
def test_a_broken_standard_output_changes_neither_work_nor_exit_code(
    greeting: Path, target: str
) -> None:
    """A full or closed standard output never stops paid work."""
    if target == "closed pipe":
        reading, writing = os.pipe()
        os.close(reading)
    else:
        writing = os.open(target, os.O_WRONLY)
    run = process("run", greeting, "--engine", "tone", "--json", stdout=writing, stderr=writing)
    os.close(writing)
    assert run.wait(PATIENCE_SECONDS) == 0
    assert json.loads(Path("outputs/greeting/summary.json").read_bytes())["done"] == 2


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["providers"], ["status", "outputs/greeting"]], ids=str
)
def test_a_reader_that_goes_away_is_no_failure(
    command: Command, greeting: Path, words: list[str]
) -> None:
    """As in ``batchjobs status RUN | head``: nothing is wrong, and nothing is said of it."""
    command("run", greeting, "--engine", "tone", "--limit", "0")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        left = process(*words, stdout=writing, stderr=subprocess.PIPE)
    finally:
        os.close(writing)
    _, told = left.communicate(timeout=PATIENCE_SECONDS)
    assert (left.returncode, told) == (0, "")


def test_any_other_broken_pipe_is_a_failure(
    command: Command,
    greeting: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Nobody is told that all is well because something else stopped listening."""

    def broken(*_: object, **__: object) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        try:
            os.write(writing, b"x")
        finally:
            os.close(writing)

    monkeypatch.setattr("batchjobs.api.run.carry_out", broken)
    assert command("run", greeting, "--engine", "tone").code == 70
    assert "BrokenPipeError" in caplog.text
