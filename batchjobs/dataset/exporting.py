"""Makes a dataset of one or several runs: listed, written piece by piece, put in its place."""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import orjson

from batchjobs.audio.formats import FORMATS
from batchjobs.checkpoint import hold_results
from batchjobs.dataset import card
from batchjobs.dataset.clips import ClipMaker, check_loudness_extra, refuse_link
from batchjobs.dataset.layout import Layout, Plan, WrittenFile
from batchjobs.dataset.layouts.table import find_layout
from batchjobs.dataset.layouts.written import describe_file, write_lines
from batchjobs.dataset.listing import Listing, list_rows
from batchjobs.dataset.rows import Census, LeftOut, Run, name_runs
from batchjobs.dataset.splits import Splits
from batchjobs.dataset.staging import CHECKSUMS, Staging, checksum_line
from batchjobs.dataset.totals import Totals
from batchjobs.dataset.writing import SplitWriter
from batchjobs.errors import UsageError
from batchjobs.files.atomic import write_whole
from batchjobs.formatting import plural
from batchjobs.options import check_settings
from batchjobs.options.dataset import ExportSettings
from batchjobs.storage.input_files import InputFiles
from batchjobs.storage.shelf import read_mark

_VERSION: Final = 1
"""Of what is written: one that is killed goes on only as itself."""
_FETCHED: Final = "fetched"
_PATTERNS: Final = frozenset("[](){}<>*?")
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """What was exported.

    Attributes:
        path: The dataset's folder.
        form: What loads it.
        rows: How many rows are in it.
        seconds: How long they are together.
        splits: How many rows each split has.
        left_out: How many rows of the runs are not in it, by the reason.
        damaged: Ids of those whose file is missing or changed; the first hundred.
        going: Names of the runs that are still going on: exported as far as they are done.
        made: Clips that are others than the runs' own files.
        changed_texts: Texts that had to be changed for the form.
        renamed: Columns of the manifests that are called otherwise in it.
        sample_rates: How many clips have which sample rate, in hertz.
        bytes: The size of all its files.
    """

    path: Path
    form: str
    rows: int
    seconds: float
    splits: Mapping[str, int]
    left_out: Mapping[str, int] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()
    going: tuple[str, ...] = ()
    made: int = 0
    changed_texts: int = 0
    renamed: Mapping[str, str] = field(default_factory=dict)
    sample_rates: Mapping[str, int] = field(default_factory=dict)
    bytes: int = 0


_AS_COMMANDED: Final = ExportSettings()


