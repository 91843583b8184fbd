"""A bar for work in steps: it appears, begins anew with a step, vanishes, and ends no work."""

import io

import pytest

from batchjobs.progress.steps import StepBar


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


class BrokenTerminal(Terminal):
    """One that went away."""

    def write(self, s: str, /) -> int:
        """Refuse."""
        raise OSError(s[:0] or "gone")


def test_it_shows_each_step_with_the_time_left() -> None:
    """What is being done, how far, and how long it will take; of an open number, how many."""
    terminal = Terminal()
    with StepBar(terminal, unit="row") as bar:
        bar("listing", 3, 0)
        bar("writing", 0, 8)
        bar("writing", 8, 8)
    shown = terminal.getvalue()
    assert "listing" in shown
    assert "writing:   0%" in shown
    assert "0/8 [00:00<?]" in shown
    assert shown.endswith("\r")


@pytest.mark.parametrize("stream", [None, io.StringIO(), BrokenTerminal()])
def test_without_a_terminal_it_does_nothing(stream: io.StringIO | None) -> None:
    """Nothing is written into a file, and a terminal that is gone ends no work."""
    with StepBar(stream, unit="row") as bar:
        for done in range(3):
            bar("writing", done, 3)
    assert not stream or not stream.getvalue()
