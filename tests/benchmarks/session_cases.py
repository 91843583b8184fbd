"""The cases about sessions alone: ours, and the scripts that a user would write instead."""

from typing import Final

from tests.benchmarks.case import Case, Program, Row, highest_held, ratio, value

__all__ = ["CASES"]

_OURS: Final = "ours.sessions"
_JSON: Final = "peers.websockets_json"
_CODEC: Final = "peers.websockets_codec"
_OLD_SCRIPT: Final = "websockets, json, old socket"
_OURS_OLD: Final = "ours, old socket"
_BINARY: Final = "websockets, frames"
_PADDED: Final = ("--encoding", "padded")
_LADDER: Final = (500, 1000, 1500, 2000)
_HELD: Final = 500
_LAG_SECONDS: Final = 0.050


def _program(
    module: str, kind: str, sessions: int, *others: str, scheme: str = "ws", quick: int = 4
) -> Program:
    """Make a program of sessions; over TLS it gets the certificates, too."""
    trust = ("--ca", "{ca}") if scheme == "wss" else ()
    arguments = ("--url", f"{{{scheme}}}", "--kind", kind, "--sessions", str(sessions))
    return Program(
        module=module, arguments=(*arguments, *trust, *others), quick=("--sessions", str(quick))
    )


def _rung(count: int) -> Program:
    # Six seconds each, the workers started over two: for four of them all are open.
    every = ("--concurrency", str(count), "--ramp-seconds", "2")
    program = _program(_OURS, "paced-60", count, *every)
    quick = (*program.quick, "--kind", "paced-8", "--concurrency", "4", "--ramp-seconds", "0")
    return Program(module=program.module, arguments=program.arguments, quick=quick)


def _cpu(name: str, peer: str) -> Row:
    return Row(name=name, measure=ratio("cpu_seconds", "ours", peer), peer=peer)


def _padded(name: str, peer: str) -> Row:
    return Row(name=name, measure=ratio("cpu_seconds", "ours, padded", peer), peer=peer)


CASES: Final = (
    Case(
        name="tts-ws",
        programs={
            "ours": _program(_OURS, "tts", 400),
            "websockets, json": _program(_JSON, "tts", 400),
            "websockets, our codec": _program(_CODEC, "tts", 400),
            "websocket-client, threads": _program("peers.websocket_client_threads", "tts", 400),
            "aiohttp, json": _program("peers.aiohttp_json", "tts", 400),
            "trio-websocket, json": _program("peers.trio_websocket_defaults", "tts", 400),
            "xargs -P, one-shot": _program("peers.one_shot", "tts", 32, quick=2),
        },
        rows=(
            _cpu("tts-ws", "websockets, json"),
            _cpu("tts-ws-codec", "websockets, our codec"),
            _cpu("tts-ws-threads", "websocket-client, threads"),
            _cpu("tts-ws-aiohttp", "aiohttp, json"),
            _cpu("tts-ws-trio", "trio-websocket, json"),
            _cpu("tts-ws-one-shot", "xargs -P, one-shot"),
        ),
    ),
    Case(
        name="tts-http",
        programs={
            "ours": _program(_OURS, "tts", 400, "--http"),
            "ours, over ws": _program(_OURS, "tts", 400),
            "httpx, asyncio": _program("peers.httpx_posts", "tts", 400),
        },
        rows=(
            _cpu("tts-http", "httpx, asyncio"),
            _cpu("tts-http-ws", "ours, over ws"),
        ),
    ),
    Case(
        name="tts-wss",
        programs={
            "ours": _program(_OURS, "tts", 400, scheme="wss"),
            "websockets, shared context": _program(_JSON, "tts", 400, scheme="wss"),
            "websockets, as its docs": _program(
                _JSON, "tts", 64, "--context-per-connection", scheme="wss"
            ),
        },
        rows=(
            _cpu("tts-wss", "websockets, shared context"),
            _cpu("tts-wss-docs", "websockets, as its docs"),
        ),
    ),
    Case(
        name="stt-ws",
        programs={
            "ours": _program(_OURS, "stt", 160),
            "ours, padded": _program(_OURS, "stt", 160, *_PADDED),
            "websockets, json": _program(_JSON, "stt", 48),
            "websockets, our codec": _program(_CODEC, "stt", 160),
        },
        rows=(
            _cpu("stt-ws", "websockets, json"),
            _cpu("stt-ws-codec", "websockets, our codec"),
            _padded("stt-ws-padded", "websockets, json"),
        ),
    ),
    Case(
        name="stt-wss",
        programs={
            "ours": _program(_OURS, "stt", 160, scheme="wss"),
            "ours, padded": _program(_OURS, "stt", 160, *_PADDED, scheme="wss"),
            "websockets, shared context": _program(_JSON, "stt", 48, scheme="wss"),
        },
        rows=(
            _cpu("stt-wss", "websockets, shared context"),
            _padded("stt-wss-padded", "websockets, shared context"),
        ),
    ),
    Case(
        name="listen",
        programs={
            "ours": _program(_OURS, "listen", 400),
            _BINARY: _program("peers.websockets_frames", "listen", 400),
            _OLD_SCRIPT: _program(_JSON, "stt", 48),
            _OURS_OLD: _program(_OURS, "stt", 160),
        },
        rows=(
            _cpu("listen-ws", _OLD_SCRIPT),
            _cpu("listen-ws-frames", _BINARY),
            Row(
                name="listen-bytes",
                measure=ratio("received_bytes", "ours", _OURS_OLD),
                peer=_OURS_OLD,
            ),
        ),
        is_same_work=False,
    ),
    Case(
        name="tiny",
        programs={
            "ours": _program(_OURS, "tiny", 2_000),
            "websockets, json": _program(_JSON, "tiny", 2_000),
        },
        rows=(_cpu("tiny", "websockets, json"),),
    ),
    Case(
        name="memory",
        programs={
            "ours": _program(_OURS, "idle", _HELD, "--hold", scheme="wss"),
            "websockets, shared context": _program(_JSON, "idle", _HELD, "--hold", scheme="wss"),
        },
        rows=(
            Row(
                name="memory",
                measure=ratio("held_bytes", "ours", "websockets, shared context"),
                peer="websockets, shared context",
            ),
        ),
    ),
    Case(
        name="paced",
        programs={str(count): _rung(count) for count in _LADDER},
        rows=(
            Row(name="paced", measure=highest_held(_LADDER, lag_seconds=_LAG_SECONDS)),
            Row(name="paced-lag", measure=value("lag_p99_seconds", "1000")),
        ),
    ),
)
