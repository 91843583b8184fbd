"""Clips of a run heard by a recogniser: an ordinary run of its own, in a folder below theirs."""

import dataclasses
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, assert_never

from batchjobs.api.report import RunReport
from batchjobs.api.request import request_of
from batchjobs.api.run import carry_out_request
from batchjobs.checkpoint import Checkpoint, JobRecord
from batchjobs.files import run_folder
from batchjobs.jobs import Job, Kind, Sign, Status
from batchjobs.options import Options
from batchjobs.planning.plan import Plan
from batchjobs.progress import Observer
from batchjobs.storage.shelf import read_mark
from batchjobs.text import script_of

_LACKS_WORDS: Final = frozenset({Sign.UNHEARD, Sign.FEW_WORDS})
"""Sound without words, or with few: just what a check looks for."""
_PAGE: Final = 500
_HASH_COLUMN: Final = "clip_sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A finished clip.

    Attributes:
        id: Of its row, or of the take.
        row_id: Of its row.
        take: 0 for what stands in the row's place, n for the nth that was bought in its place.
        path: Below the run folder.
        sha256: Of its file.
        text: What it is to say.
        voice: Who says it, and how: clips of one name sound alike.
        speed: The asked one.
        sample_rate: In hertz.
    """

    id: str
    row_id: str
    take: int = 0
    path: str
    sha256: str
    text: str
    voice: str
    speed: float
    sample_rate: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a recogniser made of a clip: its transcript, or None and why there is none."""

    text: str | None
    trouble: str = ""
    provider: str = ""


def stream_clips(
    checkpoint: Checkpoint, *, sample: float = 1.0, only: Collection[str] | None = None
) -> Iterator[Clip]:
    """Read the finished clips of a run, in the manifest's order.

    Args:
        checkpoint: The run folder's.
        sample: Which share of them: the same ones each time, by a hash of the id.
        only: Their ids; None for all.
    """
    for row, record, check in checkpoint.checks.stream_outcomes():
        if record is None or not _is_clip(record) or not _is_in_sample(row.id, sample):
            continue
        if only is not None and row.id not in only:
            continue
        job = row.read_job()
        assert job.speech is not None
        yield Clip(
            id=row.id,
            row_id=row.id,
            take=0 if check is None else check.take,
            path=record.files[0].path,
            sha256=record.files[0].sha256,
            text=job.text,
            voice=voice_of(job, record.sample_rate),
            speed=job.speech.speed,
            sample_rate=record.sample_rate,
        )


def voice_of(job: Job, sample_rate: int) -> str:
    """Name what makes clips sound alike: the speaker, the model, the script, the rate.

    Args:
        job: Speaks the clip.
        sample_rate: Of the clip, in hertz.
    """
    assert job.speech is not None
    parts = (job.provider, job.speech.model_id, job.speech.voice_id, script_of(job.text))
    return " ".join((*parts, str(sample_rate)))


def _is_clip(record: JobRecord) -> bool:
    is_done = record.status is Status.DONE and not record.is_damaged
    return is_done and record.kind is Kind.TTS and bool(record.files)


def _is_in_sample(name: str, share: float) -> bool:
    return share >= 1.0 or hash_of(name) < share * 2**64


def hash_of(name: str) -> int:
    """Give a number below 2 to the power of 64 that a name always has, and nothing else of it does."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big")


def hear_clips(
    folder: Path,
    clips: Iterable[Clip],
    options: Options,
    *,
    observe: Observer | None = None,
    announce: Callable[[Plan], None] | None = None,
) -> RunReport:
    """Have clips transcribed; what was heard before is not heard again.

    Args:
        folder: Their run folder.
        clips: The clips.
        options: Of the transcription.
        observe: Gets every event.
        announce: Told what it will cost, before anything is bought.
    """
    mark = read_mark(folder)
    options = dataclasses.replace(
        options,
        input_root=None if mark is None else mark.address,  # takes stand here all the same
        output=folder / run_folder.CHECK,
        replace=True,
        skip_bad_rows=True,  # a clip that is gone is no reason not to hear the others
    )
    request = request_of((), options)
    rows = _rows_of(clips, request.options.provider)
    request = dataclasses.replace(request, source=rows, manifest_folder=folder)
    return carry_out_request(request, observe=observe, announce=announce)


def _rows_of(clips: Iterable[Clip], provider: str) -> Iterator[Mapping[str, object]]:
    for clip in clips:
        yield {
            "id": clip.id,
            "audio": clip.path,
            "reference": clip.text,
            "provider": provider,  # so that another one may hear them next time
            _HASH_COLUMN: clip.sha256,
        }


def stream_heard(folder: Path, clips: Iterable[Clip]) -> Iterator[tuple[Clip, Heard]]:
    """Read what was heard of clips; those that were not heard yet are left out.

    Args:
        folder: Their run folder.
        clips: The clips.
    """
    with Checkpoint.read(folder / run_folder.CHECK) as checkpoint:
        waiting = iter(clips)
        while page := list(islice(waiting, _PAGE)):
            outcomes = checkpoint.rows.find_outcomes([clip.id for clip in page])
            for clip in page:
                outcome = outcomes.get(clip.id)
                if outcome is None or outcome.record is None:
                    continue
                if outcome.row.read().row.get(_HASH_COLUMN) == clip.sha256:
                    yield clip, _heard_of(outcome.record)


def _heard_of(record: JobRecord) -> Heard:
    match record.status:
        case Status.DONE:
            return Heard(text=record.text, provider=record.provider)
        case Status.FAILED:
            return Heard(text=None, trouble=f"it could not be heard: {record.error_message}")
        case Status.SUSPECT:
            other = [doubt.message for doubt in record.doubts if doubt.sign not in _LACKS_WORDS]
            if other:
                return Heard(text=None, trouble=f"its transcript is in doubt: {other[0]}")
            return Heard(text=record.text, provider=record.provider)
        case _:
            assert_never(record.status)
