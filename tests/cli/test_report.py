"""The command `report`: says what it wrote, and what it left out."""

import json
from pathlib import Path

from tests.api.test_page import make_small_run
from tests.builders import ARABIC
from tests.commands import Command
from tests.report.listened import make_clip_row, make_done, make_run, write_clip


def test_it_says_where_the_page_is(command: Command) -> None:
    """For people, and as JSON for programs."""
    run = make_small_run(Path("outputs/talks"))
    ended = command("report", run)
    assert ended.code == 0
    assert "1 row in outputs/talks/report.html" in ended.out
    told = json.loads(command("report", run, "--json").out)
    assert told["path"] == "outputs/talks/report.html"
    assert (told["rows"], told["shown"]) == (1, 1)


def test_it_says_what_it_leaves_out(command: Command) -> None:
    """Nothing is left out in silence."""
    run = Path("outputs/talks")
    files = [write_clip(run, f"audio/r{number}.wav") for number in (1, 2, 3)]
    rows = [make_clip_row(number, ARABIC) for number in (1, 2, 3)]
    make_run(run, rows, [make_done(number, file) for number, file in enumerate(files, 1)])
    ended = command("report", run, "--rows", 2)
    assert "2 rows in" in ended.out
    assert "1 are left out" in ended.out


def test_no_run_is_told(command: Command) -> None:
    """With the exit code of a wrong call."""
    ended = command("report", "outputs/none")
    assert ended.code == 2
    assert "no run" in ended.err
