"""While a run goes on its results are written from time to time, and no run waits or fails for it."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

import batchjobs
from batchjobs.api import interim
from batchjobs.api.interim import write_repeatedly
from batchjobs.errors import DiskFullError


async def test_it_writes_every_minute(standing_clock: trio.testing.MockClock) -> None:
    """Not before, and again and again."""
    times: list[float] = []
    with trio.move_on_after(301):
        await write_repeatedly(lambda _: times.append(trio.from_thread.run_sync(trio.current_time)))
    assert times == [60 * number for number in range(1, 6)]


async def test_what_takes_long_is_done_less_often(standing_clock: trio.testing.MockClock) -> None:
    """A million rows take a while: no more than a twentieth of the time goes into them."""
    begins: list[float] = []

    def write(_: Callable[[], None]) -> None:
        begins.append(trio.from_thread.run_sync(trio.current_time))
        trio.from_thread.run_sync(standing_clock.jump, 30.0)

    with trio.move_on_after(2_000):
        await write_repeatedly(write)
    assert begins == [60, 60 + 30 + 600, 60 + 2 * (30 + 600), 60 + 3 * (30 + 600)]


@pytest.mark.parametrize("error", [DiskFullError("full"), RuntimeError("ours")], ids=repr)
async def test_what_cannot_be_written_stops_nothing(
    standing_clock: trio.testing.MockClock, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told, and tried again."""
    tried: list[bool] = []

    def write(_: Callable[[], None]) -> None:
        tried.append(True)
        raise error

    with trio.move_on_after(130):
        await write_repeatedly(write)
    assert len(tried) == 2
    assert str(error) in caplog.text


async def test_the_end_of_the_run_waits_for_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled amid a file that would never be whole, the thread gives up."""
    monkeypatch.setattr(interim, "_LEAST_SECONDS", 0.0)
    started, ended = trio.Event(), []

    def write(check: Callable[[], None]) -> None:
        trio.from_thread.run_sync(started.set)
        try:
            while True:
                check()
        finally:
            ended.append(True)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_repeatedly, write)
        await started.wait()
        nursery.cancel_scope.cancel()
    assert ended == [True]


@pytest.fixture
def mute() -> Iterator[int]:
    """The port of a service that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_a_run_that_goes_on_has_its_results(
    tmp_path: Path, mute: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All three files tell of what is done, while another service keeps the run waiting."""
    monkeypatch.setattr(interim, "_LEAST_SECONDS", 0.01)
    monkeypatch.setenv("MUTE_KEY", "k" * 20)
    config = tmp_path / "batchjobs.toml"
    config.write_text(
        f'[providers.mute]\nlike = "local"\nengine = ""\nbase_url = "ws://127.0.0.1:{mute}/api/v1"\n'
        'key_variable = "MUTE_KEY"\nconnect_seconds = 600.0\n'
    )
    manifest = tmp_path / "m.csv"
    rows = "id,text,provider\nأ,السَّلامُ عليكـــم ٣٤,local\nb,Hello to you,mute\n"
    manifest.write_text(rows, encoding="utf-8")
    folder = tmp_path / "run"
    options = batchjobs.Options(engine="tone", output=folder, config=config)

    def read() -> tuple[list[dict[str, object]], dict[str, object]] | None:
        try:
            lines = (folder / "results.jsonl").read_bytes().splitlines()
            return [json.loads(line) for line in lines], json.loads(
                (folder / "summary.json").read_bytes()
            )
        except FileNotFoundError:
            return None

    async def look() -> None:
        while True:
            await trio.sleep(0.01)
            seen = read()
            if seen is not None and seen[0] and seen[1]["done"]:
                break
        found.append(seen)
        nursery.cancel_scope.cancel()

    found: list[tuple[list[dict[str, object]], dict[str, object]]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        await batchjobs.run_async(manifest, options)
    ((results, summary),) = found
    assert [result["id"] for result in results] == ["أ"]
    assert (summary["exit_code"], summary["finished_at"]) == (None, None)
    assert (summary["done"], summary["not_run"]) == (1, 1)
    assert list(folder.glob(".*.part")) == []
