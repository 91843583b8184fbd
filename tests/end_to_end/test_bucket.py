"""Whole runs into a bucket: results there and not here, the commands that use them, and what is refused."""

import errno
import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import pytest

import batchjobs
from batchjobs.errors import UsageError
from batchjobs.files.run_folder import BUCKET, HELD
from batchjobs.storage import bucket as storage
from tests.clocks import PATIENCE_SECONDS, until
from tests.commands import Command, process
from tests.s3 import Bucket
from tests.s3_faults import Act, Fault, fault_proxy
from tests.tapes import write_side, write_tape_manifest
from tests.whole_runs import ARABIC, results, summary, write_manifest

TONE = ("--engine", "tone")
RUN = Path("outputs") / "ليلة"


@pytest.fixture
def manifest(folder: Path) -> Path:
    """A manifest of four rows, of which two ask the same."""
    rows = [{"id": f"r{number}", "text": text} for number, text in enumerate(ARABIC[:3])]
    return write_manifest(folder / "talks.csv", [*rows, {"id": "same", "text": ARABIC[0]}])


@pytest.fixture
def place(bucket: Bucket) -> str:
    """A place in the bucket."""
    return bucket.url("runs/ليلة")


def local_files(run: Path) -> set[str]:
    """Name the results that stand in a run folder."""
    return {
        path.name for path in run.rglob("*") if path.suffix in {".wav", ".flac", ".txt", ".part"}
    }


def test_results_are_there_and_not_here(
    command: Command, manifest: Path, bucket: Bucket, place: str
) -> None:
    """Each under its name, with the reports; nothing is done twice, and a copy is no purchase."""
    assert command("run", manifest, "-o", place, *TONE).code == 0
    names = set(bucket.keys("runs/ليلة/"))
    for name in ("r0", "r1", "r2", "same"):
        assert f"runs/ليلة/audio/{name}.wav" in names
    assert bucket.read("runs/ليلة/audio/r0.wav") == bucket.read("runs/ليلة/audio/same.wav")
    assert local_files(RUN) == set()
    for name in ("results.jsonl", "failed.jsonl", "summary.json"):
        assert bucket.read(f"runs/ليلة/{name}") == (RUN / name).read_bytes()
    assert summary(RUN)["attempts"] == 3
    again = command("run", manifest, "-o", place, *TONE)
    assert (again.code, summary(RUN)["attempts"]) == (0, 3)
    assert "nothing to do" in again.out
    assert command("verify", RUN).code == 0


def test_a_result_that_was_deleted_there_is_made_again(
    command: Command, manifest: Path, bucket: Bucket, place: str
) -> None:
    """As in a folder: one list tells what is there; and what was changed there, `verify` finds."""
    assert command("run", manifest, "-o", place, *TONE).code == 0
    before = bucket.read("runs/ليلة/audio/r1.wav")
    bucket.delete("runs/ليلة/audio/r1.wav")
    bucket.put("runs/ليلة/audio/r2.wav", bytes(len(bucket.read("runs/ليلة/audio/r2.wav"))))
    found = command("verify", RUN)
    assert found.code == 1
    assert "r1.wav: is missing" in found.out + found.err
    assert "r2.wav: its content has changed" in found.out + found.err
    assert command("run", manifest, "-o", place, *TONE).code == 0
    assert bucket.read("runs/ليلة/audio/r1.wav") == before
    assert summary(RUN)["attempts"] == 5
    assert command("verify", RUN).code == 0


def test_results_in_doubt_are_kept_there_and_accepted(
    command: Command, manifest: Path, bucket: Bucket, place: str, folder: Path
) -> None:
    """Accepted, they stand under their names, and whoever takes over knows it."""
    faulty = ("--fault", "truncate", "--attempts", "1")
    found = command("run", manifest, "-o", place, *TONE, *faulty)
    assert found.code == 1
    assert f"listen to {place}/suspect, then: " in found.out + found.err
    assert f"listen to {place}/suspect, then: " in command("status", RUN).out
    kept = set(bucket.keys("runs/ليلة/suspect/"))
    assert kept
    count = summary(RUN)["suspect"]
    content = bucket.read("runs/ليلة/suspect/r0.wav")
    assert command("accept", RUN, "--all").code == 0
    assert bucket.keys("runs/ليلة/suspect/") == []
    assert bucket.read("runs/ليلة/audio/r0.wav") == content
    (folder / "other").mkdir()
    other = ("-o", place, "--work-folder", "other/run", "--take-over")
    taken = command("run", manifest, *other, *TONE)
    assert taken.code == 0
    assert "nothing to do" in taken.out
    assert summary(folder / "other" / "run")["done"] == count == 4


