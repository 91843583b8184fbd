"""A file that is there under nearly the name that a manifest gives: most are typed on another system."""

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_FOLDERS_REMEMBERED: Final = 16
_NAMES_AT_MOST: Final = 100_000
"""Of one folder: a larger one is looked through as far as this."""


class NearPaths:
    """Finds what differs from a path only by Unicode form, capitals, backslashes or spaces at its ends.

    Each folder is listed once, so that a million wrong paths do not list it a million times.
    """

    __slots__ = ("_listings",)

    def __init__(self) -> None:
        self._listings: dict[str, dict[str, str]] = {}

    def explain(self, roots: Iterable[Path], given: str) -> str:
        """Say what is there in place of a path that is not; empty if there is nothing like it.

        Args:
            roots: The folders that the path may be relative to.
            given: The path, as the manifest has it.
        """
        for root in roots:
            if near := self._find(root, given):
                return f"there is '{near}', {_difference(given, near)}"
        return ""

    def _find(self, root: Path, given: str) -> str:
        folder, found = str(root), []
        for part in given.strip().replace("\\", "/").split("/"):
            if part in {"", ".", ".."}:
                return ""
            name = self._list(folder).get(_fold(part))
            if name is None:
                return ""
            found.append(name)
            folder = f"{folder}/{name}"
        return "/".join(found) if Path(folder).is_file() else ""

    def _list(self, folder: str) -> dict[str, str]:
        listing = self._listings.get(folder)
        if listing is None:
            if len(self._listings) >= _FOLDERS_REMEMBERED:
                self._listings.clear()
            listing = self._listings[folder] = _list_names(folder)
        return listing


def _list_names(folder: str) -> dict[str, str]:
    names: dict[str, str] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if len(names) >= _NAMES_AT_MOST:
                    break
                names.setdefault(_fold(entry.name), entry.name)
    except OSError:  # no folder, or none that we may look into
        pass
    return names


def _fold(name: str) -> str:
    """Give what names have in common that differ only in form, capitals or spaces at their ends."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).strip()


def _difference(given: str, near: str) -> str:
    """Say how a name differs from the one that is there, and what to do."""
    if "\\" in given:
        return "with '/' between folders: write it so"
    if given.strip() == near:
        return "without spaces about it: remove them"
    if unicodedata.normalize("NFC", given) == unicodedata.normalize("NFC", near):
        forms = [form for form in ("NFC", "NFD") if unicodedata.is_normalized(form, near)]
        form = forms[0] if forms else "mixed"
        return f"which looks the same in another Unicode form ({form}): write its path in that form"
    return "with other capitals: write it so"
