"""A checkpoint whose run is in a bucket: each commit goes up first, so that another machine can go on."""

import contextlib
import functools
import gzip
import logging
import os
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from msgspec import structs

from batchjobs.checkpoint import (
    AttemptStart,
    Checkpoint,
    CheckRecord,
    Choice,
    JobRecord,
    Requeued,
    Review,
    Settled,
    ledger,
    orders,
)
from batchjobs.checkpoint.checkpoint import split_outcomes
from batchjobs.checkpoint.database import Database
from batchjobs.checkpoint.orders import Orders
from batchjobs.checkpoint.staging import Staging
from batchjobs.custody.entries import Again, Claim, Entry, Facts, Group, Outcome, Owner
from batchjobs.custody.journal import History, Journal, refuse_foreign
from batchjobs.errors import (
    BatchjobsError,
    ConfigurationError,
    DiskError,
    RunLockedError,
    UsageError,
)
from batchjobs.files import run_folder
from batchjobs.files.address import Address
from batchjobs.files.atomic import disk_error, part_path, write_whole
from batchjobs.formatting import file_size
from batchjobs.storage.bucket import Bucket, ConflictError
from batchjobs.storage.shelf import BucketShelf, Mark, read_mark

_logger = logging.getLogger(__name__)
_NUMBER: Final = "journal"
"""The name among the facts about a run of the number of the last entry that is in its checkpoint."""
_AHEAD: Final = "ahead"
"""Likewise of whether it has what is in no entry, and in no copy of it: another text each time."""
_HAS_WORK: Final = """SELECT EXISTS (SELECT 1 FROM rows
    WHERE action NOT IN ('done', 'kept', 'suspect', 'later'))"""
_LEAST_BYTES: Final = 16 << 20
_LEAST_ENTRIES: Final = 2_000
"""A copy goes up again once the journal since the last one has more bytes than that, or so many entries:
each is a request for whoever takes over."""
_CHECKED_AT_ONCE: Final = 16
_TRIES: Final = 5


@dataclass
class _JournalledOrders(Orders):
    """Orders that go up before they are kept."""

    _journal: Journal

    def keep(self, facts: Mapping[str, str]) -> None:
        """Keep facts about the run, durably."""
        entry = Facts(token=self._journal.owner.token, facts=tuple(facts.items()))
        number = self._journal.append(entry)
        super().keep({**facts, _NUMBER: str(number)})

    def requeue(
        self,
        choice: Choice,
        *,
        since: float,
        providers: Sequence[str],  # type: ignore[override]
        facts: Sequence[tuple[str, str]] = (),
    ) -> Requeued:
        """Let rows that ended failed or suspect go again, durably."""
        entry = Again(
            token=self._journal.owner.token,
            choice=choice,
            since=since,
            providers=tuple(providers),
        )
        number = self._journal.append(entry)
        facts = [*facts, (_NUMBER, str(number))]
        return super().requeue(choice, since=since, providers=providers, facts=facts)


class _CopiedStaging(Staging):
    """Staging whose adoption is followed by a copy of the checkpoint in the bucket."""

    def __init__(self, database: Database, put_copy: functools.partial[None]) -> None:
        super().__init__(database)
        self._put_copy = put_copy

    def adopt(self, settings: Mapping[str, str]) -> None:
        """Make the staged rows the run's, and let the bucket have them before anything is bought."""
        super().adopt(settings)
        self._put_copy()


