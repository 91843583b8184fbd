"""What a check found is kept beside the results that it was found of, and of no others."""

import sqlite3
from dataclasses import replace
from pathlib import Path

from batchjobs.checkpoint import (
    CheckedOutcome,
    Checkpoint,
    CheckRecord,
    CheckVerdict,
    ClipSigns,
    WordRun,
    describe_check,
)
from batchjobs.files.run_folder import CHECKPOINT
from tests.builders import ARABIC, TO_VERSION_4, adopt, make_file, make_record, make_row


def make_check(number: int = 1, **changes: object) -> CheckRecord:
    """Make what is found of a clip that lost a part."""
    check = CheckRecord(
        id=f"r{number}",
        sha256=f"s{number}",
        path=f"audio/r{number}.wav",
        verdict=CheckVerdict.BAD,
        reasons=("4 words are missing",),
        badness=2.5,
        cer=0.25,
        wer=0.5,
        missing=WordRun(words=ARABIC, count=4, first=2),
        heard=ARABIC,
        provider="local",
        signs=ClipSigns(seconds=1.5, level_dbfs=-20.0, peak_dbfs=-3.0),
        checked_at=5.0,
    )
    return replace(check, **changes)  # type: ignore[arg-type]


def _adopt_done(checkpoint: Checkpoint, *numbers: int) -> None:
    adopt(checkpoint, *(make_row(number) for number in (*numbers, 9)))
    for number in numbers:
        files = (make_file(f"audio/r{number}.wav", sha256=f"s{number}"),)
        checkpoint.commit(records=[make_record(number, files=files)])


def test_what_was_found_comes_back_as_it_was(folder: Path) -> None:
    """With every word and figure, beside the row and its record, for whoever only looks."""
    with Checkpoint.open(folder) as checkpoint:
        _adopt_done(checkpoint, 1, 2)
        assert not checkpoint.checks.has_any()
        assert checkpoint.checks.count() == {}
        checkpoint.keep_checks([make_check(1), make_check(1, badness=3.5)])
    with Checkpoint.read(folder) as looking:
        found = list(looking.checks.stream_outcomes())
        assert [(each.row.id, each.check) for each in found] == [
            ("r1", make_check(1, badness=3.5)),
            ("r2", None),
            ("r9", None),
        ]
        assert found[0].record is not None
        assert found[2] == CheckedOutcome(found[2].row, None, None)
        assert looking.checks.find(["r1", "r2"]) == {"r1": make_check(1, badness=3.5)}
        assert looking.checks.count() == {CheckVerdict.BAD: 1}


def test_a_clip_that_was_bought_anew_has_no_verdict(folder: Path) -> None:
    """What was found holds for the file that it was found of; both takes can be looked up."""
    with Checkpoint.open(folder) as checkpoint:
        _adopt_done(checkpoint, 1)
        take = make_check(1, sha256="other", take=1, verdict=CheckVerdict.GOOD)
        checkpoint.keep_checks([take, make_check(1)])
        assert checkpoint.checks.count() == {CheckVerdict.BAD: 1}
        new = (make_file("audio/r1.wav", sha256="other"),)
        checkpoint.commit(records=[make_record(1, files=new)])
        assert checkpoint.checks.find(["r1"]) == {"r1": take}
        newer = (make_file("audio/r1.wav", sha256="third"),)
        checkpoint.commit(records=[make_record(1, files=newer)])
        assert checkpoint.checks.find(["r1"]) == {}
        assert checkpoint.checks.find_takes("r1") == [make_check(1), take]


def test_an_earlier_run_can_be_looked_at_as_it_is(folder: Path) -> None:
    """Where nothing can have been checked yet, nothing was; its file is not touched."""
    with Checkpoint.open(folder) as checkpoint:
        _adopt_done(checkpoint, 1)
    earlier = sqlite3.connect(folder / CHECKPOINT)
    earlier.executescript(f"{TO_VERSION_4} PRAGMA wal_checkpoint;")
    earlier.close()
    with Checkpoint.read(folder) as looking:
        assert looking.checks.count() == {}
        assert [each.check for each in looking.checks.stream_outcomes()] == [None, None]
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.keep_checks([make_check(1)])
        assert checkpoint.checks.count() == {CheckVerdict.BAD: 1}


def test_results_show_it_in_plain_types() -> None:
    """Words and figures, without what the result says itself."""
    shown = describe_check(make_check())
    assert shown["verdict"] == "bad"
    assert shown["missing"] == {"words": ARABIC, "count": 4, "first": 2}
    assert "sha256" not in shown
