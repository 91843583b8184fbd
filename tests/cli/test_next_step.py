"""What to type next: the very command, where it helps, and nothing where it does not."""

import shlex
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
    given: tuple[str, ...] = ("run", "some.csv", "--engine", "tone", "--skip-bad-rows")
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


def test_after_a_reached_limit_a_sufficient_one_is_named(command: Command, folder: Path) -> None:
    """The same command would end with 80 again; the one that is suggested does the rest."""
    texts = "".join(f"r{number},هذه جملة للاختبار رقم {number}.\n" for number in range(12))
    Path("t.csv").write_text(f"id,text\n{texts}", encoding="utf-8")
    given = ("run", "t.csv", "--engine", "tone", "-c", "1")
    last = ""
    for limit in (("--max-characters", "100"), ("--max-characters=120",)):
        ended = command(*given, *limit)
        assert ended.code == 80
        last = ended.out.splitlines()[-1]
        assert last.startswith("continue, with a larger limit: batchjobs run t.csv --engine tone")
        (value,) = [word for word in last.split() if word.isdigit() and len(word) > 2]
        assert f"raise --max-characters to {value}: enough for all of them" in ended.err
        assert command("status", "outputs/t").out.splitlines()[-1] == last
    ended = command(*typed_again(command, last))
    assert ended.code == 0
    assert "12 of 12 jobs done" in ended.out


def test_a_limit_of_the_environment_is_raised_on_the_command_line(
    command: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is typed goes before what is set."""
    Path("t.csv").write_text("id,text\na,Hello to you\nb,Hello to all of you\n")
    monkeypatch.setenv("BATCHJOBS_MAX_CHARACTERS", "15")
    last = command("run", "t.csv", "--engine", "tone").out.splitlines()[-1]
    assert " --max-characters " in last
    assert command(*typed_again(command, last)).code == 0


def test_a_limit_of_no_rows_changes_nothing(command: Command, greeting: Path) -> None:
    """An edited row would leave the results, though nothing was done for it."""
    run = ("run", "greeting.csv", "--engine", "tone")
    command(*run)
    files = {path: path.read_bytes() for path in Path("outputs/greeting").glob("*.json*")}
    assert len(files) == 3
    greeting.write_text("id,text\na,Something else\nb,Hello to everybody here\nc,New\n")
    ended = command(*run, "--limit", "0")
    assert ended.code == 0
    assert "1 of 3 jobs" in ended.out
    assert "2 not run" in ended.out
    assert {path: path.read_bytes() for path in files} == files
    assert "2 of 2 jobs done" in command("status", "outputs/greeting").out
    assert "3 of 3 jobs done" in command(*run).out
