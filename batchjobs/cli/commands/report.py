"""The command `report`."""

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchjobs.cli.console import die_of, exit_on_error, print_json, say
from batchjobs.cli.options import RUN_FOLDER, config_option, json_option, option
from batchjobs.formatting import file_size, plural

if TYPE_CHECKING:
    from batchjobs.progress.steps import StepBar
    from batchjobs.report.answers import Site


@click.command()
@RUN_FOLDER
@option(
    "--rows",
    "most_rows",
    type=click.IntRange(min=1),
    default=50_000,
    show_default=True,
    help="Show at most so many rows, the worst; the figures are of all.",
)
@option("--serve", "is_served", is_flag=True, help="Serve the page, and save decisions at once.")
@option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Where to serve it, on this machine alone.  [default: any free one]",
)
@json_option
@config_option
def report(
    folder: Path, *, most_rows: int, is_served: bool, port: int, as_json: bool, config: Path | None
) -> None:
    """Write RUN/report.html: a page to look at the results of RUN and listen to them.

    It opens from the disk, and fetches nothing but the clips beside it. Rows stand worst first, each
    with its wave form and its text beside what was heard; accept and reject with the keys a and r,
    and save review.jsonl for 'batchjobs review'. With --serve, the page is at the address that is
    printed, for whoever has all of it, and every decision is in RUN/review.jsonl at once.

    \b
    Examples:
        batchjobs report outputs/talks
        batchjobs report outputs/talks --rows 500
        batchjobs report outputs/talks --serve
    """
    from batchjobs.progress.steps import StepBar

    bar = StepBar(None if as_json else sys.stderr, unit="row")
    with exit_on_error():
        if is_served:
            _serve(folder, port, most_rows, config, bar)
        else:
            _write(folder, most_rows, config, bar, as_json=as_json)


def _write(
    folder: Path,
    most_rows: int,
    config: Path | None,
    bar: "StepBar",
    *,
    as_json: bool,
) -> None:
    from batchjobs.api.page import write_report

    with bar:
        written = write_report(
            folder,
            most_rows=most_rows,
            config_file=config,
            progress=functools.partial(bar, "looking at rows"),
        )
    if as_json:
        import dataclasses

        print_json(dataclasses.asdict(written) | {"path": str(written.path)})
        return
    left = written.rows - written.shown
    say(f"{plural(written.shown, 'row')} in {written.path}, {file_size(written.bytes)}")
    if left:
        say(f"the worst ones: {left:,} are left out, and counted in its figures; see --rows")


def _serve(
    folder: Path,
    port: int,
    most_rows: int,
    config: Path | None,
    bar: "StepBar",
) -> None:
    import trio

    from batchjobs.api.page import make_site
    from batchjobs.checkpoint import hold_results
    from batchjobs.process.invocation import quote_command

    with hold_results(folder) as place:
        with bar:
            site, opened = make_site(
                folder,
                place=place,
                most_rows=most_rows,
                config_file=config,
                progress=functools.partial(bar, "looking at rows"),
            )
        if opened.stale:
            say(
                f"left out of {site.store.path.name}, as their clips have changed since: "
                f"{', '.join(opened.stale)}"
            )
        number = trio.run(_serve_until_stopped, site, folder, port)
    if len(site.store):
        say(f"{plural(len(site.store), 'decision')} to be carried out:")
        say(f"  {quote_command('review', folder, folder / site.store.path.name)}")
    die_of(number)


async def _serve_until_stopped(site: "Site", folder: Path, port: int) -> int:
    """Serve a page until a signal comes, whose number is given."""
    import signal

    import trio

    from batchjobs.report.server import listen, serve

    listener = await listen(port)
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            nursery.start_soon(serve, site, listener)
            at = listener.socket.getsockname()[1]
            say(f"open http://127.0.0.1:{at}/#{site.token}")
            say(f"decisions are saved in {folder / site.store.path.name}; Ctrl-C ends this")
            sys.stdout.flush()
            async for number in received:
                nursery.cancel_scope.cancel()
                return number
    raise AssertionError  # it is served until then
