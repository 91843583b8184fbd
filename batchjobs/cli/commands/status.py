"""The command `status`."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from batchjobs.cli.console import (
    accounts_of,
    checks_of,
    counts_of,
    exit_on_error,
    groups_of,
    print_json,
    say,
    waste_of,
)
from batchjobs.cli.left_out import describe_left_files
from batchjobs.cli.live import order_status, watch_status
from batchjobs.cli.next_step import command_of, next_step
from batchjobs.cli.options import RUN_FOLDER, config_option, json_option, option, setting_options
from batchjobs.formatting import clock, plural
from batchjobs.options import fill, settings_of
from batchjobs.options.health import HealthSettings
from batchjobs.process.invocation import quote_command
from batchjobs.storage.shelf import read_mark

if TYPE_CHECKING:
    from batchjobs.api.status import RunStatus


@click.command()
@RUN_FOLDER
@option(
    "--health",
    "asks_health",
    is_flag=True,
    help="Say in one line whether all is well, for monitoring: the exit code is 0, 1 or 2.",
)
@setting_options(settings_of(HealthSettings))
@option(
    "--watch",
    "watches",
    is_flag=True,
    help="Say it again every few seconds, for as long as a run is going on; where there is no terminal, "
    "or with --json (a line each), when something has changed.",
)
@json_option
@config_option
def status(
    folder: Path,
    *,
    asks_health: bool,
    watches: bool,
    as_json: bool,
    config: Path | None,
    **given: object,
) -> None:
    """Say where a run stands, also while it is going on.

    With --health it is one line, and the exit code is 0 (OK: it is going on and moves, or all is done),
    1 (WARNING: too many jobs failed or are suspect) or 2 (CRITICAL: nothing runs although there is work
    or a watch, work leads to nothing, a watch waits for something, or the last run was stopped).
    """
    from batchjobs.api.status import status as find_status

    if asks_health:
        _tell_health(folder, fill(HealthSettings, given), as_json=as_json)
    find = functools.partial(find_status, folder, config_file=config)
    with exit_on_error():
        if watches:
            watch_status(find, functools.partial(_describe, folder=folder), as_json=as_json)
            return
        found = find()
    if as_json:
        print_json(order_status(found))
        return
    for line in _describe(found, folder):
        say(line)


def _tell_health(folder: Path, settings: HealthSettings, *, as_json: bool) -> NoReturn:
    """Say whether all is well, and exit accordingly."""
    from batchjobs.api.health import health

    with exit_on_error():
        found = health(folder, settings)
    if as_json:
        print_json({"health": found.level.name.lower(), "reason": found.reason})
    else:
        say(f"{found.level.name}: {found.reason}")
    raise SystemExit(found.level.value)


def _describe(found: "RunStatus", folder: Path) -> Iterator[str]:
    """Say where a run stands, and how to go on unless it is going on."""
    yield counts_of(found)
    for name, count in found.doubts.items():
        yield f"  {count:>9,}  suspect: {name}"
    for name, count in found.errors.items():
        yield f"  {count:>9,}  failed: {name}"
    lost = found.attempts_lost + (0 if found.is_running else found.attempts_open)
    if lost:
        yield f"  {lost:>9,}  session{'s were' if lost > 1 else ' was'} lost when a run was killed"
    lines = (waste_of(found), describe_left_files(found.left_files, folder), *accounts_of(found))
    yield from filter(None, (*lines, *checks_of(found), *groups_of(found)))
    if line := _describe_pause(found, folder):
        yield line
    if found.is_running:
        yield f"a run is going on: {plural(found.attempts_open, 'session')} open"
    elif step := _step_of(found, folder):
        yield step


def _describe_pause(found: "RunStatus", folder: Path) -> str:
    if not found.paused_since:
        return ""
    command = quote_command("ctl", folder, "resume")
    how = command if found.is_running else f"the next run begins so; then: {command}"
    return f"paused since {clock(found.paused_since)}; to go on: {how}"


def _step_of(found: "RunStatus", folder: Path) -> str:
    command, mark = command_of(found, folder), read_mark(folder)
    return next_step(
        found,
        command,
        folder,
        found.nature,
        is_out=bool(found.larger_limits),
        cost_limit=found.cost_limit,
        results=mark.address if mark else "",
    )
