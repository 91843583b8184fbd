"""Runs every check of the project and says which failed: the README's test command.

With ``--all`` it does the tests marked long, too, and measures the coverage: on two busy cores that takes
thirteen minutes.
"""

import argparse
import concurrent.futures
import os
import subprocess
import sys
import time
from pathlib import Path

WHOLE_RUNS = ("tests/faults", "tests/manners")
"""A file of these prepares once what its tests look at: it stays with one worker."""
OTHERS = [f"--ignore={folder}" for folder in WHOLE_RUNS]

ROOT = Path(__file__).resolve().parent.parent
ASYNC = [str(path) for path in sorted(ROOT.glob("batchjobs/**/*.py")) if "trio" in path.read_text()]
COMMAND = argparse.ArgumentParser(description=__doc__)
COMMAND.add_argument("--all", action="store_true", help="the long tests and the coverage, too")
IS_ALL = COMMAND.parse_args().all
RUNNER = ["coverage", "run", "-m", "pytest"] if IS_ALL else ["pytest"]
CHOSEN = [] if IS_ALL else ["-m", "not long"]
STEPS = {
    "lint": ["ruff", "check"],
    "format": ["ruff", "format", "--check", "--quiet"],
    # By its own command: through flake8, which has nothing to add, it takes twice as long.
    "async pitfalls": ["flake8_async", "--enable=ASYNC102,ASYNC103,ASYNC104", *ASYNC],
    "types": ["mypy"],
    "tests": [*RUNNER, *CHOSEN, "-q", "-n", "3", "--dist", "worksteal", *OTHERS],
    "coverage": ["coverage", "report"],
    "faults": ["pytest", *CHOSEN, "-q", "-n", "2", "--dist", "loadfile", *WHOLE_RUNS],
    "audit": ["tests.faults.audit"],
}
LANES = (
    ("tests", "coverage") if IS_ALL else ("tests",),
    ("lint", "format", "async pitfalls", "types", "audit", "faults"),
)
"""Side by side: much of the tests is waiting, for servers that speak at a pace and for disks."""

COULD_NOT_LOOK = 3
"""The audit's code where no advisory service can be reached: told, and no failure of the project."""


def step(name: str) -> str:
    """Run one check; gives its verdict."""
    began = time.monotonic()
    if name == "coverage":
        run(name, "coverage", "combine", "--quiet")
    code = run(name, *STEPS[name])
    verdict = "passed" if code == 0 else f"FAILED with {code}"
    if name == "audit" and code == COULD_NOT_LOOK:
        verdict = "COULD NOT LOOK"
    print(f"== {name}: {verdict} in {time.monotonic() - began:.0f} s", flush=True)
    return verdict


def run(name: str, *words: str) -> int:
    """Run a module, and show line by line whose output it is; gives its exit code."""
    with subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"{name}| {line}", end="", flush=True)
    return process.returncode


def lane(names: tuple[str, ...]) -> list[str]:
    """Run some checks one after the other, also after one has failed."""
    return [step(name) for name in names]


def main() -> int:
    """Run all checks, those of different lanes at the same time."""
    began = time.monotonic()
    for old in ROOT.glob(".coverage*"):
        old.unlink()
    # Bars, colours and the user's own settings have no place in a check; and hundreds of processes
    # start, each of which would compile the package anew.
    for name in [name for name in os.environ if name.startswith("BATCHJOBS_")]:
        del os.environ[name]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with concurrent.futures.ThreadPoolExecutor(len(LANES)) as pool:
        verdicts = [verdict for verdicts in pool.map(lane, LANES) for verdict in verdicts]
    passed, unseen = verdicts.count("passed"), verdicts.count("COULD NOT LOOK")
    failed = len(verdicts) - passed - unseen
    told = f", {unseen} could not look" if unseen else ""
    print(f"{passed} passed, {failed} failed{told} in {time.monotonic() - began:.0f} s", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
