"""Texts come back exactly, long ones too, and a thousand rows stay small."""

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from batchjobs.audio import encoding
from batchjobs.server.engines.registry import make_synthesiser
from tests.builders import make_speech
from tests.clocks import PATIENCE_SECONDS
from tests.whole_runs import (
    ARABIC,
    ENGLISH,
    batchjobs,
    environment,
    results,
    summary,
    write_manifest,
)

pytestmark = pytest.mark.unmeasured


def test_two_hundred_texts_come_back_exactly(tmp_path: Path) -> None:
    """Text, spoken by tone, written as WAV, transcribed by tone, is the same text."""
    dice = random.Random(20)
    texts = [
        f"{dice.choice(ARABIC)} {dice.choice(ENGLISH)} {number}"
        if number % 3
        else dice.choice(ARABIC) * 2
        for number in range(200)
    ]
    rows = [
        {"id": f"t{number}", "text": text, "take": number, "output_format": rate}
        for number, (text, rate) in enumerate(
            zip(
                texts,
                dice.choices(("pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000"), k=200),
                strict=True,
            )
        )
    ]
    spoken = write_manifest(tmp_path / "spoken.csv", rows)
    batchjobs("run", spoken, "--engine", "tone", "-o", "spoken", cwd=tmp_path)
    heard = write_manifest(
        tmp_path / "heard.csv",
        [{"id": row["id"], "audio": f"spoken/audio/{row['id']}.wav"} for row in rows],
    )
    batchjobs("run", heard, "--engine", "tone", "-o", "heard", cwd=tmp_path)
    transcripts = {str(line["id"]): line["transcript"] for line in results(tmp_path / "heard")}
    assert transcripts == {str(row["id"]): text for row, text in zip(rows, texts, strict=True)}


def test_long_texts_come_back_exactly(tmp_path: Path) -> None:
    """Texts of minutes, one session or several, come back though their recordings are cut again."""
    texts = {
        "one session": "\n".join(f"{ARABIC[0]} {number}." for number in range(35)),
        "several": " ".join(f"{ENGLISH[0]} Again:  {number}." for number in range(70)),
        "paragraphs": "\n\n".join(f"{ARABIC[4]} {ARABIC[6]} {number}" for number in range(45)),
    }
    rows = [{"id": name, "text": text} for name, text in texts.items()]
    spoken = write_manifest(tmp_path / "spoken.csv", rows)
    batchjobs("run", spoken, "--engine", "tone", "-o", "spoken", cwd=tmp_path)
    lines = results(tmp_path / "spoken")
    assert all(float(str(line["audio_seconds"])) > 90 for line in lines)
    heard = write_manifest(
        tmp_path / "heard.csv",
        [{"id": line["id"], "audio": f"spoken/{line['output']}"} for line in lines],
    )
    batchjobs("run", heard, "--engine", "tone", "-o", "heard", cwd=tmp_path)
    assert {line["id"]: line["transcript"] for line in results(tmp_path / "heard")} == texts


def test_speech_that_is_not_heard_is_no_finished_job(tmp_path: Path) -> None:
    """A recording of speech that comes back empty is in doubt, with its place; silence is done."""
    spoken = make_speech(16_000, voice_id="ar")
    engine = make_synthesiser("espeak")
    pcm = b"".join(engine.synthesise(ARABIC[0] * 3, spoken))
    engine.close()
    sounds = {"speech": bytes(96_000) + pcm, "silence": bytes(len(pcm))}
    for name, sound in sounds.items():
        content = encoding.encode(sound, sample_rate=16_000, format="flac")
        (tmp_path / f"{name}.flac").write_bytes(content)
    rows = [{"id": name, "audio": f"{name}.flac"} for name in sounds]
    manifest = write_manifest(tmp_path / "talks.csv", rows)
    batchjobs("run", manifest, "--engine", "tone", "-o", "heard", cwd=tmp_path, expect=1)
    assert [line["id"] for line in results(tmp_path / "heard")] == ["silence"]
    [line] = (tmp_path / "heard" / "failed.jsonl").read_bytes().splitlines()
    doubted = json.loads(line)
    assert (doubted["id"], doubted["status"]) == ("speech", "suspect")
    [against] = doubted["kept"]["against"]
    assert against["sign"] == "unheard"
    assert 2.9 < against["start_seconds"] < 4.0
    assert against["end_seconds"] > len(pcm) / 32_000


def peak_mib(command: Sequence[object], cwd: Path) -> float:
    """Run a command to its end; give the peak memory of the command alone, in MiB."""
    script = (
        "import os, sys\n"
        "pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)\n"
        "_, status, usage = os.wait4(pid, 0)\n"
        "print(usage.ru_maxrss)\n"
        "sys.exit(os.waitstatus_to_exitcode(status))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, sys.executable, *map(str, command)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    return int(done.stdout.splitlines()[-1]) / 1024


@pytest.mark.long
def test_a_thousand_rows_at_once_stay_small(tmp_path: Path) -> None:
    """1,000 rows at concurrency 64 take under 200 MiB, and hardly more than 200 rows do."""
    peaks = []
    for count in (200, 1_000):
        rows = [{"id": f"r{n}", "text": f"صباح الخير row {n}"} for n in range(count)]
        manifest = write_manifest(tmp_path / f"m{count}.csv", rows)
        command = ["-m", "batchjobs", "run", manifest, "--engine", "tone", "-c", 64, "-q"]
        peaks.append(peak_mib(command, tmp_path))
        assert summary(tmp_path / "outputs" / f"m{count}")["done"] == count
    assert peaks[1] < 200
    assert peaks[1] < 1.2 * peaks[0]
