"""The command `providers`."""

import dataclasses
import os
from pathlib import Path

import click

from batchjobs.cli.console import exit_on_error, print_json, say
from batchjobs.cli.options import config_option, json_option


@click.command()
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
