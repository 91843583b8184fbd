"""Scores of clips are kept with what a check found, and each is computed once."""

from pathlib import Path
from typing import ClassVar

import pytest

import batchjobs
from batchjobs import Options
from batchjobs.api import scoring
from batchjobs.checkpoint import SpeechScores
from batchjobs.quality.dnsmos import Dnsmos
from tests.whole_runs import results

ROWS = [
    {"id": "clean", "text": "السَّلامُ عَلَيْكُمْ وَرَحْمَةُ اللهِ وَبَرَكاتُهُ"},
    {"id": "other", "text": "صباح الخير، كيف حالك اليوم يا صديقي؟"},
]


class Counting(Dnsmos):
    """The model, and which clips it was asked about."""

    asked: ClassVar[list[str]] = []

    def score(self, path: Path) -> SpeechScores:
        """Note the clip, and score it."""
        self.asked.append(path.name)
        return super().score(path)


def _overall(folder: Path) -> dict[str, float | None]:
    found = {}
    for line in results(folder):
        scores = (line["check"]["signs"] or {}).get("scores")
        found[line["id"]] = None if scores is None else scores["overall"]
    return found


def test_scores_are_asked_for_computed_once_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `quality` none; with it one a clip; a later check without it forgets none."""
    monkeypatch.setattr(scoring, "Dnsmos", Counting)
    Counting.asked.clear()
    folder = tmp_path / "run"
    assert batchjobs.run(ROWS, Options(output=folder, engine="tone")).exit_code == 0
    batchjobs.check(folder)
    assert _overall(folder) == {"clean": None, "other": None}
    batchjobs.check(folder, quality=True)
    scored = _overall(folder)
    assert all(score is not None and 1 <= score <= 5 for score in scored.values())
    assert sorted(Counting.asked) == ["clean.wav", "other.wav"]
    batchjobs.check(folder, quality=True)
    batchjobs.check(folder)
    assert _overall(folder) == scored
    assert len(Counting.asked) == 2


def test_a_clip_that_cannot_be_read_has_no_score(tmp_path: Path) -> None:
    """The others have theirs."""
    folder = tmp_path / "run"
    assert batchjobs.run(ROWS, Options(output=folder, engine="tone")).exit_code == 0
    (folder / "audio" / "clean.wav").write_bytes(b"RIFF")
    batchjobs.check(folder, quality=True)
    scored = _overall(folder)
    assert scored["clean"] is None
    assert scored["other"] is not None
