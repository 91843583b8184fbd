"""Providers as data: the built-in ones, those of a file, and where sessions may go."""

import dataclasses
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.errors import ConfigurationError
from batchjobs.providers import BUILT_IN, Provider, change_provider, check_base_url, read_providers

_MUNSIT = BUILT_IN["munsit"]


def test_the_built_in_table() -> None:
    """Three services, each under its own name, with the documents' paths."""
    assert list(BUILT_IN) == ["local", "munsit", "faseeh"]
    for name, provider in BUILT_IN.items():
        assert provider.name == name
        assert provider.tts_path == "/websocket/text-to-speech"
        assert change_provider(provider, {}, where="x") == provider
        assert not provider.base_url or check_base_url(provider.base_url, insecure=False)
    assert _MUNSIT.stt_path == "/websocket/speech-to-text"
    assert BUILT_IN["faseeh"].stt_path == ""


def test_hosted_services_have_the_protocols_defaults() -> None:
    """What nobody has shown is not taken for granted of a hosted service."""
    for provider in (_MUNSIT, BUILT_IN["faseeh"]):
        assert provider.tts_model == "faseeh-v1-preview"
        assert provider.tts_auth == ("query", "init")
        assert provider.tts_transport == "websocket"
        assert provider.stt_auth == ("header",)
        assert (provider.first_audio_seconds, provider.quiet_seconds) == (30.0, 2.5)
        assert (provider.first_transcript_seconds, provider.settle_seconds) == (15.0, 2.5)
        assert (provider.pace, provider.chunk_seconds, provider.chunk_form) == (1.0, 1.0, "wav")
        assert not provider.close_drains
        assert not provider.transcript_per_chunk
        assert provider.tts_price_per_million_characters == 66.67
    assert (_MUNSIT.stt_model, _MUNSIT.stt_price_per_hour) == ("munsit", 0.19)
    assert (_MUNSIT.stt_protocol, BUILT_IN["local"].stt_protocol) == ("listen", "transcription")
    assert BUILT_IN["local"].close_drains
    assert BUILT_IN["local"].pace == 0


def test_the_local_server_keeps_the_model_of_its_earlier_results() -> None:
    """Its engines do not look at it, but a result's key does: another would make all anew."""
    local = BUILT_IN["local"]
    assert (local.tts_model, local.stt_model) == ("faseeh-mini-v1-preview", "")


def test_settings_change_their_fields_only() -> None:
    """Named fields change, checked and converted; the rest stays, and so does the original."""
    toml = tomllib.loads('tts_auth = ["header"]\npace = 4\nconcurrency = 2\nclose_drains = true')
    changed = change_provider(_MUNSIT, toml, where="x")
    expected = dataclasses.replace(
        _MUNSIT, tts_auth=("header",), pace=4.0, concurrency=2, close_drains=True
    )
    assert changed == expected
    assert isinstance(changed.pace, float)
    assert _MUNSIT.pace == 1.0


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"quiet_second": 1}, ["quiet_second", "did you mean 'quiet_seconds'?"]),
        ({"name": "x"}, ["'name'"]),
        ({"concurrency": 10_001}, ["'concurrency'", "10000"]),
        ({"zzz": 1}, ["'zzz'", "batchjobs providers"]),
        ({"quiet_seconds": "2"}, ["quiet_seconds"]),
        ({"quiet_seconds": -0.1}, ["'quiet_seconds'", "0"]),
        ({"quiet_seconds": float("nan")}, ["'quiet_seconds'"]),
        ({"quiet_seconds": float("inf")}, ["'quiet_seconds'"]),
        ({"concurrency": 1.5}, ["concurrency"]),
        ({"concurrency": True}, ["concurrency"]),
        ({"concurrency": 10**9}, ["'concurrency'"]),
        ({"chunk_seconds": 0}, ["'chunk_seconds'", "more than 0"]),
        ({"text_limit_characters": 0}, ["'text_limit_characters'"]),
        ({"audio_limit_seconds": 0}, ["'audio_limit_seconds'"]),
        ({"chunk_form": "mp3"}, ["'wav' or 'raw'"]),
        ({"tts_transport": "grpc"}, ["'websocket' or 'http'"]),
        ({"tts_transport": "http", "tts_http_path": "tts"}, ["'tts_http_path'", "slash"]),
        ({"close_drains": 1}, ["close_drains"]),
        ({"tts_auth": "query"}, ["tts_auth"]),
        ({"tts_auth": ["cookie"]}, ["'cookie'", "bearer, header, init, query, token"]),
        ({"stt_auth": ["init"]}, ["'stt_auth'", "'init'", "bearer, header, query, token"]),
        ({"base_url": None}, ["base_url"]),
    ],
)
def test_a_wrong_setting_is_told(settings_: dict[str, object], words: list[str]) -> None:
    """The message says where, which field, and what would be right."""
    with pytest.raises(ConfigurationError) as caught:
        change_provider(_MUNSIT, settings_, where="batchjobs.toml: [providers.munsit]")
    assert str(caught.value).startswith("batchjobs.toml: [providers.munsit]: ")
    assert all(word in str(caught.value) for word in words)
    assert "did you mean 'name'" not in str(caught.value)


