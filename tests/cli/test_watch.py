"""What the page of settings says about a watch is so: its unit for systemd, and how messages are verified."""

import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from batchjobs import errors
from batchjobs.cli.commands.watch import watch
from batchjobs.notices.signature import sign
from tests.commands import ROOT

PAGE = (ROOT / "batchjobs/cli/README.md").read_text(encoding="utf-8")


def unit() -> str:
    """The unit on the page."""
    found = re.search(r"```ini\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def value_of(name: str) -> str:
    """What a line of the unit says."""
    found = re.search(rf"^{name}=(.*)$", unit(), re.MULTILINE)
    assert found is not None
    return found[1]


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """Its lines are known and right."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    path = tmp_path / "batchjobs-inbox.service"
    program = value_of("ExecStart").split()[0]
    path.write_text(unit().replace(program, "/bin/true").replace("User=batchjobs", "User=root"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", path], capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if path.name in line]
    assert said == []


def test_the_unit_goes_with_the_command() -> None:
    """Its options exist, it has time for the grace, and what needs a person is not begun again."""
    _, command, *words = value_of("ExecStart").split()
    assert command == "watch"
    known = {name for param in watch.params for name in param.opts}
    assert {word for word in words if word.startswith("-")} <= known
    assert int(value_of("TimeoutStopSec")) > int(words[words.index("--grace") + 1])
    kept = {int(code) for code in value_of("RestartPreventExitStatus").split()}
    needs_person = (
        errors.UsageError,
        errors.ManifestError,
        errors.OutputError,
        errors.KeyRefusedError,
        errors.ConfigurationError,
        errors.BudgetReachedError,
    )
    assert kept == {error.exit_code for error in needs_person}


def test_the_page_verifies_messages() -> None:
    """Its few lines tell ours from changed, foreign and old ones."""
    found = re.search(r"```python\n(import hashlib.*?)```", PAGE, re.DOTALL)
    assert found is not None
    names: dict[str, object] = {}
    exec(found[1], names)  # our own page
    is_genuine = names["is_genuine"]
    assert callable(is_genuine)
    body, now = '{"reason": "انتهى"}'.encode(), int(time.time())
    headers = sign(body, secret="s3cret", timestamp=now)
    assert is_genuine(headers, body, "s3cret")
    assert not is_genuine(headers, body + b" ", "s3cret")
    assert not is_genuine(headers, body, "another")
    assert not is_genuine(headers | {"Batchjobs-Timestamp": str(now + 1)}, body, "s3cret")
    assert not is_genuine(sign(body, secret="s3cret", timestamp=now - 900), body, "s3cret")
