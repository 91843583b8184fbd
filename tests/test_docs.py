"""What the documents say is so: commands exist, tables are complete, links lead there, examples run."""

import html
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
from batchjobs.cli.main import COMMANDS as NAMES
from batchjobs.cli.main import cli
from batchjobs.manifest import KNOWN_COLUMNS
from batchjobs.server.engines.registry import ENGINES
from batchjobs.server.faults import FaultName
from tests.options import settings_page

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / ".github/CONTRIBUTING.md",
        *sorted(
            page
            for folder in ("batchjobs", "manifests", "outputs", "tests")
            for page in (ROOT / folder).rglob("README.md")
        ),
    )
}
CONTEXT = click.Context(cli)
COMMANDS = {name: command for name in NAMES if (command := cli.get_command(CONTEXT, name))}
ALL = "\n".join(DOCUMENTS.values())
PICTURE = (ROOT / ".github/media/terminal.svg").read_text(encoding="utf-8")
LONGEST_README_LINES = 180


def commands_shown() -> list[str]:
    """List every line of the documents' console blocks, and of the picture, that calls batchjobs."""
    blocks = re.findall(r"```console\n(.*?)```", ALL, re.DOTALL)
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    lines += [html.unescape(line) for line in re.findall(r">\$ (batchjobs [^<]*)<", PICTURE)]
    return sorted({line for line in lines if line.startswith("batchjobs ")})


def section(document: str, heading: str) -> str:
    """Give a section of a document, by its heading."""
    found = re.search(
        rf"^## {heading}\n(.*?)(?=^## |\Z)", DOCUMENTS[document], re.MULTILINE | re.DOTALL
    )
    assert found is not None, (document, heading)
    return found[1]


def test_the_readme_can_be_read_in_one_go() -> None:
    """The README says what it is and how to begin; all else has a page where it belongs."""
    assert len(README.splitlines()) <= LONGEST_README_LINES


@pytest.mark.parametrize("line", commands_shown())
def test_a_command_that_is_shown_is_one_that_exists(line: str) -> None:
    """Every batchjobs command that a document shows can be parsed by the command line."""
    name, *arguments = shlex.split(line, comments=True)[1:]
    command = COMMANDS[name]
    if "--help" in arguments:
        return
    existing = {option for param in command.params for option in param.opts}
    given = {argument for argument in arguments if argument.startswith("-")}
    assert given <= existing


def test_every_command_is_in_the_documents() -> None:
    """No command is left for the user to discover."""
    for name in COMMANDS:
        assert re.search(rf"`?batchjobs {name}\b|`{name}`", ALL), name


def test_every_command_and_option_has_help() -> None:
    """Every command says what it is for, and so does every option."""
    for name, command in COMMANDS.items():
        assert command.help, name
        for param in command.params:
            if isinstance(param, click.Option):
                assert param.help, f"{name} {param.name}"


def test_every_option_has_an_environment_variable() -> None:
    """An option's environment variable is named after it."""
    for command in COMMANDS.values():
        for param in command.params:
            if isinstance(param, click.Option) and param.name != "help":
                long = next(name for name in param.opts if name.startswith("--"))
                variable = "BATCHJOBS_" + long[2:].upper().replace("-", "_")
                # Whoever sets a run's folder does not mean a book's file.
                is_file = long == "--output" and command.name not in {"run", "plan", "watch"}
                assert param.envvar == (None if is_file else variable)


def test_every_column_is_in_the_manifests_page() -> None:
    """The table of columns has every column that a manifest may have."""
    table = section("manifests/README.md", "The manifest")
    rows = re.findall(r"^\| `(\w+)` \| (?:both|speech|transcription) \|", table, re.MULTILINE)
    assert set(rows) == set(KNOWN_COLUMNS)


def test_every_setting_is_in_its_table() -> None:
    """The page of settings has the table that ``python -m tests.options.settings_page`` prints."""
    is_there = settings_page.table() in section("batchjobs/cli/README.md", "Every setting of a run")
    assert is_there, "put what python -m tests.options.settings_page prints into that page"


def test_every_exit_code_is_in_the_readme_and_in_the_help() -> None:
    """Every code that an error can end with is explained where users look."""
    classes = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    table = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    help_text = COMMANDS["run"].help or ""
    for code in {error.exit_code for error in classes}:
        assert code in table
        assert re.search(rf"\b{code}\b", help_text), code


