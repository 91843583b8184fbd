"""What stands where in object storage: addresses such as ``s3://bucket/folder``."""

import re
from pathlib import PurePosixPath
from typing import Final, NamedTuple, Self

from batchjobs.errors import UsageError
from batchjobs.files.paths import PathEscapeError

SCHEME: Final = "s3://"
_OTHER_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_NEARLY: Final = re.compile(r"(?:s3[an]?|gs|az|abfss?|https?|file):/?", re.IGNORECASE)
"""Begins what was meant as an address: a slash got lost, in a path of Python's, say."""
_ALMOST_S3: Final = re.compile(r"s3[an]?:/*", re.IGNORECASE)
_ODD_PARTS: Final = frozenset({"", ".", ".."})
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_NAME_BYTES: Final = 1024


class Address(NamedTuple):
    """A place in a bucket.

    Attributes:
        bucket: The bucket's name.
        prefix: What the names of all objects there begin with, without a slash at its end; may be
            empty.
    """

    bucket: str
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address.

        Raises:
            UsageError: It is none.
        """
        bucket, _, prefix = text[len(SCHEME) :].partition("/")
        prefix = prefix.removesuffix("/")
        parts = prefix.split("/") if prefix else []
        if not is_address(text) or not bucket or _ODD_PARTS & {bucket, *parts}:
            raise UsageError(
                f"'{text}' is no place in a bucket", hint="give s3://BUCKET or s3://BUCKET/FOLDER"
            )
        return cls(bucket, prefix)

    @property
    def parent(self) -> Self:
        """The place that it stands in."""
        return self._replace(prefix=self.prefix.rpartition("/")[0])

    @property
    def name(self) -> str:
        """What it is called in short: its last part."""
        return PurePosixPath(self.prefix).name or self.bucket

    def __str__(self) -> str:
        """Give it as it is typed."""
        return f"{SCHEME}{self.bucket}/{self.prefix}".removesuffix("/")


def address_inside(root: Address, given: str) -> Address:
    """Find an object that must stay below a root: names are taken letter by letter, none is decoded.

    Args:
        root: The place to stay below.
        given: The object's name below it, or its whole address.

    Raises:
        PathEscapeError: It leaves the root, or no object can be called so.
    """
    base = f"{root}/"
    if is_address(given):
        if not f"{SCHEME}{given[len(SCHEME) :]}".startswith(base):
            raise PathEscapeError(f"the path {given!r} leaves {root}")
        name = given[len(base) :]
    else:
        name = given
    parts = name.split("/")
    if ".." in parts or name.startswith("/"):
        raise PathEscapeError(f"the path {given!r} leaves {root}")
    key = f"{root.prefix}/{name}" if root.prefix else name
    try:
        is_long = len(key.encode()) > _LONGEST_NAME_BYTES
    except UnicodeEncodeError:  # a lone surrogate
        is_long = True
    if is_long or _ODD_PARTS.intersection(parts) or _CONTROL.search(name):
        raise PathEscapeError(f"{given!r} is no name of an object")
    return Address(root.bucket, key)


def is_address(text: str) -> bool:
    """Whether a text names a place in a bucket, and not a file or folder; schemes have no case."""
    return text[: len(SCHEME)].lower() == SCHEME


def find_mistake(text: str) -> str:
    """Say what to give in place of what was meant as an address, and would be taken for a path.

    Args:
        text: What was given, as a text or a path.

    Returns:
        A hint; empty if it is an address, or a path like any other.
    """
    if is_address(text) or not (_OTHER_SCHEME.match(text) or _NEARLY.match(text)):
        return ""
    if almost := _ALMOST_S3.match(text):
        return f"give the text '{SCHEME}{text[almost.end() :]}'"
    scheme, _, rest = text.partition(":")
    if scheme.lower() == "file":
        return f"give the path alone: /{rest.lstrip('/')}"
    return (
        "places are folders and files of this machine, or in a store that speaks S3: s3://BUCKET/FOLDER, "
        "with AWS_ENDPOINT_URL where it is not Amazon's"
    )


def refuse_mistake(text: str) -> None:
    """Refuse what was meant as an address, and would be taken for a path.

    Args:
        text: What was given, as a text or a path.

    Raises:
        UsageError: It was.
    """
    if hint := find_mistake(text):
        raise UsageError(f"'{text}' is no place in a bucket that can be used", hint=hint)
