"""A run in a bucket: one owner, a journal that is ahead, and another machine that goes on with it."""

import contextlib
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batchjobs.checkpoint import (
    Checkpoint,
    CheckRecord,
    CheckVerdict,
    Choice,
    JobRecord,
    SegmentChanges,
    Settled,
)
from batchjobs.checkpoint.orders import Orders
from batchjobs.custody import checkpoint as custody
from batchjobs.custody.checkpoint import BucketCheckpoint, open_run, probe_bucket
from batchjobs.custody.entries import Entry, Group, Outcome
from batchjobs.custody.journal import History, Journal
from batchjobs.errors import ConfigurationError, DiskError, OutputError, RunLockedError, UsageError
from batchjobs.files import run_folder
from batchjobs.files.address import Address
from batchjobs.files.atomic import write_part
from batchjobs.storage.bucket import Bucket
from batchjobs.storage.shelf import Upload
from tests.builders import (
    ARABIC,
    adopt,
    make_end,
    make_failed_record,
    make_file,
    make_record,
    make_row,
    make_start,
)
from tests.clocks import PATIENCE_SECONDS, until
from tests.s3 import Bucket as Seen
from tests.s3_faults import Act, Fault, fault_proxy

_TABLES = ("rows", "jobs", "attempts", "own_files", "finished", "segments", "checks")


@pytest.fixture
def place(bucket: Seen) -> Address:
    """Give a place in a bucket."""
    return Address(bucket.name, f"runs/{ARABIC}")


def open_here(folder: Path, place: Address | None, *, take_over: bool = False) -> BucketCheckpoint:
    """Open a run in a bucket."""
    checkpoint = open_run(folder, place, take_over=take_over)
    assert isinstance(checkpoint, BucketCheckpoint)
    return checkpoint


def buy(checkpoint: Checkpoint, number: int, content: bytes = b"one") -> JobRecord:
    """Have a job done, with its file."""
    start = make_start(number, key=f"k{number}", job=f"r{number}")
    (attempt,) = checkpoint.settle(starts=[start], outcomes=())
    outcome, record = make_outcome(checkpoint.folder, number, attempt, content)
    checkpoint.settle(starts=(), outcomes=[outcome])
    return record


def make_outcome(
    folder: Path, number: int, attempt: int, content: bytes
) -> tuple[Settled, JobRecord]:
    """Write a job's file beside its place, and what is to be committed of it."""
    output = make_row(number).output
    target = folder.resolve() / output
    write_part(target, content)
    file = make_file(output, bytes=len(content))
    record = make_record(number, output=output, files=(file,))
    return Settled(end=make_end(attempt), record=record, targets=(target,)), record


