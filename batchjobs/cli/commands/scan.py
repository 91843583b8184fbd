"""The command `scan`: a transcription manifest of a folder of recordings."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchjobs.cli.console import exit_on_error, say, show_progress
from batchjobs.cli.left_out import tell_left_out, tell_tracks
from batchjobs.cli.options import LocalPath, Place, defaults_option, option
from batchjobs.errors import UsageError
from batchjobs.files.address import Address
from batchjobs.formatting import duration, file_size, plural
from batchjobs.options.watching import DEFAULT_SETTLE_SECONDS
from batchjobs.process import signals
from batchjobs.process.invocation import quote_command

if TYPE_CHECKING:
    from batchjobs.manifest.bucket_scan import Work
    from batchjobs.manifest.scan import Scan, ScanReport


@click.command()
@click.argument("folder", type=Place(exists=True, file_okay=False, path_type=Path))
@option(
    "-o",
    "--output",
    envvar=None,
    type=LocalPath(dir_okay=False, path_type=Path),
    help="The manifest, JSON Lines.  [default: <FOLDER's name>.jsonl here]",
)
@option("--watch", "is_watching", is_flag=True, help="Go on as recordings arrive; Ctrl-C ends it.")
@option(
    "--settle",
    type=click.FloatRange(min=0.1),
    default=DEFAULT_SETTLE_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="How long a file must not have been written to: it may still be copied.",
)
@option("--links", "follows_links", is_flag=True, help="Follow links, where a run follows them.")
@defaults_option
def scan(
    folder: Path | str,
    *,
    output: Path | None,
    is_watching: bool,
    settle: float,
    follows_links: bool,
) -> None:
    """Write a manifest of the recordings below FOLDER, to be transcribed; it may be in a bucket.

    What a file holds says whether it is one, not its name. Each content is found once; what is left
    out is counted, and listed in a file beside the manifest. A manifest that is there already keeps its
    rows as they are, and gets what is new.

    \b
    Examples:
        batchjobs scan archive && batchjobs run archive.jsonl
        batchjobs scan inbox -o inbox.jsonl --watch
        batchjobs scan s3://archive/2026

    In a bucket each recording is fetched once, for its length; the manifest stands here.
    """
    if isinstance(folder, str):
        _scan_bucket(folder, output, is_watching=is_watching)
        return
    from batchjobs.manifest.arrivals import watch_folder
    from batchjobs.manifest.left_out import LeftOut, list_beside, show_path
    from batchjobs.manifest.scan import Scan, default_manifest

    target = output or default_manifest(folder)
    told: set[LeftOut] = set()
    with exit_on_error(), signals.raise_first():
        scanner = Scan(folder, target, settle_seconds=settle, follows_links=follows_links)
        # Watched from before it is looked through: what arrives meanwhile is in neither otherwise.
        arriving = (
            watch_folder(folder.resolve(), settle_seconds=settle) if is_watching else iter(())
        )
        found = scanner.run(_show_count if sys.stderr.isatty() else None)
        tell_left_out(found.left_out, told, list_beside(target))
        for name in found.gone:
            say(f"not there any more: {show_path(name)}", sys.stderr)
        tell_tracks(found)
        _conclude(found, scanner, folder, target)
        if is_watching:
            say(f"watching {folder}; Ctrl-C ends it", sys.stderr)
            for path in arriving:
                added = scanner.add(path)
                tell_left_out(added.left_out, told)
                tell_tracks(added)
                if added.new:
                    say(f"{show_path(path)} ({duration(added.seconds)})")
    if not found.new and not found.known:
        raise SystemExit(1)


def _scan_bucket(place: str, output: Path | None, *, is_watching: bool) -> None:
    """Do the same for a place in a bucket."""
    from batchjobs.manifest.bucket_scan import BucketScan
    from batchjobs.manifest.left_out import list_beside, show_path

    with exit_on_error(), signals.raise_first():
        if is_watching:
            raise UsageError(
                "--watch cannot watch a bucket", hint="scan it again from time to time"
            )
        address = Address.parse(place)
        target = output or Path(f"{address.name}.jsonl")
        found = BucketScan(address, target).run(_show_work if sys.stderr.isatty() else _tell_work)
    tell_left_out(found.left_out, set(), list_beside(target))
    for name in found.gone:
        say(f"not there any more: {show_path(name)}", sys.stderr)
    tell_tracks(found)
    _tell_count(found, target)
    if not found.new and not found.known:
        say(f"there is nothing to transcribe below {address}", sys.stderr)
        raise SystemExit(1)
    say(f"next: {quote_command('plan', target, '--input-root', address)}")


def _show_work(work: "Work") -> None:
    show_progress(
        f"fetched {work.done:,} of {plural(work.recordings, 'recording')}, {file_size(work.size)} in all"
    )


def _tell_work(work: "Work") -> None:
    if not work.done and work.recordings:
        size = file_size(work.size)
        say(f"to be fetched: {plural(work.recordings, 'recording')}, {size}", sys.stderr)


def _conclude(found: "ScanReport", scanner: "Scan", folder: Path, target: Path) -> None:
    _tell_count(found, target)
    if not found.new and not found.known:
        say(f"there is nothing to transcribe below {folder}", sys.stderr)
        return
    root = ("--input-root", folder) if scanner.needs_input_root else ()
    say(f"next: {quote_command('plan', target, *root)}")


def _tell_count(found: "ScanReport", target: Path) -> None:
    from batchjobs.manifest.left_out import list_beside, sum_up

    new = plural(found.new, "new recording")
    say(f"{target}: {new}, {duration(found.seconds)}; {found.known:,} known")
    if found.left_out:
        count = plural(len(found.left_out), "file")
        say(f"not taken: {count} ({sum_up(found.left_out)}), listed in {list_beside(target)}")


def _show_count(count: int) -> None:
    show_progress(f"looked at {plural(count, 'file')}")
