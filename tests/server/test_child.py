"""The local server as a real child process: its start, its secrets, and its end with its parent."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
import trio
from trio_websocket import ConnectionClosed, wrap_client_stream

from batchjobs import errors
from batchjobs.errors import ConfigurationError, OutputError, ServiceUnavailableError
from batchjobs.server import child
from batchjobs.server.child import ChildError, ChildStart, local_server
from batchjobs.server.faults import parse_fault
from batchjobs.server.settings import ServerSettings
from tests.clocks import PATIENCE_SECONDS

pytestmark = pytest.mark.from_scratch

ROOT = Path(errors.__file__).parents[1]


TONE = ServerSettings(engine="tone")


async def _speak(base_url: str, text: str, settings: ServerSettings = TONE) -> int:
    """Have a text spoken and give the bytes of JSON that came."""
    address, _, port = base_url.removeprefix("ws://").partition("/")[0].rpartition(":")
    received = 0
    async with (
        await trio.open_tcp_stream(address, int(port)) as stream,
        trio.open_nursery() as nursery,
    ):
        connection = await wrap_client_stream(
            nursery,
            stream,
            f"{address}:{port}",
            f"/api/v1/websocket/text-to-speech?x-api-key={settings.token}",
        )
        for form in (
            {"type": "initConnection", "voice_id": "v"},
            {"type": "text", "text": text, "flush": True},
            {"type": "closeConnection"},
        ):
            await connection.send_message(orjson.dumps(form).decode())
            if form["type"] == "initConnection":
                await connection.get_message()
        code = 0
        try:
            while True:
                received += len(await connection.get_message())
        except ConnectionClosed as closed:
            code = closed.reason.code if closed.reason else 0
        assert code == 1000
        nursery.cancel_scope.cancel()
    return received


def _children(of: int | None = None) -> set[int]:
    """List a process's children, whichever of its threads started them."""
    tasks = Path(f"/proc/{of or os.getpid()}/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split()}


def _shown_of(pid: int) -> bytes:
    """Read what others may see of a process."""
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))


def _events(ledger: Path) -> list[str]:
    return [orjson.loads(line)["event"] for line in ledger.read_bytes().splitlines()]


async def test_a_child_serves_and_ends_with_its_block(tmp_path: Path) -> None:
    """It speaks, keeps its ledger, and is gone when the block is left."""
    ledger = tmp_path / "ledger.jsonl"
    before = _children()
    settings = ServerSettings(engine="tone", ledger=ledger)
    async with local_server(settings) as base_url:
        (pid,) = _children() - before
        assert await _speak(base_url, "مرحبا", settings) > 1_000
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert _events(ledger) == ["start", "end"]


async def test_the_token_is_in_no_argument_and_no_environment() -> None:
    """Neither ``ps`` nor ``environ`` nor a repr shows it, and no two servers share one."""
    before = _children()
    other = ServerSettings(engine="tone")
    async with local_server(TONE), local_server(other):
        shown_of_each = [_shown_of(pid) for pid in _children() - before]
        assert len(shown_of_each) == 2
        for shown in shown_of_each:
            assert b"batchjobs.server" in shown
            assert TONE.token.encode() not in shown
            assert other.token.encode() not in shown
    assert TONE.token != other.token
    start = ChildStart(server=ServerSettings(token="a secret"), library_hooks=True)
    assert "secret" not in repr(start)


async def test_a_terminal_s_interrupt_does_not_reach_the_child() -> None:
    """It has a session of its own, so that a run can drain after Ctrl-C."""
    before = _children()
    async with local_server(TONE):
        (pid,) = _children() - before
        assert os.getsid(pid) == pid


async def test_faults_and_pace_reach_the_child() -> None:
    """A fault asked of the parent strikes in the child."""
    faults = (parse_fault("close:1000"),)
    settings = ServerSettings(engine="tone", faults=faults, pace=50.0, seed=3)
    async with local_server(settings) as base_url:
        whole_is_more = await _speak(base_url, "hello " * 20, settings)
    assert 0 < whole_is_more < 30_000


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"engine": "parrot"}, ConfigurationError, "there is no engine 'parrot'; the engines are"),
        ({"engine": "tone", "ledger": Path("/")}, OutputError, "cannot create /"),
    ],
)
async def test_a_child_that_cannot_start_raises_its_own_error_here(
    settings: dict[str, Any], error: type[Exception], said: str
) -> None:
    """The class, the message and the hint are those of the child, and no process is left."""
    before = _children()
    with pytest.raises(error) as caught:
        async with local_server(ServerSettings(**settings)):
            pass
    assert said in str(caught.value)
    assert _children() == before


