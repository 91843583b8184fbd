"""Who gets in: hosts, origins, paths, keys, rates; without any connection."""

from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.errors import ConfigurationError
from batchjobs.protocol import conversation
from batchjobs.server.admission import Admission, Refusal, SessionRate, examine
from batchjobs.server.settings import ServerSettings
from tests.canary import key_with

TTS = "/api/v1/websocket/text-to-speech"
STT = "/api/v1/websocket/speech-to-text"
KEY = key_with("é+/=&%مفتاح")


def _examine(
    target: str = TTS,
    *,
    headers: list[tuple[bytes, bytes]] | None = None,
    host: str = "127.0.0.1:8000",
    bound: str = "127.0.0.1",
) -> Refusal | Admission:
    origins = frozenset({"https://allowed.example"})
    return examine(
        target=target,
        host=host,
        headers=headers or [],
        settings=ServerSettings(token=KEY, host=bound, allowed_origins=origins),
        port=8000,
    )


def _status(decision: Refusal | Admission) -> int:
    return decision.status if isinstance(decision, Refusal) else 101


RIGHT = KEY.encode()


@pytest.mark.parametrize("path", [TTS, STT])
@pytest.mark.parametrize(
    ("query", "headers"),
    [
        (f"?x-api-key={quote(KEY, safe='')}", []),
        (f"?token={quote(KEY, safe='')}&model=munsit", []),
        ("", [(b"x-api-key", RIGHT)]),
        ("", [(b"authorization", b"Bearer " + RIGHT)]),
        ("", [(b"authorization", b"bearer  " + RIGHT)]),
        (f"?x-api-key={quote(KEY, safe='')}", [(b"x-api-key", RIGHT)]),
    ],
)
def test_the_right_key_is_taken_in_every_documented_way(
    path: str, query: str, headers: list[tuple[bytes, bytes]]
) -> None:
    """Query, header and bearer work on both paths, percent-encoded where that is needed."""
    wire = conversation.TTS if path == TTS else conversation.STT
    decision = _examine(path + query, headers=headers)
    assert isinstance(decision, Admission)
    assert (decision.wire, decision.authorised) == (wire, True)


@pytest.mark.parametrize("path", [TTS, STT])
@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?x-api-key=wrong", []),
        ("?token=%ff", []),
        ("", [(b"x-api-key", b"wrong")]),
        ("", [(b"authorization", b"Bearer")]),
        ("", [(b"authorization", b"Bearer ")]),
        (f"?x-api-key={quote(KEY, safe='')}", [(b"x-api-key", b"wrong")]),
    ],
)
def test_a_wrong_key_is_refused_even_beside_a_right_one(
    path: str, query: str, headers: list[tuple[bytes, bytes]]
) -> None:
    """Every key that is shown has to be right."""
    if headers == [(b"authorization", b"Bearer")]:
        assert _status(_examine(path + query, headers=headers)) == (101 if path == TTS else 401)
    else:
        told = "40101" if path == TTS else ""  # where the documents show a message
        decision = _examine(path + query, headers=headers)
        assert decision == Refusal(status=401, reason="Invalid API key", error_code=told)


def test_without_a_key_speech_may_still_show_it_and_transcription_may_not() -> None:
    """Only text to speech has a first message that can carry the key."""
    assert _examine(TTS + "?x-api-key=") == Admission(wire=conversation.TTS, authorised=False)
    assert _status(_examine(STT, headers=[(b"x-api-key", b" ")])) == 401


@given(key=st.text(min_size=1).filter(lambda text: text != KEY))
@settings(max_examples=80)
def test_no_other_text_passes_for_the_key(key: str) -> None:
    """Whatever else is shown is refused."""
    escaped = quote(key, safe="", errors="surrogatepass")
    assert _status(_examine(f"{TTS}?x-api-key={escaped}")) == 401


def test_a_plus_in_a_key_is_a_plus() -> None:
    """A client that does not escape it means no space."""
    plain = ServerSettings(token="a+b")
    decision = examine(
        target=f"{TTS}?x-api-key=a+b", host="localhost", headers=[], settings=plain, port=1
    )
    assert _status(decision) == 101


@pytest.mark.parametrize(
    "target",
    ["/", "/api/v1", f"{TTS}/", "/websocket/text-to-speech", "//api/v1", f"{TTS}x", "*"],
)
def test_other_paths_are_not_found(target: str) -> None:
    """Only the two documented paths are served."""
    assert _status(_examine(target)) == 404


