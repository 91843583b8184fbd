"""A hand on a running run: pause, change, requeue; what was left for want of room goes on."""

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from batchjobs.checkpoint import ORDERS, Checkpoint
from batchjobs.errors import BudgetReachedError, ConfigurationError, UsageError
from batchjobs.limits import Budget
from batchjobs.options import Options
from batchjobs.options.standing import Standing, read_standing
from batchjobs.progress import Event, JobFinished, RunChanged, RunPaused, RunResumed
from batchjobs.runner import Runner, RunState
from batchjobs.runner.control import Control
from batchjobs.runner.requests import Drain, Pause, Reply, Request, Requeue, Resume, Set, Tell
from tests.builders import audio_message, make_start
from tests.runner.books import LONG, PLAN, RUN, SHORT
from tests.runner.runs import (
    OPTIONS,
    RATE,
    RETRIES,
    job,
    jobs,
    obeys,
    run_rows,
    sometimes,
    speech_for,
)
from tests.streams import Peer, Talk
from tests.suspects import shares

pytestmark = pytest.mark.usefixtures("standing_clock")

Asked = Callable[[Request], Awaitable[Reply]]
Script = Callable[[Asked, Runner], Awaitable[None]]


class Desk:
    """Asks a run for what a script says, and sees what sessions there are.

    Args:
        script: Asks; called once the run has begun.
        standing: What was ordered before.
    """

    def __init__(self, script: Script | None = None, standing: Standing | None = None) -> None:
        self._script = script
        self._standing = standing or Standing()

    async def __call__(self, runner: Runner) -> None:
        """Be `during` of a run."""
        run = runner._state
        control = Control(
            run,
            runner,
            standing=self._standing,
            check=self._check,
            encode_limits=lambda options: f"{options.budget}",
        )

        async def ask(request: Request) -> Reply:
            return await control.carry_out(request, asker="the test")

        if self._script is not None:
            await self._script(ask, runner)

    @staticmethod
    def _check(options: Options) -> None:
        if options.budget is not None:
            raise ConfigurationError("--budget cannot add up AED and SAR")


class Line:
    """A service whose sessions last a second, and that counts those that are open."""

    def __init__(self) -> None:
        self.open = self.most = 0
        self.starts: list[tuple[float, int]] = []
        self.texts: list[str] = []

    async def __call__(self, peer: Peer) -> None:
        """Speak one text."""
        self.open += 1
        self.starts.append((trio.current_time(), self.open))
        try:
            await peer.begin()
            text = await peer.text()
            self.texts.append(text)
            await trio.sleep(1.0)
            await peer.send(audio_message(speech_for(text), RATE))
            await peer.until_asked_to_close()
        finally:
            self.open -= 1
        await peer.connection.aclose(1000)


def keys_of(folder: Path) -> dict[str, str]:
    """Read what the checkpoint keeps of the run."""
    with Checkpoint.read(folder) as checkpoint:
        return checkpoint.read_settings()


def bought(run: Any) -> Counter[str]:
    """Count the sessions of each job that led to a result."""
    return Counter(name for name, result, *_ in run.attempts if result == "done")


async def test_no_session_starts_beyond_a_lower_limit_from_that_moment(tmp_path: Path) -> None:
    """From 32 to 4: those that are open end, and never more than four are open after that."""
    line, lowered = Line(), []

    async def script(ask: Asked, _: Runner) -> None:
        await trio.sleep(2.5)
        await ask(Set(values={"concurrency": "4"}))
        lowered.append(trio.current_time())

    options = replace(OPTIONS, concurrency=32)
    run = await run_rows(
        tmp_path, jobs(120), line, run_options=options, during=Desk(script), patience=300.0
    )
    assert run.statuses == {"done": 120}
    before = [number for when, number in line.starts if when < lowered[0]]
    after = [number for when, number in line.starts if when >= lowered[0]]
    assert max(before) == 32
    assert after
    assert max(after) == 4
    assert run.of(RunChanged)[0].message == "concurrency 4 (was 32)"