def test_a_missing_package_keeps_its_words() -> None:
    """An error with a constructor of its own comes as its base, with the same text and exit code."""
    missing = errors.MissingExtraError("the engine", package="p", extra="local")
    reply = ChildError(name="MissingExtraError", message=missing.message, hint=missing.hint)
    again = child._error_of(reply)
    assert (str(again), again.exit_code) == (str(missing), missing.exit_code)
    unknown = child._error_of(ChildError(name="Path", message="what", hint=""))
    assert type(unknown) is ConfigurationError


def test_a_clone_is_on_the_child_s_path_and_an_installed_package_adds_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The child imports this very package, and finds no other module because of it."""
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    monkeypatch.setenv("MUNSIT_API_KEY", "a secret")
    assert child._environment([])["PYTHONPATH"] == f"/theirs{os.pathsep}{ROOT}"
    assert "MUNSIT_API_KEY" not in child._environment(["MUNSIT_API_KEY"])
    monkeypatch.delenv("PYTHONPATH")
    assert child._environment([])["PYTHONPATH"] == str(ROOT)
    monkeypatch.setattr(errors, "__file__", "/v/lib/site-packages/batchjobs/errors.py")
    assert "PYTHONPATH" not in child._environment([])


async def _with_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, *, seconds: float = 30.0
) -> None:
    """Start a child that is another program."""
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\n{program}\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(child, "_READY_SECONDS", seconds)
    monkeypatch.setattr(child, "_EXIT_SECONDS", 0.1)
    async with local_server(TONE):
        pass


@pytest.mark.parametrize("program", ["exit 3", "read line; exit 3", "echo hello; read line"])
async def test_a_child_that_dies_at_once_is_an_unavailable_service(
    program: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Death without a word, before or after the settings, and nonsense, are one named error."""
    with pytest.raises(ServiceUnavailableError, match="could not start"):
        await _with_program(monkeypatch, tmp_path, program)


@pytest.mark.parametrize(("name", "said"), [("KILL", "Killed"), ("ABRT", "Aborted")])
async def test_a_child_that_is_killed_at_its_start_says_how(
    name: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As whatever looks after a machine's memory does."""
    with pytest.raises(ServiceUnavailableError, match=f"ended as it started: {said}"):
        await _with_program(monkeypatch, tmp_path, f"read line; kill -{name} $$")


async def test_a_child_that_says_nothing_is_given_up_and_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Past the deadline the start fails, and a child that ignores its closed pipe is killed."""
    before = _children()
    with pytest.raises(ServiceUnavailableError, match=r"not ready after 0\.2 seconds"):
        await _with_program(monkeypatch, tmp_path, "exec sleep 1000", seconds=0.2)
    assert _children() == before
    assert "was killed" in caplog.text


async def test_a_child_that_is_already_dead_does_not_disturb_the_end() -> None:
    """A child that was killed in the midst of a run leaves nothing behind."""
    before = _children()
    async with local_server(TONE):
        (pid,) = _children() - before
        os.kill(pid, signal.SIGKILL)
    assert _children() == before


_PARENT = """
import sys, trio
sys.path.insert(0, sys.argv[1])
from batchjobs.server.child import local_server
from batchjobs.server.settings import ServerSettings

async def main():
    async with local_server(ServerSettings(engine="tone")) as base_url:
        print(base_url, flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


def test_no_child_outlives_a_parent_that_was_killed() -> None:
    """SIGKILL gives a parent no chance to clean up; the child sees its pipe close and ends."""
    command = [sys.executable, "-c", _PARENT, str(ROOT)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith(b"ws://127.0.0.1:")
        (pid,) = _children(parent.pid)
        descriptor = os.pidfd_open(pid)
        parent.kill()
    try:
        trio.run(_gone, descriptor)
    finally:
        os.close(descriptor)


async def _gone(descriptor: int) -> None:
    """Wait for a process that is no child of ours to end."""
    with trio.fail_after(PATIENCE_SECONDS):
        await trio.lowlevel.wait_readable(descriptor)


def _program(*, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "batchjobs.server"],
        input=stdin,
        capture_output=True,
        cwd=ROOT,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("stdin", [b"", b"\n", b"{}\n", b"not JSON", b'{"token":5}\n'])
def test_the_child_s_program_started_by_hand_says_what_to_use(stdin: bytes) -> None:
    """Without a parent's settings it explains itself and serves nobody."""
    done = _program(stdin=stdin)
    assert done.returncode == 1
    assert done.stdout == b""
    assert b"'batchjobs serve' starts a server" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_child_whose_parent_is_gone_before_it_is_ready_ends_well() -> None:
    """The settings, then the end of standard input at once: no error, no orphan."""
    start = ChildStart(server=TONE, library_hooks=True)
    done = _program(stdin=msgspec.json.encode(start) + b"\n")
    assert (done.returncode, done.stderr) == (0, b"")
