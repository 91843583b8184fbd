"""A folder that is watched: real processes on real files, killed and begun again; and what ends a watch."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import batchjobs
from batchjobs.errors import UsageError
from batchjobs.server.engines.tone import ToneSynthesiser
from tests.builders import make_speech, write_recording
from tests.canary import KEY
from tests.clocks import PATIENCE_SECONDS, until
from tests.clusters import workers_of
from tests.proofs.watch import prove
from tests.receivers import TOKEN, Receiver
from tests.whole_runs import ARABIC, environment, ledger_of, results, run_server
from tests.whole_runs import batchjobs as call

SPEECH = make_speech(16_000)
HANGING_MOVE = """
import pathlib, threading
from batchjobs.cli import main
from batchjobs.outputs import aftercare

def move(*args, **settings):
    pathlib.Path("moving").touch()
    threading.Event().wait()

aftercare.move = move
main()
"""
"""A program whose moves never come to their end."""


def record(path: Path, text: str) -> bytes:
    """Write a recording that says a text; gives what is in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pcm = b"".join(ToneSynthesiser().synthesise(text, SPEECH))
    return write_recording(path, pcm, 16_000).read_bytes()


@contextmanager
def watching(
    cwd: Path, *arguments: object, program: Sequence[str] = ("-m", "batchjobs")
) -> Iterator[subprocess.Popen[str]]:
    """Watch in a process of its own, which is killed if it is still there at the end of the block."""
    command = [sys.executable, *program, "watch", *map(str, arguments)]
    with (cwd / "said").open("ab") as said:
        process = subprocess.Popen(
            [*command, "--every", "1", "--settle", "0.2", "-v"],
            cwd=cwd,
            env=environment(BATCHJOBS_LOCAL_KEY=KEY, BATCHJOBS_NOTIFY_SECRET="s"),
            stdout=said,
            stderr=said,
            text=True,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)


def ids_done(folder: Path) -> set[str]:
    """The ids of what is done by now."""
    try:
        return {str(row["id"]) for row in batchjobs.read_results(folder)}
    except batchjobs.errors.NoRunError:
        return set()


def heard(cwd: Path) -> Counter[str]:
    """How often the service heard what, by its own ledger."""
    ends = (entry for entry in ledger_of(cwd / "ledger.jsonl") if entry["event"] == "end")
    return Counter(str(entry["audio_sha256"]) for entry in ends)


def said(cwd: Path) -> str:
    """What watches have said so far."""
    return (cwd / "said").read_text(encoding="utf-8")


def test_what_arrives_is_heard_once_whatever_kills_the_watch(tmp_path: Path) -> None:
    """Half a file waits; a second watch is refused; after SIGKILL the same command goes on."""
    inbox, run = tmp_path / "وارد", tmp_path / "outputs" / "وارد"
    record(inbox / "a.wav", ARABIC[0])
    whole = record(inbox / "half.flac", ARABIC[1])
    (inbox / "half.flac").write_bytes(whole[: len(whole) // 2])
    with run_server(tmp_path, "--engine", "tone", "--ledger", "ledger.jsonl") as url:
        options = ("وارد", "--base-url", url, "--done-folder", "done", "--beside")
        with watching(tmp_path, *options) as process:
            until((tmp_path / "done/a.wav").exists)
            refused = call("watch", *options, cwd=tmp_path, expect=75, BATCHJOBS_LOCAL_KEY=KEY)
            assert "another run is going on" in refused.stderr
            well = call("status", run, "--health", cwd=tmp_path)
            assert well.stdout == "OK: going on: 1 of 1 job done\n"
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE_SECONDS)
        killed = call("status", run, "--health", "--json", cwd=tmp_path, expect=2)
        assert json.loads(killed.stdout)["health"] == "critical"
        record(inbox / "سنة ١٩٤٨" / "b.wav", ARABIC[2])
        with watching(tmp_path, *options) as process:
            until((tmp_path / "done/سنة ١٩٤٨/b.wav").exists)
            (inbox / "half.flac").write_bytes(whole)
            until((tmp_path / "done/half.flac").exists)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    assert {row["transcript"] for row in results(run)} == set(ARABIC[:3])
    assert sorted(heard(tmp_path).values()) == [1, 1, 1]
    assert (tmp_path / "done/سنة ١٩٤٨/b.txt").read_text(encoding="utf-8").strip() == ARABIC[2]
    assert [path for path in inbox.rglob("*") if path.is_file()] == []
    state = json.loads((run / "watch.json").read_bytes())
    assert state["exit_code"] == 128 + signal.SIGTERM


def test_a_watch_has_workers_for_as_long_as_there_is_work(tmp_path: Path) -> None:
    """Each round has its own, which hear what was named from here; between two there is none."""
    run = tmp_path / "outputs/in"
    record(tmp_path / "in" / "أ.wav", ARABIC[0])
    with run_server(tmp_path, "--engine", "tone", "--ledger", "ledger.jsonl") as url:
        options = ("in", "--base-url", url, "--done-folder", "done", "--workers", "1")
        with watching(tmp_path, *options) as process:
            until((tmp_path / "done/أ.wav").exists)
            until(lambda: not workers_of(process.pid))
            record(tmp_path / "in" / "b.wav", ARABIC[2])
            until((tmp_path / "done/b.wav").exists)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    assert {row["transcript"] for row in results(run)} == {ARABIC[0], ARABIC[2]}
    assert sorted(heard(tmp_path).values()) == [1, 1]
    assert "Traceback" not in said(tmp_path)


def test_a_second_signal_ends_a_watch_that_hangs(tmp_path: Path) -> None:
    """The disk of what is done no longer answers: the first is heeded as soon as it does."""
    record(tmp_path / "in" / "a.wav", ARABIC[0])
    with run_server(tmp_path, "--engine", "tone") as url:
        options = ("in", "--base-url", url, "--done-folder", "done")
        with watching(tmp_path, *options, program=("-c", HANGING_MOVE)) as process:
            until((tmp_path / "moving").exists)
            process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.3)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
        with watching(tmp_path, *options):
            until((tmp_path / "done/a.wav").exists)


