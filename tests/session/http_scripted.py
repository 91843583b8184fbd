"""Speech over HTTP against scripted answers over memory streams."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import trio

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.protocol.tts_audio import TtsResult
from batchjobs.providers import Provider
from batchjobs.session import HttpLine, HttpTtsSession
from tests.builders import HOSTED, LenientJudge, make_segment, make_tone
from tests.session.scripted import ARABIC, endpoint_at
from tests.streams import HTTP_HEAD_END, Service

OVER_HTTP = replace(HOSTED, tts_transport="http")
PCM = make_tone(1.0)
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: audio/pcm\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Write one chunk of a body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def whole(status: str, body: bytes = b"", **headers: str) -> bytes:
    """Write a whole answer; a header's name has underscores for its dashes."""
    fields = {"Content-Length": len(body)} | {k.replace("_", "-"): v for k, v in headers.items()}
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + HTTP_HEAD_END + body


@dataclass
class Asked:
    """A request as the service got it."""

    line: str
    headers: dict[str, str]
    body: bytes
    stream: trio.abc.Stream

    @property
    def content(self) -> dict[str, Any]:
        """What it asks for."""
        content: dict[str, Any] = json.loads(self.body)
        return content


Answer = Callable[[Asked], Awaitable[None]]


@dataclass
class Desk:
    """Takes requests of any number of connections, and answers each as it is told to."""

    answer: Answer
    asked: list[Asked] = field(default_factory=list)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one connection, until its client has gone."""
        read = b""
        while True:
            while HTTP_HEAD_END not in read:
                data = await stream.receive_some()
                if not data:
                    return
                read += data
            head, _, read = read.partition(HTTP_HEAD_END)
            line, *fields = head.decode("ascii").split("\r\n")
            headers = {k.lower(): v for k, _, v in (each.partition(": ") for each in fields)}
            size = int(headers["content-length"])
            while len(read) < size:
                read += await stream.receive_some()
            asked = Asked(line, headers, read[:size], stream)
            read = read[size:]
            self.asked.append(asked)
            await self.answer(asked)


def says(*parts: bytes, then_closes: bool = False) -> Answer:
    """Make an answer of these bytes, whatever was asked."""

    async def answer(asked: Asked) -> None:
        for part in parts:
            await asked.stream.send_all(part)
        if then_closes:
            await asked.stream.aclose()

    return answer


@asynccontextmanager
async def run_desk(
    answer: Answer, provider: Provider = OVER_HTTP, **faults: Any
) -> AsyncIterator[tuple[HttpLine, Desk, Service]]:
    """Run a scripted service and a line to it, and see that no stream is left open."""
    desk = Desk(answer)
    async with trio.open_nursery() as nursery:
        service = Service(nursery, raw=desk.serve, faults=faults)
        line = HttpLine(endpoint_at(service, provider))
        nursery.start_soon(line.run)
        yield line, desk, service
        nursery.cancel_scope.cancel()
    assert all(stream.is_closed for stream in service.streams)


def speech_over(line: HttpLine, text: str = ARABIC, **others: Any) -> HttpTtsSession:
    """Make a session that speaks."""
    return HttpTtsSession(line, make_segment(text), judge=LenientJudge(), **others)


async def ask(
    answer: Answer, provider: Provider = OVER_HTTP, **faults: Any
) -> TtsResult[ReceivedAudio]:
    """Speak one text to a scripted service.

    Raises:
        SessionError: As the session does.
    """
    failure: Exception
    async with run_desk(answer, provider, **faults) as (line, _, _):
        try:
            return await speech_over(line).run()
        except Exception as error:
            failure = error
    raise failure
