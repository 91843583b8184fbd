"""Sessions in other processes: whoever of them dies, fails or is stopped, the promises of a run hold."""

import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from batchjobs.cluster import host
from batchjobs.files.run_folder import WORKERS
from tests import tally
from tests.clocks import until
from tests.clusters import Owner, workers_of
from tests.faults.commands import (
    Oracle,
    Served,
    command,
    resume_run,
    run_command,
    run_server,
    write_manifest,
)
from tests.faults.struck_host import struck
from tests.proofs import workers
from tests.proofs.struck import read_checkpoint, read_sessions

ROWS = 12
CONCURRENCY = 4
ELSEWHERE = ("--workers", 2)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    """A server whose ledger is the test's own."""
    with run_server(tmp_path, "--pace", 30) as found:
        yield found


def run_of(manifest: Path, server: Served, folder: Path, *more: object) -> list[str]:
    """The words of a run with workers."""
    words = ("run", manifest, "--base-url", server.base_url, "-o", folder, "-c", CONCURRENCY)
    return command(*words, *ELSEWHERE, "-q", *more)


@pytest.mark.parametrize(
    ("jobs", "owner_kills"), [(60, 1), pytest.param(400, 5, marks=pytest.mark.long)]
)
def test_kills_of_workers_and_owner(tmp_path: Path, jobs: int, owner_kills: int) -> None:
    """SIGKILLs of whoever takes part: 0 lost, 0 paid again, repeats at most the open sessions."""
    stage = workers.Stage(home=tmp_path, jobs=jobs, owner_kills=owner_kills)
    figures, wrong = workers.prove_local(stage)
    print(figures)
    repeated = int(str(figures["repeated"]))
    tally.count(cases=int(str(figures["kills of workers"])), lost=0, repeated=repeated, corrupt=0)
    assert not wrong


@pytest.mark.long
def test_kills_of_workers_and_scheduler_that_somebody_started(tmp_path: Path) -> None:
    """On a cluster that is not the run's own, too, whose scheduler dies once."""
    stage = workers.Stage(home=tmp_path, jobs=400, owner_kills=2)
    figures, wrong = workers.prove_cluster(stage)
    print(figures)
    assert not wrong


@pytest.mark.parametrize(
    "at", [1, 4, 7, *(pytest.param(n, marks=pytest.mark.long) for n in (2, 3, 5, 6, 8, 9, 10, 11))]
)
def test_a_worker_killed_as_it_writes_a_result(tmp_path: Path, server: Served, at: int) -> None:
    """At any change of its disk: the run goes on with the others, and nothing is half there."""
    manifest = write_manifest(tmp_path / "rows.csv", ROWS)
    folder, mark = tmp_path / "run", tmp_path / "struck"
    environment: Mapping[str, Any] = struck(mark, fault="SIGKILL", at=at)
    done = run_command(run_of(manifest, server, folder), cwd=tmp_path, **environment)
    assert mark.exists()
    assert "Traceback" not in done.stderr
    Oracle(folder=folder, rows=ROWS).holds_after(server.bought(), repeats=CONCURRENCY)


@pytest.mark.long
def test_a_run_that_ends_while_a_worker_is_started_anew_says_nothing_of_it(
    tmp_path: Path, server: Served
) -> None:
    """It waits a while for that, and leaves no process behind."""
    manifest = write_manifest(tmp_path / "rows.csv", ROWS)
    words = [manifest, "--base-url", server.base_url, "-o", "run", "-c", CONCURRENCY, *ELSEWHERE]
    mark = tmp_path / "struck"
    slow: Mapping[str, Any] = struck(mark, fault="SIGKILL", at=9, late_seconds=120.0)
    with Owner(tmp_path, *words, "-q", **slow) as owner:
        code, left = owner.wait(), owner.left()
    assert (code, left, owner.said(), mark.exists()) == (0, [], "", True)
    Oracle(folder=tmp_path / "run", rows=ROWS).holds_after(server.bought(), repeats=CONCURRENCY)


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("ENOSPC", 74, "No space left on device"),
        ("EIO", 74, "Input/output error"),
        pytest.param("EROFS", 73, "Read-only file system", marks=pytest.mark.long),
    ],
)
def test_a_worker_whose_disk_fails_ends_the_run(
    tmp_path: Path, server: Served, fault: str, code: int, said: str
) -> None:
    """As a disk of the owner's would: told in a sentence, what is done is whole, the rest is resumed."""
    manifest = write_manifest(tmp_path / "rows.csv", ROWS)
    folder, mark = tmp_path / "run", tmp_path / "struck"
    environment: Mapping[str, Any] = struck(mark, fault=fault, at=8)
    done = run_command(run_of(manifest, server, folder), cwd=tmp_path, expect=code, **environment)
    assert mark.exists()
    assert f"{folder / 'segments'}" in done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    counted = Oracle(folder=folder, rows=ROWS).holds_amid()
    assert counted["done"] < ROWS
    resume_run(manifest, server, folder)
    Oracle(folder=folder, rows=ROWS).holds_after(server.bought(), repeats=2 * CONCURRENCY)