def test_a_file_changes_and_adds_providers() -> None:
    """A table changes its namesake, is like another, or stands for itself."""
    tables = tomllib.loads(
        """
        [faseeh]
        base_url = "wss://ae.api.faseeh.ai/api/v1"
        [uae]
        like = "faseeh"
        quiet_seconds = 3
        [ours]
        base_url = "wss://speech.example/api/v1"
        key_variable = "OUR_KEY"
        """
    )
    found = read_providers(tables, where="batchjobs.toml")
    assert list(found) == ["local", "munsit", "faseeh", "uae", "ours"]
    assert found["uae"].name == "uae"
    assert found["uae"].base_url == found["faseeh"].base_url == "wss://ae.api.faseeh.ai/api/v1"
    assert found["uae"].quiet_seconds == 3.0
    assert found["ours"] == Provider(
        name="ours", base_url="wss://speech.example/api/v1", key_variable="OUR_KEY"
    )
    assert BUILT_IN["faseeh"].base_url == "wss://api.faseeh.ai/api/v1"
    assert read_providers({}, where="x") == BUILT_IN


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"x": 5}, ["[providers.x]", "not a table"]),
        ({"x": {}}, ["base_url and key_variable", 'like = "munsit"']),
        ({"x": {"base_url": "wss://h"}}, ["base_url and key_variable"]),
        ({"x": {"like": "munsitt"}}, ["'munsitt'", "there are faseeh, local, munsit"]),
        ({"x": {"like": ["munsit"]}}, ["munsit"]),
        ({"x": {"like": 5}}, ["5"]),
        ({"x": {"like": "munsit", "pase": 1}}, ["[providers.x]", "did you mean 'pace'?"]),
    ],
)
def test_a_wrong_table_is_told(tables: dict[str, object], words: list[str]) -> None:
    """A table that describes no provider is named."""
    with pytest.raises(ConfigurationError) as caught:
        read_providers(tables, where="batchjobs.toml")
    assert all(word in str(caught.value) for word in words)


@given(
    st.dictionaries(
        st.sampled_from([item.name for item in dataclasses.fields(Provider)] + ["like"]),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(max_size=5),
            st.lists(st.text(max_size=5), max_size=2),
            st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
        ),
        max_size=3,
    )
)
@settings(max_examples=100, deadline=None)
def test_any_table_is_a_provider_or_told(table: dict[str, object]) -> None:
    """Nothing a TOML file can hold raises anything but a configuration error."""
    try:
        found = read_providers({"munsit": table}, where="x")
    except ConfigurationError:
        return
    assert found["munsit"].name == "munsit"


# -- where sessions may go ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("wss://api.munsit.com/api/v1", "wss://api.munsit.com/api/v1"),
        ("wss://api.munsit.com/api/v1/", "wss://api.munsit.com/api/v1"),
        ("wss://api.munsit.com", "wss://api.munsit.com"),
        ("ws://127.0.0.1:8080/api/v1", "ws://127.0.0.1:8080/api/v1"),
        ("ws://localhost:1", "ws://localhost:1"),
        ("ws://LOCALHOST:1", "ws://LOCALHOST:1"),
        ("ws://[::1]:9/api/v1", "ws://[::1]:9/api/v1"),
    ],
)
def test_tls_anywhere_and_plain_text_here(url: str, expected: str) -> None:
    """Verified TLS goes anywhere, plain text to this machine."""
    assert check_base_url(url, insecure=False) == expected


@pytest.mark.parametrize(
    "url",
    [
        "ws://api.munsit.com/api/v1",
        "ws://10.0.0.1",
        "ws://127.0.0.1.evil.example",
        "ws://localhost.evil.example",
        "ws://[::2]",
    ],
)
def test_plain_text_elsewhere_needs_a_word(url: str) -> None:
    """Plain text to another machine is refused unless it was asked for."""
    with pytest.raises(ConfigurationError, match="plain text"):
        check_base_url(url, insecure=False)
    assert check_base_url(url, insecure=True) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.munsit.com/api/v1",
        "https://api.munsit.com",
        "wss://",
        "wss:///api/v1",
        "ws://[::1",
        "ws://[zz]/",
        "wss://host:99999/api/v1",
        "wss://host:port/api/v1",
        "wss://host/a b",
        "wss://host/api\r\nX-Evil: 1",
        "wss://host/\x00",
        "\ud800",
    ],
)
def test_what_is_no_websocket_url_is_told(url: str) -> None:
    """A URL that cannot be dialled is refused with the right form, however odd it is."""
    with pytest.raises(ConfigurationError, match="not a WebSocket URL") as caught:
        check_base_url(url, insecure=True)
    assert "wss://HOST/api/v1" in caught.value.hint
    str(caught.value).encode()


@pytest.mark.parametrize(
    "url",
    [
        "wss://user:canary@host/api/v1",
        "user:canary@host/api/v1",
        "ws://127.0.0.1\\@canary.example",
        "wss://canary@host",
        "wss://host/api/v1?x-api-key=canary",
        "host/api/v1?x-api-key=canary",
        "https://host/?token=canary",
        "wss://host/api/v1#canary",
        "wss://host/?",
        "wss://@host/",
    ],
)
def test_a_key_in_a_url_is_refused_and_not_shown(url: str) -> None:
    """A secret that somebody put into the URL is in no message."""
    with pytest.raises(ConfigurationError, match="no user, password, query") as caught:
        check_base_url(url, insecure=True)
    assert "canary" not in f"{caught.value!r} {caught.value}"
