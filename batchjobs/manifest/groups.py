"""Rows that are parts of one recording, such as a tape's sides: what their cells say of it."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from batchjobs.manifest.cells import holds_control, is_blank, to_whole_number
from batchjobs.manifest.columns import GROUP_COLUMNS

_NAME_LIMIT_CHARACTERS: Final = 1_000


class GroupPart(NamedTuple):
    """A row's place in a group.

    Attributes:
        group: The group's name.
        part: Its number there, from 1; 0 if the row gives none.
    """

    group: str
    part: int


def find_part(row: Mapping[str, object]) -> GroupPart | None:
    """Find out of which group a row is a part; None if of none, or if it is no recording.

    Args:
        row: Column to value.
    """
    audio = row.get("audio")
    if not isinstance(audio, str) or not audio or audio.isspace():
        return None
    group, part = (_find_cell(row, column) for column in GROUP_COLUMNS)
    if isinstance(group, int) and not isinstance(group, bool):
        group = str(group)
    if not isinstance(group, str) or len(group) > _NAME_LIMIT_CHARACTERS:
        return None
    name = group.strip()
    if is_blank(name) or holds_control(name):
        return None
    return GroupPart(name, to_whole_number(part, "part", least=1) or 0)


def _find_cell(row: Mapping[str, object], column: str) -> object:
    """Give a column's cell, however its name is written; its own name goes before others."""
    if column in row:
        return row[column]
    return next((row[name] for name in row if name.strip().casefold() == column), None)
