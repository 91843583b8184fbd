"""The socket of a running run: who may ask, what nonsense comes to, and what is said where no run is."""

import os
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from batchjobs.api import control as api
from batchjobs.api.control import ask, serve_control
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import NoRunError, UsageError
from batchjobs.files import sockets
from batchjobs.files.run_folder import CONTROL
from batchjobs.limits import RetryPolicy
from batchjobs.options import Options
from batchjobs.options.standing import Standing
from batchjobs.runner import Runner, RunState
from batchjobs.runner.control import Control
from batchjobs.runner.requests import (
    LONGEST_LINE_BYTES,
    Pause,
    Reply,
    Request,
    Requeue,
    Set,
    Tell,
    decode_reply,
    encode_line,
)


@asynccontextmanager
async def serve(folder: Path) -> AsyncIterator[RunState]:
    """Serve a run that has nothing to do, for as long as the block lasts."""
    with Checkpoint.open(folder) as checkpoint:
        run = RunState(
            checkpoint,
            endpoints={},
            options=Options(),
            retries=RetryPolicy(attempts=3),
            observe=lambda _: None,
            random_source=random.Random(7),
        )
        runner = Runner(run)
        control = Control(
            run,
            runner,
            standing=Standing(),
            check=lambda _: None,
            encode_limits=lambda options: f"{options.budget}",
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.recorder.run)
            nursery.start_soon(serve_control, folder, control)
            while not (folder / CONTROL).exists():  # noqa: ASYNC110  # nobody tells
                await trio.sleep(0.001)
            try:
                yield run
            finally:
                run.recorder.close()
                nursery.cancel_scope.cancel()


async def say(folder: Path, content: bytes) -> bytes:
    """Send bytes, and give all that comes back."""

    def exchange() -> bytes:
        with sockets.connect(folder / CONTROL, 30.0) as connection:
            answer = b""
            try:
                connection.sendall(content)
                connection.shutdown(socket.SHUT_WR)
                while piece := connection.recv(65_536):
                    answer += piece
            except (BrokenPipeError, ConnectionResetError):
                pass
            return answer

    return await trio.to_thread.run_sync(exchange)


async def ask_here(folder: Path, request: Request) -> Reply:
    """Ask as the command does."""
    return await trio.to_thread.run_sync(ask, folder, request)


async def test_what_is_asked_is_done_kept_and_told(tmp_path: Path) -> None:
    """The answer comes once it is in the checkpoint; the socket goes with the run."""
    async with serve(tmp_path) as run:
        told = await ask_here(tmp_path, Tell())
        assert told.run is not None
        assert (told.run.state, told.run.pid, told.said) == ("running", os.getpid(), "")
        assert (await ask_here(tmp_path, Pause())).said == "paused; 0 open sessions may end"
        assert run.is_paused
        changed = await ask_here(tmp_path, Set(values={"budget": "50", "rate": "2/s"}))
        assert changed.said == "rate 2/s (was none), budget 50 (was none)"
        with Checkpoint.read(tmp_path) as checkpoint:
            kept = checkpoint.read_settings()
        assert '"budget"' in kept["orders"]
        assert kept["limits"] == "50.0"
        with pytest.raises(UsageError, match="not a rate"):
            await ask_here(tmp_path, Set(values={"rate": "quick"}))
        with pytest.raises(UsageError, match="nothing is named"):
            await ask_here(tmp_path, Requeue())
    assert not (tmp_path / CONTROL).exists()


