"""The table of providers: services as data, built in or read from ``batchjobs.toml``."""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

import msgspec

from batchjobs.accounts import Account, check_accounts, check_names, check_settings
from batchjobs.errors import ConfigurationError
from batchjobs.jobs import Kind
from batchjobs.options import MOST_SESSIONS
from batchjobs.speech import HTTP_OUTPUT_FORMATS, OUTPUT_FORMATS

DEFAULT_PROVIDER = "local"
"""Who does what names no provider: the one that costs nothing."""

FORMER_TTS_MODELS: Mapping[str, str] = {"faseeh-v1-preview": "faseeh-mini-v1-preview"}
"""A default of now, and what stood in its place before: results bought under that are still good."""
FORMER_STT_MODELS: Mapping[str, str] = {"munsit": ""}
"""The same for transcription, where no model was named."""

DEFAULT_ENGINE = "auto"
"""Of the local server: whatever is installed."""
DEFAULT_HOST = "127.0.0.1"
"""Where the local server listens, unless it is meant otherwise."""
LOOPBACK = frozenset({"localhost", DEFAULT_HOST, "::1"})
"""Names of this machine, where plain text may go."""
PRICES: Mapping[Kind, str] = {
    Kind.TTS: "tts_price_per_million_characters",
    Kind.STT: "stt_price_per_hour",
}
"""The setting that has the price of each kind of job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A speech service, as data. A field may name or place things; it may not branch.

    Attributes:
        name: How manifests and options call it.
        base_url: ``wss://HOST/api/v1``; empty for the local server that a run starts by itself.
        tts_path: Path of the text-to-speech socket below the base URL; empty if it has none.
        tts_transport: How speech is asked for: ``websocket``, or ``http``, one request a text. Then the
            key travels in a header, whatever `tts_auth` says of the query.
        tts_http_path: Path of speech over HTTP below the base URL; ``{model}`` is the row's.
        http_gap_seconds: Longest wait there between two pieces of the audio.
        stt_path: Path of the speech-to-text socket; empty if it has none.
        stt_protocol: Which of the two speech-to-text sockets is used: ``transcription``, the documents',
            or ``listen``, that of the vendor's newer clients, at `listen_path`.
        listen_path: Path of the newer socket.
        listen_pace: Audio sent on it, times real time; 0 is as fast as its window of a minute allows.
        listen_endpointing_ms: How much silence ends a turn there.
        listen_times: From where the times of words count there: the ``session``'s start, or that of each
            ``turn``, which is then found by its sound. Times that go back are not believed.
        receipt_seconds: Longest wait there for the closing receipt, after its last message.
        voices_path: Path of the list of voices below the base URL, over HTTP; empty if it has none.
        key_variable: Environment variable that holds the key.
        keys: Environment variables that hold keys, where there are several; one that is not set is
            gone without.
        accounts: The same as tables: each with its `key_variable`, and as it pleases a `name`, a
            `base_url`, a `concurrency` and a `budget` of its own.
        tts_auth: How the TTS key travels: ``query``, ``init``, ``header``, ``bearer``, ``token``.
        stt_auth: The same for STT, where there is no ``init``.
        voice: The voice for rows that name none; empty means that rows must name one.
        tts_model: The TTS model for rows that name none.
        stt_model: Sent as ``?model=`` if not empty.
        engine: Which engine of the local server does the work; empty for every other provider.
        concurrency: Sessions open at once unless an option says otherwise; 0 means ``auto``.
        text_limit_characters: Longest text of one session; a longer one takes several.
        audio_limit_seconds: Longest recording of one session; a longer one takes several.
        audio_target_seconds: How long these are to be, if there is a pause to cut at.
        pace: STT audio sent, times real time; 0 is as fast as the socket takes it.
        chunk_seconds: Audio in one STT message.
        chunk_form: ``wav``: every chunk a whole WAV; ``raw``: only the first.
        close_drains: Whether ``closeConnection`` makes the server send what is pending, then close.
        transcript_per_chunk: Whether the server answers every chunk with one transcription.
        connect_seconds: Longest TCP, TLS and WebSocket handshake.
        ready_seconds: Longest wait for ``connectionInitialized``, and for a message to be taken.
        first_audio_seconds: Longest wait for the first audio after the last text.
        quiet_seconds: Silence on the line after which TTS audio counts as ended.
        final_quiet_seconds: The same after an empty message marked ``isFinal``.
        drain_seconds: Longest wait for the server's close after ``closeConnection``.
        first_transcript_seconds: Longest wait for the first transcript after the last chunk.
        settle_seconds: How long a transcript must stay unchanged after the last chunk.
        settle_shrinks: Whether it may become shorter in a run whose transcripts stand sooner. If the
            service then begins to revise later, a few transcripts lack their last revision.
        settle_limit_seconds: Longest settling in all.
        session_limit_seconds: Longest session beyond the length of its audio.
        outage_limit_seconds: How long a run waits for a service that it cannot reach any more.
        tts_price_per_million_characters: In `currency`; 0 where none is known.
        stt_price_per_hour: In `currency`; 0 where none is known.
        currency: ISO 4217 code of the prices.
    """

    name: str
    base_url: str
    tts_path: str = "/websocket/text-to-speech"
    tts_transport: str = "websocket"
    tts_http_path: str = "/text-to-speech/{model}"
    http_gap_seconds: float = 30.0
    stt_path: str = "/websocket/speech-to-text"
    stt_protocol: str = "transcription"
    listen_path: str = "/listen"
    listen_pace: float = 0.0
    listen_endpointing_ms: int = 800
    listen_times: str = "session"
    receipt_seconds: float = 30.0
    voices_path: str = "/voices"
    key_variable: str
    keys: tuple[str, ...] = ()
    accounts: tuple[Account, ...] = ()
    tts_auth: tuple[str, ...] = ("query", "init")
    stt_auth: tuple[str, ...] = ("header",)
    voice: str = ""
    tts_model: str = "faseeh-mini-v1-preview"
    stt_model: str = ""
    engine: str = ""
    concurrency: int = 0
    text_limit_characters: int = 2_000
    audio_limit_seconds: float = 90.0
    audio_target_seconds: float = 60.0
    pace: float = 1.0
    chunk_seconds: float = 1.0
    chunk_form: str = "wav"
    close_drains: bool = False
    transcript_per_chunk: bool = False
    connect_seconds: float = 20.0
    ready_seconds: float = 20.0
    first_audio_seconds: float = 30.0
    quiet_seconds: float = 2.5
    final_quiet_seconds: float = 1.0
    drain_seconds: float = 5.0
    first_transcript_seconds: float = 15.0
    settle_seconds: float = 2.5
    settle_shrinks: bool = False
    settle_limit_seconds: float = 60.0
    session_limit_seconds: float = 900.0
    outage_limit_seconds: float = 43_200.0
    tts_price_per_million_characters: float = 0.0
    stt_price_per_hour: float = 0.0
    currency: str = "USD"

    @property
    def speaks_over_http(self) -> bool:
        """Whether speech is asked for over HTTP."""
        return self.tts_transport == "http"

    @property
    def speech_path(self) -> str:
        """Where speech is asked for, over either transport; empty if it has none."""
        return self.tts_http_path if self.speaks_over_http else self.tts_path

    @property
    def output_formats(self) -> tuple[str, ...]:
        """The forms of audio that it can be asked for."""
        return HTTP_OUTPUT_FORMATS if self.speaks_over_http else OUTPUT_FORMATS

    @property
    def every_account(self) -> tuple[Account, ...]:
        """The accounts that one may have with it."""
        named = tuple(Account(key_variable=name) for name in self.keys)
        return self.accounts or named or (Account(key_variable=self.key_variable),)

    @property
    def key_variables(self) -> tuple[str, ...]:
        """Every environment variable that may hold a key to it."""
        used = (account.key_variable for account in self.every_account)
        return tuple(dict.fromkeys((self.key_variable, *used)))

    def with_account(self, account: Account) -> "Provider":
        """Give it as one account has it."""
        return dataclasses.replace(
            self,
            key_variable=account.key_variable,
            base_url=account.base_url or self.base_url,
            keys=(),
            accounts=(),
        )

    def cost_of(self, *, characters: int = 0, seconds: float = 0.0) -> float:
        """Price characters spoken and seconds of audio transcribed, in `currency`."""
        return (
            characters * self.tts_price_per_million_characters / 1_000_000
            + seconds * self.stt_price_per_hour / 3_600
        )


