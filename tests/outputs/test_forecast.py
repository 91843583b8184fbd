"""What a sample says of all rows."""

from dataclasses import replace
from pathlib import Path

import pytest

from batchjobs.checkpoint import Checkpoint
from batchjobs.checkpoint.checks import CheckRecord, CheckVerdict
from batchjobs.checkpoint.records import to_json
from batchjobs.jobs import Status
from batchjobs.outputs.forecast import Forecast, estimate_share, make_forecast
from batchjobs.planning.plan import Action
from tests.builders import (
    HOSTED,
    adopt,
    make_evidence,
    make_failed_record,
    make_file,
    make_job,
    make_record,
    make_row,
)

PRICED = replace(HOSTED, tts_price_per_million_characters=1_000_000.0, currency="USD")
"""A dollar for each character."""


def _forecast(
    folder: Path,
    *,
    costs: list[float],
    left: int,
    suspect: int = 0,
    failed: int = 0,
    found_bad: int = 0,
) -> Forecast:
    """Judge rows of ten characters each, of which some are done, each at its cost."""
    rows = [
        make_row(
            number,
            provider="munsit",
            action=Action.NEW if number <= len(costs) else Action.LATER,
            job=to_json(make_job(f"r{number}", "x" * 10)),
        )
        for number in range(1, len(costs) + left + 1)
    ]
    records = [
        make_record(
            number,
            provider="munsit",
            status=Status.SUSPECT if number <= suspect else Status.DONE,
            files=(make_file(f"audio/r{number}.wav", sha256=f"s{number}"),),
            cost=cost,
            finished_at=100.0 + 2 * (number // 4),
            evidence=make_evidence(session_seconds=2.0),
        )
        for number, cost in enumerate(costs, 1)
    ]
    records[:failed] = [
        make_failed_record(number, provider="munsit", cost=10.0) for number in range(1, failed + 1)
    ]
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, *rows)
        checkpoint.commit(records=records)
        checkpoint.keep_checks(
            [
                CheckRecord(id=each.id, sha256=each.files[0].sha256, verdict=CheckVerdict.BAD)
                for each in records[len(records) - found_bad :]
            ]
        )
        return make_forecast(checkpoint, {"munsit": PRICED})


def test_rows_that_are_all_alike_leave_no_doubt(tmp_path: Path) -> None:
    """Ten of a hundred at their price: all cost ten times as much, and speak ten times as long."""
    found = _forecast(tmp_path, costs=[10.0] * 10, left=90)
    assert (found.sampled, found.left, found.currency) == (10, 90, "USD")
    assert found.cost == pytest.approx((1_000.0, 1_000.0, 1_000.0))
    assert found.speech_seconds == pytest.approx((150.0, 150.0, 150.0))


def test_what_retries_cost_is_foreseen_with_its_doubt(tmp_path: Path) -> None:
    """Two of ten were bought twice: so will a fifth of the rest, more or less."""
    found = _forecast(tmp_path, costs=[10.0] * 8 + [20.0] * 2, left=90)
    assert found.cost is not None
    low, likely, high = found.cost
    assert likely == pytest.approx(120 + 900 * 1.2)
    assert 120 < low < likely < high < 120 + 2 * 900
    assert likely - low == pytest.approx(high - likely)


def test_time_is_told_by_how_many_sessions_were_open(tmp_path: Path) -> None:
    """Sessions of two seconds, four at once: ninety more take forty-five seconds, as seen."""
    found = _forecast(tmp_path, costs=[10.0] * 11, left=88)
    assert found.work_seconds is not None
    worked, elapsed = 11 * 2.0, 3 * 2.0
    assert found.work_seconds == pytest.approx(88 * 2.0 / (worked / elapsed))


def test_bad_are_those_in_doubt_failed_or_found_so(tmp_path: Path) -> None:
    """A check that calls a finished clip bad counts as much as a doubt of the run's own."""
    found = _forecast(tmp_path, costs=[10.0] * 20, left=80, suspect=3, failed=1, found_bad=2)
    assert found.bad == 3 + 2
    assert found.bad_share.likely == pytest.approx(0.25)
    assert 0.1 < found.bad_share.low < 0.25 < found.bad_share.high < 0.5


def test_nothing_done_says_nothing(tmp_path: Path) -> None:
    """Without a sample every share and price is possible."""
    found = _forecast(tmp_path, costs=[], left=10)
    assert found.bad_share == (0.0, 0.0, 1.0)
    assert found.cost is not None
    assert found.cost.high == float("inf")
    assert found.work_seconds is None


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (1, 10, 0.0179, 0.4042),
        (50, 100, 0.4038, 0.5962),
        (10, 10, 0.7225, 1.0),
    ],
)
def test_shares_have_wilsons_interval(count: int, of: int, low: float, high: float) -> None:
    """Values of the published interval (Wilson 1927), which holds for none and for all, too."""
    found = estimate_share(count, of)
    assert found == pytest.approx((low, count / of, high), abs=1e-4)
