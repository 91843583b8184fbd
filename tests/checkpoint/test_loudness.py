"""How loud files are: kept until they are measured anew."""

from dataclasses import replace
from pathlib import Path

from batchjobs.checkpoint import Checkpoint, LoudnessRecord
from tests.builders import TO_VERSION_4, adopt, make_row

RECORD = LoudnessRecord(
    path="audio/الأول.wav",
    bytes=10,
    modified_ns=1_700_000_000_123_456_789,
    method=1,
    peak=0.25,
    peak_seconds=1.5,
    counts=b"\0\xff",
)


def test_what_was_measured_last_is_kept(folder: Path) -> None:
    """To the byte, also after the file is closed."""
    other = replace(RECORD, path="b")
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.keep_loudness([RECORD, other])
        checkpoint.keep_loudness([replace(other, bytes=11)])
    with Checkpoint.read(folder) as checkpoint:
        found = checkpoint.loudness.find_all()
    assert found == {RECORD.path: RECORD, "b": replace(other, bytes=11)}


def test_a_report_stays_valid(folder: Path) -> None:
    """Nothing of the run has changed."""
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.keep_report("report")
        checkpoint.keep_loudness([RECORD])
        assert checkpoint.read_report() == "report"


def test_a_run_of_the_version_before_has_none(folder: Path) -> None:
    """It can be looked at; who writes makes the table."""
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, make_row(1))
        with checkpoint._database.use() as connection:
            connection.executescript(TO_VERSION_4)
    with Checkpoint.read(folder) as checkpoint:
        assert checkpoint.loudness.find_all() == {}
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.keep_loudness([RECORD])
        assert checkpoint.loudness.find_all() == {RECORD.path: RECORD}
