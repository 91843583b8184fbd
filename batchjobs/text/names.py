"""Ids as file names."""

import hashlib
import re
import unicodedata

_SAFE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(?<!\.)")
_SAFE_ID_BYTES = 100
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)
_SLUG_BYTES = 80
_HASH_HEX_DIGITS = 10


def file_stem(job_id: str) -> str:
    """Give the name, without an ending, of the files that hold a job's result.

    A safe id is its own name. Any other becomes a readable slug and a piece of the id's SHA-256, so
    two ids never share a name. (On a file system that ignores case, ids that differ only in case
    still would: the caller looks out for those.)

    Returns:
        At most 100 bytes of UTF-8, without separators or a dot at either end.
    """
    if (
        len(job_id) <= _SAFE_ID_BYTES
        and _SAFE_ID.fullmatch(job_id)
        and not _DEVICES.fullmatch(job_id)
    ):
        return job_id
    digest = hashlib.sha256(job_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_make_slug(job_id)}-{digest[:_HASH_HEX_DIGITS]}"


def _make_slug(job_id: str) -> str:
    """Keep letters, their marks and numbers, of any script; every other run becomes a hyphen."""
    # More than any slug can use, so an endless id costs no more than a long one.
    text = unicodedata.normalize("NFC", job_id[: 4 * _SLUG_BYTES])
    kept = "".join(
        character if unicodedata.category(character)[0] in "LMN" else "-" for character in text
    )
    whole = re.sub(r"-+", "-", kept).encode()[:_SLUG_BYTES].decode("utf-8", "ignore").strip("-")
    # A mark without its letter would sit on whatever a listing prints before it.
    while whole and unicodedata.category(whole[0])[0] == "M":
        whole = whole[1:].lstrip("-")
    return whole or "id"
