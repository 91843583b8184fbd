"""A process of ours is fitted to many sessions, and to nothing else."""

import gc
import os
import subprocess
import sys

import pytest

from batchjobs.process.tuning import tune_imports

_LOOK = """
import gc, os, sys, threading
from batchjobs.process.tuning import tune_imports, tune_process
tune_imports()
import numpy
tune_process()
print(gc.get_threshold(), len(os.listdir("/proc/self/task")), gc.get_freeze_count() > 0)
"""


def test_the_collector_comes_rarely_and_no_idle_threads_are_started() -> None:
    """In a process of its own: these are settings of the whole process."""
    found = subprocess.run(
        [sys.executable, "-c", _LOOK], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert found == "(50000, 20, 100) 1 True"


def test_what_somebody_has_set_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """And importing the library changes nothing."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    before = gc.get_threshold()
    tune_imports()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"
    assert gc.get_threshold() == before
