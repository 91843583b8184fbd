"""Measures `batchjobs bind` of a book that was not measured before, or that was.

python -m tests.benchmarks.ours.binding --sessions 13 --scratch FOLDER
"""

import argparse
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from batchjobs.files.run_folder import CHECKPOINT
from tests.benchmarks.books import make_run
from tests.benchmarks.commands import measured


def main() -> None:
    """Bind it, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=13, help="chapters of the book")
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--again", action="store_true", help="keep what was measured")
    given = parser.parse_args()
    folder = make_run(given.scratch, given.sessions)
    if not given.again:
        with closing(sqlite3.connect(folder / CHECKPOINT)) as database:
            if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'loudness'").fetchone():
                database.execute("DELETE FROM loudness")
                database.commit()
    output = given.scratch / "ours.m4b"
    command = [sys.executable, "-m", "batchjobs", "bind", str(folder), "-o", str(output)]
    made = measured(command)
    print(
        json.dumps(
            {
                "cpu_seconds": round(made.cpu_seconds, 4),
                "wall_seconds": round(made.wall_seconds, 4),
                "peak_bytes": made.peak_bytes,
                "sessions": given.sessions,
                "messages": 0,
                "bytes": 0,
            }
        )
    )


if __name__ == "__main__":
    main()
