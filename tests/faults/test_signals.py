"""Signals and streams: paid work is brought home, and the exit status is true in every case."""

import os
import random
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import tally
from tests.clocks import PATIENCE_SECONDS, until
from tests.faults.commands import (
    Oracle,
    Served,
    command,
    environment,
    resume_run,
    run_command,
    run_server,
    start_command,
    summary,
    write_manifest,
)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ROWS = 40
CONCURRENCY = 4


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose sessions take ten seconds: whoever waits for one of them has it."""
    with run_server(tmp_path_factory.mktemp("slow"), "--pace", 0.15) as server:
        yield server.base_url


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    """A server whose sessions take a quarter of a second, and whose ledger is the test's own."""
    with run_server(tmp_path, "--pace", 6) as found:
        yield found


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest that takes a second or two to plan."""
    return write_manifest(tmp_path_factory.mktemp("large") / "large.csv", 200_000)


def unheard() -> None:
    """Start as nohup does."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def processor_seconds(pid: int) -> float:
    """How much of its work a process has done, however long that took."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_of(
    manifest: Path, base_url: str, folder: Path, *more: object, broken: str = ""
) -> list[str]:
    """The words of a run."""
    words = ("run", manifest, "--base-url", base_url, "-o", folder, "-c", CONCURRENCY, *more)
    return command(*words, broken=broken)


# -- once --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_lets_open_sessions_finish_and_the_process_dies_of_it(
    tmp_path: Path, server: Served, number: signal.Signals
) -> None:
    """Within the grace no session is cut off: what the server gave is what is done, and it is 1."""
    manifest = write_manifest(tmp_path / "rows.csv", ROWS)
    folder = tmp_path / "run"
    words = run_of(manifest, server.base_url, folder)
    process = start_command(words, cwd=tmp_path)
    until(lambda: server.count("end") >= 5)
    process.send_signal(number)
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == -number
    assert "continue: " in output
    assert "Traceback" not in errors
    counted = Oracle(folder=folder, rows=ROWS).holds_amid()
    assert 5 <= counted["done"] < ROWS
    assert counted["done"] == sum(server.bought().values()) == server.count("start")
    assert (folder / "summary.json").is_file()
    print(f"{number.name}: {counted['done']} sessions begun, {counted['done']} brought home")
    if number is signal.SIGTERM:
        resume_run(manifest, server, folder)
        Oracle(folder=folder, rows=ROWS).holds_after(server.bought(), repeats=0)


def test_sessions_that_are_cut_off_are_seen(tmp_path: Path, server: Served) -> None:
    """The measure above can fail: without grace the server has begun what nobody kept."""
    manifest = write_manifest(tmp_path / "rows.csv", ROWS)
    folder = tmp_path / "run"
    process = start_command(run_of(manifest, server.base_url, folder, "--grace", 0), cwd=tmp_path)
    until(lambda: server.count("end") >= 5 and server.count("start") > server.count("end") + 1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert summary(folder)["done"] < server.count("start")


def test_the_grace_ends(tmp_path: Path, slow: str) -> None:
    """Sessions that take longer than --grace are cut off and counted, and the process dies of it."""
    manifest = write_manifest(tmp_path / "rows.csv", 8)
    words = run_of(manifest, slow, tmp_path / "run", "--grace", 0.4, "--json")
    process = start_command(words, cwd=tmp_path)
    assert process.stdout is not None
    assert "run_started" in process.stdout.readline()
    until(lambda: summary(tmp_path / "run")["attempts"] == 1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == -signal.SIGTERM
    counted = Oracle(folder=tmp_path / "run", rows=8).holds_amid()
    assert (counted["done"], counted["not_run"]) == (0, 8)


# -- twice -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_it_at_once(tmp_path: Path, slow: str, number: signal.Signals) -> None:
    """Nobody waits for the open sessions; the first signal is what it died of."""
    folder = tmp_path / "run"
    manifest = write_manifest(tmp_path / "rows.csv", 8)
    process = start_command(run_of(manifest, slow, folder, "--json"), cwd=tmp_path)
    assert process.stdout is not None
    assert "run_started" in process.stdout.readline()
    until(lambda: summary(folder)["attempts"] >= 1)
    process.send_signal(number)
    assert "run_stopping" in process.stdout.readline()
    process.send_signal(random.Random(number).choice(SIGNALS))
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == -number
    assert Oracle(folder=folder, rows=8).holds_amid()["not_run"] == 8


# -- before and after --------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "bug"), [(2, ""), (1, ""), (signal.SIGTERM, "planning-dies")])
def test_a_signal_while_it_plans_leaves_nothing_behind(
    tmp_path: Path, server: Served, large: Path, number: int, bug: str
) -> None:
    """In a manifest of 200,000 rows: it dies of the signal, no session, no folder."""
    folder = tmp_path / "run"
    process = start_command(run_of(large, server.base_url, folder, broken=bug), cwd=tmp_path)
    until((folder / "checkpoint.sqlite3").exists)
    far = processor_seconds(process.pid) + random.Random(number).uniform(0.05, 0.4)
    until(lambda: processor_seconds(process.pid) > far)
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == -number
    assert "Traceback" not in errors
    assert server.count("start") == 0
    assert folder.exists() is bool(bug)


@pytest.mark.parametrize(("number", "bug"), [(2, ""), (15, ""), (signal.SIGTERM, "results-die")])
def test_a_signal_while_the_results_are_written_lets_them_be_written(
    tmp_path: Path, server: Served, number: int, bug: str
) -> None:
    """All is done and the report is under way: it is finished, and then it dies of the signal."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: the writing cannot be stopped")
    folder = tmp_path / "run"
    folder.mkdir()
    manifest = write_manifest(tmp_path / "rows.csv", 3)
    part = folder / ".results.jsonl.part"
    held = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P", str(part)]
    held += ["-e", "trace=openat", "-e", "inject=openat:signal=SIGSTOP"]
    words = run_of(manifest, server.base_url, folder, "-q", broken=bug)
    process = start_command([*held, *words], cwd=tmp_path)
    until(part.exists)
    process.send_signal(number)

    def has_ended() -> bool:
        process.send_signal(signal.SIGCONT)  # also if it stops only now
        return process.poll() is not None

    until(has_ended)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == -number
    assert "Traceback" not in errors
    whole = [
        (folder / name).is_file() for name in ("results.jsonl", "failed.jsonl", "summary.json")
    ]
    assert all(whole) is not bool(bug)
    assert Oracle(folder=folder, rows=3).holds_amid()["done"] == 3


