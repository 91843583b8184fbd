"""The totals of a run add up."""

from pathlib import Path

from batchjobs.checkpoint import Checkpoint
from batchjobs.jobs import Kind
from tests.builders import adopt, make_end, make_failed_record, make_record, make_row, make_start


def test_totals_add_up(folder: Path) -> None:
    """Rows are done, failed or not run; only outcomes of what is asked now count."""
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, *(make_row(number) for number in range(1, 8)))
        numbers = checkpoint.commit(starts=[make_start(number) for number in range(1, 6)])
        ends = [
            make_end(numbers[0], "done", characters=10),
            make_end(numbers[1], "done", audio_seconds=2.5),
            make_end(numbers[2], "timeout", characters=7, code="x", message="y"),
            make_end(numbers[3], "done", characters=3),
        ]
        records = [
            make_record(1),
            make_record(2, kind=Kind.STT, audio_seconds=2.5, error_class="no_speech"),
            make_failed_record(3, error_class="timeout"),
            make_failed_record(4, error_class="timeout"),
            make_failed_record(5),
            make_record(6, key="what was asked before"),
            make_record(9),
        ]
        checkpoint.commit(ends=ends, records=records)
        totals = checkpoint.totals.count_rows()
        sent = checkpoint.totals.sum_sent()
    assert (totals.rows, totals.done, totals.failed, totals.not_run) == (7, 2, 3, 2)
    assert totals.no_speech == 1
    assert totals.errors == {"timeout": 2, "permanent": 1}
    assert list(totals.errors) == ["timeout", "permanent"]
    assert totals.characters_sent == 20
    assert totals.audio_seconds_sent == 2.5
    assert totals.audio_seconds == 4.0
    assert (totals.attempts, totals.attempts_lost) == (5, 0)
    assert sorted(sent) == [("local", False, 7, 0.0), ("local", True, 13, 2.5)]
