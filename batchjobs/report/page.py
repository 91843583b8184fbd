"""The page: one file of HTML that fetches nothing, with the run's rows in it."""

import base64
import functools
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import MissingExtraError
from batchjobs.providers import Provider
from batchjobs.quality.compare import load_library
from batchjobs.report.clips import Clip, FindClip
from batchjobs.report.embedding import embed, embed_each
from batchjobs.report.figures import Measurements, make_costs
from batchjobs.report.rows import Known, PageRow, make_page_row, rank
from batchjobs.report.waveforms import LEVELS, PARTS, Waveforms

if TYPE_CHECKING:
    import jinja2
    import markupsafe

SCRIPTS: Final = ("texts", "list", "player", "reviews", "filters", "detail", "figures", "main")
"""Files of the page's script, in order; together they are one."""
MOST_ROWS: Final = 50_000
"""So many rows a page has unless more are asked for: a browser holds a hundred megabytes for it."""
_PAGE_ROWS: Final = 500
_LONGEST_WAVE_SECONDS: Final = 600.0
"""Of a longer recording no wave form is measured: an archive's would take hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageContent:
    """A page to be written.

    Attributes:
        pieces: Its text.
        shown: How many rows it shows.
        rows: How many there are.
        policy: What it may do.
        hashes: The hash of each row's clip, by the row's id; filled as the text is made.
    """

    pieces: Iterator[str]
    shown: int
    rows: int
    policy: str
    hashes: Mapping[str, str]


def make_page(
    checkpoint: Checkpoint,
    providers: Mapping[str, Provider],
    find_clip: FindClip,
    *,
    most_rows: int,
    is_served: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> PageContent:
    """Make the page of a run.

    Args:
        checkpoint: The run folder's, opened to look.
        providers: By name, for the prices.
        find_clip: Says where the page finds what is to be played.
        most_rows: So many rows are shown, the worst; the figures are of all.
        is_served: Whether a server of ours gives it out, and keeps what is decided.
        progress: Called with how many of how many rows are written.

    Raises:
        MissingExtraError: The library for it is not installed.
    """
    template = _load_template("page.html")
    _check_marks()
    measurements = Measurements()
    ranks: list[float] = []
    for known in _read(checkpoint):
        measurements.add(known)
        ranks.append(rank(known))
    deviations = measurements.find_rate_deviations()
    ranked = _rank_all(ranks, deviations)
    chosen = _choose_worst(ranked, most_rows)
    facts = {
        "name": checkpoint.folder.resolve().name,
        "run": checkpoint.identify(),
        "served": is_served,
        "rows": len(ranks),
        "shown": len(chosen),
        "statuses": measurements.statuses,
        "verdicts": measurements.verdicts,
        "fields": PageRow._fields,
        "levels": LEVELS,
        "parts": PARTS,
        "histograms": measurements.make_histograms(),
        "costs": make_costs(checkpoint.totals.sum_spent(), providers),
    }
    rows = _make_rows(checkpoint, find_clip, ranked, chosen)
    style, script = read_asset("page.css"), read_script()
    policy = make_policy(style, script, is_served=is_served)
    hashes: dict[str, str] = {}
    pieces = template.generate(
        name=facts["name"],
        policy=policy,
        style=_as_markup(style),
        script=_as_markup(script),
        facts=_as_markup(embed(facts)),
        rows=map(_as_markup, embed_each(_note_each(rows, hashes, len(chosen), progress))),
    )
    return PageContent(
        pieces=pieces, shown=len(chosen), rows=len(ranks), policy=policy, hashes=hashes
    )


def make_entrance() -> tuple[str, str]:
    """Make the page for those who have shown no token yet, and say what it may do."""
    script = read_asset("entrance.js")
    content = _load_template("entrance.html").render(script=_as_markup(script))
    return content, make_policy(script, is_served=True)


def make_policy(*contents: str, is_served: bool = False) -> str:
    """Say what the page may do: run this script, have this style, play what stands beside it.

    Args:
        contents: The texts of the page's own style and script.
        is_served: Whether it may also talk with the server that it comes from.
    """
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in contents
    )
    rules = {
        "default-src": "'none'",
        "script-src": hashes,
        "style-src": hashes,
        "media-src": "'self'",
        "connect-src": "'self'" if is_served else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def read_script() -> str:
    """Read the page's script: its files, one after the other."""
    parts = "\n".join(read_asset(f"{name}.js") for name in SCRIPTS)
    return f'"use strict";\n{parts}'


