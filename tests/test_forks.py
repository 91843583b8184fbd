"""Commands that are forked are the processes that they would be if they were started."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.clocks import PATIENCE_SECONDS, until
from tests.forks import Forkable, ForkServers

COMMAND = (sys.executable, "-m", "batchjobs")


def is_forked(process: subprocess.Popen[str]) -> bool:
    """Whether the server that forks is the parent of what runs."""
    return "tests.fork_server" in Path(f"/proc/{process.pid}/cmdline").read_text(encoding="utf-8")


def start(*words: object, **options: object) -> subprocess.Popen[str]:
    """Start a command with pipes."""
    assert subprocess.Popen is Forkable
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    started: subprocess.Popen[str] = subprocess.Popen(
        [*COMMAND, *map(str, words)],
        text=True,
        **pipes | options,  # type: ignore[call-overload]  # as they came
    )
    return started


pytestmark = pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="looks at Linux's processes"
)


def test_words_streams_folder_environment_and_code_are_a_command_s_own(tmp_path: Path) -> None:
    """What it reads, writes and leaves comes from what it was asked, not from where it was forked."""
    rows = '{"id": "a", "text": "السَّلامُ عَلَيْكُمْ، ١٩٤٨"}\n'
    environment = dict(os.environ) | {"BATCHJOBS_ENGINE": "tone"}
    words = ("run", "-", "-o", "مجلد")
    with start(*words, cwd=tmp_path, env=environment) as process:
        assert is_forked(process)
        out, told = process.communicate(rows, timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, told
    assert (tmp_path / "مجلد" / "audio" / "a.wav").exists()
    assert "1 of 1 job done" in out
    with start("run", "none.csv", cwd=tmp_path) as process:
        out, told = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out) == (65, "")
    assert "none.csv" in told


def test_signals_reach_it_and_its_status_tells_of_them(tmp_path: Path) -> None:
    """Killed, it has ended by that; until it is waited for nobody else has its id."""
    with start("serve", "--port", 0, "--engine", "tone", cwd=tmp_path, stdin=None) as process:
        assert is_forked(process)
        assert process.stdout is not None
        assert "ws://" in process.stdout.readline()
        assert process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.01)
        process.kill()
        until(lambda: "\nState:\tZ" in Path(f"/proc/{process.pid}/status").read_text())
        assert process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
        until(lambda: not Path(f"/proc/{process.pid}").exists())


def test_a_session_of_its_own_is_had(tmp_path: Path) -> None:
    """A command that a terminal would have put into a group of its own leads one."""
    options = {"cwd": tmp_path, "start_new_session": True}
    with start("serve", "--port", 0, "--engine", "tone", **options) as process:
        assert os.getpgid(process.pid) == process.pid
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize(
    "asked",
    [
        {"preexec_fn": os.getpid},
        {"env": dict(os.environ) | {"PYTHONUTF8": "0"}},
        {"executable": sys.executable},
    ],
    ids=lambda asked: str(*asked),
)
def test_what_a_fork_could_not_be_is_started(tmp_path: Path, asked: dict[str, object]) -> None:
    """What an interpreter looks at as it starts needs one that starts."""
    with start("providers", cwd=tmp_path, **asked) as process:
        assert not is_forked(process)
        process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0


def test_many_that_are_started_at_once_have_one_server() -> None:
    """The first of them starts it, and the others wait for it."""
    servers = ForkServers()
    try:
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(servers.find, [dict(os.environ)] * 8))
    finally:
        servers.close()
    assert len(found) == 1


@pytest.mark.from_scratch
def test_a_test_of_the_start_has_a_start() -> None:
    """Marked so, nothing is forked."""
    assert subprocess.Popen is not Forkable
