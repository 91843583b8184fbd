"""Lines of JSON: one an event, and a reader that goes away ends no run."""

import io
import json
import os
from pathlib import Path

import pytest

from batchjobs.progress import JsonLines
from tests.progress.events import ALL, ARABIC


def test_every_event_is_a_line_of_json() -> None:
    """Each names itself and has its facts, Arabic as it is."""
    stream = io.StringIO()
    lines = JsonLines(stream)
    for event in ALL:
        lines(event)
    assert ARABIC in stream.getvalue()
    found = [json.loads(line) for line in stream.getvalue().split("\n")[:-1]]
    assert [line.pop("event") for line in found] == [
        "run_started",
        "job_finished",
        "job_retried",
        "slowed_down",
        "job_finished",
        "run_stopping",
        "run_finished",
    ]
    assert found[0] == {"rows": 3, "to_do": 2, "folder": f"outputs/{ARABIC}"}
    assert found[1]["record"]["text"] == ARABIC
    assert found[1]["record"]["evidence"]["ending"] == "settled"
    assert found[4]["record"]["status"] == "failed"
    totals = found[6]["totals"]
    assert (found[6]["exit_code"], totals["rows"], totals["spent"]) == (1, 3, {"USD": 0.5})


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1256", "utf-8"])
def test_the_locale_costs_no_letter(encoding: str) -> None:
    """Where the stream's encoding has no Arabic, JSON's own escapes carry it."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    lines = JsonLines(stream)
    for event in ALL:
        lines(event)
    found = [json.loads(line) for line in raw.getvalue().decode(encoding).splitlines()]
    assert len(found) == len(ALL)
    assert found[1]["record"]["text"] == ARABIC


def test_a_reader_that_goes_away_never_stops_the_run() -> None:
    """A closed pipe, a closed stream, a full disk or none: every event passes."""
    reading, writing = os.pipe()
    os.close(reading)
    pipe = os.fdopen(writing, "w", encoding="utf-8")
    full = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115 - to be closed in vain
    closed = io.StringIO()
    closed.close()
    for stream in (pipe, full, closed, None):
        lines = JsonLines(stream)
        for event in ALL:
            lines(event)
        assert lines._stream is None
    for stream in (pipe, full):
        with pytest.raises(OSError, match=r"Broken pipe|No space"):
            stream.close()
