"""The commands `status` and `verify` tell where a run stands."""

import json
from pathlib import Path

import pytest

from tests.commands import Command


def test_status_and_verify_tell_where_a_run_stands(command: Command, greeting: Path) -> None:
    """Status counts; verify checks every file, and exits with 1 if one is wrong."""
    command("run", greeting, "--engine", "tone", "--limit", 1)
    told = command("status", "outputs/greeting")
    assert "1 of 2 jobs done" in told.out
    assert "continue: batchjobs run" in told.out
    assert json.loads(command("status", "outputs/greeting", "--json").out)["not_run"] == 1
    command("run", greeting, "--engine", "tone", "--fault", "error:40001")
    assert "1  failed: permanent" in command("status", "outputs/greeting").out
    assert command("verify", "outputs/greeting").code == 0
    content = bytearray(Path("outputs/greeting/audio/a.wav").read_bytes())
    content[100] ^= 1
    Path("outputs/greeting/audio/a.wav").write_bytes(content)
    wrong = command("verify", "outputs/greeting")
    assert (wrong.code, "its content has changed" in wrong.out) == (1, True)
    assert wrong.out.splitlines()[-1].startswith("to make them again: batchjobs run ")
    assert json.loads(command("verify", "outputs/greeting", "--json").out)["checked"] == 1


def test_a_manifests_path_answers_for_its_run(
    command: Command, greeting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever typed `run talks.csv` types `status talks.csv`."""
    wrong = command("status", "greeting.csv")
    assert wrong.code == 2
    assert "greeting.csv is no run folder, and has no run in outputs/greeting" in wrong.err
    command("run", "greeting.csv", "--engine", "tone")
    assert "2 of 2 jobs done" in command("status", "greeting.csv").out
    assert "2 jobs checked" in command("verify", greeting).out
    other = Path("other/greeting.csv")
    other.parent.mkdir()
    other.write_text("id,text\nx,y\n")
    assert "is the run of another manifest" in command("status", other).err
    monkeypatch.setenv("BATCHJOBS_OUTPUT", "elsewhere")
    command("run", other, "--engine", "tone")
    assert "1 of 1 job done" in command("status", other).out
