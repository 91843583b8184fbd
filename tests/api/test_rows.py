"""A manifest may be a program's own rows: the same rules, the same errors, and it goes on where it was."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import batchjobs
from tests.whole_runs import environment

ROWS: list[dict[str, object]] = [
    {"id": "تحية", "text": "السلام عليكم ورحمة الله", "فصل": 1},
    {"text": "صباح الخير يا جدتي", "speed": 1.1},
    {"id": "كتاب", "text": "هذا كتاب مفتوح", "voice_id": None},
]
EDITED = [*ROWS[:2], {**ROWS[2], "text": "هذا كتاب مغلق"}]


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> batchjobs.Options:
    """How to run rows, in an empty current folder."""
    monkeypatch.chdir(tmp_path)
    return batchjobs.Options(engine="tone", output="مجلد")


def test_rows_are_run_as_a_file_of_them_is(options: batchjobs.Options) -> None:
    """The same ids, results and columns as for the rows in a file of JSON Lines."""
    report = batchjobs.run(iter(ROWS), options).raise_for_status()
    assert (report.summary.done, report.summary.manifest) == (3, "<rows>")
    Path("صفوف.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    other = batchjobs.run("صفوف.jsonl", batchjobs.Options(engine="tone")).raise_for_status()
    told = ("id", "line", "text", "pcm_sha256", "فصل", "speed")
    given, read = (
        [[result.get(name) for name in told] for result in batchjobs.read_results(folder)]
        for folder in (report.folder, other.folder)
    )
    assert given == read
    assert batchjobs.verify(report.folder) == batchjobs.VerifyReport(checked=3)


def test_the_same_rows_continue_the_run(options: batchjobs.Options) -> None:
    """Nothing is bought twice, and what is new is bought."""
    batchjobs.run(ROWS[:2], options).raise_for_status()
    assert batchjobs.plan(ROWS, options).to_do == 1
    report = batchjobs.run(ROWS, options).raise_for_status()
    assert (report.summary.done, report.summary.attempts) == (3, 3)
    assert batchjobs.run(ROWS, options).plan.to_do == 0


def test_other_rows_replace_results_only_if_that_is_meant(options: batchjobs.Options) -> None:
    """As for rows from the standard input: a program may have taken another's folder."""
    batchjobs.run(ROWS, options).raise_for_status()
    with pytest.raises(batchjobs.errors.UsageError, match="rows that a program gave: 1 finished"):
        batchjobs.run(EDITED, options)
    again = batchjobs.Options(engine="tone", output="مجلد", replace=True)
    assert batchjobs.run(EDITED, again).raise_for_status().summary.attempts == 4


def test_a_bad_row_is_named_by_its_number(options: batchjobs.Options) -> None:
    """Nothing is bought, and no folder is left."""
    with pytest.raises(batchjobs.errors.ManifestError, match="row 3: column 'speed': 9"):
        batchjobs.run([*ROWS[:2], {"text": "سريع جدا", "speed": 9}], options)
    assert not Path("مجلد").exists()


def test_bad_rows_can_be_passed_over_and_failures_given_back(options: batchjobs.Options) -> None:
    """What `read_results` gives of a failed row is the row again, once it is mended."""
    skipping = batchjobs.Options(engine="tone", output="مجلد", skip_bad_rows=True)
    report = batchjobs.run([*ROWS, {"id": "سريع", "text": "سريع جدا", "speed": 9}], skipping)
    assert (report.summary.done, report.summary.errors) == (3, {"bad_row": 1})
    (failed,) = batchjobs.read_results(report.folder, ["failed"])
    del failed["status"]
    mended = batchjobs.run([*ROWS, failed | {"speed": 1.2}], skipping).raise_for_status()
    assert (mended.summary.done, mended.summary.attempts) == (4, 4)
    assert [result["id"] for result in batchjobs.read_results("مجلد")][-1] == "سريع"


def test_rows_need_a_run_folder() -> None:
    """They have no name after which one could be called: said with what to do."""
    with pytest.raises(batchjobs.errors.UsageError, match="rows have no name") as caught:
        batchjobs.plan(ROWS, batchjobs.Options(engine="tone"))
    assert "Options(output=…)" in caught.value.hint


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"id": "a", "text": "x"}, "of the type dict"),
        (b"id,text", "of the type bytes"),
        (5, "of the type int"),
        (None, "of the type NoneType"),
        (io.StringIO("id,text"), "a stream of text"),
    ],
)
def test_what_is_no_manifest_is_refused(
    options: batchjobs.Options, source: Any, words: str
) -> None:
    """A single row, or a file that was opened for text, is said to be that; no folder is left."""
    with pytest.raises(batchjobs.errors.UsageError, match=words):
        batchjobs.run(source, options)
    assert not Path("مجلد").exists()


def test_rows_that_end_in_an_error_leave_no_folder(options: batchjobs.Options) -> None:
    """What the program's own code raises comes out as it is, and nothing has begun."""

    def rows() -> Iterator[dict[str, object]]:
        yield ROWS[0]
        raise LookupError("no more of them")

    with pytest.raises(LookupError, match="no more"):
        batchjobs.run(rows(), options)
    assert not Path("مجلد").exists()
    batchjobs.run(ROWS, options).raise_for_status()
    with pytest.raises(LookupError, match="no more"):
        batchjobs.run(rows(), options)
    assert batchjobs.status("مجلد").done == len(ROWS)


async def test_rows_are_run_within_trio(options: batchjobs.Options) -> None:
    """`run_async` takes them too."""
    report = await batchjobs.run_async(ROWS, options)
    assert report.raise_for_status().summary.done == 3


def test_status_says_how_to_continue_with_the_same_rows(
    options: batchjobs.Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe of them does the same as the program."""
    some = batchjobs.Options(engine="tone", output="مجلد", limit=1)
    batchjobs.run(ROWS, some)
    command = [sys.executable, "-m", "batchjobs", "status", "مجلد"]
    ours = environment()
    said = subprocess.run(command, env=ours, capture_output=True, text=True, check=True).stdout
    assert "continue, with the same rows: " in said
    assert f"run - -o {Path('مجلد').absolute()}" in said.replace("'", "")
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    command = [sys.executable, "-m", "batchjobs", "run", "-", "-o", "مجلد", "--engine", "tone"]
    subprocess.run(command, env=ours, input=lines, capture_output=True, text=True, check=True)
    assert batchjobs.status("مجلد").attempts == 3


def test_rows_are_taken_one_at_a_time(options: batchjobs.Options) -> None:
    """None is held for long: a million of them take the memory of a few."""
    alive = most = 0

    class Row(dict[str, object]):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def rows() -> Iterator[Row]:
        nonlocal alive, most
        for number in range(5_000):
            alive += 1
            most = max(most, alive)
            yield Row(text=f"نص {number}")

    assert batchjobs.plan(rows(), options).rows == 5_000
    assert most <= 2
