"""What was decided in a run's page is carried out: all of it, or nothing."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchjobs import config
from batchjobs.checkpoint import (
    Checkpoint,
    Decision,
    JobRecord,
    Outcome,
    Review,
    Row,
    SegmentChanges,
    Settled,
)
from batchjobs.custody.checkpoint import open_run
from batchjobs.errors import BatchjobsError
from batchjobs.files.atomic import part_path
from batchjobs.jobs import Status
from batchjobs.outputs import decided, reports, reuse
from batchjobs.outputs.decisions import DecisionLine, read_decisions, refuse
from batchjobs.outputs.sweep import sweep
from batchjobs.providers import Provider

_LOOKED_UP_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewReport:
    """What was carried out.

    Attributes:
        accepted: Ids of the jobs that were suspect, and are done now.
        confirmed: Ids of the jobs that were done, and are said to be good.
        rejected: Ids of the jobs that the next run buys again.
        rejected_with: Ids of others that hold the very sound, or transcript, of a rejected one: it
            was bought once for all of them, and is bought once again.
        dropped: Ids of the rows that exports leave out from now on.
        known: How many decisions had been carried out before.
    """

    accepted: tuple[str, ...] = ()
    confirmed: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    rejected_with: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    known: int = 0


def review(
    folder: str | Path, decisions: str | Path, *, config_file: Path | None = None
) -> ReviewReport:
    """Carry out what was decided in a run's page, all of it or nothing.

    What was accepted and in doubt is done. What was rejected is bought again by the next run, with
    as many attempts and under the same budget as any purchase; until then it is kept among what is
    in doubt. Rows that were dropped are left out of exports. Nothing is bought here.

    Args:
        folder: The run folder.
        decisions: The file, as the page has saved it.
        config_file: Where prices are set, for the summary; None means ``batchjobs.toml`` here.

    Raises:
        NoRunError: There is no run in the folder.
        RunLockedError: A run is going on in it.
        ReviewError: The file is of another run, or a line of it is not whole, names a row that is
            not there, or is about a clip that has changed since; nothing is changed.
        OutputError: A file cannot be created; nothing is changed.
        DiskError: The disk failed or is full; nothing is changed.
    """
    providers = config.load(config_file).providers
    folder, path = Path(folder), Path(decisions)
    lines = read_decisions(path)
    Checkpoint.read(folder).close()  # to open it for writing would make one
    with open_run(folder) as checkpoint:
        desk = _Desk(checkpoint, path)
        desk.look_up(lines)
        desk.add_twins()
        refuse(path, desk.problems)
        if desk.reviews:
            desk.carry_out()
        # One that was killed may have left this to do.
        if desk.reviews or not checkpoint.read_report():
            _conclude(checkpoint, providers)
    return desk.report()


def _conclude(checkpoint: Checkpoint, providers: Mapping[str, Provider]) -> None:
    checkpoint.hand_on()
    sweep(checkpoint)
    reports.write_again(checkpoint, providers)


@dataclass(slots=True)
class _Desk:
    """Decisions on their way from the file to the checkpoint."""

    checkpoint: Checkpoint
    path: Path
    problems: list[str] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    accepted: list[tuple[Row, JobRecord]] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    rejected: dict[str, tuple[Row, JobRecord, str]] = field(default_factory=dict)
    rejected_with: list[str] = field(default_factory=list)
    known: int = 0

    # -- what is asked --------------------------------------------------------------------------

    def look_up(self, lines: Sequence[DecisionLine]) -> None:
        """Find what every line is about, and what is wrong with it."""
        run = self.checkpoint.identify()
        for start in range(0, len(lines), _LOOKED_UP_AT_ONCE):
            page = lines[start : start + _LOOKED_UP_AT_ONCE]
            ids = [line.id for line in page]
            outcomes = self.checkpoint.rows.find_outcomes(ids)
            before = self.checkpoint.reviews.find(ids)
            for line in page:
                if line.run != run:
                    self._complain(line, "is of another run")
                elif (outcome := outcomes.get(line.id)) is None:
                    self._complain(line, f"there is no job '{line.id}' in this run")
                elif _is_known(line, outcome.row, before.get(line.id)):
                    self.known += 1
                elif problem := self._find_problem(line, outcome):
                    self._complain(line, problem)
                else:
                    self._take(line, outcome)

    def _complain(self, line: DecisionLine, problem: str) -> None:
        self.problems.append(f"line {line.line}: {problem}")

    def _find_problem(self, line: DecisionLine, outcome: Outcome) -> str:
        """Say why a decision cannot be carried out; empty if it can."""
        record = outcome.record
        if record is None or not record.files:
            if line.decision is Decision.DROP and not line.sha256:
                return ""
            return f"'{line.id}' has no result by now"
        if record.files[0].sha256 != line.sha256:
            return f"'{line.id}' has another clip by now than the one that was listened to"
        with self.checkpoint.shelf.holding(file.path for file in record.files) as place:
            changes = reuse.find_changes(place, record.files)
        if changes:
            return f"the clip of '{line.id}' has changed since: {changes[0]}"
        is_accepted = line.decision is Decision.ACCEPT and record.status is Status.SUSPECT
        if is_accepted and not record.can_become(outcome.row.output):
            return f"'{line.id}' is kept in a format that cannot become the one asked for by now"
        return ""

    def _take(self, line: DecisionLine, outcome: Outcome) -> None:
        row, record = outcome
        self.reviews.append(
            Review(
                id=row.id,
                key=row.key,
                sha256=line.sha256,
                decision=line.decision,
                note=line.note,
                decided_at=time.time(),
            )
        )
        if record is None:
            return
        match line.decision:
            case Decision.ACCEPT if record.status is Status.SUSPECT:
                self.accepted.append((row, record))
            case Decision.ACCEPT:
                self.confirmed.append(row.id)
            case Decision.REJECT:
                self.rejected[row.id] = (row, record, line.note)
            case Decision.DROP:
                pass

    def add_twins(self) -> None:
        """Reject what holds the same sound as a rejected one: its copy would take the new one's place."""
        keys = list({row.key: None for row, _, _ in self.rejected.values()})
        notes = {row.key: (row.id, note) for row, _, note in self.rejected.values()}
        good = {row.id for row, _ in self.accepted} | set(self.confirmed)
        for start in range(0, len(keys), _LOOKED_UP_AT_ONCE):
            for row, record in self.checkpoint.rows.find_twins(
                keys[start : start + _LOOKED_UP_AT_ONCE]
            ):
                if row.id in self.rejected or record is None:
                    continue
                other, note = notes[row.key]
                if row.id in good:
                    self.problems.append(
                        f"'{row.id}' is accepted, and '{other}', its copy, rejected"
                    )
                self.rejected[row.id] = (row, record, note)
                self.rejected_with.append(row.id)

    # -- what is done ---------------------------------------------------------------------------

    def carry_out(self) -> None:
        """Put files in their places and write it down; if that fails, nothing of it has happened."""
        targets: list[Path] = []
        paths: list[str] = []
        try:
            accepted = list(self._prepare_accepted(targets))
            rejected = self._prepare_rejected(targets)
            # From here on a kill that leaves a file there leaves ours.
            self._claim(SegmentChanges(assembling=record.id) for record, _ in accepted)
            root = self.checkpoint.folder.resolve()
            paths += [str(target.relative_to(root)) for target in targets]
            self.checkpoint.shelf.publish(targets)
            self.checkpoint.review(self.reviews, accepted=accepted, rejected=rejected)
        except BaseException:
            for target in targets:
                with contextlib.suppress(OSError):
                    part_path(target).unlink(missing_ok=True)
            with contextlib.suppress(BatchjobsError):  # the first error is the one to raise
                if not self._has_happened():
                    self.checkpoint.shelf.remove(paths)
            raise

    def _has_happened(self) -> bool:
        """Whether all of it is written: a Ctrl-C that comes while the commit syncs is raised behind it."""
        first = self.reviews[0]
        return self.checkpoint.reviews.find([first.id]).get(first.id) == first

    def _claim(self, changes: Iterable[SegmentChanges]) -> None:
        """Say of files that are about to be there that they are ours."""
        outcomes = [Settled(changes=each) for each in changes]
        self.checkpoint.settle(starts=(), outcomes=outcomes)

    def _prepare_accepted(self, parts: list[Path]) -> Iterator[tuple[JobRecord, JobRecord]]:
        """Write the files of what was accepted beside their places."""
        for row, kept in self.accepted:
            prepared = decided.prepare_acceptance(self.checkpoint, row, kept)
            if prepared is None:  # within the last moments
                refuse(self.path, [f"the clip of '{row.id}' has changed since"])
                continue
            record, written = prepared
            parts += written.targets
            yield record, kept

    def _prepare_rejected(self, targets: list[Path]) -> list[tuple[JobRecord, JobRecord]]:
        """Let what was rejected stand among what is in doubt, too."""
        changed = []
        for row, former, note in self.rejected.values():
            if former.status is Status.SUSPECT and decided.is_rejected(former):
                continue
            output = decided.choose_kept_path(self.checkpoint, row, former)
            changed.append((decided.prepare_rejection(former, output, note), former))
        paths = tuple(file.path for record, _ in changed for file in record.files)
        self._claim([SegmentChanges(expected=paths)])
        for record, former in changed:
            targets += decided.link_files(self.checkpoint.shelf, former, record)
        return changed

    def report(self) -> ReviewReport:
        """Say what was carried out."""
        twins = set(self.rejected_with)
        return ReviewReport(
            accepted=tuple(row.id for row, _ in self.accepted),
            confirmed=tuple(self.confirmed),
            rejected=tuple(name for name in self.rejected if name not in twins),
            rejected_with=tuple(self.rejected_with),
            dropped=tuple(one.id for one in self.reviews if one.decision is Decision.DROP),
            known=self.known,
        )


def _is_known(line: DecisionLine, row: Row, before: Review | None) -> bool:
    """Whether a decision was carried out before: whatever came of it since is not to be undone."""
    return before is not None and (before.key, before.decision, before.note, before.sha256) == (
        row.key,
        line.decision,
        line.note,
        line.sha256,
    )
