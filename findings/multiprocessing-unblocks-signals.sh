#!/usr/bin/env bash
# Python's multiprocessing (spawn) and signals that were blocked so that children do not get them.
#
# One would guess: a thread that blocks SIGINT and SIGTERM with signal.pthread_sigmask keeps them blocked, and
# the processes that it starts inherit that: so a Ctrl-C in the terminal, which goes to all processes of the
# group, reaches the parent alone, which ends its children as it likes.
#
# It is so: the first process, or lock, that is made for "spawn" (or "forkserver") starts a tracker of resources
# before it. That blocks both signals for a moment, and then unblocks them, whether they were blocked before
# or not: in the thread that starts it, for good. The first child, and all after it, start with both signals
# open, and die of Ctrl-C with a KeyboardInterrupt. What this does to whoever relies on it: dask's LocalCluster,
# pools, executors. To call multiprocessing.resource_tracker.ensure_running() first, and then block, helps.
#
# Seen on 2026-11-29 with CPython 3.11.7 on Linux. Source: this output, and ensure_running (or _launch) in
# multiprocessing/resource_tracker.py: pthread_sigmask(SIG_UNBLOCK, _IGNORED_SIGNALS) in its `finally`.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/blocked.py" <<'PYTHON'
import multiprocessing
import signal
import sys
from multiprocessing import resource_tracker

WANTED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def tell(queue):
    queue.put(blocked())


def blocked():
    return sorted(number.name for number in signal.pthread_sigmask(signal.SIG_BLOCK, ()) & WANTED)


def main(is_started_first):
    if is_started_first:
        resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, WANTED)
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=tell, args=(queue,))
    process.start()
    in_child = queue.get()
    process.join()
    print("tracker first:" if is_started_first else "as one would:", "blocked here", blocked(), "in the child", in_child)
    everything = sorted(number.name for number in WANTED)
    sys.exit(0 if (in_child == everything) is is_started_first else 1)


if __name__ == "__main__":
    main(sys.argv[1:] == ["first"])
PYTHON
python3 --version
python3 "$work/blocked.py" || { echo "CHANGED, not so: the signals stay blocked"; exit 1; }
python3 "$work/blocked.py" first || { echo "CHANGED: the tracker first does not help"; exit 1; }
echo "as seen: the first spawn lets SIGINT and SIGTERM through again"
