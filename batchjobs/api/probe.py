"""What a service does where its documents are silent, found out for a few characters' money."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Final

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.errors import (
    BatchjobsError,
    ConfigurationError,
    Reaction,
    SessionError,
)
from batchjobs.jobs import Kind, Segment, SpeechSettings
from batchjobs.planning import cost_of
from batchjobs.plausibility.clips import SpeechRates
from batchjobs.protocol.tts import SpeechResult
from batchjobs.providers import Provider, check_base_url
from batchjobs.server.child import local_server
from batchjobs.session import Dial, Endpoint, SpeechSession, dial_tcp

__all__ = ["PROBE_TEXT", "Finding", "probe", "probe_cost"]

PROBE_TEXT: Final = "مرحبا، هذه جملة قصيرة للاختبار."
"""Spoken twice."""
_SESSIONS: Final = 2
_SAME_LENGTH: Final = 0.85
"""A voice does not speak a text in the same time twice; what is dropped is much more than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found out about a service.

    Attributes:
        provider: Its name.
        close_drains: Whether ``closeConnection`` makes it send what is pending, then close.
        reason: What showed that.
        quiet_audio_seconds: Audio of the session that waited for silence.
        close_audio_seconds: Audio of the one that asked to close at once; 0 if it failed.
        first_audio_seconds: From the last text to the first audio.
        longest_gap_seconds: Between two messages of audio.
        audio_messages: How many came.
        after_audio_seconds: What the quiet session took beyond the other: the price of not knowing.
    """

    provider: str
    close_drains: bool
    reason: str
    quiet_audio_seconds: float
    close_audio_seconds: float
    first_audio_seconds: float
    longest_gap_seconds: float
    audio_messages: int
    after_audio_seconds: float

    @property
    def settings(self) -> str:
        """The lines for ``batchjobs.toml``."""
        drains = str(self.close_drains).lower()
        return f"[providers.{self.provider}]\nclose_drains = {drains}\n"


def probe_cost(provider: Provider) -> float:
    """What a probe costs at most, in the provider's currency."""
    return cost_of(provider, characters=_SESSIONS * len(PROBE_TEXT), seconds=0.0)


async def probe(
    provider: Provider,
    *,
    key: str,
    base_url: str = "",
    voice: str = "",
    insecure: bool = False,
    dial: Dial = dial_tcp,
    tell: Callable[[str], None] = lambda _: None,
) -> Finding:
    """Speak the same short text twice: once waiting for silence, once asking to close at once.

    Args:
        provider: The service.
        key: Its key; unused for a local server that is started here.
        base_url: Where it is, if not where its table says.
        voice: The voice; empty takes the provider's.
        insecure: Allow unencrypted connections to other machines.
        dial: How to connect.
        tell: Told what is being done.

    Raises:
        ConfigurationError: It does not speak, or no voice is known.
        KeyRefusedError: It refuses the key.
        ServiceUnavailableError: It could not be made to speak at all.
    """
    voice = voice or provider.voice
    if not provider.tts_path:
        raise ConfigurationError(f"'{provider.name}' has no text to speech to probe")
    if not voice:
        raise ConfigurationError(f"'{provider.name}' has no default voice", hint="give --voice ID")
    async with AsyncExitStack() as stack:
        url = base_url or provider.base_url
        if not url:
            child = await stack.enter_async_context(
                local_server(engine=provider.engine, withheld=[provider.key_variable])
            )
            url, key = child.base_url, child.token
        url = check_base_url(url, insecure=insecure)
        tell("1 of 2: speaking, and waiting for silence")
        quiet = await _spoken(_link(provider, url, key, dial, drains=False), voice)
        if isinstance(quiet, SessionError):
            raise _telling(quiet, provider)
        tell("2 of 2: speaking, and asking to close at once")
        closed = await _spoken(_link(provider, url, key, dial, drains=True), voice)
    return _compared(provider, quiet, closed)


def _link(provider: Provider, url: str, key: str, dial: Dial, *, drains: bool) -> Endpoint:
    return Endpoint(replace(provider, close_drains=drains), base_url=url, key=key, dial=dial)


async def _spoken(endpoint: Endpoint, voice: str) -> SpeechResult[ReceivedAudio] | SessionError:
    speech = SpeechSettings(voice_id=voice, model_id=endpoint.provider.tts_model)
    segment = Segment(key="probe", kind=Kind.TTS, text=PROBE_TEXT, speech=speech)
    judge = SpeechRates().make_judge(voice=voice, spoken=PROBE_TEXT, speed=speech.speed)
    try:
        return await SpeechSession(endpoint, segment, texts=[PROBE_TEXT], judge=judge).run()
    except SessionError as error:
        return error


def _compared(
    provider: Provider,
    quiet: SpeechResult[ReceivedAudio],
    closed: SpeechResult[ReceivedAudio] | SessionError,
) -> Finding:
    evidence = quiet.evidence
    whole, got, spared = evidence.received_audio_seconds, 0.0, 0.0
    if isinstance(closed, SessionError):
        if closed.reaction in {Reaction.STOP, Reaction.THROTTLE}:  # says nothing about closing
            raise _telling(closed, provider)
        drains, reason = False, f"asked to close at once, it failed: {closed.message}"
    else:
        got = closed.evidence.received_audio_seconds
        spared = max(0.0, evidence.session_seconds - closed.evidence.session_seconds)
        drains = got >= _SAME_LENGTH * whole
        told = "all of the audio came" if drains else "audio was dropped"
        reason = f"asked to close at once, {told}: {got:.2f} of {whole:.2f} s"
    return Finding(
        provider=provider.name,
        close_drains=drains,
        reason=reason,
        quiet_audio_seconds=round(whole, 3),
        close_audio_seconds=round(got, 3),
        first_audio_seconds=round(evidence.first_result_seconds, 3),
        longest_gap_seconds=round(evidence.longest_gap_seconds, 3),
        audio_messages=evidence.messages,
        after_audio_seconds=round(spared, 3),
    )


def _telling(error: SessionError, provider: Provider) -> BatchjobsError:
    """Give the error that ends the command."""
    hint = error.hint or "check --base-url and --voice"
    return error.ends_as(f"{provider.name}: {error.message}", hint=hint)
