"""The error codes that the server answers with, and the close code that follows each."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from batchjobs.protocol import close_codes

INVALID_REQUEST: Final = "40001"
INVALID_KEY: Final = "40101"
TOO_MANY_SESSIONS: Final = "42901"
ENGINE_FAILED: Final = "50001"

_CLOSE_CODES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "400": close_codes.POLICY_VIOLATION,
        "401": close_codes.NORMAL,
        "429": close_codes.TRY_AGAIN_LATER,
        "500": close_codes.INTERNAL_ERROR,
    }
)


def close_code_of(error_code: str) -> int:
    """Give the close code that follows an error message, by the message's code."""
    return _CLOSE_CODES.get(error_code[:3], close_codes.NORMAL)