# -- nohup -------------------------------------------------------------------------------------


@pytest.mark.parametrize("bug", ["", "never-nohup"])
def test_what_nohup_switched_off_stays_off(tmp_path: Path, server: Served, bug: str) -> None:
    """A run that ignores SIGHUP from the start goes on to its end when its terminal goes."""
    manifest = write_manifest(tmp_path / "rows.csv", 12)
    words = run_of(manifest, server.base_url, tmp_path / "run", "-q", broken=bug)
    process = start_command(words, cwd=tmp_path, prepare=unheard)
    until(lambda: server.count("end") >= 2)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode == 0) is not bool(bug)
    assert (summary(tmp_path / "run")["done"] == 12) is not bool(bug)


# -- streams -----------------------------------------------------------------------------------

STREAMS = {
    "stdout closed": ">&-",
    "stdout full": ">/dev/full",
    "stdout left": "| head -n 1 >/dev/null",
    "stderr full": "2>/dev/full",
    "both closed": ">&- 2>&-",
}


@pytest.fixture(scope="module")
def done_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run 'whole', and one 'holed' that has lost a file."""
    folder = tmp_path_factory.mktemp("streams")
    write_manifest(folder / "rows.csv", 3)
    for name in ("whole", "holed"):
        words = command("run", "rows.csv", "--engine", "tone", "-o", name, "-q")
        run_command(words, cwd=folder)
    (folder / "holed" / "audio" / "r1.wav").unlink()
    (folder / "bad.csv").write_text("id,text\na,\n", encoding="utf-8")
    return folder


def status_of(words: list[str], streams: str, cwd: Path) -> tuple[int, str]:
    """Run a command with its streams led elsewhere; its exit code, and what it said on stderr."""
    tally.count(runs=int("run" in words))
    script = f'"$@" {streams}; echo "${{PIPESTATUS[0]}}" >&9'
    done = subprocess.run(
        ["bash", "-c", f"exec 9>&1; {script}", "bash", *words],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    return int(done.stdout.split()[-1]), done.stderr


LOOKING = (
    (0, "plan", "rows.csv", "-o", "whole"),
    (0, "status", "whole"),
    (1, "verify", "holed"),
    (0, "providers"),
)


@pytest.mark.parametrize("streams", STREAMS)
def test_looking_has_its_exit_code_whatever_its_streams_are(done_run: Path, streams: str) -> None:
    """plan, status, verify and providers, plain or as JSON: the true code and no traceback."""
    for number, (expected, *words) in enumerate(LOOKING, list(STREAMS).index(streams)):
        form = ("--json",) if number % 2 else ()
        code, errors = status_of(command(*words, *form), STREAMS[streams], done_run)
        assert code == expected, (words, form, errors)
        assert "Traceback" not in errors


@pytest.mark.parametrize("streams", STREAMS)
def test_a_run_does_its_work_whatever_its_streams_are(
    tmp_path: Path, done_run: Path, streams: str
) -> None:
    """A new run as JSON and one that talks much and has nothing to do: both done, and 0."""
    words = ("run", done_run / "rows.csv", "--engine", "tone", "-o", "run")
    for form in ("--json", "-vv"):
        code, errors = status_of(command(*words, form), STREAMS[streams], tmp_path)
        assert code == 0, errors
        assert "Traceback" not in errors
        assert Oracle(folder=tmp_path / "run", rows=3).holds_amid()["done"] == 3


@pytest.mark.parametrize("streams", STREAMS)
def test_what_is_refused_is_refused_whatever_its_streams_are(done_run: Path, streams: str) -> None:
    """A manifest with a bad row ends with 65."""
    code, errors = status_of(command("run", "bad.csv"), STREAMS[streams], done_run)
    assert code == 65
    assert "Traceback" not in errors


def test_a_command_that_trusts_its_streams_is_caught(done_run: Path) -> None:
    """With plain prints, a full standard output spoils an exit code."""
    words = command("run", "rows.csv", "-o", "whole", broken="streams-trusted")
    code, _ = status_of(words, STREAMS["stdout full"], done_run)
    assert code != 0
