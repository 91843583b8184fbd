"""The script people would write: asyncio websockets, json and base64, each file written on the spot.

    python -m tests.benchmarks.peers.files_script --url URL --sessions 1000 --format flac

It reads the same manifest and writes the same files as our pipeline. It neither syncs nor commits:
what a crash leaves is anybody's guess. (soundfile syncs each file as it closes it; no name is synced.)
"""

import asyncio
import base64
import json
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from websockets.asyncio.client import connect

from tests.benchmarks.manifests import write_repeated
from tests.benchmarks.meter import Meter
from tests.benchmarks.peers.rows_in_turn import speak_rows
from tests.benchmarks.whole import Arguments, arguments_of, conclude

KEY = "benchmark-key"


async def speak(url: str, row: dict[str, str], path: Path) -> int:
    """Speak one row into a file; give how many messages came."""
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
    soundfile.write(path, np.frombuffer(b"".join(pieces), np.int16), 24_000)
    return len(pieces)


async def run(arguments: Arguments, folder: Path, meter: Meter) -> int:
    """Speak all rows, so many at once; give how many messages came."""
    return await speak_rows(
        folder / "manifest.csv",
        lambda row: speak(arguments.base_url, row, folder / f"{row['id']}.{arguments.format}"),
        concurrency=arguments.concurrency,
        meter=meter,
    )


def main() -> None:
    """Measure one run in a folder of its own."""
    arguments = arguments_of(__doc__)
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as name:
        folder = Path(name)
        write_repeated(folder / "manifest.csv", arguments.sessions, arguments.kind.text)
        with Meter() as meter:
            messages = asyncio.run(run(arguments, folder, meter))
        conclude(meter, arguments, list(folder.glob(f"*.{arguments.format}")), messages)


if __name__ == "__main__":
    main()
