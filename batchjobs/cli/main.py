"""The command line: the only click import; errors become sentences and exit codes here."""

import contextlib
import errno
import signal
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Final, NoReturn

import click

from batchjobs.cli.console import detach, die_of, fill_streams, has_no_reader, say
from batchjobs.cli.variables import tell_misspelt
from batchjobs.errors import DiskFullError, InternalError
from batchjobs.process.signals import Interrupted
from batchjobs.process.tuning import tune_imports

COMMANDS: Final = {
    "accept": "Make suspect results done, without a purchase.",
    "bind": "Bind a run's chapters as an audiobook.",
    "book": "Make a manifest of an EPUB, text or Markdown.",
    "check": "Have speech heard again; buy anew what is bad.",
    "ctl": "Ask a running run to pause, go on, change or tell.",
    "export": "Make a dataset of what is done.",
    "glossary": "List what terms were heard as in transcripts.",
    "plan": "Check and price a manifest; spends nothing.",
    "probe": "Find out how a service ends its audio.",
    "providers": "List the providers and their settings.",
    "prune": "Show, and remove, what no row needs any more.",
    "report": "Write a page to look at a run and listen to it.",
    "results": "Print the results, at any time.",
    "review": "Carry out what was decided in the report.",
    "run": "Run MANIFEST, or continue it: the same command.",
    "scan": "Make a manifest of a folder of recordings.",
    "serve": "Serve the services' protocol on this machine.",
    "status": "Say where a run stands, also while it goes on.",
    "verify": "Check every output against the checkpoint.",
    "watch": "Transcribe what is in a folder, and what arrives.",
}
"""What each does; it is in ``commands/NAME.py``, which is read when it is called."""


class _Commands(click.Group):
    """The commands; broken pipes are distinguished before click ends them all with a silent 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's
        """Name the commands, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Read a command's file; all of them for a name that is none's, to suggest the nearest."""
        for name in [cmd_name] if cmd_name in COMMANDS else COMMANDS:
            if name not in self.commands:
                command = getattr(import_module(f"batchjobs.cli.commands.{name}"), name)
                command.short_help = COMMANDS[name]
                self.add_command(command)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands in the help, without reading their files."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line; the help is printed here."""
        with _distinguish_pipes():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was named."""
        tell_misspelt(
            lambda: [self.commands[name] for name in COMMANDS if self.get_command(ctx, name)]
        )
        with _distinguish_pipes():
            return super().invoke(ctx)


@contextlib.contextmanager
def _distinguish_pipes() -> Iterator[None]:
    """End well if our reader has gone (``| head``); any other broken pipe is a failure of ours.

    Raises:
        InternalError: A pipe broke that is not the standard output.
    """
    try:
        yield
    except BrokenPipeError as error:
        if has_no_reader(sys.stdout):
            raise SystemExit(0) from None
        raise InternalError("a pipe broke that is not the standard output") from error


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="batchjobs", prog_name="batchjobs")
def cli() -> None:
    """Bulk text to speech and speech to text from a manifest.

    A manifest is a CSV or JSON Lines file, one row one job: a row with 'text' is spoken, a row with
    'audio' is transcribed. A run can be stopped or killed anywhere; the same command continues it,
    and nothing finished is paid for twice.

    \b
    Try it, without an account, on the local speech server:
        batchjobs run manifests/quickstart.csv
    See what a run would do and cost, spending nothing:
        batchjobs plan talks.csv --provider munsit
    """


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    tune_imports()
    fill_streams()
    code = _exit_code()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            detach(stream)
    raise SystemExit(code)


def _exit_code() -> int:
    """Run the command line; every way it can end has its exit code here."""
    try:
        cli.main(standalone_mode=False)
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 0
    except click.ClickException as error:
        with contextlib.suppress(OSError, ValueError):
            error.show(sys.stderr)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as ending:
        say("stopped; the same command begins, or continues, where it was", sys.stderr)
        cause = ending.__cause__  # of click's own Abort
        die_of(cause.number if isinstance(cause, Interrupted) else signal.SIGINT)
    except Exception as error:
        if isinstance(error, OSError) and (error.errno, error.filename) == (errno.ENOSPC, None):
            return DiskFullError.exit_code  # there is no room for what click itself says
        import logging

        logging.getLogger(__name__).exception("this is a bug of batchjobs; please report it")
        return InternalError.exit_code
    return 0
