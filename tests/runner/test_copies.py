"""Equal rows are bought once, and followers end as their leader did."""

from dataclasses import replace
from pathlib import Path

import pytest
import trio

from batchjobs.checkpoint import Checkpoint, JobRecord
from batchjobs.errors import ConfigurationError, DiskError
from batchjobs.jobs import BadRow
from batchjobs.options import Options
from batchjobs.outputs.writing import Written
from batchjobs.planning.make_plan import make_plan
from batchjobs.runner import Runner, RunState
from batchjobs.runner.reuse import Reuse
from tests.runner.runs import (
    OPTIONS,
    QUICK,
    RETRIES,
    fails_with,
    job,
    jobs,
    query_database,
    run_rows,
)
from tests.streams import Peer

# Deadlines of a few seconds and a disk in threads: on the machine's own clock it would depend on it.
pytestmark = pytest.mark.usefixtures("standing_clock")


async def test_equal_rows_are_bought_once(tmp_path: Path) -> None:
    """The first is bought, the others are copies: no session, no slot, no rate."""
    rows = [job("a", "same words here"), *[job(f"b{n}", "same words here") for n in range(20)]]
    began = trio.current_time()
    slow = replace(OPTIONS, starts_per_second=2.0)
    run = await run_rows(tmp_path, rows, run_options=slow)
    assert run.statuses == {"done": 21}
    assert len(run.service.streams) == 1
    assert run.records["b7"].copied_from == "a"
    assert run.records["b7"].cost == 0.0
    assert trio.current_time() - began < 5


async def test_followers_fail_as_their_leader_did(tmp_path: Path) -> None:
    """What was refused for one is refused for its equals, without asking again."""

    async def refuses(peer: Peer) -> None:
        await fails_with(peer, 40001)

    rows = [job("a", "same words here"), job("b", "same words here")]
    run = await run_rows(tmp_path, rows, refuses)
    assert run.statuses == {"failed": 2}
    assert len(run.service.streams) == 1
    assert run.records["b"].error_code == "40001"
    assert "'a'" in run.records["b"].error_message


async def test_a_copy_whose_original_is_damaged_is_bought(tmp_path: Path) -> None:
    """A name that changed is copied; if the file is not what it was, it is made anew."""
    await run_rows(tmp_path, [job("a", "same words here"), job("z")])
    renamed = [job("b", "same words here"), job("y")]
    run = await run_rows(tmp_path, [job("c", "same words here")])
    assert not run.service.streams
    for name in ("a", "c"):
        path = tmp_path / f"audio/{name}.wav"
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    again = await run_rows(tmp_path, renamed)
    assert again.statuses == {"done": 2}
    assert len(again.service.streams) == 2


async def test_a_follower_that_cannot_copy_is_bought(tmp_path: Path) -> None:
    """No loss-free way leads from OGG to MP3; an old failure of its own is no reason."""
    first = job("a", "same words here", output="a.ogg")
    second = job("b", "same words here", output="b.mp3")

    async def hangs_up(peer: Peer) -> None:
        await peer.begin()

    run = await run_rows(tmp_path, [first, second], hangs_up)
    assert run.statuses == {"failed": 2}
    run = await run_rows(tmp_path, [first, second])
    assert run.statuses == {"done": 2}
    assert len(run.service.streams) == 2


async def test_a_follower_whose_leader_left_nothing_is_bought(tmp_path: Path) -> None:
    """With neither a result nor a failure to go by, it asks for itself."""

    def drop(checkpoint: Checkpoint) -> None:
        query_database(checkpoint, "DELETE FROM rows WHERE id = ?", ("a",))

    rows = [job("a", "same words here"), job("b", "same words here")]
    run = await run_rows(tmp_path, rows, prepare=drop)
    assert run.statuses == {"done": 1}
    assert len(run.service.streams) == 1


async def test_bad_rows_are_recorded(tmp_path: Path) -> None:
    """They have their answer too, with the place and what to do."""
    bad = BadRow(line=7, column="text", message="is blank", hint="write something", id="bad")
    run = await run_rows(tmp_path, [job("a"), bad])
    assert run.statuses == {"done": 1, "failed": 1}
    record = run.records["bad"]
    assert record.error_class == "bad_row"
    assert "7" in record.error_message
    assert "is blank" in record.error_message


async def test_a_row_without_a_way_to_its_provider_asks_for_the_key(tmp_path: Path) -> None:
    """What was to be copied and must be bought after all needs a key: the run stops with 78."""
    with Checkpoint.open(tmp_path) as checkpoint:
        providers = {"quick": QUICK}
        plan_options = Options()
        make_plan(
            jobs(3), checkpoint=checkpoint, providers=providers, options=plan_options, name="t.csv"
        )
        checkpoint.staging.adopt({})
        state = RunState(
            checkpoint, endpoints={}, options=OPTIONS, retries=RETRIES, observe=lambda _: None
        )
        end = await Runner(state).run()
    assert isinstance(end.error, ConfigurationError)


async def test_a_run_that_stops_amid_an_exchange_loses_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A circle is closed once it is begun: what was read first has no other place by then."""
    names = "abcd"
    await run_rows(tmp_path, [job(name, f"the words of {name}") for name in names])
    copy, copied = Reuse._copy_files, []

    async def copy_and_stop(reuse: Reuse, donor: JobRecord, output: str) -> Written | None:
        written = await copy(reuse, donor, output)
        copied.append(output)
        if len(copied) == 2:
            reuse._run.start_no_more("enough")
        return written

    turned = [job(name, f"the words of {other}") for name, other in zip(names, "bcda", strict=True)]
    with monkeypatch.context() as patch:
        patch.setattr(Reuse, "_copy_files", copy_and_stop)
        run = await run_rows(tmp_path, turned)
    assert run.statuses == {"done": 4}
    again = await run_rows(tmp_path, turned)
    assert again.statuses == {"done": 4}
    assert not run.service.streams
    assert not again.service.streams


@pytest.mark.parametrize(
    ("failure", "statuses"),
    [(DiskError("the disk is full"), {}), (RuntimeError("a mistake of ours"), {"failed": 2})],
)
async def test_an_exchange_that_cannot_be_copied_ends_no_run_badly(
    tmp_path: Path, failure: Exception, statuses: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fails stops the run as anywhere; a mistake of ours fails the jobs that meet it."""
    names = ["a", "b"]
    await run_rows(tmp_path, [job(name, f"the words of {name}") for name in names])

    async def fail(reuse: Reuse, donor: JobRecord, output: str) -> Written | None:
        await trio.lowlevel.checkpoint()
        raise failure

    monkeypatch.setattr(Reuse, "_copy_files", fail)
    exchanged = [job("a", "the words of b"), job("b", "the words of a")]
    run = await run_rows(tmp_path, exchanged)
    assert isinstance(run.end.error, DiskError) is isinstance(failure, DiskError)
    assert run.statuses == statuses
