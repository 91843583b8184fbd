"""The command `scan`: a transcription manifest of a folder of recordings."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchjobs.cli.console import exit_on_error, say, show_progress
from batchjobs.cli.next_step import quote_command
from batchjobs.cli.options import defaults_option, option
from batchjobs.formatting import duration, plural
from batchjobs.process import signals

if TYPE_CHECKING:
    from batchjobs.manifest.scan import Scan, ScanReport


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@option(
    "-o",
    "--output",
    envvar=None,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The manifest, JSON Lines.  [default: <FOLDER's name>.jsonl here]",
)
@option("--watch", "is_watching", is_flag=True, help="Go on as recordings arrive; Ctrl-C ends it.")
@option(
    "--settle",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: how long a file must not have grown.",
)
@defaults_option
def scan(folder: Path, *, output: Path | None, is_watching: bool, settle: float) -> None:
    """Write a manifest of the recordings below FOLDER, to be transcribed.

    Each content is found once; what cannot be read is listed. A manifest that is there already keeps
    its rows as they are, and gets what is new.

    \b
    Examples:
        batchjobs scan archive && batchjobs run archive.jsonl
        batchjobs scan inbox -o inbox.jsonl --watch
    """
    from batchjobs.manifest.arrivals import watch_folder
    from batchjobs.manifest.scan import Scan

    target = output or Path(f"{folder.resolve().name or 'recordings'}.jsonl")
    unreadable: set[tuple[str, str]] = set()
    with exit_on_error(), signals.raise_first():
        scanner = Scan(folder, target)
        # Watched from before it is looked through: what arrives meanwhile is in neither otherwise.
        arriving = (
            watch_folder(folder.resolve(), settle_seconds=settle) if is_watching else iter(())
        )
        found = scanner.run(_show_count if sys.stderr.isatty() else None)
        _tell(found, unreadable)
        _conclude(found, scanner, folder, target)
        if is_watching:
            say(f"watching {folder}; Ctrl-C ends it", sys.stderr)
            for path in arriving:
                added = scanner.add(path)
                _tell(added, unreadable)
                if added.new:
                    say(f"{path} ({duration(added.seconds)})")
    if not found.new and not found.known:
        raise SystemExit(1)


def _tell(found: "ScanReport", unreadable: set[tuple[str, str]]) -> None:
    """Say what is not in the manifest and why; what is still as unreadable as before, not again."""
    for name, reason in found.unreadable:
        if (name, reason) not in unreadable:
            unreadable.add((name, reason))
            say(f"cannot be transcribed: {name}: {reason}", sys.stderr)
    for name, other in found.duplicates:
        say(f"the same as {other}: {name}", sys.stderr)
    for name in found.gone:
        say(f"not there any more: {name}", sys.stderr)


def _conclude(found: "ScanReport", scanner: "Scan", folder: Path, target: Path) -> None:
    new = plural(found.new, "new recording")
    say(f"{target}: {new}, {duration(found.seconds)}; {found.known:,} known")
    if not found.new and not found.known:
        say(f"there is nothing to transcribe below {folder}", sys.stderr)
        return
    root = ("--input-root", folder) if scanner.needs_input_root else ()
    say(f"next: {quote_command('plan', target, *root)}")


def _show_count(count: int) -> None:
    show_progress(f"looked at {plural(count, 'recording')}")
