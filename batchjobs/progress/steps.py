"""One bar for work in steps, each over so many things: with the time that is left."""

from types import TracebackType
from typing import Final, Protocol, Self, TextIO

_TOLD_EVERY_SECONDS: Final = 0.1
_KNOWN_FORMAT: Final = (
    "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]"
)
_OPEN_FORMAT: Final = "{desc}: {n_fmt} [{elapsed}]"


class _Bar(Protocol):
    """What is used of a tqdm bar."""

    disable: bool
    n: float

    def update(self, n: float) -> object: ...
    def close(self) -> None: ...


class StepBar:
    """A tqdm bar that begins anew with each step; nothing if the stream is no terminal.

    Args:
        stream: Where to draw, usually the standard error; None if there is none.
        unit: What is counted.
    """

    def __init__(self, stream: TextIO | None, *, unit: str) -> None:
        is_shown = stream is not None and stream.isatty()
        self._stream = stream if is_shown else None
        self._unit = unit
        self._step = ""
        self._bar: _Bar | None = None

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show how far a step is; a broken terminal ends the bar, not the work.

        Args:
            step: What is being done.
            done: How many things it is done to.
            total: Of how many; 0 if that is not known.
        """
        if self._stream is None:
            return
        try:
            if step != self._step or self._bar is None:
                self.close()
                self._step, self._bar = step, self._open(step, total)
            self._bar.update(done - self._bar.n)
        except (OSError, ValueError):
            self._forget()

    def close(self) -> None:
        """Take the bar off the terminal."""
        try:
            if self._bar is not None:
                self._bar.close()
        except (OSError, ValueError):
            self._forget()
        self._bar = None

    def __enter__(self) -> Self:
        """Take it off at the end of a ``with`` block."""
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """Take it off."""
        self.close()

    def _open(self, step: str, total: int) -> _Bar:
        import tqdm  # help must not wait for it

        # The monitor is a thread that would outlive the bar and wake for nothing.
        tqdm.tqdm.monitor_interval = 0
        bar: _Bar = tqdm.tqdm(
            total=total or None,
            desc=step,
            unit=self._unit,
            file=self._stream,
            dynamic_ncols=True,
            leave=False,
            mininterval=_TOLD_EVERY_SECONDS,
            bar_format=_KNOWN_FORMAT if total else _OPEN_FORMAT,
        )
        return bar

    def _forget(self) -> None:
        """Let go of the bar without drawing: tqdm's finaliser would try once more."""
        if self._bar is not None:
            self._bar.disable = True
        self._stream = self._bar = None
