"""A folder of recordings as a manifest: each once, told if not, and added to as they arrive."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from watchfiles import Change

from batchjobs.errors import ConfigurationError, ManifestError
from batchjobs.manifest import arrivals
from batchjobs.manifest.arrivals import watch_folder
from batchjobs.manifest.left_out import Cause, sum_up
from batchjobs.manifest.scan import Scan
from tests.clocks import PATIENCE_SECONDS, until
from tests.whole_runs import batchjobs, environment


def record(path: Path, seconds: float = 0.5, seed: int = 0) -> Path:
    """Write a recording."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-99, 99, round(seconds * 16_000), dtype=np.int16)
    soundfile.write(path, noise, 16_000, format="FLAC" if path.suffix == ".flac" else "WAV")
    return path


def rows(manifest: Path) -> list[dict[str, object]]:
    """The manifest's rows."""
    return [json.loads(line) for line in manifest.read_bytes().splitlines()]


def test_every_recording_is_found_once(tmp_path: Path) -> None:
    """Below all folders, in order, with ids made of paths and lengths probed; the rest is told."""
    archive = tmp_path / "archive"
    record(archive / "b.wav", 0.5, 1)
    record(archive / "سنة ١٩٤٨" / "حديث أول.flac", 1.25, 2)
    record(archive / "a" / "talk 1.WAV", 0.5, 3)
    record(archive / "a" / "talk-1.wav", 0.5, 4)
    (archive / "a" / "again.wav").write_bytes((archive / "b.wav").read_bytes())
    (archive / "broken.mp3").write_bytes(b"nothing")
    (archive / "notes.txt").write_text("no recording")
    record(archive / ".hidden" / "x.wav", 0.5, 5)
    record(archive / ".y.wav", 0.5, 6)
    outside = record(tmp_path / "outside.wav", 0.5, 7)
    (archive / "link.wav").symlink_to(outside)
    os.mkfifo(archive / "pipe.wav")
    found = Scan(archive, tmp_path / "m.jsonl").run()
    assert [(r["id"], r["audio"], r["seconds"]) for r in rows(tmp_path / "m.jsonl")] == [
        ("a-again", "archive/a/again.wav", 0.5),
        ("a-talk-1", "archive/a/talk 1.WAV", 0.5),
        (rows(tmp_path / "m.jsonl")[2]["id"], "archive/a/talk-1.wav", 0.5),
        ("سنة-١٩٤٨-حديث-أول", "archive/سنة ١٩٤٨/حديث أول.flac", 1.25),
    ]
    assert found.new == len({r["id"] for r in rows(tmp_path / "m.jsonl")}) == 4
    assert found.duplicates == [("archive/b.wav", "archive/a/again.wav")]
    assert [name for name, _ in found.unreadable] == ["archive/broken.mp3"]
    assert found.seconds == 2.75


def test_what_is_there_stays_and_what_is_new_is_added(tmp_path: Path) -> None:
    """Byte for byte, also what somebody wrote into it; what has gone is told."""
    record(tmp_path / "r" / "a.wav", seed=1)
    record(tmp_path / "r" / "b.wav", seed=2)
    manifest = tmp_path / "m.jsonl"
    Scan(tmp_path / "r", manifest).run()
    edited = manifest.read_bytes().replace(b'"id":"r-a"', b'"id": "mine", "reference": "\xd9\x86"')
    edited = edited.replace(b'{"id":"a"', b'{"id": "mine"').rstrip(b"\n")
    manifest.write_bytes(edited)
    record(tmp_path / "r" / "c.wav", seed=3)
    (tmp_path / "r" / "d.wav").write_bytes((tmp_path / "r" / "b.wav").read_bytes())
    (tmp_path / "r" / "b.wav").rename(tmp_path / "b.wav")
    found = Scan(tmp_path / "r", manifest).run()
    assert manifest.read_bytes().startswith(edited + b"\n")
    assert [r["audio"] for r in rows(manifest)] == ["r/a.wav", "r/b.wav", "r/c.wav", "r/d.wav"]
    assert (found.new, found.known, found.gone) == (2, 1, ["r/b.wav"])
    before = manifest.stat().st_mtime_ns
    assert Scan(tmp_path / "r", manifest).run().new == 0
    assert manifest.stat().st_mtime_ns == before


