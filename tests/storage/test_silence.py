"""A store that is silent is told, and so is its answer; one that is only slow is not."""

import asyncio
import logging
from pathlib import Path

import pytest

from batchjobs.files.address import Address
from batchjobs.storage import silence
from batchjobs.storage.bucket import Bucket
from batchjobs.storage.silence import Silence
from tests.clocks import PATIENCE_SECONDS
from tests.s3 import Bucket as Seen
from tests.s3_faults import Act, Fault, fault_proxy


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Give what was said of a store."""
    return [each.getMessage() for each in caplog.records if each.name == silence.__name__]


def test_a_store_that_is_silent_is_told_once_and_so_is_its_answer(
    bucket: Seen, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A run that stands still for it would say nothing, for ten minutes; one that answers is no news."""
    monkeypatch.setattr(silence, "_TOLD_SECONDS", 0.1)
    away = Fault(act=Act.ANSWER, method="PUT", status=503, times=6)
    with fault_proxy(bucket.endpoint, away) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        place = Bucket.open(Address(bucket.name, "runs/a"))
        place.create("a", b"1")
        monkeypatch.setattr(silence, "_TOLD_SECONDS", PATIENCE_SECONDS)  # however busy the machine
        place.create("b", b"1")
    where = f"s3://{bucket.name}/runs/a"
    assert told(caplog) == [
        f"{where} has not answered for 0 s; it goes on being asked, and is waited for",
        f"{where} answers again",
    ]


def test_a_large_file_takes_its_time(
    bucket: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What goes up for long on a thin line is no silence of the store."""
    monkeypatch.setattr(silence, "_TOLD_SECONDS", 0.0)
    (tmp_path / "source").write_bytes(bytes(1 << 20))
    place = Bucket.open(Address(bucket.name, "runs/a"))
    place.write("x.wav", tmp_path / "source")
    assert told(caplog) == []


def test_a_request_that_another_s_answer_came_behind_is_told_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of many at once the last answer comes while others are asked: these may wait for minutes."""
    monkeypatch.setattr(silence, "_TOLD_SECONDS", 0.02)
    said: list[str] = []

    async def ask() -> None:
        heard = asyncio.Event()

        def note(message: str, *_: object) -> None:
            said.append(message.split()[1])
            heard.set()

        monkeypatch.setattr(logging.getLogger(silence.__name__), "warning", note)
        store = Silence("s3://b/x")
        with store.watch():
            with store.watch():
                pass
            await asyncio.wait_for(heard.wait(), PATIENCE_SECONDS)

    asyncio.run(ask())
    assert said == ["has", "answers"]
