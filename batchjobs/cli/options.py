"""Options that commands share: each has an environment variable and a place in the file."""

import difflib
import functools
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click
from click.core import ParameterSource

from batchjobs.cli.console import complain, exit_on_error
from batchjobs.errors import BatchjobsError, ConfigurationError
from batchjobs.files.address import Address, find_mistake, is_address
from batchjobs.options import Options, Setting, settings_of

if TYPE_CHECKING:
    from batchjobs.config import Configuration

_Command = TypeVar("_Command")
SETTINGS: Final = {setting.name: setting for setting in settings_of(Options)}
"""Of a run, in the order of its help."""
VARIABLE_PREFIX: Final = "BATCHJOBS_"
"""Of each variable of the environment that sets something."""
_TABLES: Final = "batchjobs.tables"
"""Where a context keeps the table of the file that each value of it stands in."""


class LocalPath(click.Path):
    """A path on this machine, and not what was meant as an address."""

    def convert(
        self,
        value: "str | os.PathLike[str]",
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> "str | bytes | os.PathLike[str]":
        """Take a value, unless it would be made a path by mistake."""
        if isinstance(value, str):
            if is_address(value):
                self.fail(
                    f"'{value}' is in a bucket, and this has to be on this machine.", param, ctx
                )
            if hint := find_mistake(value):
                self.fail(f"'{value}' is no path; {hint}.", param, ctx)
        return super().convert(value, param, ctx)


class Place(LocalPath):
    """A path, or an address in a bucket, which stays the text that it is."""

    def convert(
        self,
        value: "str | os.PathLike[str]",
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> "str | bytes | os.PathLike[str]":
        """Take a value; an address is not looked for on the disk."""
        if isinstance(value, str) and is_address(value):
            return value
        return super().convert(value, param, ctx)


class _Option(click.Option):
    """An option that is called, where its value is wrong, as it was given: by whoever gave it."""

    def process_value(self, ctx: click.Context, value: object) -> object:
        """Take a value, as click does."""
        try:
            return super().process_value(ctx, value)
        except click.BadParameter as error:
            error.param_hint = source_of(ctx, self) or error.param_hint
            raise


def source_of(context: click.Context, parameter: click.Parameter) -> str:
    """Say where an option's value stands if nobody typed it: in the environment or the file.

    Args:
        context: Of the command.
        parameter: The option.
    """
    match context.get_parameter_source(parameter.name or ""):
        case ParameterSource.ENVIRONMENT:
            return f"{parameter.envvar} in the environment"
        case ParameterSource.DEFAULT_MAP:
            table = context.meta.get(_TABLES, {}).get(parameter.name, "")
            return f"'{_in_file(parameter)}' in {table}"
        case _:
            return ""


def variable_of(flag: str) -> str:
    """Name the variable of an option."""
    return VARIABLE_PREFIX + flag.removeprefix("--").upper().replace("-", "_")


def option(*names: str, **settings: object) -> Callable[[_Command], _Command]:
    """Make an option with an environment variable named after it."""
    long = next(name for name in names if name.startswith("--")).partition("/")[0]
    settings.setdefault("envvar", variable_of(long))
    settings.setdefault("cls", _Option)
    return click.option(*names, **settings)  # type: ignore[arg-type,return-value]


def setting_option(setting: Setting, **others: object) -> Callable[[_Command], _Command]:
    """Make the option of a setting.

    Args:
        setting: The setting.
        others: What click gets besides, or in place of what the table says.
    """
    details = setting.details
    shown = f"  [default: {details['default_shown']}]" if "default_shown" in details else ""
    attributes: dict[str, object] = {
        "help": setting.help + shown,
        "metavar": details.get("metavar"),
        "multiple": setting.is_repeated,
        "callback": functools.partial(_read_value, setting),
        "type": _type(setting),
    }
    flag = setting.flag
    if setting.kind is bool:
        attributes["is_flag"] = True
    if setting.default is True:
        flag += flag.replace("--", "/--no-")
        attributes["default"] = True
    if setting.default_value is not None:
        attributes |= {"default": setting.default_value, "show_default": not shown}
    short = (details["short"],) if "short" in details else ()
    return option(*short, flag, setting.name, **(attributes | others))


def setting_options(settings: Iterable[Setting]) -> Callable[[_Command], _Command]:
    """Make the options of several settings, in their order."""

    def add(command: _Command) -> _Command:
        for setting in reversed(list(settings)):
            command = setting_option(setting)(command)
        return command

    return add


def _type(setting: Setting) -> object:
    """Find click's type of a setting."""
    details = setting.details
    if "choices" in details:
        return click.Choice(details["choices"])
    if "parse" in details:
        return str
    if issubclass(setting.kind, Path):
        there = details.get("path")
        return (Place if "in_bucket" in details else LocalPath)(
            exists=there is not None,
            file_okay=there != "folder",
            dir_okay=there != "file",
            path_type=Path,
        )
    if "least" not in details:
        return setting.kind
    range_type = click.IntRange if setting.kind is int or "scale" in details else click.FloatRange
    most = setting.in_units(details["most"]) if "most" in details else None
    return range_type(setting.in_units(details["least"]), most)  # type: ignore[arg-type]


def _read_value(
    setting: Setting, context: click.Context, parameter: click.Parameter, given: object
) -> object:
    """Turn what click gives into the setting's value."""
    try:
        return setting.read(given)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=f"'{setting.flag}'") from error
    except BatchjobsError as error:
        source = source_of(context, parameter) or setting.flag
        complain(type(error)(f"{source}: {error.message}", hint=error.hint))


def _read_config(
    context: click.Context, _: click.Parameter, value: Path | None, *, like: click.Command | None
) -> Path | None:
    """Take the configuration file's defaults for this command before its options are looked at."""
    from batchjobs import config

    with exit_on_error():
        configuration = config.load(value)
    defaults: dict[str, object] = {}
    tables = context.meta.setdefault(_TABLES, {})
    if like is not None:
        tables.update(
            (each.name, f"{configuration.path}, [{like.name}]")
            for each in like.params
            if _in_file(each) in configuration.defaults.get(like.name or "", {})
        )
        names = {parameter.name for parameter in context.command.params}
        theirs = _defaults(configuration, like)
        _check(theirs, click.Context(like, info_name=like.name, parent=context.parent))
        defaults = {name: default for name, default in theirs.items() if name in names}
    own = _defaults(configuration, context.command)
    tables.update((name, f"{configuration.path}, [{context.command.name}]") for name in own)
    context.default_map = defaults | own
    return value


def _defaults(configuration: "Configuration", command: click.Command) -> dict[str, object]:
    """Find what the file has in a command's table, by the names of its parameters."""
    options = {_in_file(each): each for each in command.params}
    where = f"{configuration.path}: [{command.name}]"
    defaults: dict[str, object] = {}
    for given, default in configuration.defaults.get(command.name or "", {}).items():
        parameter = options.get(given)
        if parameter is None or parameter.name is None:
            close = difflib.get_close_matches(given, options, n=1)
            hint = f"did you mean '{close[0]}'?" if close else _list_options(command)
            complain(ConfigurationError(f"{where}: unknown option '{given}'", hint=hint))
        if parameter.type is click.BOOL and not isinstance(default, bool | str):
            hint = "write true or false"
            complain(ConfigurationError(f"{where}: '{given}' is neither on nor off", hint=hint))
        defaults[parameter.name] = default
    return defaults


def _check(defaults: Mapping[str, object], context: click.Context) -> None:
    """Refuse values that another command would refuse when it is its turn."""
    for parameter in context.command.params:
        if parameter.name in defaults and parameter.name != "config":
            context.set_parameter_source(parameter.name, ParameterSource.DEFAULT_MAP)
            parameter.process_value(context, defaults[parameter.name])


def _list_options(command: click.Command) -> str:
    return f"'batchjobs {command.name} --help' lists them, without the dashes"


def _in_file(parameter: click.Parameter) -> str:
    """Call an option in the file as on the command line: ``max_audio`` is ``--max-audio``."""
    long = next((name for name in parameter.opts if name.startswith("--")), "")
    return long.removeprefix("--").replace("-", "_")


def config_option(
    command: _Command, *, is_passed: bool = True, like: click.Command | None = None
) -> _Command:
    """Add ``--config``, which is read before every other option.

    Args:
        command: The command that gets it.
        is_passed: Whether the command gets the file's path.
        like: Another command, whose table holds for this one too; its own table goes first.
    """
    return setting_option(
        SETTINGS["config"],
        is_eager=True,
        expose_value=is_passed,
        callback=functools.partial(_read_config, like=like),
    )(command)


def defaults_option(command: _Command) -> _Command:
    """Add ``--config`` to a command that takes nothing from the file but its options' defaults."""
    return config_option(command, is_passed=False)


def json_option(command: _Command) -> _Command:
    """Add ``--json``."""
    return option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def _find_run_folder(_: click.Context, __: click.Parameter, path: Path | str) -> Path:
    """Take the folder of a manifest's run where the manifest is named."""
    from batchjobs.api.status import find_run_of

    if isinstance(path, Path) and not path.is_file():
        return path
    with exit_on_error():
        manifest = path if isinstance(path, Path) else Address.parse(path)
        return find_run_of(manifest, folder=os.environ.get("BATCHJOBS_OUTPUT"))


RUN_FOLDER = click.argument(
    "folder", metavar="RUN", type=Place(path_type=Path), callback=_find_run_folder
)


def complete_provider(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Offer the providers' names to the shell."""
    from batchjobs import config

    try:
        names = config.load(context.params.get("config")).providers
    except BatchjobsError:
        return []
    return sorted(name for name in names if name.startswith(incomplete))