def test_a_manifest_elsewhere_names_the_input_root(tmp_path: Path) -> None:
    """Its paths are relative to the folder then, and the last line says what to pass."""
    record(tmp_path / "r" / "x" / "a.wav")
    (tmp_path / "other").mkdir()
    done = batchjobs("scan", "../r", cwd=tmp_path / "other")
    assert [r["audio"] for r in rows(tmp_path / "other" / "r.jsonl")] == ["x/a.wav"]
    assert "--input-root ../r" in done.stdout
    shown = batchjobs("plan", "r.jsonl", "--input-root", "../r", cwd=tmp_path / "other").stdout
    assert "1  new" in shown


def test_a_scan_becomes_transcripts(tmp_path: Path) -> None:
    """Without another word."""
    record(tmp_path / "r" / "a.wav")
    assert "1 new recording," in batchjobs("scan", "r", cwd=tmp_path).stdout
    batchjobs("run", "r.jsonl", "--engine", "tone", cwd=tmp_path)
    names = {p.name for p in (tmp_path / "outputs" / "r" / "transcripts").iterdir()}
    assert names == {"a.txt", "a.json", "a.srt", "a.vtt"}


def test_what_is_no_scan_is_told(tmp_path: Path) -> None:
    """A missing folder, another manifest, nothing found."""
    with pytest.raises(ManifestError, match="is no folder"):
        Scan(tmp_path / "none", tmp_path / "m.jsonl")
    (tmp_path / "m.jsonl").write_text('{"text": "x"}\n')
    with pytest.raises(ManifestError, match=r"m.jsonl:1: is no row"):
        Scan(tmp_path, tmp_path / "m.jsonl")
    assert (tmp_path / "m.jsonl").read_text() == '{"text": "x"}\n'
    (tmp_path / "empty").mkdir()
    batchjobs("scan", "empty", cwd=tmp_path, expect=1)
    assert (tmp_path / "empty.jsonl").read_bytes() == b""


def test_ids_of_long_and_like_names_differ(tmp_path: Path) -> None:
    """And no id is too long for a file name."""
    long = "اسم-طويل-" * 12
    for number, name in enumerate((f"{long}1.wav", f"{long}2.wav", "a b.wav", "a-b.wav", "؟.wav")):
        record(tmp_path / "r" / name, seed=number)
    Scan(tmp_path / "r", tmp_path / "m.jsonl").run()
    ids = [str(r["id"]) for r in rows(tmp_path / "m.jsonl")]
    assert len(set(ids)) == 5
    assert all(0 < len(i.encode()) <= 100 for i in ids)


def test_recordings_are_added_as_they_arrive(tmp_path: Path) -> None:
    """In new folders too, each content once; and Ctrl-C ends it by its signal."""
    record(tmp_path / "in" / "a.wav", seed=1)
    command = [sys.executable, "-m", "batchjobs", "scan", "in", "--watch", "--settle", "0.3"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True
    )
    manifest = tmp_path / "in.jsonl"
    until(manifest.exists)
    whole = record(tmp_path / "whole.wav", 2.0, seed=2)
    shutil.copy(whole, tmp_path / "in" / "c.wav")
    whole.rename(tmp_path / "in" / "b.wav")
    (tmp_path / "in" / "d.wav").write_bytes(b"broken")
    record(tmp_path / "in" / "new" / "e.wav", seed=3)
    until(lambda: len(rows(manifest)) == 3)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_SECONDS) == -signal.SIGINT
    assert process.stdout is not None
    process.stdout.close()
    assert {str(r["audio"]) for r in rows(manifest)} in (
        {"in/a.wav", "in/b.wav", "in/new/e.wav"},
        {"in/a.wav", "in/c.wav", "in/new/e.wav"},
    )


