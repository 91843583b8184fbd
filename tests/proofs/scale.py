"""Measures a run's peak memory and pace at 2,000 and 20,000 rows; prints a table and a verdict.

    python tests/proofs/scale.py

Takes some minutes; the test suite holds a smaller form of the same promise.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
CONCURRENCY = 64
LIMIT_MIB = 200.0
GROWTH_LIMIT = 1.2


def run(rows: int, folder: Path) -> tuple[float, float]:
    """Run so many rows on the tone engine; give seconds and the run's own peak memory in MiB."""
    manifest = folder / f"rows{rows}.csv"
    lines = (f"r{number},صباح الخير يا جماعة this is row {number}" for number in range(rows))
    manifest.write_text("id,text\n" + "\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "batchjobs", "run", str(manifest), "--engine", "tone"]
    command += ["-c", str(CONCURRENCY), "-q"]
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"the run ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - began, usage.ru_maxrss / 1024


def main() -> int:
    """Measure both sizes and compare."""
    print("rows     seconds  jobs/s  peak MiB")
    peaks = []
    with tempfile.TemporaryDirectory() as name:
        for rows in (2_000, 20_000):
            seconds, peak = run(rows, Path(name))
            peaks.append(peak)
            print(f"{rows:<8} {seconds:7.1f} {rows / seconds:7.0f} {peak:9.1f}", flush=True)
    growth = peaks[1] / peaks[0]
    good = max(peaks) < LIMIT_MIB and growth < GROWTH_LIMIT
    print(f"growth {growth:.2f} (limit {GROWTH_LIMIT}): {'kept' if good else 'BROKEN'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
