"""The table of settings as a page shows it; ``python -m tests.options.settings_page`` prints it."""

from batchjobs.options import Options, Setting, settings_of

__all__ = ["table"]


def table() -> str:
    """Write a line of Markdown for each setting of a run."""
    lines = ["| option | in the file | default | what it does |", "|---|---|---|---|"]
    lines += [_line(setting) for setting in settings_of(Options)]
    return "\n".join(lines)


def _line(setting: Setting) -> str:
    details = setting.details
    names = [details["short"]] if "short" in details else []
    names += [setting.flag if setting.default is not True else setting.flag.replace("--", "--no-")]
    unit = " " + details["metavar"].replace("|", "\\|") if "metavar" in details else ""
    option = ", ".join(f"`{name}{unit if name.startswith('--') else ''}`" for name in names)
    default = setting.default_value if setting.default_value is not None else ""
    default = details.get("default_shown", str(default)).replace("<", "\\<")
    text = setting.help.replace("|", "\\|") + _range(setting)
    text += f" One of {', '.join(details['choices'])}." if "choices" in details else ""
    key = setting.flag.removeprefix("--").replace("-", "_") if setting.name != "config" else ""
    return f"| {option} | {f'`{key}`' if key else ''} | {default} | {text} |"


def _range(setting: Setting) -> str:
    if "most" not in setting.details or "parse" in setting.details:
        return ""
    least, most = (
        setting.in_units(bound) for bound in (setting.details["least"], setting.details["most"])
    )
    return f" {least:,} to {most:,}."


if __name__ == "__main__":
    print(table())