def export(
    folders: str | Path | Sequence[str | Path],
    settings: ExportSettings = _AS_COMMANDED,
    *,
    output: str | Path | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Make a dataset of what is done in one or several runs.

    It is made in a hidden folder beside its place, and is there once all of it is on the disk. The
    same call continues one that was killed: what is finished of it is kept.

    Args:
        folders: The run folders.
        settings: What of their results, and in which form; by default as the command does it.
        output: Where to; None for a folder beside the run's, called after it and the form.
        progress: Called with what is being done, how many rows of it are, and of how many.

    Raises:
        UsageError: Settings that are none, or do not go together; nothing is left to export.
        NoRunError: There is no run in a folder.
        MissingExtraError: The extra ``dataset`` is not installed.
        RunLockedError: Another export to the same place is going on.
        OutputError: The place holds something else, or a file cannot be created.
        DiskError: The disk failed or is full.
    """
    paths = [Path(folders)] if isinstance(folders, str | Path) else [Path(each) for each in folders]
    layout = _check(paths, settings)
    splits = Splits.parse(settings.split)
    target = _find_target(paths, settings, output)
    progress = progress or (lambda _, __, ___: None)
    staging = Staging(target)
    staging.open()
    try:
        with ExitStack() as held:
            files = held.enter_context(closing(InputFiles()))
            files.keep_in(staging.scratch / _FETCHED)
            runs = name_runs(paths)
            places = {
                run.name: (str(run.folder.resolve()), str(place))
                for run in runs
                if (place := held.enter_context(hold_results(run.folder))) != run.folder
            }
            exporter = _Exporter(
                layout, settings, splits, staging, progress, files=files, places=places
            )
            return exporter.run(runs)
    finally:
        staging.close()


class _Exporter:
    """One export."""

    def __init__(
        self,
        layout: Layout,
        settings: ExportSettings,
        splits: Splits,
        staging: Staging,
        progress: Progress,
        *,
        files: InputFiles,
        places: Mapping[str, tuple[str, str]],
    ) -> None:
        self._files = files
        self._places = places
        self._layout = layout
        self._settings = settings
        self._splits = splits
        self._staging = staging
        self._progress = progress

    def run(self, runs: Sequence[Run]) -> ExportReport:
        """List, write, describe, publish."""
        listing = list_rows(
            runs,
            self._settings,
            self._layout,
            self._splits,
            folder=self._staging.lists,
            progress=lambda rows: self._progress("listing", rows, 0),
        )
        if not any(listing.rows.values()):
            raise UsageError(
                f"there is nothing to export: {_describe(listing.census)}",
                hint="see 'batchjobs status', or give --include",
            )
        plan = self._plan(listing)
        self._staging.begin(_fingerprint(plan))
        writers = self._write(plan, listing)
        totals = {split: _sum_pieces(writer) for split, writer in writers.items()}
        files = self._finish(plan, writers)
        folder = self._staging.folder
        text = card.write_card(plan, listing, totals, self._layout, files)
        write_whole(folder / card.NAME, text.encode())
        files.append(describe_file(folder, card.NAME))
        size = 0

        def lines() -> Iterator[bytes]:
            nonlocal size
            for file in itertools.chain(files, _stream_files(writers)):
                size += file.bytes
                yield checksum_line(file)

        files.append(write_lines(folder, CHECKSUMS, lines()))
        self._staging.publish(
            {"form": self._settings.form, "settings": msgspec.to_builtins(self._settings)},
            (file.path for file in itertools.chain(files, _stream_files(writers))),
        )
        return _report(plan, listing, totals, size)

    def _plan(self, listing: Listing) -> Plan:
        ending = self._settings.audio_format
        if not ending:
            ending = _choose_ending(self._layout, listing)
        return Plan(
            folder=self._staging.folder,
            home=self._staging.target,
            settings=self._settings,
            schema=listing.schema,
            pieces={split: len(pieces) for split, pieces in listing.pieces.items()},
            last_number=listing.last_number,
            digits=max(6, len(str(listing.last_number))),
            has_splits=bool(self._settings.split),
            ending=ending,
        )

    def _write(self, plan: Plan, listing: Listing) -> dict[str, SplitWriter]:
        is_one = self._layout.is_uniform or self._settings.audio_format
        maker = ClipMaker(
            self._settings,
            endings={plan.ending} if is_one else self._layout.endings,
            ending=plan.ending,
            scratch=self._staging.scratch,
            is_hashed=self._layout.has_clip_files,
            files=self._files,
            places=self._places,
        )
        every, done = sum(listing.rows.values()), 0

        def tell(rows: int) -> None:
            nonlocal done
            done += rows
            self._progress("writing", done, every)

        writers = {}
        for split, pieces in listing.pieces.items():
            writer = SplitWriter(
                plan, self._layout, split, pieces, staging=self._staging, maker=maker
            )
            writer.write(tell)
            writers[split] = writer
        return writers

    def _finish(self, plan: Plan, writers: Mapping[str, SplitWriter]) -> list[WrittenFile]:
        files: list[WrittenFile] = []
        for split, writer in writers.items():
            files += itertools.chain.from_iterable(each.files for each in writer.read_pieces())
            files += self._layout.finish(plan, split, writer.read_entries)
        return files


def _check(folders: Sequence[Path], settings: ExportSettings) -> Layout:
    """Refuse what does not go together, before anything is looked at."""
    check_settings(settings)
    _check_folders(folders)
    layout = find_layout(settings)
    layout.check_extra()
    if settings.loudness_lufs is not None:
        check_loudness_extra()
    _check_clips(settings, layout)
    marks = [read_mark(folder) for folder in folders] if settings.link else []
    for mark in filter(None, marks):
        raise refuse_link(mark.address)
    if settings.disjoint == "voice" and not settings.split:
        raise UsageError("--disjoint is about splits, and there are none", hint="give --split")
    return layout


def _check_folders(folders: Sequence[Path]) -> None:
    if not folders:
        raise UsageError("it is not said what to export", hint="give the folder of a run")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError("a run is given twice", hint="give each once")


def _check_clips(settings: ExportSettings, layout: Layout) -> None:
    """Refuse what is asked of clips and cannot be."""
    if settings.link and not layout.has_clip_files:
        raise UsageError(f"'{settings.form}' has no files to link to", hint="leave out --link")
    wanted = settings.audio_format
    if wanted and wanted not in layout.endings:
        known = ", ".join(sorted(layout.endings))
        raise UsageError(f"'{settings.form}' takes no {wanted}", hint=f"it takes {known}")
    rate = settings.sample_rate
    if rate and rate not in FORMATS[wanted or "wav"].sample_rates:
        raise UsageError(f"{wanted or 'wav'} cannot hold {rate} Hz", hint="give another rate")
    if settings.max_seconds and settings.max_seconds < settings.min_seconds:
        raise UsageError("--max-seconds is less than --min-seconds", hint="no clip is both")


def _find_target(
    folders: Sequence[Path], settings: ExportSettings, output: str | Path | None
) -> Path:
    if output is None and len(folders) > 1:
        raise UsageError("several runs have no name in common", hint="give --output")
    first = folders[0].resolve()
    target = (
        Path(output) if output is not None else first.with_name(f"{first.name}-{settings.form}")
    )
    target = target.absolute()
    if odd := set(target.name) & _PATTERNS:
        raise UsageError(
            f"some libraries would take '{min(odd)}' in {target.name} for a pattern",
            hint="give --output a name without brackets, braces and asterisks",
        )
    if any(target.resolve() in {each.resolve(), *each.resolve().parents} for each in folders):
        raise UsageError(f"{target} is, or holds, a run", hint="give another --output")
    return target


def _choose_ending(layout: Layout, listing: Listing) -> str:
    """Choose what clips become that cannot stay as they are: what all are, else FLAC, which is exact."""
    (most, count) = listing.endings.most_common(1)[0]
    if count == listing.endings.total() and most in layout.endings:
        return most
    return "flac" if "flac" in layout.endings else min(layout.endings)


def _fingerprint(plan: Plan) -> str:
    """Hash what every piece depends on beside its rows."""
    content = [
        _VERSION,
        msgspec.to_builtins(plan.settings),
        msgspec.to_builtins(plan.schema),
        str(plan.home),
        plan.pieces if not plan.settings.link else {},
        len(plan.stem_of(0)),
        plan.place_of(0),
        plan.ending,
    ]
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _sum_pieces(writer: SplitWriter) -> Totals:
    totals = Totals()
    for piece in writer.read_pieces():
        totals.merge(piece.totals)
    return totals


def _stream_files(writers: Mapping[str, SplitWriter]) -> Iterator[WrittenFile]:
    for writer in writers.values():
        for piece in writer.read_pieces():
            yield from (WrittenFile(c.path, c.bytes, c.sha256) for c in piece.clips)


def _describe(census: Census) -> str:
    """Say why no row is left."""
    reasons = [f"{count:,} {reason.value}" for reason, count in census.left_out.items()]
    return f"of {plural(census.rows, 'row')}, {', '.join(reasons)}" if reasons else "no rows"


def _report(plan: Plan, listing: Listing, totals: Mapping[str, Totals], size: int) -> ExportReport:
    every = Totals()
    for each in totals.values():
        every.merge(each)
    left_out = Counter({reason.name: count for reason, count in listing.census.left_out.items()})
    left_out.update(every.left_out)
    return ExportReport(
        path=plan.home,
        form=plan.settings.form,
        rows=every.rows,
        seconds=every.seconds,
        splits={split: each.rows for split, each in totals.items()},
        left_out={
            reason.value: left_out[reason.name] for reason in LeftOut if left_out[reason.name]
        },
        damaged=tuple(every.damaged),
        going=tuple(listing.census.going),
        made=every.made,
        changed_texts=every.changed_texts,
        renamed=dict(listing.own.renamed),
        sample_rates={rate: share.rows for rate, share in sorted(every.sample_rates.items())},
        bytes=size,
    )
