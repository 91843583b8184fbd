"""Drives `pipecat-plugins-munsit`; run by `referees.py` in an environment of its own.

    python referee_pipecat.py < JOBS.json

Each job of the list is answered by one line of JSON: the frames that the client pushed, what it logged,
and the errors among them. The client stands in a pipeline, and nothing in it is changed.
"""

import asyncio
import base64
import importlib
import json
import sys
import wave
from typing import Any

_FRAMES_A_SECOND = 50
_NAME = "pipecat_plugins_munsit"


def load(name: str) -> Any:
    """Import what this project's own environment does not have."""
    return importlib.import_module(name)


async def run(client: Any, given: list[Any], rate: int) -> list[Any]:
    """Send frames through a pipeline of the one service; give what it pushed, up and down."""
    utils, worker = load("pipecat.tests.utils"), load("pipecat.pipeline.worker")
    down, up = await utils.run_test(
        client,
        frames_to_send=given,
        pipeline_params=worker.PipelineParams(audio_in_sample_rate=rate),
    )
    return [*down, *up]


async def hear(job: dict[str, Any], said: list[dict[str, Any]]) -> None:
    """Transcribe a recording frame by frame."""
    frames = load("pipecat.frames.frames")
    with wave.open(job["file"]) as recording:
        rate, given = recording.getframerate(), []
        while pcm := recording.readframes(rate // _FRAMES_A_SECOND):
            given.append(frames.InputAudioRawFrame(pcm, rate, 1))
    client = load(_NAME).MunsitSTTService(
        api_key=job["key"], url=job["url"], sample_rate=rate, **job["options"]
    )
    # What is sent to it may be overtaken by the frame that ends all: it gets time to be sent.
    pause = load("pipecat.tests.utils").SleepFrame
    if job["pause"]:
        given.insert(len(given) // 2, pause(job["pause"]))
    given.append(pause(job["patience"]))
    for frame in await run(client, given, rate):
        if isinstance(frame, frames.TranscriptionFrame):
            words = [[word["word"], word["start"], word["end"]] for word in frame.result["words"]]
            kind = "final_transcript" if frame.finalized else "split_transcript"
            said.append({"type": kind, "text": frame.text, "words": words, "raw": frame.result})
        elif isinstance(frame, frames.InterimTranscriptionFrame):
            said.append({"type": "interim_transcript", "text": frame.text, "words": []})
        elif isinstance(frame, frames.ErrorFrame):
            said.append({"type": "error", "text": frame.error})


async def speak(job: dict[str, Any], said: list[dict[str, Any]]) -> None:
    """Speak a text."""
    frames, pcm = load("pipecat.frames.frames"), bytearray()
    async with load("aiohttp").ClientSession() as session:
        client = load(_NAME).MunsitTTSService(
            api_key=job["key"], base_url=job["url"], aiohttp_session=session, **job["options"]
        )
        given = [frames.TTSSpeakFrame(job["text"]), load("pipecat.tests.utils").SleepFrame(2.0)]
        for frame in await run(client, given, 16_000):
            if isinstance(frame, frames.TTSAudioRawFrame):
                pcm += frame.audio
                samples = base64.b64encode(pcm).decode()
                kind = {"type": "audio", "rate": frame.sample_rate, "channels": frame.num_channels}
                said[:] = [kind | {"pcm": samples}]
            elif isinstance(frame, frames.ErrorFrame):
                said.append({"type": "error", "text": frame.error})


async def answer(job: dict[str, Any]) -> dict[str, Any]:
    """Do one job."""
    log: list[str] = []
    logger = load("loguru").logger
    logger.remove()
    logger.add(log.append, level="DEBUG", filter=_NAME, format="{level}: {message}")
    said: list[dict[str, Any]] = []
    raised = ""
    try:
        work = hear(job, said) if job["act"] == "hear" else speak(job, said)
        await asyncio.wait_for(work, job["seconds"])
    except Exception as error:
        raised = f"{type(error).__name__}: {error}"
    lines = [str(line).strip() for line in log]
    return {"name": job["name"], "events": said, "log": lines, "raised": raised}


async def main() -> None:
    """Do all jobs, one after the other."""
    for job in json.load(sys.stdin):
        print(json.dumps(await answer(job)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
