"""How we were called: commands that are to be typed begin likewise."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

_NAME: Final = "batchjobs"


def name_program() -> list[str]:
    """Give the words that begin a command of ours, by name alone where the shell finds us so.

    A program that uses the package is none of ours: there it is our name.
    """
    path = Path(sys.argv[0])
    if path.name == "__main__.py" and path.parent.name == _NAME:
        return [_shorten_path(sys.executable), "-m", _NAME]
    is_ours = path.name.startswith(_NAME) and path.suffix != ".py"
    return [_shorten_path(sys.argv[0]) if is_ours else _NAME]


def quote_command(*words: object) -> str:
    """Write a command of ours, called as we were: ``batchjobs verify 'outputs/two words'``."""
    return shlex.join([*name_program(), *map(str, words)])


def _shorten_path(path: str) -> str:
    name = Path(path).name
    found = shutil.which(name)
    return name if found is not None and Path(found).absolute() == Path(path).absolute() else path
