"""Measures whole commands over very many rows, new ones and finished ones.

    python -m tests.benchmarks.ours.planning fresh --sessions 1000000 --scratch FOLDER

``fresh`` is ``batchjobs plan`` of rows that nobody has seen; ``skip`` is ``batchjobs run`` where
every row is done already, and ``edited`` the same with a manifest that has been written since. What
they need is made once in the scratch folder and used again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.commands import Measured, measured
from tests.benchmarks.manifests import PRICED_PROVIDER, write_sentences


def main() -> None:
    """Measure one of the two, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("fresh", "skip", "edited"))
    parser.add_argument("--sessions", type=int, default=1_000_000, help="rows of the manifest")
    parser.add_argument("--scratch", type=Path, required=True)
    given = parser.parse_args()
    if given.what == "fresh":
        made = _fresh(given.scratch, given.sessions)
    else:
        made = _skipped(given.scratch, given.sessions, is_edited=given.what == "edited")
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


def _fresh(scratch: Path, rows: int) -> Measured:
    """Plan a manifest that no run knows."""
    path = scratch / f"fresh-{rows}.csv"
    if not path.exists():
        part = path.with_suffix(".part")
        write_sentences(part, rows)
        part.rename(path)
    run_folder = str(scratch / "never-run")
    command = [sys.executable, "-m", "batchjobs", "plan", str(path), "-o", run_folder]
    made = measured([*command, "-p", PRICED_PROVIDER])
    _check(f"to do: {rows:,} session", made)
    return made


def _skipped(scratch: Path, rows: int, *, is_edited: bool) -> Measured:
    """Run a manifest of which every row is done."""
    folder = scratch / f"finished-{rows}"
    if not folder.exists():
        part = folder.with_suffix(".part")
        # In a process of its own: this one has to stay small, see `commands.measured`.
        builder = [sys.executable, "-m", "tests.benchmarks.ours.finished_run"]
        subprocess.run([*builder, str(part), str(rows)], check=True)
        part.rename(folder)
        measured(_run_command(folder))  # writes the results, as the run itself would have
    if is_edited:
        with (folder / "manifest.csv").open("ab") as file:
            file.write(b"\r\n")  # an empty line is no row
    made = measured(_run_command(folder))
    _check(f"nothing to do: {rows:,} of {rows:,} jobs were done before", made)
    return made


def _run_command(folder: Path) -> list[str]:
    command = [sys.executable, "-m", "batchjobs", "run", str(folder / "manifest.csv")]
    return [*command, "-o", str(folder / "run"), "-p", PRICED_PROVIDER]


def _check(expected: str, made: Measured) -> None:
    if expected not in made.output:
        sys.exit(f"expected '{expected}' and not:\n{made.output}")


if __name__ == "__main__":
    main()
