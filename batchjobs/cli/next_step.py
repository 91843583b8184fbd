"""What to type next: the command that was typed, in words that a shell takes as they are."""

import contextlib
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from batchjobs.formatting import GIVEN_ROWS, STANDARD_INPUT
from batchjobs.process.invocation import name_program, quote_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batchjobs.api.status import RunStatus
    from batchjobs.outputs.nature import RunNature
    from batchjobs.outputs.summary import RunSummary


def typed_command() -> str:
    """Give the command line that we were called with; empty where it is no text.

    No key is ever in it: keys come from the environment or from files. The address of messages is cut
    to its host, since the rest may be a secret.
    """
    from batchjobs.notices.address import hide_in_words

    # Whoever runs it again goes on with what is his own by then.
    words = [word for word in sys.argv[1:] if word != "--take-over"]
    line = shlex.join([*name_program(), *hide_in_words(words)])
    with contextlib.suppress(UnicodeEncodeError):  # a file name in some other encoding
        line.encode()
        return line
    return ""


def typed_options(*without: str) -> list[str]:
    """Give the options that the current command was typed with, as words.

    Args:
        without: Names of the parameters to leave out.
    """
    from batchjobs.notices.address import hide_in_words

    context = click.get_current_context()
    words: list[str] = []
    for option in context.command.params:
        name = option.name or ""
        is_typed = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if not isinstance(option, click.Option) or name in without or not is_typed:
            continue
        value = context.params[name]
        if option.is_flag:
            words.append((option.opts if value else option.secondary_opts)[0])
        else:
            values = value if option.multiple else [value]
            words += [word for each in values for word in (option.opts[0], str(each))]
    return hide_in_words(words)


def command_of(found: "RunStatus", folder: Path) -> str:
    """Give the command that runs a folder's manifest again, from here."""
    # Called from Python, it was no command: then this one does the same with the defaults.
    named = "-" if _has_no_file(found.manifest) else found.manifest
    command = found.command or quote_command("run", named, "-o", folder.absolute())
    command = with_options(command, found.larger_limits)
    there = found.working_folder
    with contextlib.suppress(OSError):
        if not there or Path(there).samefile(Path()):
            return command
    return f"cd {shlex.quote(there)} && {command}"


def with_options(command: str, options: "Mapping[str, str]") -> str:
    """Give a command with other values for some of its options.

    Args:
        command: As a shell takes it.
        options: Long options and their values; an empty value takes the option out.
    """
    if not options:
        return command
    words, kept = iter(shlex.split(command)), list[str]()
    for word in words:
        if word in options:
            next(words, "")
        elif word.partition("=")[0] not in options:
            kept.append(word)
    given = [word for name, value in options.items() if value for word in (name, value)]
    return shlex.join([*kept, *given])


def _has_no_file(manifest: str) -> bool:
    """Say whether the rows came from the standard input, or from Python."""
    return manifest in {STANDARD_INPUT, GIVEN_ROWS}


def next_step(
    summary: "RunSummary",
    command: str,
    folder: str | Path,
    nature: "RunNature",
    *,
    is_out: bool,
    cost_limit: str = "",
    results: str | Path = "",
) -> str:
    """Say how to go on with a run that is not all done; empty where nothing is left to do.

    Args:
        summary: The run's.
        command: The command that runs it.
        folder: Its folder.
        nature: What kind of run it is.
        is_out: Whether a limit was reached, which `command` raises.
        cost_limit: What a row may cost for those to be bought that cost more.
        results: Where its results are, if not in its folder.
    """
    if summary.not_run:
        rows = ", with the same rows" if _has_no_file(summary.manifest) else ""
        limit = ", with a larger limit" if is_out else ""
        return f"continue{limit}{rows}: {command}"
    if summary.suspect:
        return _step_of_suspects(summary, command, folder, nature, results or folder)
    return _step_of_failed(summary, command, cost_limit) if summary.failed else ""


def _step_of_failed(summary: "RunSummary", command: str, cost_limit: str) -> str:
    failed, bad = summary.failed, summary.errors.get("bad_row", 0)
    if failed == bad:
        return f"mend the bad rows, then: {command}"
    if cost_limit and failed == bad + summary.errors.get("too_costly", 0):
        dear = with_options(command, {"--max-cost-per-row": cost_limit})
        return f"to buy what costs more than a row may: {dear}"
    if failed == bad + summary.failed_passing:  # the next run tries these by itself
        return f"again: {command}"
    return f"again: {_insist(command)}"


def step_of_done(folder: str | Path, manifest: str | Path, nature: "RunNature") -> str:
    """Say what one does with a run that is all done: a book is bound, anything else looked at.

    Args:
        folder: The run's.
        manifest: Its manifest.
        nature: What kind of run it is.
    """
    step = f"next: {quote_command('bind' if nature.is_book else 'verify', folder)}"
    if str(manifest) != "-":
        step += f", or edit {shlex.quote(str(manifest))} and run it again"
    return step


def _step_of_suspects(
    summary: "RunSummary",
    command: str,
    folder: str | Path,
    nature: "RunNature",
    results: str | Path,
) -> str:
    if summary.suspect == summary.suspect_passing:  # they have attempts left
        return f"continue: {command}"
    accept = quote_command("accept", folder, "--all")
    again = _insist(command)
    verbs = [
        verb
        for verb, is_there in (
            ("listen to", nature.has_suspect_speech or not nature.has_suspect_transcripts),
            ("read", nature.has_suspect_transcripts),
        )
        if is_there
    ]
    look = " and ".join(verbs)
    return f"{look} {results}/suspect, then: {accept}\n  or buy the better of two: {again}"


def _insist(command: str) -> str:
    has_it = "--retry-failed" in shlex.split(command)
    return f"{command}{'' if has_it else ' --retry-failed'}"