def test_results_are_brought_for_those_who_read_them(
    command: Command, manifest: Path, bucket: Bucket, place: str, folder: Path
) -> None:
    """A page, a dataset, an audiobook: made of what is there, which goes again."""
    assert command("run", manifest, "-o", place, *TONE).code == 0
    assert command("report", RUN).code == 0
    assert b"audio/r0.wav" in bucket.read("runs/ليلة/report.html")
    assert command("export", RUN, "--to", "ljspeech", "-o", "set").code == 0
    assert len(list((folder / "set").rglob("*.wav"))) == 4
    refused = command("export", RUN, "--to", "ljspeech", "-o", "linked", "--link", "symbolic")
    assert (refused.code, "leave out --link" in refused.err) == (2, True)
    assert command("bind", RUN, "-o", "book.m4b").code == 0
    assert (folder / "book.m4b").stat().st_size
    assert local_files(RUN) == set()


def test_a_watch_puts_nothing_there(command: Command, place: str, folder: Path) -> None:
    """It is told before anything is done or paid, and what serves instead."""
    refused = command("watch", folder, "-o", place)
    assert (refused.code, "'scan' and 'run'" in refused.err) == (2, True)


def test_a_refused_manifest_leaves_no_trace(
    command: Command, manifest: Path, bucket: Bucket, place: str
) -> None:
    """Neither here nor there: the place is free for the next."""
    manifest.write_text("id,text\na,\n")
    assert command("run", manifest, "-o", place, *TONE).code == 65
    assert bucket.keys() == []
    assert not RUN.exists()


def test_a_file_of_somebody_else_is_not_written_over(
    command: Command, manifest: Path, bucket: Bucket, place: str
) -> None:
    """What stands there already is somebody's."""
    bucket.put("runs/ليلة/audio/r1.wav", b"theirs")
    refused = command("run", manifest, "-o", place, *TONE)
    assert refused.code == 73
    assert "r1.wav is there already and is not this run's" in refused.err
    assert bucket.objects() == {"runs/ليلة/audio/r1.wav": b"theirs"}


@pytest.mark.parametrize(
    ("status", "code", "words"), [(403, 73, "may not be used"), (500, 74, "cannot be used")]
)
def test_a_bucket_that_refuses_is_told_before_anything_is_spent(
    command: Command,
    manifest: Path,
    bucket: Bucket,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    status: int,
    code: int,
    words: str,
) -> None:
    """In a sentence, with what to do."""
    monkeypatch.setattr(storage, "_HASTY_SECONDS", 0.5)
    fault = Fault(act=Act.ANSWER, status=status, method="PUT", times=999)
    with fault_proxy(bucket.endpoint, fault) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        refused = command("run", manifest, "-o", place, *TONE)
    assert refused.code == code
    assert words in refused.err
    assert place in refused.err
    assert not RUN.exists()


