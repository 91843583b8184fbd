"""What a service does where its documents are silent, found out for a few characters' money."""

import functools
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import trio

from batchjobs import config
from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.errors import (
    BatchjobsError,
    ConfigurationError,
    Reaction,
    SessionError,
)
from batchjobs.jobs import Kind, Segment, SpeechSettings
from batchjobs.plausibility.clips import SpeechRates
from batchjobs.protocol.tts_audio import TtsResult
from batchjobs.providers import Provider, check_base_url
from batchjobs.server.child import local_server
from batchjobs.server.settings import ServerSettings
from batchjobs.session import Dial, Endpoint, TtsSession, dial_tcp

_TEXT: Final = "مرحبا، هذه جملة قصيرة للاختبار."
PROBE_CHARACTERS: Final = 2 * len(_TEXT)
"""It is spoken twice."""
_SAME_LENGTH: Final = 0.85
"""A voice does not speak a text in the same time twice; what is dropped is much more than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
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
    return provider.cost_of(characters=PROBE_CHARACTERS, seconds=0.0)


def probe(
    name: str,
    *,
    voice: str = "",
    base_url: str = "",
    key_file: Path | None = None,
    insecure: bool = False,
    config_file: Path | None = None,
    confirm: Callable[[Provider], None] | None = None,
    tell: Callable[[str], None] | None = None,
) -> ProbeReport:
    """Find out whether a provider sends what is pending when it is asked to close; costs a little.

    Args:
        name: The provider's name.
        voice: As for `probe_service`.
        base_url: As for `probe_service`.
        key_file: A file with its key, for its owner only; None takes the environment.
        insecure: As for `probe_service`.
        config_file: The configuration; None means ``batchjobs.toml`` here.
        confirm: Called before money is spent, which none is if it raises; None goes on unasked.
        tell: As for `probe_service`.

    Raises:
        ConfigurationError: There is no such provider, or its key or voice is missing.
        KeyRefusedError: It refuses the key.
        ServiceUnavailableError: It could not be made to speak at all.
    """
    provider = config.load(config_file).find_provider(name)
    key = config.read_key(provider, key_file=key_file, environment=os.environ, is_needed=True)
    _find_voice(provider, voice)
    if confirm is not None:
        confirm(provider)
    work = functools.partial(
        probe_service,
        provider,
        key=key,
        base_url=base_url,
        voice=voice,
        insecure=insecure,
        tell=tell,
    )
    return trio.run(work)


async def probe_service(
    provider: Provider,
    *,
    key: str,
    base_url: str = "",
    voice: str = "",
    insecure: bool = False,
    dial: Dial = dial_tcp,
    tell: Callable[[str], None] | None = None,
) -> ProbeReport:
    """Speak the same short text twice: once waiting for silence, once asking to close at once.

    Args:
        provider: The service.
        key: Its key; unused for a local server that is started here.
        base_url: Where it is, if not where its table says.
        voice: The voice; empty takes the provider's.
        insecure: Allow unencrypted connections to other machines.
        dial: How to connect.
        tell: Called with a line on what is being done; None if nobody listens.

    Raises:
        ConfigurationError: It does not speak, or no voice is known.
        KeyRefusedError: It refuses the key.
        ServiceUnavailableError: It could not be made to speak at all.
    """
    if not provider.tts_path:
        raise ConfigurationError(f"'{provider.name}' has no text to speech to probe")
    voice = _find_voice(provider, voice)
    async with AsyncExitStack() as stack:
        url = base_url or provider.base_url
        if not url:
            server = ServerSettings(engine=provider.engine)
            child = local_server(server, withheld=[provider.key_variable])
            url, key = await stack.enter_async_context(child), server.token
        url = check_base_url(url, insecure=insecure)
        make_endpoint = functools.partial(Endpoint, base_url=url, key=key, dial=dial)
        _tell(tell, "1 of 2: speaking, and waiting for silence")
        quiet = await _speak(make_endpoint(replace(provider, close_drains=False)), voice)
        if isinstance(quiet, SessionError):
            raise _command_error(quiet, provider)
        _tell(tell, "2 of 2: speaking, and asking to close at once")
        closed = await _speak(make_endpoint(replace(provider, close_drains=True)), voice)
    return _compare(provider, quiet, closed)


def _tell(tell: Callable[[str], None] | None, line: str) -> None:
    if tell is not None:
        tell(line)


def _find_voice(provider: Provider, voice: str) -> str:
    found = voice or provider.voice
    if not found:
        raise ConfigurationError(f"'{provider.name}' has no default voice", hint="give --voice ID")
    return found


async def _speak(endpoint: Endpoint, voice: str) -> TtsResult[ReceivedAudio] | SessionError:
    speech = SpeechSettings(voice_id=voice, model_id=endpoint.provider.tts_model)
    segment = Segment(key="probe", kind=Kind.TTS, text=_TEXT, speech=speech)
    judge = SpeechRates().make_judge(voice=voice, spoken=_TEXT, speed=speech.speed)
    try:
        return await TtsSession(endpoint, segment, texts=[_TEXT], judge=judge).run()
    except SessionError as error:
        return error


def _compare(
    provider: Provider,
    quiet: TtsResult[ReceivedAudio],
    closed: TtsResult[ReceivedAudio] | SessionError,
) -> ProbeReport:
    evidence = quiet.evidence
    whole, got, spared = evidence.received_audio_seconds, 0.0, 0.0
    if isinstance(closed, SessionError):
        if closed.reaction in {Reaction.STOP, Reaction.THROTTLE}:  # says nothing about closing
            raise _command_error(closed, provider)
        drains, reason = False, f"asked to close at once, it failed: {closed.message}"
    else:
        got = closed.evidence.received_audio_seconds
        spared = max(0.0, evidence.session_seconds - closed.evidence.session_seconds)
        drains = got >= _SAME_LENGTH * whole
        what = "all of the audio came" if drains else "audio was dropped"
        reason = f"asked to close at once, {what}: {got:.2f} of {whole:.2f} s"
    return ProbeReport(
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


def _command_error(error: SessionError, provider: Provider) -> BatchjobsError:
    """Translate a session's error into the one that ends the command."""
    hint = error.hint or "check --base-url and --voice"
    return error.ends_as(f"{provider.name}: {error.message}", hint=hint)
