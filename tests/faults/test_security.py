"""Keys stay with the service they are for, whatever it says, whoever it is, wherever a path leads."""

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

from tests.clocks import PATIENCE_SECONDS
from tests.faults.commands import (
    KEY,
    command,
    run_command,
    run_server,
    start_command,
    write_manifest,
)
from tests.faults.keys import CANARY, FORMS, WAYS, leaks, provider

# -- everything a run writes -------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that takes the canary for its key."""
    folder = tmp_path_factory.mktemp("service")
    key_file = folder / "key"
    key_file.touch(0o600)
    key_file.write_text(CANARY, encoding="utf-8")
    with run_server(folder, "--key-file", key_file, "--fault", "error:50001@0.3") as server:
        yield server.base_url


@pytest.mark.from_scratch
@pytest.mark.parametrize(("way", "bug"), [*((way, "") for way in WAYS), ("query", "key-logged")])
def test_a_key_is_in_nothing_that_a_run_writes(
    tmp_path: Path, service: str, way: str, bug: str
) -> None:
    """At -vv, with sessions that fail: streams, results, checkpoint, its log, argv: no canary."""
    work, config = tmp_path / "work", tmp_path / "config"
    work.mkdir()
    config.mkdir()
    provider(way, service, config)
    manifest = write_manifest(work / "rows.csv", 5)
    words = command(
        *("run", manifest, "-p", "service", "--config", config / "batchjobs.toml", "-vv", "--json"),
        *("--attempts", 8),
        broken=bug,
    )
    process = start_command(words, cwd=work, SERVICE_API_KEY=CANARY)
    argv = Path(f"/proc/{process.pid}/cmdline").read_text(encoding="utf-8")
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, errors
    found = leaks(work, output, errors, argv)
    assert bool(found) is bool(bug), found


@pytest.mark.from_scratch
def test_a_key_is_not_handed_to_the_local_server(tmp_path: Path) -> None:
    """A child is not given other services' keys: neither its argv nor its environment has one."""
    manifest = write_manifest(tmp_path / "rows.csv", 400)
    words = command("run", manifest, "--engine", "tone", "-c", 1, "--rate", "20/s", "--json")
    process = start_command(words, cwd=tmp_path, MUNSIT_API_KEY=CANARY, FASEEH_API_KEY=CANARY)
    assert process.stdout is not None
    while "job_finished" not in process.stdout.readline():
        pass
    children = [
        folder
        for folder in Path("/proc").iterdir()
        if folder.name.isdecimal() and _parent(folder) == process.pid
    ]
    assert children
    shown = [
        (child / name).read_bytes().decode()
        for child in children
        for name in ("cmdline", "environ")
    ]
    process.terminate()
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert "batchjobs.server" in " ".join(shown)
    assert leaks(tmp_path, errors, *shown) == []


def _parent(folder: Path) -> int:
    with contextlib.suppress(OSError):
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    return 0


def test_a_key_is_in_no_traceback(tmp_path: Path, service: str) -> None:
    """A bug of ours in mid-session is told with its traceback, and without the key."""
    provider("query", service, tmp_path)
    manifest = write_manifest(tmp_path / "rows.csv", 6)
    words = command("run", manifest, "-p", "service", "-vv", "-o", "run", broken="bug-inside")
    done = run_command(words, cwd=tmp_path, expect=70, SERVICE_API_KEY=CANARY)
    assert "Traceback" in done.stderr
    assert "a bug that was put here" in done.stderr
    assert leaks(tmp_path, done.stdout, done.stderr) == []


def test_a_key_in_a_file_that_others_may_read_is_refused_unread(tmp_path: Path) -> None:
    """78, with what to do, and without the key."""
    key_file = tmp_path / "key"
    key_file.write_text(CANARY, encoding="utf-8")
    key_file.chmod(0o644)
    manifest = write_manifest(tmp_path / "rows.csv", 1)
    words = command("run", manifest, "--key-file", key_file, "-vv")
    done = run_command(words, cwd=tmp_path, expect=78)
    assert "chmod 600" in done.stderr
    assert not FORMS.search(done.stdout + done.stderr)


# -- services that echo the key ----------------------------------------------------------------


def _error(code: int | str, message: str) -> str:
    return json.dumps({"type": "error", "errorCode": code, "errorMessage": message})


