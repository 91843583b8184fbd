"""Only what changed is bought again."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.whole_runs import ARABIC, ENGLISH, batchjobs, results, summary, write_manifest

pytestmark = pytest.mark.unmeasured


def change_text(rows: list[dict[str, object]]) -> None:
    """Edit the third row's text."""
    rows[2]["text"] = "An edited text, quite another one"


def insert_row(rows: list[dict[str, object]]) -> None:
    """Insert a row before all others."""
    rows.insert(0, {"id": "first", "text": "A row that was inserted at the top"})


def reorder(rows: list[dict[str, object]]) -> None:
    """Turn the rows round."""
    rows.reverse()


def remove_row(rows: list[dict[str, object]]) -> None:
    """Take a row out."""
    del rows[1]


def insert_text(rows: list[dict[str, object]]) -> None:
    """Insert a text above all others in a table whose ids are its row numbers."""
    texts = [row["text"] for row in rows]
    for row, text in zip(rows, ["A text at the top", *texts], strict=False):
        row["text"] = text


def turn_texts(rows: list[dict[str, object]]) -> None:
    """Move each text one row down, and the last one to the top."""
    texts = [row["text"] for row in rows]
    for row, text in zip(rows, [texts[-1], *texts], strict=False):
        row["text"] = text


def exchange_texts(rows: list[dict[str, object]]) -> None:
    """Let two pairs of rows exchange their texts."""
    for one, other in ((0, 5), (2, 3)):
        rows[one]["text"], rows[other]["text"] = rows[other]["text"], rows[one]["text"]


@pytest.mark.parametrize(
    ("edit", "bought"),
    [
        (change_text, 1),
        (insert_row, 1),
        (reorder, 0),
        (remove_row, 0),
        (insert_text, 1),
        (turn_texts, 0),
        (exchange_texts, 0),
    ],
)
def test_only_what_changed_is_bought_again(
    tmp_path: Path, edit: Callable[[list[dict[str, object]]], None], bought: int
) -> None:
    """After an edit of the manifest the same command buys exactly what is new or changed."""
    rows: list[dict[str, object]] = [
        {"id": f"e{n}", "text": f"{ARABIC[n]} {ENGLISH[n % 4]}"} for n in range(6)
    ]
    manifest = write_manifest(tmp_path / "edited.csv", rows)
    command = ("run", manifest, "--engine", "tone")
    batchjobs(*command, cwd=tmp_path)
    folder = tmp_path / "outputs" / "edited"
    before = int(str(summary(folder)["attempts"]))
    sounds = {row["text"]: row["sounds"] for row in _sounds_of(folder, rows)}
    edit(rows)
    write_manifest(manifest, rows)
    batchjobs(*command, cwd=tmp_path)
    after = summary(folder)
    assert int(str(after["attempts"])) - before == bought
    assert after["done"] == len(rows) == after["rows"]
    for row in _sounds_of(folder, rows):
        assert sounds.setdefault(row["text"], row["sounds"]) == row["sounds"]


def _sounds_of(folder: Path, rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Give the samples' hash of each row's file."""
    found = {
        result["id"]: hashlib.sha256((folder / result["output"]).read_bytes()).hexdigest()
        for result in results(folder)
    }
    return [{"text": row["text"], "sounds": found[row["id"]]} for row in rows]


def test_a_deleted_output_is_missed_and_made_again(tmp_path: Path) -> None:
    """Verify says that an output is gone, and the next run makes it again, and only it."""
    rows = [{"id": f"d{n}", "text": f"{ENGLISH[0]} {n}"} for n in range(4)]
    manifest = write_manifest(tmp_path / "deleted.csv", rows)
    command = ("run", manifest, "--engine", "tone")
    batchjobs(*command, cwd=tmp_path)
    folder = tmp_path / "outputs" / "deleted"
    (folder / "audio" / "d2.wav").unlink()
    missing = batchjobs("verify", folder, cwd=tmp_path, expect=1)
    assert "d2: audio/d2.wav: is missing" in missing.stdout
    batchjobs(*command, cwd=tmp_path)
    assert summary(folder)["attempts"] == 5
    batchjobs("verify", folder, cwd=tmp_path)
