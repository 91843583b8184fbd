"""A run under trouble that lasts: outages, services that fail for ever, budgets that end."""

import errno
import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from batchjobs.errors import BudgetReachedError, ServiceUnavailableError
from batchjobs.limits import Breaker, Budget, HandshakeRefusals, Price, RetryBudget, RetryPolicy
from batchjobs.progress import Event, JobFinished, ServiceBack, ServiceLost
from batchjobs.providers import with_settings
from batchjobs.runner import RunSettings
from tests.clocks import standing
from tests.streams import FaultyStream, Peer, Service, Talk, answers
from tests.test_runner import QUICK, Ran, fails_with, job, jobs, obeys, ran

pytestmark = pytest.mark.usefixtures("standing_clock")

POLICY = RetryPolicy(attempts=2, base_seconds=0.05, limit_seconds=0.1, throttle_seconds=0.05)


def settings(**others: object) -> RunSettings:
    """Four sessions at once, two attempts, little patience, but for what a test says."""
    given: dict[str, object] = {"concurrency": 4, "retries": POLICY, "handles_signals": False}
    return RunSettings(**(given | others))  # type: ignore[arg-type]


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


def run_in_an_outage(folder: Path, outage: Outage, rows: int, **others: object) -> Ran:
    """Run rows while the service goes away, in virtual time."""

    async def body() -> Ran:
        async with trio.open_nursery() as nursery:
            service = Service(nursery, talk=obeys)
            result = await ran(
                folder,
                jobs(rows),
                dial=outage.of(service),
                run_settings=settings(retries=POLICY),
                patience=6_000.0,
                **others,  # type: ignore[arg-type]
            )
            nursery.cancel_scope.cancel()
        return result

    with standing() as clock:
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

    async def body() -> Ran:
        def note(event: Event) -> None:
            if isinstance(event, JobFinished):
                done[event.record.id] = trio.current_time()

        async with trio.open_nursery() as nursery:
            service = Service(nursery, talk=obeys)
            result = await ran(
                tmp_path,
                [job(f"{n:02}", provider="other" if n % 2 else "quick") for n in range(40)],
                dial=outage.of(service),
                others={"other": (replace(QUICK, name="other"), obeys)},
                run_settings=settings(retries=POLICY),
                observe=note,
                patience=6_000.0,
            )
            nursery.cancel_scope.cancel()
        return result

    with standing() as clock:
        result = trio.run(body, clock=clock)
    assert result.statuses == {"done": 40}
    assert outage.began_at is not None
    others = [done[f"{n:02}"] for n in range(1, 40, 2)]
    assert max(others) < outage.began_at + 300.0


def test_a_service_that_stays_away_ends_the_run_with_every_job_untouched(tmp_path: Path) -> None:
    """After the provider's limit the run stops with 69; what is not done has not failed."""
    outage = Outage(after=6, seconds=1e9)
    impatient = with_settings(QUICK, {"outage_limit_seconds": 120.0}, where="test")
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

        run = await ran(tmp_path, jobs(20), dial=dial, observe=note)
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


def fails_by_chance(share: float, seed: int) -> object:
    """Make a service that answers a share of the sessions with 50001."""
    dice = random.Random(seed)

    async def talk(peer: Peer) -> None:
        if dice.random() < share:
            await fails_with(peer, 50001)
        else:
            await obeys(peer)

    return talk


@pytest.mark.unmeasured
@pytest.mark.parametrize("share", [0.3, 1.0])
async def test_a_service_that_fails_for_ever_is_asked_within_the_budget(
    tmp_path: Path, share: float
) -> None:
    """Done and failed are all the rows, and there are at most 100 retries and one more a job."""
    policy = RetryPolicy(attempts=10, base_seconds=0.001, limit_seconds=0.002)
    result = await ran(
        tmp_path,
        jobs(60),
        fails_by_chance(share, seed=3),  # type: ignore[arg-type]
        run_settings=settings(retries=policy, concurrency=8),
    )
    assert result.end.error is None
    assert sum(result.statuses.values()) == 60
    assert len(result.attempts) <= 60 + 100 + 60
    assert all(record.is_passing for record in result.records.values() if record.error_class)
    if share == 1.0:
        assert len(result.attempts) > 100


