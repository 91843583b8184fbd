"""What a dataset sums up to: of each piece as it is written, and of all of them for the card."""

from collections.abc import Iterator

import msgspec

from batchjobs.dataset.clips import Clip
from batchjobs.dataset.rows import LeftOut
from batchjobs.dataset.samples import Sample

_MOST_NAMED = 100


class Share(msgspec.Struct):
    """A part of a dataset: its rows, and how long they are together."""

    rows: int = 0
    seconds: float = 0.0


class Totals(msgspec.Struct, kw_only=True):
    """Sums over rows.

    Attributes:
        rows: How many are in the dataset.
        seconds: How long they are together.
        voices: Shares by voice.
        languages: Shares by language.
        services: Shares by service and model.
        sample_rates: Shares by sample rate, in hertz.
        endings: Shares by the ending of the clip's file.
        verdicts: Shares by what a check found; empty for those that were not checked.
        made: How many clips are others than the run's own files.
        changed_texts: How many texts had to be changed for the form.
        left_out: How many rows were left out as their clips were looked at, by the reason.
        damaged: Ids of rows whose file was missing or changed; the first hundred.
    """

    rows: int = 0
    seconds: float = 0.0
    voices: dict[str, Share] = {}
    languages: dict[str, Share] = {}
    services: dict[str, Share] = {}
    sample_rates: dict[str, Share] = {}
    endings: dict[str, Share] = {}
    verdicts: dict[str, Share] = {}
    made: int = 0
    changed_texts: int = 0
    left_out: dict[str, int] = {}
    damaged: list[str] = []

    def add(self, sample: Sample, clip: Clip) -> None:
        """Count a row that is in the dataset."""
        seconds = clip.seconds
        self.rows += 1
        self.seconds += seconds
        self.made += clip.is_made
        _count(self.voices, sample.voice, seconds)
        _count(self.languages, sample.language, seconds)
        _count(self.services, f"{sample.provider} {sample.model}", seconds)
        _count(self.sample_rates, str(clip.sample_rate), seconds)
        _count(self.endings, clip.ending, seconds)
        _count(self.verdicts, sample.verdict, seconds)

    def leave_out(self, sample: Sample, reason: LeftOut) -> None:
        """Count a row that is not."""
        self.left_out[reason.name] = self.left_out.get(reason.name, 0) + 1
        if reason is LeftOut.DAMAGED and len(self.damaged) < _MOST_NAMED:
            self.damaged.append(sample.id)

    def merge(self, other: "Totals") -> None:
        """Count what another has counted."""
        self.rows += other.rows
        self.seconds += other.seconds
        self.made += other.made
        self.changed_texts += other.changed_texts
        for mine, theirs in zip(self._shares(), other._shares(), strict=True):  # noqa: SLF001
            for name, share in theirs.items():
                known = mine.setdefault(name, Share())
                known.rows += share.rows
                known.seconds += share.seconds
        for reason, count in other.left_out.items():
            self.left_out[reason] = self.left_out.get(reason, 0) + count
        self.damaged += other.damaged[: _MOST_NAMED - len(self.damaged)]

    def _shares(self) -> Iterator[dict[str, Share]]:
        yield from (self.voices, self.languages, self.services)
        yield from (self.sample_rates, self.endings, self.verdicts)


def _count(shares: dict[str, Share], name: str, seconds: float) -> None:
    share = shares.get(name)
    if share is None:
        share = shares[name] = Share()
    share.rows += 1
    share.seconds += seconds
