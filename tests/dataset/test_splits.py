"""Splits: by what a row is, so that new rows move none and equal texts stay together."""

from collections import Counter
from pathlib import Path

import pytest

import batchjobs
from batchjobs.dataset.splits import SharedTexts, Splits, hash_of, normalise_text, text_of_hash
from batchjobs.options.dataset import ExportSettings
from tests.dataset.runs import make_run
from tests.dataset.test_exporting import read_rows

SHARES = "train=80,validation=10,test=10"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("مَرْحَبًا بِكُـــم", "مرحبا بكم"),
        ("أَهلاً وسهلاً، إلى آخرِه؛", "اهلا وسهلا الي اخره"),
        ("مدرسة", "مدرسه"),
        ("ٱلله", "الله"),
        ("٤٥ و۴۵ و45", "45 و45 و45"),
        ("می\u200cخواهم لا\u200dإله", "ميخواهم لااله"),
        ("Hello,  WORLD!\n", "hello world"),
        ("naïve Straße ﬁ", "naive strasse fi"),
        ("\u202babc\u202c", "abc"),
        (" !? ", "!?"),
        ("…", "…"),
    ],
)
def test_texts_are_told_apart_by_their_letters_and_digits(text: str, plain: str) -> None:
    """What is written differently and read alike is one text; this table may never change."""
    expected = plain.replace("ی", "ي")
    assert normalise_text(text).replace("ی", "ي") == expected


def test_a_hash_is_the_same_for_ever() -> None:
    """A dataset that was split before is split the same way by every later version."""
    assert hash_of("مرحبا") == 18_056_894_135_255_601_651
    assert Splits.parse(SHARES).choose(hash_of("مرحبا")) == 2


def test_new_rows_move_none_and_equal_texts_stay_together(tmp_path: Path) -> None:
    """However the rows stand and whatever comes to them, each keeps its split."""
    rows = [
        {"id": f"{n}", "text": f"نص رقم {n % 70}{'!' * (n // 70)}", "seconds": 0.6}
        for n in range(140)
    ]
    few = make_run(tmp_path / "few", rows[::2])
    every = make_run(tmp_path / "all", reversed(rows))
    found: list[dict[object, str]] = []
    texts: dict[str, set[str]] = {}
    for run in (few, every):
        report = batchjobs.export(run, ExportSettings(split=SHARES))
        assert sum(report.splits.values()) == report.rows
        found.append({})
        for split in report.splits:
            for row in read_rows(report.path, split):
                found[-1][row["id"]] = split
                texts.setdefault(normalise_text(str(row["text"])), set()).add(split)
    assert [len(each) for each in found] == [70, 140]
    assert found[0].items() <= found[1].items()
    assert all(len(splits) == 1 for splits in texts.values())
    assert set(found[1].values()) == {"train", "validation", "test"}


def test_shares_are_kept_to_over_many_texts() -> None:
    """Of 20,000 texts each split has its part, within what chance allows."""
    splits = Splits.parse(SHARES)
    counts = Counter(splits.choose(hash_of(f"text {n}")) for n in range(20_000))
    assert [round(counts[place] / 200) for place in range(3)] == [80, 10, 10]


def test_disjoint_voices_share_no_text_either(tmp_path: Path) -> None:
    """No voice and no text is in two splits; what that leaves out is counted."""
    rows = [
        {"id": f"{v}-{t}", "text": f"text {t}", "voice_id": f"voice {v}", "seconds": 0.6}
        for v in range(8)
        for t in range(20)
    ]
    run = make_run(tmp_path / "run", rows)
    report = batchjobs.export(run, ExportSettings(split="train=50,test=50", disjoint="voice"))
    read = {split: read_rows(report.path, split) for split in report.splits}
    assert all(read.values())
    for column in ("voice", "text"):
        train, test = ({row[column] for row in read[split]} for split in ("train", "test"))
        assert not train & test
    assert report.rows + report.left_out["of a text that is in another split"] == len(rows)


def test_texts_in_several_splits_are_found_whatever_their_number() -> None:
    """Also across the pages in which they are noted; each may stay in one where it stands."""
    splits = Splits.parse("a=1,b=1,c=1")
    shared = SharedTexts(splits)
    for number in range(250_000):
        shared.note(hash_of(f"{number}"), number % 3)
    for number in range(0, 250_000, 50_000):
        shared.note(hash_of(f"{number}"), (number + 1) % 3)
    found = shared.find()
    numbers = range(0, 250_000, 50_000)
    assert found.keys() == {text_of_hash(hash_of(f"{number}")) for number in numbers}
    for number in numbers:
        assert found[text_of_hash(hash_of(f"{number}"))] in {number % 3, (number + 1) % 3}
