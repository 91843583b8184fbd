"""The connections over HTTP to one provider, which the sessions of a run share."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

import trio

from batchjobs.errors import MissingExtraError
from batchjobs.session.endpoint import Endpoint

if TYPE_CHECKING:
    from batchjobs.session.http_client import Requests


def require_http() -> None:
    """See that speech over HTTP is installed.

    Raises:
        MissingExtraError: It is not.
    """
    if find_spec("httpx") is None:
        raise MissingExtraError("speech over HTTP", package="httpx", extra="http")


class HttpLine:
    """The connections over HTTP to one provider, made when the first is needed.

    Args:
        endpoint: The way to it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._requests: Requests | None = None

    @property
    def requests(self) -> "Requests":
        """What makes requests.

        Raises:
            MissingExtraError: The library is not installed.
        """
        if self._requests is None:
            require_http()
            from batchjobs.session.http_client import Requests

            self._requests = Requests(self.endpoint)
        return self._requests

    async def run(self) -> None:
        """Keep the connections, until cancelled."""
        try:
            await trio.sleep_forever()
        finally:
            if self._requests is not None:
                with trio.CancelScope(shield=True):  # they are closed without a word
                    await self._requests.aclose()