async def test_a_higher_limit_finds_the_workers_for_it(tmp_path: Path) -> None:
    """Begun with one session, a run that may have forty has forty open."""
    line = Line()

    async def script(ask: Asked, _: Runner) -> None:
        await trio.sleep(2.5)
        await ask(Set(values={"concurrency": "40"}))

    options = replace(OPTIONS, concurrency=1)
    run = await run_rows(
        tmp_path, jobs(100), line, run_options=options, during=Desk(script), patience=300.0
    )
    assert run.statuses == {"done": 100}
    assert max(number for _, number in line.starts) == 40


async def test_a_rate_holds_from_the_moment_that_it_is_set(tmp_path: Path) -> None:
    """Starts are spaced by the new rate, also from the last one before it."""
    line, changed = Line(), []

    async def script(ask: Asked, _: Runner) -> None:
        await trio.sleep(2.5)
        await ask(Set(values={"rate": "2/s"}))
        changed.append(trio.current_time())

    options = replace(OPTIONS, concurrency=8)
    run = await run_rows(
        tmp_path, jobs(30), line, run_options=options, during=Desk(script), patience=300.0
    )
    assert run.statuses == {"done": 30}
    later = [when for when, _ in line.starts if when > changed[0]]
    assert len(later) >= 5
    assert min(b - a for a, b in itertools.pairwise(later)) > 0.45  # a commit's wait


async def test_a_paused_run_starts_nothing_and_waits_for_its_hand(tmp_path: Path) -> None:
    """Open sessions end, none starts for as long as it takes, and then all the rest is done."""
    line, times = Line(), []

    async def script(ask: Asked, _: Runner) -> None:
        await trio.sleep(1.5)
        said = await ask(Pause())
        assert said.run is not None
        assert said.run.state == "paused"
        times.append(trio.current_time())
        await trio.sleep(500.0)
        assert (await ask(Pause())).said == "it is paused already"
        times.append(trio.current_time())
        await ask(Resume())
        assert (await ask(Resume())).said == "it is not paused"

    run = await run_rows(tmp_path, jobs(20), line, during=Desk(script), patience=900.0)
    assert run.statuses == {"done": 20}
    assert not [when for when, _ in line.starts if times[0] <= when < times[1]]
    assert [type(e) for e in run.events if isinstance(e, RunPaused | RunResumed)] == [
        RunPaused,
        RunResumed,
    ]
    assert read_standing(keys_of(tmp_path)[ORDERS]) == Standing()


async def test_a_paused_run_does_not_end_where_nothing_is_left(tmp_path: Path) -> None:
    """It was paused to be looked at; going on is what ends it."""
    line, ended = Line(), []

    async def script(ask: Asked, runner: Runner) -> None:
        await wait_until(lambda: len(line.starts) == 3)
        await ask(Pause())
        await wait_until(lambda: runner._state.answered["done"] == 3)
        await trio.sleep(100.0)
        ended.append(await ask(Resume()))

    run = await run_rows(tmp_path, jobs(3), line, during=Desk(script), patience=300.0)
    assert run.statuses == {"done": 3}
    assert len(ended) == 1


async def wait_until(holds: Callable[[], object]) -> None:
    """Wait in virtual time until something holds that nobody tells of."""
    while not holds():  # noqa: ASYNC110  # nobody tells
        await trio.sleep(0.01)


def slow(seconds: float) -> Talk:
    """Make a service that obeys after a while."""

    async def talk(peer: Peer) -> None:
        await trio.sleep(seconds)
        await obeys(peer)

    return talk


async def test_a_run_that_was_paused_before_begins_paused_and_says_how_to_go_on(
    tmp_path: Path,
) -> None:
    """What stands from an earlier run holds, and is told with the command that ends it."""

    async def script(ask: Asked, _: Runner) -> None:
        await trio.sleep(60.0)
        told = await ask(Tell())
        assert told.run is not None
        assert (told.run.state, told.run.paused_since, told.run.done) == ("paused", 12.0, 0)
        await ask(Resume())

    desk = Desk(script, Standing(paused_since=12.0))
    run = await run_rows(tmp_path, jobs(3), during=desk, patience=200.0)
    assert run.statuses == {"done": 3}
    assert run.of(RunPaused)[0] == RunPaused(since=12.0, folder=str(tmp_path))


