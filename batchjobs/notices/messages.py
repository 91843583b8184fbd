"""What is worth a message, and what stands in it."""

import time
import uuid
from collections.abc import Callable

import msgspec

from batchjobs.outputs.summary import RunSummary
from batchjobs.progress import (
    AccountLeft,
    Event,
    JobFinished,
    LimitReached,
    RunFinished,
    ServiceBack,
    ServiceLost,
)
from batchjobs.progress.events import note_of


class Notice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message.

    Attributes:
        id: Its own: a message may come twice.
        event: What happened: ``run_finished``, ``round_finished``, ``watch_finished``, ``attention``
            or ``going_on``.
        at: Unix time.
        folder: The run folder.
        reason: What needs a person, or what ended it.
        exit_code: What the run or watch ended with.
        rows: Of the manifest.
        done: Rows whose result is there.
        suspect: Rows whose result is in doubt.
        failed: Rows that failed.
        not_run: Rows without an answer.
        spent: Money by currency, over all runs in the folder.
    """

    id: str
    event: str
    at: float
    folder: str
    reason: str = ""
    exit_code: int | None = None
    rows: int | None = None
    done: int | None = None
    suspect: int | None = None
    failed: int | None = None
    not_run: int | None = None
    spent: dict[str, float] = {}


class Notifier:
    """Makes messages of what happens in a run, or in the rounds of a watch.

    Args:
        folder: The run folder.
        send: Takes a message; must be quick.
        is_watch: Whether runs are the rounds of a watch.
    """

    def __init__(
        self, folder: str, send: Callable[[bytes], None], *, is_watch: bool = False
    ) -> None:
        self._folder = folder
        self._send = send
        self._ends_as = "round_finished" if is_watch else "run_finished"
        self._has_answers = not is_watch
        self._has_ended = False

    def __call__(self, event: Event) -> None:
        """Take one event into account."""
        match event:
            case JobFinished():
                self._has_answers = True
            case LimitReached(message=reason) | ServiceLost(message=reason):
                self.call_for(reason)
            case AccountLeft(message=reason):
                self.call_for(f"{note_of(event)}: {reason}")
            case ServiceBack():
                self.tell_going_on(note_of(event))
            case RunFinished(exit_code=code, totals=totals):
                self._has_ended = True
                if self._has_answers:  # a round that did nothing is no news
                    self._put(self._ends_as, exit_code=code, totals=totals)
                    self._has_answers = self._ends_as == "run_finished"
            case _:
                pass

    def call_for(self, reason: str) -> None:
        """Say what needs a person."""
        self._put("attention", reason=reason)

    def tell_going_on(self, reason: str = "") -> None:
        """Say that what needed a person has passed."""
        self._put("going_on", reason=reason)

    def tell_end(self, event: str, exit_code: int, reason: str) -> None:
        """Say what ended a watch, or a run that never came to its end.

        Args:
            event: ``watch_finished`` or ``run_finished``.
            exit_code: What it ends with.
            reason: What ended it.
        """
        if event != self._ends_as or not self._has_ended:
            self._put(event, reason=reason, exit_code=exit_code)

    def _put(
        self,
        event: str,
        *,
        reason: str = "",
        exit_code: int | None = None,
        totals: RunSummary | None = None,
    ) -> None:
        counts = {}
        if totals is not None:
            error = totals.error
            reason = reason or ("" if isinstance(error, msgspec.UnsetType) else error)
            counts = {
                name: getattr(totals, name)
                for name in ("rows", "done", "suspect", "failed", "not_run")
            }
        notice = Notice(
            id=str(uuid.uuid4()),
            event=event,
            at=round(time.time(), 3),
            folder=self._folder,
            reason=reason,
            exit_code=exit_code,
            spent={} if totals is None else totals.spent,
            **counts,
        )
        self._send(msgspec.json.encode(notice))