class SentWork(Protocol):
    """What was, or is to be, sent to a provider."""

    @property
    def provider(self) -> str:
        """Its name."""
        ...

    @property
    def characters(self) -> int:
        """To be spoken."""
        ...

    @property
    def audio_seconds(self) -> float:
        """To be transcribed."""
        ...

    @property
    def paid_seconds(self) -> float:
        """Of audio that it takes money for."""
        ...


def sum_costs(work: Iterable[SentWork], providers: Mapping[str, Provider]) -> dict[str, float]:
    """Price work, by currency; what no provider is known for has no price.

    Args:
        work: What was, or is to be, sent.
        providers: By name.
    """
    costs: dict[str, float] = {}
    for each in work:
        if provider := providers.get(each.provider):
            cost = provider.cost_of(characters=each.characters, seconds=each.paid_seconds)
            costs[provider.currency] = costs.get(provider.currency, 0.0) + cost
    return costs


_USD_PER_CREDIT = 100 / 3_000_000
# 2 credits a character, as third parties were billed in 2025.
_USD_PER_MILLION_CHARACTERS = 2 * 1_000_000 * _USD_PER_CREDIT
# 4 credits for 2.56 seconds of a recording, as seen on a bill in 2026-10; no price is published.
_USD_PER_HOUR = 4 / 2.56 * 3_600 * _USD_PER_CREDIT
# The one model that the vendor's newest clients know; the documents' examples name it, too.
_HOSTED_TTS_MODEL = "faseeh-v1-preview"
# Those clients always name one: this for Arabic, ``munsit-en-ar`` for speech that mixes in English.
_HOSTED_STT_MODEL = "munsit"

