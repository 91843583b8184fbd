"""How long a line has to be silent to mean the end: learnt from the gaps within the audio."""

from typing import Final

_LEAST_SECONDS: Final = 0.5
_GAPS: Final = 4.0
"""So many times the longest gap seen is more than any gap to come, if the service stays as it is."""
_SESSIONS: Final = 200


class QuietTime:
    """The quiet time of one service, which may shrink as its ways become known.

    After 200 sessions it is four times the longest gap seen in the middle of audio, never less than
    half a second nor more than what was asked. Whatever speaks against it, a suspect result or audio
    after a silence that was taken for the end, puts it back: it is learnt from 200 sessions anew,
    and the longest gap stays known.

    Args:
        asked_seconds: The provider's setting.
    """

    def __init__(self, asked_seconds: float) -> None:
        self._asked_seconds = asked_seconds
        self._longest_seconds = 0.0
        self._sessions = 0

    @property
    def seconds(self) -> float:
        """The quiet time for a session that begins now."""
        if self._sessions < _SESSIONS:
            return self._asked_seconds
        return min(self._asked_seconds, max(_LEAST_SECONDS, _GAPS * self._longest_seconds))

    def add_session(self, longest_gap_seconds: float) -> None:
        """Learn from a whole session.

        Args:
            longest_gap_seconds: Between two of its messages of audio, also after a silence that was
                taken for the end.
        """
        self.add_gap(longest_gap_seconds)
        self._sessions += 1

    def add_gap(self, gap_seconds: float) -> None:
        """Learn from a gap in a session that shows nothing more."""
        if gap_seconds >= self.seconds:
            self.doubt()
        self._longest_seconds = max(self._longest_seconds, gap_seconds)

    def doubt(self) -> None:
        """Learn anew: something says that a silence was not the end."""
        self._sessions = 0
