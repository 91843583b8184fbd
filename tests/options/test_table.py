"""One table: the command line, the file, the checks and the library agree because they read it."""

import dataclasses
from pathlib import Path

import click
import pytest

import batchjobs
from batchjobs.cli.commands.plan import plan
from batchjobs.cli.commands.run import run
from batchjobs.options import Options, Setting, check_settings, fill, settings_of
from batchjobs.protocol.codec import ChunkEncoding

ENTRIES = list(settings_of(Options))
RANGES = [setting for setting in ENTRIES if "least" in setting.details]
OF_THE_CONSOLE = {"manifest", "as_json", "quiet", "verbose", "is_detached", "target", "force"}


def parsed(*arguments: str) -> Options:
    """Read a command line of `run` as the command does."""
    return fill(Options, run.make_context("run", ["talks.csv", *arguments]).params)


def test_a_run_s_options_are_the_table_s_rows() -> None:
    """`run` has them all, `plan` those that say what there is to do; in the table's order."""
    names = [param.name for param in run.params if param.name not in OF_THE_CONSOLE]
    assert names == [setting.name for setting in ENTRIES]
    planned = [param.name for param in plan.params if param.name not in OF_THE_CONSOLE]
    assert planned == [setting.name for setting in ENTRIES if "is_planned" in setting.details]


def test_every_field_of_the_options_is_a_setting() -> None:
    """All but the two that are no option: a record of settings, and how the run was called."""
    fields = {field.name for field in dataclasses.fields(Options)}
    assert fields - {setting.name for setting in ENTRIES} == {"speech", "command"}


def test_a_command_line_without_options_is_options_without_arguments() -> None:
    """No default stands twice."""
    assert parsed() == batchjobs.Options()


def test_the_command_line_s_units_become_the_field_s() -> None:
    """Milliseconds, rates and ``auto`` are read into seconds and numbers."""
    given = parsed("--sentence-pause", "250", "--rate", "30/min", "-c", "auto", "--voice", "v")
    wanted = batchjobs.Options(
        sentence_pause_seconds=0.25,
        starts_per_second=0.5,
        concurrency=0,
        speech=batchjobs.Defaults(voice_id="v"),
    )
    assert given == wanted


@pytest.mark.parametrize("setting", RANGES, ids=lambda setting: setting.name)
def test_a_range_holds_on_the_command_line_and_in_python(setting: Setting) -> None:
    """What is too little or too much is refused by both, and the bounds themselves by neither."""
    details = setting.details
    bounds = [(details["least"], -1)] + ([(details["most"], 1)] if "most" in details else [])
    for bound, beyond in bounds:
        check_settings(fill(Options, {setting.name: bound}))
        with pytest.raises(batchjobs.errors.UsageError, match=setting.name):
            check_settings(fill(Options, {setting.name: bound + beyond}))
        with pytest.raises((click.UsageError, SystemExit)):
            parsed(setting.flag, str(setting.in_units(bound + beyond)))


def test_every_encoding_is_one_that_exists() -> None:
    """The table names them without importing what writes them."""
    choices = {each.name: each.details["choices"] for each in ENTRIES if "choices" in each.details}
    assert choices["encoding"] == tuple(ChunkEncoding)


def test_the_options_docstring_names_every_setting() -> None:
    """``help(batchjobs.Options)`` tells what each is for, and its option."""
    text = f"{batchjobs.Options.__doc__}{batchjobs.Defaults.__doc__}"
    for setting in ENTRIES:
        assert f"{setting.name}: {setting.help}" in text
        assert f"``{setting.flag}``" in text


def test_a_setting_has_a_place_in_the_file_and_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the option's name: in the table ``[run]``, and after ``BATCHJOBS_``."""
    path = tmp_path / "batchjobs.toml"
    numbers = [setting for setting in RANGES if "parse" not in setting.details]
    keys = [setting.flag.removeprefix("--").replace("-", "_") for setting in numbers]
    path.write_text("[run]\n" + "".join(f"{key} = 7\n" for key in keys))
    from_file = parsed("--config", str(path))
    for key in keys:
        monkeypatch.setenv(f"BATCHJOBS_{key.upper()}", "7")
    from_environment = parsed()
    for options in (from_file, from_environment):
        assert {getattr(options, setting.name) for setting in numbers} == {7, 0.007}
