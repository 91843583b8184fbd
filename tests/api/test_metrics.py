"""How a run stands, as Prometheus' own reader takes it."""

from pathlib import Path
from typing import Any

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

import batchjobs
from batchjobs.api.metrics import to_prometheus, write_metrics
from batchjobs.limits import Price
from batchjobs.planning.plan import Action, Plan, Work
from batchjobs.runner.requests import AccountState, RunFacts, ServiceState

FOLDER = '/محاضرات/"ليلى"\\n\nb'


def make_facts(**changes: Any) -> RunFacts:
    """Say how a run stands that has much to tell."""
    values: dict[str, Any] = {
        "state": "paused",
        "paused_since": 1.0,
        "folder": FOLDER,
        "pid": 1,
        "began_at": 1_700_000_000.5,
        "sessions_open": 3,
        "done": 1_000_000,
        "suspect": 1,
        "failed": 2,
        "waiting": 4,
        "settings": {},
        "spent": Price(money=12.25, characters=123_456_789, audio_seconds=0.5),
        "limit_reached": "",
        "services": [
            ServiceState(provider="munsit", sessions_open=3, concurrency=8, most=8),
            ServiceState(
                provider="two",
                sessions_open=2,
                concurrency=5,
                most=9,
                accounts=[
                    AccountState(account="KEY_1", sessions_open=2, concurrency=5),
                    AccountState(account="KEY_2", sessions_open=0, concurrency=0, has_left=True),
                ],
            ),
            ServiceState(
                provider='a "b"', sessions_open=0, concurrency=1, most=9, is_out_of_reach=True
            ),
        ],
    }
    return RunFacts(**values | changes)


def read(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """Read it as Prometheus does: by name, by the values of the labels other than the run."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("run") == FOLDER
            found.setdefault(sample.name, {})[tuple(labels.values())] = sample.value
    return found


def make_plan() -> Plan:
    """Make a plan whose sums nobody looks at."""
    by_action = {action: Work() for action in Action} | {Action.NEW: Work(rows=7)}
    return Plan(rows=2_000_000, by_action=by_action, to_buy=Work(), cost_by_currency={})


def test_prometheus_reads_what_was_meant() -> None:
    """Quotes, backslashes, line breaks and Arabic in labels; large numbers to the last digit."""
    found = read(to_prometheus(make_facts(), make_plan(), now=1_700_000_009.0))
    states = found["batchjobs_run_state"]
    assert {state for (state,), value in states.items() if value} == {"paused"}
    assert found["batchjobs_jobs_total"] == {("done",): 1e6, ("suspect",): 1.0, ("failed",): 2.0}
    assert found["batchjobs_rows_to_do"] == {(): 7.0}
    assert found["batchjobs_sent_characters_total"] == {(): 123_456_789.0}
    assert found["batchjobs_sessions_open"] == {("munsit",): 3.0, ("two",): 2.0, ('a "b"',): 0.0}
    reachable = {("munsit",): 1.0, ("two",): 1.0, ('a "b"',): 0.0}
    assert found["batchjobs_service_reachable"] == reachable
    accounts = found["batchjobs_account_sessions_allowed"]
    assert accounts == {("two", "KEY_1"): 5.0, ("two", "KEY_2"): 0.0}
    assert found["batchjobs_written_timestamp_seconds"] == {(): 1_700_000_009.0}
    ended = read(to_prometheus(make_facts(), make_plan(), now=1.0, has_ended=True))
    assert ended["batchjobs_run_state"][("ended",)] == 1.0
    assert ended["batchjobs_run_state"][("paused",)] == 0.0


@pytest.mark.usefixtures("standing_clock")
async def test_the_file_is_written_again_and_again_and_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every five seconds, whole, and with the end; what cannot be written ends nothing, and is told once."""
    path, done = tmp_path / "run.prom", 0

    def find() -> RunFacts:
        nonlocal done
        done += 1
        return make_facts(done=done)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_metrics, path, make_plan(), find)
        await trio.sleep(12.0)
        assert read(path.read_text())["batchjobs_jobs_total"][("done",)] == 3.0
        path.unlink()
        path.mkdir()
        await trio.sleep(12.0)
        path.rmdir()
        nursery.cancel_scope.cancel()
    assert caplog.text.count("the metrics cannot be written: ") == 1
    assert "output" not in caplog.text  # the run's, which is another matter
    last = read(path.read_text())
    assert last["batchjobs_run_state"][("ended",)] == 1.0


def test_a_run_writes_its_metrics(manifest: Path) -> None:
    """By the option, in a whole run."""
    options = batchjobs.Options(engine="tone", metrics=manifest.with_name("run.prom"))
    batchjobs.run(manifest, options).raise_for_status()
    text = manifest.with_name("run.prom").read_text()
    done = [line for line in text.splitlines() if 'result="done"' in line]
    assert done[0].endswith(" 3.0")
