"""A run with nothing to do adopts its plan, and imports nothing that only sessions need."""

import subprocess
import sys
from pathlib import Path

import pytest

import batchjobs
from tests.commands import ROOT
from tests.whole_runs import environment

HEAVY = frozenset(
    """
    asyncio html multiprocessing numpy sentencex soundfile soxr ssl tqdm trio trio_websocket
    batchjobs.api.execute batchjobs.audio.decoding batchjobs.cluster batchjobs.outputs.writing
    batchjobs.protocol batchjobs.runner batchjobs.server.child batchjobs.session
    """.split()
)
"""What opens sessions, and what reads and writes sound."""
OPTIONS = batchjobs.Options(engine="tone")


def imported_by(*arguments: object) -> set[str]:
    """Run a command in an interpreter of its own, and name the modules that it has imported."""
    code = """
import sys
from batchjobs.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(*sys.modules)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment(BATCHJOBS_ENGINE="tone", PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return set(ran.stdout.splitlines()[-1].split())


def test_a_run_over_finished_rows_imports_nothing_for_sessions(manifest: Path) -> None:
    """Its memory is half of a run's with sessions."""
    batchjobs.run(manifest, OPTIONS)
    loaded = imported_by("run", manifest)
    assert "batchjobs.api.idle" in loaded
    assert not loaded & HEAVY


def test_finished_rows_of_a_manifest_written_since_need_no_sessions_either(manifest: Path) -> None:
    """Every row is judged anew."""
    batchjobs.run(manifest, OPTIONS)
    with manifest.open("ab") as file:
        file.write(b"\r\n")  # an empty line is no row
    assert not imported_by("run", manifest) & HEAVY


@pytest.mark.parametrize("command", ["status", "plan", "results"])
def test_who_looks_at_a_finished_run_imports_nothing_for_sessions(
    manifest: Path, command: str
) -> None:
    """They answer sooner than a run can begin."""
    folder = batchjobs.run(manifest, OPTIONS).folder
    loaded = imported_by(command, manifest if command == "plan" else folder)
    assert not loaded & HEAVY


def test_new_rows_are_planned_before_anything_for_sessions_is_imported(manifest: Path) -> None:
    """They are checked beside half as much."""
    assert not imported_by("plan", manifest) & HEAVY
