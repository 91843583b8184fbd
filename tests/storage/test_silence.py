"""A store that is silent is told, and so is its answer; one that is only slow is not."""

from pathlib import Path

import pytest

from batchjobs.files.address import Address
from batchjobs.storage import silence
from batchjobs.storage.bucket import Bucket
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
