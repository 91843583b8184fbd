"""A book that was run, for what binds it: made once in the scratch folder, and used again."""

import subprocess
import sys
from pathlib import Path

from tests.benchmarks.commands import bare_environment
from tests.books import alice, kalila, write_epub

__all__ = ["make_run"]


def make_run(scratch: Path, chapters: int) -> Path:
    """Give the run folder of a book, spoken by espeak.

    Args:
        scratch: Where it is made.
        chapters: How many of thirteen; all of them are 2:19 hours.
    """
    folder = scratch / f"book-{chapters}"
    run_folder = folder / "outputs" / "book"
    if (run_folder / "summary.json").exists():
        return run_folder
    folder.mkdir(exist_ok=True)
    write_epub(folder / "book.epub", [*alice(), kalila()][-chapters:])
    commands = (["book", "book.epub", "--force"], ["run", "book.jsonl", "--engine", "espeak", "-q"])
    for command in commands:
        subprocess.run(
            [sys.executable, "-m", "batchjobs", *command],
            cwd=folder,
            env=bare_environment() | {"PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    return run_folder