def test_a_target_that_is_no_url_is_refused() -> None:
    """A malformed target gets an answer, not a crash."""
    assert _status(_examine("http://[/")) == 400


@pytest.mark.parametrize(
    ("host", "bound", "status"),
    [
        ("127.0.0.1:8000", "127.0.0.1", 101),
        ("localhost:8000", "127.0.0.1", 101),
        ("LOCALHOST", "127.0.0.1", 101),
        ("[::1]:8000", "::1", 101),
        ("127.0.0.1:8001", "127.0.0.1", 403),
        ("evil.example:8000", "127.0.0.1", 403),
        ("evil.example", "127.0.0.1", 403),
        ("127.0.0.1.evil.example:8000", "127.0.0.1", 403),
        ("10.1.2.3:8000", "127.0.0.1", 403),
        ("user@127.0.0.1:8000", "127.0.0.1", 403),
        ("127.0.0.1:8000/x", "127.0.0.1", 403),
        ("127.0.0.1:99999", "127.0.0.1", 403),
        ("[", "127.0.0.1", 403),
        ("", "127.0.0.1", 403),
        ("speech.lan:8000", "Speech.lan", 101),
        ("10.1.2.3:8000", "0.0.0.0", 101),
        ("evil.example:8000", "0.0.0.0", 403),
    ],
)
def test_only_our_own_names_are_served(host: str, bound: str, status: int) -> None:
    """A name that somebody's DNS points at this machine gets nothing (DNS rebinding)."""
    assert _status(_examine(host=host, bound=bound)) == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (b"https://allowed.example", 101),
        (b"https://evil.example", 403),
        (b"null", 403),
        (b"", 403),
        (b"\xff", 403),
    ],
)
def test_a_web_page_is_refused_unless_its_origin_is_allowed(origin: bytes, status: int) -> None:
    """Browsers send ``Origin``; the ones nobody allowed stay out."""
    assert _status(_examine(headers=[(b"origin", origin)])) == status


@pytest.mark.parametrize("per_second", [1.0, 5.0, 50.0])
def test_a_rate_lets_one_second_s_worth_through_at_once(per_second: float) -> None:
    """A burst passes, the next is told how long to wait, and passes then."""
    gate = SessionRate(per_second)
    assert [gate.wait_seconds(100.0) for _ in range(int(per_second))] == [0.0] * int(per_second)
    wait = gate.wait_seconds(100.0)
    assert wait == pytest.approx(1 / per_second, abs=1e-6)
    assert gate.wait_seconds(100.0 + wait * 0.99) > 0
    assert gate.wait_seconds(100.0 + wait + 1e-9) == 0


def test_a_slow_rate_lets_one_event_through() -> None:
    """Less than one a second is one event an interval."""
    gate = SessionRate(0.01)
    assert gate.wait_seconds(0.0) == 0
    assert gate.wait_seconds(1.0) == pytest.approx(99.0, abs=1e-6)


def test_no_rate_is_no_limit() -> None:
    """Rate 0 never waits."""
    gate = SessionRate(0.0)
    assert {gate.wait_seconds(0.0) for _ in range(1000)} == {0.0}


def test_a_server_without_a_token_is_refused() -> None:
    """An empty token would match an empty key."""
    with pytest.raises(ConfigurationError, match="would serve everybody"):
        ServerSettings(token="")
    assert KEY not in repr(ServerSettings(token=KEY))


@pytest.mark.parametrize("port", [-1, 65_536, 70_000])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    """The system would quietly take another one."""
    with pytest.raises(ConfigurationError, match="there is no port"):
        ServerSettings(token=KEY, port=port)
    assert ServerSettings(token=KEY, port=65_535).port == 65_535


def test_the_newer_socket_has_its_own_name_for_the_key_and_asks_for_more() -> None:
    """``api_key`` is a key there; what else the query says goes on to the session."""
    query = f"?api_key={quote(KEY, safe='')}&sample_rate=16000&hotwords=%D9%86%D8%B9%D9%85"
    decision = _examine("/api/v1/listen" + query)
    assert isinstance(decision, Admission)
    assert (decision.wire, decision.authorised) == (conversation.LISTEN, True)
    assert decision.query == {"sample_rate": "16000", "hotwords": "نعم"}
    assert _status(_examine("/api/v1/listen")) == 401
    assert _status(_examine("/api/v1/listen?api_key=wrong")) == 401