def fails_everywhere(share: float, seed: int) -> tuple[Talk, Callable[[Service], object]]:
    """Make a service that fails a share of the sessions: by code, by close, or in the handshake."""
    dice = random.Random(seed)
    unavailable = answers(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    async def talk(peer: Peer) -> None:
        if dice.random() >= share:
            await obeys(peer)
        elif dice.random() < 0.5:
            await fails_with(peer, 50001)
        else:
            await peer.begin()
            await peer.connection.aclose(1011)

    def of(service: Service) -> object:
        broken = Service(service.nursery, raw=unavailable)

        async def dial(host: str, port: int, context: object) -> FaultyStream:
            place = broken if dice.random() < share / 3.0 else service
            return await place.dial(host, port, context)

        return dial

    return talk, of


async def run_against_failures(
    folder: Path, rows: int, share: float, *, seed: int = 5, attempts: int = 5
) -> Ran:
    """Run rows against a service that fails for ever."""
    talk, of = fails_everywhere(share, seed)
    async with trio.open_nursery() as nursery:
        service = Service(nursery, talk=talk)
        result = await ran(
            folder,
            jobs(rows),
            dial=of(service),
            run_settings=settings(retries=RetryPolicy(attempts=attempts), concurrency=8),
            patience=1e6,
        )
        nursery.cancel_scope.cancel()
    return result


@pytest.mark.unmeasured
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
async def test_failures_of_every_kind_for_ever_come_to_an_end(
    share: float, tmp_path: Path, standing_clock: object
) -> None:
    """5xx by code, by close and in the handshake: every row has its answer, within the budget."""
    rows = 150
    result = await run_against_failures(tmp_path, rows, share, attempts=8)
    assert result.end.error is None
    assert sum(result.statuses.values()) == rows
    charged = sum(record.attempts for record in result.records.values())
    # What failed in an outage counts for nothing; a retry may begin before it is known to be none.
    assert charged <= rows + 100 + rows + 8
    assert len(result.attempts) == charged or result.of(ServiceLost)
    if share == 0.3:
        assert result.statuses["done"] >= 0.97 * rows


class Unbounded(RetryBudget):
    """A retry budget with a mistake: it never ends."""

    def take(self) -> bool:
        """Give whatever is asked for."""
        return True


async def test_a_refusal_for_want_of_room_brings_no_retry_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job brings one retry to the run's budget, however often it is throttled before it begins."""
    began = 0

    class Counting(RetryBudget):
        def job_began(self) -> None:
            nonlocal began
            began += 1
            super().job_began()

    monkeypatch.setattr("batchjobs.runner.state.RetryBudget", Counting)
    sessions = itertools.count()

    async def throttles(peer: Peer) -> None:
        await (fails_with(peer, 42901) if next(sessions) < 12 else obeys(peer))

    result = await ran(tmp_path, jobs(5), throttles, run_settings=settings())
    assert result.statuses == {"done": 5}
    assert began == 5


@pytest.mark.unmeasured
async def test_retries_without_a_budget_are_caught(
    tmp_path: Path, standing_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count of attempts can fail: without the budget there are too many."""
    monkeypatch.setattr("batchjobs.runner.state.RetryBudget", Unbounded)
    result = await run_against_failures(tmp_path, 100, 0.95, attempts=8)
    assert sum(record.attempts for record in result.records.values()) > 100 + 100 + 100 + 8


class Unforgiving(Breaker):
    """A breaker with a mistake: an outage is held against the jobs."""

    def excuses(self, failed_at: float) -> bool:
        """Excuse nothing."""
        return False


def test_an_outage_that_costs_attempts_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of an outage can fail: held against them, it uses up jobs of two attempts."""
    monkeypatch.setattr("batchjobs.runner.state.Breaker", Unforgiving)
    result = run_in_an_outage(tmp_path, Outage(after=6, seconds=600.0), 20)
    assert result.statuses["failed"] > 0


class Hasty(Breaker):
    """A breaker with a mistake: it never opens."""

    @property
    def is_open(self) -> bool:
        """Let everybody try."""
        return False


@pytest.mark.unmeasured
def test_an_outage_that_everybody_probes_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count of probes can fail: without a breaker there are too many."""
    monkeypatch.setattr("batchjobs.runner.state.Breaker", Hasty)
    outage = Outage(after=6, seconds=10.0)
    run_in_an_outage(tmp_path, outage, 20)
    assert outage.refused > 30 + 4


@pytest.mark.unmeasured
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("concurrency", [1, 3, 16])
async def test_a_budget_is_never_exceeded_at_any_concurrency(
    tmp_path: Path, concurrency: int, seed: int
) -> None:
    """Whatever fails and is sent again, the ledger never shows more than the budget."""
    texts = ["مرحبا بكم جميعا", "Hello to everybody who is here today", "نعم"]
    rows = [job(f"{n:03}", f"{texts[n % 3]} {n}") for n in range(40)]
    limit = 400
    policy = RetryPolicy(attempts=6, base_seconds=0.001, limit_seconds=0.002)
    result = await ran(
        tmp_path,
        rows,
        fails_by_chance(0.3, seed),  # type: ignore[arg-type]
        run_settings=settings(
            retries=policy, concurrency=concurrency, budget=Budget(characters=limit)
        ),
    )
    sent = sum(characters for *_, characters in result.attempts)
    assert sent <= limit
    assert sent > limit / 2
    assert isinstance(result.end.error, BudgetReachedError)
    assert result.end.error.exit_code == 80


async def test_a_budget_that_suffices_is_no_reason_to_stop(tmp_path: Path) -> None:
    """What fits exactly is done, also if it takes turns to fit."""
    rows = jobs(8)
    whole = sum(len(row.text) for row in rows)
    result = await ran(
        tmp_path, rows, run_settings=settings(concurrency=8, budget=Budget(characters=whole))
    )
    assert result.end.error is None
    assert result.statuses == {"done": 8}


class SettledOnlyAfter(Budget):
    """A budget with a mistake: it counts what was spent, and forgets what is promised."""

    def reserve(self, price: Price) -> bool:
        """Look at what is spent only."""
        if self.spent.characters + price.characters > self.limit_characters:
            return False
        return super().reserve(Price())

    def settle(self, reserved: Price, actual: Price) -> None:
        """Count what a session has cost."""
        assert reserved.characters > 0
        super().settle(Price(), actual)

    limit_characters = 400


async def test_a_budget_that_is_settled_only_after_is_caught(tmp_path: Path) -> None:
    """The check of the ledger can fail: with that mistake it shows more than the budget."""
    rows = [job(f"{n:03}", f"Hello to everybody who is here today {n}") for n in range(40)]
    result = await ran(
        tmp_path,
        rows,
        run_settings=settings(concurrency=16, budget=SettledOnlyAfter(characters=400)),
    )
    assert sum(characters for *_, characters in result.attempts) > SettledOnlyAfter.limit_characters