@pytest.mark.parametrize(
    "content",
    [
        b"\n",
        b"{}\n",
        b"null\n",
        b'{"do": "explode"}\n',
        b'{"do": "pause", "for": 3}\n',
        b'{"do": "set", "values": {"rate": 4}}\n',
        b'{"do": "requeue", "ids": "all"}\n',
        b"\xff\xfe\x00\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"[" * 100_000 + b"\n",
    ],
)
async def test_nonsense_gets_a_sentence_and_changes_nothing(tmp_path: Path, content: bytes) -> None:
    """Whatever it is: the next who asks is answered as ever."""
    async with serve(tmp_path) as run:
        answer = await say(tmp_path, content)
        assert not answer or decode_reply(answer).error.startswith("that is no request")
        assert not run.is_paused
        assert (await ask_here(tmp_path, Tell())).run is not None


async def test_who_says_nothing_or_too_much_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that waits, one without an end, and many at once; all of them are let go."""
    monkeypatch.setattr(api, "_PATIENCE_SECONDS", 2.0)
    async with serve(tmp_path):
        idle = [sockets.connect(tmp_path / CONTROL, 30.0) for _ in range(5)]
        assert (await ask_here(tmp_path, Tell())).run is not None
        assert await say(tmp_path, b"x" * (LONGEST_LINE_BYTES + 10)) == b""
        idle += [sockets.connect(tmp_path / CONTROL, 30.0) for _ in range(30)]
        for each in idle:
            assert await trio.to_thread.run_sync(each.recv, 10) == b""
            each.close()
        assert (await ask_here(tmp_path, Tell())).run is not None


async def test_who_goes_away_before_the_answer_has_asked_nevertheless(tmp_path: Path) -> None:
    """What was asked is done."""
    async with serve(tmp_path) as run:
        with sockets.connect(tmp_path / CONTROL, 30.0) as connection:
            connection.sendall(encode_line(Pause()))
        with trio.fail_after(60.0):
            while not run.is_paused:  # noqa: ASYNC110  # nobody tells
                await trio.sleep(0.001)
        assert (await ask_here(tmp_path, Tell())).run is not None


def test_where_no_run_goes_on_there_is_a_sentence(tmp_path: Path) -> None:
    """No run at all; one that has ended; one that was killed, whose socket is there still."""
    with pytest.raises(NoRunError, match="there is no run in"):
        ask(tmp_path / "none", Tell())
    Checkpoint.open(tmp_path).close()
    with pytest.raises(NoRunError, match="no run is going on in"):
        ask(tmp_path, Tell())
    sockets.listen(tmp_path / CONTROL).close()
    with pytest.raises(NoRunError, match="no run is going on in"):
        ask(tmp_path, Tell())
    with Checkpoint.open(tmp_path), pytest.raises(NoRunError) as caught:
        ask(tmp_path, Tell())
    assert "cannot be asked" in caught.value.message
    assert "a watch that has nothing to hear just now" in caught.value.hint


async def test_a_run_without_a_socket_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder stands in its place, say: it is said, and that is all."""
    (tmp_path / CONTROL).mkdir()
    async with serve(tmp_path):
        with trio.fail_after(60.0):
            while "cannot be asked" not in caplog.text:  # noqa: ASYNC110  # nobody tells
                await trio.sleep(0.001)
    assert (tmp_path / CONTROL).is_dir()


async def test_a_socket_of_another_user_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner is named, and nothing is sent."""
    async with serve(tmp_path):
        us = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: us + 7)
        with pytest.raises(UsageError) as caught:
            ask(tmp_path, Tell())
        assert f"of the user with the number {us}" in caught.value.message


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may enter: pytest's own are closed again by each pytest that starts."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.skipif(sys.platform != "linux", reason="others do not tell who asks in this way")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
async def test_another_user_is_turned_away_by_the_file_and_by_the_run(public: Path) -> None:
    """By the file's mode, and where that was changed, by who the system says is asking."""
    asking = f"""
import os, socket, sys
asked = socket.socket(socket.AF_UNIX)
asked.settimeout(60)
os.setuid(65534)
try:
    asked.connect({str(public / CONTROL)!r})
except PermissionError:
    print("no entry")
else:
    asked.sendall(b'{{"do": "pause"}}\\n')
    print(asked.makefile().readline())
"""

    async def ask_as_nobody() -> str:
        done = await trio.run_process(
            [sys.executable, "-c", asking],
            capture_stdout=True,
            stderr=subprocess.STDOUT,
        )
        return done.stdout.decode()

    async with serve(public) as run:
        assert await ask_as_nobody() == "no entry\n"
        (public / CONTROL).chmod(0o666)
        assert "another user's: number 0, and you are 65534" in await ask_as_nobody()
        assert not run.is_paused
