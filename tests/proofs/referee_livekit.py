"""Drives `livekit-plugins-munsit`, any version; run by `referees.py` in an environment of its own.

    python referee_livekit.py < JOBS.json

Each job of the list is answered by one line of JSON: the events that the client gave, what it logged,
and what it raised. The client is used as its users use it, and nothing in it is changed.
"""

import asyncio
import base64
import importlib
import json
import logging
import sys
import wave
from typing import Any

_FRAMES_A_SECOND = 50
"""What a room's tracks give."""


def load(name: str) -> Any:
    """Import what this project's own environment does not have."""
    return importlib.import_module(name)


class Log(logging.Handler):
    """Keeps what the client logs."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(f"{record.levelname}: {record.getMessage()}")


def describe(event: Any) -> dict[str, Any]:
    """Give an event's type, text and timed words."""
    found: dict[str, Any] = {"type": event.type.value}
    for said in event.alternatives[:1]:
        words = [[str(word), word.start_time, word.end_time] for word in said.words or ()]
        found |= {"text": said.text, "words": words, "confidence": said.confidence}
    return found


def describe_audio(frame: Any, pcm: bytes) -> dict[str, Any]:
    """Give samples and what the client says of them."""
    samples = base64.b64encode(pcm).decode()
    kind = {"type": "audio", "rate": frame.sample_rate, "channels": frame.num_channels}
    return kind | {"pcm": samples}


async def hear(session: Any, job: dict[str, Any], said: list[dict[str, Any]]) -> None:
    """Transcribe a recording frame by frame."""
    rtc, agents = load("livekit.rtc"), load("livekit.agents")
    client = load("livekit.plugins.munsit").STT(
        mode="streaming",
        api_key=job["key"],
        base_url=job["url"],
        http_session=session,
        **job["options"],
    )
    stream = client.stream(conn_options=agents.APIConnectOptions(max_retry=0, timeout=10))
    with wave.open(job["file"]) as recording:
        rate, channels = recording.getframerate(), recording.getnchannels()
        pieces = []
        while pcm := recording.readframes(rate // _FRAMES_A_SECOND):
            pieces.append(rtc.AudioFrame(pcm, rate, channels, len(pcm) // (2 * channels)))
    for number, piece in enumerate(pieces):
        if job["pause"] and number == len(pieces) // 2:
            await asyncio.sleep(job["pause"])
        stream.push_frame(piece)
        if job["is_paced"]:
            await asyncio.sleep(1 / _FRAMES_A_SECOND)
    stream.end_input()
    async for event in stream:
        said.append(describe(event))  # noqa: PERF401  # what comes before an error counts, too
    await stream.aclose()


async def speak(session: Any, job: dict[str, Any], said: list[dict[str, Any]]) -> None:
    """Speak a text, as a whole or as a stream of words."""
    agents, tts = load("livekit.agents"), load("livekit.plugins.munsit").TTS
    client = tts(api_key=job["key"], base_url=job["url"], http_session=session, **job["options"])
    options = agents.APIConnectOptions(max_retry=0, timeout=10)
    if job["is_streamed"]:
        stream = client.stream(conn_options=options)
        for word in job["text"].split(" "):
            stream.push_text(word + " ")
        stream.end_input()
    else:
        stream = client.synthesize(job["text"], conn_options=options)
    pcm = bytearray()
    async for audio in stream:
        pcm += bytes(audio.frame.data)
        said[:] = [describe_audio(audio.frame, bytes(pcm))]
    await stream.aclose()


async def answer(session: Any, job: dict[str, Any]) -> dict[str, Any]:
    """Do one job."""
    log = Log()
    logger = logging.getLogger("livekit.plugins.munsit")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(log)
    said: list[dict[str, Any]] = []
    raised = ""
    try:
        work = hear(session, job, said) if job["act"] == "hear" else speak(session, job, said)
        await asyncio.wait_for(work, job["seconds"])
    except Exception as error:
        raised = f"{type(error).__name__}: {error}"
    finally:
        logger.removeHandler(log)
    return {"name": job["name"], "events": said, "log": log.lines, "raised": raised}


async def main() -> None:
    """Do all jobs, one after the other."""
    jobs = json.load(sys.stdin)
    async with load("aiohttp").ClientSession() as session:
        for job in jobs:
            print(json.dumps(await answer(session, job)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
