#!/usr/bin/env bash
# Dask's Semaphore(max_leases=1) and a holder whose interpreter is busy: two hold it at once.
#
# One would guess: a distributed semaphore of one lease keeps the second holder out until the first one leaves
# its `with` block or its process dies. A holder that is busy is not dead: a call into a C library that keeps
# the interpreter (a decompression, an import, a driver) makes it late, and nothing more.
#
# It is so: the lease is renewed by the holder's own event loop, every few seconds, which a held interpreter
# stops as well. After 30 s without one the scheduler gives the lease to the next (it looks every 10 s), while
# the first is in the middle of its block. Neither is told: the block ends without an error; a warning stands
# in the log of the worker, afterwards. What it guards (a limit of sessions, a file, money) is done twice.
#
# Seen on 2026-11-28 with distributed 2026.8.0: the second was let in 37 s after the first, which held for
# 45 s. Source: this output; distributed/semaphore.py, and `distributed.scheduler.locks.lease-timeout` (30 s)
# and `lease-validation-interval` (10 s) in distributed.yaml.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet distributed==2026.8.0

cat > "$work/semaphore.py" <<'PYTHON'
import ctypes
import time
from importlib.metadata import version

from distributed import Client, LocalCluster, Semaphore

HELD_SECONDS = 45


def hold():
    """Enter, and call something that keeps the interpreter, as PyDLL does for any C function."""
    with Semaphore(max_leases=1, name="one"):
        began = time.time()
        ctypes.PyDLL(None).sleep(HELD_SECONDS)
        return began, time.time()


def enter():
    with Semaphore(max_leases=1, name="one"):
        return time.time()


def main():
    print("distributed", version("distributed"))
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0")
    client = Client(cluster)
    one, other = client.scheduler_info()["workers"]
    first = client.submit(hold, workers=[one])
    time.sleep(2)
    second = client.submit(enter, workers=[other])
    entered = second.result()
    began, ended = first.result()
    client.close()
    cluster.close()
    print(f"the first held it for {ended - began:.1f} s, and ended without an error")
    print(f"the second was let in after {entered - began:.1f} s")
    if entered >= ended:
        raise SystemExit("CHANGED, not so: the second waited for the first")
    print(f"as seen: both held it, for {ended - entered:.1f} s")


if __name__ == "__main__":
    main()
PYTHON
"$work/venv/bin/python" "$work/semaphore.py"
