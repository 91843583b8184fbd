"""A run's page: written into its folder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from batchjobs import config
from batchjobs.checkpoint import Checkpoint
from batchjobs.files import run_folder
from batchjobs.files.atomic import write_whole
from batchjobs.report.clips import find_from_disk
from batchjobs.report.page import MOST_ROWS, make_page


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
    with Checkpoint.read(folder) as checkpoint:
        page = make_page(
            checkpoint,
            providers,
            find_from_disk(folder),
            most_rows=most_rows,
            progress=progress,
        )
        write_whole(path, (piece.encode() for piece in page.pieces))
    return PageReport(path=path, bytes=path.stat().st_size, rows=page.rows, shown=page.shown)
