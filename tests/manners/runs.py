"""Runs every row of the table at once, in this process and in others, and gathers what came of it."""

import csv
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import trio

import batchjobs
from tests.canary import KEY
from tests.manners import sound
from tests.manners.desk import Session
from tests.manners.service import Service, run_service
from tests.manners.table import Row

__all__ = ["KEYS", "Ran", "run_all"]

ROOT: Final = Path(__file__).parents[2]
_VOICE: Final = "ar-najdi-male-2"
_ONE_AFTER_ANOTHER_SECONDS: Final = 0.1
"""All would plan at the same moment, and none of them could answer its service."""
_LONGEST_LAG_SECONDS: Final = 0.05
"""The next one begins when those before it are served in time, however busy the machine is."""
_LONGEST_SECONDS: Final = 240.0
"""A run that hangs is given up, and the others are judged."""
KEYS: Final = {"MUNSIT_API_KEY": KEY, "FASEEH_API_KEY": KEY}


@dataclass(slots=True, kw_only=True)
class Ran:
    """What came of a row.

    Attributes:
        folder: The run folder.
        sessions: What the service saw, in order.
        complaints: What the service would not have taken.
        exit_code: The run's.
        error: What stopped it, as it was told; empty if nothing did.
    """

    folder: Path
    sessions: list[Session]
    complaints: list[str]
    exit_code: int = -1
    error: str = ""

    def lines(self, name: str) -> dict[str, dict[str, Any]]:
        """Read one of the run's files of lines, by the job's id."""
        content = (self.folder / name).read_bytes().splitlines()
        lines = map(json.loads, content)
        return {line["id"]: line for line in lines}

    @property
    def summary(self) -> dict[str, Any]:
        """Read the run's summary."""
        summary: dict[str, Any] = json.loads((self.folder / "summary.json").read_bytes())
        return summary


def run_all(folder: Path, rows: Mapping[str, Row], *, cluster: str = "") -> dict[str, Ran]:
    """Serve every row of the table and run it.

    Args:
        folder: An empty folder.
        rows: The rows, by name; each is started a moment after the one before it.
        cluster: The address of a Dask cluster whose workers have the sessions of all of them; its workers
            need `KEYS` in their environment.
    """
    services = {
        name: Service(row.manners, list(row.recordings.values()), KEY) for name, row in rows.items()
    }
    ran = {}
    for number, (name, service) in enumerate(services.items()):
        place = folder / f"{number:02}"
        place.mkdir()
        ran[name] = Ran(
            folder=place / "run", sessions=service.sessions, complaints=service.complaints
        )
    before = dict(os.environ)
    os.environ.update(KEYS)
    try:
        with run_service(list(services.values())):
            trio.run(_run_all, rows, services, ran, cluster)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return ran


async def _run_all(
    rows: Mapping[str, Row], services: Mapping[str, Service], ran: Mapping[str, Ran], cluster: str
) -> None:
    async with trio.open_nursery() as nursery:
        for name, row in rows.items():
            nursery.start_soon(_run_or_give_up, row, services[name], ran[name], cluster)
            await trio.sleep(_ONE_AFTER_ANOTHER_SECONDS)
            while await _lag_seconds() > _LONGEST_LAG_SECONDS:
                pass


async def _lag_seconds() -> float:
    """Measure how much later than asked one is called."""
    began = trio.current_time()
    await trio.sleep(_ONE_AFTER_ANOTHER_SECONDS)
    return trio.current_time() - began - _ONE_AFTER_ANOTHER_SECONDS


async def _run_or_give_up(row: Row, service: Service, ran: Ran, cluster: str) -> None:
    with trio.move_on_after(_LONGEST_SECONDS):
        await _run(row, service, ran, cluster)


async def _run(row: Row, service: Service, ran: Ran, cluster: str) -> None:
    place = ran.folder.parent
    manifest = _write_manifest(place, row)
    base_url = f"ws://127.0.0.1:{service.port}/api/v1"
    config = place / "settings.toml"
    settings = [f"{name} = {json.dumps(value)}\n" for name, value in row.settings.items()]
    config.write_text(f"[providers.{row.provider}]\n" + "".join(settings))
    if row.is_command:
        await _command(row, manifest, base_url, config, ran, cluster)
        return
    report = await batchjobs.run_async(
        manifest,
        batchjobs.Options(
            output=ran.folder,
            provider=row.provider,
            base_url=base_url,
            concurrency=row.concurrency,
            config=config,
            cluster=cluster,
            speech=batchjobs.Defaults(voice_id=_VOICE),
        ),
    )
    ran.exit_code, ran.error = report.exit_code, str(report.error or "")


async def _command(
    row: Row, manifest: Path, base_url: str, config: Path, ran: Ran, cluster: str
) -> None:
    words = ["run", manifest, "--output", ran.folder, "--provider", row.provider]
    words += ["--base-url", base_url, "--voice", _VOICE, "--config", config]
    if row.concurrency is not None:
        words += ["--concurrency", row.concurrency]
    if cluster:
        words += ["--cluster", cluster]
    kept = {name: text for name, text in os.environ.items() if not name.startswith("BATCHJOBS_")}
    ended = await trio.run_process(
        [sys.executable, "-m", "batchjobs", *map(str, words)],
        env=kept | {"PYTHONPATH": str(ROOT)},
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    ran.exit_code = ended.returncode
    ran.error = ended.stderr.decode()


def _write_manifest(folder: Path, row: Row) -> Path:
    lines = [[name, text, ""] for name, text in row.texts.items()]
    for name, recording in row.recordings.items():
        path = folder / f"{name}.wav"
        path.write_bytes(sound.wav(recording.pcm, sound.RECORDING_RATE))
        lines.append([name, "", path.name])
    manifest = folder / "manifest.csv"
    with manifest.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "text", "audio"], *lines])
    return manifest
