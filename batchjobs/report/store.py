"""Decisions as they are made in a page that is served: on the disk before the page is told so."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import trio

from batchjobs.checkpoint import Checkpoint, Decision
from batchjobs.files import run_folder
from batchjobs.files.atomic import write_whole
from batchjobs.outputs.decisions import DecisionLine, read_decisions, refuse, write_decisions


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedStore:
    """Decisions that were taken up again.

    Attributes:
        store: Keeps them.
        stale: Ids of those among them that were about clips which have changed since: left out.
    """

    store: "DecisionStore"
    stale: tuple[str, ...]


class DecisionStore:
    """Keeps the decisions about a run's rows in ``review.jsonl``, which is always whole.

    Args:
        folder: The run folder.
        run: What tells the run from every other.
        clips: The hash of each row's clip, by the row's id; empty where it has none.
        lines: What was decided before.
    """

    def __init__(
        self, folder: Path, run: str, clips: Mapping[str, str], lines: Iterable[DecisionLine] = ()
    ) -> None:
        self.path = folder / run_folder.REVIEW
        self._run = run
        self._clips = clips
        self._lines = {line.id: line for line in lines}
        self._turn = trio.Lock()
        self._changes = self._saved = 0

    @classmethod
    def open(cls, checkpoint: Checkpoint, clips: Mapping[str, str]) -> OpenedStore:
        """Take up what was decided before, also about rows that the page does not show.

        Args:
            checkpoint: The run folder's, opened to look.
            clips: The hash of each shown row's clip, by the row's id.

        Raises:
            ReviewError: The file is not one of decisions, or of another run's.
            OutputError: The file cannot be written without those that are left out.
            DiskError: The disk failed or is full.
        """
        folder, run = checkpoint.folder, checkpoint.identify()
        path = folder / run_folder.REVIEW
        lines = read_decisions(path) if path.exists() else []
        refuse(path, [f"line {line.line}: is of another run" for line in lines if line.run != run])
        hidden = checkpoint.rows.find_outcomes([line.id for line in lines if line.id not in clips])
        known = dict(clips)
        for name, (_, record) in hidden.items():
            known[name] = record.files[0].sha256 if record is not None and record.files else ""
        fresh = [line for line in lines if known.get(line.id) == line.sha256]
        stale = tuple(line.id for line in lines if known.get(line.id) != line.sha256)
        if stale:
            write_whole(path, write_decisions(fresh))
        return OpenedStore(store=cls(folder, run, clips, fresh), stale=stale)

    def __len__(self) -> int:
        """Count the decisions."""
        return len(self._lines)

    def list_all(self) -> list[list[str]]:
        """List the decisions as the page takes them up: id, decision, note, hash."""
        return [[line.id, line.decision, line.note, line.sha256] for line in self._lines.values()]

    async def put(self, row: str, decision: Decision | None, note: str) -> bool:
        """Decide about a row; it is on the disk afterwards.

        Args:
            row: Its id.
            decision: What was decided; None takes back what was.
            note: What was noted.

        Returns:
            Whether there is such a row, and something to decide about it.

        Raises:
            OutputError: The file cannot be created.
            DiskError: The disk failed or is full.
        """
        if row not in self._clips:
            return False
        clip = self._clips[row]
        if decision is None:
            self._lines.pop(row, None)
        elif clip or decision is Decision.DROP:
            self._lines[row] = DecisionLine(
                run=self._run, id=row, decision=decision, note=note, sha256=clip
            )
        else:
            return False
        self._changes += 1
        asked = self._changes
        async with self._turn:
            if self._saved < asked:  # else another request has written this one's, too
                written = self._changes
                lines = list(self._lines.values())
                await trio.to_thread.run_sync(write_whole, self.path, write_decisions(lines))
                self._saved = written
        return True
