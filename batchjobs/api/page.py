"""A run's page: written into its folder, or made ready to be served."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batchjobs import config
from batchjobs.checkpoint import Checkpoint, hold_results
from batchjobs.files import run_folder
from batchjobs.files.atomic import write_whole
from batchjobs.report.answers import Site
from batchjobs.report.clips import find_from_disk, find_from_server
from batchjobs.report.page import MOST_ROWS, make_entrance, make_page
from batchjobs.report.store import DecisionStore, OpenedStore


@dataclass(frozen=True, slots=True, kw_only=True)
class PageReport:
    """A page that was written.

    Attributes:
        path: The file.
        bytes: Its size.
        rows: How many rows the run has.
        shown: How many of them the page has: the worst.
    """

    path: Path
    bytes: int
    rows: int
    shown: int


def write_report(
    folder: str | Path,
    *,
    most_rows: int = MOST_ROWS,
    config_file: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PageReport:
    """Write a page to look at a run and listen to it, also while the run goes on.

    It is one file, ``report.html`` in the run folder, that opens from the disk and fetches nothing
    but the clips beside it.

    Args:
        folder: The run folder.
        most_rows: So many rows are shown, the worst; the figures are of all.
        config_file: Where prices are set; None means ``batchjobs.toml`` here.
        progress: Called with how many of how many rows are written.

    Raises:
        NoRunError: There is no run in the folder.
        MissingExtraError: The library for it is not installed.
        OutputError: The page cannot be created.
        DiskError: The disk failed or is full.
    """
    providers = config.load(config_file).providers
    folder = Path(folder)
    path = folder / run_folder.PAGE
    with hold_results(folder) as place, Checkpoint.read(folder) as checkpoint:
        page = make_page(
            checkpoint,
            providers,
            find_from_disk(folder, place),
            most_rows=most_rows,
            progress=progress,
        )
        write_whole(path, (piece.encode() for piece in page.pieces))
        checkpoint.shelf.show([run_folder.PAGE])  # there the clips are beside it
    return PageReport(path=path, bytes=path.stat().st_size, rows=page.rows, shown=page.shown)


def make_site(
    folder: str | Path,
    *,
    place: Path | None = None,
    most_rows: int = MOST_ROWS,
    config_file: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Site, OpenedStore]:
    """Make a run's page ready to be served, with what was decided in it before.

    Args:
        folder: The run folder.
        place: The folder below which its results are; None for the run folder.
        most_rows: So many rows are shown, the worst; the figures are of all.
        config_file: Where prices are set; None means ``batchjobs.toml`` here.
        progress: Called with how many of how many rows are looked at.

    Returns:
        What is given out, to whoever shows its token; and the decisions that were taken up.

    Raises:
        NoRunError: There is no run in the folder.
        MissingExtraError: The library for it is not installed.
        ReviewError: The folder's ``review.jsonl`` is not one of decisions.
    """
    providers = config.load(config_file).providers
    folder = Path(folder)
    place = (place or folder).absolute()
    clips: dict[str, Path] = {}
    with Checkpoint.read(folder) as checkpoint:
        page = make_page(
            checkpoint,
            providers,
            find_from_server(place, clips),
            most_rows=most_rows,
            is_served=True,
            progress=progress,
        )
        content = "".join(page.pieces).encode()
        opened = DecisionStore.open(checkpoint, page.hashes)
    entrance, entrance_policy = make_entrance()
    site = Site(
        folder=place,
        page=content,
        entrance=entrance.encode(),
        policies=(page.policy, entrance_policy),
        clips=clips,
        store=opened.store,
        token=secrets.token_urlsafe(24),
        session=secrets.token_urlsafe(24),
    )
    return site, opened
