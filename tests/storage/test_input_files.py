"""Files that rows name: those in a bucket come once, stay while they are read, and leave nothing."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchjobs.errors import RecordingError
from batchjobs.files.address import Address
from batchjobs.storage import input_files
from batchjobs.storage.input_files import InputFiles
from batchjobs.storage.reading import FileFacts
from tests.s3 import Bucket
from tests.s3_faults import Act, Fault, FaultProxy, fault_proxy

NAME = "مقابلات/اللِّقاءُ الأوَّلـ ١ \u200f#1+%20.wav"


@pytest.fixture
def proxy(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A proxy before the bucket, which counts."""
    with fault_proxy(bucket.endpoint) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
        yield made


@pytest.fixture
def files(tmp_path: Path, proxy: FaultProxy) -> Iterator[InputFiles]:
    """Files of a run, which stay in a folder of it."""
    with closing(InputFiles()) as made:
        made.keep_in(tmp_path / "fetched")
        yield made
    assert not (tmp_path / "fetched").exists()


def test_a_local_file_is_only_looked_at(tmp_path: Path) -> None:
    """A path is what it was: nothing is copied, and its time tells whether it changed."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"sound")
    with closing(InputFiles()) as files, files.borrow(str(path)) as file:
        assert file.path == path
        assert file.facts == FileFacts(5, path.stat().st_mtime_ns)
        assert files.is_as_it_was(str(path), file.facts)
        path.unlink()
        assert not files.is_as_it_was(str(path), file.facts)


def test_nothing_is_fetched_before_its_path_is_asked_for(
    bucket: Bucket, proxy: FaultProxy, files: InputFiles
) -> None:
    """What an object is, is known without its content."""
    bucket.put(NAME, b"sound")
    with files.borrow(bucket.url(NAME)) as file:
        assert file.facts.bytes == 5
        assert proxy.count("GET") == 0
        assert file.path.read_bytes() == b"sound"
        assert file.path.suffix == ".wav"
    assert proxy.count("GET") == 1


def test_what_was_fetched_stays_for_the_next_reader(
    bucket: Bucket, proxy: FaultProxy, files: InputFiles, tmp_path: Path
) -> None:
    """Planning and a session read one fetched file; after the last reader it is gone."""
    bucket.put(NAME, b"sound")
    with files.borrow(bucket.url(NAME)) as file:
        facts, path = file.facts, file.path
    with files.borrow(bucket.url(NAME), facts, is_last=True) as file:
        assert file.path == path
        assert path.read_bytes() == b"sound"
    assert not path.exists()
    assert proxy.count("GET") == 1


def test_without_room_nothing_stays(
    bucket: Bucket,
    proxy: FaultProxy,
    files: InputFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A disk is not filled with what may be read again: only what is being read is there."""
    monkeypatch.setattr(input_files, "_SHARE_OF_FREE", 0.0)
    files.keep_in(tmp_path / "fetched")
    for number in range(3):
        bucket.put(f"{number}.wav", b"sound")
        with files.borrow(bucket.url(f"{number}.wav")) as file:
            assert [file.path] == list((tmp_path / "fetched").iterdir())
        assert list((tmp_path / "fetched").iterdir()) == []


def test_a_file_in_use_is_not_taken_away(bucket: Bucket, files: InputFiles) -> None:
    """Two readers share a file, and the first to end leaves it to the other."""
    bucket.put("a.wav", b"sound")
    with files.borrow(bucket.url("a.wav"), is_last=True) as first:
        with files.borrow(bucket.url("a.wav"), is_last=True) as second:
            assert first.path == second.path
        assert first.path.read_bytes() == b"sound"
    assert not first.path.exists()


def test_readers_at_the_same_time_fetch_once(
    bucket: Bucket, proxy: FaultProxy, files: InputFiles
) -> None:
    """Threads that want the same object wait for one request."""
    bucket.put("a.wav", b"sound")
    facts = files.look_up(bucket.url("a.wav"))
    proxy.faults.append(Fault(act=Act.DELAY, method="GET", seconds=0.2))
    start = threading.Barrier(8)
    seen: list[bytes] = []

    def read() -> None:
        start.wait()
        with files.borrow(bucket.url("a.wav"), facts) as file:
            seen.append(file.path.read_bytes())

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [b"sound"] * 8
    assert proxy.count("GET") == 1


def test_many_are_asked_after_and_fetched_ahead(
    bucket: Bucket, proxy: FaultProxy, files: InputFiles, tmp_path: Path
) -> None:
    """Requests overlap: each object is asked after once and fetched once, in a window that moves."""
    names = [bucket.url(f"{number}.wav") for number in range(50)]
    for number in range(50):
        bucket.put(f"{number}.wav", b"sound %d" % number)
    files.ask_ahead([*names, str(tmp_path)])
    files.fetch_ahead([(name, files.look_up(name)) for name in names])
    assert proxy.count("GET") <= 16
    for number, name in enumerate(names):
        with files.borrow(name, is_last=True) as file:
            assert file.path.read_bytes() == b"sound %d" % number
            assert len(list((tmp_path / "fetched").iterdir())) <= 17
    assert (proxy.count("HEAD"), proxy.count("GET")) == (50, 50)


