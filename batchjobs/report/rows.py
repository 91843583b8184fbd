"""The rows of a page: what is known of each, and how bad it is beside the others."""

from typing import Final, NamedTuple

from batchjobs import text
from batchjobs.checkpoint import CheckedOutcome, CheckRecord, CheckVerdict, JobRecord, Review
from batchjobs.jobs import BadRow, Job, Kind, Status, sum_severity
from batchjobs.quality.compare import compare
from batchjobs.quality.marks import mark_differences

NOT_RUN: Final = "not_run"
_UNCHECKED: Final = "unchecked"


class PageRow(NamedTuple):
    """A row as the page gets it; a list, whose names are told once.

    Attributes:
        position: Its place in the manifest, from 1.
        id: Its id.
        kind: ``tts`` or ``stt``; empty for a bad row.
        status: What became of it.
        voice: Who speaks; empty for a transcription.
        text: What was to be said, as pieces that are the same and that differ, by turns.
        heard: The same of what was heard.
        clip: The address of what is to be played; empty if there is nothing.
        sha256: Of the result's main file; empty if there is none.
        seconds: Of audio.
        wave: Its wave form.
        rank: How bad it is.
        verdict: Of a check.
        classes: By which it may be looked for: a failure's class, what speaks against it.
        reasons: What is wrong, in sentences.
        cer: Character error rate.
        wer: Word error rate.
        rate: Letters a second.
        quality: The score of a model of listeners.
        attempts: Sessions.
        decision: What was decided before.
        note: What was noted with it.
    """

    position: int
    id: str
    kind: str
    status: str
    voice: str
    text: list[str]
    heard: list[str]
    clip: str
    sha256: str
    seconds: float
    wave: str
    rank: float
    verdict: str
    classes: list[str]
    reasons: list[str]
    cer: float | None
    wer: float | None
    rate: float | None
    quality: float | None
    attempts: int
    decision: str
    note: str


class Known(NamedTuple):
    """A row and all that is known of it."""

    outcome: CheckedOutcome
    job: Job | BadRow

    @property
    def status(self) -> str:
        """What became of it."""
        record = self.outcome.record
        return NOT_RUN if record is None else record.status.value

    @property
    def voice(self) -> str:
        """Who speaks; empty for a transcription."""
        job = self.job
        return job.speech.voice_id if isinstance(job, Job) and job.speech else ""

    @property
    def said(self) -> str:
        """What was to be said, as far as that is known."""
        job = self.job
        if isinstance(job, BadRow):
            return ""
        return job.text if job.kind is Kind.TTS else job.reference

    @property
    def heard(self) -> str:
        """What was heard."""
        _, record, check = self.outcome
        if record is not None and record.kind is Kind.STT:
            return record.text
        return "" if check is None else check.heard

    def mark(self) -> tuple[list[str], list[str]]:
        """Give what was to be said and what was heard, as pieces by turns the same and different."""
        said, heard = self.said, self.heard
        _, record, _ = self.outcome
        if record is not None and record.sides:  # who says it stands in no reference
            heard = record.said
        return mark_differences(said, heard) if said and heard else ([said], [heard])

    def compare(self) -> tuple[float | None, float | None]:
        """Give the error rates: a check's, or else those of a transcript by its reference."""
        _, record, check = self.outcome
        if check is not None:
            return check.cer, check.wer
        if record is None or record.kind is not Kind.STT or not (self.said and record.files):
            return None, None
        found = compare(self.said, record.said)
        return found.cer, found.wer

    @property
    def seconds(self) -> float:
        """Of its audio."""
        row, record, _ = self.outcome
        return record.audio_seconds if record is not None and record.audio_seconds else row.seconds

    @property
    def rate(self) -> float | None:
        """Letters a second: of speech without its pauses where that was measured."""
        _, record, check = self.outcome
        if check is not None and check.signs is not None and check.signs.letters_per_second:
            return check.signs.letters_per_second
        if record is None or not record.audio_seconds or not record.files:
            return None
        weight = text.speech_weight(self.said or self.heard)
        return weight / record.audio_seconds if weight else None


def rank(known: Known) -> float:
    """Say how bad a row is beside the others: those to be looked at first have the most.

    What is in doubt comes before what a check calls bad, what has failed, what no check could
    tell, and what is good; in each of these the worst comes first. 0 is what nothing is said against.
    """
    _, record, check = known.outcome
    if record is None:
        return -1.0
    if record.status is Status.FAILED:
        return 200.0
    if record.status is Status.SUSPECT:
        return 400.0 + _below_100(sum_severity(record.doubts))
    badness = check.badness if check is not None else 10.0 * (known.compare()[1] or 0.0)
    match check.verdict if check is not None else None:
        case CheckVerdict.BAD:
            return 300.0 + _below_100(badness)
        case CheckVerdict.INCONCLUSIVE:
            return 100.0 + _below_100(badness)
        case _:
            return _below_100(badness)


def _below_100(worse: float) -> float:
    """Bring what has no end below 100, in its order."""
    return 100.0 * worse / (worse + 10.0)


def make_page_row(
    known: Known,
    *,
    ranked: float,
    clip: str,
    wave: str,
    review: Review | None,
    pieces: tuple[list[str], list[str]],
) -> PageRow:
    """Put together what the page gets of a row.

    Args:
        known: The row.
        ranked: Its `rank`.
        clip: The address of what is to be played.
        wave: Its wave form.
        review: What was decided about it.
        pieces: What was to be said and what was heard, as pieces by turns the same and different.
    """
    row, record, check = known.outcome
    said, heard = pieces
    cer, wer = known.compare()
    sha256 = record.files[0].sha256 if record is not None and record.files else ""
    # A clip that was bought anew is to be listened to anew.
    decided = review is not None and review.key == row.key and review.sha256 == sha256
    return PageRow(
        position=row.position,
        id=row.id,
        kind=row.kind,
        status=known.status,
        voice=known.voice,
        text=said,
        heard=heard,
        clip=clip,
        sha256=sha256,
        seconds=round(known.seconds, 3),
        wave=wave,
        rank=round(ranked, 3),
        verdict=check.verdict.value if check is not None else _UNCHECKED,
        classes=_classes_of(record, check),
        reasons=_reasons_of(known.job, record, check),
        cer=_rounded(cer, 4),
        wer=_rounded(wer, 4),
        rate=_rounded(known.rate, 2),
        quality=_rounded(quality_of(check), 2),
        attempts=record.attempts if record is not None else 0,
        decision=review.decision.value if review is not None and decided else "",
        note=review.note if review is not None and decided else "",
    )


def quality_of(check: CheckRecord | None) -> float | None:
    """Give what listeners would say of a clip, all in all; None if it has no score."""
    if check is None or check.signs is None or check.signs.scores is None:
        return None
    return check.signs.scores.overall


def _classes_of(record: JobRecord | None, check: CheckRecord | None) -> list[str]:
    found: list[str] = []
    if record is not None:
        if record.status is not Status.SUSPECT and record.error_class:
            found.append(record.error_class)
        found += [doubt.sign.value for doubt in record.doubts]
    if check is not None:
        found += ["missing words"] if check.missing is not None else []
        found += ["foreign words"] if check.foreign is not None else []
    return list(dict.fromkeys(found))


def _reasons_of(
    job: Job | BadRow, record: JobRecord | None, check: CheckRecord | None
) -> list[str]:
    found = [job.message] if isinstance(job, BadRow) else []
    if record is not None and record.error_message:
        found.append(record.error_message)
    if check is not None:
        found += check.reasons
    return list(dict.fromkeys(found))


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
