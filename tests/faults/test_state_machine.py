"""The state machine of a run folder in its short form, and the broken runners that it catches."""

import fcntl
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest
from hypothesis.errors import Flaky
from msgspec import structs

from batchjobs.checkpoint import FileRecord, JobRecord, Row
from batchjobs.errors import SessionError, TransientError
from batchjobs.files import atomic
from batchjobs.jobs import Ending, Job, Status, Verdict
from batchjobs.limits import RetryPolicy
from batchjobs.outputs import reuse, suspects, writing
from batchjobs.planning import decisions
from batchjobs.planning.decisions import Decider
from batchjobs.planning.plan import Action
from batchjobs.plausibility.clips import SpeechRates
from batchjobs.runner import reactions
from batchjobs.runner.reactions import TicketFacts
from batchjobs.runner.reuse import Reuse
from batchjobs.runner.tickets import Ticket, to_purchase
from tests import tally
from tests.faults.state import FAULTS, TEXTS, RunFolder, World, live, world_of

SEED = 20251121


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A tone server with faults, and a place for run folders."""
    with world_of(tmp_path_factory.mktemp("state"), *FAULTS) as world:
        yield world


def caught(world: World) -> str:
    """Live until an invariant breaks, and give its name.

    Up to five series of examples: what the kills and the server's faults strike is up to chance.
    """
    world.breaches.clear()
    for number in range(SEED, SEED + 5):
        try:
            live(world, 60, number=number)
        except (AssertionError, Flaky):  # flaky: a kill may strike elsewhere next time
            return world.breaches[0]
    pytest.fail("nothing that broke was seen to be broken")


def make_doubt(machine: RunFolder) -> None:
    """Run until a result is in doubt."""
    machine.begin(texts=list(TEXTS[:5]))
    while not any(known.is_suspect for known in machine.unsettled.values()):
        machine.make_work()
        machine.settle(attempts=1)


@pytest.mark.parametrize("examples", [25, pytest.param(55, marks=pytest.mark.long)])
def test_whatever_happens_between_runs_the_next_one_is_right(world: World, examples: int) -> None:
    """After edits, kills and damage every result is right, and nothing was bought twice."""
    world.counts.clear()
    try:
        live(world, examples, number=SEED)
        # Each invariant has held: see `RunFolder`, which knows what must be bought, and is done.
        tally.count(lost=0, corrupt=0, cases=world.counts["examples"], runs=world.counts["runs"])
        tally.count(repeated=world.counts["bought and lost to a kill"])
    finally:
        print("\n".join(world.breaches[:1]))
    print(f"seed {SEED}: {dict(sorted(world.counts.items()))}")


def test_rows_that_ask_for_a_damaged_result_buy_it_once(world: World) -> None:
    """What cannot be copied because the only copy is damaged is bought once for all who ask."""
    machine = RunFolder(world)
    try:
        machine.begin(texts=[TEXTS[0], TEXTS[1]])
        machine.run()
        machine.damage_output(where=0, how="flip")
        for _ in range(3):
            machine.duplicate(where=0)
        machine.run()
    finally:
        machine.teardown()


def test_a_result_that_is_bought_again_is_known_for_a_new_one(world: World) -> None:
    """Damaged, bought anew and then copied: the copy is no purchase, as it once was taken for."""
    machine = RunFolder(world)
    try:
        machine.begin(texts=list(TEXTS[:5]))
        machine.run()
        machine.damage_output(where=4, how="empty")
        machine.cancel(milliseconds=9_000)
        machine.change_format(name="ogg")
        machine.cancel(milliseconds=9_000)
    finally:
        machine.teardown()


@pytest.mark.parametrize("rounds", [8, pytest.param(25, marks=pytest.mark.long)])
def test_of_each_pair_only_one_runs(world: World, rounds: int) -> None:
    """While a run goes on another is refused within a second; two at the same time buy all once."""
    machine = RunFolder(world)
    world.counts.clear()
    try:
        machine.begin(texts=[TEXTS[0], TEXTS[1]])
        for _ in range(rounds):
            machine.make_work()
            machine.run_twice_at_once(at_end=False)
            machine.make_work()
            machine.start_two_processes()
    finally:
        machine.teardown()
    assert world.counts["second runs refused"] >= rounds
    pairs = world.counts["second runs refused"] + world.counts["pairs of processes"]
    tally.count(cases=pairs, runs=world.counts["runs"] + pairs, lost=0, repeated=0, corrupt=0)


# -- the machine itself can fail -----------------------------------------------------------------


def test_a_resume_by_row_number_is_caught(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner for which row 3 is done because row 3 was done breaks as soon as rows change."""

    def decided(
        decider: Decider, row: Row, record: JobRecord | None, *, is_bought: bool = True
    ) -> Row:
        before = {old.position: found for old, found in decider.checkpoint.rows.stream_outcomes()}
        found = before.get(row.position)
        if found is not None and found.status is Status.DONE:
            return row._replace(action=Action.DONE)
        return honest(decider, row, record, is_bought=is_bought)

    honest = Decider.decide
    monkeypatch.setattr(Decider, "decide", decided)
    assert caught(world)


