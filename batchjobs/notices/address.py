"""Where messages may go, and how that is shown: an address may hold a token."""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import SplitResult, urlsplit

from batchjobs.errors import ConfigurationError
from batchjobs.providers import LOOPBACK

OPTION: Final = "--notify"
VARIABLE: Final = "BATCHJOBS_NOTIFY"
_HIDDEN: Final = "…"
_HINT: Final = "give https://HOST/PATH, or http://127.0.0.1:PORT/PATH"


def check_address(url: str) -> SplitResult:
    """Check where messages may go: verified TLS anywhere, plain text to this machine only.

    Args:
        url: ``https://…`` or ``http://…``. No message shows its path, which may be a token.

    Raises:
        ConfigurationError: It is none, or plain text to another machine.
    """
    if _HIDDEN in url:
        raise ConfigurationError(
            f"{OPTION} was stored without its path, which may be a secret",
            hint=f"put the whole address into {VARIABLE}, or behind {OPTION}",
        )
    try:
        parts = urlsplit(url)
        _ = parts.port  # looked at only now, by urlsplit's design
        (parts.hostname or "").encode("idna")  # as whoever looks it up does
    except ValueError:
        parts = urlsplit("")
    is_clean = url.isascii() and url.isprintable() and " " not in url
    if not is_clean or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError(f"{OPTION} is no address of the web", hint=_HINT)
    if parts.username is not None or parts.fragment:
        hint = "put a token into its path or query"
        raise ConfigurationError(f"{OPTION} holds a user, a password or a fragment", hint=hint)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        message = f"{OPTION} to {parts.hostname} would send messages in plain text"
        raise ConfigurationError(message, hint=_HINT)
    return parts


def hide_address(url: str) -> str:
    """Show an address without what may be a secret: its scheme and its host."""
    found = re.match(r"(\w+://)(?:[^/?#]*@)?([^/?#]*)(.?)", url)
    if found is None:
        return _HIDDEN
    scheme, host, rest = found.groups()
    return f"{scheme}{host}/{_HIDDEN}" if rest else f"{scheme}{host}"


def hide_in_words(words: Sequence[str]) -> list[str]:
    """Hide the address in the words of a command line, however the option was written."""
    hidden, is_next = [], False
    for word in words:
        name, sign, value = word.partition("=")
        if is_next:
            hidden.append(hide_address(word))
        elif name == OPTION and sign:
            hidden.append(f"{OPTION}={hide_address(value)}")
        else:
            hidden.append(word)
        is_next = not is_next and word == OPTION
    return hidden
