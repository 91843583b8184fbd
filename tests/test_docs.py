"""What the README says is so: its commands exist, its tables are complete, its examples run."""

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import msgspec
import pytest

import batchjobs
from batchjobs import config, errors
from batchjobs.cli import cli
from batchjobs.manifest import KNOWN_COLUMNS
from batchjobs.server.engines.registry import ENGINES
from batchjobs.server.faults import FaultName

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands_in_readme() -> list[str]:
    """Every line of the README's console blocks that calls batchjobs."""
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("batchjobs ")]


@pytest.mark.parametrize("line", commands_in_readme())
def test_a_command_in_the_readme_is_one_that_exists(line: str) -> None:
    """Every batchjobs command that the README shows can be parsed by the command line."""
    name, *arguments = shlex.split(line)[1:]
    command = cli.commands[name]
    if "--help" in arguments:
        return
    existing = {option for param in command.params for option in param.opts}
    given = {argument for argument in arguments if argument.startswith("-")}
    assert given <= existing


def test_every_command_is_in_the_readme() -> None:
    """No command is left for the user to discover."""
    for name in cli.commands:
        assert re.search(rf"`?batchjobs {name}\b|`{name}`", README), name


def test_every_command_and_option_has_help() -> None:
    """Every command says what it is for, and so does every option."""
    for name, command in cli.commands.items():
        assert command.help, name
        for param in command.params:
            if isinstance(param, click.Option):
                assert param.help, f"{name} {param.name}"


def test_every_option_has_an_environment_variable() -> None:
    """An option's environment variable is named after it."""
    for command in cli.commands.values():
        for param in command.params:
            if isinstance(param, click.Option) and param.name != "help":
                long = next(name for name in param.opts if name.startswith("--"))
                variable = "BATCHJOBS_" + long[2:].upper().replace("-", "_")
                # Whoever sets a run's folder does not mean a book's file.
                is_file = long == "--output" and command.name not in {"run", "plan"}
                assert param.envvar == (None if is_file else variable)


def test_every_column_is_in_the_readme() -> None:
    """The README's table has every column that a manifest may have."""
    assert set(
        re.findall(r"^\| `(\w+)` \| (?:both|speech|transcription) \|", README, re.MULTILINE)
    ) == (set(KNOWN_COLUMNS))


def test_every_exit_code_is_in_the_readme_and_in_the_help() -> None:
    """Every code that an error can end with is explained where users look."""
    classes = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    table = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    help_text = cli.commands["run"].help or ""
    for code in {error.exit_code for error in classes}:
        assert code in table
        assert re.search(rf"\b{code}\b", help_text), code


def test_every_fault_is_in_the_help_of_serve() -> None:
    """The help of serve names every way to misbehave."""
    help_text = cli.commands["serve"].help or ""
    for name in FaultName:
        assert re.search(rf"(?<![\w-]){name.value}(?![\w-])", help_text), name


def test_every_engine_is_listed_wherever_engines_are() -> None:
    """The README's table and the help of both commands name the same engines."""
    table = re.findall(r"^\| (`auto`.*?|`[a-z]+`) \| [^|]*\| [^|]*\|$", README, re.MULTILINE)
    listed = {name for cell in table for name in re.findall(r"`(\w+)`", cell)}
    assert listed >= ENGINES.keys()
    for command in ("run", "plan", "serve"):
        option = next(each for each in cli.commands[command].params if each.name == "engine")
        assert isinstance(option, click.Option)
        for name in ENGINES:
            assert name in (option.help or ""), (command, name)


def test_every_table_of_the_file_is_in_the_readme(tmp_path: Path) -> None:
    """And none that the file may not have."""
    sentence = re.search(r"a table for each command,(.*?), with the", README, re.DOTALL)
    assert sentence is not None
    tables = re.findall(r"`\[(\w+)\]`", sentence[1])
    assert set(tables) == set(cli.commands) - {"providers"}
    path = tmp_path / "batchjobs.toml"
    path.write_text("".join(f"[{table}]\n" for table in tables))
    assert config.load(path).defaults.keys() == set(tables)


def test_the_fields_of_the_options_name_those_of_the_command_line() -> None:
    """A field has the option's name, or its docstring has."""
    params = cli.commands["run"].params
    options = {name for param in params for name in (*param.opts, *param.secondary_opts)}
    text = batchjobs.Options.__doc__ or ""
    named = re.findall(r"``(--[a-z-]+)``", text)
    assert set(named) <= options
    entry = re.compile(r"^ {8}(\w+): (.*?)(?=^ {8}\w+: |\Z)", re.MULTILINE | re.DOTALL)
    entries = dict(entry.findall(text))
    for field in dataclasses.fields(batchjobs.Options):
        has_its_name = "--" + field.name.replace("_", "-") in options
        assert has_its_name or "``--" in entries[field.name] or field.name == "command"


def test_the_readme_s_comparison_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Speaking, transcribing and comparing by its lines finds no difference, Arabic included."""
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    block = re.search(r"```console\n(batchjobs run [^`]*?jq -r [^`]*?)```", README)
    assert block is not None
    (tmp_path / "manifests").symlink_to(ROOT / "manifests")
    ours = f'set -e; batchjobs() {{ {shlex.quote(sys.executable)} -m batchjobs "$@" -q; }}\n'
    done = subprocess.run(
        ["bash", "-c", ours + block[1]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    heard = tmp_path / "outputs/tones/outputs/heard/results.jsonl"
    assert len(heard.read_text(encoding="utf-8").splitlines()) == 6


def test_the_readme_s_settings_are_valid(tmp_path: Path) -> None:
    """The example of batchjobs.toml can be used as it stands."""
    example = re.search(r"```toml\n(.*?)```", README, re.DOTALL)
    assert example is not None
    path = tmp_path / "batchjobs.toml"
    path.write_text(example[1], encoding="utf-8")
    read = config.load(path)
    assert read.providers["uae"].base_url == "wss://ae.api.faseeh.ai/api/v1"
    assert read.defaults["run"]["concurrency"] == "8"


def test_the_readme_s_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of the library runs as it stands, and prints a line a job."""
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert example is not None
    (tmp_path / "manifests").symlink_to(ROOT / "manifests")
    monkeypatch.chdir(tmp_path)
    printed: list[object] = []
    exec(compile(example[1], "README.md", "exec"), {"print": lambda *line: printed.append(line)})
    assert len(printed) == 8


def test_links_to_sections_and_files_lead_somewhere() -> None:
    """Every link of the README to one of its sections or to a file has a target."""
    headings = {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ")).strip().lower().replace(" ", "-")
        for line in README.splitlines()
        if line.startswith("#")
    }
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in headings, target
        else:
            assert (ROOT / target).exists(), target


def test_ci_runs_the_readme_s_test_command() -> None:
    """CI takes its command out of the README, so the two cannot differ."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.md" in script
    assert README.count("venv .venv-test") == 1


def test_the_version_is_in_the_changelog() -> None:
    """The changelog has a section for the version that is built."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_everything_public_is_documented() -> None:
    """Every name the package offers has a docstring."""
    for name in batchjobs.__all__:
        assert getattr(batchjobs, name).__doc__, name


@pytest.mark.parametrize("manifest", sorted((ROOT / "manifests").glob("*.csv")))
def test_every_manifest_in_the_project_is_valid(manifest: Path, tmp_path: Path) -> None:
    """Every manifest that comes with the project passes its own checks."""
    options = batchjobs.Options(output=tmp_path / "run")
    plan = batchjobs.plan(manifest, options)
    assert plan.rows
    assert plan.to_do == plan.rows
    assert msgspec.json.encode(plan)
