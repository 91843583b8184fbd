"""What a choice takes becomes a manifest, and what is bought of it is bought once."""

import json
from pathlib import Path

import pytest

import batchjobs
from batchjobs.api.selection import write_selection
from tests.whole_runs import batchjobs as run_command
from tests.whole_runs import summary

TEXTS = {
    "007": "السَّلامُ عَلَيْكُمْ",
    "1e5": "السلام عليكم",
    "twice": "السلام عليكم السلام عليكم",
    "quoted": 'قال: «"نعم", ثم لا»',
    "joined": "می\u200cخواهم جميـــلة",
}


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A manifest with ids, a mood and a text in a file."""
    path = tmp_path / "lib.jsonl"
    (tmp_path / "page.txt").write_text("نص في ملف", encoding="utf-8")
    rows = [{"id": name, "text": text, "mood": "calm"} for name, text in TEXTS.items()]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    lines.append(json.dumps({"id": "page", "text_file": "page.txt"}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_chosen_rows_keep_their_columns(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids, texts, files and columns of the user's are as they were; the plan says what they cover."""
    monkeypatch.chdir(library.parent)
    made = write_selection(library, batchjobs.Options(select="coverage"))
    assert made.path == library.with_name("lib.coverage.jsonl")
    rows = [json.loads(line) for line in made.path.read_text("utf-8").splitlines()]
    assert {row["id"] for row in rows} == {"007", "1e5", "quoted", "joined", "page"}
    for row in rows:
        assert row == (
            {"id": "page", "text_file": "page.txt"}
            if row["id"] == "page"
            else {"id": row["id"], "text": TEXTS[row["id"]], "mood": "calm"}
        )
    coverage = made.plan.coverage
    assert coverage is not None
    assert (coverage.rows, coverage.of_rows) == (5, 6)
    assert coverage.pairs == coverage.of_pairs


def test_a_file_that_is_there_is_not_written_over(library: Path) -> None:
    """Nor is one written where rows' paths would mean something else."""
    options = batchjobs.Options(select="coverage", output=library.parent / "out")
    there = library.with_name("mine.jsonl")
    there.write_text("mine")
    with pytest.raises(batchjobs.errors.OutputError, match="is there already"):
        write_selection(library, options, there)
    assert there.read_text() == "mine"
    write_selection(library, options, there, replace=True)
    assert there.read_text() != "mine"
    with pytest.raises(batchjobs.errors.UsageError, match="not in the manifest's folder"):
        write_selection(library, options, library.parent / "out" / "x.jsonl")


def test_the_whole_manifest_buys_only_what_was_not_chosen(library: Path) -> None:
    """The command that `plan` names runs the choice; the manifest then goes on in the same folder."""
    folder = library.parent
    said = run_command(
        "plan", library, "--select", "coverage", "--engine", "tone", cwd=folder
    ).stdout
    step = next(line for line in said.splitlines() if line.startswith("next: "))
    words = step.split("batchjobs ", 1)[1].split()
    assert words[0] == "run"
    run_command(*words, cwd=folder)
    plan = run_command("plan", library, "--engine", "tone", "-o", "outputs/lib", cwd=folder).stdout
    assert "5  done" in plan
    assert "1  new" in plan


def test_what_was_spent_in_the_folder_is_not_spent_again(library: Path) -> None:
    """A limit is over all runs in a folder: the second choice has what the first one left."""
    folder, limit = library.parent, ("--select", "coverage", "--max-characters")
    run_command("run", library, *limit, 20, "--engine", "tone", cwd=folder)
    sent = summary(folder / "outputs" / "lib")["characters_sent"]
    assert 0 < sent <= 20
    more = ("plan", library, "--engine", "tone", *limit)
    told = run_command(*more, 20, cwd=folder).stdout
    assert "chosen: 0 of" in told
    assert told.splitlines()[-1].startswith("nothing was chosen: ")  # and no command that runs it
    assert "next: " not in told
    assert "chosen: 0 of" not in run_command(*more, 60, "--force", cwd=folder).stdout


def test_a_pilot_says_what_all_of_it_would_be(library: Path) -> None:
    """Its rows are part of the whole: the run that does the rest finds them done."""
    folder = library.parent
    done = run_command("run", library, "--pilot", "50%", "--engine", "tone", cwd=folder).stdout
    assert "pilot: 4 of 6 jobs" in done
    assert "bad clips: 0 of 4 failed or are in doubt" in done
    whole = done.splitlines()[-1]
    assert whole.startswith("all of it, without what is done: ")
    assert "--pilot" not in whole
    words = whole.split("batchjobs ", 1)[1].split()
    assert "6 of 6 jobs done" in run_command(*words, cwd=folder).stdout


@pytest.mark.parametrize("given", ["1", "0%", "101%", "x%", "nan%"])
def test_what_is_no_percentage_is_refused(library: Path, given: str) -> None:
    """Before anything is looked at."""
    done = run_command("plan", library, "--pilot", given, cwd=library.parent, expect=None)
    assert done.returncode in {2, 78}
    assert "percentage" in done.stderr


def test_a_sample_of_a_choice_is_refused(library: Path) -> None:
    """Both choose rows."""
    options = batchjobs.Options(select="coverage", pilot=0.5, output=library.parent / "out")
    with pytest.raises(batchjobs.errors.UsageError, match="both choose rows"):
        batchjobs.plan(library, options)
