"""Variables of the environment that look like settings and are none: told, since nothing reads them."""

import difflib
import os
import sys
from collections.abc import Callable, Iterable, Iterator

import click

from batchjobs.cli.console import say
from batchjobs.cli.options import SETTINGS, VARIABLE_PREFIX, variable_of


def tell_misspelt(load_commands: Callable[[], Iterable[click.Command]]) -> None:
    """Say of misspelt variables which ones were probably meant.

    Args:
        load_commands: Reads the files of all commands; called only where a variable is none of a run's.
    """
    given = [name for name in os.environ if name.startswith(VARIABLE_PREFIX)]
    of_a_run = {variable_of(setting.flag) for setting in SETTINGS.values()}
    if of_a_run.issuperset(given):
        return
    known = of_a_run.union(_keys(), *map(_variables, load_commands()))
    endings = [
        name.removeprefix(VARIABLE_PREFIX) for name in known
    ]  # what all have makes nothing alike
    for name in sorted(set(given) - known):
        ending = name.removeprefix(VARIABLE_PREFIX)
        if close := difflib.get_close_matches(ending, endings, n=1, cutoff=0.8):
            message = f"{name} in the environment is no setting, and nothing reads it"
            say(f"batchjobs: {message}; did you mean {VARIABLE_PREFIX}{close[0]}?", sys.stderr)


def _keys() -> Iterator[str]:
    from batchjobs.notices.signature import SECRET_VARIABLE
    from batchjobs.providers import BUILT_IN

    keys = (provider.key_variable for provider in BUILT_IN.values())
    return (name for name in (*keys, SECRET_VARIABLE) if name.startswith(VARIABLE_PREFIX))


def _variables(command: click.Command) -> set[str]:
    return {option.envvar for option in command.params if isinstance(option.envvar, str)}
