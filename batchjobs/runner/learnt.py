"""What a run learns of a service, by whichever of its accounts: its voices, its manners, whether it works."""

from batchjobs.limits import QuietTime, SettleTime
from batchjobs.plausibility.clips import SpeechRates
from batchjobs.plausibility.transcripts import TranscriptRates
from batchjobs.providers import Provider


class Learnt:
    """What a run learns of one provider.

    Args:
        provider: Which.
    """

    def __init__(self, provider: Provider) -> None:
        self.quiet = QuietTime(provider.quiet_seconds)
        self.settle = SettleTime(provider.settle_seconds, shrinks=provider.settle_shrinks)
        self.speech_rates = SpeechRates()
        self.transcript_rates = TranscriptRates()
        self.is_proven = False
        """Whether it has done useful work in this run."""
        self.was_reached = False
        """Whether it has taken any session in this run."""
        self.mute_keys: set[str] = set()
        """Texts that it took and left without any audio, before it was proven."""
        self.has_spoken = False
        """Whether it has given results to earlier runs in the folder."""
