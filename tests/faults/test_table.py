"""The table of faults has a row for every promise, a test behind every row, and stands in the page."""

import re
from pathlib import Path

from tests.faults.mistakes import MISTAKES
from tests.faults.promises import ROWS
from tests.faults.table import ROOT

PAGE = Path(__file__).with_name("README.md")
REPORTS = 24
"""Reports have tests of their own, with the part that writes them."""


def test_every_promise_has_a_row() -> None:
    """All of RELIABILITY.md's promises are struck by something."""
    promises = {promise for row in ROWS for promise in row.promises}
    assert promises == set(range(1, 26)) - {REPORTS}


def test_every_row_has_its_tests() -> None:
    """Each beginning of a name that a row gives is that of a test."""
    for row in (*ROWS, *MISTAKES):
        for file, starts in row.tests.items():
            content = (ROOT / "tests" / f"{file}.py").read_text(encoding="utf-8")
            names = re.findall(r"^(?:async )?def test_(\w+)", content, re.MULTILINE)
            wanted = [start.partition("[")[0] for start in starts]
            missing = [s for s in wanted if not any(name.startswith(s) for name in names)]
            assert not missing, f"{file}: {missing}"


def test_the_page_has_the_table() -> None:
    """Each row stands in the page, as it was printed, and none of them broken."""
    page = PAGE.read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("|")]
    for row in ROWS:
        found = [line for line in lines if f"| {row.fault} | {row.how}: " in line]
        assert len(found) == 1, row.fault
        assert "| kept" in found[0]
    for mistake in MISTAKES:
        found = [line for line in lines if line.startswith(f"| {mistake.what} | {mistake.seen} |")]
        assert len(found) == 1, mistake.what
        assert found[0].endswith("| caught |")
