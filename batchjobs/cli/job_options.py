"""What `run` and `plan` share: the manifest, and the settings that say what is to be done."""

import dataclasses
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import BinaryIO, TypeVar

import click
from click.core import ParameterSource

from batchjobs.cli.console import exit_on_error
from batchjobs.cli.next_step import typed_command
from batchjobs.cli.options import SETTINGS, Place, complete_provider, config_option, setting_option
from batchjobs.options import Options, fill

_Command = TypeVar("_Command")

MANIFEST = click.argument("manifest", type=Place(path_type=Path, allow_dash=True))


def run_settings(
    command: _Command,
    *,
    only_planned: bool = False,
    only: Collection[str] | None = None,
    like: click.Command | None = None,
) -> _Command:
    """Add the settings of a run.

    Args:
        command: The command that gets them.
        only_planned: Only those that say what there is to do.
        only: Only those with these names; None for all.
        like: Another command, whose table in the file holds for this one too.
    """
    for setting in reversed(SETTINGS.values()):
        if only_planned and "is_planned" not in setting.details:
            continue
        if only is not None and setting.name not in only:
            continue
        if setting.name == "config":
            command = config_option(command, like=like)
        elif setting.name == "provider":
            command = setting_option(setting, shell_complete=complete_provider)(command)
        else:
            command = setting_option(setting)(command)
    return command


def read_options(given: Mapping[str, object]) -> Options:
    """Put the command line's values where the library wants them."""
    _refuse_what_is_for_the_local_server(given)
    return dataclasses.replace(fill(Options, given), command=typed_command())


def is_voice_typed() -> bool:
    """Whether ``--voice`` was typed: one from the file or the environment may be for other providers."""
    context = click.get_current_context()
    return any(
        "--voice" in option.opts
        and context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        for option in context.command.params
    )


def _refuse_what_is_for_the_local_server(given: Mapping[str, object]) -> None:
    """Refuse options of the local server, typed for a run that starts none."""
    from batchjobs import config, providers

    local = {setting.name for setting in SETTINGS.values() if "is_local" in setting.details}
    context = click.get_current_context()
    typed_here = [
        option.opts[0]
        for option in context.command.params
        if option.name in local
        and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    ]
    with exit_on_error():
        path = given.get("config")
        known = config.load(path if isinstance(path, Path) else None).providers
    name = str(given["provider"] or providers.DEFAULT_PROVIDER)
    is_elsewhere = name in known and not known[name].engine
    if typed_here and (is_elsewhere or given.get("base_url")):
        where = f"--provider {name}" if is_elsewhere else "--base-url"
        raise click.UsageError(
            f"{' and '.join(typed_here)} {'is' if len(typed_here) == 1 else 'are'} for the local "
            f"server that a run starts; with {where} it starts none"
        )


def manifest_source(manifest: Path | str) -> Path | str | BinaryIO:
    """Give the manifest as the library takes it: ``-`` is the standard input."""
    return sys.stdin.buffer if str(manifest) == "-" else manifest
