"""The commands that look and spend nothing: `status`, `verify`, `providers`."""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from batchjobs.cli.console import counts, print_json, say, told, wasted
from batchjobs.cli.next_step import next_step, quoted, typed_in
from batchjobs.cli.options import RUN_FOLDER, config_option, defaults_option, json_option
from batchjobs.formatting import plural

__all__ = ["providers", "status", "verify"]


@click.command(short_help="Say where a run stands, also while it goes on.")
@RUN_FOLDER
@json_option
@config_option
def status(folder: Path, *, as_json: bool, config: Path | None) -> None:
    """Say where a run stands, also while it is going on."""
    from batchjobs import api

    with told():
        found = api.status(folder, config_file=config)
    if as_json:
        print_json(found)
        return
    for line in _standing(found, folder):
        say(line)


def _standing(found: Mapping[str, object], folder: Path) -> Iterator[str]:
    """Say where a run stands, and how to go on unless it is going on."""
    yield counts(found)
    errors, lost, still_open = found["errors"], found["attempts_lost"], found["attempts_open"]
    assert isinstance(errors, dict)
    assert isinstance(lost, int)
    assert isinstance(still_open, int)
    doubts = found["doubts"]
    assert isinstance(doubts, dict)
    for name, count in doubts.items():
        yield f"  {count:>9,}  suspect: {name}"
    for name, count in errors.items():
        yield f"  {count:>9,}  failed: {name}"
    if not found["is_running"]:
        lost, still_open = lost + still_open, 0
    if lost:
        yield f"  {lost:>9,}  session{'s were' if lost > 1 else ' was'} lost when a run was killed"
    if line := wasted(found):
        yield line
    if found["is_running"]:
        yield f"a run is going on: {plural(still_open, 'session')} open"
        return
    if step := next_step(found, _command(found, folder), str(found["manifest"]), folder):
        yield step


def _command(found: Mapping[str, object], folder: Path) -> str:
    """Give the command that runs the folder's manifest again, from here."""
    # Called from Python, it was no command: then this one does the same with the defaults.
    named = "-" if found["manifest"] == "<stdin>" else found["manifest"]
    command = str(found["command"]) or quoted("run", named, "-o", folder.absolute())
    return typed_in(str(found["working_folder"]), command)


@click.command(short_help="Check every output against the checkpoint.")
@RUN_FOLDER
@json_option
@defaults_option
def verify(folder: Path, *, as_json: bool) -> None:
    """Check every output against the checkpoint: that it is there, whole and unchanged.

    Exits with 1 if something is wrong; 'batchjobs run' then makes it again.
    """
    from batchjobs import api

    with told():
        checked, found = api.verify(folder)
    if as_json:
        print_json({"checked": checked, "wrong": found})
    else:
        for line in found:
            say(line)
        are = "is" if len(found) == 1 else "are"
        verdict = (
            f"{plural(len(found), 'file')} {are} not as they were" if found else "all as they were"
        )
        say(f"{plural(checked, 'job')} checked: {verdict}")
        if found:
            say(f"to make them again: {_command(api.status(folder), folder)}")
    raise SystemExit(1 if found else 0)


@click.command(short_help="List the providers and their settings.")
@json_option
@config_option
def providers(*, as_json: bool, config: Path | None) -> None:
    """List the providers, their settings, and where each value comes from."""
    from batchjobs import config as configuration

    with told():
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