def test_ctrl_c_ends_a_run_whose_store_does_not_answer(
    manifest: Path, bucket: Bucket, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one, at once: nothing has begun, and nothing is left."""
    asked = threading.Event()
    hang = Fault(act=Act.DELAY, method="PUT", seconds=3600.0, times=999, hook=asked.set)
    with fault_proxy(bucket.endpoint, hang) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        run = process("run", manifest, "-o", place, *TONE, stderr=subprocess.PIPE)
        with run:
            assert asked.wait(PATIENCE_SECONDS)
            run.send_signal(signal.SIGINT)
            _, complaints = run.communicate()
    assert run.returncode == -signal.SIGINT
    assert complaints.strip() == "stopped; the same command begins, or continues, where it was"
    assert not RUN.exists()


def test_no_bucket_and_no_credentials_are_told(
    command: Command, manifest: Path, bucket: Bucket, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By name; and keys are in the environment only."""
    gone = command("run", manifest, "-o", f"s3://{bucket.name}-gone/x", *TONE)
    assert (gone.code, "there is no bucket" in gone.err) == (73, True)
    monkeypatch.setattr(storage, "_HASTY_SECONDS", 0.5)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    without = command("run", manifest, "-o", place, *TONE)
    assert (without.code, "AWS_ACCESS_KEY_ID" in without.err) == (78, True)
    assert not RUN.exists()


def test_a_store_lost_on_the_way_ends_the_run_and_the_same_command_goes_on(
    command: Command, manifest: Path, bucket: Bucket, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 74 and how to continue; what was paid for by then is not bought again."""
    monkeypatch.setattr(storage, "PATIENT_SECONDS", 0.5)
    fault = Fault(act=Act.DROP_BEFORE, method="PUT", target="audio/", at=2, times=9_999)
    with fault_proxy(bucket.endpoint, fault) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        ended = command("run", manifest, "-o", place, *TONE, "-c", "1")
    assert ended.code == 74
    assert "run the same command again" in ended.err
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    assert command("run", manifest, "-o", place, *TONE).code == 0
    assert [line["id"] for line in results(RUN)] == ["r0", "r1", "r2", "same"]
    # One may have been written down together with what could not be put there: it never opened.
    assert summary(RUN)["attempts"] - summary(RUN)["attempts_lost"] == 3
    assert command("verify", RUN).code == 0


def test_a_plan_of_a_run_that_is_anothers_is_refused(
    command: Command, manifest: Path, place: str
) -> None:
    """It would say that all is new; in the run's own folder it says what is done."""
    assert command("run", manifest, "-o", place, *TONE).code == 0
    assert command("plan", manifest, "-o", place, *TONE).code == 0
    refused = command("plan", manifest, "-o", place, "--work-folder", "other", *TONE)
    assert (refused.code, "--take-over" in refused.err) == (75, True)
    assert json.loads((RUN / BUCKET).read_bytes())["address"] == place


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "talks.csv", "-o", "gs://talks/x"), "--output: 'gs://talks/x' is no place"),
        (("run", "talks.csv", "-o", "s3:/talks/x"), "give the text 's3://talks/x'"),
        (("plan", "talks.csv", "-o", "az://talks/x"), "speaks S3"),
        (("run", "https://example.com/talks.csv"), "'https://example.com/talks.csv' is no path"),
        (("run", "talks.csv", "--input-root", "file:///tmp"), "give the path alone: /tmp"),
        (("run", "talks.csv", "--key-file", "s3://talks/key"), "has to be on this machine"),
        (("status", "gs://talks/x"), "'gs://talks/x' is no path"),
        (("book", "s3://talks/book.epub"), "has to be on this machine"),
        (("watch", "S3://talks/inbox"), "has to be on this machine"),
        (("export", "outputs/x", "-o", "s3://talks/set"), "has to be on this machine"),
    ],
)
def test_what_would_become_a_folder_called_as_a_scheme_is_refused(
    command: Command, manifest: Path, folder: Path, words: tuple[str, ...], told: str
) -> None:
    """Wherever a place is named, in a sentence and before anything is done."""
    refused = command(*words)
    assert refused.code == 2
    assert told in " ".join(refused.err.split())
    assert sorted(path.name for path in folder.iterdir()) == [manifest.name]


def test_what_is_meant_as_an_address_is_refused_from_python(folder: Path, manifest: Path) -> None:
    """A path of Python's loses a slash."""
    for place in (Path("s3://talks/x"), "gs://talks/x"):
        with pytest.raises(UsageError, match="is no place in a bucket"):
            batchjobs.plan(manifest, batchjobs.Options(output=place))
    for source in (Path("s3://talks/m.csv"), "az://talks/m.csv"):
        with pytest.raises(UsageError, match="is no place in a bucket"):
            batchjobs.plan(source)
    with pytest.raises(UsageError, match="is no place in a bucket"):
        batchjobs.plan(manifest, batchjobs.Options(input_root=Path("s3://talks")))
    assert [path.name for path in folder.iterdir()] == [manifest.name]


