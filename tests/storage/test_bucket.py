"""A place in a bucket: what is there stays, unless it is what was seen; errors say what to do."""

from pathlib import Path

import pytest

from batchjobs.errors import BatchjobsError, DiskError, OutputError
from batchjobs.files.address import Address
from batchjobs.storage import bucket as storage
from batchjobs.storage.bucket import Bucket, ConflictError, hash_file
from tests.builders import ARABIC
from tests.s3 import Bucket as Seen
from tests.s3_faults import Act, Fault, fault_proxy


def open_bucket(bucket: Seen, prefix: str = "runs/a") -> Bucket:
    """Open a place in it."""
    return Bucket.open(Address(bucket.name, prefix))


def test_an_object_is_created_once_and_replaced_as_it_was_seen(bucket: Seen) -> None:
    """The second who creates is told; who replaces must have seen what is there."""
    place = open_bucket(bucket)
    name = f"audio/{ARABIC}#1.wav"
    first = place.create(name, b"one", sha256="f" * 64)
    assert bucket.read(f"runs/a/{name}") == b"one"
    assert place.look(name) == (3, first, "f" * 64)
    with pytest.raises(ConflictError):
        place.create(name, b"two")
    second = place.replace(name, b"two", e_tag=first)
    with pytest.raises(ConflictError):
        place.replace(name, b"three", e_tag=first)
    assert place.read(name) == (b"two", second)
    assert [entry.name for entry in place.list_below("audio")] == [name]
    place.delete([name, "not/there"])
    assert (place.look(name), place.read(name)) == (None, None)
    with pytest.raises(ConflictError):
        place.replace(name, b"four", e_tag=second)


def test_a_file_goes_up_and_comes_back(
    bucket: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In pieces, too; what is cut on the way back is never called whole."""
    monkeypatch.setattr(storage, "_PIECE_BYTES", 5 << 20)
    content = bytes(range(256)) * 50_000
    source = tmp_path / "source"
    source.write_bytes(content)
    place = open_bucket(bucket)
    place.write("x.wav", source, sha256=hash_file(source))
    assert bucket.read("runs/a/x.wav") == content
    target = tmp_path / "back.wav"
    assert place.fetch("x.wav", target)
    assert (tmp_path / ".back.wav.part").read_bytes() == content
    assert not place.fetch("y.wav", target)
    with fault_proxy(bucket.endpoint, Fault(act=Act.CUT, method="GET", times=99)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        monkeypatch.setattr(storage, "_HASTY_SECONDS", 0.5)
        hasty = Bucket.open(Address(bucket.name, "runs/a"), is_hasty=True)
        with pytest.raises(DiskError):
            hasty.fetch("x.wav", tmp_path / "cut.wav")
    assert not (tmp_path / ".cut.wav.part").exists()


def test_a_store_that_is_busy_is_waited_for(bucket: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow down, it says: then the same request is made again, and nothing has failed."""
    busy = Fault(act=Act.ANSWER, method="PUT", status=503, times=3)
    with fault_proxy(bucket.endpoint, busy) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        open_bucket(bucket).create("a", b"1")
        assert proxy.count("PUT") == 4


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (Fault(act=Act.ANSWER, status=403, times=99), OutputError, "may not be used.*rights"),
        (Fault(act=Act.DROP_BEFORE, times=99), DiskError, "cannot be used.*same command"),
    ],
)
def test_a_store_that_refuses_is_told(
    bucket: Seen,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    kind: type[BatchjobsError],
    words: str,
) -> None:
    """What is wrong, and what to do; without what the store wrote besides."""
    monkeypatch.setattr(storage, "_HASTY_SECONDS", 0.5)
    with fault_proxy(bucket.endpoint, fault) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        place = Bucket.open(Address(bucket.name), is_hasty=True)
        with pytest.raises(kind, match=words) as found:
            place.create("a", b"1")
    assert "<?xml" not in found.value.describe()
    assert "\n" not in found.value.describe()
    assert "retr" not in found.value.describe()  # what the library did, in its own words


def test_a_bucket_that_is_not_there_is_named(bucket: Seen) -> None:
    """In whatever way it is first used."""
    place = Bucket.open(Address(f"{bucket.name}-gone"))
    for use in (lambda: place.create("a", b"1"), lambda: list(place.list_below())):
        with pytest.raises(OutputError, match=f"there is no bucket '{bucket.name}-gone'"):
            use()


@pytest.mark.parametrize("name", ["a//b.wav", "../b.wav", f"{ARABIC}\t.wav"])
def test_a_name_that_keeps_all_from_being_listed_is_told(bucket: Seen, name: str) -> None:
    """Other programs write such names: to run the command again is no help then."""
    bucket.put(f"runs/a/{name}", b"one")
    with pytest.raises(OutputError, match=r"name cannot be used.*rename or delete") as found:
        list(open_bucket(bucket).list_below())
    assert repr(f"runs/a/{name}") in found.value.message


def test_folders_that_a_console_has_made_are_no_matter(bucket: Seen) -> None:
    """They are empty objects whose names end in a slash."""
    for name in ("runs/a/", "runs/a/audio/"):
        bucket.put(name, b"")
    assert [entry.bytes for entry in open_bucket(bucket).list_below()] == [0, 0]
