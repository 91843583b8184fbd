"""A folder of recordings as a manifest: each once, told if not, and added to as they arrive."""

import json
import os
import shutil
import signal
import subprocess
import sys
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


def test_what_arrives_while_the_folder_is_looked_through_is_not_missed(tmp_path: Path) -> None:
    """It is watched from the call on, not from when somebody first asks what has come."""
    arriving = watch_folder(tmp_path, settle_seconds=0.2)
    early = record(tmp_path / "early.wav")
    late = record(tmp_path / "late.wav", seed=1)
    assert {next(arriving), next(arriving)} == {early, late}


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(ConfigurationError) as caught:
        next(watch_folder(tmp_path, settle_seconds=1.0))
    assert "batchjobs[scan]" in caught.value.hint
