"""What to do next depends on the kind of run: a book is bound, a transcript in doubt is read."""

from pathlib import Path

import pytest

from batchjobs.cli.next_step import next_step, step_of_done
from batchjobs.outputs.nature import RunNature
from batchjobs.outputs.summary import RunSummary
from tests.commands import Command


def test_after_a_book_it_is_bound(command: Command, folder: Path) -> None:
    """Its manifest says that it is one; an edited copy still does."""
    Path("كتاب.txt").write_text("السلام عليكم ورحمة الله وبركاته.\n", encoding="utf-8")
    command("book", "كتاب.txt", "-o", "book.jsonl")
    run = ("run", "book.jsonl", "--engine", "tone")
    for _ in range(2):
        last = command(*run).out.splitlines()[-1]
        assert last == "next: batchjobs bind outputs/book, or edit book.jsonl and run it again"
    Path("table.csv").write_text("id,text,chapter\na,Hello,1\n")
    last = command("run", "table.csv", "--engine", "tone").out.splitlines()[-1]
    assert last.startswith("next: batchjobs verify outputs/table, or edit")


@pytest.mark.parametrize(
    ("nature", "words"),
    [
        (RunNature(has_suspect_speech=True), "listen to run/suspect, then: "),
        (RunNature(has_suspect_transcripts=True), "read run/suspect, then: "),
        (
            RunNature(has_suspect_speech=True, has_suspect_transcripts=True),
            "listen to and read run/suspect, then: ",
        ),
    ],
)
def test_what_is_in_doubt_is_listened_to_or_read(nature: RunNature, words: str) -> None:
    """Nobody listens to a text."""
    summary = RunSummary(rows=2, done=1, suspect=1)
    assert next_step(summary, "batchjobs run m", "run", nature, is_out=False).startswith(words)


def test_rows_from_a_pipe_are_not_edited() -> None:
    """There is no file that could be."""
    assert step_of_done("run", "-", RunNature()).endswith("verify run")
