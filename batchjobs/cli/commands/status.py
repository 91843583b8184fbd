"""The commands that look and spend nothing: `status`, `verify`, `providers`."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchjobs.cli.console import counts_of, exit_on_error, print_json, say, waste_of
from batchjobs.cli.next_step import command_from_here, has_no_file, next_step, quote_command
from batchjobs.cli.options import RUN_FOLDER, config_option, defaults_option, json_option
from batchjobs.formatting import plural

if TYPE_CHECKING:
    from batchjobs.api import RunStatus

__all__ = ["providers", "status", "verify"]


@click.command(short_help="Say where a run stands, also while it goes on.")
@RUN_FOLDER
@json_option
@config_option
def status(folder: Path, *, as_json: bool, config: Path | None) -> None:
    """Say where a run stands, also while it is going on."""
    from batchjobs import api

    with exit_on_error():
        found = api.status(folder, config_file=config)
    if as_json:
        import msgspec

        values: dict[str, object] = msgspec.to_builtins(found)
        first = ("manifest", "command", "working_folder", "is_running")
        print_json({name: values.pop(name) for name in first} | values)
        return
    for line in _describe(found, folder):
        say(line)


def _describe(found: "RunStatus", folder: Path) -> Iterator[str]:
    """Say where a run stands, and how to go on unless it is going on."""
    yield counts_of(found)
    for name, count in found.doubts.items():
        yield f"  {count:>9,}  suspect: {name}"
    for name, count in found.errors.items():
        yield f"  {count:>9,}  failed: {name}"
    lost = found.attempts_lost + (0 if found.is_running else found.attempts_open)
    if lost:
        yield f"  {lost:>9,}  session{'s were' if lost > 1 else ' was'} lost when a run was killed"
    if line := waste_of(found):
        yield line
    if found.is_running:
        yield f"a run is going on: {plural(found.attempts_open, 'session')} open"
    elif step := next_step(found, _command(found, folder), folder):
        yield step


def _command(found: "RunStatus", folder: Path) -> str:
    """Give the command that runs the folder's manifest again, from here."""
    # Called from Python, it was no command: then this one does the same with the defaults.
    named = "-" if has_no_file(found.manifest) else found.manifest
    command = found.command or quote_command("run", named, "-o", folder.absolute())
    return command_from_here(found.working_folder, command)


@click.command(short_help="Check every output against the checkpoint.")
@RUN_FOLDER
@json_option
@defaults_option
def verify(folder: Path, *, as_json: bool) -> None:
    """Check every output against the checkpoint: that it is there, whole and unchanged.

    Exits with 1 if something is wrong; 'batchjobs run' then makes it again.
    """
    from batchjobs import api

    with exit_on_error():
        report = api.verify(folder)
    wrong = report.wrong
    if as_json:
        print_json(report)
    else:
        for line in wrong:
            say(line)
        are = "is" if len(wrong) == 1 else "are"
        verdict = (
            f"{plural(len(wrong), 'file')} {are} not as they were" if wrong else "all as they were"
        )
        say(f"{plural(report.checked, 'job')} checked: {verdict}")
        if wrong:
            say(f"to make them again: {_command(api.status(folder), folder)}")
    raise SystemExit(1 if wrong else 0)


@click.command(short_help="List the providers and their settings.")
@json_option
@config_option
def providers(*, as_json: bool, config: Path | None) -> None:
    """List the providers, their settings, and where each value comes from."""
    from batchjobs import config as configuration

    with exit_on_error():
        read = configuration.load(config)
    if as_json:
        print_json(
            {name: dataclasses.asdict(provider) for name, provider in read.providers.items()}
        )
        return
    for name, provider in read.providers.items():
        has_key = bool(os.environ.get(provider.key_variable))
        say(f"{name}  (key: {provider.key_variable}, {'set' if has_key else 'not set'})")
        for field in dataclasses.fields(provider):
            if field.name == "name":
                continue
            source = str(read.path) if field.name in read.changed.get(name, ()) else "built in"
            say(f"    {field.name} = {getattr(provider, field.name)!r}  [{source}]")