class BucketCheckpoint(Checkpoint):
    """The checkpoint of a run in a bucket, held here and there; made by `open_run`.

    Args:
        database: The run folder's, held.
        shelf: Where its results stand.
        journal: What it writes ahead.
    """

    shelf: BucketShelf

    def __init__(self, database: Database, shelf: BucketShelf, journal: Journal) -> None:
        super().__init__(database, shelf)
        self.journal = journal
        shelf.guard = self._guard
        shelf.check = journal.check_ours
        shelf.glance = journal.check_lately
        self.orders = _JournalledOrders(database, journal)
        self.staging = _CopiedStaging(database, functools.partial(self._copy_adopted))
        self._is_new = False
        self._is_claimed = False
        self._copied = (0, 0)
        self._has_copy = False
        self._has_findings = False
        """Of checks: nothing is made needless by them, so they go up once, with the last of them."""
        self._turn = threading.Lock()
        self._copying: threading.Thread | None = None

    # -- begun and ended ------------------------------------------------------------------------

    def claim(self, *, take_over: bool) -> None:
        """Make the run ours, with all that the bucket knows of it; nothing of it may be done before.

        Args:
            take_over: Whether it may be another's.

        Raises:
            RunLockedError: It is another's.
            BatchjobsError: The bucket cannot be used.
        """
        journal = self.journal
        history = journal.survey()
        known = self.read_settings()
        is_ours = history.owner is not None and history.owner.is_of(journal.owner)
        if history and not is_ours and not take_over:
            raise refuse_foreign(history, journal.bucket, time.time())
        if not history and _NUMBER in known:
            raise DiskError(
                f"of the run in {journal.bucket.address} nothing is left there",
                hint="bring it back; or begin anew with another --output and another --work-folder",
            )
        self._is_new = not history
        claim = Claim(owner=journal.owner, at=time.time())
        history = self._append_claim(claim, history)
        self._is_claimed = True
        if not (is_ours or self._is_new):
            journal.keep([journal.number])
        journal.say_owner(journal.owner)
        self._catch_up(claim, history, int(known.get(_NUMBER, 0)) if is_ours else 0)

    def _append_claim(self, claim: Claim, history: History) -> History:
        """Write that the run is ours, after all that was written; gives what there was before."""
        journal = self.journal
        for _ in range(_TRIES):
            journal.go_on_after(history)
            try:
                journal.append(claim)
            except RunLockedError:
                # Whoever had it wrote once more, or a request of a killed process came late.
                later = journal.survey()
                if journal.is_claimed_since(history, later):
                    raise
                history = later
            else:
                return history
        raise DiskError(f"the journal in {journal.bucket.address} does not hold still")

    def _catch_up(self, claim: Claim, history: History, number: int) -> None:
        """Bring the checkpoint here to what the bucket knows.

        Args:
            claim: The last entry: it is ours.
            history: What there was before it was ours.
            number: Of the last entry that the checkpoint here has; 0 if it is to be made anew.
        """
        journal = self.journal
        self._has_copy = bool(history.snapshots)
        oldest = history.snapshots[-1] if history.snapshots else 0
        is_here = number >= oldest and (number > 0 or not history)
        if not is_here:
            number = self._restore(history.snapshots)
        numbers = [each for each in history.entries if each > number]
        if numbers != list(range(number + 1, history.last + 1)):
            raise DiskError(
                f"the journal in {journal.bucket.address} has gaps",
                hint="somebody has removed entries: bring them back",
            )
        own = (journal.number, claim)
        held: tuple[int, Entry] | None = None
        for each in (*journal.read(numbers), own):
            if isinstance(each[1], Claim) and not each[1].owner.is_of(journal.owner):
                journal.keep([each[0]])
            if held is not None:
                self._replay(*held, is_in_doubt=isinstance(each[1], Claim))
            held = each
        self._replay(*own, is_in_doubt=False)
        self.shelf.forget()

    def _restore(self, snapshots: Sequence[int]) -> int:
        """Put the bucket's last copy of the checkpoint in the place of the one here.

        Returns:
            The number of the last entry in it.
        """
        folder = self.folder
        for left in (folder / run_folder.SEGMENTS).glob("*"):
            left.unlink(missing_ok=True)  # they may be of other purchases than the bucket's
        target = folder / f"{run_folder.CHECKPOINT}.copy"
        if not snapshots:
            self._database.replace(None)
            return 0
        if not self.journal.fetch_snapshot(snapshots[-1], target):
            raise DiskError(
                f"the copy of the checkpoint in {self.journal.bucket.address} has just been replaced",
                hint="run the same command again",
            )
        part = part_path(target)
        try:
            with gzip.open(part) as packed, target.open("wb") as file:
                shutil.copyfileobj(packed, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
            part.unlink()
        except (OSError, EOFError) as error:
            if isinstance(error, OSError) and error.errno:
                raise disk_error(error, target) from error
            raise DiskError(f"the copy of the checkpoint is damaged: {error}") from error
        self._database.replace(target)
        return snapshots[-1]

    def _replay(self, number: int, entry: Entry, *, is_in_doubt: bool) -> None:
        """Write in the checkpoint what the journal has.

        Args:
            number: The entry's.
            entry: The entry.
            is_in_doubt: Whether its writer may have been killed before its files were there.
        """
        facts = [(_NUMBER, str(number))]
        match entry:
            case Claim():
                with self._database.transaction() as connection:
                    ledger.close_lost(connection, entry.at)
                    orders.keep(connection, facts)
            case Group():
                outcomes = entry.outcomes
                if is_in_doubt:
                    outcomes = self._find_shown(outcomes)
                settled = [
                    Settled(end=each.end, record=each.record, changes=each.changes)
                    for each in outcomes
                ]
                self.commit(**split_outcomes(settled), starts=entry.starts, facts=facts)
                self.shelf.release(file for each in outcomes for file in each.files)
            case Facts():
                Orders.keep(self.orders, dict([*entry.facts, *facts]))
            case Again():
                Orders.requeue(
                    self.orders,
                    entry.choice,
                    since=entry.since,
                    providers=entry.providers,
                    facts=facts,
                )

    def _find_shown(self, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
        """Find the outcomes whose files are there, or here to be put there."""
        shelf = self.shelf

        def is_shown(outcome: Outcome) -> bool:
            missing = [file for file in outcome.files if not shelf.is_there(file)]
            if not all(shelf.is_beside(file) for file in missing):
                return False
            shelf.put(missing)
            return True

        with ThreadPoolExecutor(_CHECKED_AT_ONCE) as pool:
            shown = list(pool.map(is_shown, outcomes))
        return tuple(each for each, is_so in zip(outcomes, shown, strict=True) if is_so)

    def renew(self) -> None:
        """Say that we go on.

        Raises:
            RunLockedError: The run is another's by now.
            BatchjobsError: The bucket cannot be used.
        """
        self.journal.say_owner(structs.replace(self.journal.owner, renewed_at=time.time()))

    def hurry(self) -> None:
        """Wait no longer than a moment for the bucket; what it did not get stands here for the next run."""
        self.journal.bucket.hurry()

    def leave_no_trace(self) -> None:
        """Take back the claim of a run that was refused before it ever began."""
        if self._is_new and self._is_claimed:
            self._is_claimed = False
            with contextlib.suppress(BatchjobsError):
                self.journal.withdraw()

    def close(self) -> None:
        """Close the file, say that we have ended, and let go of the folder."""
        if self._copying is not None:
            self._copying.join()
        if self._is_claimed:
            self._is_claimed = False
            with contextlib.suppress(BatchjobsError):
                now = time.time()
                self.journal.say_owner(
                    structs.replace(self.journal.owner, renewed_at=now, ended_at=now)
                )
        super().close()

    # -- what is written ------------------------------------------------------------------------

    def settle(self, *, starts: Sequence[AttemptStart], outcomes: Sequence[Settled]) -> list[int]:
        """Write what happened into the journal, put the files there, and only then commit it.

        Whatever a kill leaves, the journal says what was about to be there, and what is there counts.
        """
        written = [
            Outcome(
                end=outcome.end,
                record=outcome.record,
                changes=outcome.changes,
                files=tuple(self.shelf.measure(outcome.targets, outcome.parts)),
            )
            for outcome in outcomes
        ]
        token = self.journal.owner.token
        number = self.journal.append(
            Group(token=token, starts=tuple(starts), outcomes=tuple(written))
        )
        uploads = [file for outcome in written for file in outcome.files]
        if uploads:
            self.shelf.put(uploads)
            # Whoever has taken over meanwhile may not have seen them: then they are not ours to tell.
            self.shelf.check()
        facts = [(_NUMBER, str(number))]
        numbers = self.commit(**split_outcomes(outcomes), starts=starts, facts=facts)
        self.shelf.release(uploads)
        self._copy_at_times()
        return numbers

    def accept(
        self,
        record: JobRecord,
        *,
        kept: JobRecord,
        facts: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Make a suspect job done; the bucket has it once `hand_on` was called."""
        super().accept(record, kept=kept, facts=[*facts, (_AHEAD, _make_mark())])

    def review(
        self,
        decisions: Sequence[Review],
        *,
        accepted: Sequence[tuple[JobRecord, JobRecord]] = (),
        rejected: Sequence[tuple[JobRecord, JobRecord]] = (),
        facts: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Write decisions; the bucket has them once `hand_on` was called."""
        facts = [*facts, (_AHEAD, _make_mark())]
        super().review(decisions, accepted=accepted, rejected=rejected, facts=facts)

    def keep_checks(self, records: Sequence[CheckRecord]) -> None:
        """Write what a check found; the bucket has it once `hand_on` was called."""
        super().keep_checks(records)
        self._has_findings = True

    def begin_exchange(self, take: JobRecord, checks: Sequence[CheckRecord]) -> None:
        """Write that a take comes; that it is there goes into the journal, as any result does."""
        super().begin_exchange(take, checks)
        self._has_findings = True

    def forget(self, paths: Sequence[str], *, is_any: bool = False) -> None:
        """Drop what is known of results; the bucket knows it before anything there is removed."""
        Orders.keep(self.orders, {_AHEAD: _make_mark()})
        super().forget(paths, is_any=is_any)

    def disown(self, paths: Sequence[str]) -> None:
        """Drop that files were ours; the bucket knows it once `hand_on` was called."""
        Orders.keep(self.orders, {_AHEAD: _make_mark()})
        super().disown(paths)

    def hand_on(self) -> None:
        """Let the bucket have what is in no entry of the journal."""
        with self._turn:  # one that is on its way may fail, and nobody hears of it
            if self._has_findings or self.read_settings().get(_AHEAD):
                self._put_copy()

    def _copy_adopted(self) -> None:
        """Let the bucket have what was adopted: of a million rows 145 MB, so only if any is to be done.

        Otherwise no entry follows that needs these rows: whoever takes over plans anew.
        """
        if not self._has_copy or self._database.select_number(_HAS_WORK):
            self.put_copy()

    def put_copy(self) -> None:
        """Let the bucket have a copy of the checkpoint as it is, and what is older go."""
        with self._turn:  # two would delete each other's entries
            self._put_copy()

    def _put_copy(self) -> None:
        folder = self.folder
        copy = folder / f".{run_folder.CHECKPOINT}.{secrets.token_hex(4)}.copy"
        packed = copy.with_suffix(".gz")
        # Where a thread copies, whoever accepts or checks goes on: what that writes meanwhile is not in it.
        had_findings, self._has_findings = self._has_findings, False
        try:
            facts = self._database.copy_to(copy)
            number = int(facts.get(_NUMBER, 0))
            with copy.open("rb") as file, gzip.open(packed, "wb", compresslevel=1) as target:
                shutil.copyfileobj(file, target, 1 << 20)
            size = file_size(packed.stat().st_size)
            _logger.info("a copy of the checkpoint goes to the bucket: %s", size)
            self.journal.put_snapshot(number, packed)
            self._copied = (number, self.journal.bytes_written)
            self._has_copy, had_findings = True, False
            if ahead := facts.get(_AHEAD):
                with self._database.transaction() as connection:
                    orders.drop(connection, _AHEAD, ahead)
        except OSError as error:
            raise disk_error(error, packed) from error
        finally:
            self._has_findings = self._has_findings or had_findings
            copy.unlink(missing_ok=True)
            packed.unlink(missing_ok=True)

    def _copy_at_times(self) -> None:
        """Put a copy there in a thread once there is so much new that to read it takes longer."""
        number, bytes_written = self._copied
        is_due = (
            self.journal.number - number > _LEAST_ENTRIES
            or self.journal.bytes_written - bytes_written > _LEAST_BYTES
        )
        if is_due and (self._copying is None or not self._copying.is_alive()):
            self._copying = threading.Thread(target=self._copy_quietly)
            self._copying.start()

    def _copy_quietly(self) -> None:
        try:
            self.put_copy()
        except BatchjobsError as error:  # the journal has all of it
            _logger.warning("the checkpoint could not be copied: %s", error.message)

    def _guard(self) -> None:
        """See that the run is ours, and that the bucket has what made something needless here."""
        self.journal.check_ours()
        if self.read_settings().get(_AHEAD):
            self.put_copy()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run stands, and its results.

    Attributes:
        folder: The run folder.
        address: Of the results; None if they are there, too.
        mark: What the folder says of that; None if it says nothing yet.
        insecure: Whether the store may be elsewhere without TLS.
    """

    folder: Path
    address: Address | None
    mark: Mark | None
    insecure: bool


def open_run(
    folder: Path, address: Address | None = None, *, take_over: bool = False, insecure: bool = False
) -> Checkpoint:
    """Open a run folder to run in it, or to change it; its results may be in a bucket.

    Args:
        folder: The run folder.
        address: Where the results are to be; None for where they are.
        take_over: As for `open_place`.
        insecure: Whether the store may be elsewhere without TLS.

    Raises:
        RunLockedError: Another run holds the folder, or the place in the bucket.
        UsageError: The folder's results are elsewhere.
        BatchjobsError: The folder or the bucket cannot be used.
    """
    return open_place(find_place(folder, address, insecure=insecure), take_over=take_over)


def find_place(folder: Path, address: Address | None = None, *, insecure: bool = False) -> Place:
    """Find where a run stands and see that it can be used there; opens nothing and changes nothing.

    Args:
        folder: The run folder.
        address: Where the results are to be; None for where they are.
        insecure: Whether the store may be elsewhere without TLS.

    Raises:
        UsageError: The folder's results are elsewhere.
        BatchjobsError: The bucket cannot be used.
    """
    mark = read_mark(folder)
    place = address
    if mark is not None:
        place = Address.parse(mark.address)
        if address is not None and address != place:
            raise UsageError(
                f"{folder} is the run folder of {place}, not of {address}",
                hint="give another --work-folder",
            )
        insecure = insecure or mark.insecure
    elif address is not None and (folder / run_folder.CHECKPOINT).exists():
        raise UsageError(
            f"{folder} has a run of its own, whose results are not in {address}",
            hint="give another --work-folder",
        )
    if place is not None:
        probe_bucket(Bucket.open(place, is_hasty=True, insecure=insecure))
    return Place(folder=folder, address=place, mark=mark, insecure=insecure)


def open_place(place: Place, *, take_over: bool = False) -> Checkpoint:
    """Open a run where it was found.

    Args:
        place: As `find_place` gave it.
        take_over: Whether the run may be another folder's, which writes nothing more from then on.

    Raises:
        RunLockedError: Another run holds the folder, or the place in the bucket.
        BatchjobsError: The folder or the bucket cannot be used.
    """
    folder, address, mark, insecure = place.folder, place.address, place.mark, place.insecure
    if address is None:
        return Checkpoint.open(folder)
    token = mark.token if mark is not None else secrets.token_hex(16)
    database = Database.open_to_write(folder)
    try:
        if mark is None:
            mark = Mark(address=str(address), token=token, insecure=insecure)
            write_whole(folder / run_folder.BUCKET, msgspec.json.encode(mark))
        bucket = Bucket.open(address, insecure=insecure)
        journal = Journal(bucket, _make_owner(folder, token))
        checkpoint = BucketCheckpoint(database, BucketShelf(folder, lambda: bucket), journal)
    except BaseException:
        database.close()
        raise
    try:
        checkpoint.claim(take_over=take_over)
    except BaseException:
        checkpoint.close()
        raise
    return checkpoint


def refuse_unclaimed(folder: Path, address: Address, *, insecure: bool) -> None:
    """Refuse to plan a run in a bucket that is another's: here nothing is known of it.

    Args:
        folder: The run folder.
        address: Where its results are to be.
        insecure: As for `open_run`.

    Raises:
        RunLockedError: It is another's.
        BatchjobsError: The bucket cannot be used.
    """
    mark = read_mark(folder)
    owner = _make_owner(folder, "" if mark is None else mark.token)
    journal = Journal(Bucket.open(address, is_hasty=True, insecure=insecure), owner)
    history = journal.survey()
    if history and (history.owner is None or not history.owner.is_of(owner)):
        raise refuse_foreign(history, journal.bucket, time.time())


def probe_bucket(bucket: Bucket) -> None:
    """See that objects can be written and deleted there, and that conditions are held.

    Raises:
        ConfigurationError: The store writes over what is there, though it is asked not to.
        BatchjobsError: The bucket cannot be used.
    """
    name = f"{run_folder.CHECKPOINT}/probe-{secrets.token_hex(8)}"
    with contextlib.suppress(ConflictError):  # an answer was lost: nobody else has this name
        bucket.create(name, b"1")
    try:
        for e_tag in ("", '"0"'):
            try:
                if e_tag:
                    bucket.replace(name, b"2", e_tag=e_tag)
                else:
                    bucket.create(name, b"2")
            except ConflictError:
                continue
            raise ConfigurationError(
                f"the store of {bucket.address} does not hold to If-None-Match and If-Match",
                hint="two runs could write over each other's results there: use another store",
            )
    finally:
        bucket.delete([name])


def _make_mark() -> str:
    return secrets.token_hex(4)


def _make_owner(folder: Path, token: str) -> Owner:
    now = time.time()
    return Owner(
        token=token,
        host=socket.gethostname(),
        folder=str(folder.resolve()),
        pid=os.getpid(),
        since=now,
        renewed_at=now,
    )
