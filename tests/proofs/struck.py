"""What the kills of a run have cost: its server's ledger held against its checkpoint and its files."""

import contextlib
import sqlite3
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import batchjobs
from batchjobs.files.run_folder import CHECKPOINT
from tests.faults.oracle import Work, sha256_of
from tests.whole_runs import ledger_of

COMMIT_SECONDS: Final = 0.5
"""A result stands in the checkpoint so long after its session at the latest: until then it is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session, as the server saw it."""

    began: float
    ended: float
    text: str
    is_whole: bool
    characters: int


def read_sessions(ledger: Path) -> list[Session]:
    """Read what the server has written, a session for each that began."""
    begun: dict[int, float] = {}
    sessions = []
    for line in ledger_of(ledger):
        if line["event"] == "start":
            begun[line["session"]] = line["time"]
            continue
        sessions.append(
            Session(
                began=begun.pop(line["session"]),
                ended=line["time"],
                text=line["text_sha256"],
                is_whole=line["complete"],
                characters=line["characters"],
            )
        )
    endless = [
        Session(began=at, ended=float("inf"), text="", is_whole=False, characters=0)
        for at in begun.values()
    ]
    return sorted([*sessions, *endless], key=lambda session: session.began)


def read_checkpoint(folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Ask the checkpoint of a run, whoever else has it open; nothing if it is not there yet."""
    uri = f"file:{folder / CHECKPOINT}?mode=ro"
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(uri, uri=True)) as database,
    ):
        return database.execute(query).fetchall()
    return []


def done_in(folder: Path) -> set[str]:
    """The ids of the jobs that are done."""
    return {row[0] for row in read_checkpoint(folder, "SELECT id FROM jobs WHERE status = 'done'")}


@dataclass(slots=True, kw_only=True)
class Watched:
    """What is seen of a run while it is killed.

    Attributes:
        kills: When, and what.
        pauses: From when to when who knew of all sessions stood still.
        seen_done: For each text, when it was first seen done.
        wrong: Broken bounds.
    """

    kills: list[tuple[float, str]] = field(default_factory=list)
    pauses: list[tuple[float, float]] = field(default_factory=list)
    seen_done: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def look(self, folder: Path, work: Work) -> None:
        """Look at what is done by now; a job that was done stays it."""
        done = {work.sold[name] for name in done_in(folder)}
        now = time.time()
        lost = self.seen_done.keys() - done
        if lost and done:  # a checkpoint that is being opened may give no answer
            self.wrong.append(f"{len(lost)} jobs were done and are not any more")
        for text in done:
            self.seen_done.setdefault(text, now)


def _holds(path: Path, content: str) -> bool:
    return path.exists() and sha256_of(path) == content


def judge(watched: Watched, folder: Path, work: Work, ledger: Path) -> Mapping[str, object]:
    """Hold what the server saw against what the run says."""
    sessions = read_sessions(ledger)
    wrong = watched.wrong
    bought: defaultdict[str, list[Session]] = defaultdict(list)
    for session in sessions:
        if session.characters:
            bought[session.text].append(session)
    again = [s for s in sessions if s.began > watched.seen_done.get(s.text, float("inf"))]
    if again:
        wrong.append(f"{len(again)} sessions for work that was done already")
    lost = [text for text in work.sold.values() if not any(s.is_whole for s in bought[text])]
    if lost:
        wrong.append(f"{len(lost)} texts were never spoken to their end")
    repeated = sum(len(several) - 1 for several in bought.values() if several)
    spans = [*watched.pauses, *((at, at) for at, _ in watched.kills)]
    struck = sum(
        sum(s.began <= until and s.ended > since - COMMIT_SECONDS for s in sessions)
        for since, until in spans
    )
    if repeated > struck:
        wrong.append(f"{repeated} sessions repeated, and {struck} were open at the kills")
    done = done_in(folder)
    if len(done) != work.rows:
        wrong.append(f"{work.rows - len(done)} rows are not done at the end")
    ((attempts,),) = read_checkpoint(folder, "SELECT count(*) FROM attempts") or [(0,)]
    if attempts < len(sessions):
        wrong.append(f"{len(sessions)} sessions, but {attempts} attempts on the disk")
    bad = [path for path, content in work.contents.items() if not _holds(folder / path, content)]
    bad += [str(found) for found in batchjobs.verify(folder).wrong]
    bad += map(str, folder.rglob("*.part"))
    if bad:
        wrong.append(f"{len(bad)} files missing, wrong, or left behind: {', '.join(bad[:3])} …")
    return {
        "jobs done": len(done),
        "sessions": len(sessions),
        "bought again once they were done": len(again),
        "repeated": repeated,
        "open at the kills": struck,
        "kills of workers": sum(what == "worker" for _, what in watched.kills),
        "kills of the owner": sum(what == "owner" for _, what in watched.kills),
        "kills of the scheduler": sum(what == "scheduler" for _, what in watched.kills),
    }
