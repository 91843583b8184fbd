#!/usr/bin/env bash
# A Dask task that takes its worker down with it, and retries=0.
#
# One would guess: `client.submit(f, retries=0)`, the default, runs `f` once. If it fails, it has failed; if
# its worker dies under it, the future raises KilledWorker.
#
# It is so: `retries` counts exceptions only. A task whose worker dies goes to another worker by itself, until
# `distributed.scheduler.allowed-failures` (3) is passed: with retries=0 it runs four times before KilledWorker
# is raised, and takes four workers with it. What it had done before it died (a purchase, a request, a write)
# is done four times. Of three deaths nobody is told if the fourth run goes well.
#
# Seen on 2026-11-28 with distributed 2026.8.0. Source: this output, and Scheduler._remove_worker, which counts
# `ts.suspicious` against `allowed_failures` and looks at no `retries`.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet distributed==2026.8.0

cat > "$work/runs.py" <<'PYTHON'
import logging
import os
import signal
import sys
from importlib.metadata import version
from pathlib import Path

from distributed import Client, LocalCluster


def buy(ledger, deaths):
    """Write down that something is bought; the first so many times the worker dies of it."""
    with open(ledger, "a") as file:
        file.write("bought\n")
    if len(Path(ledger).read_text().splitlines()) <= deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def main(folder):
    print("distributed", version("distributed"))
    cluster = LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=logging.CRITICAL
    )
    client = Client(cluster)
    found = {}
    for deaths in (3, 100):
        ledger = f"{folder}/{deaths}"
        try:
            said = client.submit(buy, ledger, deaths, retries=0, pure=False).result(timeout=120)
        except Exception as error:
            said = type(error).__name__
        found[deaths] = said, len(Path(ledger).read_text().splitlines())
        print(f"its worker dies {deaths} times at most, retries=0: {said!r}, bought {found[deaths][1]} times")
    client.close()
    cluster.close()
    if found != {3: ("done", 4), 100: ("KilledWorker", 4)}:
        raise SystemExit("CHANGED, not so")
    print("as seen: four times, and of three deaths nobody is told")


if __name__ == "__main__":
    main(sys.argv[1])
PYTHON
"$work/venv/bin/python" "$work/runs.py" "$work"
