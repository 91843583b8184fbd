"""What cannot be run is refused before anything is spent, with its exit code."""

import json
import re
import signal
import subprocess
from pathlib import Path

import pytest

from batchjobs.checkpoint import Checkpoint
from tests.clocks import PATIENCE_SECONDS, until
from tests.commands import Command, process

BAD_MANIFESTS = {
    "empty": (b"", "empty"),
    "no header": (b"1,2\n3,4\n", "header"),
    "header only": (b"id,text\n", "row"),
    "unknown column": (b"id,txet\n1,a\n", "did you mean 'text'"),
    "duplicate id": (b"id,text\nx,One text\nx,Two texts\n", "bad.csv:3"),
    "both": (b"id,text,audio\n1,Hello,a.wav\n", "audio"),
    "neither": (b"id,text,audio\n1,,\n", "bad.csv:2"),
    "blank text": (b'id,text\n1,"   "\n', "bad.csv:2"),
    "speed": (b"id,text,speed\n1,Hello,1.3\n", "0.7"),
    "output format": (b"id,text,output_format\n1,Hello,pcm_44100\n", "pcm_24000"),
    "no recording": (b"id,audio\n1,missing.wav\n", "missing.wav"),
    "no audio in it": (b"id,audio\n1,bad.csv\n", "bad.csv"),
    "escape": (b"id,text,output\n1,Hello,../../x.wav\n", "output"),
    "audio escape": (b"id,audio\n1,../../../../etc/passwd\n", "audio"),
    "UTF-16": ("id,text\n1,مرحبا\n".encode("utf-16"), "UTF-16"),
    "NUL": (b"id,text\n1,He\0llo\n", "NUL"),
    "stray quote": (b'id,text\n1,"Hello\n2,World\n', "bad.csv:2"),
    "not UTF-8": (b"id,text\n1,\xff\xfe\xfd\n", "UTF-8"),
}


@pytest.mark.parametrize("name", BAD_MANIFESTS)
def test_a_bad_manifest_is_refused_before_anything_is_spent(
    command: Command, folder: Path, name: str
) -> None:
    """A bad manifest exits with 65 and a located, named error, and leaves nothing behind."""
    content, hint = BAD_MANIFESTS[name]
    (folder / "bad.csv").write_bytes(content)
    for verb in ("plan", "run"):
        ended = command(verb, "bad.csv", "--engine", "tone")
        assert ended.code == 65
        assert "bad.csv" in ended.err
        assert hint in ended.err
        assert not (folder / "outputs" / "bad").exists()


def test_a_duplicate_id_names_both_lines(command: Command, folder: Path) -> None:
    """The error of an id used twice names the line of the other."""
    (folder / "bad.csv").write_bytes(BAD_MANIFESTS["duplicate id"][0])
    assert re.search(r"bad\.csv:3: column 'id'.*line 2", command("run", "bad.csv").err)


def test_bad_rows_can_be_skipped(command: Command, folder: Path) -> None:
    """With --skip-bad-rows the others run, and the bad ones are in failed.jsonl."""
    (folder / "some.csv").write_text("id,text,speed\na,Hello to you,1.0\nb,Hello again,9\n")
    ended = command("run", "some.csv", "--engine", "tone", "--skip-bad-rows")
    assert ended.code == 1
    failure = json.loads((folder / "outputs/some/failed.jsonl").read_bytes())
    assert (failure["id"], failure["error"]["class"]) == ("b", "bad_row")
    assert "0.7" in failure["error"]["message"]
    assert failure["error"]["message"].startswith("some.csv:3: column 'speed': ")


def test_an_output_that_cannot_be_made_exits_with_73(command: Command, greeting: Path) -> None:
    """A file in the place of the run folder, or of a result, is never overwritten."""
    Path("taken").write_text("mine")
    assert command("run", greeting, "--engine", "tone", "-o", "taken").code == 73
    Path("mine/audio").mkdir(parents=True)
    Path("mine/audio/a.wav").write_text("mine")
    ended = command("run", greeting, "--engine", "tone", "-o", "mine")
    assert (ended.code, "is not this run's" in ended.err) == (73, True)
    assert Path("mine/audio/a.wav").read_text() == "mine"


def test_a_second_run_in_the_folder_ends_at_once(greeting: Path) -> None:
    """While a run holds its folder another one ends with 75 and no connection."""
    first = process(
        "run", greeting, "--engine", "tone", "--fault", "hang", "--json", stdout=subprocess.PIPE
    )
    said = first.stdout
    assert said is not None
    assert "run_started" in said.readline()
    second = process("run", greeting, "--engine", "tone", stderr=subprocess.PIPE)
    _, message = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 75
    assert "another run" in message
    first.send_signal(signal.SIGTERM)
    until(lambda: "run_stopping" in said.readline())
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=PATIENCE_SECONDS)
    assert first.returncode == -signal.SIGTERM


def test_no_option_is_named_that_the_command_does_not_have(
    command: Command, greeting: Path
) -> None:
    """Another --output is for who makes a run; who looks at one is told what else there is to do."""
    run = Path("outputs/greeting")
    command("run", greeting, "--engine", "tone")
    with Checkpoint.open(run):
        held = command("accept", run, "--all")
        again = command("run", greeting)
    assert (held.code, again.code) == (75, 75)
    assert held.err.endswith("→ wait for it or stop it\n")
    assert again.err.endswith("→ wait for it or stop it, or choose another --output\n")
    (run / "report.html").mkdir()
    ended = command("report", run)
    assert (ended.code, "--output" in ended.err) == (73, False)
    assert "see that this user may write there" in ended.err


def test_the_folder_that_a_path_leaves_is_named(command: Command, folder: Path) -> None:
    """A manifest of the current folder has it as a dot, which says nothing."""
    (folder / "bad.csv").write_text("id,audio\n1,../x.wav\n2,s3://bucket/x.wav\n")
    ended = command("plan", "bad.csv")
    assert ended.code == 65
    assert ended.err.count(f"leaves {folder.resolve()};") == 2
