"""What the commands say, and how they end: sentences, exit codes, broken streams."""

import contextlib
import os
import re
import select
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NoReturn, TextIO

import click

from batchjobs.errors import BatchjobsError
from batchjobs.files import run_folder
from batchjobs.formatting import duration, money, plural

_SHOWN = 3
_TERMS_SHOWN = 20
_SHOWN_EVERY_SECONDS = 0.1
_ANOTHER_OUTPUT = re.compile(r", or (?:choose |give )?another --output$")

if TYPE_CHECKING:
    from batchjobs.api.glossary import GlossaryReport
    from batchjobs.outputs.summary import RunSummary
    from batchjobs.progress import Observer


@contextlib.contextmanager
def exit_on_error() -> Iterator[None]:
    """End the command with a sentence and the right exit code when one of our errors comes."""
    try:
        yield
    except BatchjobsError as error:
        complain(error)


def complain(error: BatchjobsError) -> NoReturn:
    """Print an error and what to do about it, and exit with its code."""
    say(f"batchjobs: {error.message}", sys.stderr)
    if error.hint:
        say(f"  → {_fit_hint(error.hint)}", sys.stderr)
    raise SystemExit(error.exit_code)


def _fit_hint(hint: str) -> str:
    """Leave another --output out of what to do, where the command has no such option."""
    context = click.get_current_context(silent=True)
    if context is None or any("--output" in each.opts for each in context.command.params):
        return hint
    if hint == "choose another --output":
        return "see that this user may write there"
    return _ANOTHER_OUTPUT.sub("", hint)


def say(line: str = "", stream: TextIO | None = None) -> None:
    """Print a line; a reader that went away changes nothing about the work or its exit code."""
    try:
        click.echo(line, file=stream or sys.stdout)
    except (OSError, ValueError):
        detach(stream or sys.stdout)


def fill_streams() -> None:
    """Put nothing where a stream was closed before we began (``>&-``).

    Python gives None for it, and the next file opened would get its number: whatever a library or
    a child writes to the standard error would go into that file.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(nowhere, True)  # noqa: FBT003
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def detach(stream: TextIO) -> None:
    """Point a broken stream at nothing, so that Python's last flush cannot fail either."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def has_no_reader(stream: TextIO) -> bool:
    """Whether the other end of a stream's pipe is closed."""
    poll = select.poll()
    try:
        poll.register(stream.fileno(), select.POLLOUT)
    except (OSError, ValueError):  # it has no number: no pipe
        return False
    gone = select.POLLERR | select.POLLHUP  # Linux says the one of a pipe, macOS the other
    return any(events & gone for _, events in poll.poll(0))


def counts_of(summary: "RunSummary", *, done_before: int = 0, is_idle: bool = False) -> str:
    """Say in one line what became of a run's rows.

    Args:
        summary: The run's.
        done_before: Rows that were done before this run.
        is_idle: There was nothing to do.
    """
    before = f" ({done_before:,} of them before)" if done_before else ""
    jobs = f"{summary.done:,} of {plural(summary.rows, 'job')}"
    parts = [f"nothing to do: {jobs} were done before" if is_idle else f"{jobs} done{before}"]
    if summary.no_speech:
        parts.append(f"{summary.no_speech:,} of them without speech")
    if summary.suspect:
        parts.append(f"{summary.suspect:,} suspect")
    if summary.failed:
        parts.append(f"{summary.failed:,} failed")
    if summary.not_run:
        parts.append(f"{summary.not_run:,} not run")
    parts.append(f"{duration(summary.audio_seconds)} of audio")
    parts += [f"{money(cost, currency)} spent" for currency, cost in summary.spent.items() if cost]
    return ", ".join(parts)


def describe_sent(characters: int, audio_seconds: float) -> Iterator[str]:
    """Say how much text and how much of recordings was sent; nothing of what is nothing."""
    if characters:
        yield plural(characters, "character")
    if audio_seconds:
        yield f"{duration(audio_seconds)} of recordings"


def waste_of(summary: "RunSummary") -> str:
    """Say in one line what was sent and led to nothing; empty if that is nothing."""
    sent = describe_sent(summary.characters_wasted, summary.audio_seconds_wasted)
    parts = [*_sums(summary.wasted), *sent]
    return f"sent and led to nothing: {', '.join(parts)}" if parts else ""


def accounts_of(summary: "RunSummary") -> Iterator[str]:
    """Say in a line for each provider that was asked with several accounts what each has cost."""
    for provider, accounts in summary.account_spent.items():
        shown = ", ".join(" ".join([name, *_sums(costs)]) for name, costs in accounts.items())
        yield f"{provider}: {shown}"


def sides_of(summary: "RunSummary") -> str:
    """Say in one line which channels were not sent by themselves; empty if all were."""
    parts = []
    if summary.sides_silent:
        parts.append(f"{plural(summary.sides_silent, 'silent channel')} not sent")
    if summary.sides_same:
        recordings = plural(summary.sides_same, "recording")
        parts.append(f"{recordings} with the same in several channels, heard once")
    return f"channels heard apart: {', '.join(parts)} (see 'sides' in the results)" if parts else ""


