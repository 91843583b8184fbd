"""A place in a bucket as a manifest: each content once, fetched once, and what is left out is named."""

import json
import shlex
from pathlib import Path

import pytest

from batchjobs.errors import ServiceUnavailableError
from batchjobs.files.address import Address
from batchjobs.manifest.bucket_scan import BucketScan, Work
from batchjobs.manifest.left_out import list_beside
from batchjobs.storage import reading
from tests.builders import ARABIC, write_recording
from tests.commands import Command
from tests.s3 import Bucket
from tests.s3_faults import Act, Fault, fault_proxy

RATE = 16_000
NAMES = ("السَّلامُ عَلَيْكُمـ ١٢.wav", "عام/می\u200cخواهم لا\u200dإله.wav", "a+b %2e#1/mixed نص.wav")


def sound(folder: Path, seconds: float, *, value: int = 0) -> bytes:
    """Make a recording."""
    path = folder / "sound.wav"
    write_recording(path, bytes([value, 1]) * round(RATE * seconds), RATE)
    content = path.read_bytes()
    path.unlink()
    return content


def fill(bucket: Bucket, folder: Path) -> None:
    """Put recordings there, and other things."""
    for number, name in enumerate(NAMES, start=1):
        bucket.put(f"talks/{name}", sound(folder, number / 2))
    bucket.put("talks/same.wav", sound(folder, 0.5))
    bucket.put("talks/alike.wav", sound(folder, 0.5, value=7))
    bucket.put("talks/without ending", sound(folder, 3.0))
    bucket.put("talks/notes.txt", ARABIC.encode())
    bucket.put("talks/broken.wav", b"RIFF\0\0\0\0WAVE")
    bucket.put("talks/half.wav.part", sound(folder, 4.0))
    bucket.put("talks/empty.wav", b"")
    bucket.put("talks2/other.wav", sound(folder, 5.0))


def rows(manifest: Path) -> list[dict[str, object]]:
    """Read a manifest."""
    return [json.loads(line) for line in manifest.read_text("utf-8").splitlines()]


def test_each_content_is_found_once_and_the_rest_is_named(bucket: Bucket, tmp_path: Path) -> None:
    """By what it holds, not by its name; a neighbour of the place's name is not looked at."""
    fill(bucket, tmp_path)
    manifest = tmp_path / "talks.jsonl"
    works: list[Work] = []
    found = BucketScan(Address(bucket.name, "talks"), manifest).run(works.append)
    lengths = {row["audio"]: row["seconds"] for row in rows(manifest)}
    assert lengths == {
        "same.wav": 0.5,
        NAMES[1]: 1.0,
        NAMES[2]: 1.5,
        "alike.wav": 0.5,
        "without ending": 3.0,
    }
    assert found.seconds == 6.5
    assert len({row["id"] for row in rows(manifest)}) == found.new == 5
    causes = {item.path: item.cause.name for item in found.left_out}
    assert causes == {
        NAMES[0]: "DUPLICATE",
        "notes.txt": "NO_RECORDING",
        "empty.wav": "NO_RECORDING",
        "half.wav.part": "ARRIVING",
        "broken.wav": "UNREADABLE",
    }
    assert list_beside(manifest).is_file()
    assert [path.name for path in tmp_path.iterdir() if "fetched" in path.name] == []
    assert (works[-1].done, works[-1].recordings) == (7, 7)
    assert works[0].size > 6.5 * 2 * RATE


def test_what_is_known_is_not_fetched_again(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan adds what is new, keeps rows byte for byte, and says what is gone."""
    fill(bucket, tmp_path)
    place, manifest = Address(bucket.name, "talks"), tmp_path / "talks.jsonl"
    BucketScan(place, manifest).run()
    before = manifest.read_bytes().rstrip(b"\n")
    manifest.write_bytes(before)
    bucket.put("talks/جديد.wav", sound(tmp_path, 7.0))
    bucket.delete("talks/alike.wav")
    with fault_proxy(bucket.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        found = BucketScan(place, manifest).run()
        fetched = [seen.target for seen in proxy.requests if seen.target.endswith(".wav")]
    assert (found.new, found.gone) == (1, ["alike.wav"])
    # What was left out is looked at again, and what it may be the same as; nothing else is.
    assert {Path(target).name for target in fetched} == {
        *("same.wav", Path(NAMES[0]).name, "broken.wav", "جديد.wav")
    }
    assert manifest.read_bytes().startswith(before + b"\n")
    assert rows(manifest)[-1]["audio"] == "جديد.wav"


def test_a_scan_that_broke_off_goes_on_where_it_was(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was fetched by then is in the manifest."""
    monkeypatch.setattr(reading, "PATIENT_SECONDS", 0.2)
    fill(bucket, tmp_path)
    place, manifest = Address(bucket.name, "talks"), tmp_path / "talks.jsonl"
    # The first request for it is for its beginning, which says that it is a recording.
    lost = Fault(act=Act.ANSWER, status=500, method="GET", target="without ending", at=2, times=999)
    with fault_proxy(bucket.endpoint, lost) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with pytest.raises(ServiceUnavailableError, match="without ending"):
            BucketScan(place, manifest).run()
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    done = len(rows(manifest))
    assert done
    found = BucketScan(place, manifest).run()
    assert found.known == done
    assert len(rows(manifest)) == done + found.new


def test_a_place_is_scanned_and_run(command: Command, bucket: Bucket, folder: Path) -> None:
    """The next step is told word for word; what cannot be is told in a sentence."""
    fill(bucket, folder)
    place = bucket.url("talks")
    done = command("scan", place)
    assert done.code == 0, done.err
    assert "to be fetched: 7 recordings" in done.err
    assert "talks.jsonl: 5 new recordings" in done.out
    (step,) = (line for line in done.out.splitlines() if line.startswith("next: "))
    words = shlex.split(step.removeprefix("next: "))
    planned = command(*words[words.index("plan") :], "--engine", "tone")
    assert planned.code == 0, planned.err
    assert "5 rows" in planned.out
    nothing = command("scan", bucket.url("none"))
    assert (nothing.code, "there is nothing below" in nothing.err) == (65, True)
    watched = command("scan", place, "--watch")
    assert (watched.code, "cannot watch a bucket" in watched.err) == (2, True)
    gone = command("scan", f"s3://{bucket.name}-gone/x")
    assert (gone.code, "there is no bucket" in gone.err) == (78, True)