ECHOES: dict[str, Callable[[str], str | int]] = {
    "message": lambda key: _error(40001, f"the key {key} may not do this"),
    "message of a retry": lambda key: _error(50001, f"the key {key} met a failure"),
    "code": lambda key: _error(key, "no words"),
    "refusal": lambda key: _error(40101, f"{key} is no key of ours"),
    "percent-encoded": lambda key: _error(40001, f"GET /?x-api-key={quote(key, safe='')}"),
    "half encoded": lambda key: _error(40001, f"GET /?x-api-key={quote(key).lower()}"),
    "no JSON": lambda key: f"<html>bad key: {key}</html>",
    "JSON of no kind": lambda key: json.dumps({"type": "what", "key": key}),
    "broken JSON": lambda key: json.dumps({"type": "error", "k": key})[:-1],
    "escaped": lambda key: '{"oops": "' + "".join(f"\\u00{ord(c):02x}" for c in key),
    "cut off": lambda key: _error(40001, "x" * 470 + key + "y" * 100),
    "close reason": lambda key: 4001,
}


@contextlib.contextmanager
def echoing(name: str) -> Iterator[str]:
    """Serve sessions that answer their first message with the key in some form."""
    ports: list[int] = []
    scope = trio.CancelScope()
    is_up = threading.Event()

    async def session(request: WebSocketRequest) -> None:
        connection = await request.accept()
        with contextlib.suppress(ConnectionClosed):
            await connection.get_message()
            answer = ECHOES[name](CANARY)
            if isinstance(answer, int):
                await connection.aclose(answer, f"bad key {CANARY}")
            else:
                await connection.send_message(answer)
                await connection.get_message()

    async def serve() -> None:
        with scope:
            async with trio.open_nursery() as nursery:
                server = await nursery.start(serve_websocket, session, "127.0.0.1", 0, None)
                ports.append(server.port)
                token.append(trio.lowlevel.current_trio_token())
                is_up.set()

    token: list[trio.lowlevel.TrioToken] = []
    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    assert is_up.wait(PATIENCE_SECONDS)
    try:
        yield f"ws://127.0.0.1:{ports[0]}/api/v1"
    finally:
        token[0].run_sync_soon(scope.cancel)
        thread.join(PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("name", "bug"), [*((name, "") for name in ECHOES), ("message", "key-echoed")]
)
def test_a_key_that_a_service_says_aloud_is_struck_out(tmp_path: Path, name: str, bug: str) -> None:
    """In whatever form it is echoed, no stream, file or checkpoint has it."""
    work, config = tmp_path / "work", tmp_path / "config"
    work.mkdir()
    config.mkdir()
    manifest = write_manifest(work / "rows.csv", 2)
    with echoing(name) as base_url:
        provider("init", base_url, config)
        words = command(
            *("run", manifest, "-p", "service", "--config", config / "batchjobs.toml"),
            *("-vv", "--json", "--attempts", 1, "-o", "run"),
            broken=bug,
        )
        done = run_command(words, cwd=work, expect=None, SERVICE_API_KEY=CANARY)
    assert done.returncode in {1, 69, 77}, done.stderr
    found = leaks(work, done.stdout, done.stderr)
    assert bool(found) is bool(bug), found
    if name == "message" and not bug:
        assert "the key *** may not do this" in done.stdout


# -- paths -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("output", "../outside.wav"),
        ("output", "audio/../../../outside.wav"),
        ("output", "/tmp/outside-of-the-run.wav"),
        ("output", "linked/outside.wav"),
        ("output", "checkpoint.sqlite3"),
        ("text_file", "../secret.txt"),
        ("text_file", "link.txt"),
        ("text_file", "/etc/passwd"),
        ("text_file", "/proc/self/environ"),
        ("text_file", "pipe"),
        ("text_file", "/dev/zero"),
        ("audio", "../secret.wav"),
        ("audio", "/proc/self/mem"),
        ("audio", "pipe"),
    ],
)
def test_no_path_of_a_manifest_leads_out(
    tmp_path: Path, service: str, column: str, value: str
) -> None:
    """Whatever a row names outside of its folder: 65, no session, nothing read, nothing written."""
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    for folder in (work, elsewhere, work / "run"):
        folder.mkdir()
    (tmp_path / "secret.txt").write_text("a secret that is nobody's", encoding="utf-8")
    (tmp_path / "secret.wav").write_bytes(b"RIFF")
    (work / "link.txt").symlink_to(tmp_path / "secret.txt")
    (work / "run" / "linked").symlink_to(elsewhere)
    os.mkfifo(work / "pipe")
    row = {"id": "a", column: value} | ({"text": "Hello there"} if column == "output" else {})
    manifest = write_manifest(work / "rows.csv", [row])
    before = {path for path in tmp_path.rglob("*") if path.parent != work / "run"}
    words = command("run", manifest, "--base-url", service, "-o", work / "run")
    done = subprocess.run(
        words,
        cwd=work,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
        env={
            **os.environ,
            "BATCHJOBS_LOCAL_KEY": KEY,
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
    )
    assert done.returncode == 65, done.stderr
    assert column in done.stderr
    assert "a secret" not in done.stdout + done.stderr
    assert {path for path in tmp_path.rglob("*") if path.parent != work / "run"} == before
    assert not Path("/tmp/outside-of-the-run.wav").exists()
