"""The segments that long jobs wait for: which jobs wait for which, and which are being bought."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from batchjobs.checkpoint import SegmentRecord
from batchjobs.jobs import Segment
from batchjobs.runner.queue import TicketQueue
from batchjobs.runner.tickets import Assemble, Buy, LongJob, Ticket


class WantedSegments:
    """Lets long jobs wait for segments, and buys each segment once for all of them.

    Args:
        queue: Where the tickets go.
    """

    def __init__(self, queue: TicketQueue) -> None:
        self._queue = queue
        self._waiting: dict[str, list[LongJob]] = {}
        self._asked: set[str] = set()
        self._settled: set[str] = set()

    def wait_for_missing(self, job: LongJob) -> None:
        """Let a job wait for its missing segments."""
        for key in job.missing:
            self._waiting.setdefault(key, []).append(job)

    def ask_for_missing(
        self,
        job: LongJob,
        *,
        lost: Mapping[str, int],
        doubted: Mapping[str, SegmentRecord] = MappingProxyType({}),
    ) -> None:
        """Buy what a job misses, the longest first: the last to end is then a short one.

        But what was lost to kills goes last: the longest would be open in every one of them, and
        count as what the process dies of.

        Bought is what has no ticket yet, also if other jobs wait for it already: they may have
        found it, where this job did not any more.

        Args:
            job: Whose segments.
            lost: How many attempts at each were lost to kills, by key.
            doubted: What is kept of those that are in doubt, by key.
        """
        job.is_cut = True
        for key in job.held:
            self._withdraw(job, key)
        missing = job.missing
        longest_first = sorted(missing.values(), key=_length, reverse=True)
        for segment in sorted(longest_first, key=lambda each: lost.get(each.key, 0)):
            if segment.key not in self._asked:
                self._asked.add(segment.key)
                step = Buy(segment=segment, is_part=True)
                kept = doubted.get(segment.key)
                self._queue.put_after(Ticket(row=job.ticket.row, step=step, kept=kept), 0.0)
        if not missing:
            self.assemble(job)

    def assemble(self, job: LongJob) -> None:
        """Let a job be put together."""
        self._queue.put_after(Ticket(row=job.ticket.row, step=Assemble(whole=job)), 0.0)

    def find_waiting(self, key: str) -> list[LongJob]:
        """Find the jobs that wait for a segment; those that have failed do not."""
        return [job for job in self._waiting.get(key, ()) if not job.is_over]

    def is_wanted(self, ticket: Ticket) -> bool:
        """Whether a ticket is still of use; a segment of jobs that have all failed is forgotten."""
        if not (isinstance(ticket.step, Buy) and ticket.step.is_part):
            return True
        if self.find_waiting(ticket.key):
            return True
        self.forget(ticket.key)
        return False

    def forget(self, key: str) -> list[LongJob]:
        """Forget a segment.

        Returns:
            The jobs that were waiting for it.
        """
        waiting = self.find_waiting(key)
        self._asked.discard(key)
        self._waiting.pop(key, None)
        return waiting

    def settle(self, key: str) -> None:
        """Remember that a segment is in doubt after all attempts of this run."""
        self._settled.add(key)

    def is_settled(self, key: str) -> bool:
        """Whether a segment is in doubt after all attempts of this run."""
        return key in self._settled

    def unsettle(self, keys: Iterable[str]) -> None:
        """Let segments in doubt be bought again, with all their attempts."""
        self._settled.difference_update(keys)

    def _withdraw(self, job: LongJob, key: str) -> None:
        """Let a job no longer wait for a segment that it has."""
        waiting = self._waiting.get(key, [])
        if job in waiting:
            waiting.remove(job)
            if not waiting:
                del self._waiting[key]


def _length(segment: Segment) -> tuple[float, int]:
    return segment.audio_seconds, len(segment.text)
