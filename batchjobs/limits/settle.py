"""How long a transcript has to stay as it is to stand: learnt from the revisions of a run."""

from typing import Final

from batchjobs.limits.quiet import QuietTime

_FULL_ONE_IN: Final = 4
"""So often a session waits in full although a shorter time is known. If a service begins to revise
late, one less than this many of its transcripts are taken too soon until it is noticed, on average.
"""


class SettleTime:
    """The settling time of one service, which may shrink as its ways become known.

    A revision is a change of a transcript that had answered the last chunk already. As with the
    quiet time of speech, after 200 sessions four times the longest pause before one is enough, never
    less than half a second nor more than what was asked, and a longer pause puts it back at once.

    What comes after our close is not read: a session that waited less shows by its silence nothing
    of what would have come. So only sessions that waited in full count as evidence, and one in four
    goes on doing so. The others still show their revisions from before the end.

    Other than with speech, nothing in a transcript tells that its last revision is missing. That is
    why a provider has to allow this.

    Args:
        asked_seconds: The provider's setting.
        shrinks: Whether it may become shorter.
    """

    def __init__(self, asked_seconds: float, *, shrinks: bool) -> None:
        self._asked_seconds = asked_seconds
        self._shrinks = shrinks
        self._quiet = QuietTime(asked_seconds)
        self._begun = 0
        self._taken_sooner = 0

    @property
    def taken_sooner(self) -> int:
        """Transcripts that were taken after less than the provider's time."""
        return self._taken_sooner

    def next_seconds(self) -> float:
        """Give the settling time for a session that begins now."""
        self._begun += 1
        is_sample = self._begun % _FULL_ONE_IN == 0
        return self._asked_seconds if is_sample or not self._shrinks else self._quiet.seconds

    def add_session(self, revision_seconds: float, *, settled_seconds: float) -> bool:
        """Learn from a session.

        Args:
            revision_seconds: The longest pause before a revision; 0 if there was none.
            settled_seconds: How long its transcript had to stand before it was taken; 0 if the
                service said itself that it was the last.

        Returns:
            Whether it shows that transcripts may have been taken too soon.
        """
        was_short = self._quiet.seconds < self._asked_seconds
        if settled_seconds >= self._asked_seconds:
            self._quiet.add_session(revision_seconds)
        else:
            self._taken_sooner += settled_seconds > 0.0
            self._quiet.add_gap(revision_seconds)
        is_short = self._quiet.seconds < self._asked_seconds
        return self._shrinks and was_short and not is_short

    def doubt(self) -> None:
        """Learn anew: something says that a transcript did not stand."""
        self._quiet.doubt()