def test_what_nobody_comes_for_makes_room(
    bucket: Bucket, files: InputFiles, tmp_path: Path
) -> None:
    """Objects fetched ahead in vain do not keep others from being fetched."""
    for number in range(40):
        bucket.put(f"{number}.wav", b"sound")
    names = [bucket.url(f"{number}.wav") for number in range(40)]
    files.fetch_ahead([(name, files.look_up(name)) for name in names[:20]])
    files.fetch_ahead([(name, files.look_up(name)) for name in names[20:]])
    for name in names[20:]:
        with files.borrow(name, is_last=True) as file:
            assert file.path.read_bytes() == b"sound"


def test_what_stays_takes_no_memory(bucket: Bucket, files: InputFiles, tmp_path: Path) -> None:
    """Of a hundred thousand files that stay, the disk alone knows; the room that they take is counted."""
    for number in range(5):
        bucket.put(f"{number}.wav", b"sound")
        with files.borrow(bucket.url(f"{number}.wav")) as file:
            print(file.path)
    assert len(list((tmp_path / "fetched").iterdir())) == 5
    assert (len(files._fetched), files._bytes) == (0, 25)
    for number in range(5):
        with files.borrow(bucket.url(f"{number}.wav"), is_last=True) as file:
            print(file.path)
    assert (list((tmp_path / "fetched").iterdir()), files._bytes) == ([], 0)


def test_a_killed_runs_files_are_used_again(
    bucket: Bucket, proxy: FaultProxy, tmp_path: Path
) -> None:
    """What was whole when a run was killed need not come again; a half file is none."""
    bucket.put("a.wav", b"sound")
    killed = InputFiles()
    killed.keep_in(tmp_path / "fetched")
    with killed.borrow(bucket.url("a.wav")) as file:
        path = file.path
    path.with_name(f".{path.name}.part").write_bytes(b"so")
    with closing(InputFiles()) as files:
        files.keep_in(tmp_path / "fetched")
        assert files._bytes == len(b"sound") + len(b"so")
        with files.borrow(bucket.url("a.wav")) as file:
            assert file.path == path
    assert proxy.count("GET") == 1
    assert not (tmp_path / "fetched").exists()


def test_what_cannot_be_had_is_said_of_the_recording(
    bucket: Bucket, proxy: FaultProxy, files: InputFiles
) -> None:
    """An object that is gone, or is another one than was planned, is a mistake of its row."""
    with pytest.raises(RecordingError, match="there is no object 's3://"):
        files.look_up(bucket.url("gone.wav"))
    bucket.put("a.wav", b"sound")
    facts = files.look_up(bucket.url("a.wav"))
    bucket.put("a.wav", b"other")
    assert not files.is_as_it_was(bucket.url("a.wav"), facts)
    borrowed = files.borrow(bucket.url("a.wav"), facts)
    with (
        borrowed as file,
        pytest.raises(RecordingError, match="has changed since it was looked at"),
    ):
        print(file.path)
    bucket.delete("a.wav")
    borrowed = files.borrow(bucket.url("a.wav"), facts)
    with borrowed as file, pytest.raises(RecordingError, match="there is no object"):
        print(file.path)


def test_a_fetch_that_failed_is_tried_again(
    bucket: Bucket, proxy: FaultProxy, files: InputFiles
) -> None:
    """A failure stays with those who waited for it, and the next one asks anew."""
    bucket.put("a.wav", b"sound")
    proxy.faults.append(Fault(act=Act.ANSWER, method="GET", status=404))
    name = bucket.url("a.wav")
    with files.borrow(name) as file, pytest.raises(RecordingError):
        print(file.path)
    with files.borrow(name) as file:
        assert file.path.read_bytes() == b"sound"


def test_mistakes_call_a_file_what_its_row_does(bucket: Bucket, files: InputFiles) -> None:
    """Where an object lies for now says nothing to anybody."""
    bucket.put(NAME, b"sound")
    with pytest.raises(RecordingError) as told, files.borrow(bucket.url(NAME)) as file:
        raise RecordingError(f"{file.path} holds no audio")
    assert told.value.message == f"{bucket.url(NAME)} holds no audio"


def test_a_small_object_is_read_and_a_manifest_opened(bucket: Bucket, files: InputFiles) -> None:
    """Texts and manifests are not kept as files."""
    bucket.put("a.txt", "نصٌّ")
    assert files.read(bucket.url("a.txt"), 100).decode() == "نصٌّ"
    with files.open(Address(bucket.name, "a.txt")) as stream:
        assert stream.read().decode() == "نصٌّ"
    with pytest.raises(RecordingError, match="there is no object"):
        files.read(bucket.url("b.txt"), 100)
