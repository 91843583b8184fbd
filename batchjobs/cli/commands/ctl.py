"""The command `ctl`."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from batchjobs.cli.console import describe_sent, exit_on_error, print_json, say
from batchjobs.cli.options import RUN_FOLDER, defaults_option, json_option, option
from batchjobs.formatting import clock, duration, plural

if TYPE_CHECKING:
    from batchjobs.limits import Price
    from batchjobs.runner.requests import AccountState, Request, RunFacts

_ACTIONS: Final = ("pause", "resume", "set", "requeue", "drain", "tell")


@click.command()
@RUN_FOLDER
@click.argument("action", type=click.Choice(_ACTIONS))
@click.argument("words", nargs=-1)
@option(
    "--class",
    "classes",
    multiple=True,
    metavar="CLASS",
    help="With requeue: jobs that ended so: 'suspect', a class of failures as 'status' names it, or "
    "'all'; can be given more than once.",
)
@json_option
@defaults_option
def ctl(
    folder: Path, action: str, words: tuple[str, ...], *, classes: tuple[str, ...], as_json: bool
) -> None:
    """Ask something of the run that is going on in RUN, a run folder or a manifest.

    \b
    pause              starts no more sessions, and waits; open ones may end
    resume             goes on
    set NAME=VALUE …   changes concurrency (N or auto), rate (N/s), budget,
                       max-characters or max-audio; 'none' takes a limit away
    requeue [ID …]     has failed and suspect jobs bought again, after all others:
                       those named, or all of a --class
    drain              starts no more sessions, and ends as after SIGTERM
    tell               says how the run stands

    Once it answers, it is done and kept: if the run is killed, the same command goes on with it, unless
    that now says something else than it said before. Only the run's owner may ask.

    \b
    Examples:
        batchjobs ctl outputs/talks set concurrency=4 budget=50
        batchjobs ctl outputs/talks requeue --class suspect
    """
    from batchjobs.api.control import ask

    request = _read_request(action, words, classes)
    with exit_on_error():
        reply = ask(folder, request)
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(reply))
        return
    if reply.said:
        say(reply.said)
    if action == "tell" and reply.run is not None:
        for line in _describe(reply.run):
            say(line)


def _read_request(action: str, words: tuple[str, ...], classes: tuple[str, ...]) -> "Request":
    """Make a request of what was typed."""
    from batchjobs.runner import requests

    if classes and action != "requeue":
        raise click.UsageError(f"--class is for requeue, not for {action}")
    if words and action not in {"set", "requeue"}:
        raise click.UsageError(f"{action} takes nothing else: {' '.join(words)}")
    if action == "set":
        return requests.Set(values=_read_values(words))
    if action == "requeue":
        if not (words or classes):
            raise click.UsageError("name jobs by their ids, or give --class suspect, CLASS or all")
        return requests.Requeue(classes=list(classes), ids=list(words))
    plain: dict[str, Request] = {
        "pause": requests.Pause(),
        "resume": requests.Resume(),
        "drain": requests.Drain(),
        "tell": requests.Tell(),
    }
    return plain[action]


def _read_values(words: tuple[str, ...]) -> dict[str, str]:
    values = {}
    for word in words:
        name, is_pair, value = word.partition("=")
        if not is_pair:
            raise click.UsageError(f"'{word}' is not NAME=VALUE, such as concurrency=4")
        values[name] = value
    if not values:
        raise click.UsageError("give NAME=VALUE, such as concurrency=4 or budget=50")
    return values


def _describe_account(account: "AccountState") -> str:
    """Say how a run stands with one of several accounts."""
    room = f"{account.sessions_open:,} of {plural(account.concurrency, 'session')}"
    wait = f", none starts for {account.waits_seconds:.0f} s" if account.waits_seconds else ""
    reach = ", cannot be reached" if account.is_out_of_reach else ""
    state = ", takes no more in this run" if account.has_left else wait + reach
    spent = "" if account.budget is None else f", spent {account.spent:g} of {account.budget:g}"
    return room + state + spent


def _describe_price(spent: "Price") -> str:
    """Say what was spent; the money has no currency where providers differ in theirs."""
    sums = [f"{spent.money:,.6g}"] if spent.money else []
    sent = list(describe_sent(spent.characters, spent.audio_seconds))
    return ", ".join(sums + (sent or [plural(0, "character")]))


def _describe(run: "RunFacts") -> Iterator[str]:
    """Say how a run stands."""
    began = duration(max(0.0, time.time() - run.began_at))
    since = f" since {clock(run.paused_since)}" if run.paused_since else ""
    yield f"{run.state}{since}; process {run.pid}, for {began}"
    yield (
        f"in this run: {run.done:,} done, {run.suspect:,} suspect, {run.failed:,} failed; "
        f"{plural(run.sessions_open, 'session')} open, {run.waiting:,} waiting for another try"
    )
    for service in run.services:
        room = f"{service.sessions_open:,} of {plural(service.concurrency, 'session')}"
        wait = f", none starts for {service.waits_seconds:.0f} s" if service.waits_seconds else ""
        reach = ", cannot be reached" if service.is_out_of_reach else ""
        yield f"{service.provider}: {room}{wait}{reach}"
        yield from (f"  {each.account}: {_describe_account(each)}" for each in service.accounts)
    yield ", ".join(f"{name} {value}" for name, value in run.settings.items())
    yield f"spent in all runs here: {_describe_price(run.spent)}"
    if run.limit_reached:
        yield f"limit reached: {run.limit_reached}"
