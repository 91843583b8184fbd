"""What kind of run a folder holds, as far as it decides what a person does next."""

import msgspec

from batchjobs.checkpoint import Checkpoint
from batchjobs.jobs import Job, Kind


class RunNature(msgspec.Struct, frozen=True, kw_only=True):
    """What kind of run it is.

    Attributes:
        is_book: Whether its rows are the chapters of a book, as `batchjobs book` writes them.
        has_suspect_speech: Whether there is audio in doubt, to be listened to.
        has_suspect_transcripts: Whether there are transcripts in doubt, to be read.
    """

    is_book: bool = False
    has_suspect_speech: bool = False
    has_suspect_transcripts: bool = False


def find_nature(checkpoint: Checkpoint) -> RunNature:
    """Look at a run's first row, and at what is in doubt."""
    first = checkpoint.rows.read_first()
    job = None if first is None else first.read()
    is_chapter = isinstance(job, Job) and {"book", "chapter"} <= job.row.keys()
    kinds = checkpoint.lookups.find_suspect_kinds()
    return RunNature(
        is_book=is_chapter and isinstance(job, Job) and job.kind is Kind.TTS,
        has_suspect_speech=Kind.TTS in kinds,
        has_suspect_transcripts=Kind.STT in kinds,
    )
