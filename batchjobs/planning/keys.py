"""The key of what a job asks: two jobs with one key ask the same, and are bought once."""

from batchjobs import text
from batchjobs.jobs import (
    AS_IT_IS,
    Hearing,
    Job,
    Kind,
    Segment,
    SpeechSettings,
    frame_of_speech_key,
    make_segment_key,
)
from batchjobs.providers import Provider


def speech_key(job: Job, provider: Provider, spoken: str | None = None) -> str:
    """Give the key of a text's synthesis, or of a part of it.

    Args:
        job: Speaks the text.
        provider: Whom it is asked of.
        spoken: The part; None for the whole.
    """
    assert job.speech is not None
    return make_segment_key(
        kind=job.kind,
        service=_service(provider),
        model=job.speech.model_id,
        speech=job.speech,
        text=job.text if spoken is None else spoken,
        take=job.take,
    )


def frame_of_keys(speech: SpeechSettings, take: int, provider: Provider) -> tuple[bytes, bytes]:
    """Give what is hashed before and behind a text, written as JSON, for its `speech_key`.

    Args:
        speech: How it is spoken.
        take: The number of the take.
        provider: Whom it is asked of.
    """
    return frame_of_speech_key(_service(provider), speech.model_id, speech, take)


def recording_key(sha256: str, provider: Provider, job: Job, hearing: Hearing = AS_IT_IS) -> str:
    """Give the key of the transcription of a recording, or of a part of it.

    Args:
        sha256: The hash of the recording, or of the part's samples.
        provider: Whom it is asked of.
        job: What asks for it.
        hearing: What of the recording is heard, as far as it makes a difference to it.
    """
    return make_segment_key(
        kind=Kind.STT,
        service=_service(provider),
        model=provider.stt_model,
        audio_sha256=sha256,
        hotwords=job.hotwords,
        hearing=hearing,
    )


def cut_text(job: Job, provider: Provider) -> list[tuple[Segment, bool]]:
    """Cut a long text into what one session each speaks.

    Returns:
        The segments in order, each with whether a paragraph ends there.
    """
    return [
        (
            Segment(
                key=speech_key(job, provider, piece.text),
                kind=Kind.TTS,
                text=piece.text,
                speech=job.speech,
            ),
            piece.ends_paragraph,
        )
        for piece in text.split_segments(job.text, limit_characters=provider.text_limit_characters)
    ]


def _service(provider: Provider) -> str:
    return f"{provider.name}/{provider.engine}" if provider.engine else provider.name
