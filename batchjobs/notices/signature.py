"""The signature of a message: whoever knows the secret can tell that it is ours, and that it is new."""

import hashlib
import hmac
from typing import Final

TIMESTAMP_HEADER: Final = "Batchjobs-Timestamp"
SIGNATURE_HEADER: Final = "Batchjobs-Signature"
SECRET_VARIABLE: Final = "BATCHJOBS_NOTIFY_SECRET"  # noqa: S105  # its name
_VERSION: Final = "v1"


def sign(body: bytes, *, secret: str, timestamp: int) -> dict[str, str]:
    """Sign a message: HMAC-SHA256 of its time, a dot and its bytes.

    Args:
        body: The message.
        secret: Which the receiver has as well; bytes that are no UTF-8 as the environment gives them.
        timestamp: Unix time, whole seconds; what is old need not be believed.

    Returns:
        The headers that go with it.
    """
    signed = f"{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(errors="surrogateescape"), signed, hashlib.sha256).hexdigest()
    return {TIMESTAMP_HEADER: str(timestamp), SIGNATURE_HEADER: f"{_VERSION}={digest}"}
