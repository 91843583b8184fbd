"""The table of settings as a page shows it; ``python -m tests.options.settings_page`` prints it."""

from batchjobs.options import Entry, Options, entries

__all__ = ["table"]


def table() -> str:
    """Write a line of Markdown for each setting of a run."""
    lines = ["| option | in the file | default | what it does |", "|---|---|---|---|"]
    lines += [_line(entry) for entry in entries(Options)]
    return "\n".join(lines)


def _line(entry: Entry) -> str:
    setting = entry.setting
    names = [setting["short"]] if "short" in setting else []
    names += [entry.flag if entry.default is not True else entry.flag.replace("--", "--no-")]
    unit = " " + setting["metavar"].replace("|", "\\|") if "metavar" in setting else ""
    option = ", ".join(f"`{name}{unit if name.startswith('--') else ''}`" for name in names)
    default = entry.default_value if entry.default_value is not None else ""
    default = setting.get("default_shown", str(default)).replace("<", "\\<")
    text = entry.help.replace("|", "\\|") + _range(entry)
    text += f" One of {', '.join(setting['choices'])}." if "choices" in setting else ""
    key = entry.flag.removeprefix("--").replace("-", "_") if entry.name != "config" else ""
    return f"| {option} | {f'`{key}`' if key else ''} | {default} | {text} |"


def _range(entry: Entry) -> str:
    if "most" not in entry.setting or "parse" in entry.setting:
        return ""
    least, most = (
        entry.in_units(bound) for bound in (entry.setting["least"], entry.setting["most"])
    )
    return f" {least:,} to {most:,}."


if __name__ == "__main__":
    print(table())
