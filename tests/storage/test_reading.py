"""Objects of a real S3 server, read through a proxy that breaks the way there."""

import os
import signal
import subprocess
import sys
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from batchjobs.errors import (
    BatchjobsError,
    ConfigurationError,
    KeyRefusedError,
    ServiceUnavailableError,
)
from batchjobs.files.address import Address
from batchjobs.storage import reading
from batchjobs.storage.reading import FileFacts, ObjectChangedError, ObjectReader
from tests.commands import ROOT
from tests.s3 import Bucket
from tests.s3_faults import Act, Fault, FaultProxy, fault_proxy

NAME = "أصوات/السَّلامُ عَلَيْكُمـ ١٢ \u200d+%20#1 (mixed نص).wav"
CONTENT = os.urandom(3_000_000)
HEADERS = "^/[^?]*$"


def reader_through(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> ObjectReader:
    """A reader that goes through a proxy, and is not patient."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    monkeypatch.setattr(reading, "PATIENT_SECONDS", 1.0)
    return ObjectReader()


def address_of(bucket: Bucket, key: str) -> Address:
    """The address of an object."""
    return Address(bucket.name, key)


def test_an_object_is_read_in_every_way(bucket: Bucket, tmp_path: Path) -> None:
    """It is looked up, read, streamed and fetched under a name of every script and sign."""
    bucket.put(NAME, CONTENT)
    reader, address = ObjectReader(), address_of(bucket, NAME)
    facts = reader.look_up(address)
    assert facts.bytes == len(CONTENT)
    assert reader.ask(address).result() == facts
    assert reader.read(address, 10).result() == CONTENT[:10]
    assert reader.read(address, len(CONTENT) + 1).result() == CONTENT
    assert reader.fetch(address, facts, tmp_path / "x").result() == tmp_path / "x"
    assert (tmp_path / "x").read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_facts_tell_one_content_from_another(bucket: Bucket) -> None:
    """Another content of the same size has another mark; the same one written again has its own."""
    address = address_of(bucket, "a")
    facts: list[FileFacts] = []
    for content in ("مرحبا", "مرحبى", "مرحبا"):
        bucket.put("a", content)
        facts.append(ObjectReader().look_up(address))
    assert facts[0] == facts[2] != facts[1]
    assert all(0 <= each.mark < 2**63 for each in facts)


def test_an_empty_object_is_read(bucket: Bucket, tmp_path: Path) -> None:
    """Nothing comes, and nothing is wrong."""
    bucket.put("empty", b"")
    reader, address = ObjectReader(), address_of(bucket, "empty")
    facts = reader.look_up(address)
    assert reader.read(address, 10).result() == b""
    assert reader.fetch(address, facts, tmp_path / "x").result().read_bytes() == b""


def test_what_is_not_there_is_no_error_of_the_store(bucket: Bucket, tmp_path: Path) -> None:
    """It is told apart by its class from a store that cannot be reached."""
    reader, address = ObjectReader(), address_of(bucket, "gone.wav")
    for act in (
        lambda: reader.look_up(address),
        lambda: reader.read(address, 1).result(),
        lambda: reader.fetch(address, FileFacts(1, 1), tmp_path / "x").result(),
    ):
        with pytest.raises(FileNotFoundError):
            act()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a//b.wav", "مقابلة\t.wav"])
def test_a_name_that_keeps_all_from_being_listed_is_told(bucket: Bucket, name: str) -> None:
    """As it is, with what of it cannot be seen: whoever is to rename it has to find it."""
    bucket.put(f"talks/{name}", b"one")
    with pytest.raises(ConfigurationError, match=r"name cannot be used.*rename or delete") as found:
        list(ObjectReader().list_below(address_of(bucket, "talks")))
    assert repr(f"talks/{name}") in found.value.message


def test_a_bucket_that_is_not_there_is_told(bucket: Bucket) -> None:
    """A wrong name of a bucket is a setting to be corrected."""
    with pytest.raises(ConfigurationError, match="there is no bucket 'no-such-bucket'"):
        ObjectReader().read(Address("no-such-bucket", "m.csv"), 1).result()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(act=Act.ANSWER, status=503, times=2),
        Fault(act=Act.ANSWER, status=500, times=2),
        Fault(act=Act.ANSWER, status=429),
        Fault(act=Act.DROP_BEFORE, times=2),
        Fault(act=Act.DROP_AFTER, times=2),
        Fault(act=Act.CUT, method="GET"),
        Fault(act=Act.DELAY, seconds=0.02),
    ],
    ids=lambda fault: f"{fault.act.name}-{fault.status}",
)
def test_what_passes_is_not_noticed(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """A store that is busy, and a connection that breaks, are tried again; what was cut off goes on."""
    bucket.put(NAME, CONTENT)
    with fault_proxy(bucket.endpoint, fault) as proxy:
        reader, address = reader_through(proxy, monkeypatch), address_of(bucket, NAME)
        facts = reader.look_up(address)
        fetched = reader.fetch(address, facts, tmp_path / "x").result()
        assert fetched.read_bytes() == CONTENT
        assert len(proxy.requests) > 1 + fault.times or fault.act is Act.DELAY
        if fault.act is Act.CUT:
            assert proxy.requests[-1].headers["range"].startswith("bytes=1500000-")


@pytest.mark.parametrize(
    ("fault", "error", "sentence"),
    [
        (
            Fault(act=Act.ANSWER, status=503, times=99),
            ServiceUnavailableError,
            r"cannot be read: the store answered 503 Service Unavailable \(SlowDown\)",
        ),
        (
            Fault(act=Act.DROP_BEFORE, times=99),
            ServiceUnavailableError,
            "cannot be read: HTTP error",
        ),
        (
            Fault(act=Act.ANSWER, status=403),
            KeyRefusedError,
            r"may not be read: the store answered 403 Forbidden \(AccessDenied\)",
        ),
    ],
)
def test_what_stays_is_told_in_a_sentence(
    bucket: Bucket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    error: type[BatchjobsError],
    sentence: str,
) -> None:
    """Who, what and why, without the page that the library makes of it, and no file is left."""
    bucket.put("a", CONTENT)
    with fault_proxy(bucket.endpoint, fault) as proxy:
        reader = reader_through(proxy, monkeypatch)
        with pytest.raises(error, match=sentence) as told:
            reader.fetch(address_of(bucket, "a"), FileFacts(1, 1), tmp_path / "x").result()
    assert "\n" not in str(told.value)
    assert not list(tmp_path.iterdir())


def test_an_object_that_changes_is_never_mixed(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exchanged before it is fetched, or in the middle of it, it is another one, and no file is left."""
    bucket.put("a", CONTENT)
    address = address_of(bucket, "a")
    facts = ObjectReader().look_up(address)
    change = Fault(act=Act.CALL, at=2, hook=lambda: bucket.put("a", CONTENT[::-1]))
    with fault_proxy(bucket.endpoint, Fault(act=Act.CUT), change) as proxy:
        reader = reader_through(proxy, monkeypatch)
        with pytest.raises(ObjectChangedError, match="changed while it was read"):
            reader.fetch(address, facts, tmp_path / "x").result()
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    with pytest.raises(ObjectChangedError, match="has changed since it was looked at"):
        ObjectReader().fetch(address, facts, tmp_path / "x").result()
    assert not list(tmp_path.iterdir())


def test_without_credentials_it_is_said_where_they_go(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No machine's own credentials, no variables: the sentence names these."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    refuse = Fault(act=Act.ANSWER, status=403, times=99)
    with fault_proxy(bucket.endpoint, refuse) as proxy:
        monkeypatch.setenv("AWS_METADATA_ENDPOINT", proxy.url)
        with pytest.raises(ConfigurationError, match="there are no credentials") as told:
            ObjectReader().look_up(address_of(bucket, "a"))
    assert "AWS_ACCESS_KEY_ID" in told.value.hint


def test_a_wrong_address_is_told_soon(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience is for a store that has answered once; before that it may be no store at all."""
    monkeypatch.setattr(reading, "HASTY_SECONDS", 0.2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ServiceUnavailableError, match="cannot be read"):
        ObjectReader().look_up(address_of(bucket, "a"))
    bucket.put("a", b"A")
    late = Fault(act=Act.DROP_BEFORE, at=2, times=6)
    with fault_proxy(bucket.endpoint, late) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        reader = ObjectReader()
        facts = reader.look_up(address_of(bucket, "a"))
        assert reader.look_up(address_of(bucket, "a")) == facts
        assert len(proxy.requests) == 8


def test_what_is_given_up_leaves_nothing(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fetch that nobody waits for any more is taken back, and its file goes."""
    bucket.put("a", CONTENT)
    stall = Fault(act=Act.DELAY, method="GET", seconds=3600.0)
    with fault_proxy(bucket.endpoint, stall) as proxy:
        reader = reader_through(proxy, monkeypatch)
        address = address_of(bucket, "a")
        future = reader.fetch(address, reader.look_up(address), tmp_path / "x")
        assert future.cancel()
        with pytest.raises(CancelledError):
            future.result()
    assert not list(tmp_path.iterdir())


PROGRAM = """
import os, signal, sys, threading
from batchjobs.files.address import Address
from batchjobs.storage.reading import ObjectReader
sys.stdin.readline()
try:
    ObjectReader().look_up(Address(sys.argv[1], "a"))
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_ends_a_wait_for_a_dumb_store(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that never answers holds nobody who has had enough."""
    process: subprocess.Popen[str]

    def interrupt() -> None:
        process.send_signal(signal.SIGINT)

    hang = Fault(act=Act.DELAY, seconds=3600.0, hook=interrupt)
    with fault_proxy(bucket.endpoint, hang) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        command = [sys.executable, "-c", PROGRAM, bucket.name]
        with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) as process:
            said, complaints = process.communicate("\n")
    assert (said, complaints) == ("interrupted\n", "")  # obstore's threads would print a panic
    assert process.returncode == 0
