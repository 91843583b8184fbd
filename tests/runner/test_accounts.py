"""Several accounts with one provider: sessions go where room is, and around whatever is refused."""

import itertools
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import BudgetReachedError, KeyRefusedError, ServiceUnavailableError
from batchjobs.jobs import Job
from batchjobs.limits import Budget, Price
from batchjobs.options import Options
from batchjobs.progress import (
    AccountLeft,
    Event,
    JobFinished,
    LimitReached,
    ServiceBack,
    ServiceLost,
    SlowedDown,
)
from batchjobs.runner import Runner, recordings
from batchjobs.runner.service import OwnLimits
from tests.runner.runs import (
    OPTIONS,
    QUICK,
    TEXT,
    Keyed,
    answer,
    fails_with,
    job,
    jobs,
    obeys,
    query_database,
    run_rows,
)
from tests.streams import Peer, Talk, answers

pytestmark = pytest.mark.usefixtures("standing_clock")

WIDE = replace(OPTIONS, concurrency=0)
REFUSED = answers(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")


def counting(counts: Counter[str], name: str, talk: Talk = obeys) -> Talk:
    """Make a service that counts who is served."""

    async def talks(peer: Peer) -> None:
        counts[name] += 1
        await talk(peer)

    return talks


def with_room(most: int, talk: Talk = obeys) -> Talk:
    """Make a service that has room for so many sessions, and throttles others; each takes a second."""
    open_now = 0

    async def talks(peer: Peer) -> None:
        nonlocal open_now
        if open_now >= most:
            await fails_with(peer, 42901)
            return
        open_now += 1
        try:
            await answer(peer)
            await trio.sleep(1.0)
            await peer.until_asked_to_close()
            await peer.connection.aclose(1000)
        finally:
            open_now -= 1

    return talks


async def refuses(peer: Peer) -> None:
    """Refuse the key in a message."""
    await peer.get()
    await peer.send({"type": "error", "errorCode": 40101, "errorMessage": "bad key"})
    await peer.connection.aclose(1008)


def accounts_of(folder: Path) -> Counter[tuple[str, str]]:
    """Count the ledger's attempts by account and result."""
    with Checkpoint.open(folder) as checkpoint:
        query = "SELECT account, result, count(*) FROM attempts GROUP BY 1, 2"
        return Counter({(a, r): n for a, r, n in query_database(checkpoint, query)})


async def test_of_three_keys_one_is_refused_and_one_throttled(tmp_path: Path) -> None:
    """All jobs are done: the refused one leaves and is told, the throttled one does less."""
    accounts = {
        "A": Keyed(raw=REFUSED),
        "B": Keyed(with_room(2)),
        "C": Keyed(with_room(100)),
    }
    run = await run_rows(tmp_path, jobs(120), accounts=accounts, run_options=WIDE)
    assert run.end.error is None
    assert run.statuses == {"done": 120}
    (left,) = run.of(AccountLeft)
    assert (left.provider, left.account) == ("quick", "A")
    assert "401" in left.message
    assert {slowed.account for slowed in run.of(SlowedDown)} == {"B"}
    done = accounts_of(tmp_path)
    assert done["A", "refused"] == 1
    assert 0 < done["B", "done"] < done["C", "done"]
    assert all(record.attempts == 1 for record in run.records.values())


@pytest.mark.parametrize("code", [40101, 40301, 40201])
async def test_a_key_that_is_refused_in_mid_run_costs_its_jobs_no_attempt(
    code: int, tmp_path: Path
) -> None:
    """Whatever was open with it goes on with the others, and it takes nothing more."""
    number = itertools.count(1)
    counts: Counter[str] = Counter()

    async def revoked(peer: Peer) -> None:
        if next(number) > 5:
            await fails_with(peer, code)
            return
        await obeys(peer)

    accounts = {"A": Keyed(counting(counts, "A", revoked)), "B": Keyed(counting(counts, "B"))}
    run = await run_rows(tmp_path, jobs(60), accounts=accounts)
    assert run.end.error is None
    assert run.statuses == {"done": 60}
    assert len(run.of(AccountLeft)) == 1
    assert counts["A"] <= 5 + 4  # those that were open beside it
    assert all(record.attempts == 1 for record in run.records.values())


async def test_with_no_account_left_the_run_ends_as_with_one(tmp_path: Path) -> None:
    """The last one's refusal ends it, and says whose it was; nothing is recorded as failed."""
    accounts = {"A": Keyed(raw=REFUSED), "B": Keyed(refuses)}
    run = await run_rows(tmp_path, jobs(20), accounts=accounts)
    assert isinstance(run.end.error, KeyRefusedError)
    assert run.end.error.exit_code == 77
    assert run.end.error.message.startswith("B: ")
    assert not run.records
    assert [result for _, result, _, _ in run.attempts] == ["refused", "refused"]
    assert len(run.of(AccountLeft)) == 1

    async def poor(peer: Peer) -> None:
        await fails_with(peer, 40201)

    run = await run_rows(tmp_path, jobs(20), accounts={"A": Keyed(raw=REFUSED), "B": Keyed(poor)})
    assert isinstance(run.end.error, ServiceUnavailableError)


async def test_an_account_out_of_reach_is_gone_around_and_looked_for(tmp_path: Path) -> None:
    """Its jobs lose no attempt, and it takes sessions again when it is back."""
    counts: Counter[str] = Counter()
    away = 0

    async def goes_away(peer: Peer) -> None:
        nonlocal away
        counts["A"] += 1
        await obeys(peer)

    accounts = {"A": Keyed(goes_away), "B": Keyed(counting(counts, "B", with_room(4)))}
    reach = accounts["A"].make_endpoint

    def make(nursery: trio.Nursery, provider: Any, name: str) -> Any:
        endpoint = reach(nursery, provider, name)
        dial = endpoint.dial

        async def dials(host: str, port: int, context: Any) -> trio.abc.Stream:
            nonlocal away
            if 5 < counts["A"] + away <= 14:
                away += 1
                raise ConnectionRefusedError(111, "Connection refused")
            return await dial(host, port, context)

        endpoint.dial = dials
        return endpoint

    accounts["A"].make_endpoint = make  # type: ignore[method-assign]
    run = await run_rows(tmp_path, jobs(400), accounts=accounts, patience=600.0)
    assert run.end.error is None
    assert run.statuses == {"done": 400}
    assert [lost.account for lost in run.of(ServiceLost)] == ["A"]
    assert [back.account for back in run.of(ServiceBack)] == ["A"]
    assert away >= 5
    assert counts["A"] > 10
    # Those that went on before it was clear that it is away.
    assert sum(record.attempts for record in run.records.values()) <= 400 + 4


async def test_an_account_that_was_never_there_fails_no_job(tmp_path: Path) -> None:
    """Another one works: what cannot be reached is the account's fault alone."""

    async def dial(*_: object) -> trio.abc.Stream:
        raise ConnectionRefusedError(111, "Connection refused")

    accounts = {"A": Keyed(dial=dial), "B": Keyed()}
    run = await run_rows(tmp_path, jobs(50), accounts=accounts)
    assert run.end.error is None
    assert run.statuses == {"done": 50}
    elsewhere = answers(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    accounts = {"A": Keyed(raw=elsewhere), "B": Keyed()}
    run = await run_rows(tmp_path / "404", jobs(50), accounts=accounts)
    assert run.end.error is None
    assert run.statuses == {"done": 50}


async def test_sessions_go_where_most_room_is_and_in_turn(tmp_path: Path) -> None:
    """Equal accounts do equal shares, and a limit over all of them is kept."""
    counts: Counter[str] = Counter()
    most = open_now = 0

    def slow(name: str) -> Talk:
        async def talks(peer: Peer) -> None:
            nonlocal most, open_now
            counts[name] += 1
            open_now += 1
            most = max(most, open_now)
            await answer(peer)
            await trio.sleep(1.0)
            await peer.until_asked_to_close()
            open_now -= 1
            await peer.connection.aclose(1000)

        return talks

    accounts = {name: Keyed(slow(name)) for name in "ABC"}
    run = await run_rows(tmp_path, jobs(90), accounts=accounts, run_options=Options(concurrency=6))
    assert run.statuses == {"done": 90}
    assert most == 6
    assert max(counts.values()) - min(counts.values()) <= 3


async def test_an_account_s_own_limit_is_kept(tmp_path: Path) -> None:
    """However many the others may have."""
    most: Counter[str] = Counter()
    open_now: Counter[str] = Counter()

    def slow(name: str) -> Talk:
        async def talks(peer: Peer) -> None:
            open_now[name] += 1
            most[name] = max(most[name], open_now[name])
            await answer(peer)
            await trio.sleep(1.0)
            await peer.until_asked_to_close()
            open_now[name] -= 1
            await peer.connection.aclose(1000)

        return talks

    accounts = {
        "A": Keyed(slow("A"), own=OwnLimits(concurrency=2)),
        "B": Keyed(slow("B"), own=OwnLimits(concurrency=5)),
    }
    run = await run_rows(tmp_path, jobs(60), accounts=accounts, run_options=WIDE)
    assert run.statuses == {"done": 60}
    assert most == {"A": 2, "B": 5}


def cost_of(name: str) -> float:
    """What a row costs: one for a character."""
    return float(len(f"{TEXT} {name}"))


@pytest.mark.parametrize("code", [None, 50001])
async def test_an_account_s_budget_is_exact(code: int | None, tmp_path: Path) -> None:
    """However many sessions are open, and whatever fails: the others go on, and then it is over."""
    each = cost_of("000")
    number = itertools.count(1)

    async def fails_now_and_then(peer: Peer) -> None:
        if code is not None and next(number) % 7 == 0:
            await fails_with(peer, code)
        else:
            await obeys(peer)

    budgets = {"A": Budget(money=10 * each), "B": Budget(money=5.5 * each)}
    accounts = {
        name: Keyed(fails_now_and_then, own=OwnLimits(budget=budget))
        for name, budget in budgets.items()
    }
    run = await run_rows(tmp_path, jobs(40), accounts=accounts)
    assert isinstance(run.end.error, BudgetReachedError)
    assert run.end.error.exit_code == 80
    assert "no other account" in run.end.error.message
    assert budgets["A"].spent.money == pytest.approx(10 * each)
    assert budgets["B"].spent.money == pytest.approx(5 * each)
    assert len(run.of(AccountLeft)) == 2
    assert len(run.of(LimitReached)) == 1
    sent = sum(characters for *_, characters in run.attempts)
    assert sent == 15 * each
    if code is None:
        assert run.statuses == {"done": 15}


async def test_an_account_without_a_limit_does_what_is_left(tmp_path: Path) -> None:
    """One whose budget is spent is told, and nothing else changes."""
    budget = Budget(money=3 * cost_of("000"), spent=Price(money=cost_of("000")))
    accounts = {"A": Keyed(own=OwnLimits(budget=budget)), "B": Keyed()}
    run = await run_rows(tmp_path, jobs(30), accounts=accounts)
    assert run.end.error is None
    assert run.statuses == {"done": 30}
    assert accounts_of(tmp_path) == {("A", "done"): 2, ("B", "done"): 28}
    (left,) = run.of(AccountLeft)
    assert (left.account, left.message) == (
        "A",
        f"the budget of A, {3 * cost_of('000'):g}, has no room left",
    )


async def test_what_limits_the_run_limits_all_accounts(tmp_path: Path) -> None:
    """The budget of the folder is one, and exact."""
    each = cost_of("000")
    accounts = {name: Keyed(own=OwnLimits(budget=Budget(money=6 * each))) for name in "ABC"}
    run = await run_rows(tmp_path, jobs(40), accounts=accounts, budget=Budget(money=9 * each))
    assert isinstance(run.end.error, BudgetReachedError)
    assert run.statuses == {"done": 9}


async def test_one_account_is_as_none_was_named(tmp_path: Path) -> None:
    """No event names it, and what ends the run is said as ever."""
    run = await run_rows(tmp_path, jobs(4), refuses)
    assert isinstance(run.end.error, KeyRefusedError)
    assert "quick" not in run.end.error.message
    assert not run.of(AccountLeft)
    run = await run_rows(tmp_path, jobs(8), with_room(1))
    assert {slowed.account for slowed in run.of(SlowedDown)} == {""}


async def test_a_pause_that_one_asks_for_holds_up_no_other(tmp_path: Path) -> None:
    """Its job goes to another account, and it is let alone for as long as it asked."""
    counts: Counter[str] = Counter()
    busy = answers(
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 600\r\nContent-Length: 0\r\n\r\n"
    )
    accounts = {"A": Keyed(raw=busy), "B": Keyed(counting(counts, "B"))}
    began = trio.current_time()
    run = await run_rows(tmp_path, jobs(30), accounts=accounts)
    assert run.statuses == {"done": 30}
    assert trio.current_time() - began < 60
    assert counts["B"] == 30


async def test_results_have_the_same_keys_whoever_made_them(tmp_path: Path) -> None:
    """A folder goes on with other accounts, and buys nothing again."""
    await run_rows(tmp_path, jobs(6), accounts={"A": Keyed(), "B": Keyed()})
    run = await run_rows(tmp_path, jobs(9), accounts={"C": Keyed(), "D": Keyed()})
    assert run.statuses == {"done": 9}
    assert len(run.attempts) == 9
    run = await run_rows(tmp_path, [*jobs(9), job("x")])
    assert len(run.attempts) == 10


async def test_a_concurrency_that_is_set_while_it_runs_is_of_all(tmp_path: Path) -> None:
    """As `ctl set concurrency=` does: the accounts share it."""
    accounts = {name: Keyed(with_room(100)) for name in "AB"}
    seen: list[int] = []

    async def during(runner: Runner) -> None:
        state = runner._state
        await trio.sleep(5.0)
        state.change(replace(state.options, concurrency=3))
        await trio.sleep(2.5)
        for _ in range(10):
            seen.append(state.sessions_open)
            await trio.sleep(0.5)
        state.change(replace(state.options, concurrency=8))
        await trio.sleep(2.0)
        seen.append(state.sessions_open)

    run = await run_rows(
        tmp_path, jobs(120), accounts=accounts, run_options=Options(concurrency=8), during=during
    )
    assert run.statuses == {"done": 120}
    assert max(seen[:-1]) == 3
    assert seen[-1] > 3


def two_providers() -> list[Job]:
    """Make rows of one provider with accounts, and of another, by turns."""
    names = [f"{number:03}" for number in range(20)]
    pairs = [(job(name), job(f"other-{name}", provider="other")) for name in names]
    return list(itertools.chain.from_iterable(pairs))


async def test_what_stands_in_line_for_spent_accounts_is_left(tmp_path: Path) -> None:
    """The other provider's rows are done, and the run comes to its end."""
    accounts = {
        name: Keyed(with_room(9), own=OwnLimits(budget=Budget(money=3 * cost_of("000"))))
        for name in "AB"
    }
    others = {"other": (replace(QUICK, name="other"), obeys)}
    run = await run_rows(tmp_path, two_providers(), accounts=accounts, others=others)
    assert isinstance(run.end.error, BudgetReachedError)
    assert run.statuses == {"done": 6 + 20}


async def test_money_that_is_set_aside_holds_up_no_other_provider(tmp_path: Path) -> None:
    """What may fit once a session is settled waits in line, and lets others by."""
    done_at: dict[str, float] = {}

    async def slow(peer: Peer) -> None:
        await answer(peer)
        await trio.sleep(4.0)
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    def observe(event: Event) -> None:
        if isinstance(event, JobFinished):
            done_at[event.record.id] = trio.current_time() - began

    began = trio.current_time()
    budget = Budget(money=2.5 * cost_of("000"))
    run = await run_rows(
        tmp_path,
        two_providers(),
        accounts={"A": Keyed(slow, own=OwnLimits(budget=budget))},
        others={"other": (replace(QUICK, name="other"), obeys)},
        observe=observe,
    )
    assert isinstance(run.end.error, BudgetReachedError)
    assert run.statuses == {"done": 2 + 20}
    assert max(at for name, at in done_at.items() if name.startswith("other")) < 3


async def test_a_slot_with_an_account_that_is_left_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording may take a while to come: a key that was refused by then is not asked again."""
    counts: Counter[str] = Counter()
    waits = itertools.count()

    async def fetch(_run: object, audio: str, _held: object) -> str:
        await trio.sleep(next(waits))
        return audio

    async def revoked(peer: Peer) -> None:
        await (obeys(peer) if counts["A"] == 1 else fails_with(peer, 40101))

    monkeypatch.setattr(recordings, "fetch", fetch)
    accounts = {"A": Keyed(counting(counts, "A", revoked)), "B": Keyed(counting(counts, "B"))}
    run = await run_rows(tmp_path, jobs(8), accounts=accounts, patience=300.0)
    assert run.end.error is None
    assert run.statuses == {"done": 8}
    assert counts == {"A": 2, "B": 7}
    assert all(record.attempts == 1 for record in run.records.values())


async def test_another_budget_of_the_run_hides_no_spent_accounts(tmp_path: Path) -> None:
    """As `ctl set budget=` does: rows that no account has money for are left, and that is said."""

    async def during(runner: Runner) -> None:
        state = runner._state
        with state.hold_open():
            await trio.sleep(10.0)
            state.change(replace(state.options, budget=1_000_000.0))
            await trio.sleep(10.0)

    accounts = {"A": Keyed(own=OwnLimits(budget=Budget(money=3 * cost_of("000"))))}
    run = await run_rows(tmp_path, jobs(9), accounts=accounts, during=during, patience=60.0)
    assert run.statuses == {"done": 3}
    assert isinstance(run.end.error, BudgetReachedError)
    assert "the budget of A" in run.end.error.message


def test_money_without_an_end_is_no_limit() -> None:
    """What is compared with it is never too much."""
    assert OwnLimits().budget is None
    assert Budget().limits[0] == math.inf
    assert QUICK.every_account[0].shown == QUICK.key_variable