def test_a_budget_holds_where_a_worker_is_killed(tmp_path: Path, server: Served) -> None:
    """What it had open counts whole: the service has sold no more, and the disk says no less than it."""
    manifest = write_manifest(tmp_path / "rows.csv", ROWS)
    folder, mark = tmp_path / "run", tmp_path / "struck"
    most = 7 * len("صباح الخير، row 0")
    environment: Mapping[str, Any] = struck(mark, fault="SIGKILL", at=3)
    limit = ("--max-characters", most)
    words = run_of(manifest, server, folder, *limit)
    run_command(words, cwd=tmp_path, expect=80, **environment)
    assert mark.exists()
    sold = sum(session.characters for session in read_sessions(server.ledger))
    ((counted,),) = read_checkpoint(folder, "SELECT sum(characters) FROM attempts")
    ((lost,),) = read_checkpoint(folder, "SELECT count(*) FROM attempts WHERE result = 'lost'")
    assert sold <= counted <= most
    assert lost
    resume_run(manifest, server, folder)
    Oracle(folder=folder, rows=ROWS).holds_after(server.bought(), repeats=CONCURRENCY)


def test_a_worker_that_dies_as_it_starts_is_told(tmp_path: Path, server: Served) -> None:
    """Before there is any session: a sentence, nothing spent, nothing left, and the next run runs."""
    manifest = write_manifest(tmp_path / "rows.csv", ROWS)
    words = [manifest, "--base-url", server.base_url, "-o", "run", *ELSEWHERE, "-q"]
    with Owner(tmp_path, *words) as owner:
        until(lambda: workers_of(owner.pid))
        for pid in workers_of(owner.pid):
            os.kill(pid, signal.SIGKILL)
        code, left = owner.wait(), owner.left()
    assert (code, left) == (69, [])
    assert "the workers could not be started" in owner.said()
    assert "Traceback" not in owner.said()
    assert not server.count("start")
    run_command(run_of(manifest, server, tmp_path / "run"), cwd=tmp_path)
    Oracle(folder=tmp_path / "run", rows=ROWS).holds_after(server.bought(), repeats=0)


def test_ctrl_c_of_a_terminal_ends_sessions_of_workers_well(tmp_path: Path) -> None:
    """Sent to all processes of a run: open sessions end, twice cuts them, no process is left."""
    figures, wrong = workers.interrupt(workers.Stage(home=tmp_path), [ELSEWHERE])
    print(figures)
    assert not wrong


def test_ctrl_c_twice_as_workers_start_says_how_to_go_on(tmp_path: Path, server: Served) -> None:
    """Nothing was bought, no process is left, nor what the workers know the folder by."""
    manifest = write_manifest(tmp_path / "rows.csv", ROWS)
    words = [manifest, "--base-url", server.base_url, "-o", "run", *ELSEWHERE]
    with Owner(tmp_path, *words) as owner:
        until(lambda: workers_of(owner.pid) or owner.code is not None)
        os.kill(owner.pid, signal.SIGINT)
        until(lambda: "SIGINT" in owner.said() or owner.code is not None)
        os.kill(owner.pid, signal.SIGINT)
        code, left = owner.wait(), owner.left()
    assert (code, left) == (-signal.SIGINT, [])
    assert "continue: " in (tmp_path / "stdout").read_text()
    assert len(owner.said().splitlines()) == 1, owner.said()
    assert not (tmp_path / "run" / WORKERS).exists()
    assert not server.count("start")
    run_command(run_of(manifest, server, tmp_path / "run"), cwd=tmp_path)
    Oracle(folder=tmp_path / "run", rows=ROWS).holds_after(server.bought(), repeats=0)


@pytest.mark.long
def test_a_run_that_is_suspended_goes_on(tmp_path: Path, server: Served) -> None:
    """Ctrl-Z stops all processes of a run for longer than its workers wait: what was open goes again."""
    manifest = write_manifest(tmp_path / "rows.csv", 60)
    words = [manifest, "--base-url", server.base_url, "-o", "run", "-c", CONCURRENCY, *ELSEWHERE]
    with Owner(tmp_path, *words) as owner:
        until(lambda: server.count("end") > 2 * CONCURRENCY or owner.code is not None)
        os.killpg(owner.pid, signal.SIGSTOP)
        time.sleep(2 * host.PATIENCE_SECONDS)
        os.killpg(owner.pid, signal.SIGCONT)
        code = owner.wait()
    assert code == 0, owner.said()
    assert "Traceback" not in owner.said()
    Oracle(folder=tmp_path / "run", rows=60).holds_after(server.bought(), repeats=CONCURRENCY)


# -- mistakes that must be noticed ---------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(
    ("mistake", "prove", "jobs", "noticed"),
    [
        ("attempts-counted-after", workers.prove_local, 100, "attempts on the disk"),
        ("opens-twice", workers.prove_local, 100, "attempts on the disk"),
        ("lease-for-ever", workers.prove_frozen, 800, "stood still"),
        ("opens-late", workers.prove_frozen, 800, ""),
    ],
)
def test_a_mistake_about_workers_is_noticed(
    tmp_path: Path, mistake: str, prove: workers.Prove, jobs: int, noticed: str
) -> None:
    """Attempts that nobody counts, and workers that go on without an owner, are caught.

    The last one is no mistake: on a machine that is as busy, the lease keeps sessions from opening.
    """
    stage = workers.Stage(home=tmp_path, jobs=jobs, owner_kills=2).make(mistake)
    figures, wrong = prove(stage)
    print(figures, *wrong, sep="\n")
    assert noticed in " ".join(wrong)
    assert bool(noticed) is bool(wrong)
