"""The command `providers`."""

import dataclasses
import json
import os
from pathlib import Path

import click

from batchjobs.cli.console import exit_on_error, print_json, say
from batchjobs.cli.options import LocalPath, complete_provider, config_option, json_option, option


@click.command()
@option(
    "--voices",
    "voices_of",
    default="",
    metavar="NAME",
    shell_complete=complete_provider,
    help="List this provider's voices; a hosted one is asked, which costs nothing.",
)
@option("--base-url", default="", help="With --voices: where the provider is: wss://HOST/api/v1.")
@option(
    "--key-file",
    type=LocalPath(exists=True, dir_okay=False, path_type=Path),
    help="With --voices: file with the key, readable by its owner only.",
)
@option("--insecure", is_flag=True, help="Allow unencrypted connections to other machines.")
@json_option
@config_option
def providers(
    *,
    voices_of: str,
    base_url: str,
    key_file: Path | None,
    insecure: bool,
    as_json: bool,
    config: Path | None,
) -> None:
    """List the providers, their settings, and where each value comes from.

    \b
    Example:
        batchjobs providers --voices munsit
    """
    if not voices_of:
        _show_settings(config, as_json=as_json)
        return
    from batchjobs.api.voices import list_voices

    with exit_on_error():
        found = list_voices(
            voices_of,
            base_url=base_url,
            key_file=key_file,
            insecure=insecure,
            config_file=config,
        )
    if as_json:
        print_json([dataclasses.asdict(voice) for voice in found])
        return
    width = max((len(voice.id) for voice in found), default=0)
    for voice in found:
        facts = ", ".join(filter(None, (voice.name, voice.gender, voice.language)))
        say(f"{voice.id:<{width}}  {facts}".rstrip())


def _show_settings(config: Path | None, *, as_json: bool) -> None:
    from batchjobs import config as configuration

    with exit_on_error():
        read = configuration.load(config)
    if as_json:
        print_json(
            {name: dataclasses.asdict(provider) for name, provider in read.providers.items()}
        )
        return
    for name, provider in read.providers.items():
        keys = [_say_of_key(account.key_variable) for account in provider.every_account]
        say(f"{name}  (key{'s' * (len(keys) > 1)}: {'; '.join(keys)})")
        for field in dataclasses.fields(provider):
            if field.name == "name":
                continue
            source = str(read.path) if field.name in read.changed.get(name, ()) else "built in"
            say(f"    {field.name} = {_to_toml(getattr(provider, field.name))}  # {source}")


def _to_toml(value: object) -> str:
    """Write a setting as it may stand in the file, to be copied there."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        given = (
            f"{field.name} = {_to_toml(fact)}"
            for field in dataclasses.fields(value)
            if (fact := getattr(value, field.name)) != field.default
        )
        return f"{{ {', '.join(given)} }}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_to_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _say_of_key(variable: str) -> str:
    return f"{variable}, {'set' if os.environ.get(variable) else 'not set'}"
