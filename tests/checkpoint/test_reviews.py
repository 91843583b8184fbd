"""Decisions of those who listened: kept, read, and about what a row asks for now."""

from pathlib import Path

import pytest

from batchjobs.checkpoint import Checkpoint, Decision, Review
from batchjobs.files.run_folder import CHECKPOINT
from tests.builders import ARABIC, TO_VERSION_4, adopt, make_row


def _make_review(number: int, decision: Decision = Decision.ACCEPT, **changes: str) -> Review:
    given = {"id": f"r{number}", "key": f"k{number}", "sha256": "5a" * 32, "note": ARABIC}
    return Review(**(given | changes), decision=decision, decided_at=3.5)


def test_the_latest_decision_about_a_row_is_kept(folder: Path) -> None:
    """A second one takes the first one's place, and notes come back to the letter."""
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, make_row(1), make_row(2))
        checkpoint.review([_make_review(1), _make_review(2)])
        checkpoint.review([_make_review(2, Decision.DROP)])
    with Checkpoint.read(folder) as checkpoint:
        assert checkpoint.reviews.find(["r2", "r1", "none"]) == {
            "r1": _make_review(1),
            "r2": _make_review(2, Decision.DROP),
        }
        assert [review.id for review in checkpoint.reviews.stream()] == ["r1", "r2"]
        assert checkpoint.reviews.find_dropped() == {"r2"}


def test_a_decision_about_what_a_row_asked_before_is_no_decision_now(folder: Path) -> None:
    """A row that was edited is to be listened to again, and a row that is gone is dropped by that."""
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, make_row(1), make_row(2))
        checkpoint.review([_make_review(1, Decision.DROP), _make_review(2, Decision.DROP)])
        adopt(checkpoint, make_row(1, key="another"))
        assert list(checkpoint.reviews.stream()) == []
        assert checkpoint.reviews.find_dropped() == set()
        assert checkpoint.reviews.find(["r1"])["r1"].key == "k1"


def test_decisions_are_written_all_or_none(folder: Path) -> None:
    """One that cannot be written leaves none of those before it."""
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, make_row(1))
        with pytest.raises(Exception, match=r"constraint|NOT NULL"):
            checkpoint.review([_make_review(1), _make_review(2, note=None)])  # type: ignore[arg-type]
        assert checkpoint.reviews.find(["r1"]) == {}


def test_a_run_of_the_version_before_can_be_looked_at_and_goes_on(folder: Path) -> None:
    """It has no decisions, and nothing is written by a look; the next run makes the table."""
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, make_row(1))
        with checkpoint._database.use() as connection:
            connection.executescript(TO_VERSION_4)
    with Checkpoint.read(folder) as checkpoint:
        content = (folder / CHECKPOINT).read_bytes()
        assert checkpoint.reviews.find(["r1"]) == {}
        assert list(checkpoint.reviews.stream()) == []
        assert [row.id for row, _ in checkpoint.rows.stream_outcomes()] == ["r1"]
    assert (folder / CHECKPOINT).read_bytes() == content
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.review([_make_review(1)])
    with Checkpoint.read(folder) as checkpoint:
        assert checkpoint.reviews.find(["r1"]) == {"r1": _make_review(1)}
