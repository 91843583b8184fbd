"""The table of faults: every promise, what is done to it, and what the tests counted.

    python -m tests.faults.table

runs the tests that it names, and prints the table, and that of the mistakes made on purpose. What a
test has not counted is a dash: there is no run in it that could lose something.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.mistakes import MISTAKES, Mistake
from tests.faults.promises import ROWS, Row

ROOT = Path(__file__).parents[2]
HEADER = (
    "| promise | fault | how injected | tests | cases | runs | lost | repeated | corrupt | status |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


class Collector:
    """Takes what the tests of a session have counted."""

    def __init__(self) -> None:
        self.figures: dict[str, Counter[str]] = {}
        self.outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take one test's."""
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.nodeid] = report.outcome
            self.figures[report.nodeid] = Counter(
                {name: number for name, number in report.user_properties if isinstance(number, int)}
            )

    def line(self, row: Row) -> str:
        """Make a line of the table."""
        names = [name for name in self.outcomes if row.holds(name)]
        figures: dict[str, int] = {}
        cases = 0
        for name in names:
            cases += self.figures[name]["cases"] or 1
            for figure, number in self.figures[name].items():
                figures[figure] = figures.get(figure, 0) + number
        shown = [
            f"{figures[name]:,}" if name in figures else "–"
            for name in ("runs", "lost", "repeated", "corrupt")
        ]
        outcomes = Counter(self.outcomes[name] for name in names)
        status = "BROKEN" if outcomes["failed"] or not names else "kept"
        status += f", {outcomes['skipped']} skipped" if outcomes["skipped"] else ""
        promises = ", ".join(map(str, row.promises))
        where = ", ".join(f"`{file}`" for file in row.tests)
        cells = (promises, row.fault, f"{row.how}: {where}", f"{len(names):,}", f"{cases:,}")
        return f"| {' | '.join((*cells, *shown, status))} |"

    def mistake_line(self, mistake: Mistake) -> str:
        """Make a line of the table of mistakes."""
        names = [name for name in self.outcomes if mistake.holds(name)]
        outcomes = Counter(self.outcomes[name] for name in names)
        status = "caught" if outcomes["passed"] == len(names) > 0 else "MISSED"
        where = ", ".join(
            f"`{file}`: {', '.join(map(_shown, starts))}" for file, starts in mistake.tests.items()
        )
        return f"| {mistake.what} | {mistake.seen} | {where} | {status} |"


def _shown(start: str) -> str:
    """Name a test in few words: for a case of one, the case."""
    name, _, case = start.partition("[")
    return f"[{case}…]" if case else name.replace("_", " ") + "…"


def _wanted() -> Iterator[str]:
    for file in dict.fromkeys(file for row in (*ROWS, *MISTAKES) for file in row.tests):
        yield f"tests/{file}.py"


def _is_named(nodeid: str) -> bool:
    return any(row.holds(nodeid) for row in (*ROWS, *MISTAKES))


class _Chooser:
    """Leaves out the tests that no row names."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if _is_named(item.nodeid)]


def main() -> int:
    """Run the tests and print the table."""
    from tests.faults.crash import commit_id

    collector = Collector()
    plugins = [collector, _Chooser()]
    words = ["-q", "--no-header", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
    code = pytest.main([*words, *_wanted()], plugins=plugins)
    print(f"\ncommit {commit_id()}\n\n{HEADER}")
    for row in ROWS:
        print(collector.line(row))
    print("\n| mistake | gives itself away by | tests | status |\n|---|---|---|---|")
    for mistake in MISTAKES:
        print(collector.mistake_line(mistake))
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