def dump(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """Read all of a checkpoint that says what was bought."""
    with closing(sqlite3.connect(folder / run_folder.CHECKPOINT)) as connection:
        return {
            table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
            for table in _TABLES
        }


def abandon(checkpoint: BucketCheckpoint) -> None:
    """Leave a run as a kill does: nothing is said."""
    Checkpoint.close(checkpoint)


def test_another_folder_goes_on_with_all_that_was_done(
    place: Address, bucket: Seen, tmp_path: Path
) -> None:
    """From the last copy and the journal since: rows, results, attempts, and what was ordered."""
    first = open_here(tmp_path / "a", place)
    adopt(first, *(make_row(number) for number in range(1, 6)))
    for number in (1, 2):
        buy(first, number)
    first.settle(starts=(), outcomes=[Settled(record=make_failed_record(3))])
    first.orders.keep({"orders": ARABIC})
    first.orders.requeue(Choice(is_all=True), since=0.0, providers=("local",))
    first.put_copy()
    buy(first, 4)
    first.settle(starts=[make_start(5)], outcomes=())
    abandon(first)
    with open_here(tmp_path / "b", place, take_over=True) as second:
        assert second.read_settings()["orders"] == ARABIC
        assert second.shelf.has(make_row(4).output, 3)
    with open_here(tmp_path / "c", place, take_over=True):
        pass
    assert dump(tmp_path / "b") == dump(tmp_path / "c")
    with Checkpoint.read(tmp_path / "c") as third:
        done = {record.id for record in third.lookups.stream_done()}
    assert done == {make_record(number).id for number in (1, 2, 4)}
    lost = [row for row in dump(tmp_path / "c")["attempts"] if row[6] == "lost"]
    assert len(lost) == 1


def test_a_folder_goes_on_where_it_was(place: Address, tmp_path: Path) -> None:
    """By itself, without --take-over, and as often as it likes."""
    for number in range(1, 4):
        with open_here(tmp_path / "a", place if number == 1 else None) as checkpoint:
            if number == 1:
                adopt(checkpoint, *(make_row(each) for each in range(1, 4)))
            buy(checkpoint, number)
    with Checkpoint.read(tmp_path / "a") as checkpoint:
        assert len(list(checkpoint.lookups.stream_done())) == 3


def test_a_second_owner_is_refused_by_the_first_ones_name(place: Address, tmp_path: Path) -> None:
    """While it goes on, after it was killed, and after it ended; nothing of it is changed."""
    first = open_here(tmp_path / "a", place)
    words = rf"{tmp_path}/a \(process \d+\); it was last heard of .* ago.*take_over"
    with pytest.raises(RunLockedError, match=words):
        open_run(tmp_path / "b", place)
    buy(first, 1)
    first.close()
    with pytest.raises(RunLockedError, match=r"it ended .* ago.*take_over"):
        open_run(tmp_path / "b", place)


def test_an_owner_that_was_taken_over_writes_nothing_more(
    place: Address, bucket: Seen, tmp_path: Path
) -> None:
    """Neither into the journal, nor results, nor that it goes on; and it takes nothing away."""
    first = open_here(tmp_path / "a", place)
    adopt(first, *(make_row(number) for number in range(1, 4)))
    (attempt,) = first.settle(starts=[make_start(1)], outcomes=())
    second = open_here(tmp_path / "b", place, take_over=True)
    before = bucket.objects()
    outcome, _ = make_outcome(tmp_path / "a", 1, attempt, b"late")
    for write in (
        lambda: first.settle(starts=(), outcomes=[outcome]),
        lambda: first.settle(starts=[make_start(2)], outcomes=()),
        lambda: first.orders.keep({"orders": "x"}),
        lambda: first.shelf.show([run_folder.CHECKPOINT]),
        lambda: first.shelf.remove([make_row(1).output]),
        first.put_copy,
        first.renew,
    ):
        with pytest.raises(RunLockedError, match=f"taken over by .*{tmp_path}/b"):
            write()
    first.close()
    assert bucket.objects() == before
    with Checkpoint.read(tmp_path / "a") as left:
        assert not list(left.lookups.stream_done())
    buy(second, 1)
    second.close()


def test_an_owner_finds_that_it_was_taken_over_however_long_it_slept(
    place: Address, bucket: Seen, tmp_path: Path
) -> None:
    """The entry that says so stays, though all about it is in a later copy of the checkpoint."""
    first = open_here(tmp_path / "a", place)
    adopt(first, make_row(1), make_row(2))
    with open_here(tmp_path / "b", place, take_over=True) as second:
        buy(second, 1)
    with open_here(tmp_path / "c", place, take_over=True) as third:
        third.put_copy()
    with open_here(tmp_path / "c", place) as third:
        buy(third, 2)
        third.put_copy()
    before = bucket.objects()
    with pytest.raises(RunLockedError):
        first.settle(starts=[make_start(2)], outcomes=())
    with pytest.raises(RunLockedError):
        first.journal.check_ours()
    first.close()
    assert bucket.objects() == before
    assert len([name for name in before if "/journal/" in name]) == 2


def test_an_owner_that_removes_while_it_commits_is_not_stopped(
    place: Address, bucket: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments go while others are committed: the entry that is met then is our own."""
    asked = Fault(act=Act.DELAY, method="HEAD", target="/journal/", seconds=0.5, times=99)
    with fault_proxy(bucket.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with open_here(tmp_path / "a", place) as checkpoint:
            adopt(checkpoint, make_row(1))
            proxy.faults.append(asked)
            before = proxy.count("HEAD", "/journal/")
            ended: list[bool] = []

            def remove() -> None:
                checkpoint.shelf.remove([run_folder.segment_path("0" * 64)])
                ended.append(True)

            remover = threading.Thread(target=remove)
            remover.start()
            until(lambda: proxy.count("HEAD", "/journal/") > before)
            checkpoint.settle(starts=[make_start(1)], outcomes=())
            remover.join()
            assert ended == [True]


def test_of_two_who_take_over_at_once_one_has_it(
    place: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between what the one has seen and what it writes, the other comes: the one is told."""
    open_here(tmp_path / "a", place).close()
    survey = Journal.survey
    others: list[BucketCheckpoint] = []

    def survey_late(journal: Journal) -> History:
        history = survey(journal)
        if not others and journal.owner.folder.endswith("b"):
            monkeypatch.setattr(Journal, "survey", survey)
            others.append(open_here(tmp_path / "c", place, take_over=True))
        return history

    monkeypatch.setattr(Journal, "survey", survey_late)
    with pytest.raises(RunLockedError, match=f"taken over by .*{tmp_path}/c"):
        open_run(tmp_path / "b", place, take_over=True)
    buy(others[0], 1)
    others[0].close()


def test_a_renewal_whose_answer_was_lost_for_good_is_no_other_owner(
    place: Address, bucket: Seen, tmp_path: Path
) -> None:
    """The store has it, and was away until nobody waited any longer: the next one goes on from there."""
    with open_here(tmp_path / "a", place) as checkpoint:
        name = f"{place.prefix}/{run_folder.CHECKPOINT}/owner.json"
        before = bucket.read(name)
        bucket.put(name, before.replace(b'"renewed_at"', b'  "renewed_at"'))
        checkpoint.renew()
        bucket.delete(name)
        checkpoint.renew()
        assert b'"ended_at": 0' in bucket.read(name)
    assert b'"ended_at": 0.0' not in bucket.read(name)


def test_an_owner_who_renews_while_it_is_taken_over_is_met(
    place: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had not noticed: it does not keep the other from it, and notices the next time."""
    first = open_here(tmp_path / "a", place)
    append = Journal.append

    def append_late(journal: Journal, entry: Entry) -> int:
        if journal is not first.journal:
            monkeypatch.setattr(Journal, "append", append)
            first.renew()
        return append(journal, entry)

    monkeypatch.setattr(Journal, "append", append_late)
    with open_here(tmp_path / "b", place, take_over=True) as second:
        with pytest.raises(RunLockedError, match=f"taken over by .*{tmp_path}/b"):
            first.renew()
        buy(second, 1)
    first.close()


@pytest.mark.parametrize("stays", [True, False])
def test_a_result_whose_file_is_not_there_yet_counts_where_it_can_be_had(
    place: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, stays: bool
) -> None:
    """Killed after the journal: here the file is put there; elsewhere it is bought again, and lost."""
    first = open_here(tmp_path / "a", place)
    adopt(first, *(make_row(number) for number in range(1, 4)))
    buy(first, 1)
    (attempt,) = first.settle(starts=[make_start(2, key="k2", job="r2")], outcomes=())
    outcome, _ = make_outcome(tmp_path / "a", 2, attempt, b"two")

    def die(_: object) -> None:
        raise DiskError("killed")

    monkeypatch.setattr(first.shelf, "put", die)
    with pytest.raises(DiskError):
        first.settle(starts=(), outcomes=[outcome])
    abandon(first)
    where = tmp_path / ("a" if stays else "b")
    with open_here(where, place, take_over=not stays) as second:
        done = {record.output for record in second.lookups.stream_done()}
        assert done == {make_row(number).output for number in ((1, 2) if stays else (1,))}
        assert second.shelf.has(make_row(2).output, 3) == stays
        buy(second, 2, b"three")
    assert len([row for row in dump(where)["attempts"] if row[6] == "lost"]) == (not stays)
    assert not list(where.rglob("*.part"))


def test_a_result_whose_file_is_there_counts(
    place: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the commit, and taken over: what was paid for is not bought again."""
    first = open_here(tmp_path / "a", place)
    adopt(first, make_row(1))
    monkeypatch.setattr(first, "commit", _fail_with_records(first))
    with pytest.raises(DiskError):
        buy(first, 1)
    abandon(first)
    with open_here(tmp_path / "b", place, take_over=True) as second:
        assert [record.output for record in second.lookups.stream_done()] == [make_row(1).output]


def _fail_with_records(checkpoint: BucketCheckpoint) -> object:
    def commit(**content: Sequence[object]) -> list[int]:
        if content["records"]:
            raise DiskError("killed")
        return BucketCheckpoint.commit(checkpoint, **content)  # type: ignore[arg-type]

    return commit


def test_the_journal_is_cut_where_a_copy_has_it(
    place: Address, bucket: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of days leaves a copy and few entries: whoever takes over reads no more than that."""
    monkeypatch.setattr(custody, "_LEAST_ENTRIES", 4)
    with open_here(tmp_path / "a", place) as first:
        adopt(first, *(make_row(number) for number in range(1, 11)))
        for number in range(1, 11):
            buy(first, number)
    names = bucket.keys(f"{place.prefix}/{run_folder.CHECKPOINT}/")
    assert len([name for name in names if "/snapshot/" in name]) == 1
    assert len([name for name in names if "/journal/" in name]) < 16
    with open_here(tmp_path / "b", place, take_over=True) as second:
        assert len(list(second.lookups.stream_done())) == 10


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_written_while_a_copy_goes_up_goes_with_the_next(
    place: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    """One that is made in a thread does not tell of files and findings that are not in it."""
    first = open_here(tmp_path / "a", place)
    adopt(first, make_row(1))
    names = tuple(f"suspect/{name}.wav" for name in "abc")
    first.settle(starts=(), outcomes=[Settled(changes=SegmentChanges(expected=names))])
    first.keep_checks([CheckRecord(id="r1", sha256="1", verdict=CheckVerdict.BAD)])
    first.disown(names[:1])
    put = Journal.put_snapshot

    def is_overtaken(*arguments: Any) -> None:
        if fails:
            raise DiskError("the store failed")
        first.keep_checks([CheckRecord(id="r1", sha256="2", verdict=CheckVerdict.BAD)])
        first.disown(names[1:2])
        put(*arguments)

    with monkeypatch.context() as patch, contextlib.suppress(DiskError):
        patch.setattr(Journal, "put_snapshot", is_overtaken)
        first.put_copy()
    first.hand_on()
    abandon(first)
    with open_here(tmp_path / "b", place, take_over=True):
        pass
    for table in ("own_files", "checks"):
        assert dump(tmp_path / "a")[table] == dump(tmp_path / "b")[table]


def test_what_goes_with_a_copy_that_fails_goes_with_one_that_is_asked_for_meanwhile(
    place: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever hands on waits for the copy that a thread makes: of its error nobody else hears."""
    first = open_here(tmp_path / "a", place)
    adopt(first, make_row(1))
    first.keep_checks([CheckRecord(id="r1", sha256="1", verdict=CheckVerdict.BAD)])
    began, ends = threading.Event(), threading.Event()

    put = Journal.put_snapshot

    def fails_once(*arguments: Any) -> None:
        if began.is_set():
            put(*arguments)
            return
        began.set()
        assert ends.wait(PATIENCE_SECONDS)
        raise DiskError("the store failed")

    def copy() -> None:
        with contextlib.suppress(DiskError):
            first.put_copy()

    monkeypatch.setattr(Journal, "put_snapshot", fails_once)
    copying, timer = threading.Thread(target=copy), threading.Timer(0.1, ends.set)
    copying.start()
    assert began.wait(PATIENCE_SECONDS)
    timer.start()
    first.hand_on()
    copying.join()
    abandon(first)
    with open_here(tmp_path / "b", place, take_over=True):
        pass
    assert dump(tmp_path / "a")["checks"] == dump(tmp_path / "b")["checks"] != []


def test_an_answer_that_is_lost_is_no_other_owner(
    place: Address, bucket: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has written it, and the request is made again: what is there then is our own."""
    lost = Fault(act=Act.DROP_AFTER, method="PUT", target="journal|owner|audio", times=99)
    for at in range(1, 8):
        fault = Fault(act=lost.act, method=lost.method, target=lost.target, at=at)
        with fault_proxy(bucket.endpoint, fault) as proxy:
            monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
            with open_here(tmp_path / "a", place) as checkpoint:
                if at == 1:
                    adopt(checkpoint, *(make_row(number) for number in range(1, 9)))
                buy(checkpoint, at)
    with Checkpoint.read(tmp_path / "a") as checkpoint:
        assert len(list(checkpoint.lookups.stream_done())) == 7


def test_an_answer_that_is_lost_while_the_store_is_tried_is_no_matter(
    place: Address, bucket: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object that is there then is the one that was to be there; none is left."""
    lost = Fault(act=Act.DROP_AFTER, method="PUT", target="/probe-")
    with fault_proxy(bucket.endpoint, lost) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        open_here(tmp_path / "a", place).close()
        assert proxy.count("PUT", "/probe-") > 3
    assert not [name for name in bucket.objects() if "/probe-" in name]


def test_a_store_that_ignores_conditions_is_refused(place: Address) -> None:
    """It would let two runs write over each other: it is told before anything is spent."""

    class Careless(Bucket):
        """A store as some are: it writes whatever it is asked not to."""

        def create(self, name: str, content: bytes, *, sha256: str = "") -> str:
            """Write, whatever is there."""
            return self._put(name, content, "overwrite", sha256)

    with pytest.raises(ConfigurationError, match="does not hold to If-None-Match"):
        probe_bucket(Careless.open(place))
    probe_bucket(Bucket.open(place))
    assert list(Bucket.open(place).list_below()) == []


def test_a_folder_has_one_place(place: Address, bucket: Seen, tmp_path: Path) -> None:
    """A run's results are here or there, for good; no other command changes them by mistake."""
    open_here(tmp_path / "a", place).close()
    with pytest.raises(UsageError, match=r"is the run folder of s3://.*work_folder"):
        open_run(tmp_path / "a", Address(bucket.name, "other"))
    with pytest.raises(OutputError, match="are in s3://"):
        Checkpoint.open(tmp_path / "a")
    Checkpoint.open(tmp_path / "b").close()
    with pytest.raises(UsageError, match="has a run of its own"):
        open_run(tmp_path / "b", place)
    open_run(tmp_path / "b").close()


def test_a_place_that_was_emptied_is_told(place: Address, bucket: Seen, tmp_path: Path) -> None:
    """What the folder knows to be done is nowhere any more: it is not bought again by itself."""
    with open_here(tmp_path / "a", place) as checkpoint:
        adopt(checkpoint, make_row(1))
        buy(checkpoint, 1)
    for key in list(bucket.objects()):
        bucket.delete(key)
    with pytest.raises(DiskError, match="nothing is left there"):
        open_run(tmp_path / "a", place)


def test_a_run_that_was_refused_leaves_no_trace(
    place: Address, bucket: Seen, tmp_path: Path
) -> None:
    """Before it began: then the place is as it was."""
    checkpoint = open_here(tmp_path / "a", place)
    checkpoint.leave_no_trace()
    checkpoint.close()
    assert bucket.keys() == []


def test_a_run_that_was_refused_leaves_alone_what_was_taken_over(
    place: Address, bucket: Seen, tmp_path: Path
) -> None:
    """Planning takes minutes: whoever has taken the run over meanwhile keeps it."""
    first = open_here(tmp_path / "a", place)
    with open_here(tmp_path / "b", place, take_over=True) as second:
        before = bucket.objects()
        first.leave_no_trace()
        first.close()
        assert bucket.objects() == before
        second.renew()


@pytest.mark.parametrize("stays", [True, False])
def test_a_journal_that_names_other_files_does_them_no_harm(
    place: Address, tmp_path: Path, *, stays: bool
) -> None:
    """Whoever can write in the bucket has no hand on the disk of whoever takes the run over."""
    others = [tmp_path / "theirs.txt", tmp_path / "theirs.wav"]
    for other in others:
        other.write_text(ARABIC, encoding="utf-8")
    first = open_here(tmp_path / "a", place)
    adopt(first, make_row(1))
    files = tuple(Upload(path, 1, "") for path in (f"../{others[0].name}", str(others[1])))
    for file in files:
        journal = first.journal
        journal.append(Group(token=journal.owner.token, outcomes=(Outcome(files=(file,)),)))
    abandon(first)
    with pytest.raises(OutputError, match=r"leaves .* was tampered with"):
        open_run(tmp_path / ("a" if stays else "b"), place, take_over=not stays)
    assert [other.read_text(encoding="utf-8") for other in others] == [ARABIC, ARABIC]


def test_orders_of_a_journal_are_those_of_any_checkpoint(place: Address, tmp_path: Path) -> None:
    """What is asked of a running run goes the same way, whatever its results."""
    with open_here(tmp_path / "a", place) as checkpoint:
        assert isinstance(checkpoint.orders, Orders)
        adopt(checkpoint, make_row(1))
        checkpoint.settle(starts=(), outcomes=[Settled(record=make_failed_record(1))])
        found = checkpoint.orders.requeue(Choice(is_all=True), since=0.0, providers=("local",))
        assert isinstance(found.positions, tuple)
