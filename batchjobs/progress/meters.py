"""The two tqdm bars of a run, drawn to the width that the terminal has at the moment."""

from collections.abc import Callable
from typing import Final, TextIO

import tqdm

_NARROW_COLUMNS: Final = 60
"""Below this, what went wrong stands on the second line: beside the bar there is no room for both."""
_JOBS: Final = (
    "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{time_left}{counts}]"
)
_AUDIO: Final = "{desc}: {n:,.1f} s [{speed}{notes}]"


class _Meter(tqdm.tqdm):  # type: ignore[misc,no-any-unimported]
    """A tqdm bar that leaves nothing behind where the terminal becomes narrower."""

    @staticmethod
    def status_printer(file: TextIO) -> Callable[[str], None]:
        """Give what draws a line over the last one: it erases, where tqdm fills with spaces.

        Those of a wide line would go over a narrow terminal's edge, and scroll it.
        """

        def draw(line: str) -> None:
            file.write(f"\r\x1b[K{line}")
            file.flush()

        return draw


class JobsMeter(_Meter):
    """How many of the manifest's rows have an answer, and what was wrong with some.

    Attributes:
        counts: How many failed or are suspect, in words; empty if none.
        to_do: Rows that this run is to answer; a limit leaves others unanswered.
    """

    counts: str = ""
    to_do: int = 0

    @property
    def format_dict(self) -> dict[str, object]:
        """Give what may stand in the format: tqdm's own, and ours."""
        values: dict[str, object] = super().format_dict
        is_narrow = _columns_of(values) < _NARROW_COLUMNS
        counts = f", {self.counts}" if self.counts and not is_narrow else ""
        return values | {"counts": counts, "time_left": self._time_left(values)}

    def _time_left(self, values: dict[str, object]) -> str:
        """Say how long the rest of this run takes.

        By the slower of two rates: the latest, which tqdm smooths, after a burst of copies; that of
        the whole run, which falls while nothing ends, where the latest would stand still.
        """
        answered, elapsed, latest = self.n - self.initial, values["elapsed"], values["rate"]
        if not answered or not isinstance(elapsed, float) or not elapsed:
            return "?"
        rate = answered / elapsed
        if isinstance(latest, float) and latest:
            rate = min(rate, latest)
        return str(self.format_interval((self.to_do - answered) / rate))


class AudioMeter(_Meter):
    """How much audio there is by now, how fast it comes, and what has happened last.

    Attributes:
        counts: As of `JobsMeter`, for terminals that have no room for them beside the bar.
        note: What has happened last; tqdm cuts off what does not fit.
    """

    counts: str = ""
    note: str = ""

    @property
    def format_dict(self) -> dict[str, object]:
        """Give what may stand in the format: tqdm's own, and ours."""
        values: dict[str, object] = super().format_dict
        counts = self.counts if _columns_of(values) < _NARROW_COLUMNS else ""
        notes = "".join(f", {each}" for each in (counts, self.note) if each)
        rate = values["rate"]
        speed = f"{rate:,.1f} s/s" if isinstance(rate, float) else "? s/s"
        return values | {"notes": notes, "speed": speed}


def open_jobs_meter(stream: object, *, rows: int, answered: int, to_do: int) -> JobsMeter:
    """Draw the bar of the jobs.

    Args:
        stream: Where.
        rows: Of the manifest.
        answered: Those of them that have their answer already.
        to_do: Those that this run is to answer.
    """
    meter = JobsMeter(
        total=rows,
        initial=answered,
        desc="jobs",
        unit="job",
        position=0,
        bar_format=_JOBS,
        **_settings(stream),
    )
    meter.to_do = to_do
    return meter


def open_audio_meter(stream: object) -> AudioMeter:
    """Draw the line of the audio, below the bar of the jobs."""
    return AudioMeter(desc="audio", unit=" s", position=1, bar_format=_AUDIO, **_settings(stream))


def _settings(stream: object) -> dict[str, object]:
    # The monitor is a thread that looks every ten seconds whether `miniters` was a bad guess.
    tqdm.tqdm.monitor_interval = 0
    tqdm.tqdm.get_lock()  # else each of its subclasses makes one of its own, and `write` another
    return {
        "file": stream,
        "miniters": 0,  # its own guess, after a fast start, lets the bar stand still for minutes
        "dynamic_ncols": True,
        "leave": False,
    }


def _columns_of(values: dict[str, object]) -> int:
    columns = values["ncols"]
    return columns if isinstance(columns, int) else 80
