"""Runs whose manifest, recordings and texts lie in a bucket of a real S3 server."""

import gzip
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
import trio

import batchjobs
from batchjobs.files import run_folder
from batchjobs.storage import input_files, reading
from tests.calls import RATE, rest, speak, write_channels
from tests.commands import Command, process
from tests.s3 import Bucket
from tests.s3_faults import Act, Fault, FaultProxy, fault_proxy
from tests.whole_runs import environment, results, summary

SAID = {
    "مقابلة ١ ـ السَّلامُ.wav": "السَّلامُ عَلَيْكُـــم ",
    "folder/می\u200cخواهم \u200f#1.wav": "می\u200cخواهم لا\u200dإله ",
    "a+b %2e%2e %2F.flac": "mixed نص ٧٨ ok. ",
    "..c?x=1&y=2.wav": "Hello there. ",
}
"""What each recording says, by its name."""
TONE = ("--engine", "tone")
RECORDING = r"\.(wav|flac)$"


def record(text: str, name: str = "x.wav") -> bytes:
    """Speak a text as tones, into a file."""
    file = io.BytesIO()
    soundfile.write(file, speak(text), RATE, format=name.rpartition(".")[2].upper())
    return file.getvalue()


def write_talks(bucket: Bucket, folder: str = "talks/") -> dict[str, str]:
    """Put recordings and their manifest into a bucket; gives what each row says."""
    rows = {f"r{number}": name for number, name in enumerate(SAID)}
    for name, text in SAID.items():
        bucket.put(f"{folder}{name}", record(text, name))
    table = "".join(f"{key},{name}\n" for key, name in rows.items())
    bucket.put(f"{folder}m.csv", f"id,audio\n{table}")
    return {key: SAID[name].strip() for key, name in rows.items()}


def transcripts(folder: str | Path) -> dict[str, str]:
    """What a run has heard, by id."""
    found = ((result["id"], result["output"]) for result in results(Path(folder)))
    return {key: (Path(folder) / output).read_text().strip() for key, output in found}