def test_the_scheme_has_no_case(
    command: Command, manifest: Path, bucket: Bucket, place: str, folder: Path
) -> None:
    """The same command goes on, however it is typed."""
    assert command("run", manifest, "-o", place.replace("s3://", "S3://"), *TONE).code == 0
    assert "runs/ليلة/audio/r0.wav" in bucket.keys("runs/ليلة/")
    assert "nothing to do" in command("run", manifest, "-o", place, *TONE).out
    assert sorted(path.name for path in folder.iterdir()) == ["outputs", manifest.name]


def test_a_tape_that_was_joined_is_the_runs_own_on_another_machine(
    command: Command, bucket: Bucket, place: str, folder: Path
) -> None:
    """Its transcript is there, and whoever takes over neither refuses it nor loses it."""
    rows = [
        {"id": f"s{side}", "audio": f"{side}.wav", "group": ARABIC[0], "part": side}
        for side in (1, 2)
    ]
    for row in rows:
        write_side(folder / str(row["audio"]), f"{ARABIC[1]} {row['part']}.")
    manifest = write_tape_manifest(folder / "tapes.csv", rows)
    assert command("run", manifest, "-o", place, *TONE).code == 0
    (joined,) = (
        name
        for name in bucket.keys("runs/ليلة/transcripts/")
        if "/s" not in name and name.endswith(".txt")
    )
    content = bucket.read(joined)
    (folder / "other").mkdir()
    other = ("-o", place, "--work-folder", "other/run")
    taken = command("run", manifest, *other, "--take-over", *TONE)
    assert taken.code == 0, taken.err
    assert "nothing to do" in taken.out
    assert command("verify", "other/run").code == 0
    assert bucket.read(joined) == content