def test_a_recording_that_is_replaced_is_heard_again_and_both_results_stay(tmp_path: Path) -> None:
    """A duplicate costs nothing; one that is deleted leaves its result; a run by hand buys nothing."""
    inbox, run = tmp_path / "in", tmp_path / "outputs" / "in"
    record(inbox / "a.wav", ARABIC[0])
    with run_server(tmp_path, "--engine", "tone", "--ledger", "ledger.jsonl") as url:
        with watching(tmp_path, "in", "--base-url", url) as process:
            until(lambda: ids_done(run) == {"a"})
            (inbox / "copy.wav").write_bytes((inbox / "a.wav").read_bytes())
            until(lambda: ids_done(run) == {"a", "copy"})
            record(inbox / "a.wav", ARABIC[3])
            until(lambda: len(ids_done(run)) == 3)
            (inbox / "a.wav").unlink()
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_SECONDS) == -signal.SIGINT
        call("run", "in.jsonl", "--base-url", url, cwd=tmp_path, BATCHJOBS_LOCAL_KEY=KEY)
    assert sorted(heard(tmp_path).values()) == [1, 1]
    texts = [row["transcript"] for row in results(run)]
    assert sorted(texts) == sorted([ARABIC[0], ARABIC[0], ARABIC[3]])


def test_a_scan_and_its_run_go_on_as_a_watch(tmp_path: Path) -> None:
    """What was done stays done; what is new is added behind it."""
    inbox, run = tmp_path / "in", tmp_path / "outputs" / "in"
    record(inbox / "a.wav", ARABIC[0])
    with run_server(tmp_path, "--engine", "tone", "--ledger", "ledger.jsonl") as url:
        call("scan", "in", "--settle", "0.1", cwd=tmp_path)
        call("run", "in.jsonl", "--base-url", url, cwd=tmp_path, BATCHJOBS_LOCAL_KEY=KEY)
        first = (tmp_path / "in.jsonl").read_bytes()
        record(inbox / "b.wav", ARABIC[1])
        with watching(tmp_path, "in", "--base-url", url):
            until(lambda: ids_done(run) == {"a", "b"})
    assert sorted(heard(tmp_path).values()) == [1, 1]
    assert (tmp_path / "in.jsonl").read_bytes().startswith(first)


def test_what_needs_a_person_ends_a_watch_and_what_passes_is_waited_for(
    tmp_path: Path,
    receiver: Receiver,
) -> None:
    """A refused key ends it with 77, a budget with 80; a service that is away is told and waited for."""
    inbox = tmp_path / "in"
    record(inbox / "a.wav", ARABIC[0])
    with run_server(tmp_path, "--engine", "tone") as url:
        common = ("watch", "in", "--settle", "0.1", "--base-url", url)
        call(*common, cwd=tmp_path, expect=77, BATCHJOBS_LOCAL_KEY="wrong")
        limit = ("-o", "other", "--max-audio", "0.1")
        ended = call(*common, *limit, cwd=tmp_path, expect=80, BATCHJOBS_LOCAL_KEY=KEY)
        assert "--max-audio" in ended.stderr
    nowhere = ("--base-url", "ws://127.0.0.1:9/api/v1", "--attempts", "1", "--notify", receiver.url)
    with watching(tmp_path, "in", *nowhere) as process:
        until(lambda: "waiting: " in said(tmp_path))
        assert process.poll() is None
        health = call("status", "outputs/in", "--health", cwd=tmp_path, expect=2)
        assert health.stdout.startswith("CRITICAL: waiting for")
        until(lambda: "attention" in receiver.events())
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
    assert receiver.events()[-1] == "watch_finished"
    assert "go on: " in said(tmp_path)
    assert TOKEN not in said(tmp_path)


def test_a_day_of_arrivals_in_virtual_time(tmp_path: Path) -> None:
    """Halves, deletions, replacements and kills: each recording heard once (the week is in proofs)."""
    sizes = {"files": 8, "halves": 2, "deleted": 3, "kills": 1, "days": 0.1}
    words = [word for name, size in sizes.items() for word in (f"--{name}", str(size))]
    found: dict[str, Any] = prove(tmp_path, words)
    assert found["recordings the service heard"] == found["recordings with a transcript"]


def test_a_folder_for_what_is_done_stands_where_it_can(tmp_path: Path) -> None:
    """Not in the place of the watched one, nor above it."""
    (tmp_path / "in").mkdir()
    for place in (tmp_path, tmp_path / "in"):
        settings = batchjobs.WatchSettings(done_folder=place)
        with pytest.raises(UsageError, match="done"):
            batchjobs.watch(tmp_path / "in", settings=settings)
    with pytest.raises(UsageError, match="no folder"):
        batchjobs.watch(tmp_path / "nothing")
    assert os.listdir(tmp_path) == ["in"]  # noqa: PTH208
