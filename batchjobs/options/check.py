"""The ranges of a run's settings, for those who did not come by the command line."""

from batchjobs.errors import UsageError
from batchjobs.options.setting import Entry, entries
from batchjobs.options.table import Options

__all__ = ["check"]


def check(options: Options) -> None:
    """Refuse what the command line would: after the first purchase is too late.

    Raises:
        UsageError: An option is out of its range.
    """
    for entry in entries(Options):
        if hasattr(options, entry.name):  # a manifest's defaults are judged as its rows are
            _check_range(entry, getattr(options, entry.name))
    if options.compress and not options.library_hooks:
        hint = "leave out one of --compress and --no-library-hooks"
        raise UsageError("--compress needs its hook into trio-websocket", hint=hint)


def _check_range(entry: Entry, value: object) -> None:
    setting = entry.setting
    if "choices" in setting and value not in setting["choices"]:
        known = ", ".join(setting["choices"])
        raise UsageError(f"there is no {setting['noun']} '{value}'", hint=f"there are {known}")
    if not isinstance(value, int | float):
        return
    hint = ""
    if "least" in setting and not value >= setting["least"]:  # nor is what is no number
        hint = f"give {setting['least']} or more"
    elif "most" in setting and value > setting["most"]:
        hint = f"give {setting['most']} at most"
    if hint:
        raise UsageError(f"the option {entry.name} is {value}", hint=hint)
