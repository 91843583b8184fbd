"""Whether a run or a watch is well: what is said of each way in which it may not be."""

from dataclasses import replace

import pytest

from batchjobs.checkpoint import RunTotals
from batchjobs.options.health import HealthSettings
from batchjobs.outputs.health import Level, Signs, judge_health
from batchjobs.outputs.heartbeat import Heartbeat

NOW = 1_000_000.0
DONE = RunTotals(rows=100, done=100)
LEFT = RunTotals(rows=100, done=40, not_run=60)
MOVING = Signs(now=NOW, totals=LEFT, is_running=True, began_at=NOW - 9_000, moved_at=NOW - 60)
BEAT = Heartbeat(pid=1, every_seconds=10)
WATCH = Signs(now=NOW, totals=DONE, is_running=True, heartbeat=BEAT, is_watch_alive=True)
TROUBLED = Heartbeat(pid=1, every_seconds=10, trouble="the disk is full", trouble_since=NOW - 600)


@pytest.mark.parametrize(
    ("signs", "level", "reason"),
    [
        (MOVING, Level.OK, "going on: 40 of 100 jobs done"),
        (Signs(now=NOW, totals=DONE, is_running=False), Level.OK, "all is done"),
        (Signs(now=NOW, totals=LEFT, is_running=False), Level.CRITICAL, "60 jobs left"),
        (
            Signs(now=NOW, totals=LEFT, is_running=False, exit_code=80, error="--budget 2"),
            Level.CRITICAL,
            "ended with 80: --budget 2",
        ),
        (
            replace(MOVING, moved_at=NOW - 3_000, failure="HTTP 503"),
            Level.CRITICAL,
            "nothing has come of the last 50:00 min; the last session: HTTP 503",
        ),
        (
            replace(MOVING, totals=RunTotals(rows=100, done=94, failed=3, suspect=3)),
            Level.WARNING,
            "3 failed and 3 suspect of 100 jobs",
        ),
        (replace(MOVING, totals=RunTotals(rows=100, done=95, failed=5)), Level.OK, "going on"),
        (WATCH, Level.OK, "going on: 100 of 100"),
        (replace(WATCH, silent_seconds=9_999), Level.CRITICAL, "has said nothing"),
        (replace(WATCH, heartbeat=TROUBLED), Level.CRITICAL, "for 10:00 min: the disk is full"),
        (replace(WATCH, is_watch_alive=False, silent_seconds=9_999), Level.OK, "going on"),
        (replace(WATCH, is_running=False), Level.CRITICAL, "was killed"),
        (
            replace(WATCH, is_running=False, heartbeat=Heartbeat(pid=1, every_seconds=1, exit_code=77)),
            Level.CRITICAL,
            "ended with 77",
        ),
    ],
)  # fmt: skip
def test_the_first_thing_that_is_wrong_is_said(signs: Signs, level: Level, reason: str) -> None:
    """And nothing is wrong where work moves, or all is done."""
    found = judge_health(signs, HealthSettings())
    assert found.level is level
    assert reason in found.reason


def test_what_counts_as_well_can_be_set() -> None:
    """Slow services may take long, and some archives have nothing but bad recordings."""
    slow = replace(MOVING, moved_at=NOW - 3_000)
    assert judge_health(slow, HealthSettings(stuck_minutes=60)).level is Level.OK
    bad = replace(MOVING, totals=RunTotals(rows=10, done=6, failed=4))
    assert judge_health(bad, HealthSettings(most_bad_percent=40)).level is Level.OK
    assert judge_health(bad, HealthSettings(most_bad_percent=39)).level is Level.WARNING