@pytest.fixture
def proxy(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """A proxy before the bucket, and nobody who waits long for it."""
    monkeypatch.setattr(reading, "PATIENT_SECONDS", 0.5)
    with fault_proxy(bucket.endpoint) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
        yield made


def test_a_run_from_a_bucket_fetches_each_recording_once(
    command: Command, bucket: Bucket, proxy: FaultProxy
) -> None:
    """Planned, heard, skipped when it comes again: one request for each recording's content in all."""
    said = write_talks(bucket)
    assert command("run", bucket.url("talks/m.csv"), *TONE).code == 0
    assert transcripts("outputs/m") == said
    assert proxy.count("GET", RECORDING) == len(SAID)
    assert not list(Path("outputs/m").glob("*.fetched"))

    again = command("run", bucket.url("talks/m.csv"), *TONE)
    assert (again.code, "nothing to do" in again.out) == (0, True)
    assert proxy.count("GET") == len(SAID) + 1  # not even the manifest is read again
    assert command("plan", bucket.url("talks/m.csv"), *TONE).code == 0
    assert proxy.count("GET", RECORDING) == len(SAID)


@pytest.mark.parametrize(
    "name", ["m.jsonl", "m.jsonl.gz", "m.csv.gz", "m.tsv", "جدول ١#1.csv", "m"]
)
def test_every_form_of_a_manifest_comes_from_a_bucket(
    command: Command, bucket: Bucket, name: str
) -> None:
    """Its ending, or its first character, says what it is, as on the disk."""
    text = "السَّلامُ عَلَيْكُـــم ٧٨ لا\u200dإله"
    if "jsonl" in name:
        content = json.dumps({"id": "a", "text": text}).encode()
    else:
        mark = "\t" if name == "m.tsv" else ","
        content = f"id{mark}text\na{mark}{text}\n".encode()
    bucket.put(name, gzip.compress(content) if name.endswith(".gz") else content)
    assert command("run", bucket.url(name), *TONE, "-o", "out").code == 0
    Path("same.jsonl").write_text(json.dumps({"id": "a", "text": text}))
    ended = command("run", "same.jsonl", *TONE, "-o", "out")
    assert (ended.code, "nothing to do" in ended.out) == (0, True)


def test_what_is_moved_to_a_bucket_is_not_bought_again(command: Command, bucket: Bucket) -> None:
    """A recording and a text are what they hold, wherever they lie: the same purchase."""
    texts = {"t1.txt": "\ufeffنصٌّ طويــل ١٢\r\nسطر", "t2.txt": "Second."}
    for name, text in texts.items():
        Path(name).write_bytes(text.encode())
        bucket.put(f"in/{name}", text)
    for name in ("a.wav", "b.wav"):
        Path(name).write_bytes(record(f"say {name}. "))
        bucket.put(f"in/{name}", Path(name).read_bytes())
    table = "id,audio,text_file\n1,a.wav,\n2,b.wav,\n3,,t1.txt\n4,,t2.txt\n"
    Path("m.csv").write_text(table)
    bucket.put("in/m.csv", table)
    assert command("run", "m.csv", *TONE, "-o", "out").code == 0
    ended = command("run", bucket.url("in/m.csv"), *TONE, "-o", "out")
    assert (ended.code, "nothing to do" in ended.out) == (0, True), ended.out + ended.err


def test_texts_in_a_bucket_are_read_several_at_once(
    command: Command, bucket: Bucket, proxy: FaultProxy
) -> None:
    """Each comes once, exactly, and a mistake is told by its own row."""
    for number in range(40):
        bucket.put(f"in/{number}.txt", f"نصٌّ طويــل رقم {number} لا\u200dإله ")
    rows = [f"{number},{number}.txt" for number in range(40)]
    rows[7:9] = ["7,gone.txt", "8,../secret.txt"]
    bucket.put("in/m.csv", "id,text_file\n" + "\n".join(rows) + "\n")
    ended = command("run", bucket.url("in/m.csv"), *TONE)
    assert ended.code == 65
    assert "m.csv:9: column 'text_file': there is no object" in ended.err
    assert "m.csv:10: column 'text_file': the path '../secret.txt' leaves s3://" in ended.err
    assert proxy.count("GET", r"\.txt$") == 38 + 2  # a bad row is looked at again
    assert command("run", bucket.url("in/m.csv"), *TONE, "--skip-bad-rows").code == 1
    Path("same.jsonl").write_text(
        "".join(
            json.dumps({"id": str(number), "text": f"نصٌّ طويــل رقم {number} لا\u200dإله "}) + "\n"
            for number in range(40)
            if number not in {7, 8}
        )
    )
    ended = command("plan", "same.jsonl", *TONE, "-o", "outputs/m")
    assert "nothing to do" in ended.out or "38  done" in ended.out, ended.out


def test_rows_that_cannot_be_run_cost_nothing(
    command: Command, bucket: Bucket, proxy: FaultProxy
) -> None:
    """What is not there, leads out, or holds nothing is told by its line; no session opens."""
    bucket.put("talks/good.wav", record("good. "))
    bucket.put("talks/empty.wav", b"")
    bucket.put("talks/folder/", b"")
    bucket.put("talks/text.wav", "this is a text")
    bucket.put("secret.wav", record("secret. "))
    cells = (
        "good.wav",
        "gone.wav",
        "../secret.wav",
        f"s3://{bucket.name}/secret.wav",
        "s3://other/talks/good.wav",
        "/talks/good.wav",
        "folder/",
        "empty.wav",
        "text.wav",
        "%2e%2e/secret.wav",
    )
    bucket.put("talks/m.csv", "id,audio\n" + "".join(f"{n},{c}\n" for n, c in enumerate(cells)))
    ended = command("run", bucket.url("talks/m.csv"), *TONE)
    assert ended.code == 65
    told = {line.partition(": ")[0][-2:].strip(":"): line for line in ended.err.splitlines()}
    name = bucket.url("talks/m.csv")
    lines = [line for line in ended.err.splitlines() if line.startswith((name, "batchjobs: s3"))]
    assert [line.partition("m.csv:")[2].partition(":")[0] for line in lines] == [
        *map(str, range(3, 12))
    ], ended.err
    assert "there is no object" in lines[0]
    assert all("leaves s3://" in line for line in lines[1:5])
    assert "is no name of an object" in lines[5]
    assert "is empty" in lines[6] or "holds no" in lines[6]
    assert "there is no object" in lines[8]
    assert told
    assert not Path("outputs").exists() or not list(Path("outputs").rglob("checkpoint*"))
    assert not proxy.count(target=f"{bucket.name}/secret")


@pytest.mark.parametrize(
    ("fault", "code", "sentence"),
    [
        (Fault(act=Act.ANSWER, status=403, times=99), 77, "may not be read"),
        (Fault(act=Act.ANSWER, status=403, target="wav", times=99), 77, "may not be read"),
        (Fault(act=Act.ANSWER, status=403, target="wav", method="GET"), 77, "may not be read"),
        (Fault(act=Act.ANSWER, status=503, target="wav", times=99), 69, "cannot be read"),
        (Fault(act=Act.DROP_BEFORE, times=99), 69, "cannot be read"),
        (Fault(act=Act.ANSWER, status=404, target="csv", times=99), 65, "there is no such file"),
    ],
)
def test_a_store_that_refuses_ends_in_a_sentence(
    command: Command, bucket: Bucket, proxy: FaultProxy, fault: Fault, code: int, sentence: str
) -> None:
    """Who and why, with the right code; nothing is spent, nothing is left, and it goes on later."""
    said = write_talks(bucket)
    proxy.faults.append(fault)
    ended = command("run", bucket.url("talks/m.csv"), *TONE)
    assert (ended.code, sentence in ended.err) == (code, True), ended.err
    assert len(ended.err.splitlines()) <= 2
    proxy.faults.clear()
    assert command("run", bucket.url("talks/m.csv"), *TONE).code == 0
    assert transcripts("outputs/m") == said


@pytest.mark.parametrize("act", [Act.CUT, Act.DROP_BEFORE, Act.DROP_AFTER])
def test_every_request_may_break_once(
    command: Command, bucket: Bucket, proxy: FaultProxy, act: Act
) -> None:
    """A connection that breaks at whichever request is not noticed."""
    said = write_talks(bucket)
    method = "GET" if act is Act.CUT else ""
    proxy.faults += [Fault(act=act, at=number, method=method) for number in range(1, 12, 2)]
    assert command("run", bucket.url("talks/m.csv"), *TONE).code == 0
    assert transcripts("outputs/m") == said
    assert sum(seen.status == 0 or seen.sent_bytes > 0 for seen in proxy.requests) > 5


def test_a_manifest_that_is_exchanged_while_it_is_read_is_never_mixed(
    command: Command, bucket: Bucket, proxy: FaultProxy
) -> None:
    """Half of one and half of another is no manifest: it is read anew, unless there is no end to it."""
    before = "id,text\n" + "".join(f"{n},before number {n} {n * n}\n" for n in range(80_000))
    bucket.put("m.csv", before)

    def exchange() -> None:
        bucket.put("m.csv", f"id,text\na,text {len(proxy.requests)}\n")

    proxy.faults.append(Fault(act=Act.CUT, method="GET"))
    proxy.faults.append(Fault(act=Act.CALL, method="GET", at=2, hook=exchange))
    assert command("run", bucket.url("m.csv"), *TONE).code == 0
    assert summary(Path("outputs/m"))["rows"] == 1

    proxy.replace_faults(Fault(act=Act.CALL, method="GET", times=99, hook=exchange))
    ended = command("run", bucket.url("m.csv"), *TONE, "-o", "other")
    assert (ended.code, "changes while it is read" in ended.err) == (65, True), ended.err
    assert not Path("other").exists()


def test_a_manifest_that_changes_is_read_again(
    command: Command, bucket: Bucket, proxy: FaultProxy
) -> None:
    """What stood there when it was read was run; the next run sees what stands there now."""
    bucket.put("m.csv", "id,text\na,first\n")
    change = Fault(
        act=Act.CALL,
        method="HEAD",
        at=3,  # after it was read
        hook=lambda: bucket.put("m.csv", "id,text\na,first\nb,second\n"),
    )
    proxy.faults.append(change)
    assert command("run", bucket.url("m.csv"), *TONE).code == 0
    assert summary(Path("outputs/m"))["rows"] == 1
    assert command("run", bucket.url("m.csv"), *TONE).code == 0
    assert summary(Path("outputs/m"))["rows"] == 2


def test_a_recording_that_changes_before_its_session_is_not_heard_as_the_other(
    command: Command, bucket: Bucket, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was planned and priced as another one: its row fails, and the next run takes it anew."""
    monkeypatch.setattr(input_files, "_SHARE_OF_FREE", 0.0)  # it has to come twice
    bucket.put("a.wav", record("before. "))
    bucket.put("m.csv", "id,audio\na,a.wav\n")
    change = Fault(
        act=Act.CALL,
        method="GET",
        target="wav",
        at=2,
        hook=lambda: bucket.put("a.wav", record("after ١٢. ")),
    )
    proxy.faults.append(change)
    ended = command("run", bucket.url("m.csv"), *TONE)
    assert ended.code == 1
    assert "has changed since it was looked at" in Path("outputs/m/failed.jsonl").read_text()
    assert command("run", bucket.url("m.csv"), *TONE).code == 0
    assert transcripts("outputs/m") == {"a": "after ١٢."}


def test_an_exchanged_recording_is_heard_again(command: Command, bucket: Bucket) -> None:
    """Another content under the same name, in an unchanged manifest, is another request."""
    said = write_talks(bucket)
    assert command("run", bucket.url("talks/m.csv"), *TONE).code == 0
    name = next(iter(SAID))
    bucket.put(f"talks/{name}", record("كلام آخر. ", name))
    ended = command("run", bucket.url("talks/m.csv"), *TONE)
    assert (ended.code, "1 of 4" in ended.out or "4 of 4" in ended.out) == (0, True)
    assert transcripts("outputs/m") == said | {"r0": "كلام آخر."}


def test_recordings_that_are_gone_leave_what_is_done(command: Command, bucket: Bucket) -> None:
    """A transcript is done, though its recording has moved out of the bucket."""
    said = write_talks(bucket)
    assert command("run", bucket.url("talks/m.csv"), *TONE).code == 0
    bucket.delete(f"talks/{next(iter(SAID))}")
    ended = command("run", bucket.url("talks/m.csv"), *TONE)
    assert (ended.code, transcripts("outputs/m")) == (0, said)


def test_a_local_manifest_takes_recordings_from_an_input_root(
    command: Command, bucket: Bucket, tmp_path: Path
) -> None:
    """Relative or in full, below the root only; what is beside the manifest comes first."""
    bucket.put("archive/a.wav", record("archive a. "))
    bucket.put("archive/b/c.wav", record("archive c. "))
    bucket.put("archive2/a.wav", record("another. "))
    Path("here.wav").write_bytes(record("here. "))
    cells = ("here.wav", "a.wav", bucket.url("archive/b/c.wav"))
    Path("m.csv").write_text("id,audio\n" + "".join(f"{n},{c}\n" for n, c in enumerate(cells)))
    root = ("--input-root", bucket.url("archive"))
    assert command("run", "m.csv", *TONE, *root).code == 0
    assert transcripts("outputs/m") == {"0": "here.", "1": "archive a.", "2": "archive c."}
    for cell in (bucket.url("archive2/a.wav"), bucket.url("archive/../archive2/a.wav")):
        Path("bad.csv").write_text(f"id,audio\na,{cell}\n")
        for options in ((), root):
            ended = command("plan", "bad.csv", *TONE, *options)
            assert (ended.code, "below --input-root" in ended.err) == (65, True), ended.err


def test_a_manifest_in_a_bucket_has_a_second_place_too(command: Command, bucket: Bucket) -> None:
    """A recording that is not beside it is looked for below the root, which may be a folder."""
    bucket.put("m/m.csv", "id,audio\na,a.wav\nb,b.wav\n")
    bucket.put("m/a.wav", record("beside. "))
    bucket.put("archive/a.wav", record("not this. "))
    bucket.put("archive/b.wav", record("root. "))
    address = bucket.url("m/m.csv")
    assert command("run", address, *TONE, "--input-root", bucket.url("archive")).code == 0
    assert transcripts("outputs/m") == {"a": "beside.", "b": "root."}
    Path("local").mkdir()
    Path("local/b.wav").write_bytes(record("local. "))
    assert command("run", address, *TONE, "--input-root", "local", "-o", "other").code == 0
    assert transcripts("other") == {"a": "beside.", "b": "local."}


def test_two_sides_of_a_call_in_a_bucket_are_heard(
    command: Command, bucket: Bucket, proxy: FaultProxy, tmp_path: Path
) -> None:
    """A recording that is cut is fetched for that, and no longer; a damaged one is called by its name."""
    call = write_channels(
        tmp_path / "call.wav",
        speak("مَرْحَبًا بِكُـــم ١٢ "),
        [*rest(6), *speak("Hello there. ")],  # type: ignore[arg-type]  # samples all the same
    )
    bucket.put("مكالمة ١.wav", call.read_bytes())
    bucket.put("m.csv", "id,audio,channels\na,مكالمة ١.wav,apart\n")
    assert command("run", bucket.url("m.csv"), *TONE).code == 0
    assert transcripts("outputs/m") == {"a": "Left: مَرْحَبًا بِكُـــم ١٢\nRight: Hello there."}
    assert proxy.count("GET", RECORDING) == 1


def test_what_is_no_manifest_in_a_bucket_is_refused(command: Command, bucket: Bucket) -> None:
    """Of a bucket's own address a store gives the list of it, which is no manifest."""
    for address in (f"s3://{bucket.name}", f"s3://{bucket.name}/", "s3://", "s3:///m.csv"):
        ended = command("run", address, *TONE)
        assert (ended.code, "s3://" in ended.err) == (2, True), ended.err
    bucket.put("empty.csv", b"")
    ended = command("run", bucket.url("empty.csv"), *TONE)
    assert (ended.code, "is empty" in ended.err) == (65, True), ended.err


def test_the_input_root_may_stand_in_the_environment(
    command: Command, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every setting may, in the file of settings too."""
    bucket.put("archive/a.wav", record("archive a. "))
    Path("m.csv").write_text("id,audio\na,a.wav\n")
    monkeypatch.setenv("BATCHJOBS_INPUT_ROOT", bucket.url("archive"))
    assert command("run", "m.csv", *TONE).code == 0
    monkeypatch.delenv("BATCHJOBS_INPUT_ROOT")
    Path("batchjobs.toml").write_text(f'[run]\ninput_root = "{bucket.url("archive")}"\n')
    ended = command("run", "m.csv", *TONE)
    assert (ended.code, "nothing to do" in ended.out) == (0, True), ended.err


def test_rows_that_failed_are_a_manifest_whose_recordings_are_in_the_bucket(
    command: Command, bucket: Bucket
) -> None:
    """failed.jsonl is run as it is: its paths are relative to the manifest's place."""
    said = write_talks(bucket)
    faulty = ("--fault", "error:40001")
    assert command("run", bucket.url("talks/m.csv"), *TONE, *faulty).code == 1
    assert command("run", "outputs/m/failed.jsonl", *TONE, "-o", "again").code == 0
    assert transcripts("again") == said


def test_the_run_of_a_manifest_in_a_bucket_is_found(command: Command, bucket: Bucket) -> None:
    """It is named as it was run, and its command is told as it was typed."""
    write_talks(bucket)
    command("run", bucket.url("talks/m.csv"), *TONE, "--limit", 1)
    ended = command("status", bucket.url("talks/m.csv"))
    assert ended.code == 0
    assert "1 of 4 jobs done" in ended.out
    assert bucket.url("talks/m.csv") in ended.out
    other = command("status", bucket.url("other/m.csv"))
    assert (other.code, "is the run of another manifest" in other.err) == (2, True)


def test_a_recording_in_cold_storage_is_told_by_its_row(command: Command, bucket: Bucket) -> None:
    """It is one row's trouble, and no key's: the others can be run."""
    bucket.put("a.wav", record("here. "))
    bucket.client.put_object(
        Bucket=bucket.name, Key="b.wav", Body=record("cold. "), StorageClass="GLACIER"
    )
    bucket.put("m.csv", "id,audio\na,a.wav\nb,b.wav\n")
    ended = command("run", bucket.url("m.csv"), *TONE)
    assert (ended.code, "is in cold storage" in ended.err) == (65, True), ended.err
    assert command("run", bucket.url("m.csv"), *TONE, "--skip-bad-rows").code == 1
    assert transcripts("outputs/m") == {"a": "here."}


def test_damage_is_told_by_the_objects_own_name(command: Command, bucket: Bucket) -> None:
    """Where it lay for the session says nothing to anybody."""
    whole = record("a long recording that is damaged in its middle. " * 8, "x.flac")
    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 3000] = bytes(3000)
    bucket.put("تالف ١.flac", bytes(damaged))
    bucket.put("m.csv", "id,audio\na,تالف ١.flac\n")
    ended = command("run", bucket.url("m.csv"), *TONE, "--skip-bad-rows")
    failed = Path("outputs/m/failed.jsonl").read_text()
    assert ended.code == 1
    assert bucket.url("تالف ١.flac") in failed
    assert run_folder.FETCHED not in failed


def test_what_reads_no_bucket_says_so_or_goes_without(command: Command, bucket: Bucket) -> None:
    """A page has the texts without the sound, and nothing is fetched for it."""
    write_talks(bucket)
    assert command("run", bucket.url("talks/m.csv"), *TONE).code == 0
    assert command("report", "outputs/m").code == 0
    assert "mixed نص" in Path("outputs/m/report.html").read_text()
    assert command("verify", "outputs/m").code == 0
    assert command("prune", "outputs/m").code == 0


def test_workers_hear_what_is_in_a_bucket_and_results_go_there(
    command: Command, bucket: Bucket, folder: Path
) -> None:
    """The owner fetches for its workers and puts there what they wrote; nothing of either stays here."""
    said = write_talks(bucket)
    run = ("run", bucket.url("talks/m.csv"), "-o", bucket.url("heard"), "--workers", "2", *TONE)
    assert command(*run).code == 0
    heard = {line["id"]: str(line["output"]) for line in results(folder / "outputs/heard")}
    assert {
        key: bucket.read(f"heard/{path}").decode().strip() for key, path in heard.items()
    } == said
    kept = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert kept <= {".jsonl", ".json", ".sqlite3", ".bucket"}


def test_ctrl_c_ends_a_run_that_waits_for_a_dumb_store(
    bucket: Bucket, folder: Path, proxy: FaultProxy
) -> None:
    """A store that never answers holds nobody, and a run that had not begun leaves nothing."""
    write_talks(bucket)
    hang = Fault(
        act=Act.DELAY,
        method="GET",
        target="wav",
        seconds=3600.0,
        hook=lambda: os.kill(proxy.victim, signal.SIGINT),
    )
    proxy.faults.append(hang)
    go = "import sys; sys.stdin.readline(); from batchjobs.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", go, "run", bucket.url("talks/m.csv"), *TONE],
        env=environment(),
        stdin=-1,
        stderr=-1,
        text=True,
    ) as run:
        proxy.victim = run.pid
        _, complaints = run.communicate("\n")
    assert run.returncode == -signal.SIGINT
    assert "panicked" not in complaints
    assert not list(folder.rglob("*.fetched"))


