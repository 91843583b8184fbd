"""A disk that is full, read-only, limited, failing or swapped costs a run its end, never its truth."""

import contextlib
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchjobs.errors import NoRunError
from tests import tally
from tests.clocks import PATIENCE_SECONDS
from tests.faults.commands import (
    Oracle,
    Served,
    command,
    resume_run,
    run_command,
    run_server,
    start_command,
    summary,
    until,
    write_manifest,
)
from tests.whole_runs import here_only

ROWS = 12
CONCURRENCY = 3


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server for the runs that need no ledger of their own."""
    with run_server(tmp_path_factory.mktemp("service"), "--pace", 30) as server:
        yield server.base_url


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    """A server whose ledger is the test's own."""
    with run_server(tmp_path) as found:
        yield found


def run_of(
    manifest: Path, base_url: str, folder: Path, *more: object, broken: str = ""
) -> list[str]:
    """The words of a run."""
    return command(
        *("run", manifest, "--base-url", base_url, "-o", folder, "-c", CONCURRENCY, *more),
        broken=broken,
    )


def striking(call: str, error: str, *, when: str, path: Path | None = None) -> list[str]:
    """The words of a strace that makes a system call fail; a test without it says so."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: no system call can be made to fail")
    words = ["strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", f"trace={call}"]
    words += ["-e", f"inject={call}:error={error}:when={when}"]
    return [*words, *(("-P", str(path)) if path else ())]


# -- a disk that fills up ----------------------------------------------------------------------

_FILLED = """
set -u
mount -t tmpfs -o size=$SIZE none disk || exit 99
"$@"; echo "struck $?" >&3
{check}; echo "checked $?" >&3
mount -o remount,size=64m disk
"$@"; echo "resumed $?" >&3
cp -r disk/run kept
"""


def find_unshare() -> list[str]:
    """Find how to run a command that may mount disks of its own."""
    for unshare in (["unshare", "-m"], ["unshare", "-Urm"]):
        probe = subprocess.run(
            [*unshare, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
        )
        if probe.returncode == 0:
            return unshare
    pytest.skip("no mount namespace may be made here: the file size limit tests the same way")


@pytest.mark.parametrize("inodes", [1, 4, 5])
def test_a_disk_without_room_for_what_workers_need_ends_the_run_with_74(
    tmp_path: Path, server: Served, inodes: int
) -> None:
    """Dask makes files as it starts, in a temporary folder: of its own, of its scheduler, of a worker."""
    manifest = write_manifest(tmp_path / "rows.csv", ROWS)
    (tmp_path / "scratch").mkdir()
    words = run_of(manifest, server.base_url, Path("run"), "-q", "--workers", 2)
    mount = f"mount -t tmpfs -o size=64k,nr_inodes={inodes} none scratch || exit 99"
    script = f'{mount}\nDASK_TEMPORARY_DIRECTORY=$PWD/scratch "$@"'
    done = run_command(
        [*find_unshare(), "bash", "-c", script, "bash", *words], cwd=tmp_path, expect=74
    )
    assert f"no space for {tmp_path}/scratch/" in done.stderr
    assert "Traceback" not in done.stderr
    assert not server.count("start")


@pytest.mark.parametrize(
    ("count", "speed", "size"), [(5_000, "1", "64k"), (5_000, "fast", "64k"), (100_000, "1", "24m")]
)
def test_a_disk_without_room_for_a_plan_in_the_making_is_told_by_its_folder(
    tmp_path: Path, count: int, speed: str, size: str
) -> None:
    """SQLite has its temporary files elsewhere than the run: for packs, single rows, and to index all."""
    rows = "".join(f'r{number},"نصٌّ {number} لا\u200dإلــه",{speed}\n' for number in range(count))
    (tmp_path / "rows.csv").write_text(f"id,text,speed\n{rows}")
    (tmp_path / "scratch").mkdir()
    mount = f"mount -t tmpfs -o size={size} none scratch || exit 99"
    script = f'{mount}\nTMPDIR=$PWD/scratch "$@"'
    words = command("run", "rows.csv", "--engine", "tone", "-q", "--skip-bad-rows")
    done = run_command(
        [*find_unshare(), "bash", "-c", script, "bash", *words], cwd=tmp_path, expect=74
    )
    assert f"no space for SQLite's temporary files in {tmp_path}/scratch" in done.stderr
    assert "TMPDIR" in done.stderr
    assert "checkpoint.sqlite3" not in done.stderr


_COPIES = """
import os
from pathlib import Path
from batchjobs.checkpoint.database import Database

