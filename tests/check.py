"""Runs every check of the project in turn and says which failed: the README's test command."""

import os
import subprocess
import sys
import time
from pathlib import Path

WHOLE_RUNS = ("tests/faults", "tests/manners")
"""A file of these prepares once what its tests look at: it stays with one worker."""
OTHERS = [f"--ignore={folder}" for folder in WHOLE_RUNS]

ROOT = Path(__file__).resolve().parent.parent
STEPS = {
    "lint": ["ruff", "check"],
    "format": ["ruff", "format", "--check", "--quiet"],
    "async pitfalls": ["flake8", "--select=ASYNC102,ASYNC103,ASYNC104", "batchjobs"],
    "types": ["mypy"],
    "tests": ["coverage", "run", "-m", "pytest", "-q", "-n", "2", *OTHERS],
    "coverage": ["coverage", "report"],
    "faults": ["pytest", "-q", "-n", "2", "--dist", "loadfile", *WHOLE_RUNS],
    "audit": ["tests.faults.audit"],
}
COULD_NOT_LOOK = 3
"""The audit's code where no advisory service can be reached: told, and no failure of the project."""


def step(name: str) -> str:
    """Run one check; gives its verdict."""
    print(f"== {name}", flush=True)
    began = time.monotonic()
    if name == "coverage":
        combine = [sys.executable, "-m", "coverage", "combine", "--quiet"]
        subprocess.run(combine, cwd=ROOT, check=False)
    result = subprocess.run([sys.executable, "-m", *STEPS[name]], cwd=ROOT, check=False)
    verdict = "passed" if result.returncode == 0 else f"FAILED with {result.returncode}"
    if name == "audit" and result.returncode == COULD_NOT_LOOK:
        verdict = "COULD NOT LOOK"
    print(f"== {name}: {verdict} in {time.monotonic() - began:.0f} s", flush=True)
    return verdict


def main() -> int:
    """Run all checks, also after one has failed."""
    for old in ROOT.glob(".coverage*"):
        old.unlink()
    # Bars, colours and the user's own settings have no place in a check.
    for name in [name for name in os.environ if name.startswith("BATCHJOBS_")]:
        del os.environ[name]
    verdicts = [step(name) for name in STEPS]
    passed, unseen = verdicts.count("passed"), verdicts.count("COULD NOT LOOK")
    failed = len(verdicts) - passed - unseen
    told = f", {unseen} could not look" if unseen else ""
    print(f"{passed} passed, {failed} failed{told}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
