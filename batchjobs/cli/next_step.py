"""What to type next: the command that was typed, in words that a shell takes as they are."""

import contextlib
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["next_step", "quoted", "typed", "typed_in"]


def typed() -> str:
    """Give the command line that we were called with; empty where it is no text.

    No key is ever in it: keys come from the environment or from files.
    """
    line = shlex.join([*_program(), *sys.argv[1:]])
    with contextlib.suppress(UnicodeEncodeError):  # a file name in some other encoding
        line.encode()
        return line
    return ""


def quoted(*words: object) -> str:
    """Write a command of ours, called as we were: ``batchjobs verify 'outputs/two words'``."""
    return shlex.join([*_program(), *map(str, words)])


def typed_in(folder: str, command: str) -> str:
    """Write a command that was typed in a folder so that it works from here."""
    try:
        is_here = not folder or Path(folder).samefile(Path())
    except OSError:
        is_here = False
    return command if is_here else f"cd {shlex.quote(folder)} && {command}"


def next_step(
    summary: Mapping[str, object], command: str, manifest: str, folder: str | Path
) -> str:
    """Say how to go on with a run that is not all done; empty where nothing is left to do.

    Args:
        summary: The run's.
        command: The command that runs it.
        manifest: Its manifest; ``-`` or ``<stdin>`` for the standard input.
        folder: Its folder.
    """
    errors = summary["errors"]
    failed = summary["failed"]
    passing = summary.get("failed_passing", 0)  # a report kept from an earlier version has none
    assert isinstance(errors, dict)
    assert isinstance(failed, int)
    assert isinstance(passing, int)
    bad = errors.get("bad_row", 0)
    if summary["not_run"]:
        is_piped = manifest in {"-", "<stdin>"}
        return f"continue{', with the same rows' if is_piped else ''}: {command}"
    if summary.get("suspect"):
        return _about_doubts(summary, command, folder)
    if not failed:
        return ""
    if failed == bad:
        return f"mend the bad rows, then: {command}"
    if failed == bad + passing:  # the next run tries these by itself
        return f"again: {command}"
    return f"again: {_insisting(command)}"


def _about_doubts(summary: Mapping[str, object], command: str, folder: str | Path) -> str:
    if summary["suspect"] == summary["suspect_passing"]:  # they have attempts left
        return f"continue: {command}"
    accept = quoted("accept", folder, "--all")
    again = _insisting(command)
    return f"listen to {folder}/suspect, then: {accept}\n  or buy the better of two: {again}"


def _insisting(command: str) -> str:
    has_it = "--retry-failed" in shlex.split(command)
    return f"{command}{'' if has_it else ' --retry-failed'}"


def _program() -> list[str]:
    """Say how we were called, by name alone where the shell finds us so."""
    if Path(sys.argv[0]).name == "__main__.py":
        return [_found(sys.executable), "-m", "batchjobs"]
    return [_found(sys.argv[0])]


def _found(path: str) -> str:
    name = Path(path).name
    found = shutil.which(name)
    return name if found is not None and Path(found).absolute() == Path(path).absolute() else path
