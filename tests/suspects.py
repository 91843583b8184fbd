"""Runs whose results are in doubt: services that say too little, and what is kept."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import structs

from batchjobs.checkpoint import Checkpoint
from batchjobs.files.run_folder import CHECKPOINT
from batchjobs.options import Options
from batchjobs.outputs.reports import write_results
from batchjobs.outputs.summary import summarise
from tests.builders import audio_message
from tests.runner.runs import QUICK, RATE, speech_for
from tests.streams import Peer

AGAIN = Options(skip_bad_rows=True, retry_failed=True)


def shares(script: dict[str, list[float]], *, silent: bool = False) -> Callable[[Peer], Any]:
    """Make a service that gives, for a text that ends so, these shares of its audio; then all."""

    async def talk(peer: Peer) -> None:
        await peer.begin()
        text = await peer.text()
        steps = script.get(text.rsplit(" ", 1)[-1], [])
        share = steps.pop(0) if steps else 1.0
        pcm = speech_for(text)
        pcm = pcm[: int(len(pcm) * share) // 2 * 2]
        await peer.send(audio_message(bytes(len(pcm)) if silent and share < 1 else pcm, RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)

    return talk


def results_of(run_folder: Path) -> list[dict[str, Any]]:
    """Report the run as its end does, and read what has failed or is in doubt."""
    with Checkpoint.open(run_folder) as checkpoint:
        summary = summarise(checkpoint, {"quick": QUICK})
        write_results(checkpoint, structs.replace(summary, exit_code=1))
    lines = (run_folder / "failed.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def ledger_of(run_folder: Path) -> list[str]:
    """Read how the attempts ended."""
    with closing(sqlite3.connect(run_folder / CHECKPOINT)) as database:
        return [row[0] for row in database.execute("SELECT result FROM attempts ORDER BY number")]


def kept_files(run_folder: Path) -> list[str]:
    """Name what stands in the folder of results in doubt."""
    return sorted(path.name for path in (run_folder / "suspect").glob("*"))