BUILT_IN: Mapping[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider(
            name=DEFAULT_PROVIDER,
            base_url="",
            key_variable="BATCHJOBS_LOCAL_KEY",
            stt_auth=("header",),
            voice="ar-najdi-male-2",
            engine=DEFAULT_ENGINE,
            concurrency=16,
            pace=0.0,
            close_drains=True,
            transcript_per_chunk=True,
            # A busy machine answers late, and the end is normally seen without waiting for these.
            drain_seconds=30.0,
            first_transcript_seconds=30.0,
            settle_seconds=15.0,
            outage_limit_seconds=30.0,  # it is a process of this machine: gone is gone
        ),
        Provider(
            name="munsit",
            base_url="wss://api.munsit.com/api/v1",
            key_variable="MUNSIT_API_KEY",
            tts_model=_HOSTED_TTS_MODEL,
            stt_model=_HOSTED_STT_MODEL,
            stt_protocol="listen",  # theirs; the documents' socket marks no end
            tts_price_per_million_characters=round(_USD_PER_MILLION_CHARACTERS, 2),
            stt_price_per_hour=round(_USD_PER_HOUR, 2),
        ),
        Provider(
            name="faseeh",
            base_url="wss://api.faseeh.ai/api/v1",
            stt_path="",
            key_variable="FASEEH_API_KEY",
            tts_model=_HOSTED_TTS_MODEL,
            tts_price_per_million_characters=round(_USD_PER_MILLION_CHARACTERS, 2),
        ),
    )
}

_FIELDS = tuple(item.name for item in dataclasses.fields(Provider))
_SETTINGS = tuple(name for name in _FIELDS if name != "name")
# Nothing would ever be sent with none of these.
_NEVER_ZERO = frozenset(
    {"chunk_seconds", "text_limit_characters", "audio_limit_seconds", "audio_target_seconds"}
)
_WAYS_OF_TTS = frozenset({"query", "init", "header", "bearer", "token"})
_WAYS_OF_STT = _WAYS_OF_TTS - {"init"}  # its protocol has no first message to carry a key


def change_provider(provider: Provider, settings: Mapping[str, object], *, where: str) -> Provider:
    """Change some of a provider's fields, checked.

    Args:
        provider: The provider to start from.
        settings: Field names and new values.
        where: Where the settings stand, for messages.

    Returns:
        The changed provider.

    Raises:
        ConfigurationError: An unknown field, or a value of the wrong type or range.
    """
    for name in settings:
        if name not in _SETTINGS:
            close = difflib.get_close_matches(name, _SETTINGS, n=1)
            hint = f"did you mean '{close[0]}'?" if close else "see 'batchjobs providers'"
            raise ConfigurationError(f"{where}: unknown setting '{name}'", hint=hint)
    check_settings(settings.get("accounts", ()), f"{where}: accounts")
    merged = {item: getattr(provider, item) for item in _FIELDS} | dict(settings)
    try:
        changed = msgspec.convert(merged, Provider)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{where}: {error}", hint="see 'batchjobs providers'") from error
    _check_ranges(changed, where)
    _check_keys(changed, where)
    return changed


def _check_keys(provider: Provider, where: str) -> None:
    check_names(provider.keys, f"{where}: 'keys'")
    if provider.keys and provider.accounts:
        raise ConfigurationError(
            f"{where}: 'keys' and 'accounts' say the same", hint="give one of them"
        )
    check_accounts(provider.every_account, where)
    has_own = [bool(account.base_url) for account in provider.accounts]
    if any(has_own) and not (all(has_own) or provider.base_url):
        raise ConfigurationError(
            f"{where}: an account has no 'base_url', and neither has the provider"
        )
    for account in provider.accounts:
        here = f"{where}: account '{account.shown}'"
        if not 0 <= account.concurrency <= MOST_SESSIONS:
            raise ConfigurationError(f"{here}: 'concurrency' is 0 to {MOST_SESSIONS}")
        if account.budget is not None and not 0 <= account.budget < 1e9:
            raise ConfigurationError(f"{here}: 'budget' must be 0 to a thousand million")


