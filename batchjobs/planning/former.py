"""Finds what was bought under a model that was the default before, so that it is not bought again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from batchjobs.checkpoint import Checkpoint, JobRecord, Row
from batchjobs.jobs import Job, Kind, Status
from batchjobs.planning.intact import find_held_segments, is_intact
from batchjobs.planning.keys import cut_text, recording_key, speech_key
from batchjobs.planning.plan import TO_BUY, Superseded
from batchjobs.planning.recordings import Recordings
from batchjobs.providers import FORMER_STT_MODELS, FORMER_TTS_MODELS, Provider
from batchjobs.storage.input_files import InputFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a row asked for before: its key, and the job and provider that make it."""

    row: Row
    key: str
    job: Job
    provider: Provider


class FormerDefaults:
    """Counts rows that are about to be bought although they were, under the default of before.

    Args:
        checkpoint: What was bought.
        providers: By name, with the defaults of now.

    Attributes:
        has_results: Whether anything can have been bought here.
    """

    def __init__(self, checkpoint: Checkpoint, providers: Mapping[str, Provider]) -> None:
        self._checkpoint = checkpoint
        self._providers = providers
        self._recordings = Recordings(checkpoint, InputFiles())
        self.has_results = checkpoint.has_begun()
        self._rows: Counter[tuple[str, Kind]] = Counter()

    def look_at(self, rows: Sequence[Row], records: Mapping[str, JobRecord]) -> None:
        """Look at decided rows.

        Args:
            rows: Of one batch; their recordings are remembered.
            records: What is known of their jobs, by id.
        """
        if not self.has_results:
            return
        asked = [self._ask_as_before(row) for row in rows if row.action in TO_BUY]
        known = [one for one in asked if one is not None]
        bought = self._checkpoint.lookups.find_bought_keys([one.key for one in known])
        for one in known:
            if (
                self._is_kept(one, records.get(one.row.id))
                or (one.key in bought and self._has_donor(one.key))
                or (one.row.layout and self._has_segments(one))
            ):
                self._rows[one.row.provider, Kind(one.row.kind)] += 1

    def list_superseded(self) -> tuple[Superseded, ...]:
        """Sum up what was counted, by provider and kind."""
        found = []
        for (name, kind), rows in sorted(self._rows.items()):
            former, wanted = _default_models(self._providers[name], kind)
            assert former is not None
            found.append(
                Superseded(provider=name, kind=kind, model=former, wanted=wanted, rows=rows)
            )
        return tuple(found)

    def _ask_as_before(self, row: Row) -> _Asked | None:
        """Say what the row asked for when another model was the default; None if that never was."""
        provider = self._providers[row.provider]
        former, _ = _default_models(provider, row.kind)
        if former is None:
            return None
        job = row.read_job()
        if row.kind == Kind.STT:
            sought = self._recordings.recall(job)
            provider = replace(provider, stt_model=former)
            key = recording_key(sought.sha256, provider, job, sought.hearing) if sought else ""
            return _Asked(row=row, key=key, job=job, provider=provider)
        assert job.speech is not None
        is_named = str(job.row.get("model_id") or "").strip()
        if is_named or job.speech.model_id != provider.tts_model:
            return None
        job = structs.replace(job, speech=replace(job.speech, model_id=former))
        return _Asked(row=row, key=speech_key(job, provider), job=job, provider=provider)

    def _is_kept(self, asked: _Asked, record: JobRecord | None) -> bool:
        return (
            record is not None
            and record.key == asked.key
            and record.status is not Status.FAILED
            and is_intact(self._checkpoint.shelf, record)
        )

    def _has_donor(self, key: str) -> bool:
        donors = self._checkpoint.lookups.find_donors(key)
        return any(is_intact(self._checkpoint.shelf, donor) for donor in donors)

    def _has_segments(self, asked: _Asked) -> bool:
        """Whether parts of a long job were bought, though never the whole."""
        if asked.job.kind is Kind.STT:
            return self._checkpoint.segments.sum_transcribed_seconds(asked.key) > 0
        keys = [segment.key for segment, _ in cut_text(asked.job, asked.provider)]
        return bool(find_held_segments(self._checkpoint, keys))


def _default_models(provider: Provider, kind: str) -> tuple[str | None, str]:
    """Give a provider's default model of before, if there was another, and that of now."""
    if kind == Kind.TTS:
        return FORMER_TTS_MODELS.get(provider.tts_model), provider.tts_model
    return FORMER_STT_MODELS.get(provider.stt_model), provider.stt_model