async def test_a_run_that_is_cut_off_waits_for_no_fetch(
    bucket: Bucket, folder: Path, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording that is on its way to its session is given up with the run, which goes on later."""
    monkeypatch.setattr(input_files, "_SHARE_OF_FREE", 0.0)  # it has to come twice
    said = write_talks(bucket)
    options = batchjobs.Options(engine="tone", output=folder / "out")
    began = threading.Event()
    hang = Fault(
        act=Act.DELAY, method="GET", target="wav", at=len(SAID) + 1, seconds=3600.0, hook=began.set
    )
    proxy.faults.append(hang)
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def cut_off() -> None:
                await trio.to_thread.run_sync(began.wait)
                scope.cancel()

            nursery.start_soon(cut_off)
            await batchjobs.run_async(bucket.url("talks/m.csv"), options)
    assert began.is_set()
    assert not (folder / "out" / run_folder.FETCHED).exists()  # at the end
    proxy.replace_faults()
    report = await batchjobs.run_async(bucket.url("talks/m.csv"), options)
    assert (report.exit_code, transcripts(folder / "out")) == (0, said)


@pytest.mark.long
def test_a_run_killed_at_every_request_in_turn_goes_on(
    command: Command, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at each request, the same command goes on; what was fetched is used, and removed."""
    said = write_talks(bucket)
    arguments = ("run", bucket.url("talks/m.csv"), *TONE, "-q")
    kills = 0
    with fault_proxy(bucket.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        for number in range(1, 40):
            act = Act.KILL_AFTER if number % 2 else Act.KILL_BEFORE
            proxy.replace_faults(Fault(act=act, at=number))
            started = process(*arguments)
            proxy.victim = started.pid
            if started.wait() != -signal.SIGKILL:
                assert started.returncode == 0
                break
            kills += 1
    assert kills >= 4
    assert transcripts("outputs/m") == said
    assert not list(Path("outputs/m").glob("*.fetched"))


def test_recordings_in_a_bucket_are_exported(
    command: Command, bucket: Bucket, folder: Path
) -> None:
    """Fetched one by one, whole as the run heard them; what is another by now is named, nothing stays here."""
    write_talks(bucket)
    assert command("run", bucket.url("talks/m.csv"), *TONE).code == 0
    assert command("export", "outputs/m", "--to", "hf", "-o", "all").code == 0
    clips = [path for path in (folder / "all").rglob("*") if path.suffix in {".wav", ".flac"}]
    there = {bucket.read(f"talks/{name}") for name in SAID}
    assert {path.read_bytes() for path in clips} == there
    refused = command("export", "outputs/m", "--to", "hf", "-o", "linked", "--link", "hard")
    assert (refused.code, "leave out --link" in refused.err) == (2, True)
    bucket.put("talks/..c?x=1&y=2.wav", record("another"))
    changed = command("export", "outputs/m", "--to", "hf", "-o", "less")
    assert changed.code == 1
    assert "1 row whose file is missing or changed" in changed.err
    assert "r3" in changed.err
    assert not list(folder.rglob("fetched"))


def test_a_choice_of_a_manifest_in_a_bucket_stands_here(
    command: Command, bucket: Bucket, folder: Path
) -> None:
    """Its rows' files stay there: the next step says so, and nothing is bought twice."""
    bucket.put("talks/m.csv", "id,text_file\na,عام/١.txt\nb,عام/٢.txt\nc,عام/٣.txt\n".encode())
    for number, sign in enumerate("١٢٣"):
        bucket.put(f"talks/عام/{sign}.txt", (list(SAID.values())[number] * 9).encode())
    place = bucket.url("talks/m.csv")
    chosen = command("plan", place, "--select", "coverage", *TONE)
    assert chosen.code == 0, chosen.err
    assert (folder / "m.coverage.jsonl").is_file()
    (step,) = (line for line in chosen.out.splitlines() if line.startswith("next: "))
    assert f"--input-root {bucket.url('talks')}" in step
    words = shlex.split(step.removeprefix("next: "))
    assert command(*words[words.index("run") :]).code == 0
    bought = summary(folder / "outputs/m")["attempts"]
    assert command("run", place, *TONE).code == 0
    assert summary(folder / "outputs/m")["attempts"] == 3 >= bought
    two = command("plan", place, "--select", "coverage", "--input-root", bucket.url("x"), *TONE)
    assert (two.code, "two places" in two.err) == (2, True)


@pytest.mark.parametrize(
    ("audio", "told", "is_there"),
    [
        ("gs://talks/مقابلة.wav", "speaks S3", False),
        ("gs://talks/مقابلة.wav", "speaks S3", True),
        ("https://example.com/a.wav", "speaks S3", True),
        ("file:///talks/a.wav", "give the path alone: /talks/a.wav", False),
        ("s3:/talks/a.wav", "give the text 's3://talks/a.wav'", False),
    ],
)
def test_a_row_that_names_another_store_is_told_so(
    command: Command, bucket: Bucket, folder: Path, audio: str, told: str, *, is_there: bool
) -> None:
    """Beside its name: recordings are files, or objects of a store that speaks S3."""
    table = f"id,audio\na,{audio}\n"
    if is_there:
        bucket.put("talks/m.csv", table.encode())
    else:
        (folder / "m.csv").write_text(table)
    refused = command("plan", bucket.url("talks/m.csv") if is_there else "m.csv", *TONE)
    assert refused.code == 65
    assert told in refused.out + refused.err
