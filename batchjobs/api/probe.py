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
from batchjobs.api.probe_hearing import HEARING_SECONDS, HearingSocket, probe_hearing
from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.errors import (
    BatchjobsError,
    ConfigurationError,
    MissingExtraError,
    PermanentError,
    Reaction,
    SessionError,
)
from batchjobs.jobs import Kind, Segment, SpeechSettings
from batchjobs.plausibility.clips import SpeechRates
from batchjobs.protocol.tts_audio import TtsJudge, TtsResult
from batchjobs.providers import Provider, check_base_url
from batchjobs.server.child import local_server
from batchjobs.server.settings import ServerSettings
from batchjobs.session import (
    Dial,
    Endpoint,
    HttpLine,
    HttpTtsSession,
    TtsSession,
    dial_tcp,
    require_http,
)

_TEXT: Final = "مرحبا، هذه جملة قصيرة للاختبار."
PROBE_SESSIONS: Final = 3
"""It is spoken twice over the socket, and once over HTTP."""
PROBE_CHARACTERS: Final = PROBE_SESSIONS * len(_TEXT)
_SOCKET: Final = "websocket"
_HTTP: Final = "http"
_SAME_LENGTH: Final = 0.85
"""A voice does not speak a text in the same time twice; what is dropped is much more than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """What was found out about one way to have a text spoken.

    Attributes:
        name: ``websocket`` or ``http``, as `tts_transport` has it.
        speaks: Whether audio came.
        reason: Why none came; empty if it did.
        audio_seconds: How much came.
        first_audio_seconds: From the text to the first of it.
        session_seconds: From the text's way there to the known end.
    """

    name: str
    speaks: bool
    reason: str = ""
    audio_seconds: float = 0.0
    first_audio_seconds: float = 0.0
    session_seconds: float = 0.0

    def describe(self) -> str:
        """Say what was found out, as one line."""
        if not self.speaks:
            return f"{self.name}: does not speak: {self.reason}"
        return (
            f"{self.name}: speaks, {self.audio_seconds:.2f} s of audio: the first after"
            f" {self.first_audio_seconds:.2f} s, all of it and its end after {self.session_seconds:.2f} s"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeReport:
    """What was found out about a service.

    Attributes:
        provider: Its name.
        transports: The ways to have a text spoken.
        close_drains: Whether ``closeConnection`` makes it send what is pending, then close; False
            if the socket does not speak, and then all that follows is 0.
        reason: What showed that.
        quiet_audio_seconds: Audio of the session that waited for silence.
        close_audio_seconds: Audio of the one that asked to close at once; 0 if it failed.
        first_audio_seconds: From the last text to the first audio.
        longest_gap_seconds: Between two messages of audio.
        audio_messages: How many came.
        after_audio_seconds: What the quiet session took beyond the other: the price of not knowing.
        hearing: The sockets for transcription that were tried with what it spoke; none if it has none.
    """

    provider: str
    transports: tuple[Transport, ...]
    close_drains: bool = False
    reason: str = ""
    quiet_audio_seconds: float = 0.0
    close_audio_seconds: float = 0.0
    first_audio_seconds: float = 0.0
    longest_gap_seconds: float = 0.0
    audio_messages: int = 0
    after_audio_seconds: float = 0.0
    hearing: tuple[HearingSocket, ...] = ()

    @property
    def tts_transport(self) -> str:
        """The way to take: the socket where it speaks, else HTTP."""
        return next(each.name for each in self.transports if each.speaks)

    @property
    def settings(self) -> str:
        """The lines for ``batchjobs.toml``."""
        lines = [f"[providers.{self.provider}]", f'tts_transport = "{self.tts_transport}"']
        if self.tts_transport == _SOCKET:
            lines.append(f"close_drains = {str(self.close_drains).lower()}")
        lines += [f'stt_protocol = "{each.name}"' for each in self.hearing if each.hears]
        return "\n".join(lines) + "\n"


def probe_cost(provider: Provider) -> float:
    """What a probe costs at most, in the provider's currency."""
    seconds = HEARING_SECONDS if provider.stt_path else 0.0
    return provider.cost_of(characters=PROBE_CHARACTERS, seconds=seconds)


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
    """Find out over which transports a provider speaks, and how its socket closes; costs a little.

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
    provider, key = config.choose_account(provider, key_file=key_file, environment=os.environ)
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
    """Speak the same short text over the socket, waiting for silence and asking to close, and over HTTP.

    What was spoken is then heard on the socket for transcription, if there is one.

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
    if not (provider.tts_path or provider.tts_http_path):
        raise ConfigurationError(f"'{provider.name}' has no text to speech to probe")
    voice = _find_voice(provider, voice)
    async with AsyncExitStack() as stack:
        url = base_url or provider.base_url
        if not url:
            server = ServerSettings(engine=provider.engine)
            child = local_server(server, withheld=provider.key_variables)
            url, key = await stack.enter_async_context(child), server.token
        url = check_base_url(url, insecure=insecure)
        make_endpoint = functools.partial(Endpoint, base_url=url, key=key, dial=dial)
        _tell(tell, "1 of 3: speaking over the socket, and waiting for silence")
        quiet = closed = await _speak(make_endpoint(replace(provider, close_drains=False)), voice)
        if isinstance(quiet, SessionError):
            _raise_if_it_says_all(quiet, provider)
        else:
            _tell(tell, "2 of 3: speaking over the socket, and asking to close at once")
            closed = await _speak(make_endpoint(replace(provider, close_drains=True)), voice)
        _tell(tell, "3 of 3: speaking over HTTP")
        over_http = await _speak_over_http(
            make_endpoint(replace(provider, tts_transport=_HTTP)), voice
        )
        hearing: tuple[HearingSocket, ...] = ()
        spoken = over_http if isinstance(quiet, SessionError) else quiet
        if provider.stt_path and not isinstance(spoken, SessionError):
            _tell(tell, "and hearing what was spoken")
            hearing = await probe_hearing(provider, make_endpoint, spoken.pcm, spoken.sample_rate)
    if not isinstance(quiet, SessionError):
        found = _compare(provider, quiet, closed, _describe(_HTTP, over_http))
        return replace(found, hearing=hearing)
    if isinstance(over_http, SessionError):
        raise _command_error(quiet, provider, over_http)
    transports = (_describe(_SOCKET, quiet), _describe(_HTTP, over_http))
    return ProbeReport(provider=provider.name, transports=transports, hearing=hearing)


