"""Terms of a glossary in a run's transcripts: what was heard in their place, without a purchase."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from batchjobs.checkpoint import Checkpoint
from batchjobs.files import run_folder
from batchjobs.files.atomic import write_whole
from batchjobs.jobs import Kind, Status
from batchjobs.quality.compare import load_library

if TYPE_CHECKING:
    from batchjobs.quality.glossary import HeardTerm, Term


@dataclass(frozen=True, slots=True, kw_only=True)
class GlossaryReport:
    """What became of a glossary's terms.

    Attributes:
        glossary: The file that they stand in.
        terms: Each of them: how often it was heard right, and what else it was heard as.
    """

    glossary: Path
    terms: tuple["HeardTerm", ...]

    @property
    def misheard(self) -> list["HeardTerm"]:
        """The terms that were heard otherwise, those of the most times first."""
        found = [term for term in self.terms if term.otherwise]
        return sorted(found, key=lambda term: -sum(each.count for each in term.otherwise))


def read_terms(glossary: Path) -> list["Term"]:
    """Read a glossary.

    Raises:
        UsageError: It cannot be read, or holds no term.
        MissingExtraError: What compares words is not installed.
    """
    load_library("a glossary")
    from batchjobs.quality.glossary import read_glossary

    return read_glossary(glossary)


def find_terms(folder: str | Path, glossary: str | Path) -> GlossaryReport:
    """Find what a glossary's terms were heard as in the transcripts of a run, also while it goes on.

    Args:
        folder: The run folder.
        glossary: A term a line; ``term = spelling, spelling`` where others are right, too.

    Raises:
        UsageError: The glossary cannot be read, or holds no term.
        MissingExtraError: What compares words is not installed.
        NoRunError: There is no run in the folder.
    """
    terms = read_terms(Path(glossary))
    with Checkpoint.read(Path(folder)) as checkpoint, checkpoint.hold_steady():
        return look_for(terms, Path(glossary), checkpoint)


def look_for(terms: Sequence["Term"], glossary: Path, checkpoint: Checkpoint) -> GlossaryReport:
    """Look for terms in what was transcribed.

    Args:
        terms: As `read_terms` gave them.
        glossary: The file that they were in.
        checkpoint: The run folder's.
    """
    from batchjobs.quality.glossary import find_misheard

    def list_transcripts() -> Iterator[tuple[str, str]]:
        for row, record in checkpoint.rows.stream_records(Status.DONE):
            if record.kind is Kind.STT:
                yield row.id, record.text

    return GlossaryReport(glossary=glossary, terms=tuple(find_misheard(terms, list_transcripts)))


def write_terms(folder: Path, terms: Iterable["HeardTerm"]) -> None:
    """Write what became of terms into the run folder, a line each.

    Raises:
        OutputError: It cannot be created.
        DiskError: The disk failed or is full.
    """
    lines = (msgspec.json.encode(term) + b"\n" for term in terms)
    write_whole(folder / run_folder.GLOSSARY, b"".join(lines))
