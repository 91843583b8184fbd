"""Looks at one of many recordings: whatever it makes a decoder do, the others are not lost by it."""

import logging
from pathlib import Path

from batchjobs.audio import decoding
from batchjobs.audio.source import CONVERT_HINT, Recording
from batchjobs.errors import RecordingError

_logger = logging.getLogger(__name__)


def look_at(path: Path, *, track: int = 0) -> Recording:
    """Look at a recording as `decoding.probe` does; a mistake of ours or of a decoder is told of it.

    Args:
        path: The recording.
        track: Which of its audio tracks, from 1; 0 for the default one.

    Raises:
        RecordingError: It cannot be read, for whatever reason.
    """
    try:
        return decoding.probe(path, track=track)
    except RecordingError:
        raise
    except Exception as error:
        _logger.info("%s could not be looked at", path, exc_info=error)
        raise RecordingError(
            f"{path} cannot be looked at ({type(error).__name__}: {error})", hint=CONVERT_HINT
        ) from error
