"""Looks from outside whether a run or a watch is well, also while it goes on."""

import contextlib
import os
import time
from pathlib import Path

import msgspec
from msgspec import UNSET

from batchjobs.checkpoint import Checkpoint
from batchjobs.files import run_folder
from batchjobs.options import check_settings
from batchjobs.options.health import HealthSettings
from batchjobs.outputs.health import Health, Signs, judge_health
from batchjobs.outputs.heartbeat import read_heartbeat
from batchjobs.outputs.summary import RunSummary


def health(folder: str | Path, settings: HealthSettings | None = None) -> Health:
    """Say whether a run or a watch is well.

    Args:
        folder: The run folder.
        settings: What counts as well.

    Raises:
        UsageError: A setting is out of its range.
        NoRunError: There is no run in the folder.
    """
    settings = settings or HealthSettings()
    check_settings(settings)
    folder = Path(folder)
    with Checkpoint.read(folder) as checkpoint:
        pace = checkpoint.totals.find_pace()
        last = _read_summary(folder)
        said = read_heartbeat(folder)
        now = time.time()
        signs = Signs(
            now=now,
            totals=checkpoint.totals.count_rows(),
            is_running=checkpoint.is_running(),
            heartbeat=said[0] if said else None,
            is_watch_alive=said is not None and _is_alive(said[0].pid),
            silent_seconds=now - said[1] if said else 0.0,
            began_at=float(checkpoint.read_settings().get("planned_at", 0.0)),
            moved_at=pace.moved_at,
            failure=pace.failure,
            exit_code=None if last.exit_code is UNSET else last.exit_code,
            error="" if last.error is UNSET else last.error,
        )
    return judge_health(signs, settings)


def _read_summary(folder: Path) -> RunSummary:
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode((folder / run_folder.SUMMARY).read_bytes(), type=RunSummary)
    return RunSummary()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True
