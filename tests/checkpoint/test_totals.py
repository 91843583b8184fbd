"""The totals of a run add up."""

from pathlib import Path

from batchjobs.checkpoint import Checkpoint, SentTotal
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
    assert sorted(sent) == [
        SentTotal("local", False, 7, 0.0, 0.0),
        SentTotal("local", True, 13, 2.5, 2.5),
    ]
    assert totals.audio_seconds_billed == 0.0


def test_what_a_service_says_that_it_billed_is_what_is_paid(folder: Path) -> None:
    """Where it says nothing, what was sent is; a receipt of nothing is one, too."""
    with Checkpoint.open(folder) as checkpoint:
        numbers = checkpoint.commit(starts=[make_start(number) for number in range(1, 5)])
        ends = [
            make_end(numbers[0], "done", audio_seconds=10.0, billed_seconds=9.5),
            make_end(numbers[1], "done", audio_seconds=3.0, billed_seconds=0.0),
            make_end(numbers[2], "timeout", audio_seconds=7.0),
        ]
        checkpoint.commit(ends=ends)
        totals = checkpoint.totals.count_rows()
        sent = checkpoint.totals.sum_sent()
        spent = checkpoint.totals.sum_spent()
    assert (totals.audio_seconds_sent, totals.audio_seconds_billed) == (20.0, 9.5)
    assert sorted(sent) == [
        SentTotal("local", False, 0, 7.0, 7.0),
        SentTotal("local", True, 0, 13.0, 9.5),
    ]
    assert sum(each.paid_seconds for each in spent) == 16.5
