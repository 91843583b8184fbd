"""What is known of a setting beside its name, its type and its default: its field's metadata."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from types import UnionType
from typing import Literal, NamedTuple, TypedDict, TypeVar, Unpack, cast, get_args, get_origin

from batchjobs.errors import UsageError

_Record = TypeVar("_Record")
_Value = TypeVar("_Value")


class Details(TypedDict, total=False):
    """What is known of a setting; the command line, its file and the documents are made of it.

    Attributes:
        flag: Its long option, where that is not the field's name.
        short: Its short option.
        metavar: Its unit, or what its value is.
        scale: How many of the command line's unit make one of the field's.
        least: The least value, in the field's unit.
        most: The greatest value.
        choices: The values there are.
        noun: What one of `choices` is called, where that is not the field's name.
        parse: Reads the command line's text, and raises ValueError; an empty text is the default.
        path: What has to be there if it is a path; without this, nothing has to.
        in_bucket: Whether it may be an address in a bucket, too.
        default_shown: What is done without it, where the field's default does not say so.
        note: What its value means in Python, where the command line's means something else.
        is_planned: Whether it says what there is to do: then `plan` has it as well as `run`.
        is_local: Whether it is for the local server that a run starts.
    """

    flag: str
    short: str
    metavar: str
    scale: int
    least: int
    most: int
    choices: tuple[str, ...]
    noun: str
    parse: Callable[[str], object]
    path: Literal["file", "folder", "any"]
    in_bucket: bool
    default_shown: str
    note: str
    is_planned: bool
    is_local: bool


class Setting(NamedTuple):
    """A setting: its field, and what else is known of it.

    Attributes:
        name: The field's.
        kind: The type of its value, where there is one.
        is_repeated: Whether it may have several values.
        default: Its value if it is not given.
        help: What it does.
        details: What else is known of it.
    """

    name: str
    kind: type
    is_repeated: bool
    default: object
    help: str
    details: Details

    @property
    def flag(self) -> str:
        """Its long option."""
        return self.details.get("flag") or "--" + self.name.replace("_", "-")

    @property
    def default_value(self) -> int | float | str | None:
        """Its default as the command line has it; None where that says nothing."""
        value = self.default
        if "parse" in self.details or isinstance(value, bool):
            return None
        if isinstance(value, int | float):
            return self.in_units(value)
        return value if isinstance(value, str) and value else None

    def in_units(self, value: float) -> int | float:
        """Turn a number of the field's unit into one of the command line's."""
        return round(value * self.details["scale"]) if "scale" in self.details else value

    def read(self, given: object) -> object:
        """Turn what the command line gives into the field's value.

        Raises:
            ValueError: It is none.
            ConfigurationError: The same, with a hint.
        """
        if "parse" in self.details:
            return self.details["parse"](str(given)) if given else self.default
        if "scale" in self.details and isinstance(given, int):
            return given / self.details["scale"]
        return given


def setting(text: str, *, default: _Value, **details: Unpack[Details]) -> _Value:
    """Make the field of a setting.

    Args:
        text: What it does, in a sentence or two.
        default: Its value if it is not given.
        details: What else is known of it.
    """
    return dataclasses.field(default=default, metadata={"help": text, "details": details})


def settings_of(record: type) -> Iterator[Setting]:
    """List the settings of a record, those of the records in it included, in their order."""
    for field in dataclasses.fields(record):
        if dataclasses.is_dataclass(field.type):
            yield from settings_of(cast("type", field.type))
        elif "help" in field.metadata:
            kinds = get_args(field.type) if isinstance(field.type, UnionType) else (field.type,)
            kind = [each for each in kinds if each is not type(None)][-1]
            is_repeated = get_origin(kind) is tuple
            yield Setting(
                name=field.name,
                kind=get_args(kind)[0] if is_repeated else kind,
                is_repeated=is_repeated,
                default=field.default,
                help=field.metadata["help"],
                details=field.metadata["details"],
            )


def fill(record: type[_Record], values: Mapping[str, object]) -> _Record:
    """Make a record of values by the names of its settings; what has none keeps its default."""
    given: dict[str, object] = {}
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        if dataclasses.is_dataclass(field.type):
            given[field.name] = fill(cast("type", field.type), values)
        elif "help" in field.metadata and values.get(field.name) is not None:
            given[field.name] = values[field.name]
    return record(**given)


def check_settings(record: object) -> None:
    """Refuse what the command line would: after the first purchase is too late.

    Raises:
        UsageError: A setting is out of its range.
    """
    for setting in settings_of(type(record)):
        if hasattr(record, setting.name):  # a record in it is judged where it is used
            _check_value(setting, getattr(record, setting.name))


def _check_value(setting: Setting, value: object) -> None:
    if value == setting.default:
        return
    for each in value if isinstance(value, tuple) else (value,):
        _check_one(setting, each)


def _check_one(setting: Setting, value: object) -> None:
    details = setting.details
    if "choices" in details and value not in details["choices"]:
        known = ", ".join(details["choices"])
        noun = details.get("noun", setting.name)
        raise UsageError(f"there is no {noun} '{value}'", hint=f"there are {known}")
    if not isinstance(value, int | float):
        return
    hint = ""
    if "least" in details and not value >= details["least"]:  # nor is what is no number
        hint = f"give {details['least']} or more"
    elif "most" in details and value > details["most"]:
        hint = f"give {details['most']} at most"
    if hint:
        raise UsageError(f"the option {setting.name} is {value}", hint=hint)


def name_for_python(record: type) -> dict[str, str]:
    """Say what a record's own settings are called in Python, by their long options."""
    return {
        setting.flag: f"{record.__name__}.{setting.name}"
        for setting in settings_of(record)
        if hasattr(record, setting.name)  # it is no setting of a record in this one
    }


def describe(record: type) -> str:
    """Complete a record's docstring with its own settings."""
    lines = [(record.__doc__ or "").rstrip(), "", "    Attributes:"]
    for setting in settings_of(record):
        if not hasattr(record, setting.name):  # it is a setting of a record in this one
            continue
        note = f" ({setting.details['note']})" if "note" in setting.details else ""
        lines.append(f"        {setting.name}: {setting.help}{note} ``{setting.flag}``")
    return "\n".join(lines)