def test_a_run_and_who_looks_beside_it_take_nothing_from_each_other(
    command: Command, bucket: Bucket, place: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both bring one transcript at once, and who ends first leaves the other's: it is copied, not bought."""
    rows: list[dict[str, object]] = [{"id": "a", "audio": "a.wav"}]
    write_side(folder / "a.wav", ARABIC[1])
    manifest = write_tape_manifest(folder / "talks.csv", rows)
    assert command("run", manifest, "-o", place, *TONE).code == 0
    write_tape_manifest(manifest, [*rows, {"id": "لا\u200dإلــه ١٢", "audio": "a.wav"}])
    last = r"/a\.vtt$"
    holds = [Fault(act=Act.HOLD, method="GET", target=last, at=at) for at in (1, 2)]
    with fault_proxy(bucket.endpoint, *holds) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        looking = process("verify", RUN, cwd=folder)
        until(lambda: [seen.status for seen in proxy.requests].count(200) == 3)
        running = process("run", manifest, "-o", place, *TONE, cwd=folder)
        until(lambda: proxy.count("GET", last) == 2)
        holds[0].until.set()
        assert looking.wait(PATIENCE_SECONDS) == 0
        holds[1].until.set()
        assert running.wait(PATIENCE_SECONDS) == 0
    assert (summary(RUN)["done"], summary(RUN)["attempts"]) == (2, 1)
    assert not (RUN / HELD).exists()


def test_a_reader_that_was_killed_leaves_nothing_to_the_next_run(
    command: Command,
    manifest: Path,
    bucket: Bucket,
    place: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it had brought goes; what another has that lives stays, though a run ends beside it."""
    assert command("run", manifest, "-o", place, *TONE).code == 0
    hold = Fault(act=Act.HOLD, method="GET", target=r"/r1\.wav$", times=2)
    with fault_proxy(bucket.endpoint, hold) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        readers = [process("report", RUN, cwd=folder), process("export", RUN, cwd=folder)]
        until(lambda: len(list((RUN / HELD).glob("*/audio/r0.wav"))) == 2)
        readers[0].kill()
        readers[0].wait()
        assert command("run", manifest, "-o", place, *TONE, "--retry-failed").code == 0
        assert len(list((RUN / HELD).glob("*/audio/r0.wav"))) == 1
        hold.until.set()
        assert readers[1].wait(PATIENCE_SECONDS) == 0
    assert not (RUN / HELD).exists()


def test_a_disk_that_is_full_of_results_that_are_read_is_told(
    command: Command, manifest: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever brings them here for a while says which disk, and how to go on; nothing stays behind."""
    assert command("run", manifest, "-o", place, *TONE).code == 0

    def write(descriptor: int, content: memoryview) -> int:
        del descriptor, content
        raise OSError(errno.ENOSPC, "No space left on device")

    for words in (
        ("export", RUN, "--to", "ljspeech", "-o", "set"),
        ("bind", RUN, "-o", "book.m4b"),
        ("report", RUN),
        ("verify", RUN),
    ):
        with monkeypatch.context() as full:
            full.setattr(os, "write", write)
            told = command(*words)
        assert told.code == 74, (words, told.err)
        assert "no space left" in told.err.lower() or "full" in told.err, words
        assert "→" in told.err, words
        assert local_files(RUN) == set(), words


def test_what_no_row_needs_is_removed_there(
    command: Command, manifest: Path, bucket: Bucket, place: str, folder: Path
) -> None:
    """Only what is as it was made; whoever takes the run over does not look for it."""
    assert command("run", manifest, "-o", place, *TONE).code == 0
    rows = [{"id": "r0", "text": ARABIC[0]}, {"id": "new", "text": ARABIC[3]}]
    write_manifest(manifest, rows)
    assert command("run", manifest, "-o", place, *TONE).code == 0
    changed = "runs/ليلة/audio/r1.wav"
    bucket.put(changed, bytes(len(bucket.read(changed))))
    before = bucket.objects()
    shown = command("prune", RUN)
    assert shown.code == 0, shown.err
    assert bucket.objects() == before
    assert command("prune", RUN, "--yes").code == 0
    names = set(bucket.keys("runs/ليلة/audio/"))
    assert names == {f"runs/ليلة/audio/{name}.wav" for name in ("r0", "r1", "new")}
    assert local_files(RUN) == set()
    (folder / "other").mkdir()
    other = ("-o", place, "--work-folder", "other/run", "--take-over")
    taken = command("run", manifest, *other, *TONE)
    assert (taken.code, "nothing to do" in taken.out) == (0, True)
    found = command("verify", "other/run")
    told = found.out + found.err
    assert ("r1.wav: its content has changed" in told, "is missing" in told) == (True, False)
    refused = command("prune", RUN, "--yes")
    assert (refused.code, "--take-over" in refused.err) == (75, True)


def test_a_run_with_nothing_to_do_sends_no_copy(
    command: Command, manifest: Path, bucket: Bucket, place: str, folder: Path
) -> None:
    """It would be as large as the manifest; whoever takes over all the same has all that is done."""
    there = "runs/ليلة/checkpoint.sqlite3/snapshot/"
    assert command("run", manifest, "-o", place, *TONE).code == 0
    first = bucket.keys(there)
    assert command("run", manifest, "-o", place, *TONE).code == 0
    assert bucket.keys(there) == first
    rows = [{"id": f"r{number}", "text": text} for number, text in enumerate(ARABIC[:2])]
    write_manifest(manifest, rows)
    assert "nothing to do" in command("run", manifest, "-o", place, *TONE).out
    assert bucket.keys(there) == first
    write_manifest(manifest, [*rows, {"id": "new", "text": ARABIC[4]}])
    assert command("run", manifest, "-o", place, *TONE).code == 0
    assert bucket.keys(there) != first
    (folder / "other").mkdir()
    other = ("-o", place, "--work-folder", "other/run", "--take-over")
    assert "nothing to do" in command("run", manifest, *other, *TONE).out
    assert summary(folder / "other" / "run")["done"] == 3


def test_what_is_accepted_goes_up_in_one_copy(
    command: Command, manifest: Path, bucket: Bucket, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy is as large as the manifest: there is none for each result."""
    faulty = ("--fault", "truncate", "--attempts", "1")
    assert command("run", manifest, "-o", place, *TONE, *faulty).code == 1
    with fault_proxy(bucket.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        assert command("accept", RUN, "--all").code == 0
    assert summary(RUN)["done"] == 4
    assert proxy.count("PUT", "/snapshot/") == 1