def _tell(tell: Callable[[str], None] | None, line: str) -> None:
    if tell is not None:
        tell(line)


def _find_voice(provider: Provider, voice: str) -> str:
    found = voice or provider.voice
    if not found:
        raise ConfigurationError(f"'{provider.name}' has no default voice", hint="give --voice ID")
    return found


def _raise_if_it_says_all(error: SessionError, provider: Provider) -> None:
    """End the probe with an error that says nothing of the transport.

    Raises:
        BatchjobsError: The key is refused, the balance is spent, or there is no room.
    """
    if error.reaction in {Reaction.STOP, Reaction.THROTTLE}:
        raise _command_error(error, provider)


def _describe(name: str, spoken: TtsResult[ReceivedAudio] | SessionError) -> Transport:
    if isinstance(spoken, SessionError):
        return Transport(name=name, speaks=False, reason=spoken.message)
    evidence = spoken.evidence
    return Transport(
        name=name,
        speaks=True,
        audio_seconds=round(evidence.received_audio_seconds, 3),
        first_audio_seconds=round(evidence.first_result_seconds, 3),
        session_seconds=round(evidence.session_seconds, 3),
    )


def _request_of(endpoint: Endpoint, voice: str) -> tuple[Segment, TtsJudge[ReceivedAudio]]:
    speech = SpeechSettings(voice_id=voice, model_id=endpoint.provider.tts_model)
    segment = Segment(key="probe", kind=Kind.TTS, text=_TEXT, speech=speech)
    return segment, SpeechRates().make_judge(voice=voice, spoken=_TEXT, speed=speech.speed)


async def _speak(endpoint: Endpoint, voice: str) -> TtsResult[ReceivedAudio] | SessionError:
    if not endpoint.provider.tts_path:
        return PermanentError("it has no such socket")
    segment, judge = _request_of(endpoint, voice)
    try:
        return await TtsSession(endpoint, segment, texts=[_TEXT], judge=judge).run()
    except SessionError as error:
        return error


async def _speak_over_http(
    endpoint: Endpoint, voice: str
) -> TtsResult[ReceivedAudio] | SessionError:
    if not endpoint.provider.tts_http_path:
        return PermanentError("it has no such path")
    try:
        require_http()
    except MissingExtraError as error:
        return PermanentError(f"not tried: {error.describe()}")
    segment, judge = _request_of(endpoint, voice)
    line = HttpLine(endpoint)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(line.run)
        try:
            return await HttpTtsSession(line, segment, judge=judge).run()
        except SessionError as error:
            return error
        finally:
            nursery.cancel_scope.cancel()


def _compare(
    provider: Provider,
    quiet: TtsResult[ReceivedAudio],
    closed: TtsResult[ReceivedAudio] | SessionError,
    over_http: Transport,
) -> ProbeReport:
    evidence = quiet.evidence
    whole, got, spared = evidence.received_audio_seconds, 0.0, 0.0
    if isinstance(closed, SessionError):
        _raise_if_it_says_all(closed, provider)
        drains, reason = False, f"asked to close at once, it failed: {closed.message}"
    else:
        got = closed.evidence.received_audio_seconds
        spared = max(0.0, evidence.session_seconds - closed.evidence.session_seconds)
        drains = got >= _SAME_LENGTH * whole
        what = "all of the audio came" if drains else "audio was dropped"
        reason = f"asked to close at once, {what}: {got:.2f} of {whole:.2f} s"
    best = closed if drains else quiet  # as it would be used
    return ProbeReport(
        provider=provider.name,
        transports=(_describe(_SOCKET, best), over_http),
        close_drains=drains,
        reason=reason,
        quiet_audio_seconds=round(whole, 3),
        close_audio_seconds=round(got, 3),
        first_audio_seconds=round(evidence.first_result_seconds, 3),
        longest_gap_seconds=round(evidence.longest_gap_seconds, 3),
        audio_messages=evidence.messages,
        after_audio_seconds=round(spared, 3),
    )


def _command_error(
    error: SessionError, provider: Provider, over_http: SessionError | None = None
) -> BatchjobsError:
    """Translate a session's error into the one that ends the command."""
    hint = error.hint or "check --base-url and --voice"
    also = "" if over_http is None else f"; over HTTP: {over_http.message}"
    return error.ends_as(f"{provider.name}: {error.message}{also}", hint=hint)
