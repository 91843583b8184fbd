"""The least that durable files take: asyncio websockets, our codec, and everything on the disk.

    python -m tests.benchmarks.peers.durable_script --url URL --sessions 1000

Each WAV is hashed, synced and renamed, and a transaction says so of a few together. Nothing is judged,
counted, tried again, limited or learnt, and the loop stands still while the disk is at work.
"""

import asyncio
import hashlib
import os
import sqlite3
import tempfile
from pathlib import Path

from websockets.asyncio.client import connect

from batchjobs.audio.pcm import wav_header
from batchjobs.protocol import messages, parsing
from tests.benchmarks.manifests import write_repeated
from tests.benchmarks.meter import Meter
from tests.benchmarks.peers.rows_in_turn import speak_rows
from tests.benchmarks.whole import Arguments, arguments_of, conclude
from tests.benchmarks.wire import SAMPLE_RATE

KEY = "benchmark-key"
FILES_A_COMMIT = 4


class Disk:
    """Writes files, and keeps what is known of them.

    Args:
        folder: Where they go.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: list[tuple[str, str, int]] = []
        self._database = sqlite3.connect(folder / "done.sqlite3", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("CREATE TABLE done (name, sha256, bytes)")

    def write(self, name: str, pcm: bytes) -> None:
        """Write samples beside their place; every few files, put them there and commit."""
        content = wav_header(len(pcm), sample_rate=SAMPLE_RATE) + pcm
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        descriptor = os.open(self._folder / f".{name}.part", flags)
        os.write(descriptor, content)
        os.fsync(descriptor)
        os.close(descriptor)
        self._written.append((name, hashlib.sha256(content).hexdigest(), len(content)))
        if len(self._written) == FILES_A_COMMIT:
            self.commit()

    def commit(self) -> None:
        """Put in their places what was written, and say so."""
        for name, _, _ in self._written:
            (self._folder / f".{name}.part").rename(self._folder / name)
        descriptor = os.open(self._folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        self._database.execute("BEGIN IMMEDIATE")
        self._database.executemany("INSERT INTO done VALUES (?, ?, ?)", self._written)
        self._database.execute("COMMIT")
        self._written.clear()


async def speak(url: str, row: dict[str, str], disk: Disk) -> int:
    """Speak one row into a file; give how many messages came."""
    count, pcm = 0, bytearray()
    target = f"{url}/websocket/text-to-speech?x-api-key={KEY}"
    async with connect(target, max_size=None) as connection:
        await connection.send(messages.encode(messages.InitConnection(voice_id=row["voice_id"])))
        await connection.recv()
        await connection.send(messages.encode(messages.Text(text=row["text"], flush=True)))
        await connection.send(messages.encode(messages.CloseConnection()))
        async for message in connection:
            audio = parsing.parse_tts_reply(message)
            assert isinstance(audio, messages.Audio)
            pcm += audio.pcm
            count += 1
    disk.write(f"{row['id']}.wav", bytes(pcm))
    return count


async def run(arguments: Arguments, folder: Path, meter: Meter) -> int:
    """Speak all rows, so many at once; give how many messages came."""
    disk = Disk(folder)
    count = await speak_rows(
        folder / "manifest.csv",
        lambda row: speak(arguments.base_url, row, disk),
        concurrency=arguments.concurrency,
        meter=meter,
    )
    disk.commit()
    return count


def main() -> None:
    """Measure one run in a folder of its own."""
    arguments = arguments_of(__doc__)
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as name:
        folder = Path(name)
        write_repeated(folder / "manifest.csv", arguments.sessions, arguments.kind.text)
        with Meter() as meter:
            count = asyncio.run(run(arguments, folder, meter))
        conclude(meter, arguments, list(folder.glob("*.wav")), count)


if __name__ == "__main__":
    main()
