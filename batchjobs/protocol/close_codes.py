"""The WebSocket's close codes, by RFC 6455, section 7.4.1."""

from typing import Final

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
NO_CODE: Final = 1005
"""Stands for a close without a code; is never sent."""
ABNORMAL: Final = 1006
"""Stands for a connection that ended without a close message; is never sent."""
POLICY_VIOLATION: Final = 1008
INTERNAL_ERROR: Final = 1011
TRY_AGAIN_LATER: Final = 1013
BAD_PARAMETER: Final = 4002
"""Of ``/listen``: it does not know what the request asks for."""
TOO_FAR_AHEAD: Final = 4008
"""Of ``/listen``: audio came more than a minute ahead of real time."""