database = Database.open_to_write(Path("run"))
with database.transaction() as connection:
    rows = ((f"x{number}", os.urandom(1_000).hex()) for number in range(3_000))
    connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
database.copy_to(Path("scratch/copy"))
"""


def test_a_disk_without_room_for_a_copy_of_the_checkpoint_is_told_by_the_copy(
    tmp_path: Path,
) -> None:
    """SQLite cuts what it has written of it before it says so: that there is room then means nothing."""
    (tmp_path / "run").mkdir()
    (tmp_path / "scratch").mkdir()
    script = 'mount -t tmpfs -o size=4m none scratch || exit 99\n"$@"'
    words = [sys.executable, "-c", _COPIES]
    done = run_command(
        [*find_unshare(), "bash", "-c", script, "bash", *words], cwd=tmp_path, expect=1
    )
    assert "DiskFullError: no space for scratch/copy;" in done.stderr


@pytest.mark.parametrize("size_kib", [160, 420])
def test_a_full_disk_ends_the_run_with_74_and_is_resumed_after_room_is_made(
    tmp_path: Path, server: Served, size_kib: int
) -> None:
    """On a small tmpfs: 74, what is called done is whole, and after a remount the rest is made."""
    manifest = write_manifest(tmp_path / "rows.csv", ROWS)
    (tmp_path / "disk").mkdir()
    words = run_of(manifest, server.base_url, Path("disk/run"), "-q")
    check = " ".join(command("verify", "disk/run"))
    script = f"exec 3>codes\n{_FILLED.format(check=check)}".replace("$SIZE", f"{size_kib}k")
    unshare = find_unshare()
    done = run_command([*unshare, "bash", "-c", script, "bash", *words], cwd=tmp_path)
    tally.count(runs=1)  # beside the first: the script runs it twice
    codes = dict(line.split() for line in (tmp_path / "codes").read_text().splitlines())
    assert (codes["struck"], codes["resumed"]) == ("74", "0"), done.stderr
    # 2: so little room that there is no run yet.
    assert codes["checked"] in {"0", "2"}, done.stdout + done.stderr
    assert "no space" in done.stderr
    assert "Traceback" not in done.stderr
    Oracle(folder=tmp_path / "kept", rows=ROWS).holds_after(server.bought(), repeats=CONCURRENCY)


# -- system calls that fail --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "when"),
    [
        *(("fsync,fdatasync", "EIO", f"{n}+") for n in (1, 3, 6)),
        ("pwrite64", "ENOSPC", "20+"),
        ("pwrite64", "EROFS", "25+"),
    ],
)
def test_a_disk_that_fails_ends_the_run_with_74_and_nothing_false_is_called_done(
    tmp_path: Path, server: Served, call: str, error: str, when: str
) -> None:
    """From the n-th system call on it fails: 74, what is done is whole, and the rest is resumed."""
    manifest = write_manifest(tmp_path / "rows.csv", ROWS)
    folder = tmp_path / "run"
    words = run_of(manifest, server.base_url, folder, "-q")
    done = run_command([*striking(call, error, when=when), *words], cwd=tmp_path, expect=None)
    assert done.returncode == 74, done.stderr
    assert "Traceback" not in done.stderr
    oracle = Oracle(folder=folder, rows=ROWS)
    if (folder / "checkpoint.sqlite3").exists():
        with contextlib.suppress(NoRunError):  # it was struck before there was anything
            print(f"{call} {error} from {when}: {oracle.holds_amid()['done']} done before")
    resume_run(manifest, server, folder)
    # A transaction whose sync failed may have been on its way: what it held was paid for.
    oracle.holds_after(server.bought(), repeats=CONCURRENCY)


@here_only
@pytest.mark.parametrize("error", ["EIO", "EDQUOT", "EROFS"])
def test_a_result_that_cannot_be_written_stops_the_run_and_is_made_after(
    tmp_path: Path, server: Served, error: str
) -> None:
    """One file that finds no room: 74, it is not called done, what was open is, the rest comes."""
    manifest = write_manifest(tmp_path / "rows.csv", ROWS)
    folder = tmp_path / "run"
    words = run_of(manifest, server.base_url, folder, "-q")
    part = folder / "audio" / ".r5.wav.part"
    part.parent.mkdir(parents=True)  # strace wants to know the path
    done = run_command(
        [*striking("write", error, when="1+", path=part), *words], cwd=tmp_path, expect=None
    )
    assert done.returncode == (73 if error == "EROFS" else 74), done.stderr
    counted = Oracle(folder=folder, rows=ROWS).holds_amid()
    assert 1 <= counted["done"] < ROWS
    assert not (folder / "audio" / "r5.wav").exists()
    resume_run(manifest, server, folder)
    Oracle(folder=folder, rows=ROWS).holds_after(server.bought(), repeats=1)


@here_only
@pytest.mark.parametrize(
    ("bug", "call", "error"),
    [("fsync-unheard", "fsync", "EIO"), ("write-unheard", "write", "EDQUOT")],
)
def test_a_runner_that_does_not_listen_to_its_disk_is_caught(
    tmp_path: Path, service: str, bug: str, call: str, error: str
) -> None:
    """With a failed write or sync taken for a success the oracle finds what is wrong."""
    manifest = write_manifest(tmp_path / "rows.csv", 6)
    folder = tmp_path / "run"
    words = run_of(manifest, service, folder, "-q", broken=bug)
    part = folder / "audio" / ".r2.wav.part"
    part.parent.mkdir(parents=True)
    done = run_command(
        [*striking(call, error, when="1+", path=part), *words], cwd=tmp_path, expect=None
    )
    assert done.returncode != 74
    if bug == "write-unheard":
        with pytest.raises(AssertionError):
            Oracle(folder=folder, rows=6).holds_amid()


# -- limits of the process ---------------------------------------------------------------------


def test_a_file_size_limit_is_no_signal_s_death(tmp_path: Path, server: Served) -> None:
    """RLIMIT_FSIZE: 74 and not SIGXFSZ, what is done is whole, and without the limit all is."""
    manifest = write_manifest(tmp_path / "rows.csv", ROWS)
    folder = tmp_path / "run"
    words = run_of(manifest, server.base_url, folder, "-q")
    for limit in (40_000, 150_000):

        def limited(limit: int = limit) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        done = run_command(words, cwd=tmp_path, expect=74, prepare=limited)
        assert "Traceback" not in done.stderr
        with contextlib.suppress(NoRunError):
            Oracle(folder=folder, rows=ROWS).holds_amid()
    resume_run(manifest, server, folder)
    Oracle(folder=folder, rows=ROWS).holds_after(server.bought(), repeats=2 * CONCURRENCY)


def limited_files(limit: int) -> None:
    """Let a process open so many files."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