def test_every_fault_is_in_the_help_of_serve() -> None:
    """The help of serve names every way to misbehave."""
    help_text = COMMANDS["serve"].help or ""
    for name in FaultName:
        assert re.search(rf"(?<![\w-]){name.value}(?![\w-])", help_text), name


def test_every_engine_is_listed_wherever_engines_are() -> None:
    """The server's page and the help of both commands name the same engines."""
    page = DOCUMENTS["batchjobs/server/README.md"]
    table = re.findall(r"^\| (`auto`.*?|`[a-z]+`) \| [^|]*\| [^|]*\|$", page, re.MULTILINE)
    listed = {name for cell in table for name in re.findall(r"`(\w+)`", cell)}
    assert listed >= ENGINES.keys()
    for command in ("run", "plan", "serve"):
        option = next(each for each in COMMANDS[command].params if each.name == "engine")
        assert isinstance(option, click.Option)
        for name in ENGINES:
            assert name in (option.help or ""), (command, name)


def test_every_table_of_the_file_is_on_the_page_of_settings(tmp_path: Path) -> None:
    """And none that the file may not have."""
    page = DOCUMENTS["batchjobs/cli/README.md"]
    sentence = re.search(r"a table for each command,(.*?), with the", page, re.DOTALL)
    assert sentence is not None
    tables = re.findall(r"`\[(\w+)\]`", sentence[1])
    assert set(tables) == set(COMMANDS) - {"providers"}
    path = tmp_path / "batchjobs.toml"
    path.write_text("".join(f"[{table}]\n" for table in tables))
    assert config.load(path).defaults.keys() == set(tables)


def test_the_comparison_of_what_was_heard_compares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Speaking, transcribing and comparing by its lines finds no difference, Arabic included."""
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    page = DOCUMENTS["batchjobs/server/README.md"]
    block = re.search(r"```console\n(batchjobs run [^`]*?jq -r [^`]*?)```", page)
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


def test_the_settings_that_are_shown_are_valid(tmp_path: Path) -> None:
    """The example of batchjobs.toml can be used as it stands."""
    example = re.search(r"```toml\n(.*?)```", DOCUMENTS["batchjobs/cli/README.md"], re.DOTALL)
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


def headings_of(text: str) -> set[str]:
    """Give the anchors of a document's headings, as they are made where it is rendered."""
    lines = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", line).strip().lower().replace(" ", "-") for line in lines}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_to_sections_and_files_lead_somewhere(document: str) -> None:
    """Every link of a document to a file, or to a section of one, has a target."""
    text = re.sub(r"```.*?```|`[^`\n]*`", "", DOCUMENTS[document], flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        place, _, heading = target.partition("#")
        path = ((ROOT / document).parent / place).resolve() if place else ROOT / document
        assert path.exists(), (document, target)
        if heading:
            assert heading in headings_of(path.read_text(encoding="utf-8")), (document, target)


def test_every_room_has_its_line_and_what_is_named_is_there() -> None:
    """The page about the package lists its modules and folders, and no file that is gone."""
    page = DOCUMENTS["batchjobs/README.md"]
    package = ROOT / "batchjobs"
    rooms = {path.stem for path in package.glob("*.py")} | {
        path.parent.name for path in package.glob("*/__init__.py")
    }
    rows = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    listed = {name.strip("/") for row in rows for name in re.findall(r"`([\w/]+)`", row)}
    assert listed == {room for room in rooms if not room.startswith("__")}
    order = [name for row in rows for name in re.findall(r"`(\w+)/?`", row) if name in rooms]
    places = {name: number for number, name in enumerate(order)}
    for path in package.rglob("*.py"):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        for name in re.findall(r"^\s*from batchjobs\.(\w+)", path.read_text("utf-8"), re.MULTILINE):
            is_below = places.get(room, -1) < places.get(name, len(places))
            assert room == name or room.startswith("__") or is_below, (room, name)
    stems = {path.stem for path in package.rglob("*.py")} | rooms
    for section_name in ("The way of a row", "The way of a message"):
        for name in re.findall(r"`([a-z_/]+)`", section("batchjobs/README.md", section_name)):
            assert name.rstrip("/").rpartition("/")[2] in stems, name


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