async def test_a_drain_ends_a_run_as_sigterm_does_paused_or_not(tmp_path: Path) -> None:
    """Open sessions end, the rest waits for another run, and no order is taken after it."""
    refused = []

    async def script(ask: Asked, _: Runner) -> None:
        await trio.sleep(1.5)
        await ask(Pause())
        await ask(Drain())
        with pytest.raises(UsageError) as caught:
            await ask(Set(values={"concurrency": "9"}))
        refused.append(caught.value.message)

    run = await run_rows(tmp_path, jobs(12), Line(), during=Desk(script), patience=200.0)
    assert run.end.signal_number == 15
    assert run.end.error is None
    assert run.statuses == {"done": 5}
    assert refused == ["the run is about to end, and takes no more orders"]


# -- budgets ---------------------------------------------------------------------------------------


def limited(rows: int) -> tuple[Options, Budget]:
    """Make a limit that has room for so many rows."""
    characters = len(job("000").text) * rows
    options = replace(OPTIONS, max_characters=characters)
    return options, Budget(characters=characters)


@pytest.mark.parametrize("is_paused", [False, True])
async def test_a_run_that_waits_at_its_limit_goes_on_once_that_is_raised(
    tmp_path: Path, *, is_paused: bool
) -> None:
    """Rows that it had no room for are all done, none of them twice, and the run ends well."""
    options, budget = limited(7)
    options = replace(options, at_limit="wait")

    async def script(ask: Asked, runner: Runner) -> None:
        await wait_until(lambda: runner._state.budget_error)
        await trio.sleep(50.0)
        assert runner._state.answered["done"] == 7
        if is_paused:
            await ask(Pause())
        said = await ask(Set(values={"max_characters": "100000"}))
        assert said.run is not None
        assert said.run.state == ("paused" if is_paused else "running")
        await trio.sleep(50.0)
        assert runner._state.answered["done"] == 7 or not is_paused
        if is_paused:
            await ask(Resume())

    run = await run_rows(
        tmp_path,
        jobs(25),
        Line(),
        run_options=options,
        budget=budget,
        during=Desk(script),
        patience=900.0,
    )
    assert run.end.error is None
    assert run.statuses == {"done": 25}
    assert set(bought(run).values()) == {1}
    assert len(run.attempts) == 25


async def test_a_limit_that_is_reached_unpaused_ends_the_run_as_ever(tmp_path: Path) -> None:
    """Nobody asked it to wait."""
    options, budget = limited(7)
    run = await run_rows(
        tmp_path, jobs(25), Line(), run_options=options, budget=budget, during=Desk()
    )
    assert isinstance(run.end.error, BudgetReachedError)
    assert run.statuses == {"done": 7}


@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("when", [0.2, 1.2, 2.2, 4.2])
async def test_equal_rows_are_bought_once_whenever_a_limit_is_raised(
    tmp_path: Path, when: float, concurrency: int
) -> None:
    """Of rows that ask the same, one is bought, also if its turn and theirs had no room at first."""
    texts = [f"مَرْحَبًا بكم جميعًا {n % 6}" for n in range(30)]
    rows = [job(f"{n:03}", text) for n, text in enumerate(texts)]
    limit = len(texts[0]) * 2
    options = replace(OPTIONS, max_characters=limit, concurrency=concurrency, at_limit="wait")
    line = Line()

    async def script(ask: Asked, _: Runner) -> None:
        await trio.sleep(when)
        await ask(Set(values={"max_characters": f"{limit * 2}"}))
        await trio.sleep(when)
        await ask(Set(values={"max_characters": "none"}))

    run = await run_rows(
        tmp_path,
        rows,
        line,
        run_options=options,
        budget=Budget(characters=limit),
        during=Desk(script),
        patience=300.0,
    )
    assert max(Counter(line.texts).values()) == 1
    assert run.statuses == {"done": 30}