def test_what_still_grows_has_not_arrived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly it is copied: it is there once it has not grown for as long as was told."""
    now = 0.0
    monkeypatch.setattr(arrivals, "time", types.SimpleNamespace(monotonic=lambda: now))
    whole = record(tmp_path / "whole.wav", seed=2).read_bytes()
    copy = tmp_path / "copy.wav"
    grown: list[int] = []

    def changes() -> Iterator[set[tuple[Change, str]]]:
        nonlocal now
        for end in range(4_000, len(whole) + 4_000, 4_000):
            copy.write_bytes(whole[:end])
            grown.append(copy.stat().st_size)
            yield {(Change.modified, str(copy))}
            now += 0.29
            yield set()
        now += 0.02
        yield set()

    assert list(arrivals._wait_settled(tmp_path, changes(), 0.3)) == [copy]
    assert grown[-1] == len(whole)
    assert len(grown) == 5


@pytest.mark.parametrize(
    "name", [".a.wav.Xy1", ".rsync-partial/a.wav", "a.wav.part", "a.crdownload"]
)
def test_names_of_unfinished_copies_have_not_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """However long they stand still: it arrives with the name that it is to keep."""
    now = 0.0
    monkeypatch.setattr(arrivals, "time", types.SimpleNamespace(monotonic=lambda: now))
    part = record(tmp_path / name, seed=2)
    whole = tmp_path / "a.wav"

    def changes() -> Iterator[set[tuple[Change, str]]]:
        nonlocal now
        yield {(Change.added, str(part))}
        now += 9.0
        yield set()
        part.rename(whole)
        yield {(Change.deleted, str(part)), (Change.added, str(whole))}
        now += 9.0
        yield set()

    assert list(arrivals._wait_settled(tmp_path, changes(), 0.3)) == [whole]


def test_a_copy_that_has_its_size_from_the_start_has_not_arrived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some programs set a file's size first: it is there once nothing is written to it any more."""
    now = 0.0
    monkeypatch.setattr(arrivals, "time", types.SimpleNamespace(monotonic=lambda: now))
    copy = record(tmp_path / "a.wav", seed=2)
    looks: list[float] = []

    def changes() -> Iterator[set[tuple[Change, str]]]:
        nonlocal now
        for _ in range(9):
            now += 0.2
            os.utime(copy, ns=(0, round(now * 1e9)))
            yield {(Change.modified, str(copy))}
        looks.append(now)
        for _ in range(2):
            now += 0.2
            yield set()

    assert list(arrivals._wait_settled(tmp_path, changes(), 0.3)) == [copy]
    assert looks


def test_what_arrives_while_the_folder_is_looked_through_is_not_missed(tmp_path: Path) -> None:
    """It is watched from the call on, not from when somebody first asks what has come."""
    arriving = watch_folder(tmp_path, settle_seconds=0.2)
    early = record(tmp_path / "early.wav")
    late = record(tmp_path / "late.wav", seed=1)
    assert {next(arriving), next(arriving)} == {early, late}


