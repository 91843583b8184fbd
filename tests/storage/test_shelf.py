"""Results in a bucket: found by one list, put there once, brought back to be read."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from batchjobs.errors import RunLockedError
from batchjobs.files.address import Address
from batchjobs.files.atomic import write_part
from batchjobs.storage.bucket import Bucket
from batchjobs.storage.shelf import BucketShelf
from tests.builders import ARABIC
from tests.s3 import Bucket as Seen
from tests.s3_faults import fault_proxy


def make_shelf(bucket: Seen, folder: Path) -> BucketShelf:
    """Make a shelf whose run nobody takes over."""
    place = Bucket.open(Address(bucket.name, "run"))
    return BucketShelf(folder, lambda: place)


def test_many_results_are_found_by_one_list(
    bucket: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is asked: by path and size, and without a request for each."""
    for number in range(5):
        bucket.put(f"run/audio/{ARABIC}{number}.wav", b"x" * number)
    with fault_proxy(bucket.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        shelf = make_shelf(bucket, tmp_path)
        for number in range(5):
            assert shelf.has(f"audio/{ARABIC}{number}.wav", number)
            assert not shelf.has(f"audio/{ARABIC}{number}.wav", number + 1)
            assert shelf.is_taken(f"audio/{ARABIC}{number}.wav")
        assert not shelf.has("audio/none.wav", 0)
        assert not shelf.has_any("audio/none.wav")
        assert len(proxy.requests) == 1


def test_what_is_published_is_there_and_not_here(bucket: Seen, tmp_path: Path) -> None:
    """The disk holds no second copy of what a run makes."""
    shelf = make_shelf(bucket, tmp_path)
    assert not shelf.has("audio/a.wav", 3)
    target = tmp_path / "audio" / "a.wav"
    write_part(target, b"one")
    shelf.publish([target])
    assert bucket.objects() == {"run/audio/a.wav": b"one"}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert shelf.has("audio/a.wav", 3)
    write_part(target, b"four")
    shelf.publish([target])
    assert shelf.has("audio/a.wav", 4)
    shelf.remove(["audio/a.wav"])
    assert not shelf.has("audio/a.wav", 4)
    assert bucket.keys() == []


def test_a_segment_stays_here_until_it_is_removed(bucket: Seen, tmp_path: Path) -> None:
    """Its job is put together from it soon: it need not come back for that."""
    shelf = make_shelf(bucket, tmp_path)
    path = f"segments/{'0' * 64}.wav"
    write_part(tmp_path / path, b"one")
    shelf.publish([tmp_path / path])
    assert (tmp_path / path).read_bytes() == bucket.read(f"run/{path}")
    bucket.delete(f"run/{path}")
    with shelf.holding([path]) as place:
        assert (place / path).read_bytes() == b"one"
    assert (tmp_path / path).is_file()
    shelf.remove([path])
    assert not (tmp_path / path).exists()


def test_files_are_there_for_as_long_as_somebody_reads_them(bucket: Seen, tmp_path: Path) -> None:
    """None who reads one takes it away from another, in whatever order they end; one that is gone is not there."""
    bucket.put(f"run/audio/{ARABIC}.wav", b"one")
    path = f"audio/{ARABIC}.wav"
    first, second = make_shelf(bucket, tmp_path), make_shelf(bucket, tmp_path)
    with ExitStack() as other:
        with first.holding([path, "audio/none.wav", ""]) as place:
            there = other.enter_context(second.holding([path]))
            assert (place / path).read_bytes() == b"one"
            assert not (place / "audio" / "none.wav").exists()
        assert (there / path).read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == []


def test_who_reads_does_not_touch_what_is_being_written(bucket: Seen, tmp_path: Path) -> None:
    """A run writes a result anew while the former one is looked at; each has what is theirs."""
    bucket.put("run/audio/a.wav", b"former")
    target = tmp_path / "audio" / "a.wav"
    write_part(target, b"new")
    writer, reader = make_shelf(bucket, tmp_path), make_shelf(bucket, tmp_path)
    with reader.holding(["audio/a.wav"]) as place:
        writer.publish([target])
        assert (place / "audio" / "a.wav").read_bytes() == b"former"
    assert bucket.read("run/audio/a.wav") == b"new"


def test_nothing_is_replaced_once_the_run_is_anothers(bucket: Seen, tmp_path: Path) -> None:
    """What is there is theirs; the same content is found to be there, and is no matter."""
    bucket.put("run/audio/a.wav", b"theirs")
    shelf = make_shelf(bucket, tmp_path)
    target = tmp_path / "audio" / "a.wav"
    write_part(target, b"ours")
    uploads = shelf.measure([target])

    def refuse() -> None:
        raise RunLockedError("it is another's")

    shelf.guard = refuse
    with pytest.raises(RunLockedError):
        shelf.put(uploads)
    with pytest.raises(RunLockedError):
        shelf.remove(["audio/a.wav"])
    assert bucket.read("run/audio/a.wav") == b"theirs"
    shelf.guard = lambda: None
    shelf.put(uploads)
    shelf.guard = refuse
    shelf.put(uploads)
    assert bucket.read("run/audio/a.wav") == b"ours"


def test_a_report_is_not_shown_once_the_run_is_anothers(bucket: Seen, tmp_path: Path) -> None:
    """Whoever is paused between two of them leaves alone what the other has written since."""
    shelf = make_shelf(bucket, tmp_path)
    names = ("results.jsonl", "failed.jsonl", "summary.json")
    for name in names:
        (tmp_path / name).write_text("ours")

    def be_taken_over() -> None:
        if bucket.keys():
            raise RunLockedError("it is another's")

    shelf.glance = be_taken_over
    with pytest.raises(RunLockedError):
        shelf.show(names)
    assert bucket.keys() == ["run/results.jsonl"]
