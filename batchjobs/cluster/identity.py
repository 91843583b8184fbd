"""Who a process is: its machine, its Python, and this package's version and files."""

import functools
import hashlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from batchjobs import errors
from batchjobs.cluster.messages import Fault, Welcome
from batchjobs.errors import ConfigurationError

_SHOWN_HEX_DIGITS = 10


def introduce(fault: Fault | None = None) -> Welcome:
    """Say who this process is.

    Args:
        fault: Why no session can be had here.
    """
    return Welcome(
        host=f"{platform.node()}:{os.getpid()}",
        python=platform.python_version(),
        package=_find_version(),
        code=hash_code(),
        fault=fault,
    )


def refuse_stranger(here: Welcome, there: Welcome) -> None:
    """Refuse a worker whose Python or package is another one: what it says may mean something else.

    Raises:
        ConfigurationError: It is.
    """
    if _minor(here.python) != _minor(there.python):
        raise ConfigurationError(
            f"the worker {there.host} has Python {there.python}, and this is {here.python}",
            hint="start workers with the same version",
        )
    if (here.package, here.code) != (there.package, there.code):
        raise ConfigurationError(
            f"the worker {there.host} has batchjobs {there.package} ({there.code}), and this is "
            f"{here.package} ({here.code})",
            hint="install the same version there, and start the workers again",
        )


@functools.cache
def hash_code() -> str:
    """Hash the package's files: versions of a clone are called alike."""
    root = Path(errors.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:_SHOWN_HEX_DIGITS]


def _find_version() -> str:
    try:
        return version("batchjobs")
    except PackageNotFoundError:
        return "0"


def _minor(python: str) -> list[str]:
    return python.split(".")[:2]