def _check_ranges(provider: Provider, where: str) -> None:
    for name in _FIELDS:
        value = getattr(provider, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and not 0 <= value < 1e9:
            raise ConfigurationError(
                f"{where}: '{name}' must be 0 to a thousand million, not {value}"
            )
        if name in _NEVER_ZERO and not value:
            raise ConfigurationError(f"{where}: '{name}' must be more than 0")
    if provider.concurrency > MOST_SESSIONS:
        raise ConfigurationError(f"{where}: 'concurrency' is {MOST_SESSIONS} at most")
    _check_words(provider, where)
    if not 100 <= provider.listen_endpointing_ms <= 5_000:
        raise ConfigurationError(f"{where}: 'listen_endpointing_ms' is 100 to 5000")
    _check_ways(provider.tts_auth, _WAYS_OF_TTS, f"{where}: 'tts_auth'")
    _check_ways(provider.stt_auth, _WAYS_OF_STT, f"{where}: 'stt_auth'")


def _check_words(provider: Provider, where: str) -> None:
    """Check what is one of a few words."""
    if provider.stt_protocol not in {"transcription", "listen"}:
        raise ConfigurationError(f"{where}: 'stt_protocol' is 'transcription' or 'listen'")
    if provider.tts_transport not in {"websocket", "http"}:
        raise ConfigurationError(f"{where}: 'tts_transport' is 'websocket' or 'http'")
    if provider.speaks_over_http and provider.tts_http_path[:1] not in {"", "/"}:
        raise ConfigurationError(f"{where}: 'tts_http_path' begins with a slash")
    if provider.listen_times not in {"session", "turn"}:
        raise ConfigurationError(f"{where}: 'listen_times' is 'session' or 'turn'")
    if provider.chunk_form not in {"wav", "raw"}:
        raise ConfigurationError(f"{where}: 'chunk_form' is 'wav' or 'raw'")


def _check_ways(ways: tuple[str, ...], known: frozenset[str], where: str) -> None:
    for way in ways:
        if way not in known:
            hint = f"the ways are {', '.join(sorted(known))}"
            raise ConfigurationError(f"{where}: unknown way to send the key: '{way}'", hint=hint)


def read_providers(tables: Mapping[str, object], *, where: str) -> dict[str, Provider]:
    """Read the ``[providers.NAME]`` tables of a configuration file.

    A table named like a built-in one changes it; any other says ``like = "munsit"`` or gives at
    least ``base_url`` and ``key_variable``.

    Args:
        tables: Name to table.
        where: The file, for messages.

    Returns:
        The built-in providers and the file's, by name.

    Raises:
        ConfigurationError: A table that does not describe a provider.
    """
    result = dict(BUILT_IN)
    for name, table in tables.items():
        here = f"{where}: [providers.{name}]"
        if not isinstance(table, dict):
            raise ConfigurationError(f"{here} is not a table")
        settings = dict(table)
        like = settings.pop("like", name if name in BUILT_IN else "")
        if like and (not isinstance(like, str) or like not in result):
            hint = f"there are {', '.join(sorted(result))}"
            raise ConfigurationError(f"{here}: there is no provider '{like}' to be like", hint=hint)
        if not like and not {"base_url", "key_variable"} <= settings.keys():
            hint = 'give both, or like = "munsit"'
            raise ConfigurationError(f"{here} needs base_url and key_variable", hint=hint)
        base = result[like] if like else Provider(name=name, base_url="", key_variable="")
        result[name] = change_provider(dataclasses.replace(base, name=name), settings, where=here)
    return result


def check_base_url(url: str, *, insecure: bool) -> str:
    """Check where sessions may go: verified TLS anywhere, plain text to this machine only.

    Args:
        url: ``ws://…`` or ``wss://…``.
        insecure: Allow plain text to other machines.

    Returns:
        The URL without a closing slash.

    Raises:
        ConfigurationError: Not a WebSocket URL, or plain text to another machine.
    """
    # First, and without showing it: what stands there may be the key.
    if any(mark in url for mark in "@?#"):
        raise ConfigurationError("a base URL holds no user, password, query or fragment")
    parts = _split_url(url)
    if parts is None or parts.scheme not in {"ws", "wss"} or not parts.hostname:
        hint = "give wss://HOST/api/v1 or ws://127.0.0.1:PORT/api/v1"
        raise ConfigurationError(f"{url!r} is not a WebSocket URL", hint=hint)
    if parts.scheme == "ws" and parts.hostname not in LOOPBACK and not insecure:
        raise ConfigurationError(
            f"ws:// to {parts.hostname} would send the key in plain text",
            hint="use wss://, or --insecure if you accept that",
        )
    return url.rstrip("/")


def _split_url(url: str) -> SplitResult | None:
    """Split a URL; None if it cannot be one."""
    if not url.isprintable() or " " in url:  # urlsplit drops line breaks, the request would not
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # looked at only now, by urlsplit's design
    except ValueError:
        return None
    return parts
