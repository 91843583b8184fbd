"""How we were called: what is to be typed next begins likewise, wherever it is said."""

import sys
from pathlib import Path

import pytest

from batchjobs.process.invocation import name_program, quote_command


@pytest.mark.parametrize(
    ("called", "named"),
    [
        ("batchjobs", "batchjobs"),
        ("/opt/tools/bin/batchjobs", "/opt/tools/bin/batchjobs"),
        ("/opt/tools/bin/batchjobs-1", "/opt/tools/bin/batchjobs-1"),
        ("/site-packages/batchjobs/__main__.py", f"{sys.executable} -m batchjobs"),
        ("/home/me/buy.py", "batchjobs"),
        ("/home/me/batchjobs_nightly.py", "batchjobs"),
        ("/home/me/other/__main__.py", "batchjobs"),
        ("", "batchjobs"),
    ],
)
def test_a_command_begins_as_we_were_called(
    monkeypatch: pytest.MonkeyPatch, called: str, named: str
) -> None:
    """By path, as a module, or by our name where another program has us run something."""
    monkeypatch.setattr(sys, "argv", [called, "run", "talks.csv"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert " ".join(name_program()) == named


def test_a_program_that_the_shell_finds_is_named_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what follows is quoted as a shell takes it."""
    program = tmp_path / "batchjobs"
    program.touch(mode=0o700)
    monkeypatch.setattr(sys, "argv", [str(program)])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert quote_command("ctl", Path("مخرجات/two words"), "resume") == (
        "batchjobs ctl 'مخرجات/two words' resume"
    )
