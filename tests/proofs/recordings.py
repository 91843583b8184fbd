"""Cuts a long recording at its pauses, and prints how much memory and time that takes.

    python tests/proofs/recordings.py [--hours 3] [--apart]

The recording is a FLAC of 48 kHz stereo, noise that rises and falls as speech does with a pause every
ten seconds; it is cut in a process of its own. With ``--apart`` it has two sides, the right one silent
in all but its first tenth, which are cut side by side.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT_MIB = 150.0
CUT = """
import sys
from pathlib import Path
from batchjobs.audio.pauses import split_at_pauses
parts = [len(stretch.pcm) / 32_000 for stretch in split_at_pauses(Path(sys.argv[1]))]
print(f"{len(parts)} stretches, {sum(parts):,.0f} s, the longest {max(parts):.1f} s")
"""
CUT_APART = """
import sys
from pathlib import Path
from batchjobs.audio.pauses import split_sides
from batchjobs.audio.sides import find_sides
path = Path(sys.argv[1])
parts = [(side, len(each.pcm) / 32_000) for side, each in split_sides(path, find_sides(path))]
for side in (0, 1):
    lengths = [seconds for number, seconds in parts if number == side]
    print(f"side {side}: {len(lengths)} stretches, {sum(lengths):,.0f} s")
"""


def record(path: Path, hours: float, *, is_apart: bool) -> None:
    """Write the recording."""
    dice = np.random.default_rng(0)
    times = np.arange(480_000) / 48_000
    with soundfile.SoundFile(path, "w", 48_000, 2, "PCM_16", format="FLAC") as file:
        for number in range(round(hours * 360)):
            wave = dice.standard_normal(len(times)) * (0.15 + np.abs(np.sin(times * 12))) * 0.05
            wave[-48_000:] = 0
            other = wave[::-1] * (number < hours * 36) if is_apart else wave
            file.write(np.stack([wave, other], axis=1))


def main() -> int:
    """Record, cut, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--apart", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "long.flac"
        record(path, given.hours, is_apart=given.apart)
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-c", CUT_APART if given.apart else CUT, str(path)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
    mib = usage.ru_maxrss / 1024
    print(
        f"{given.hours:g} h in {seconds:.1f} s, {given.hours * 3_600 / seconds:,.0f} x; {mib:.1f} MiB"
    )
    return int(status != 0 or mib > LIMIT_MIB)


if __name__ == "__main__":
    sys.exit(main())
