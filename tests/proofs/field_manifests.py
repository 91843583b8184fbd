"""What the manifests of the field have to become."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.whole_runs import batchjobs, results

Lines = Iterator[tuple[str, str]]


def pass_over_headers(folder: Path, room: Path) -> Lines:
    """A header that stands again is never a job."""
    for name, jobs in (("joined", 2), ("no-ids", 3)):
        command = ("run", folder / f"{name}.csv", "--engine", "tone", "-o", room / name)
        done = batchjobs(*command, cwd=room, expect=None)
        said = done.stdout + done.stderr
        if done.returncode == 65:
            yield name, "" if "header" in said else said
            continue
        found = results(room / name)
        is_right = len(found) == jobs and "text" not in {row["text"] for row in found}
        yield name, "" if is_right and "header" in said else f"{len(found)} jobs: {said[-300:]}"


def pass_over_empty_columns(folder: Path, room: Path) -> Lines:
    """Columns without a name and a value are no mistake."""
    for name, jobs in (("header", 2), ("rows", 2), ("sep", 1), ("short", 2)):
        command = ("run", folder / f"{name}.csv", "--engine", "tone", "-q", "-o", room / name)
        done = batchjobs(*command, cwd=room, expect=None)
        if done.returncode:
            yield name, done.stdout + done.stderr
        else:
            found = results(room / name)
            yield name, "" if len(found) == jobs else f"{len(found)} jobs"


def tell_left_behind(folder: Path, room: Path) -> Lines:
    """Audio that belongs to no row any more is named, with the way to be rid of it."""
    shutil.copy(folder / "before.csv", room / "t.csv")
    batchjobs("run", "t.csv", "--engine", "tone", "-q", cwd=room)
    shutil.copy(folder / "after.csv", room / "t.csv")
    done = batchjobs("run", "t.csv", "--engine", "tone", cwd=room)
    said = done.stdout + done.stderr
    yield "run", "" if "b.wav" in said and "c.wav" in said and "prune" in said else said
    yield "results", "" if len(results(room / "outputs" / "t")) == 2 else "not two results"


MANIFESTS: dict[str, Callable[[Path, Path], Lines]] = {
    "manifests/01-header-again": pass_over_headers,
    "manifests/03-empty-columns-at-the-end": pass_over_empty_columns,
    "manifests/04-rows-taken-out-stay-in-audio": tell_left_behind,
}
