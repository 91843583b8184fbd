"""A service that misbehaves ends in the named outcome, at little cost."""

import json
from pathlib import Path

import pytest

from tests.canary import key_with
from tests.whole_runs import ARABIC, ENGLISH, batchjobs, run_server, summary, write_manifest

pytestmark = pytest.mark.unmeasured

WRONG_KEY = key_with("-wrong-")

IMPATIENT = """
[providers.local]
connect_seconds = 2.0
ready_seconds = 1.0
first_audio_seconds = 1.0
first_transcript_seconds = 1.0
settle_seconds = 1.0
drain_seconds = 1.0
"""


@pytest.mark.parametrize("fault", ["handshake:503", "handshake:404", "silent"])
def test_a_service_that_does_nothing_for_anybody_ends_the_run(tmp_path: Path, fault: str) -> None:
    """Not the jobs: it refuses every connection, or takes the text and never speaks. Exit code 69."""
    (tmp_path / "batchjobs.toml").write_text(IMPATIENT, encoding="utf-8")
    rows = [{"id": name, "text": ENGLISH[1]} for name in ("one", "two")]
    manifest = write_manifest(tmp_path / "away.csv", rows)
    command = ("run", manifest, "--engine", "tone", "--fault", fault, "--attempts", 1)
    batchjobs(*command, cwd=tmp_path, expect=69)
    counted = summary(tmp_path / "outputs" / "away")
    assert (counted["failed"], counted["not_run"], counted["attempts"]) == (0, 2, 1)


@pytest.mark.parametrize(
    ("fault", "error_class", "code"),
    [
        ("mute", "timeout", ""),
        ("hang", "timeout", ""),
        ("truncate", "suspect", ""),
        ("silence", "suspect", ""),
        ("half-sample", "suspect", ""),
        ("rate-change", "suspect", ""),
        ("close:1000", "suspect", ""),
        ("close:1011", "transient", "1011"),
        ("drop", "transient", "1006"),
        ("garbage", "garbage", ""),
        ("error:50001", "transient", "50001"),
        ("error-string:50001", "transient", "50001"),
        ("error:40001", "permanent", "40001"),
    ],
)
def test_a_misbehaving_service_ends_in_its_named_outcome(
    tmp_path: Path, fault: str, error_class: str, code: str
) -> None:
    """Each way to misbehave fails the job by its name, if only by a deadline; never as done."""
    if error_class == "timeout":  # the others need no deadline, and a busy machine has a longer one
        (tmp_path / "batchjobs.toml").write_text(IMPATIENT, encoding="utf-8")
    rows = [{"id": "one", "text": f"{ENGLISH[1]} {ARABIC[0]} {ENGLISH[2]}"}]
    manifest = write_manifest(tmp_path / "faults.csv", rows)
    batchjobs(
        "run",
        manifest,
        "--engine",
        "tone",
        "--fault",
        fault,
        "--attempts",
        1,
        cwd=tmp_path,
        expect=1,
    )
    folder = tmp_path / "outputs" / "faults"
    failure = json.loads((folder / "failed.jsonl").read_text(encoding="utf-8"))
    assert failure["error"]["class"] == error_class
    assert failure["error"]["code"] == code
    assert not list(folder.glob("audio/*"))


def test_a_fault_that_passes_is_retried_to_the_end(tmp_path: Path) -> None:
    """A third of the sessions dropped: every job is done in the end, and the waste is told."""
    rows = [{"id": f"f{n}", "text": f"{ENGLISH[n % 4]} {n}"} for n in range(12)]
    manifest = write_manifest(tmp_path / "dropped.csv", rows)
    batchjobs(
        *("run", manifest, "--engine", "tone", "--fault", "drop@0.3", "-c", 12, "--attempts", 12),
        cwd=tmp_path,
    )
    counted = summary(tmp_path / "outputs" / "dropped")
    assert counted["done"] == 12
    assert int(str(counted["attempts"])) > 12


def test_a_wrong_key_costs_one_connection(tmp_path: Path) -> None:
    """A refused key stops the run at 77 after a single connection, every job untouched."""
    rows = [{"id": f"w{n}", "text": f"{ENGLISH[0]} {n}"} for n in range(20)]
    manifest = write_manifest(tmp_path / "wrong.csv", rows)
    with run_server(tmp_path, "--engine", "tone") as base_url:
        done = batchjobs(
            *("run", manifest, "--base-url", base_url, "-c", 8),
            cwd=tmp_path,
            expect=77,
            BATCHJOBS_LOCAL_KEY=WRONG_KEY,
        )
    counted = summary(tmp_path / "outputs" / "wrong")
    assert (counted["attempts"], counted["failed"], counted["not_run"]) == (1, 0, 20)
    assert WRONG_KEY not in done.stdout + done.stderr
    for path in (tmp_path / "outputs").rglob("*"):
        assert not path.is_file() or WRONG_KEY.encode() not in path.read_bytes()


def test_a_service_that_is_not_there_costs_nothing(tmp_path: Path) -> None:
    """A refused connection ends the run at 69 with every job untouched."""
    manifest = write_manifest(tmp_path / "gone.csv", [{"id": "a", "text": "Hello there"}])
    command = ("run", manifest, "--base-url", "ws://127.0.0.1:9/api/v1", "--attempts", 1)
    done = batchjobs(*command, cwd=tmp_path, expect=69)
    assert "127.0.0.1" in done.stderr or "connect" in done.stderr
    assert summary(tmp_path / "outputs" / "gone")["not_run"] == 1