def test_what_a_file_holds_tells_and_not_its_name(tmp_path: Path) -> None:
    """Recordings under any name are found; what has a recording's name and is none is told, the rest counted."""
    archive = tmp_path / "أرشيف"
    for number, name in enumerate(("tape.wave", "tape.bwf", "a.rf64", "noending", "سطر\nآخر.wav")):
        record(archive / name, 0.5, number)
    record(archive / "x.wav", 0.5, 9).rename(archive / os.fsdecode(b"caf\xe9.wav"))
    record(archive / "._x.wav", 0.5, 10)
    (archive / "empty.wav").touch()
    (archive / "list.m3u").write_text("tape.wave\n")
    (archive / "program.ts").write_text("export const a = 1;\n")
    (archive / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(400))
    (archive / "voice.au").write_bytes(b".snd\0\0\0\x18" + bytes(4_000))
    (archive / "download.wav.part").write_bytes((archive / "tape.bwf").read_bytes()[:9_000])
    os.mkfifo(archive / "pipe.wav")
    (archive / "link.wav").symlink_to("tape.wave")
    found = Scan(archive, tmp_path / "m.jsonl").run()
    assert {str(r["audio"]).removeprefix("أرشيف/") for r in rows(tmp_path / "m.jsonl")} == {
        *("tape.wave", "tape.bwf", "a.rf64", "noending", "سطر\nآخر.wav")
    }
    causes = {Path(item.path).name: item.cause for item in found.left_out}
    assert causes.pop("voice.au", Cause.UNREADABLE) is Cause.UNREADABLE
    assert causes == {
        "caf\\xe9.wav": Cause.UNREADABLE,
        "empty.wav": Cause.UNREADABLE,
        "download.wav.part": Cause.ARRIVING,
        "pipe.wav": Cause.SPECIAL,
        "link.wav": Cause.LINK,
        "._x.wav": Cause.HIDDEN,
        **dict.fromkeys(("list.m3u", "program.ts", "photo.jpg"), Cause.NO_RECORDING),
    }
    listed = (tmp_path / "m.left-out.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(listed) == len(found.left_out)


def test_links_are_followed_where_a_run_follows_them(tmp_path: Path) -> None:
    """Within what the manifest may name; what leads out is told."""
    record(tmp_path / "store" / "a.wav", seed=1)
    record(tmp_path / "r" / "b.wav", seed=2)
    (tmp_path / "r" / "in").symlink_to(tmp_path / "store")
    (tmp_path / "r" / "circle").symlink_to(tmp_path / "r")
    found = Scan(tmp_path / "r", tmp_path / "m.jsonl", follows_links=True).run()
    assert [row["audio"] for row in rows(tmp_path / "m.jsonl")] == ["r/b.wav", "r/in/a.wav"]
    assert [(item.path, item.cause) for item in found.left_out] == [("r/circle", Cause.LINK)]
    inner = tmp_path / "r" / "m.jsonl"
    found = Scan(tmp_path / "r", inner, follows_links=True).run()
    assert [row["audio"] for row in rows(inner)] == ["b.wav"]
    assert {item.path for item in found.left_out} == {"circle", "in/a.wav"}


def test_a_file_that_cannot_be_read_ends_nothing(tmp_path: Path) -> None:
    """Nor one that is gone again, or that the manifest knows and is gone: they are told."""
    record(tmp_path / "a.wav", seed=1)
    record(tmp_path / "b.wav", seed=2)
    record(tmp_path / "c.wav", seed=3)
    manifest = tmp_path / "m.jsonl"

    def remove(number: int) -> None:
        (tmp_path / "b.wav").unlink(missing_ok=True)

    found = Scan(tmp_path, manifest).run(remove)
    assert [row["audio"] for row in rows(manifest)] == ["a.wav", "c.wav"]
    assert [(i.path, i.reason) for i in found.left_out] == [("b.wav", "No such file or directory")]
    with manifest.open("a") as file:
        file.write('{"id": "long", "audio": "%s.wav"}\n' % ("x" * 3_000))
    found = Scan(tmp_path, manifest).run()
    assert (found.known, len(found.gone)) == (2, 1)


def test_a_file_that_is_being_written_waits(tmp_path: Path) -> None:
    """One that was written to a moment ago is given time; one that goes on growing is left for later."""
    record(tmp_path / "r" / "still.wav", seed=1)
    grows = record(tmp_path / "r" / "grows.wav", 2.0, seed=2)
    is_over = threading.Event()

    def write() -> None:
        while not is_over.wait(0.02):
            os.utime(grows)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = Scan(tmp_path / "r", tmp_path / "m.jsonl", settle_seconds=0.4).run()
    finally:
        is_over.set()
        writer.join()
    assert [row["audio"] for row in rows(tmp_path / "m.jsonl")] == ["r/still.wav"]
    assert [(item.path, item.cause) for item in found.left_out] == [("r/grows.wav", Cause.ARRIVING)]
    assert Scan(tmp_path / "r", tmp_path / "m.jsonl").run().new == 1


def test_what_is_no_recording_costs_a_few_kilobytes(tmp_path: Path) -> None:
    """However large it is: by the system's own count of what was read."""
    counter = Path("/proc/self/io")
    if not counter.exists():
        pytest.skip("the system does not count it")
    for number in range(200):
        with (tmp_path / f"{number}.bin").open("wb") as file:
            file.write(b"no recording")
            file.truncate(10_000_000)

    def read_so_far() -> int:
        return int(counter.read_text().split()[1])

    scanner = Scan(tmp_path, tmp_path / "m.jsonl")
    before = read_so_far()
    found = scanner.run()
    assert len(found.left_out) == 200
    assert read_so_far() - before < 200 * 5_000


def test_the_command_counts_and_names(tmp_path: Path) -> None:
    """Counts on its output, names on the other stream, all in a list; twice the same."""
    record(tmp_path / "r" / "a.wav", seed=1)
    for number in range(30):
        (tmp_path / "r" / f"{number}.mp3").write_bytes(b"nothing")
        (tmp_path / "r" / f"{number}.txt").write_bytes(b"text")
    (tmp_path / "r" / "b.wav").write_bytes((tmp_path / "r" / "a.wav").read_bytes())
    for _ in range(2):
        told = batchjobs("scan", "r", "--settle", "0.1", cwd=tmp_path)
        assert (
            "not taken: 61 files (30 .mp3: cannot be transcribed; 1 .wav: the same as others; "
            "30 .txt: no recordings), listed in r.left-out.jsonl" in told.stdout
        )
        assert told.stderr.count("cannot be transcribed: r/") == 10
        assert "… and 20 more (cannot be transcribed): see r.left-out.jsonl" in told.stderr
        assert "the same as r/a.wav: r/b.wav" in told.stderr
        assert ".txt" not in told.stderr


def test_a_name_that_is_no_text_does_not_end_the_watch(tmp_path: Path) -> None:
    """Of a file or of a folder: what comes after it arrives all the same, and what came with it."""
    arriving = watch_folder(tmp_path, settle_seconds=0.2)
    odd = tmp_path / os.fsdecode(b"caf\xe9.wav")
    odd.write_bytes(b"a recording")
    (tmp_path / os.fsdecode(b"bad\xff")).mkdir()
    with_it = record(tmp_path / "مع.wav", seed=1)
    assert {next(arriving), next(arriving)} == {odd, with_it}
    late = record(tmp_path / "late.wav", seed=2)
    assert next(arriving) == late
    late.unlink()
    later = record(tmp_path / "later.wav", seed=3)
    assert next(arriving) == later


def test_what_arrives_is_in_the_list_as_long_as_it_is_left_out(tmp_path: Path) -> None:
    """A copy that was cut off is; once it is whole it is a row."""
    whole = record(tmp_path / "whole.wav", 2.0, seed=2).read_bytes()
    (tmp_path / "r").mkdir()
    scanner = Scan(tmp_path / "r", tmp_path / "m.jsonl")
    scanner.run()
    listed = tmp_path / "m.left-out.jsonl"
    copy = tmp_path / "r" / "copy.wav"
    copy.write_bytes(whole[:9_000])
    assert scanner.add(copy).unreadable
    assert len(listed.read_text().splitlines()) == 1
    copy.write_bytes(whole)
    assert scanner.add(copy).new == 1
    assert not listed.exists()
    assert not scanner.add(tmp_path / "m.jsonl").left_out


def test_an_extra_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers are good recordings, which the extra `book` reads."""
    (tmp_path / "a.3gp").write_bytes(b"\0\0\0\x18ftyp3gp4" + bytes(400))
    monkeypatch.setitem(sys.modules, "av", None)
    found = Scan(tmp_path, tmp_path / "m.jsonl").run()
    assert sum_up(found.left_out) == "1 .3gp: the extra 'book' reads them"


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(ConfigurationError) as caught:
        next(watch_folder(tmp_path, settle_seconds=1.0))
    assert "batchjobs[scan]" in caught.value.hint
