"""Whole runs on clusters that somebody started: who is refused, and what is outlived."""

import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from batchjobs.files import run_folder
from tests.canary import KEY
from tests.clocks import until
from tests.clusters import HandMade, Owner, Relay, hand_made, issue_papers
from tests.faults.commands import (
    Oracle,
    Served,
    command,
    run_command,
    run_server,
    write_manifest,
)
from tests.faults.oracle import Work, sha256_of
from tests.faults.struck_host import strange

ROWS = 6
SERVICE = """
[providers.service]
like = "local"
base_url = "{base_url}"
key_variable = "SERVICE_API_KEY"
engine = ""
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose ledger is the tests' own."""
    with run_server(tmp_path_factory.mktemp("served"), "--pace", 30) as found:
        yield found


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandMade]:
    """A scheduler without any worker."""
    with hand_made(tmp_path_factory.mktemp("cluster"), 0) as found:
        yield found


def make_service(folder: Path, server: Served, *lines: str) -> None:
    """Write a configuration with a provider whose key is nobody's but the owner's."""
    table = SERVICE.format(base_url=server.base_url) + "\n".join(lines)
    (folder / "batchjobs.toml").write_text(table, encoding="utf-8")


@pytest.mark.parametrize(
    ("difference", "code", "said"),
    [
        (strange("other-python"), 78, "has Python 3.99.1, and this is 3."),
        pytest.param(
            strange("other-files"), 78, "(0123456789), and this is", marks=pytest.mark.long
        ),
        (strange("other-folder"), 73, "does not see the run folder"),
        (strange("other-recordings"), 78, "does not see the recording"),
        ({}, 78, "no key for the provider 'service'"),
    ],
    ids=["python", "files", "folder", "recordings", "key"],
)
def test_a_worker_that_cannot_do_the_work_is_named(
    tmp_path: Path,
    server: Served,
    cluster: HandMade,
    difference: Mapping[str, str],
    code: int,
    said: str,
) -> None:
    """One sentence that names it, its code, and nothing is spent."""
    work = Work.made(tmp_path, speech=0, recordings=2, concurrency=2)
    make_service(tmp_path, server)
    words = command(
        "run", work.manifest, "-p", "service", "-o", "run", "--cluster", cluster.address
    )
    before = server.count("start")
    if difference:
        cluster.start_workers(1, SERVICE_API_KEY=KEY, **difference)
    else:
        cluster.start_workers(1)
    try:
        refused = run_command(words, cwd=tmp_path, expect=code, SERVICE_API_KEY=KEY)
    finally:
        cluster.kill_workers()
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "--key-file" not in refused.stderr  # no worker takes one
    assert len(refused.stderr.strip().splitlines()) <= 3
    assert server.count("start") == before


def test_a_signal_is_heeded_while_no_worker_is_there(
    tmp_path: Path, server: Served, cluster: HandMade
) -> None:
    """Nobody waits for a cluster that comes up slowly."""
    manifest = write_manifest(tmp_path / "rows.csv", 2)
    words = [manifest, "--base-url", server.base_url, "-o", "run", "--cluster", cluster.address]
    with Owner(tmp_path, *words) as owner:
        until(lambda: (tmp_path / "run" / run_folder.WORKERS).exists() or owner.code is not None)
        owner.kill(signal.SIGINT)
        code = owner.wait()
    assert code == -signal.SIGINT, owner.said()
    assert not (tmp_path / "run" / run_folder.WORKERS).exists()


def test_keys_travel_over_tls(tmp_path: Path, server: Served) -> None:
    """Workers without any have the owner's; speech over HTTP and transcripts come of them."""
    papers = issue_papers(tmp_path / "papers")
    work = Work.made(tmp_path, speech=4, recordings=3, concurrency=4)
    make_service(tmp_path, server, 'tts_transport = "http"')
    given = {"ca": papers["ca-file"], "cert": papers["cert"], "key": papers["key"]}
    options = [word for name, path in given.items() for word in (f"--cluster-{name}", path)]
    (tmp_path / "cluster").mkdir()
    with HandMade(tmp_path / "cluster") as cluster:
        cluster.seal(papers)
        cluster.start_scheduler()
        cluster.start_workers(2)
        words = ("run", "work.csv", "-p", "service", "-o", "run", "--cluster", cluster.address)
        run_command(command(*words, *options), cwd=tmp_path, SERVICE_API_KEY=KEY)
    run_command(command("verify", "run"), cwd=tmp_path)
    found = {path: sha256_of(tmp_path / "run" / path) for path in work.contents}
    assert found == dict(work.contents)
    assert not (tmp_path / "run/segments").exists()


# -- what breaks -----------------------------------------------------------------------------------


@pytest.mark.long
def test_a_break_of_the_line_to_the_scheduler_is_outlived(tmp_path: Path) -> None:
    """What was open goes again, the rest goes on, and it is told."""
    manifest = write_manifest(tmp_path / "rows.csv", 60)
    with (
        run_server(tmp_path, "--pace", 30) as server,
        hand_made(tmp_path / "cluster", 2) as cluster,
        Relay(cluster.port) as relay,
    ):
        words = [manifest, "--base-url", server.base_url, "-o", "run", "-c", 4]
        words += ["--cluster", f"tcp://127.0.0.1:{relay.port}"]
        with Owner(tmp_path, *words) as owner:
            for share in (10, 30):
                until(lambda: server.count("end") > share or owner.code is not None)  # noqa: B023
                relay.cut()
            code = owner.wait()
    assert code == 0, owner.said()
    assert "broke; waiting for it" in owner.said()
    assert "Traceback" not in owner.said()
    Oracle(folder=tmp_path / "run", rows=60).holds_after(server.bought(), repeats=2 * 4)
