"""Settings come from the command line, the environment and the file, in this order."""

import json
import tomllib
from pathlib import Path

import click
import pytest

from batchjobs.audiobook.kinds import KINDS
from batchjobs.cli.main import cli
from batchjobs.jobs import Sign
from batchjobs.outputs.reports import STATUSES
from batchjobs.quality.normalize import Step
from tests.canary import KEY, place_in
from tests.commands import Command


@pytest.mark.parametrize("way", ["option", "variable", "file"])
def test_the_hooks_into_libraries_are_one_setting(
    command: Command, folder: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Switched off anywhere, they are off: what needs them is refused."""
    arguments = ["--no-library-hooks"] if way == "option" else []
    if way == "variable":
        monkeypatch.setenv("BATCHJOBS_LIBRARY_HOOKS", "0")
    if way == "file":
        Path("batchjobs.toml").write_text("[run]\nlibrary_hooks = false\n", encoding="utf-8")
    assert "needs its hook" in command("run", "--compress", *arguments, "x.csv").err


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--provider", "nobody"], "there is no provider 'nobody'"),
        (["--provider", "munsit", "--voice", "v"], "set MUNSIT_API_KEY"),
        (["--base-url", "ws://example.org/api/v1"], "--insecure"),
        (["--base-url", "http://127.0.0.1/api/v1"], "ws://"),
        (["--rate", "fast"], "N/s"),
        (["--engine", "parrot"], "tone"),
        (["--key-file", "open.key", "--provider", "munsit", "--voice", "v"], "chmod 600"),
        (["--config", "broken.toml"], "not TOML"),
        (["--config", "unknown.toml"], "unknown option 'concurency'"),
        (["--config", "number.toml"], "'skip_bad_rows' is neither on nor off"),
    ],
)
def test_bad_configuration_exits_with_78_and_says_what_to_do(
    command: Command,
    greeting: Path,
    arguments: list[str],
    hint: str,
) -> None:
    """A missing key or a setting that makes no sense exits with 78, and spends nothing."""
    Path("open.key").write_text(f"{KEY}\n")
    Path("open.key").chmod(0o644)
    Path("broken.toml").write_text("[run\n")
    Path("unknown.toml").write_text("[run]\nconcurency = 3\n")
    Path("number.toml").write_text("[run]\nskip-bad-rows = 0\n")
    ended = command("run", greeting, *arguments)
    assert ended.code == 78
    assert hint in ended.err
    assert not place_in(ended.err)


def test_every_option_has_its_place_in_the_file(command: Command, greeting: Path) -> None:
    """Under the name that it has on the command line, in the table of its command."""
    Path("batchjobs.toml").write_text(
        '[run]\nformat = "flac"\nmax-audio = 3\njson = true\nengine = "tone"\n'
        "[verify]\njson = true\n[bind]\nbitrate = 32000\n[book]\nforce = true\n"
        "[scan]\nsettle = 1.0\n[probe]\nyes = true\n"
    )
    ended = command("run", greeting, "-o", "out")
    assert ended.code == 0
    assert json.loads(ended.out.splitlines()[0])["event"] == "run_started"
    assert list(Path("out/audio").glob("*.flac"))
    assert json.loads(command("verify", "out").out)["wrong"] == []
    Path("batchjobs.toml").write_text("[verify]\nnonsense = 1\n")
    ended = command("verify", "out")
    assert (ended.code, "unknown option 'nonsense'" in ended.err) == (78, True)


def test_providers_tells_where_each_value_comes_from(command: Command, folder: Path) -> None:
    """Each setting is listed with the file that gives it, or as built in."""
    (folder / "batchjobs.toml").write_text("[providers.munsit]\nquiet_seconds = 1.5\n")
    told = command("providers").out
    assert "quiet_seconds = 1.5  # batchjobs.toml" in told
    assert "quiet_seconds = 2.5  # built in" in told
    assert "MUNSIT_API_KEY, not set" in told
    assert json.loads(command("providers", "--json").out)["munsit"]["quiet_seconds"] == 1.5


def test_what_providers_lists_may_be_copied_into_the_file(command: Command, folder: Path) -> None:
    """It is what stands there: `true` and lists, not Python's words for them."""
    accounts = '[[providers.munsit.accounts]]\nkey_variable = "MUNSIT_KEY_2"\nname = "\\"ب\\""\nbudget = 2.5\n'
    (folder / "batchjobs.toml").write_text(accounts, encoding="utf-8")
    lines = command("providers").out.splitlines()
    table = [
        line if line.startswith(" ") else f"[{line.partition(' ')[0]}]"
        for line in lines  # a provider's name has its key behind it
    ]
    read = tomllib.loads("\n".join(table))
    assert read["munsit"]["accounts"] == [
        {"key_variable": "MUNSIT_KEY_2", "name": '"ب"', "budget": 2.5}
    ]
    told = json.loads(command("providers", "--json").out)
    for name, settings in read.items():
        expected = told[name] | {"accounts": settings["accounts"]}
        assert settings == {key: expected[key] for key in settings}
    assert read["local"]["close_drains"] is True


def test_settings_come_from_the_command_line_then_the_environment_then_the_file(
    command: Command,
    greeting: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The nearer setting wins."""
    Path("batchjobs.toml").write_text('[run]\nengine = "tone"\noutput = "from-file"\n')
    command("run", greeting)
    assert Path("from-file/audio/a.wav").is_file()
    monkeypatch.setenv("BATCHJOBS_OUTPUT", "from-environment")
    command("run", greeting)
    assert Path("from-environment/audio/a.wav").is_file()
    command("run", greeting, "-o", "from-command")
    assert Path("from-command/audio/a.wav").is_file()


@pytest.mark.parametrize(
    ("name", "parameter", "there_are"),
    [
        ("results", "statuses", {*STATUSES, "all"}),
        ("accept", "reasons", {sign.value for sign in Sign}),
        ("bind", "form", {*KINDS}),
        ("check", "distinguish", {step.value for step in Step}),
    ],
)
def test_the_choices_are_those_that_there_are(
    name: str, parameter: str, there_are: set[str]
) -> None:
    """The help waits for none of the modules that define them, so they are spelt there again."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    (option,) = (each for each in command.params if each.name == parameter)
    assert isinstance(option.type, click.Choice)
    assert {*option.type.choices} == there_are
