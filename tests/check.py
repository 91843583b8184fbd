"""Runs every check of the project in turn and says which failed: the README's test command."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STEPS = {
    "lint": ["ruff", "check"],
    "format": ["ruff", "format", "--check", "--quiet"],
    "async pitfalls": ["flake8", "--select=ASYNC102,ASYNC103,ASYNC104", "batchjobs"],
    "types": ["mypy"],
    "tests": ["coverage", "run", "-m", "pytest", "-q", "-n", "2", "--ignore=tests/faults"],
    "coverage": ["coverage", "report"],
    "faults": ["pytest", "-q", "-n", "2", "--dist", "loadfile", "tests/faults"],
}


def step(name: str) -> bool:
    """Run one check; true if it passed."""
    print(f"== {name}", flush=True)
    began = time.monotonic()
    if name == "coverage":
        combine = [sys.executable, "-m", "coverage", "combine", "--quiet"]
        subprocess.run(combine, cwd=ROOT, check=False)
    result = subprocess.run([sys.executable, "-m", *STEPS[name]], cwd=ROOT, check=False)
    verdict = "passed" if result.returncode == 0 else f"FAILED with {result.returncode}"
    print(f"== {name}: {verdict} in {time.monotonic() - began:.0f} s", flush=True)
    return result.returncode == 0


def main() -> int:
    """Run all checks, also after one has failed."""
    for old in ROOT.glob(".coverage*"):
        old.unlink()
    # Bars, colours and the user's own settings have no place in a check.
    for name in [name for name in os.environ if name.startswith("BATCHJOBS_")]:
        del os.environ[name]
    failed = [name for name in STEPS if not step(name)]
    print(f"{len(STEPS) - len(failed)} passed, {len(failed)} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
