"""Our whole pipeline, as the command line runs it: manifest, sessions, synced files, commits.

    python -m tests.benchmarks.ours.pipeline --url URL --sessions 1000 --format flac

Runs a manifest through the public API with the settings of the command line's entry, then looks at
every file with soundfile. With ``--workers`` the processor time is that of the owner alone, the scheduler
in it; their start and their end are part of the time.
"""

import bisect
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import trio

from batchjobs.api.run import run as run_manifest
from batchjobs.options import Options
from batchjobs.outputs.reports import read_results
from batchjobs.process.tuning import tune_process
from batchjobs.progress import Event, RunStarted
from tests.benchmarks.manifests import write_configuration, write_repeated
from tests.benchmarks.meter import Meter
from tests.benchmarks.whole import Arguments, arguments_of, conclude


class Turns(trio.abc.Instrument):
    """Counts how long the loop is at work between two waits for input and output.

    Attributes:
        longest_seconds: The longest turn.
        counts: How many turns took so many tenths of a millisecond; the last, and longer ones. In a
            long run there are millions: kept one by one they would be what takes the memory.
    """

    def __init__(self) -> None:
        self.longest_seconds = 0.0
        self.counts = [0] * 10_001
        self._began = time.perf_counter()

    def after_io_wait(self, timeout: float) -> None:
        """A turn begins."""
        self._began = time.perf_counter()

    def before_io_wait(self, timeout: float) -> None:
        """A turn ends."""
        seconds = time.perf_counter() - self._began
        self.longest_seconds = max(self.longest_seconds, seconds)
        self.counts[min(int(seconds * 10_000), 10_000)] += 1

    def measured(self) -> dict[str, float]:
        """Give the longest turn, and what all but one in a hundred stay below."""
        up_to = list(itertools.accumulate(self.counts))
        below = bisect.bisect_left(up_to, up_to[-1] * 0.99) + 1
        return {
            "turn_p99_seconds": below / 10_000,
            "turn_max_seconds": round(self.longest_seconds, 6),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Watcher:
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
            self.turns.after_io_wait(0.0)  # this turn began before anybody measured
            trio.lowlevel.add_instrument(self.turns)
            trio.lowlevel.spawn_system_task(self.meter.sample_trio)


def run(arguments: Arguments, folder: Path) -> None:
    """Run a manifest in a folder, check what is there, and report."""
    manifest, configuration = folder / "manifest.csv", folder / "batchjobs.toml"
    write_repeated(manifest, arguments.sessions, arguments.kind.text)
    write_configuration(configuration, arguments.base_url)
    options = Options(
        output=folder / "run",
        provider="canned",
        concurrency=arguments.concurrency,
        audio_format=arguments.format,
        workers=arguments.workers or None,
        config=configuration,
    )
    turns = Turns()
    tune_process()
    with Meter() as meter:
        report = run_manifest(manifest, options, observe=Watcher(meter=meter, turns=turns))
    if report.exit_code:
        sys.exit(f"the run ended with {report.exit_code}: {report.error or report.summary}")
    results = list(read_results(report.folder))
    paths = [report.folder / str(result["output"]) for result in results]
    # No more than a service would bill: a session that is tried again is measured twice.
    if report.summary.attempts != arguments.sessions:
        sys.exit(f"{arguments.sessions} sessions took {report.summary.attempts} attempts")
    messages = sum(_messages_of(result) for result in results)
    conclude(meter, arguments, paths, messages, **turns.measured())


def _messages_of(result: Mapping[str, object]) -> int:
    evidence = result["evidence"]
    assert isinstance(evidence, dict)
    return int(evidence["messages"])


def main() -> None:
    """Measure one run in a folder of its own."""
    arguments = arguments_of(__doc__)
    os.environ["BATCHJOBS_BENCHMARK_KEY"] = "benchmark-key"
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as name:
        run(arguments, Path(name))


if __name__ == "__main__":
    main()
