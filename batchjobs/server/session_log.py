"""The server's log of sessions: a JSON line for each start and end of a session."""

import hashlib
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path

import orjson

from batchjobs.files.atomic import disk_error
from batchjobs.jobs import Kind
from batchjobs.speech import BYTES_PER_SAMPLE

_logger = logging.getLogger(__name__)


class SessionLog:
    """Appends lines to a file; without a path it forgets them.

    A line is one write to a file opened for appending, so that several servers can share a file and
    a kill cuts no line in two. The writes go to the page cache and are not synced, which is
    quick enough for the event loop.

    Args:
        path: The file; None for none.

    Raises:
        OutputError: It cannot be created.
    """

    def __init__(self, path: Path | None) -> None:
        self._descriptor = -1
        if path is not None:
            try:
                self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            except OSError as error:
                raise disk_error(error, path) from error

    def write(self, line: Mapping[str, object]) -> None:
        """Append one line; a disk that fails stops no session, and is logged once."""
        if self._descriptor < 0:
            return
        try:
            os.write(self._descriptor, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        except OSError:
            _logger.exception("the ledger cannot be written; it ends here")
            self.close()

    def close(self) -> None:
        """Close the file; calling it twice is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class SessionEntry:
    """What one session took and gave.

    Args:
        log: Where its two lines go; the first is written at once.
        session: Number of the session, counted from 1.
        kind: What it is for.
        fault: Name of the fault that strikes it; empty for none.

    Attributes:
        voice_id: The voice asked for.
        characters: Of text received.
        audio_seconds: Of audio: sent, for TTS; received, for STT.
    """

    def __init__(self, log: SessionLog, *, session: int, kind: Kind, fault: str) -> None:
        self._log = log
        self._session = session
        self._kind = kind
        self._fault = fault
        self.voice_id = ""
        self.characters = 0
        self.audio_seconds = 0.0
        self._text_hash = hashlib.sha256()
        self._audio_hash = hashlib.sha256()
        self._ended = False
        log.write({"event": "start"} | self._head())

    def add_text(self, text: str) -> None:
        """Count text received."""
        self.characters += len(text)
        self._text_hash.update(text.encode())

    def add_sent(self, pcm: bytes, sample_rate: int) -> None:
        """Count audio sent."""
        self.audio_seconds += len(pcm) / (BYTES_PER_SAMPLE * sample_rate)

    def add_heard(self, pcm: bytes, sample_rate: int) -> None:
        """Count audio received."""
        self._audio_hash.update(pcm)
        self.audio_seconds += len(pcm) / (BYTES_PER_SAMPLE * sample_rate)

    def end(self, *, complete: bool) -> None:
        """Write the second line; only the first call counts.

        Args:
            complete: All that was asked for was sent, and the close began.
        """
        if self._ended:
            return
        self._ended = True
        self._log.write(
            {"event": "end"}
            | self._head()
            | {
                "voice_id": self.voice_id,
                "characters": self.characters,
                "text_sha256": self._text_hash.hexdigest() if self._kind is Kind.TTS else "",
                "audio_sha256": self._audio_hash.hexdigest() if self._kind is Kind.STT else "",
                "audio_seconds": round(self.audio_seconds, 6),
                "complete": complete,
            }
        )

    def _head(self) -> dict[str, object]:
        return {
            "session": self._session,
            "kind": self._kind.value,
            "time": time.time(),
            "fault": self._fault,
        }
