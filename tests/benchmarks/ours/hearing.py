"""A long recording by our whole pipeline: cut at its pauses, heard in many sessions, put together.

    python -m tests.benchmarks.ours.hearing --url URL --kind listen --minutes 60

The provider is the hosted one with all its settings, pace and settling time included, at this address.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile

from batchjobs.api.run import run as run_manifest
from batchjobs.options import Options
from batchjobs.outputs.reports import read_results
from batchjobs.process.tuning import tune_process
from tests.benchmarks.meter import Meter

_RATE = 16_000
_TURN_SECONDS = 10
_WORDS_A_SECOND = 2
"""Which the canned server hears in anything."""


def record(path: Path, minutes: float) -> float:
    """Write noise that rises and falls as speech does, with a pause every ten seconds; gives its length."""
    dice = np.random.default_rng(0)
    times = np.arange(_TURN_SECONDS * _RATE) / _RATE
    turns = round(minutes * 60 / _TURN_SECONDS)
    with soundfile.SoundFile(path, "w", _RATE, 1, "PCM_16") as file:
        for _ in range(turns):
            wave = dice.standard_normal(len(times)) * (0.15 + np.abs(np.sin(times * 12))) * 0.05
            wave[-_RATE:] = 0
            file.write(wave)
    return float(turns * _TURN_SECONDS)


def run(given: argparse.Namespace, folder: Path) -> None:
    """Run a manifest of the one recording, check what was heard, and report."""
    seconds = record(folder / "long.wav", given.minutes)
    manifest, configuration = folder / "manifest.csv", folder / "batchjobs.toml"
    manifest.write_text("id,audio,output\nlong,long.wav,long.txt\n", encoding="utf-8")
    protocol = "listen" if given.kind == "listen" else "transcription"
    configuration.write_text(
        "[providers.canned]\n"
        'like = "munsit"\n'
        f'base_url = "{given.url}/{given.kind}"\n'
        'key_variable = "BATCHJOBS_BENCHMARK_KEY"\n'
        f'stt_protocol = "{protocol}"\n',
        encoding="utf-8",
    )
    options = Options(
        output=folder / "run",
        provider="canned",
        concurrency=given.concurrency,
        config=configuration,
    )
    tune_process()
    with Meter() as meter:
        report = run_manifest(manifest, options)
    if report.exit_code:
        sys.exit(f"the run ended with {report.exit_code}: {report.error or report.summary}")
    (result,) = read_results(report.folder)
    words = len(str(result["transcript"]).split())
    if not 0.8 < words / (seconds * _WORDS_A_SECOND) < 1.1:
        sys.exit(f"{words} words of {seconds:g} s")
    meter.report(sessions=report.summary.attempts, messages=0, bytes=0)


def main() -> None:
    """Measure one run in a folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--kind", choices=("listen", "talk"), required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--scratch", type=Path)
    os.environ["BATCHJOBS_BENCHMARK_KEY"] = "benchmark-key"
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.scratch) as name:
        run(given, Path(name))


if __name__ == "__main__":
    main()