async def test_a_limit_raised_among_the_copies_lets_none_buy_before_its_leader(
    tmp_path: Path,
) -> None:
    """What a row was to copy had no room before; it has now, and goes first."""
    texts = [f"مَرْحَبًا بكم جميعًا {n % 6}" for n in range(30)]
    rows = [job(f"{n:03}", text) for n, text in enumerate(texts)]
    limit = len(texts[0]) * 2
    options = replace(OPTIONS, max_characters=limit, concurrency=1)
    states: list[RunState] = []

    async def begin(runner: Runner) -> None:
        states.append(runner._state)

    def raise_limit(event: Event) -> None:
        if isinstance(event, JobFinished) and event.record.copied_from:
            states[0].change(replace(options, max_characters=None))

    line = Line()
    run = await run_rows(
        tmp_path,
        rows,
        line,
        run_options=options,
        budget=Budget(characters=limit),
        during=begin,
        observe=raise_limit,
        patience=300.0,
    )
    assert run.end.error is None
    assert run.statuses == {"done": 30}
    assert max(Counter(line.texts).values()) == 1


async def test_the_segments_of_a_long_job_go_on_once_a_limit_is_raised(tmp_path: Path) -> None:
    """What is there of it is not bought again, and it is put together."""
    options = replace(RUN, max_characters=len(LONG) // 2, at_limit="wait")

    async def script(ask: Asked, runner: Runner) -> None:
        await wait_until(lambda: runner._state.budget_error)
        await trio.sleep(100.0)
        await ask(Set(values={"max-characters": "none"}))

    line = Line()
    run = await run_rows(
        tmp_path,
        [job("book", LONG)],
        line,
        provider=SHORT,
        plan_options=PLAN,
        run_options=options,
        budget=Budget(characters=len(LONG) // 2),
        during=Desk(script),
        patience=900.0,
    )
    assert run.statuses == {"done": 1}
    assert max(Counter(line.texts).values()) == 1


async def test_a_limit_that_cannot_be_kept_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    """Money of two currencies, a setting that there is not, a number that is none."""
    said = []

    async def script(ask: Asked, runner: Runner) -> None:
        for values in ({"budget": "50"}, {"grace": "3"}, {"concurrency": "٠"}, {"rate": "quick"}):
            with pytest.raises((UsageError, ConfigurationError)) as caught:
                await ask(Set(values=values))
            said.append(caught.value.message)
        assert runner._state.options == OPTIONS

    run = await run_rows(tmp_path, jobs(3), slow(2.0), during=Desk(script))
    assert run.statuses == {"done": 3}
    assert said[0] == "--budget cannot add up AED and SAR"
    assert said[1].startswith("there is no setting 'grace'")
    assert ORDERS not in keys_of(tmp_path)


# -- rows that go again ----------------------------------------------------------------------------


async def test_what_failed_goes_again_in_the_same_run(tmp_path: Path) -> None:
    """By its class, with all its attempts, after all others; what is done is not bought again."""
    script = {"002": [40001], "004": [40001]}
    desk = Desk(once_answered(8, Requeue(classes=["permanent"])))
    run = await run_rows(tmp_path, jobs(8), sometimes(script), during=desk, patience=200.0)
    assert run.statuses == {"done": 8}
    assert set(bought(run).values()) == {1}
    told = run.of(RunChanged)[0]
    assert (told.message, told.failed, told.suspect) == ("2 failed jobs go again", 2, 0)
    names = [e.record.id for e in run.of(JobFinished)]
    assert set(names[-2:]) == {"002", "004"}


def once_answered(count: int, *requests: Request) -> Script:
    """Make a script that asks once so many jobs have ended; the run does not end before."""

    async def script(ask: Asked, runner: Runner) -> None:
        with runner._state.hold_open():
            await wait_until(lambda: runner._state.answered.total() >= count)
            for request in requests:
                await ask(request)

    return script


async def test_what_earlier_runs_have_left_failed_or_suspect_goes_again(tmp_path: Path) -> None:
    """The plan has kept it out; by its id it is bought, and a suspect one stays until a better comes."""
    script: dict[str, list[Any]] = {"001": [40001], "003": [40001]}
    first = await run_rows(tmp_path, jobs(4), sometimes(script))
    assert first.statuses == {"done": 2, "failed": 2}
    rows = [*jobs(4), job("new")]
    desk = Desk(once_answered(1, Requeue(ids=["001", "000", "nobody"])))
    run = await run_rows(tmp_path, rows, slow(1.0), during=desk, patience=200.0)
    assert run.statuses == {"done": 4, "failed": 1}
    assert run.records["003"].status == "failed"
    (told,) = run.of(RunChanged)
    assert told.message == (
        "1 failed job goes again; not '000': in line, done, or not to be bought as things are; "
        "there is no job 'nobody'"
    )


async def test_suspects_go_again_and_the_better_is_kept(tmp_path: Path) -> None:
    """All attempts in doubt, then requeued: one that is good takes its place; it was kept until then."""
    script = {"001": [0.4] * 2, "002": [0.4] * 4}  # twice the same: a third says no more
    desk = Desk(once_answered(4, Requeue(classes=["suspect"])))
    run = await run_rows(tmp_path, jobs(4), shares(script), during=desk, patience=200.0)
    assert run.of(RunChanged)[0].suspect == 2
    assert run.statuses == {"done": 3, "suspect": 1}
    assert run.records["001"].status == "done"
    assert run.records["001"].attempts == 1
    assert run.records["002"].audio_seconds > 0


async def test_equal_rows_that_go_again_are_bought_once(tmp_path: Path) -> None:
    """Five rows that ask the same failed together; one session serves them all."""
    rows = [job(f"{n:03}", "السَّلامُ عَلَيْكُم ورحمة الله x") for n in range(5)]
    desk = Desk(once_answered(5, Requeue(ids=["003"])))
    run = await run_rows(tmp_path, rows, sometimes({"x": [40001]}), during=desk, patience=200.0)
    assert run.statuses == {"done": 5}
    assert [result for _, result, *_ in run.attempts] == ["permanent", "done"]


async def test_what_is_requeued_survives_the_end_of_the_run(tmp_path: Path) -> None:
    """Drained before its turn, it is bought by the next run of the same command by itself."""
    script: dict[str, list[Any]] = {"001": [40001]}
    requests: list[Request] = [Requeue(classes=["all"]), Drain()]
    desk = Desk(once_answered(3, *requests))
    first = await run_rows(tmp_path, jobs(3), sometimes(script), during=desk, patience=200.0)
    assert first.statuses == {"done": 2, "failed": 1}
    again = await run_rows(tmp_path, jobs(3))
    assert again.statuses == {"done": 3}
    assert len(again.service.streams) == 1


async def test_what_the_process_died_of_goes_again_with_all_its_attempts(tmp_path: Path) -> None:
    """Attempts that were lost to kills are held against a job once."""

    def die(checkpoint: Checkpoint) -> None:
        row = checkpoint.rows.read_first()
        assert row is not None
        starts = [make_start(n, key=row.key, job=row.id) for n in range(RETRIES.attempts)]
        checkpoint.commit(starts=starts)

    desk = Desk(once_answered(1, Requeue(classes=["crashed"])))
    run = await run_rows(tmp_path, jobs(1), during=desk, prepare=die, patience=200.0)
    assert run.of(RunChanged)[0].failed == 1
    assert run.statuses == {"done": 1}


async def test_a_class_that_no_job_has_ended_as_is_told(tmp_path: Path) -> None:
    """It may be mistyped: whoever asked has to see that."""
    replies: list[Reply] = []

    async def script(ask: Asked, _: Runner) -> None:
        replies.append(await ask(Requeue(classes=["suspects"])))

    await run_rows(tmp_path, jobs(2), during=Desk(script), patience=200.0)
    (reply,) = replies
    assert reply.said == "no job goes again; none has ended as 'suspects'"
