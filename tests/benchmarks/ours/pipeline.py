"""Our whole pipeline, as the command line runs it: manifest, sessions, synced files, commits.

    python -m tests.benchmarks.ours.pipeline --url URL --sessions 1000 --format flac

Runs a manifest through the public API with the settings of the command line's entry, then looks at
every file with soundfile.
"""

import argparse
import os
import sys
import tempfile
import time
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import soundfile
import trio

from batchjobs import api
from batchjobs.cli.telling import tune_collector
from batchjobs.progress import Event, RunStarted
from batchjobs.results import read_results
from tests.benchmarks.manifests import write_configuration, write_repeated
from tests.benchmarks.meter import Meter
from tests.benchmarks.wire import kind_of

_MP3_PADDING_FRAMES: Final = 4 * 1_152
"""An MP3 is whole frames, and says nothing about what the encoder has put before and after."""


class Turns(trio.abc.Instrument):
    """Notes how long the loop is at work between two waits for input and output.

    Attributes:
        seconds: Of each turn.
    """

    def __init__(self) -> None:
        self.seconds = array("d")
        self._began = time.perf_counter()

    def after_io_wait(self, timeout: float) -> None:
        """A turn begins."""
        self._began = time.perf_counter()

    def before_io_wait(self, timeout: float) -> None:
        """A turn ends."""
        self.seconds.append(time.perf_counter() - self._began)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Starts the samplers in the run's own loop, when the run says that it begins.

    Attributes:
        meter: Samples the loop's lag.
        turns: Measures the loop's turns.
    """

    meter: Meter
    turns: Turns

    def __call__(self, event: Event) -> None:
        """Observe the run."""
        if isinstance(event, RunStarted):
            self.turns.after_io_wait(0.0)  # this turn has begun before anybody measured
            trio.lowlevel.add_instrument(self.turns)
            trio.lowlevel.spawn_system_task(self.meter.sample_trio)


def main() -> None:
    """Run the manifest, check what is there, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="the server's base URL")
    parser.add_argument("--sessions", type=int, default=1_000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--kind", default="tts", help="tts, tiny, or paced-20")
    parser.add_argument("--format", choices=("wav", "flac", "mp3"), default="wav")
    parser.add_argument("--scratch", type=Path, help="where the run folder shall be")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.scratch) as name:
        _measure(given, Path(name))


def _measure(given: argparse.Namespace, folder: Path) -> None:
    manifest, configuration = folder / "manifest.csv", folder / "batchjobs.toml"
    write_repeated(manifest, given.sessions, kind_of(given.kind).text)
    write_configuration(configuration, f"{given.url}/{given.kind}")
    os.environ["BATCHJOBS_BENCHMARK_KEY"] = "benchmark"
    options = api.Options(
        output=folder / "run",
        provider="canned",
        concurrency=given.concurrency,
        audio_format=given.format,
        config=configuration,
    )
    turns = Turns()
    tune_collector()
    with Meter() as meter:
        report = api.run(manifest, options, observe=Watched(meter=meter, turns=turns))
    if report.exit_code:
        sys.exit(f"the run ended with {report.exit_code}: {report.error or report.summary}")
    results = list(read_results(report.folder))
    for result in results:
        _check(report.folder / result["output"], result["frames"])
    lengths = sorted(turns.seconds)
    meter.report(
        sessions=len(results),
        messages=sum(result["evidence"]["messages"] for result in results),
        bytes=sum(2 * result["frames"] for result in results),
        turn_p99_seconds=round(lengths[int(0.99 * len(lengths))], 6),
        turn_max_seconds=round(lengths[-1], 6),
        attempts=report.summary["attempts"],
    )


def _check(path: Path, frames: int) -> None:
    """Let another program's eyes see that a file holds what was received."""
    held = soundfile.info(path).frames
    spare = _MP3_PADDING_FRAMES if path.suffix == ".mp3" else 0
    if not frames <= held <= frames + spare:
        sys.exit(f"{path} holds {held} frames and not {frames}")


if __name__ == "__main__":
    main()
