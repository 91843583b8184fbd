"""The command `serve` tells its address, and ends by its signal."""

import signal
import socket
import subprocess
from pathlib import Path

from tests.clocks import PATIENCE_SECONDS
from tests.commands import Command, process


def test_serve_tells_its_address_and_ends_by_its_signal(folder: Path) -> None:
    """The server says where it is and how to use it, and SIGTERM ends it."""
    server = process("serve", "--engine", "tone", "--port", 0, stdout=subprocess.PIPE)
    assert server.stdout is not None
    told = [server.stdout.readline() for _ in range(3)]
    assert "serving tone at ws://127.0.0.1:" in told[0]
    assert "export BATCHJOBS_LOCAL_KEY=" in told[1]
    assert "--base-url" in told[2]
    server.terminate()
    server.communicate(timeout=PATIENCE_SECONDS)
    assert server.returncode == -signal.SIGTERM


def test_a_run_without_the_server_s_key_says_which_to_set(command: Command, greeting: Path) -> None:
    """Whoever forgot to export the printed key is told so, and not that a key is wrong."""
    server = process("serve", "--engine", "tone", "--port", 0, stdout=subprocess.PIPE)
    assert server.stdout is not None
    base_url = server.stdout.readline().split()[-1]
    ended = command("run", greeting, "--base-url", base_url)
    server.terminate()
    server.communicate(timeout=PATIENCE_SECONDS)
    assert ended.code == 77
    assert "no key for the provider 'local'" in ended.err
    assert "set BATCHJOBS_LOCAL_KEY to the one that 'batchjobs serve' printed" in ended.err


def test_serve_says_that_its_port_is_taken(command: Command) -> None:
    """A port in use is told as what it is, not as a bug."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = command("serve", "--engine", "tone", "--port", taken.getsockname()[1])
    assert ended.code == 78
    assert "choose another port" in ended.err
