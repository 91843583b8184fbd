"""What tells one manifest, and all that its rows are made with, from another."""

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from batchjobs.storage.reading import FileFacts


def fingerprint_of(manifest: Path | FileFacts, *facts: object) -> str:
    """Hash a manifest's bytes, this version of the product, and what else the rows depend on.

    Args:
        manifest: The file; or, of an object, what tells its content from another.
        facts: Records whose ``repr`` shows all that they say.

    Returns:
        64 hexadecimal digits; empty if it cannot be read twice, as a pipe cannot.
    """
    if isinstance(manifest, FileFacts):
        digest = hashlib.sha256(repr(manifest).encode())
    elif manifest.is_file():
        with manifest.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
    else:
        return ""
    digest.update(repr((_version(), facts)).encode())
    return digest.hexdigest()


def _version() -> str:
    try:
        return version("batchjobs")
    except PackageNotFoundError:  # run from a clone that is not installed
        return ""
