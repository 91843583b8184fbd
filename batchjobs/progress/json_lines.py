"""Every event as a line of JSON."""

import json
from typing import TextIO

import msgspec

from batchjobs.progress.events import Event

_encoder = msgspec.json.Encoder()


class JsonLines:
    """Writes every event as a line of JSON; a reader that went away never stops paid work.

    Args:
        stream: Where to, usually the standard output; None if there is none.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write one event."""
        if self._stream is None:
            return
        line = _encoder.encode(event).decode()
        try:
            try:
                self._stream.write(line + "\n")
            except UnicodeEncodeError:  # the locale's encoding has no Arabic, JSON's escapes do
                self._stream.write(json.dumps(json.loads(line)) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._stream = None
