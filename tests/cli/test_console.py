"""What a run, `status` and `verify` say of what it came to, with a terminal and without."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clocks import PATIENCE_SECONDS
from tests.commands import Command, process


def until_a_session_is_open(command: Command, run: subprocess.Popen[str]) -> None:
    """Wait until the run of the greeting has a session open."""
    while True:
        assert run.poll() is None
        looked = command("status", "outputs/greeting", "--json")
        if looked.code == 0 and json.loads(looked.out)["attempts_open"]:
            return


def test_a_run_says_what_was_done_before(command: Command, greeting: Path) -> None:
    """A continued run counts what it found done; one with nothing to do says so."""
    given = ("run", greeting, "--engine", "tone")
    command(*given, "--limit", "1")
    assert command(*given).out.startswith("2 of 2 jobs done (1 of them before), ")
    assert command(*given).out.startswith("nothing to do: 2 of 2 jobs were done before, ")


def test_what_led_to_nothing_is_told_at_the_end_and_by_status(
    command: Command, greeting: Path
) -> None:
    """Money, characters and seconds of sessions without a result are no secret."""
    Path("batchjobs.toml").write_text(
        "[providers.local]\ntts_price_per_million_characters = 10_000\n"
    )
    ended = command("run", greeting, "--engine", "tone", "--fault", "error:40001", "--attempts", 1)
    line = "sent and led to nothing: 0.46 USD, 46 characters"
    assert line in ended.out.splitlines()
    assert line in command("status", "outputs/greeting").out.splitlines()


def test_quiet_counts_what_failed(command: Command, greeting: Path) -> None:
    """Errors only is not nothing: failed jobs are one line on the standard error."""
    ended = command("run", greeting, "--engine", "tone", "--fault", "error:40001", "-q")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.splitlines() == [
        "batchjobs: failed: 2 permanent (see outputs/greeting/failed.jsonl)"
    ]


def test_status_of_a_run_that_goes_on_says_so(command: Command, greeting: Path) -> None:
    """Its open sessions are neither lost nor wasted, and it need not be continued."""
    given = ("run", greeting, "--engine", "tone", "--fault", "hang", "-c", "1", "-q")
    run = process(*given, stdout=subprocess.DEVNULL, start_new_session=True)
    until_a_session_is_open(command, run)
    told = command("status", "outputs/greeting").out
    assert told.splitlines()[-1] == "a run is going on: 1 session open"
    assert "lost" not in told
    assert "nothing" not in told
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    told = command("status", "outputs/greeting").out
    assert "1  session was lost when a run was killed" in told
    assert "continue: " in told


def test_a_limit_without_room_leaves_what_needs_none_of_it(command: Command, folder: Path) -> None:
    """Without characters to spend, recordings are heard all the same; status and exit code tell."""
    Path("first.csv").write_text("id,text\na,Hello to everybody here\n")
    command("run", "first.csv", "--engine", "tone", "-o", "first")
    rows = [f"t{n},{'Hello ' * 5}{n}," for n in range(4)] + ["s1,,first/audio/a.wav"]
    rows.insert(2, "s0,,first/audio/a.wav")
    rows += [f"t9,{'Hello to all of you. ' * 300},", "same,Hello Hello Hello Hello Hello 3,"]
    Path("mixed.csv").write_text("id,text,audio\n" + "\n".join(rows))
    given = ("run", "mixed.csv", "--engine", "tone", "-c", "1", "--max-characters")
    ended = command(*given, "40")
    assert ended.code == 80
    assert "--max-characters 40, over all runs in this folder, leaves no room for 't1'" in ended.err
    assert "raise --max-characters" in ended.err
    assert ended.out.startswith("3 of 8 jobs done, 5 not run")
    lines = Path("outputs/mixed/results.jsonl").read_bytes().splitlines()
    names = {json.loads(line)["id"] for line in lines}
    assert names == {"t0", "s0", "s1"}
    ended = command(*given, "40")
    assert (ended.code, "3 of 8 jobs done (3 of them before)" in ended.out) == (80, True)
    assert command(*given, "10000").out.startswith("8 of 8 jobs done (3 of them before)")


def test_a_run_without_a_terminal_is_not_mute(command: Command, greeting: Path) -> None:
    """A log has its first result and, if asked for, the retries; with -q it has nothing."""
    given = ("run", greeting, "--engine", "tone", "-c", "1", "--fault", "error:50001#1")
    told = command(*given, "-v").err.splitlines()
    (first,) = [line[20:] for line in told if "jobs done" in line]
    assert first.startswith("1 of 2 jobs done")  # the next session may be open already
    assert [line for line in told if "a: attempt 1 failed, transient: " in line]
    told = command(*given, "-o", "more", "-vv").err.splitlines()
    assert [line for line in told if line.endswith("s of audio: audio/b.wav")]
    assert command(*given, "-o", "none", "-q").err == ""


def test_a_stop_is_told_without_a_terminal(command: Command, greeting: Path) -> None:
    """The first signal is answered by a line in the log."""
    given = ("run", greeting, "--engine", "tone", "--fault", "hang", "--grace", "0.1")
    run = process(*given, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    until_a_session_is_open(command, run)
    run.terminate()
    _, told = run.communicate(timeout=PATIENCE_SECONDS)
    assert "stopping: SIGTERM: open sessions have 0.1 s; once more to stop at once" in told


def test_verify_shows_on_a_terminal_how_far_it_is(
    command: Command, greeting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is read to its end, which of many takes long."""
    command("run", greeting, "--engine", "tone")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    shown = command("verify", "outputs/greeting").err
    assert "checked 1 job\r" in shown
    assert shown.endswith("\r\x1b[K\r")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert command("verify", "outputs/greeting").err == ""
