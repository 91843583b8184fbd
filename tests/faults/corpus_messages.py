"""The fixed corpus of server messages: what the parsers must make of each, and a whole session."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["PIECE", "STT", "TTS", "MessageCase"]

PIECE = bytes(range(1, 241)) * 2
"""Samples that hostile audio messages carry, in front of the honest rest."""
_PIECE64 = base64.b64encode(PIECE).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageCase:
    """A message of a server and its verdict.

    Attributes:
        payload: As it comes.
        parsed: The parser's answer by class name; ``garbage`` if it refuses.
        ends: How a session ends that gets it in mid-work: the failure's label, or ``done``.
        adds: For ``done``: samples that it adds to a synthesis.
        code: The failure's code, where one is to be kept.
    """

    payload: str | bytes
    parsed: str
    ends: str
    adds: bytes = b""
    code: str = ""


def _shared() -> Iterator[MessageCase]:
    """What means the same in both protocols."""
    value: object
    deep = "[" * 50_000
    for payload in (
        *(
            "",
            " ",
            "{",
            "}",
            "{]",
            "[",
            '"',
            "nul",
            "True",
            "undefined",
            "NaN",
            "Infinity",
            "-",
            "1.",
        ),
        *(
            "{'type':'ping'}",
            "{type:1}",
            '{"a":1,}',
            '{"a":1}{"b":2}',
            '{"a":1} x',
            '{"a"}',
            "\ufeff{}",
        ),
        *(
            "<html>502 Bad Gateway</html>",
            "HTTP/1.1 200 OK\r\n\r\n",
            "data: {}\n\n",
            "ping",
            "OK",
            "\x00",
        ),
        *(
            "not json",
            "السلام عليكم",
            '{"a":"\x01"}',
            '{"a":"\\x"}',
            deep,
            '{"a":' * 50_000,
            "\x1b[2J",
        ),
        *("1" * 99 + "e", "--1", "+1", ".5", "0x10", "//", "/**/{}", ",", ":", "é"),
    ):
        yield MessageCase(payload=payload, parsed="garbage", ends="garbage")
    for raw in (
        b"\x00\x01\x02",
        b"\xff\xfe{\x00}\x00",
        b"\x80",
        b"RIFF\x24\0\0\0WAVE",
        b"",
        b"\xed\xa0\x80",
    ):
        yield MessageCase(payload=raw, parsed="garbage", ends="garbage")
    for payload in (
        "0",
        "1",
        "-1.5",
        "1e10",
        "true",
        "false",
        "null",
        "[]",
        "[1]",
        '[{"type":"error"}]',
    ):
        yield MessageCase(payload=payload, parsed="Unknown", ends="done")
    for value in (
        *(
            {},
            {"type": "ping"},
            {"type": ""},
            {"type": None},
            {"type": 5},
            {"type": []},
            {"foo": "bar"},
        ),
        *(
            {"type": "connection"},
            {"type": "Error"},
            {"error": None},
            {"error": ""},
            {"error": False},
        ),
        *({"error": {}}, {"error": []}, {"error": 0}, {"errorCode": 0}, {"errorCode": None}),
        *(
            {"errorMessage": ""},
            {"errorCode": "", "errorMessage": ""},
            {"usage": {"characters": 5}},
        ),
        *(
            {"level": 5, "log": "x" * 5_000},
            {"ـ": "نص"},
            {"": ""},
            {"type": "clear"},
            {"type": "text"},
        ),
    ):
        yield MessageCase(payload=json.dumps(value), parsed="Unknown", ends="done")
    yield MessageCase(payload=b'{"type":"ping"}', parsed="Unknown", ends="done")


_CODES: dict[object, str] = {
    **dict.fromkeys((401, 40101, "40101", 40199, 40101.0, "401", " 401"), "refused"),
    **dict.fromkeys((402, 40201, "40201", 403, 40301, "40301", 40300), "refused"),
    **dict.fromkeys(
        (400, 40001, "40001", 404, 40401, 405, 40901, 413, 41800, 42201, 49999), "permanent"
    ),
    **dict.fromkeys((429, 42901, "42901", 42999), "throttled"),
    **dict.fromkeys((500, 50001, "50001", 502, 50202, 503, 50400, 59999, 99999), "transient"),
    **dict.fromkeys((1, 12, 200, 20000, 30101, "E42901", "UNKNOWN", "-1", "٤٠١٠١"), "transient"),
    **dict.fromkeys((-40101, 4.5, "40101x", "x" * 3_000, "4e4"), "transient"),
}


def _failures() -> Iterator[MessageCase]:
    for code, label in _CODES.items():
        kept = str(int(code)) if isinstance(code, float) and code.is_integer() else str(code)
        for form in (
            {"type": "error", "errorCode": code, "errorMessage": "boom"},
            {"errorCode": code},
            {"type": "error", "code": code, "message": "boom"},
            {"error": {"code": code, "message": "boom"}},
            {"error": {"errorCode": code, "errorMessage": "خطأ \u202e\x1b[31m"}, "audio": _PIECE64},
        ):
            yield MessageCase(
                payload=json.dumps(form),
                parsed="Failure",
                ends=label,
                code=kept.strip() if len(kept) < 100 else "",
            )


def _tts() -> Iterator[MessageCase]:
    rate: object
    more: Mapping[str, object]
    odd: object
    yield from _shared()
    yield from _failures()
    for payload in (
        '"boom"',
        '""',
        '"  "',
        '{"type":"error"}',
        '{"error":"boom"}',
        '{"errorMessage":"x"}',
    ):
        yield MessageCase(payload=payload, parsed="Failure", ends="transient")
    for odd in (None, True, [], {}, [40101], {"code": 40101}):
        payload = json.dumps({"type": "error", "errorCode": odd, "errorMessage": "boom"})
        yield MessageCase(payload=payload, parsed="Failure", ends="transient")
    for text in (
        "!",
        "A",
        "AA",
        "AAA",
        "====",
        "AA=A",
        "A===",
        "ab-_",
        "YQ",
        "YQ=\n",
        " YQ==",
        "Y Q==",
        "سلام",
    ):
        payload = json.dumps({"audio": text, "sampleRate": 24_000})
        yield MessageCase(payload=payload, parsed="garbage", ends="garbage")
    for rate in (384_001, 10**6, 2**31, 2**63 - 1, 1e9, "384001", "999999999999999"):
        payload = json.dumps({"audio": _PIECE64, "sampleRate": rate})
        yield MessageCase(payload=payload, parsed="garbage", ends="garbage")
    for rate in (
        24_000,
        "24000",
        24_000.0,
        None,
        0,
        -1,
        -24_000,
        "",
        "024000",
        "24k",
        "٢٤٠٠٠",
        [],
        {},
        "-1",
    ):
        payload = json.dumps({"audio": _PIECE64, "sampleRate": rate})
        yield MessageCase(payload=payload, parsed="Audio", ends="done", adds=PIECE)
    for rate in (1, 8_000, 16_000, "22050", 23_999, 24_001, 48_000, 384_000, True, 16_000.7):
        payload = json.dumps({"audio": _PIECE64, "sampleRate": rate})
        yield MessageCase(payload=payload, parsed="Audio", ends="suspect")
    for more in (
        *(
            {"type": "audio"},
            {"type": "x"},
            {"type": 7},
            {"isFinal": True},
            {"isFinal": "true"},
            {"isFinal": []},
        ),
        *(
            {"message": "x"},
            {"errorCode": None},
            {"errorCode": 0},
            {"errorMessage": ""},
            {"extra": [1] * 99},
        ),
        *(
            {"type": "connectionInitialized"},
            {"alignment": {"chars": ["ا"]}},
            {"normalizedAlignment": None},
        ),
    ):
        payload = json.dumps({"audio": _PIECE64, "sampleRate": 24_000, **more})
        yield MessageCase(payload=payload, parsed="Audio", ends="done", adds=PIECE)
    yield MessageCase(
        payload=json.dumps({"audio": _PIECE64}), parsed="Audio", ends="done", adds=PIECE
    )
    raw = json.dumps({"audio": _PIECE64, "sampleRate": 24_000}).encode()
    yield MessageCase(payload=raw, parsed="Audio", ends="done", adds=PIECE)
    for value in (
        {"audio": ""},
        {"isFinal": True},
        {"isFinal": "true"},
        {"audio": "", "isFinal": True},
    ):
        yield MessageCase(payload=json.dumps(value), parsed="Audio", ends="done")
    for odd in (None, 5, [], {}, [_PIECE64], {"data": _PIECE64}):
        yield MessageCase(payload=json.dumps({"audio": odd}), parsed="Unknown", ends="done")
    # Out of turn: it was initialised long ago.
    yield MessageCase(payload='{"type":"connectionInitialized"}', parsed="Ready", ends="garbage")
    half = base64.b64encode(PIECE[:-1]).decode()
    yield MessageCase(payload=json.dumps({"audio": half}), parsed="Audio", ends="suspect")
    twice = f'{{"audio":"{_PIECE64}","audio":"{_PIECE64}","sampleRate":24000}}'
    yield MessageCase(payload=twice, parsed="Audio", ends="done", adds=PIECE)


def _stt() -> Iterator[MessageCase]:
    form: object
    yield from _shared()
    yield from _failures()
    for form in (
        {"event": "transcription_error", "data": "boom"},
        {"type": "transcription_error", "message": "خطأ"},
        {"event": "transcription_error", "text": ""},
        {"event": "transcription_error"},
        {"event": "error", "data": "boom"},
        {"type": "error"},
        {"error": "boom"},
        {"errorMessage": "boom"},
        {"event": "transcription", "data": "text", "error": "boom"},
        "boom",
        "",
    ):
        payload = json.dumps(form)
        yield MessageCase(
            payload=payload,
            parsed="TranscriptionError",
            ends="transient",
            code="transcription_error",
        )
    for form in (
        {"event": "transcription", "data": "نص \u200d\u064e"},
        {"event": "transcription", "data": ""},
        {"event": "transcription", "data": {"text": "نص"}},
        {"type": "transcription", "text": "x" * 100_000},
        {"event": "transcription", "message": "x"},
        {"event": "transcription", "data": 5},
        {"event": "transcription", "data": None, "text": "x"},
        {"event": "transcription", "data": "\u202e\x00\x1b[2J<script>"},
        {"event": "transcription", "data": "x", "is_final": False, "words": [{}] * 50},
    ):
        yield MessageCase(payload=json.dumps(form), parsed="Transcription", ends="done")
    for form in (
        {"event": "transcription"},
        {"event": "transcription", "data": None},
        {"event": "transcription", "data": []},
        {"event": "transcription", "data": {}},
        {"event": "Transcription", "data": "x"},
        {"event": "partial", "data": "x"},
        {"data": "x"},
        {"text": "x"},
        {"event": ["transcription"], "data": "x"},
        {"audio": _PIECE64, "sampleRate": 24_000},
        {"type": "connectionInitialized"},
    ):
        yield MessageCase(payload=json.dumps(form), parsed="Unknown", ends="done")


TTS: tuple[MessageCase, ...] = tuple({case.payload: case for case in _tts()}.values())
STT: tuple[MessageCase, ...] = tuple({case.payload: case for case in _stt()}.values())
