"""All cases, in the order of the table."""

from typing import Final

from tests.benchmarks import book_cases, run_cases, session_cases
from tests.benchmarks.case import Case

__all__ = ["CASES"]

CASES: Final[tuple[Case, ...]] = (*session_cases.CASES, *run_cases.CASES, *book_cases.CASES)
