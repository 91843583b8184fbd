"""What was ordered of a run while it went on, and still stands: settings changed, and whether it is paused."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Final, Never, TypeAlias, cast

import msgspec
from msgspec import structs

from batchjobs.errors import BatchjobsError, UsageError
from batchjobs.options.setting import Setting, check_settings, settings_of
from batchjobs.options.table import Options

_CHANGEABLE: Final = (
    "concurrency",
    "starts_per_second",
    "budget",
    "max_characters",
    "max_audio_seconds",
)
"""Settings that can be changed while a run goes on, by the names of their fields."""
_NO_LIMIT: Final = "none"
_Value: TypeAlias = int | float | None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that was changed.

    Attributes:
        value: What it is now.
        base: What the command said when it was changed.
    """

    value: _Value
    base: _Value


class Standing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was ordered of a run, and holds for the next one of the same command too.

    Attributes:
        paused_since: Unix time since when no session is to start; 0 if they may.
        changes: Settings that were changed, by the names of their fields.
    """

    paused_since: float = 0.0
    changes: dict[str, Change] = {}

    def encode(self) -> str:
        """Write it, for the checkpoint."""
        return _encoder.encode(self).decode()

    def keep_for(self, options: Options) -> "Standing":
        """Drop the changes of settings for which the command says something else by now: it goes first."""
        changes = {
            name: change
            for name, change in self.changes.items()
            if name in _CHANGEABLE and _read(options, name) == change.base
        }
        return structs.replace(self, changes=changes)

    def apply(self, options: Options) -> Options:
        """Give a command's options with the changes."""
        return _replace(options, {name: each.value for name, each in self.changes.items()})

    def change(self, options: Options, changed: Options) -> "Standing":
        """Note that options were changed; what is again as the command has it is changed no more.

        Args:
            options: As they were before, with the changes until then.
            changed: As they are now.
        """
        changes = dict(self.changes)
        for name in _CHANGEABLE:
            value, before = _read(changed, name), _read(options, name)
            base = changes[name].base if name in changes else before
            if value == base:
                changes.pop(name, None)
            elif value != before:
                changes[name] = Change(value=value, base=base)
        return structs.replace(self, changes=changes)


_encoder = msgspec.json.Encoder()


def read_standing(content: str) -> Standing:
    """Read what `Standing.encode` wrote; nothing of a later version that cannot be read."""
    try:
        return msgspec.json.decode(content or "{}", type=Standing)
    except msgspec.DecodeError:
        return Standing()


def changeable() -> dict[str, Setting]:
    """List the settings that can be changed, by their long options without the dashes."""
    found = {setting.name: setting for setting in settings_of(Options)}
    return {found[name].flag.removeprefix("--"): found[name] for name in _CHANGEABLE}


def change_options(options: Options, given: Mapping[str, str]) -> Options:
    """Change settings of a run that goes on.

    Args:
        options: The run's.
        given: Values as the command line has them, by long options without the dashes; ``none`` takes
            a limit away.

    Raises:
        UsageError: There is no such setting, or a value is none of its.
    """
    known = changeable()
    values: dict[str, object] = {}
    for name, value in given.items():
        setting = known.get(name.replace("_", "-"))
        if setting is None:
            raise UsageError(
                f"there is no setting '{name}' that can be changed while a run goes on",
                hint=f"there are {', '.join(known)}",
            )
        values[setting.name] = _parse(setting, value)
    changed = _replace(options, values)
    check_settings(changed)
    return changed


def describe_changes(before: Options, after: Options) -> str:
    """Say which settings differ: ``concurrency 4 (was 32)``; empty if none does."""
    return ", ".join(
        f"{flag} {_show(after, name)} (was {_show(before, name)})"
        for flag, name in _names()
        if _read(after, name) != _read(before, name)
    )


def show_settings(options: Options) -> dict[str, str]:
    """Give the settings that can be changed, as they are."""
    return {flag: _show(options, name) for flag, name in _names()}


def _parse(setting: Setting, value: str) -> object:
    """Read a value as the command line has it.

    Raises:
        UsageError: It is none.
    """
    name = setting.flag.removeprefix("--")
    if value == _NO_LIMIT and setting.name != "concurrency":
        return setting.default
    try:
        if "parse" in setting.details and value:
            return setting.details["parse"](value)
        number = setting.kind(value)
        if math.isfinite(number):
            return number
    except BatchjobsError as error:
        raise UsageError(f"{name}: {error.message}", hint=error.hint) from error
    except ValueError as error:
        if "parse" in setting.details:
            raise UsageError(f"{name}: {error}") from error
    metavar = setting.details.get("metavar", "")
    hint = f"give {name}={metavar}" + (f", or {name}=none" if setting.name != "concurrency" else "")
    raise UsageError(f"{name}: '{value}' is no number", hint=hint)


def _replace(options: Options, values: Mapping[str, object]) -> Options:
    return dataclasses.replace(options, **cast("dict[str, Never]", values))


def _read(options: Options, name: str) -> _Value:
    value = getattr(options, name)
    assert value is None or isinstance(value, int | float)
    return value


def _names() -> Iterator[tuple[str, str]]:
    return ((flag, setting.name) for flag, setting in changeable().items())


def _show(options: Options, name: str) -> str:
    value = _read(options, name)
    if name == "concurrency":
        return "the provider's" if value is None else str(value or "auto")
    if name == "starts_per_second":
        return f"{value:.15g}/s" if value else _NO_LIMIT
    return _NO_LIMIT if value is None else f"{value:.15g}"
