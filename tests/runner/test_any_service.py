"""Whatever the service does, every row has its answer."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.clocks import make_clock
from tests.runner.runs import OPTIONS, TEXT, RunOutcome, job, run_rows, sometimes

# Deadlines of a few seconds and a disk in threads: on the machine's own clock it would depend on it.
pytestmark = pytest.mark.usefixtures("standing_clock")

FAULTS = [None, "hang up", "silence", 50001, 40001, 42901, "50202", "first"]


@pytest.mark.unmeasured
@given(
    steps=st.dictionaries(
        st.integers(0, 11), st.lists(st.sampled_from(FAULTS[1:7]), max_size=5), max_size=12
    ),
    concurrency=st.integers(1, 6),
    equal=st.sets(st.integers(0, 11), max_size=4),
)
@settings(
    max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)
def test_every_row_has_its_answer_whatever_the_service_does(
    steps: dict[int, list[Any]], concurrency: int, equal: set[int]
) -> None:
    """Done, suspect and failed add up to all rows, each as its script says; no attempt stays open."""
    script = {f"{number:03}": list(codes) for number, codes in steps.items()}
    rows = [job(f"e{n}", f"{TEXT} 000") if n in equal else job(f"{n:03}") for n in range(12)]

    async def main() -> RunOutcome:
        with tempfile.TemporaryDirectory() as folder:
            return await run_rows(
                Path(folder),
                rows,
                sometimes(script),
                run_options=replace(OPTIONS, concurrency=concurrency),
            )

    with make_clock() as clock:
        run = trio.run(main, clock=clock)
    assert run.end.error is None
    assert sum(run.statuses.values()) == 12
    assert run.open_attempts == 0
    assert run.service.most_open <= concurrency
    for number in set(range(12)) - equal:
        expected = _verdict(steps.get(number, []))
        if number or not equal:
            assert str(run.records[f"{number:03}"].status) == expected


def _verdict(codes: list[Any]) -> str:
    """Say what a job comes to that meets these faults, with three attempts."""
    failures, silences = 0, 0
    for code in codes:
        failures += code != 42901
        silences += code == "silence"
        if silences == 2:  # the same twice: a third would say no more
            return "suspect"
        if failures == 3 or code == 40001:
            return "suspect" if silences else "failed"
    return "done"