@functools.cache
def read_asset(name: str) -> str:
    """Read a file that the page is made of."""
    return (files("batchjobs.report") / "assets" / name).read_text(encoding="utf-8")


def _read(checkpoint: Checkpoint) -> Iterator[Known]:
    for outcome in checkpoint.checks.stream_outcomes():
        yield Known(outcome, outcome.row.read())


def _rank_all(ranks: Sequence[float], deviations: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rank what nothing is said against by how unusual its rate is: below what something is."""
    unusual = np.abs(np.asarray(deviations, dtype=np.float64))
    return np.where(np.asarray(ranks) == 0, unusual / (unusual + 10.0), ranks)


def _choose_worst(ranks: NDArray[np.float64], most: int) -> list[int]:
    """Choose the rows to show: their numbers from 0, in the manifest's order."""
    if len(ranks) <= most:
        return list(range(len(ranks)))
    return sorted(map(int, np.argpartition(-ranks, most)[:most]))


def _make_rows(
    checkpoint: Checkpoint,
    find_clip: FindClip,
    ranks: NDArray[np.float64],
    chosen: Sequence[int],
) -> Iterator[PageRow]:
    """Make the chosen rows, page by page; a run that goes on may have added to them."""
    waveforms = Waveforms(checkpoint.folder)
    wanted = iter(chosen)
    number = next(wanted, None)
    found = enumerate(_read(checkpoint))
    try:
        while page := list(itertools.islice(found, _PAGE_ROWS)):
            ids = [known.outcome.row.id for _, known in page]
            reviews = checkpoint.reviews.find(ids)
            for at, known in page:
                if at != number:
                    continue
                number = next(wanted, None)
                row, record, _ = known.outcome
                clip = find_clip(row, known.job, record)
                yield make_page_row(
                    known,
                    ranked=float(ranks[at]),
                    clip=clip.url if clip is not None else "",
                    wave=_find_wave(waveforms, clip, known.seconds),
                    review=reviews.get(row.id),
                    pieces=known.mark(),
                )
    finally:
        waveforms.save()


def _find_wave(waveforms: Waveforms, clip: Clip | None, seconds: float) -> str:
    if clip is None or seconds > _LONGEST_WAVE_SECONDS:
        return ""
    known = waveforms.find(clip.sha256)
    return waveforms.measure(clip.sha256, clip.path) if known is None else known


def _note_each(
    rows: Iterator[PageRow],
    hashes: dict[str, str],
    total: int,
    progress: Callable[[int, int], None] | None,
) -> Iterator[PageRow]:
    for number, row in enumerate(rows, 1):
        hashes[row.id] = row.sha256
        yield row
        if progress is not None:
            progress(number, total)


def _load_template(name: str) -> "jinja2.Template":
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtraError("'batchjobs report'", package="jinja2", extra="report") from error
    # Undefined names are mistakes of ours, and not gaps in a page.
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(read_asset(name))


def _check_marks() -> None:
    try:
        load_library()
    except MissingExtraError as error:  # it names the extra of another command
        raise MissingExtraError(
            "'batchjobs report'", package="rapidfuzz", extra="report"
        ) from error


def _as_markup(text: str) -> "markupsafe.Markup":
    """Say of our own style and script, and of JSON that is escaped already, that it stands as it is."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704  # none of it is a row's text
