"""Every ending of `/listen` in a whole run: what it says, what it costs, and what stands in the folder."""

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

import batchjobs
from tests.builders import make_tone, write_recording
from tests.canary import KEY
from tests.faults.state_world import hurry_retries
from tests.manners.listen_endings import ENDINGS, PRICE_PER_SECOND, SECONDS
from tests.manners.listening import ListenService, run_listen_service

_FINALS = (
    (("السَّلامُ", 0.5, 0.9), ("عليكـم", 1.0, 1.4), ("١٢٣", 1.5, 1.9)),
    (("ok", 3.0, 3.2), ("می\u200cخواهم.", 3.3, 3.9)),
)
_ROUNDED = 0.002


@dataclass(slots=True, kw_only=True)
class _Ran:
    """A run, and the service that it was with."""

    folder: Path
    service: ListenService
    exit_code: int = -1
    error: str = ""

    @property
    def summary(self) -> dict[str, Any]:
        """The run's summary."""
        summary: dict[str, Any] = json.loads((self.folder / "summary.json").read_bytes())
        return summary


async def _run(ran: _Ran, base_url: str) -> None:
    place = ran.folder.parent
    write_recording(place / "r.wav", make_tone(SECONDS, 16_000), 16_000)
    (place / "rows.csv").write_text("id,audio\nr,r.wav\n")
    (place / "key").write_text(KEY)
    (place / "key").chmod(0o600)
    config = place / "batchjobs.toml"
    config.write_text(
        f"[providers.munsit]\nstt_price_per_hour = {PRICE_PER_SECOND * 3_600}\nreceipt_seconds = 2.0\n"
    )
    report = await batchjobs.run_async(
        place / "rows.csv",
        batchjobs.Options(
            provider="munsit",
            base_url=base_url,
            config=config,
            key_file=place / "key",
            output=ran.folder,
            attempts=3,
        ),
    )
    ran.exit_code, ran.error = report.exit_code, str(report.error or "")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, _Ran]:
    """What came of every row of the table, with munsit as it is built in; all run side by side."""
    found: dict[str, _Ran] = {}
    folder = tmp_path_factory.mktemp("endings")

    async def run_all(urls: Mapping[str, str]) -> None:
        async with trio.open_nursery() as nursery:
            for name, each in found.items():
                nursery.start_soon(_run, each, urls[name])

    with ExitStack() as stack:
        urls = {}
        for number, (name, row) in enumerate(ENDINGS.items()):
            (folder / str(number)).mkdir()
            service = ListenService(row.manner, _FINALS, KEY)
            found[name] = _Ran(folder=folder / str(number) / "run", service=service)
            urls[name] = stack.enter_context(run_listen_service(service))
        with hurry_retries():
            trio.run(run_all, urls)
    return found


@pytest.mark.parametrize("name", ENDINGS)
def test_each_ending_comes_to_what_the_table_says(name: str, ran: Mapping[str, _Ran]) -> None:
    """Done only with the receipt; what was sent or billed is paid; nothing that is not done looks so."""
    row, came = ENDINGS[name], ran[name]
    assert came.service.complaints == []
    assert came.exit_code == row.exit_code, came.error
    least, most = row.sessions
    assert least <= len(came.service.asked) <= most
    summary = came.summary
    statuses = {name: summary[name] for name in ("done", "suspect", "failed", "not_run")}
    assert statuses == dict.fromkeys(statuses, 0) | {row.status: 1}
    found = list(batchjobs.read_results(came.folder, ["done", "suspect", "failed"]))
    assert row.says in came.error + json.dumps(found, ensure_ascii=False)
    least_cost, most_cost = row.cost
    assert least_cost - _ROUNDED <= summary["spent"].get("USD", 0.0) <= most_cost + _ROUNDED
    least_billed, most_billed = row.billed
    assert least_billed - _ROUNDED <= summary["audio_seconds_billed"] <= most_billed + _ROUNDED
    heard = sum(came.service.heard_seconds)
    assert heard <= summary["audio_seconds_sent"] + _ROUNDED
    places = ("audio", "transcripts", "suspect", "segments")
    files = [file for place in places for file in (came.folder / place).glob("*")]
    assert {str(file.relative_to(came.folder)) for file in files} == row.files
    for each in found:
        if each["status"] == "done":
            _check_done(each, row.billed)


def _check_done(result: Mapping[str, Any], billed: tuple[float, float]) -> None:
    evidence = result["evidence"]
    assert evidence["ending"] == "receipt"
    assert evidence["sent_audio_seconds"] == SECONDS
    assert billed[0] <= evidence["billed_audio_seconds"] + _ROUNDED
    assert result["cost"] >= evidence["billed_audio_seconds"] * PRICE_PER_SECOND - _ROUNDED
