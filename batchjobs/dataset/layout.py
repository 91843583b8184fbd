"""What a form of a dataset is to the rest: which clips it takes, and how its files are written."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, Protocol, TypeAlias

from batchjobs.audio.formats import FORMATS
from batchjobs.dataset.clips import Clip
from batchjobs.dataset.columns import Schema
from batchjobs.dataset.samples import Sample
from batchjobs.options.dataset import ExportSettings

MOST_FILES_IN_A_FOLDER: Final = 9_000
"""The Hub takes 10,000, and file systems grow slow."""
ALL_ENDINGS: Final = frozenset(FORMATS)
TORCHCODEC_ENDINGS: Final = ALL_ENDINGS - {"ogg"}
"""What `datasets` decodes to the very frames that are there: of Ogg Vorbis FFmpeg, and torchcodec with
it, leaves out the first 256, and gives some too many at the end of others (`findings/`)."""


class WrittenFile(NamedTuple):
    """A file of a dataset: its path below the dataset's folder, its size and its hash."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is known of a dataset before its first clip is looked at.

    Attributes:
        folder: Where it is written.
        home: Where it will be.
        settings: How it is made.
        schema: Its columns.
        pieces: How many pieces each split has, in the order of the splits.
        last_number: The number of the last row.
        digits: How many the numbers of rows are written with.
        has_splits: Whether there were shares given.
        ending: The one that all clips have, or that those get which cannot stay as they are.
    """

    folder: Path
    home: Path
    settings: ExportSettings
    schema: Schema
    pieces: Mapping[str, int]
    last_number: int
    digits: int
    has_splits: bool
    ending: str

    @property
    def name(self) -> str:
        """What its folder is called: where it lies is nobody's affair who gets it."""
        return self.home.name

    @property
    def first_place(self) -> str:
        """Where its first split is, or all of it, from the folder that it lies in."""
        return f"{self.name}/{next(iter(self.pieces))}" if self.has_splits else self.name

    def stem_of(self, number: int) -> str:
        """Name a row's files, without an ending."""
        return f"{number:0{self.digits}}"

    def place_of(self, number: int) -> str:
        """Name a row's file, without its ending, below a folder for clips."""
        stem = self.stem_of(number)
        if self.last_number < MOST_FILES_IN_A_FOLDER:
            return stem
        return f"{number // MOST_FILES_IN_A_FOLDER:03}/{stem}"


class Entry(NamedTuple):
    """A row that is in the dataset, its clip, and where that is below the dataset's folder."""

    sample: Sample
    clip: Clip
    path: str


Entries: TypeAlias = Callable[[], Iterator[Entry]]
"""Reads the rows of a split, as often as it is called."""


class Piece(Protocol):
    """A part of a split that is written as one: a shard, or some of the clips in a folder."""

    changed_texts: int

    def add(self, sample: Sample, clip: Clip) -> str:
        """Write a row; gives the path of its clip if it is a file of its own, else nothing."""

    def close(self) -> Iterable[WrittenFile]:
        """Sync what was written; gives the files that are no clips."""


class Layout(Protocol):
    """A form of a dataset.

    Attributes:
        endings: Of the clips that it takes as they are.
        is_uniform: Whether all clips have one ending.
        has_clip_files: Whether each clip is a file, which can be a link.
        is_table: Whether the Hub sees it as a table with these very columns, whose types the card tells.
    """

    endings: frozenset[str]
    is_uniform: bool
    has_clip_files: bool
    is_table: bool

    def is_reserved(self, name: str) -> bool:
        """Whether the form keeps a column's name for itself."""

    def check_extra(self) -> None:
        """See that the libraries are there that it needs.

        Raises:
            MissingExtraError: One is not.
        """

    def begin(self, plan: Plan, split: str, number: int) -> Piece:
        """Begin a piece of a split; it is not on the disk before its first row."""

    def finish(self, plan: Plan, split: str, entries: Entries) -> list[WrittenFile]:
        """Write what stands beside a split's pieces.

        Args:
            plan: The dataset's.
            split: The split.
            entries: Gives its rows, where each clip is a file; none otherwise.
        """

    def describe_loading(self, plan: Plan) -> str:
        """Write the part of the card that says how it is loaded, in Markdown."""

    def describe_data(self, plan: Plan) -> Mapping[str, str]:
        """Say by split where its data is, for the card, in the patterns of the Hub."""
