"""What a run and `status` say at the end: what it came to, what it cost, and what to type next."""

import json
import os
import shlex
import signal
import subprocess
import sys
import wave
from pathlib import Path

import pytest

import batchjobs
from tests.clocks import PATIENCE_SECONDS
from tests.commands import GREETING, Command, process


def typed_again(command: Command, line: str) -> list[str]:
    """Take a suggested command apart as a shell would, without the program."""
    words = shlex.split(line.split(": ", 1)[1])
    assert words[0] == "batchjobs"
    return words[1:]


def until_a_session_is_open(command: Command, run: subprocess.Popen[str]) -> None:
    """Wait until the run of the greeting has a session open."""
    while True:
        assert run.poll() is None
        looked = command("status", "outputs/greeting", "--json")
        if looked.code == 0 and json.loads(looked.out)["attempts_open"]:
            return


# -- what to type next -------------------------------------------------------------------------


def test_the_suggested_command_is_the_one_that_was_typed(command: Command, folder: Path) -> None:
    """With all its options, quoted for a shell, at the end of the run and in status alike."""
    manifest = folder / "الفصل الأول" / "صفوف.csv"
    manifest.parent.mkdir()
    manifest.write_text(GREETING, encoding="utf-8")
    given = ("run", "الفصل الأول/صفوف.csv", "--engine", "tone", "-o", "my run", "--limit", "1")
    last = command(*given).out.splitlines()[-1]
    assert last.startswith("continue: batchjobs run 'الفصل الأول/صفوف.csv'")
    assert command("status", "my run").out.splitlines()[-1] == last
    assert typed_again(command, last) == list(given)
    last = command(*typed_again(command, last)).out.splitlines()[-1]
    assert "next: batchjobs verify 'my run', or edit 'الفصل الأول/صفوف.csv'" in last
    assert len(command("status", "my run").out.splitlines()) == 1


def test_elsewhere_status_names_the_folder_to_go_to(
    command: Command, greeting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command typed in one folder is of no use in another."""
    command("run", "greeting.csv", "--engine", "tone", "--limit", "0")
    there = Path("elsewhere")
    there.mkdir()
    monkeypatch.chdir(there)
    last = command("status", "../outputs/greeting").out.splitlines()[-1]
    assert last.startswith(f"continue: cd {shlex.quote(str(greeting.parent))} && batchjobs run ")


def test_rows_from_the_standard_input_cannot_be_edited(greeting: Path) -> None:
    """What came from a pipe is not called a file."""
    given = ("run", "-", "-o", "piped", "--engine", "tone")
    run = process(*given, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    told, _ = run.communicate(greeting.read_text(), timeout=PATIENCE_SECONDS)
    assert told.splitlines()[-1].endswith("-m batchjobs verify piped")
    run = process(*given, "--limit", "0", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    told, _ = run.communicate(greeting.read_text() + "c,More\n", timeout=PATIENCE_SECONDS)
    assert "continue, with the same rows: " in told.splitlines()[-1]


def test_trying_again_is_suggested_as_it_can_help(command: Command, folder: Path) -> None:
    """Bad rows are to be mended, what may pass passes by itself, the rest needs --retry-failed."""
    Path("some.csv").write_text("id,text,speed\na,Hello to you,1.0\nb,Hello again,9\n")
    given = ("run", "some.csv", "--engine", "tone", "--skip-bad-rows")
    assert command(*given).out.splitlines()[-1] == (
        "mend the bad rows, then: batchjobs run some.csv --engine tone --skip-bad-rows"
    )
    given = (*given, "--attempts", "1", "-o", "passing", "--fault")
    last = command(*given, "error:50001").out.splitlines()[-1]
    assert last.startswith("again: ")
    assert "--retry-failed" not in last
    last = command(*given, "error:40001").out.splitlines()[-1]
    assert last.endswith("--fault error:40001 --retry-failed")
    last = command(*given, "error:40001", "--retry-failed").out.splitlines()[-1]
    assert last.count("--retry-failed") == 1


# -- what it came to ---------------------------------------------------------------------------


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


# -- while it goes on --------------------------------------------------------------------------


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


# -- manifests that commands make --------------------------------------------------------------


def test_a_scan_says_each_thing_once_and_suggests_what_can_be_run(
    command: Command, folder: Path
) -> None:
    """Paths with spaces are quoted, and a folder without recordings has nothing to plan."""
    archive = folder / "أرشيف قديم"
    archive.mkdir()
    (archive / "broken.mp3").write_bytes(b"nothing")
    ended = command("scan", archive.name)
    assert ended.code == 1
    assert "plan" not in ended.out
    assert "there is nothing to transcribe below أرشيف قديم" in ended.err
    (line,) = [line for line in ended.err.splitlines() if "broken.mp3" in line]
    assert line.startswith("cannot be transcribed: أرشيف قديم/broken.mp3: is ")
    assert line.count("broken.mp3") == 1
    with wave.open(str(archive / "a.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(32_000))
    ended = command("scan", archive.name, "-o", "elsewhere/rows.jsonl")
    assert "elsewhere/rows.jsonl: 1 new recording, 1.0 s; 0 known" in ended.out
    last = ended.out.splitlines()[-1]
    assert typed_again(command, last) == [
        *("plan", "elsewhere/rows.jsonl", "--input-root", "أرشيف قديم")
    ]
    assert command(*typed_again(command, last)).code == 0


def test_watching_without_its_extra_is_refused_before_anything_is_looked_at(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after an hour of looking through an archive."""
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    ended = command("scan", folder, "--watch", "-o", "rows.jsonl")
    assert ended.code == 78
    assert "batchjobs[scan]" in ended.err
    assert not Path("rows.jsonl").exists()


def test_a_book_suggests_a_command_that_a_shell_takes(command: Command, folder: Path) -> None:
    """Its name may have spaces and Arabic in it."""
    Path("كتاب صغير.txt").write_text("السلام عليكم ورحمة الله وبركاته.\n", encoding="utf-8")
    last = command("book", "كتاب صغير.txt").out.splitlines()[-1]
    assert last == "next: look through 'كتاب صغير', then batchjobs run 'كتاب صغير.jsonl'"
    assert Path("كتاب صغير").is_dir()


def test_a_run_from_python_is_continued_by_a_command_too(
    command: Command, greeting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks at it from elsewhere gets paths that lead there."""
    batchjobs.run("greeting.csv", batchjobs.Options(engine="tone", limit=0, output="out"))
    here = Path.cwd()
    Path("below").mkdir()
    monkeypatch.chdir("below")
    last = command("status", "../out").out.splitlines()[-1]
    assert last.startswith(f"continue: cd {here} && batchjobs run greeting.csv -o {here}/")
    monkeypatch.chdir(here)
    assert command("run", "greeting.csv", "-o", f"{here}/below/../out", "-q").code == 0
