"""Strikes a key out of texts and errors that a service may have put it into."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from batchjobs.errors import SessionError

_STRUCK: Final = "***"
_KEY_PART_CHARACTERS: Final = 4
"""So many characters of a key's beginning, at a cut, are taken for the key."""


class Redactor:
    """Strikes one key out of texts and errors.

    Args:
        key: The key; empty strikes out nothing.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._pattern = re.compile("".join(map(_any_form_of, key)))

    def redact(self, text: str) -> str:
        """Strike the key out of a text.

        Each of its characters may stand as it is, percent-encoded or escaped as in JSON; at the
        end of a text that was cut off (``…``), the key's beginning is struck out, too.
        """
        if not self._key:
            return text
        shown = self._pattern.sub(_STRUCK, text)
        for length in range(len(self._key) - 1, _KEY_PART_CHARACTERS - 1, -1):
            if shown.endswith(self._key[:length] + "…"):
                return shown[: -length - 1] + _STRUCK
        return shown

    @contextmanager
    def redact_errors(self) -> Iterator[None]:
        """Strike the key out of the error that ends the block: a service may echo the key."""
        try:
            yield
        except SessionError as error:
            error.message = self.redact(error.message)
            error.hint = self.redact(error.hint)
            error.code = self.redact(error.code)
            error.args = (error.message,)
            raise


def _any_form_of(character: str) -> str:
    """Match a character of a key as it is, percent-encoded, or escaped as in JSON."""
    number = f"{ord(character):02x}"
    return rf"(?:\\?{re.escape(character)}|(?i:%{number}|\\u00{number}))"
