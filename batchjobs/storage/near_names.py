"""Names that an object may have in place of the one that a manifest gives: most are typed elsewhere."""

import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

from batchjobs.errors import UsageError
from batchjobs.files.address import Address


def list_near_names(name: str) -> Iterator[tuple[Address, str]]:
    """List what an object may be called in truth, without a look at what there is.

    Args:
        name: Its address, as it was given.

    Yields:
        Other addresses, each with how it differs and what to do.
    """
    for other, difference in (
        *(
            (
                unicodedata.normalize(form, name),
                f"which looks the same in another Unicode form ({form}): write it in that form",
            )
            for form in ("NFC", "NFD")
        ),
        (name.replace("\\", "/"), "with '/' between folders: write it so"),
        ("/".join(map(str.strip, name.split("/"))), "without spaces about it: remove them"),
        (unquote(name), "without signs in place of letters: names stand as they are"),
    ):
        if other == name:
            continue
        try:
            yield Address.parse(other), difference
        except UsageError:  # it leads somewhere else
            continue
