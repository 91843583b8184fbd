"""Records the disk calls of a run, or of an accept, to cut the power at any of them."""

import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

from tests.faults.bench import Bench
from tests.faults.disk import NEVER, Recording
from tests.faults.doubted import Doubted, DoubtedCase
from tests.faults.oracle import Case, Work

_CALLS = (
    "openat,write,pwrite64,fsync,fdatasync,?rename,?renameat,?renameat2,?unlink,?unlinkat,"
    "?mkdir,?mkdirat,ftruncate,close,connect"
)


def record(
    bench: Bench, work: Work, *, broken: str = "", killed_at: Sequence[tuple[str, int]] = ()
) -> Recording:
    """Record a run from an empty folder to its end.

    Args:
        bench: Where.
        work: What is to be done.
        broken: A mistake for it to make.
        killed_at: Kill so many runs before, each at a call and its number.
    """
    case = Case(bench, work, "recorded")
    place = case.folder.parent
    stdout, log = place / "stdout", place.parent / f"{place.name}.strace"
    recording = Recording(place, stdout)
    options = ["-o", str(log), "-xx", "-s", str(1 << 24), "-e", f"trace={_CALLS}"]
    for call, count in killed_at:
        inject = ["-e", f"inject={call}:signal=SIGKILL:when={count}"]
        with bench.strace(
            case, options + inject, "--json", broken=broken, one_thread=True, stdout=stdout
        ) as child:
            if child.wait() != -signal.SIGKILL:
                raise RuntimeError(f"the run survived {call} {count}")
        recording.read(log)
    with bench.strace(case, options, "--json", broken=broken, stdout=stdout) as child:
        code = child.wait()
    if code:
        raise RuntimeError((place / "stderr").read_text(encoding="utf-8"))
    recording.read(log)
    return _closed(recording, work, log)


def record_accept(bench: Bench, doubted: Doubted, *, broken: str = "") -> Recording:
    """Record a run that ends with something in doubt, and then what accepts it.

    Args:
        bench: Where; its speech is silence.
        doubted: What is to be done.
        broken: A mistake for both to make.
    """
    case = DoubtedCase(bench, doubted, "recorded")
    place = case.folder.parent
    stdout, log = place / "stdout", place.parent / f"{place.name}.strace"
    recording = Recording(place, stdout)
    options = ["-o", str(log), "-xx", "-s", str(1 << 24), "-e", f"trace={_CALLS}"]
    run = bench.command(case, "--json", "--attempts", 1)
    for arguments, right in ((run, 1), ([*case.accept(), "--json"], 0)):
        with bench.strace(
            case, options, arguments=arguments, broken=broken, stdout=stdout
        ) as child:
            code = child.wait()
        if code != right:
            raise RuntimeError((place / "stderr").read_text(encoding="utf-8"))
        recording.read(log)
    return _closed(recording, doubted.work, log)


def _closed(recording: Recording, work: Work, log: Path) -> Recording:
    """Tidy up behind a recording that has come to its end."""
    log.unlink()
    shutil.rmtree(recording.root)
    told = recording.told(NEVER)
    if [*told.values()] != ["done"] * work.rows:
        raise RuntimeError(f"told {told} of {work.rows} jobs")
    return recording
