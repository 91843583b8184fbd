"""The way to a store: where it is and who asks is in the environment (``AWS_…``)."""

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from importlib.util import find_spec
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from batchjobs.errors import ConfigurationError, MissingExtraError
from batchjobs.files.address import Address

if TYPE_CHECKING:
    from obstore.store import ObjectStore

ENDPOINT_VARIABLES: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_MOST_RETRIES: Final = 10_000
"""Never met: how long a request is tried again says when to end. 60 were over after 28 s (measured)."""
_STALL_SECONDS: Final = 30.0
"""So long a connection may bring nothing."""
_LONGEST_SECONDS: Final = 3_600.0
"""Of a request with its body: the library's 30 s would cut every large object."""
_MOST_MESSAGE: Final = 300
_NAME: Final = re.compile(r'Path "(.*?)"(?:: | contained )', re.DOTALL)
_STATUS: Final = re.compile(r"status code: (\d{3}[^:\n]*)")
_CODE: Final = re.compile(r"<Code>(\w+)</Code>")
_METADATA: Final = "/latest/api/token"
"""Where a machine of Amazon's is asked for its credentials, if the environment has none."""


def open_store(address: Address, *, seconds: float, insecure: bool = False) -> "ObjectStore":
    """Make the way to a place as obstore has it.

    Args:
        address: The place.
        seconds: How long a request is tried again.
        insecure: Whether the store may be elsewhere without TLS.

    Raises:
        MissingExtraError: obstore is not installed.
        ConfigurationError: The environment has something that cannot be.
    """
    require_storage()
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    retries = {"max_retries": _MOST_RETRIES, "retry_timeout": timedelta(seconds=seconds)}
    try:
        return S3Store(
            address.bucket,
            prefix=address.prefix or None,
            client_options={
                "allow_http": check_endpoint(os.environ, insecure=insecure),
                "read_timeout": timedelta(seconds=_STALL_SECONDS),
                "timeout": timedelta(seconds=_LONGEST_SECONDS),
            },
            retry_config=retries,  # type: ignore[arg-type]
        )
    except (BaseError, ValueError) as error:
        raise ConfigurationError(
            f"cannot use {address}: {_shorten(error)}", hint="look at the variables AWS_…"
        ) from error


def require_storage() -> None:
    """See that object storage is installed.

    Raises:
        MissingExtraError: It is not.
    """
    if find_spec("obstore") is None:
        raise MissingExtraError("a place in a bucket", package="obstore", extra="s3")


def check_endpoint(environment: Mapping[str, str], *, insecure: bool) -> bool:
    """Say whether the store that the environment names is asked without TLS.

    Args:
        environment: The variables; ``AWS_ALLOW_HTTP`` allows it as `insecure` does.
        insecure: Whether it may be so elsewhere than on this machine.

    Raises:
        ConfigurationError: It would be, and may not; or a password stands in its address.
    """
    name = next((name for name in ENDPOINT_VARIABLES if environment.get(name)), "")
    parts = urlsplit(environment.get(name, ""))
    if "@" in parts.netloc:  # messages of the library show the whole address
        raise ConfigurationError(
            f"{name} has a name or a password in its address",
            hint="take it out: who asks is in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    if parts.scheme != "http":
        return False
    is_allowed = insecure or environment.get("AWS_ALLOW_HTTP", "").casefold() in {"true", "1"}
    if not is_allowed and not _is_loopback(parts.hostname or ""):
        raise ConfigurationError(
            f"{name} has an address without TLS: keys and results would go over it in the clear",
            hint="give one with https, or set AWS_ALLOW_HTTP=true",
        )
    return True


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def has_no_credentials(error: Exception) -> bool:
    """Whether an error of obstore is that it found no credentials."""
    return _METADATA in str(error)


def describe_odd_name(address: Address, error: Exception) -> str:
    """Say which object obstore takes no name of, and show what of it cannot be seen.

    Args:
        address: The place that it lies below: one such name, and nothing there can be listed.
        error: Of obstore.
    """
    found = _NAME.search(str(error))
    name = repr(found[1]) if found else _shorten(error)
    return f"below {address} lies an object whose name cannot be used: {name}"


def _shorten(error: Exception) -> str:
    """Give what an error of obstore says in its first line."""
    line = str(error).strip().partition("\n")[0].partition(": <?xml")[0]
    return line[:_MOST_MESSAGE]


def explain(error: Exception) -> str:
    """Say in a few words what an error of obstore says in a page: the answer, or that there was none."""
    said = str(error)
    status, code = _STATUS.search(said), _CODE.search(said)
    if status is None:
        return said.partition("\n")[0].rpartition(" - ")[2].strip() or type(error).__name__
    return f"the store answered {status[1].strip()}" + (f" ({code[1]})" if code else "")