@here_only
@pytest.mark.parametrize("limit", [80])
def test_too_few_file_descriptors_throttle_and_the_run_comes_to_its_end(
    tmp_path: Path, limit: int
) -> None:
    """At 100 sessions and a low 'ulimit -n': slower, told so, and all done with 0."""
    manifest = write_manifest(tmp_path / "rows.csv", 50)
    with run_server(tmp_path, "--pace", 1) as server:  # long enough to be open at once, all of them
        words = run_of(manifest, server.base_url, tmp_path / "run", "-c", 100, "--json")
        done = run_command(words, cwd=tmp_path, prepare=lambda: limited_files(limit))
    told = done.stdout.count("no file descriptors left")
    assert told
    print(f"ulimit -n {limit}: throttled {told} times")
    assert summary(tmp_path / "run")["done"] == 50


_GREEDY = """
import resource, socket, sys
import trio
from batchjobs.session import dial
if sys.argv[1:]:
    dial.most_open_files = lambda: 1 << 30
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
async def main():
    held = []
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    port = listener.socket.getsockname()[1]
    try:
        while True:
            held.append(await dial.dial_tcp("127.0.0.1", port, None))
    except OSError as error:
        told = error
    files = []
    try:
        while True:
            files.append(open("/dev/null"))
    except OSError:
        print(len(held), len(files), type(told).__name__)
    [file.close() for file in files]
trio.run(main)
"""


@pytest.mark.parametrize("bug", ["", "no files kept"])
def test_connections_leave_files_for_the_disk(tmp_path: Path, bug: str) -> None:
    """When no more connections may be opened, files still can be; without the rule none can."""
    words = [sys.executable, "-c", _GREEDY, *filter(None, [bug])]
    done = run_command(words, cwd=tmp_path)
    held, files, _ = done.stdout.split()
    print(f"of 64: {held} connections, {files} files")
    assert int(held) >= 20
    assert (int(files) >= 16) is not bool(bug)


