"""Settings of the environment and the file: what is wrong with them is said of them, not of an option."""

from pathlib import Path

import pytest

from tests.commands import Command


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("BATCHJOBS_ATTEMPTS", "many", "BATCHJOBS_ATTEMPTS in the environment"),
        ("BATCHJOBS_CONCURRENCY", "lots", "BATCHJOBS_CONCURRENCY in the environment"),
        ("BATCHJOBS_RATE", "fast", "BATCHJOBS_RATE in the environment: 'fast' is not a rate"),
        ("BATCHJOBS_KEY_FILE", "no-such-file", "BATCHJOBS_KEY_FILE in the environment"),
        ("BATCHJOBS_FORMAT", "opus", "BATCHJOBS_FORMAT in the environment"),
    ],
)
def test_a_wrong_value_of_the_environment_is_called_by_its_variable(
    command: Command,
    greeting: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    words: str,
) -> None:
    """Nobody typed the option."""
    monkeypatch.setenv(name, value)
    ended = command("run", greeting)
    assert ended.code in {2, 78}
    assert words in ended.err
    flag = "--" + name.removeprefix("BATCHJOBS_").lower().replace("_", "-")
    assert f"Invalid value for '{flag}'" not in ended.err


def test_a_wrong_value_that_was_typed_is_called_by_its_option(
    command: Command, greeting: Path
) -> None:
    """Also where the environment has another one."""
    assert "'--attempts'" in command("run", greeting, "--attempts", "0").err
    assert "--rate: 'fast' is not a rate" in command("run", greeting, "--rate", "fast").err


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("BATCHJOBS_CONCURENCY", "BATCHJOBS_CONCURRENCY"),
        ("BATCHJOBS_MAX_CHARACTER", "BATCHJOBS_MAX_CHARACTERS"),
        ("BATCHJOBS_LOCALKEY", "BATCHJOBS_LOCAL_KEY"),
        ("BATCHJOBS_TRUE_PEEK", "BATCHJOBS_TRUE_PEAK"),
    ],
)
def test_a_misspelt_variable_is_told_with_the_near_name(
    command: Command, greeting: Path, monkeypatch: pytest.MonkeyPatch, name: str, meant: str
) -> None:
    """Nothing reads it, and a limit that is set so is none."""
    monkeypatch.setenv(name, "1")
    ended = command("plan", greeting)
    assert ended.code == 0
    assert f"batchjobs: {name} in the environment is no setting" in ended.err
    assert f"did you mean {meant}?" in ended.err


def test_variables_of_other_commands_and_of_other_programs_are_not_told(
    command: Command, greeting: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell's profile has them for all commands."""
    for name in ("BATCHJOBS_PORT", "BATCHJOBS_TRUE_PEAK", "BATCHJOBS_LOCAL_KEY", "BATCHJOBS_HOME"):
        monkeypatch.setenv(name, "1")
    assert command("plan", greeting).err == ""


def test_a_misspelt_table_of_the_file_is_told_with_the_near_name(
    command: Command, greeting: Path
) -> None:
    """As a misspelt key is."""
    Path("batchjobs.toml").write_text("[provider.munsit]\nconcurrency = 3\n")
    assert "did you mean [providers]?" in command("plan", greeting).err
