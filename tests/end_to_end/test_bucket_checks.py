"""A run in a bucket is heard again and listened to: what is found and decided is there, too."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from batchjobs.checkpoint import Checkpoint
from batchjobs.checkpoint.database import Database
from batchjobs.files.run_folder import CHECK, TAKES
from batchjobs.server.engines.tone import ToneSynthesiser
from tests.clocks import PATIENCE_SECONDS
from tests.commands import Command
from tests.planted import make_texts, plant, say_with_fault
from tests.s3 import Bucket
from tests.s3_faults import Act, Fault, fault_proxy
from tests.whole_runs import environment, results, summary, write_manifest

RATE = 16_000
TONE = ("--engine", "tone", "--output-format", f"pcm_{RATE}")
HEAR = ("--engine", "tone")
RUN = Path("outputs") / "ليلة"
OTHER = Path("other") / "run"
TEXTS = make_texts(8, words=(12, 16))
BAD = {"r1 سـ": "repeated", "r4 سـ": "silent", "r6 سـ": "wrong"}


@pytest.fixture
def place(bucket: Bucket) -> str:
    """A place in the bucket."""
    return bucket.url("runs/ليلة")


@pytest.fixture
def manifest(command: Command, folder: Path, place: str) -> Path:
    """A manifest that was run into the bucket, and three of whose clips have a fault each."""
    rows = [{"id": f"r{number} سـ", "text": text} for number, text in enumerate(TEXTS)]
    path = write_manifest(folder / "talks.csv", rows)
    assert command("run", path, "-o", place, *TONE).code == 0
    speaker = ToneSynthesiser()
    texts = {row["id"]: row["text"] for row in rows}
    clips = {
        name: say_with_fault(
            fault, texts[name], speaker, other=TEXTS[0][::-1], rate=RATE, voice="v"
        )
        for name, fault in BAD.items()
    }
    plant(RUN, {name: (pcm, RATE) for name, pcm in clips.items()})
    return path


def attempts(run: Path) -> int:
    """Count what was bought in a run folder."""
    with Checkpoint.read(run) as checkpoint:
        return checkpoint.totals.count_rows().attempts


def results_here() -> set[str]:
    """Name the results of the run itself that stand in its folder."""
    own = (path.relative_to(RUN) for path in RUN.rglob("*") if path.suffix in {".wav", ".part"})
    return {str(path) for path in own if path.parts[0] not in {CHECK, TAKES}}


def take_over(command: Command, manifest: Path, place: str) -> str:
    """Go on with the run in another folder; gives what is said."""
    OTHER.parent.mkdir(exist_ok=True)
    taken = command("run", manifest, "-o", place, "--work-folder", OTHER, "--take-over", *TONE)
    assert taken.code == 0, taken.err
    return taken.out


def decide(decisions: Mapping[str, str]) -> Path:
    """Write decisions about the run's rows as its page saves them."""
    with Checkpoint.read(RUN) as checkpoint:
        records = checkpoint.lookups.find(list(decisions))
        run = checkpoint.identify()
    lines = [
        {"run": run, "id": name, "decision": decision, "sha256": records[name].files[0].sha256}
        for name, decision in decisions.items()
    ]
    path = Path("review.jsonl")
    path.write_text("".join(json.dumps(line | {"note": "ليس هكذا"}) + "\n" for line in lines))
    return path


# -- heard -----------------------------------------------------------------------------------------


def test_what_is_bad_there_is_named_and_made_good_there(
    command: Command, manifest: Path, bucket: Bucket, place: str
) -> None:
    """Nothing is heard twice, nothing stays here but the takes, and whoever takes over knows it all."""
    found = command("check", RUN, *HEAR)
    assert found.code == 1, found.err
    assert {line["id"] for line in results(RUN) if line["check"]["verdict"] == "bad"} == set(BAD)
    assert (attempts(RUN / CHECK), results_here()) == (len(TEXTS), set())
    assert command("check", RUN, *HEAR).code == 1
    assert attempts(RUN / CHECK) == len(TEXTS)
    before = bucket.objects("runs/ليلة/audio/")
    mended = command("check", RUN, *HEAR, "--regenerate", "1")
    assert mended.code == 0, mended.err
    after = bucket.objects("runs/ليلة/audio/")
    assert len({name for name in after if after[name] != before[name]}) == len(BAD)
    assert (attempts(RUN / TAKES), results_here()) == (len(BAD), set())
    assert command("verify", RUN).code == 0
    assert bucket.read("runs/ليلة/results.jsonl") == (RUN / "results.jsonl").read_bytes()
    assert len(list((RUN / TAKES).rglob("*.wav"))) == 2 * len(BAD)
    assert command("prune", RUN, "--yes").code == 0
    assert list((RUN / TAKES).rglob("*.wav")) == []
    assert bucket.objects("runs/ليلة/audio/") == after
    assert "nothing to do" in take_over(command, manifest, place)
    assert command("verify", OTHER).code == 0
    assert {line["check"]["verdict"] for line in results(OTHER)} == {"good"}


