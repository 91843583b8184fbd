#!/usr/bin/env bash
# A LocalCluster whose worker dies twice.
#
# One would guess: each worker has a nanny, which starts another process in the place of one that died,
# however often; a cluster of one worker has one again half a second later.
#
# It is so: at each death the cluster also sets an alarm, `distributed.deploy.lost-worker-timeout` (15 s). When it
# rings and no worker of that name is there at that moment, because a later one has just died too, the cluster
# closes the nanny and forgets it, though that was about to start the next worker. Nothing starts one in its place
# until somebody calls `scale`: the cluster says that it is running, and has no worker for ever.
#
# Seen on 2026-11-29 with distributed 2026.8.0 (at first as a run whose two workers were killed every two seconds:
# after 50 kills both were gone). Source: this output, and SpecCluster._update_worker_status. The setting is
# shortened here, so that the second death can come soon before the alarm.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet distributed==2026.8.0

cat > "$work/forgets.py" <<'PYTHON'
import asyncio
import logging
import os
import signal
from importlib.metadata import version

import dask.config
from distributed import LocalCluster

ALARM_SECONDS = 6.0


async def have_worker(cluster, seconds):
    """Wait for a worker: its process, or None if none comes."""
    for _ in range(round(seconds / 0.01)):
        if cluster.scheduler.workers and (nannies := list(cluster.workers.values())):
            if nannies[0].pid:
                return nannies[0].pid
        await asyncio.sleep(0.01)
    return None


async def main():
    print("distributed", version("distributed"))
    dask.config.set({"distributed.deploy.lost-worker-timeout": f"{ALARM_SECONDS}s"})
    async with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        dashboard_address="127.0.0.1:0",
        silence_logs=logging.CRITICAL,
        asynchronous=True,
    ) as cluster:
        os.kill(await have_worker(cluster, 20), signal.SIGKILL)
        died_at = asyncio.get_running_loop().time()
        while cluster.scheduler.workers:
            await asyncio.sleep(0.01)
        came_back = await have_worker(cluster, 5) is not None
        print("after the first death another worker came:", came_back)
        # The alarm of the first death finds nobody if the next worker has died just before it.
        while asyncio.get_running_loop().time() < died_at + ALARM_SECONDS + 1.0:
            if cluster.scheduler.workers and asyncio.get_running_loop().time() > died_at + ALARM_SECONDS - 0.6:
                if nannies := list(cluster.workers.values()):
                    if nannies[0].pid:
                        os.kill(nannies[0].pid, signal.SIGKILL)
            await asyncio.sleep(0.01)
        forgotten = await have_worker(cluster, 20) is None
        print(
            f"after others just before the alarm: status {cluster.status.name}, asked for "
            f"{len(cluster.worker_spec)}, nannies {len(cluster.workers)}, no worker in 20 s: {forgotten}"
        )
        cluster.scale(1)
        scaled = await have_worker(cluster, 20) is not None
        print("after scale(1) one came:", scaled)
    if (came_back, forgotten, scaled) != (True, True, True):
        raise SystemExit("CHANGED, not so")
    print("as seen: the cluster forgot its nanny, and started none until it was asked to")


if __name__ == "__main__":
    asyncio.run(main())
PYTHON
"$work/venv/bin/python" "$work/forgets.py"