class Trusting:
    """A judge for whom whatever came before a close is all there is."""

    minimum_seconds = 0.0

    def verdict(self, pcm: bytes, sample_rate: int, ending: Ending) -> Verdict:
        """Doubt nothing."""
        return Verdict()


def test_trust_in_a_normal_close_is_caught(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner that takes a close with 1000 for the end of the audio keeps truncated files."""
    monkeypatch.setattr(SpeechRates, "make_judge", lambda *_, **__: Trusting())
    breach = caught(world)
    assert "bought what was missing" in breach or "is right" in breach or "says it" in breach


def test_retries_by_exact_class_are_caught(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner that retries one class of errors, but not those derived from it, loses jobs."""

    def is_worth_another(ticket: TicketFacts, error: SessionError, policy: RetryPolicy) -> bool:
        return type(error) is TransientError and ticket.tries.attempts < policy.attempts

    monkeypatch.setattr(reactions, "_is_worth_another", is_worth_another)
    breach = caught(world)
    assert "bought what was missing" in breach or "need not" in breach


def test_buying_again_what_is_in_doubt_is_caught(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runner for which what is in doubt is not there pays for it in every run."""

    def tried(record: JobRecord, folder: Path, *, retries_all: bool) -> Action:
        is_open = record.is_passing or retries_all or record.status is Status.SUSPECT
        return Action.RETRY if is_open else Action.KEPT

    machine = RunFolder(world)
    try:
        make_doubt(machine)
        monkeypatch.setattr(decisions, "_choose_about_tried", tried)
        with pytest.raises(AssertionError, match=r"bought what was missing|is not missing"):
            machine.settle()
    finally:
        shutil.rmtree(machine.place)


def test_what_is_in_doubt_under_its_final_name_is_caught(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runner that keeps what is in doubt where the result belongs hands it out as one."""

    def choose_path(row: Row, taken: Collection[str]) -> str:
        return row.output

    monkeypatch.setattr(suspects, "choose_path", choose_path)
    assert "is kept apart" in caught(world)


def test_an_accept_that_looks_at_no_content_is_caught(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever accepts another file than the one that was kept has a result nobody listened to."""

    def copied(
        folder: Path, output: str, donor: JobRecord, *, place: Path
    ) -> writing.Written | None:
        written = honest(folder, output, donor, place=place)
        if written is not None:
            atomic.part_path(written.targets[0]).write_bytes(b"another")
        return written

    honest = reuse.copy_result
    machine = RunFolder(world)
    try:
        make_doubt(machine)
        with monkeypatch.context() as patch:
            patch.setattr(reuse, "copy_result", copied)
            with pytest.raises(AssertionError, match="what is done is whole"):
                machine.accept_now()
    finally:
        shutil.rmtree(machine.place)


def test_copies_of_damaged_files_are_caught(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner that copies an equal job's file without a look at its content spreads damage."""

    def unchecked(path: Path, _: FileRecord) -> list[bytes]:
        return [path.read_bytes()]

    monkeypatch.setattr(reuse, "read_intact", unchecked)
    with pytest.raises(AssertionError, match="bought what was missing"):
        test_rows_that_ask_for_a_damaged_result_buy_it_once(world)


def test_failed_copies_that_each_buy_are_caught(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runner that buys for each row what one purchase would serve spends too much."""

    def buy_instead(reuse: Reuse, ticket: Ticket, job: Job, **_: object) -> None:
        remake = structs.replace(ticket, step=to_purchase(ticket.row, job))
        reuse._run.queue.put_after(remake, 0.0)

    monkeypatch.setattr(Reuse, "buy_instead", buy_instead)
    # Where the first purchase is over before the next row is looked at, that is copied.
    with pytest.raises(AssertionError, match="bought what was missing"):
        _live_again(world, test_rows_that_ask_for_a_damaged_result_buy_it_once)


def _live_again(world: World, course: Callable[[World], None]) -> None:
    """Go through a course up to five times, until something in it breaks."""
    for _ in range(5):
        course(world)


def test_a_folder_without_its_lock_is_caught(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner that takes no lock lets a second one in."""
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    breach = caught(world).splitlines()
    assert "run_twice_at_once" in breach[-1]
