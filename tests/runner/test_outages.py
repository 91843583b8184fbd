"""Outages cost no job an attempt, and end a run that has no one to wait for."""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from batchjobs.errors import ServiceUnavailableError
from batchjobs.limits import Breaker, HandshakeRefusals
from batchjobs.progress import Event, JobFinished, ServiceBack, ServiceLost
from batchjobs.providers import change_provider
from tests.clocks import make_clock
from tests.runner.runs import QUICK, RunOutcome, job, jobs, obeys, run_rows
from tests.runner.trouble import POLICY, make_trouble
from tests.streams import FaultyStream, Service, answers

pytestmark = pytest.mark.usefixtures("standing_clock")


class Outage:
    """Dials a service that cannot be reached for a while, counting the tries."""

    def __init__(self, after: int, seconds: float) -> None:
        self.after, self.seconds = after, seconds
        self.dials = self.refused = 0
        self.began_at: float | None = None

    def of(self, service: Service) -> object:
        """Give the way to dial."""

        async def dial(host: str, port: int, context: object) -> FaultyStream:
            self.dials += 1
            if self.dials > self.after and self.began_at is None:
                self.began_at = trio.current_time()
            if self.began_at is not None and trio.current_time() < self.began_at + self.seconds:
                self.refused += 1
                raise OSError(errno.ECONNREFUSED, "connection refused")
            return await service.dial(host, port, context)

        return dial


def run_in_an_outage(folder: Path, outage: Outage, rows: int, **others: Any) -> RunOutcome:
    """Run rows while the service goes away, in virtual time."""

    async def body() -> RunOutcome:
        async with trio.open_nursery() as nursery:
            service = Service(nursery, talk=obeys)
            result = await run_rows(
                folder,
                jobs(rows),
                dial=outage.of(service),
                **make_trouble(retries=POLICY),
                patience=6_000.0,
                **others,
            )
            nursery.cancel_scope.cancel()
        return result

    with make_clock() as clock:
        return trio.run(body, clock=clock)


def test_a_ten_minute_outage_costs_no_job_an_attempt(tmp_path: Path) -> None:
    """Jobs with two attempts outlive ten minutes of refused connections, at thirty probes at most."""
    outage = Outage(after=6, seconds=600.0)
    result = run_in_an_outage(tmp_path, outage, 20)
    assert result.end.error is None
    assert result.statuses == {"done": 20}
    assert outage.refused <= 30 + 4
    assert [
        type(event) for event in result.events if isinstance(event, ServiceLost | ServiceBack)
    ] == [
        ServiceLost,
        ServiceBack,
    ]


def test_the_outage_of_one_service_does_not_keep_another_waiting(tmp_path: Path) -> None:
    """The rows of both stand by turns; those of the one that is there are done long before."""
    outage = Outage(after=3, seconds=600.0)
    done: dict[str, float] = {}

    async def body() -> RunOutcome:
        def note(event: Event) -> None:
            if isinstance(event, JobFinished):
                done[event.record.id] = trio.current_time()

        async with trio.open_nursery() as nursery:
            service = Service(nursery, talk=obeys)
            result = await run_rows(
                tmp_path,
                [job(f"{n:02}", provider="other" if n % 2 else "quick") for n in range(40)],
                dial=outage.of(service),
                others={"other": (replace(QUICK, name="other"), obeys)},
                **make_trouble(retries=POLICY),
                observe=note,
                patience=6_000.0,
            )
            nursery.cancel_scope.cancel()
        return result

    with make_clock() as clock:
        result = trio.run(body, clock=clock)
    assert result.statuses == {"done": 40}
    assert outage.began_at is not None
    others = [done[f"{n:02}"] for n in range(1, 40, 2)]
    assert max(others) < outage.began_at + 300.0


def test_a_service_that_stays_away_ends_the_run_with_every_job_untouched(tmp_path: Path) -> None:
    """After the provider's limit the run stops with 69; what is not done has not failed."""
    outage = Outage(after=6, seconds=1e9)
    impatient = change_provider(QUICK, {"outage_limit_seconds": 120.0}, where="test")
    result = run_in_an_outage(tmp_path, outage, 20, provider=impatient)
    assert isinstance(result.end.error, ServiceUnavailableError)
    assert result.statuses.keys() == {"done"}
    assert 0 < result.statuses["done"] < 20


@pytest.mark.parametrize("status", [302, 404])
async def test_a_service_that_refuses_every_handshake_at_last_fails_no_job(
    status: int, tmp_path: Path
) -> None:
    """Maintenance that redirects, or answers 404, is an outage: it is waited for."""
    dials = probes = 0
    lost = trio.Event()

    def note(event: Event) -> None:
        if isinstance(event, ServiceLost):
            lost.set()

    refusal = f"HTTP/1.1 {status} No\r\nLocation: ws://x/\r\n\r\n".encode()
    async with trio.open_nursery() as nursery:
        service = Service(nursery, talk=obeys)
        closed = Service(nursery, raw=answers(refusal))

        async def dial(host: str, port: int, context: object) -> FaultyStream:
            nonlocal dials, probes
            dials += 1
            probes += lost.is_set()
            return await (closed if dials > 5 and probes < 3 else service).dial(host, port, context)

        run = await run_rows(tmp_path, jobs(20), dial=dial, observe=note)
        nursery.cancel_scope.cancel()
    assert run.end.error is None
    assert run.statuses == {"done": 20}
    assert len(run.of(ServiceLost)) == 1
    assert len(run.of(ServiceBack)) == 1


def test_handshakes_that_fail_now_and_then_say_nothing_of_room() -> None:
    """One in ten is a poor line; three of the last twenty are a service without room."""
    refusals = HandshakeRefusals()
    assert not any(refusals.add(is_refused=number % 10 == 0) for number in range(200))
    refusals = HandshakeRefusals()
    assert [refusals.add(is_refused=True) for _ in range(6)] == [False, False, True] * 2


class Unforgiving(Breaker):
    """A breaker with a mistake: an outage is held against the jobs."""

    def excuses(self, failed_at: float) -> bool:
        """Excuse nothing."""
        return False


def test_an_outage_that_costs_attempts_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of an outage can fail: held against them, it uses up jobs of two attempts."""
    monkeypatch.setattr("batchjobs.runner.service.Breaker", Unforgiving)
    result = run_in_an_outage(tmp_path, Outage(after=6, seconds=600.0), 20)
    assert result.statuses["failed"] > 0


class Hasty(Breaker):
    """A breaker with a mistake: it never opens."""

    @property
    def is_open(self) -> bool:
        """Let everybody try."""
        return False


def test_an_outage_that_everybody_probes_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count of probes can fail: without a breaker there are too many."""
    monkeypatch.setattr("batchjobs.runner.service.Breaker", Hasty)
    outage = Outage(after=6, seconds=1.0)  # 190 probes, each with its commits
    run_in_an_outage(tmp_path, outage, 20)
    assert outage.refused > 30 + 4
