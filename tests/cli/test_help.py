"""Help is instant, wrong usage says what would be right, names are completed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from batchjobs.cli.main import COMMANDS
from tests.commands import ROOT, Command


def test_help_waits_for_no_heavy_import() -> None:
    """The help comes without trio, numpy or soundfile, which take longer than it."""
    script = (
        "import sys\nsys.argv = ['batchjobs', 'run', '--help']\n"
        "from batchjobs.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'trio', 'numpy', 'soundfile', 'tqdm', 'orjson', 'soxr'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "batchjobs run manifests/quickstart.csv" in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_an_option_s_help_has_one_default_at_most(command: Command, name: str) -> None:
    """Where a word stands for what nobody would type, it stands alone."""
    for each in re.split(r"\n  -", command(name, "--help").out):
        assert each.count("[default") <= 1, each


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["rum", "x.csv"], "'run'"),
        (["run", "--concurency", "3", "x.csv"], "--concurrency"),
        (["run", "-c", "0", "x.csv"], "give 1 to 10000, or auto"),
        (["run", "-c", "many", "x.csv"], "give 1 to 10000, or auto"),
        (["run"], "MANIFEST"),
        (["run", "--format", "opus", "x.csv"], "'flac'"),
        (["run", "-"], "give --output DIR"),
        (["run", "--encoding", "wide", "x.csv"], "'padded'"),
        (["run", "--compress", "--no-library-hooks", "x.csv"], "leave out one of"),
        (["status", "nowhere"], "there is no run in nowhere"),
        (["verify", "nowhere"], "there is no run in nowhere"),
        (["serve", "--fault", "dorp"], "drop"),
        (["run", "x.csv", "-p", "munsit", "--fault", "drop"], "--fault is for the local server"),
        (["plan", "x.csv", "-p", "munsit", "--engine", "tone"], "--engine is for the local server"),
        (
            ["run", "x.csv", "--base-url", "ws://127.0.0.1:1/api/v1", "--engine", "tone"],
            "with --base-url it starts none",
        ),
    ],
)
def test_wrong_usage_says_what_would_be_right(
    command: Command, arguments: list[str], hint: str
) -> None:
    """A command put together wrongly exits with 2 and a hint."""
    ended = command(*arguments)
    assert ended.code == 2
    assert hint in ended.err


def test_completion_is_offered_for_commands_and_providers(folder: Path) -> None:
    """The shell can ask for the commands, and for the providers of the configuration file."""
    (folder / "batchjobs.toml").write_text('[providers.uae]\nlike = "faseeh"\n')
    for words, wanted in (("batchjobs ", "verify"), ("batchjobs run -p ", "uae")):
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "from batchjobs.cli.main import cli; cli(prog_name='batchjobs')",
            ],
            env=os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "_BATCHJOBS_COMPLETE": "bash_complete",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split())),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"plain,{wanted}" in done.stdout
