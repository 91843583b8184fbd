"""Rows that cannot be run: what is wrong with each, and how many there are."""

import dataclasses
from typing import Final

import msgspec

from batchjobs.checkpoint import Row
from batchjobs.jobs import BadRow, Job
from batchjobs.planning.plan import Action

_KEPT: Final = 100


class BadRows:
    """Keeps the first bad rows, to show them, and counts all.

    Attributes:
        first: The first hundred that were found.
        total: How many there are.
    """

    def __init__(self) -> None:
        self.first: list[BadRow] = []
        self.total = 0

    def add(self, bad: BadRow, position: int) -> Row:
        """Count a bad row, and make a row of it that says what is wrong."""
        bad = dataclasses.replace(bad, job=None)  # whose row it carries already
        self.total += 1
        if len(self.first) < _KEPT:
            self.first.append(bad)
        return Row(
            position=position,
            line=bad.line,
            id=bad.id or f"line-{bad.line}",
            place=None,
            key="",
            action=Action.BAD,
            kind="",
            provider="",
            characters=0,
            seconds=0.0,
            output="",
            job=msgspec.json.encode(bad),
        )


def blame(job: Job, column: str, message: str, hint: str = "") -> BadRow:
    """Say what is wrong with a job.

    Args:
        job: The job.
        column: Which of its row's columns is wrong.
        message: What is wrong with it.
        hint: What to do about it.
    """
    return BadRow(line=job.line, column=column, message=message, hint=hint, id=job.id, row=job.row)
