"""The script people would write: asyncio websockets, json and base64, each file written on the spot.

    python -m tests.benchmarks.peers.files_script --url URL --sessions 1000 --format flac

It reads the same manifest and writes the same files as our pipeline. It neither syncs nor commits:
what a crash leaves is anybody's guess.
"""

import argparse
import asyncio
import base64
import csv
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from websockets.asyncio.client import connect

from tests.benchmarks.manifests import write_repeated
from tests.benchmarks.meter import Meter
from tests.benchmarks.wire import kind_of

KEY = "benchmark"


async def speak(url: str, row: dict[str, str], folder: Path, ending: str) -> tuple[int, int]:
    """Speak one row into a file; give its messages and frames."""
    pieces = []
    async with connect(f"{url}/websocket/text-to-speech?x-api-key={KEY}", max_size=None) as socket:
        init = {
            "type": "initConnection",
            "model_id": "faseeh-mini-v1-preview",
            "voice_id": row["voice_id"],
            "voice_settings": {"stability": 0.5, "similarity_boost": 0.75, "speed": 1.0},
            "output_format": "pcm_24000",
            "x_api_key": KEY,
        }
        await socket.send(json.dumps(init))
        if json.loads(await socket.recv())["type"] != "connectionInitialized":
            raise RuntimeError("not initialised")
        await socket.send(json.dumps({"type": "text", "text": row["text"], "flush": True}))
        await socket.send(json.dumps({"type": "closeConnection"}))
        async for message in socket:
            reply = json.loads(message)
            if reply.get("type") == "error":
                raise RuntimeError(reply["errorMessage"])
            pieces.append(base64.b64decode(reply["audio"]))
    samples = np.frombuffer(b"".join(pieces), np.int16)
    soundfile.write(folder / f"{row['id']}.{ending}", samples, 24_000)
    return len(pieces), len(samples)


async def run(given: argparse.Namespace, folder: Path, meter: Meter) -> list[tuple[int, int]]:
    """Speak all rows, so many at once."""
    turns = asyncio.Semaphore(given.concurrency)

    async def in_turn(row: dict[str, str]) -> tuple[int, int]:
        async with turns:
            return await speak(f"{given.url}/{given.kind}", row, folder, given.format)

    sampler = asyncio.create_task(meter.sample_asyncio())
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    made = await asyncio.gather(*map(in_turn, rows))
    sampler.cancel()
    return made


def main() -> None:
    """Write the manifest, run it, check what is there, and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="the server's base URL")
    parser.add_argument("--sessions", type=int, default=1_000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--kind", default="tts", help="tts, tiny, or paced-20")
    parser.add_argument("--format", choices=("wav", "flac", "mp3"), default="wav")
    parser.add_argument("--scratch", type=Path, help="where the files shall be")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.scratch) as name:
        folder = Path(name)
        write_repeated(folder / "manifest.csv", given.sessions, kind_of(given.kind).text)
        with Meter() as meter:
            made = asyncio.run(run(given, folder, meter))
        files = sorted(folder.glob(f"*.{given.format}"))
        held = [soundfile.info(file).frames for file in files]
        # An MP3 holds a little more than was put into it.
        expected = [frames for _, frames in made]
        if len(held) != given.sessions or sum(held) < sum(expected):
            sys.exit(f"{len(held)} files hold {sum(held)} frames, not {sum(expected)}")
        messages = sum(count for count, _ in made)
        meter.report(sessions=len(held), messages=messages, bytes=2 * sum(expected))


if __name__ == "__main__":
    main()
