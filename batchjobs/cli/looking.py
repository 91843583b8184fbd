"""The commands that look and spend nothing: `status`, `verify`, `providers`."""

import dataclasses
import os
from pathlib import Path

import click

from batchjobs.cli.options import RUN_FOLDER, config_option, defaults_option, json_option
from batchjobs.cli.telling import counts, print_json, say, told

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
    say(counts(found))
    errors = found["errors"]
    assert isinstance(errors, dict)
    for name, count in errors.items():
        say(f"  {count:>9,}  failed: {name}")
    if found["attempts_lost"]:
        say(f"  {found['attempts_lost']:>9,}  sessions were lost when the run was killed")
    if found["not_run"]:
        say(f"continue: batchjobs run {found['manifest']} -o {folder}")


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
        verdict = f"{len(found):,} files are not as they were" if found else "all as they were"
        say(f"{checked:,} finished jobs checked: {verdict}")
        if found:
            say("next: run the manifest again; it makes again what is missing")
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