def show_progress(line: str) -> None:
    """Write a line of the terminal that the next one replaces."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"\r\x1b[K{line}\r")
        sys.stderr.flush()


@contextlib.contextmanager
def showing_checked(
    thing: str = "row", *, quiet: bool = False
) -> Iterator["Callable[[int], None] | None"]:
    """Give what shows how many rows are checked for as long as the block lasts; None without a terminal.

    Args:
        thing: What is checked, if not rows.
        quiet: Whether nothing is to be shown.
    """
    is_watched = sys.stderr.isatty() and not quiet
    due = 0.0

    def show(count: int) -> None:
        nonlocal due
        if (now := time.monotonic()) >= due:
            due = now + _SHOWN_EVERY_SECONDS
            show_progress(f"checked {plural(count, thing)}")

    try:
        yield show if is_watched else None
    finally:
        if is_watched and sys.stderr.isatty():  # in the background it is the terminal no more
            show_progress("")


def checks_of(summary: "RunSummary") -> Iterator[str]:
    """Say in a line each what a check found, and what it cost to hear and to buy again."""
    if summary.checks:
        found = ", ".join(f"{count:,} {verdict}" for verdict, count in summary.checks.items())
        yield f"checked: {found}"
    if summary.check_audio_seconds:
        heard = f"{duration(summary.check_audio_seconds)} of audio"
        yield f"check: {', '.join([heard, *_sums(summary.check_spent)])}"
    if summary.quality_characters:
        sent = plural(summary.quality_characters, "character")
        yield f"quality: {', '.join([sent, *_sums(summary.quality_spent)])}"


def groups_of(summary: "RunSummary") -> Iterator[str]:
    """Say how many groups have their transcript, and which parts the others wait for."""
    groups = summary.groups
    if not groups:
        return
    waiting = [group for group in groups if group.transcript is None]
    made = plural(len(groups) - len(waiting), "transcript")
    first = next((group.transcript for group in groups if group.transcript), "")
    where = f" ({first}{', …' if len(groups) - len(waiting) > 1 else ''})" if first else ""
    yield f"groups: {made} of {plural(len(groups), 'group')}{where}"
    for group in waiting[:_SHOWN]:
        parts = [f"{each.part} ({each.id}: {each.status})" for each in group.waits_for]
        more = f" and {len(parts) - _SHOWN:,} more" if len(parts) > _SHOWN else ""
        yield f"  '{group.group}' waits for part {', '.join(parts[:_SHOWN])}{more}"
    if len(waiting) > _SHOWN:
        yield f"  … and {len(waiting) - _SHOWN:,} more that wait (see {run_folder.SUMMARY})"


def glossary_of(report: "GlossaryReport") -> Iterator[str]:
    """Say which terms were heard otherwise, as what and how often, and what to do about it."""
    misheard = report.misheard
    terms = plural(len(report.terms), "term")
    yield f"glossary: {len(misheard):,} of {terms} heard otherwise than in {report.glossary}"
    for term in misheard[:_TERMS_SHOWN]:
        for each in term.otherwise[:_SHOWN]:
            rows = ", ".join(each.rows[:_SHOWN])
            more = f" and {len(each.rows) - _SHOWN:,} more" if len(each.rows) > _SHOWN else ""
            times = "once" if each.count == 1 else f"{each.count:,} times"
            yield f"  {term.term}: heard as '{each.heard}' {times}, in {rows}{more}"
        if len(term.otherwise) > _SHOWN:
            yield f"  {term.term}: and as {len(term.otherwise) - _SHOWN:,} others"
    if len(misheard) > _TERMS_SHOWN:
        yield f"  … and {len(misheard) - _TERMS_SHOWN:,} terms more"
    if misheard:
        words = f"--hotwords-file {shlex.quote(str(report.glossary))}"
        yield f"  a service that takes hot words hears them better, in a folder of its own: {words}"


def _sums(costs: Mapping[str, float]) -> list[str]:
    return [money(cost, currency) for currency, cost in costs.items() if cost]


def watch_run(
    *, as_json: bool, quiet: bool, verbose: int, has_terminal: bool = True
) -> "Observer | None":
    """Choose who listens to a run: bars on a terminal, lines elsewhere, lines of JSON if asked for.

    Args:
        as_json: Events as JSON lines on the standard output.
        quiet: Nobody listens, unless it is for JSON.
        verbose: What bars and lines tell besides.
        has_terminal: Whether there may be one.
    """
    from batchjobs.progress import Bars, JsonLines, Lines

    if as_json:
        return JsonLines(sys.stdout)
    if quiet:
        return None
    watch = Bars if has_terminal and sys.stderr.isatty() else Lines
    return watch(sys.stderr, verbosity=verbose)


def print_json(value: object) -> None:
    """Print a value as JSON."""
    import orjson

    say(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def die_of(number: int) -> NoReturn:
    """End by the signal that stopped the run, so that the program that started us can tell."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    raise SystemExit(128 + number)


def set_logging(verbose: int, *, quiet: bool) -> None:
    """Log to the standard error, as much as was asked for."""
    import logging

    level = (
        logging.ERROR if quiet else (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    )
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s"
    )