@pytest.mark.parametrize(
    ("act", "target", "stays"),
    [  # each pair of two of them; what is left of the combinations is long
        (Act.KILL_BEFORE, "/journal/", False),
        (Act.KILL_AFTER, "/journal/", True),
        (Act.KILL_BEFORE, "/audio/", True),
        (Act.KILL_AFTER, "/audio/", False),
        pytest.param(Act.KILL_BEFORE, "/journal/", True, marks=pytest.mark.long),
        pytest.param(Act.KILL_AFTER, "/journal/", False, marks=pytest.mark.long),
        pytest.param(Act.KILL_BEFORE, "/audio/", False, marks=pytest.mark.long),
        pytest.param(Act.KILL_AFTER, "/audio/", True, marks=pytest.mark.long),
    ],
)
def test_a_check_killed_as_it_puts_a_take_there_loses_nothing(
    command: Command,
    manifest: Path,
    bucket: Bucket,
    place: str,
    act: Act,
    target: str,
    stays: bool,
) -> None:
    """The old clip is there or the new one, whole; nothing of it is bought again, here or elsewhere."""
    assert command("check", RUN, *HEAR).code == 1
    # Three entries say whose the run is; each clip is tried as new, and then put in the old one's place.
    fault = Fault(act=act, method="PUT", target=target, at=5 if target == "/journal/" else 4)
    check = ["check", RUN, *HEAR, "--regenerate", "1"]
    with fault_proxy(bucket.endpoint, fault) as proxy:
        process = subprocess.Popen(
            [sys.executable, "-m", "batchjobs", *map(str, check)],
            env=environment() | bucket.environment(proxy.url),
            stderr=subprocess.DEVNULL,
        )
        proxy.victim = process.pid
        assert process.wait(PATIENCE_SECONDS) == -9
    if stays:
        assert command(*check).code == 0
        assert attempts(RUN / TAKES) == len(BAD)
    assert "nothing to do" in take_over(command, manifest, place)
    assert command("verify", OTHER).code == 0
    assert summary(OTHER)["attempts"] == len(TEXTS)


def test_a_check_is_refused_while_the_run_goes_on_or_is_anothers(
    command: Command, manifest: Path, place: str
) -> None:
    """Before anything is heard: it would bring files that the run brings, and could not say what it found."""
    running = Database.open_to_write(RUN)
    refused = command("check", RUN, *HEAR)
    running.close()
    assert (refused.code, "another run" in refused.err) == (75, True)
    take_over(command, manifest, place)
    refused = command("check", RUN, *HEAR)
    assert (refused.code, "--take-over" in refused.err) == (75, True)
    assert not (RUN / CHECK).exists()


# -- listened to -----------------------------------------------------------------------------------


def test_what_was_decided_is_carried_out_there(
    command: Command, folder: Path, bucket: Bucket, place: str
) -> None:
    """Accepted, rejected and dropped, for whoever takes over too; only the rejected is bought again."""
    rows = [{"id": f"r{number}", "text": text} for number, text in enumerate(TEXTS)]
    good, doubtful = write_manifest(folder / "good.csv", rows[2:]), folder / "talks.csv"
    write_manifest(doubtful, rows)
    faulty = ("--fault", "truncate", "--attempts", "1")
    assert command("run", good, "-o", place, *TONE).code == 0
    assert command("run", doubtful, "-o", place, *TONE, *faulty).code == 1
    content = bucket.read("runs/ليلة/suspect/r0.wav")
    spoken = bucket.read("runs/ليلة/audio/r2.wav")
    decisions = decide(
        {"r0": "accept", "r1": "reject", "r2": "reject", "r3": "drop", "r4": "accept"}
    )
    done = command("review", RUN, decisions)
    assert done.code == 0, done.err
    names = set(bucket.keys("runs/ليلة/"))
    assert bucket.read("runs/ليلة/audio/r0.wav") == content
    assert bucket.read("runs/ليلة/suspect/r2.wav") == spoken
    assert not {"runs/ليلة/suspect/r0.wav", "runs/ليلة/audio/r2.wav"} & names
    assert "runs/ليلة/suspect/r1.wav" in names
    assert results_here() == set()
    assert command("verify", RUN).code == 0
    bought = summary(RUN)["attempts"]
    OTHER.parent.mkdir()
    words = ("-o", place, "--work-folder", OTHER, "--take-over")
    assert command("run", doubtful, *words, *TONE).code == 0
    assert (summary(OTHER)["done"], summary(OTHER)["attempts"]) == (len(rows), bought + 2)
    with Checkpoint.read(OTHER) as checkpoint:
        assert checkpoint.reviews.find_dropped() == {"r3"}
    refused = command("review", RUN, decisions)
    assert (refused.code, "--take-over" in refused.err) == (75, True)


@pytest.mark.parametrize("target", ["/audio/r0", "/suspect/r2", "/journal/"])
def test_a_store_that_fails_leaves_all_as_it_was_decided_before(
    command: Command,
    folder: Path,
    bucket: Bucket,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
) -> None:
    """All of it or nothing; and then it can be done."""
    rows = [{"id": f"r{number}", "text": text} for number, text in enumerate(TEXTS[:3])]
    good, doubtful = write_manifest(folder / "good.csv", rows[1:]), folder / "talks.csv"
    write_manifest(doubtful, rows)
    faulty = ("--fault", "truncate", "--attempts", "1")
    assert command("run", good, "-o", place, *TONE).code == 0
    assert command("run", doubtful, "-o", place, *TONE, *faulty).code == 1
    decisions = decide({"r0": "accept", "r2": "reject"})
    named = ("runs/ليلة/audio/", "runs/ليلة/suspect/")
    before = [bucket.objects(prefix) for prefix in named]
    fault = Fault(act=Act.ANSWER, status=403, method="PUT", target=target, at=2, times=99)
    if target != "/journal/":
        fault = Fault(act=Act.ANSWER, status=403, method="PUT", target=target, times=99)
    with fault_proxy(bucket.endpoint, fault) as proxy, monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", proxy.url)
        refused = command("review", RUN, decisions)
    assert (refused.code, "may not be used" in refused.err) == (73, True)
    assert [bucket.objects(prefix) for prefix in named] == before
    assert (summary(RUN)["suspect"], results_here()) == (1, set())
    assert command("review", RUN, decisions).code == 0
    assert summary(RUN)["suspect"] == 1
    assert "runs/ليلة/audio/r0.wav" in bucket.keys("runs/ليلة/audio/")
