"""The command line, run in this process or in one of its own, and a manifest to run it on."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchjobs.cli import main

__all__ = ["ROOT", "Command", "Ended", "command", "folder", "greeting", "process"]

ROOT = Path(__file__).parent.parent
GREETING = "id,text\na,السلام عليكم ورحمة الله\nb,Hello to everybody here\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and nobody's settings."""
    for name in list(os.environ):
        if name.startswith("BATCHJOBS_") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def greeting(folder: Path) -> Path:
    """A manifest of two rows."""
    path = folder / "greeting.csv"
    path.write_text(GREETING, encoding="utf-8")
    return path


class Ended:
    """How a command ended: its exit code and what it printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Command = Callable[..., Ended]


@pytest.fixture
def command(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs a command line in this process."""

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["batchjobs", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ending:
            main()
        printed = capsys.readouterr()
        code = ending.value.code
        assert isinstance(code, int)
        return Ended(code, printed.out, printed.err)

    return run


def process(*arguments: object, **settings: Any) -> subprocess.Popen[str]:
    """Start a command line in a process of its own."""
    started: subprocess.Popen[str] = subprocess.Popen(
        [sys.executable, "-m", "batchjobs", *map(str, arguments)],
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        **settings,
    )
    return started