# -- folders that are no longer what they were -------------------------------------------------


def test_a_read_only_disk_is_told_and_can_still_be_looked_at(tmp_path: Path, service: str) -> None:
    """Remounted read-only: a run ends with 73 before any session, status and verify go on."""
    manifest = write_manifest(tmp_path / "rows.csv", 3)
    (tmp_path / "disk").mkdir()
    words = run_of(manifest, service, Path("disk/run"), "-q")
    more = run_of(write_manifest(tmp_path / "more.csv", 5), service, Path("disk/run"), "-q")
    script = """
        mount -t tmpfs -o size=32m none disk || exit 99
        {run}; echo "first $?"
        mount -o remount,ro disk
        {more}; echo "struck $?"
        {status}; echo "status $?"
        {verify}; echo "verify $?"
        mount -o remount,rw disk
        {more}; echo "resumed $?"
    """.format(
        run=" ".join(words),
        more=" ".join(more),
        status=" ".join(command("status", "disk/run")),
        verify=" ".join(command("verify", "disk/run")),
    )
    for unshare in ("-m", "-Urm"):
        done = run_command(["unshare", unshare, "bash", "-c", script], cwd=tmp_path, expect=None)
        if done.returncode == 0:
            break
    else:
        pytest.skip("no mount namespace may be made here")
    tally.count(runs=3)
    codes = dict(line.split()[:2] for line in done.stdout.splitlines() if len(line.split()) == 2)
    expected = {"first": "0", "struck": "73", "status": "0", "verify": "0", "resumed": "0"}
    assert {name: codes[name] for name in expected} == expected, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("bug", ["", "links-followed"])
def test_results_are_never_written_through_a_link_put_there_between_runs(
    tmp_path: Path, service: str, bug: str
) -> None:
    """The folder audio/ is now a link to elsewhere: nothing is written there, and it is told."""
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run_command(run_of(write_manifest(tmp_path / "a.csv", 2), service, folder, "-q"), cwd=tmp_path)
    (folder / "audio").rename(tmp_path / "moved")
    elsewhere.mkdir()
    (folder / "audio").symlink_to(elsewhere)
    words = run_of(write_manifest(tmp_path / "a.csv", 4), service, folder, "-q", broken=bug)
    done = run_command(words, cwd=tmp_path, expect=None)
    written = [path.name for path in elsewhere.iterdir()]
    if bug:
        assert written  # so the next line can fail
        return
    assert written == []
    assert done.returncode in {65, 73}, done.stderr
    assert "Traceback" not in done.stderr
    (folder / "audio").unlink()
    (tmp_path / "moved").rename(folder / "audio")
    run_command(words, cwd=tmp_path)
    assert Oracle(folder=folder, rows=4).holds_amid()["done"] == 4


@pytest.mark.parametrize(("bug", "keep"), [("", True), ("", False), ("links-followed", True)])
def test_results_are_never_written_through_a_link_put_there_in_mid_run(
    tmp_path: Path, bug: str, *, keep: bool
) -> None:
    """audio/ is swapped while sessions are open: 73 or 74, nothing new elsewhere, then resumed."""
    # keep: the link leads to the folder itself, moved away; a rename through it would succeed.
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    manifest = write_manifest(tmp_path / "rows.csv", 24)
    with run_server(tmp_path, "--pace", 16) as server:
        words = run_of(manifest, server.base_url, folder, "-q", broken=bug)
        process = start_command(words, cwd=tmp_path)
        until(lambda: server.count("end") >= 4)
        if keep:
            (folder / "audio").rename(elsewhere)
        else:
            (folder / "audio").rename(tmp_path / "moved")
            elsewhere.mkdir()
        before = {path.name for path in elsewhere.iterdir() if path.suffix == ".wav"}
        (folder / "audio").symlink_to(elsewhere)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
        after = {path.name for path in elsewhere.iterdir() if path.suffix == ".wav"}
        if bug:
            assert after > before
            return
        assert after == before
        assert process.returncode in {73, 74}, errors
        assert "Traceback" not in errors
        (folder / "audio").unlink()
        (elsewhere if keep else tmp_path / "moved").rename(folder / "audio")
        Oracle(folder=folder, rows=24).holds_amid()
        resume_run(manifest, server, folder)
        Oracle(folder=folder, rows=24).holds_after(server.bought(), repeats=CONCURRENCY)
