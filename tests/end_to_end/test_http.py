"""Speech over HTTP as a whole: the command line, a server in a process of its own, kills."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.canary import KEY, place_in
from tests.clocks import PATIENCE_SECONDS
from tests.whole_runs import (
    ARABIC,
    batchjobs,
    environment,
    ledger_of,
    results,
    run_server,
    summary,
    write_manifest,
)

HTTP = '[providers.local]\ntts_transport = "http"\n'


def manifest_of(folder: Path, rows: int, **columns: str) -> Path:
    """Write a manifest of Arabic texts, each another one."""
    texts = [f"{ARABIC[n % len(ARABIC)]} {n}" for n in range(rows)]
    rows_of = [{"id": f"r{n}", "text": text, **columns} for n, text in enumerate(texts)]
    return write_manifest(folder / "talks.csv", rows_of)


def test_a_transport_is_no_reason_to_buy_again(tmp_path: Path) -> None:
    """The same samples come over both; what was bought over one is done for the other."""
    manifest_of(tmp_path, 7)
    ledger = tmp_path / "ledger.jsonl"
    with run_server(tmp_path, "--engine", "tone", "--ledger", ledger) as url:
        run = ("run", "talks.csv", "--base-url", url)
        batchjobs(*run, "-o", "socket", cwd=tmp_path, BATCHJOBS_LOCAL_KEY=KEY)
        (tmp_path / "batchjobs.toml").write_text(HTTP)
        batchjobs(*run, "-o", "socket", cwd=tmp_path, BATCHJOBS_LOCAL_KEY=KEY)
        assert len(ledger_of(ledger)) == 2 * 7
        batchjobs(*run, "-o", "http", cwd=tmp_path, BATCHJOBS_LOCAL_KEY=KEY)
    over_socket, over_http = results(tmp_path / "socket"), results(tmp_path / "http")
    hashes = [
        {line["id"]: line["pcm_sha256"] for line in lines} for lines in (over_socket, over_http)
    ]
    assert hashes[0] == hashes[1]
    assert {line["evidence"]["ending"] for line in over_http} == {"whole_body"}
    sent = [line for line in ledger_of(ledger) if line["event"] == "end"]
    assert len(sent) == 2 * 7
    assert all(line["complete"] for line in sent)
    assert len({line["text_sha256"] for line in sent}) == 7
    assert not place_in((tmp_path / "http" / "results.jsonl").read_text())


def test_a_killed_run_is_continued(tmp_path: Path) -> None:
    """Killed in mid-body, it goes on with what is not done; each text is bought once or was open."""
    manifest_of(tmp_path, 40)
    (tmp_path / "batchjobs.toml").write_text(HTTP)
    ledger = tmp_path / "ledger.jsonl"
    serve = ("--engine", "tone", "--ledger", ledger, "--pace", "4")
    with run_server(tmp_path, *serve) as url:
        words = ["run", "talks.csv", "--base-url", url, "-c", "4", "-o", "out", "--json"]
        process = subprocess.Popen(
            [sys.executable, "-m", "batchjobs", *words],
            cwd=tmp_path,
            env=environment(BATCHJOBS_LOCAL_KEY=KEY),
            stdout=subprocess.PIPE,
            text=True,
        )
        said = process.stdout
        assert said is not None
        done = 0
        for line in said:
            done += json.loads(line).get("event") == "job_finished"
            if done == 3:
                os.kill(process.pid, signal.SIGKILL)
                break
        process.wait()
        said.close()
        batchjobs(*words, cwd=tmp_path, BATCHJOBS_LOCAL_KEY=KEY)
    assert summary(tmp_path / "out")["done"] == 40
    starts = [line for line in ledger_of(ledger) if line["event"] == "start"]
    assert 40 <= len(starts) <= 44
    batchjobs("verify", "out", cwd=tmp_path)


def test_every_fault_over_http_is_survived(tmp_path: Path) -> None:
    """Whatever goes wrong once, in the end all is done and nothing is taken for whole that is not."""
    manifest_of(tmp_path, 12)
    (tmp_path / "batchjobs.toml").write_text(HTTP)
    faults = (
        "drop close:1011 error:50001 handshake:503 throttle-handshake:0 truncate garbage".split()
    )
    options = [word for fault in faults for word in ("--fault", f"{fault}#1")]
    clean = tmp_path / "clean"
    batchjobs("run", "talks.csv", "--engine", "tone", "-o", clean, cwd=tmp_path)
    batchjobs("run", "talks.csv", "--engine", "tone", "-o", "out", *options, cwd=tmp_path)
    found = {line["id"]: line["pcm_sha256"] for line in results(tmp_path / "out")}
    assert found == {line["id"]: line["pcm_sha256"] for line in results(clean)}
    assert sum(line["attempts"] for line in results(tmp_path / "out")) > 12


def test_a_dialect_and_48_khz_come_over_http_only(tmp_path: Path) -> None:
    """Over a socket both are told before anything is sent; a column of one's own travels along."""
    manifest_of(tmp_path, 2, output_format="pcm_48000", dialect="emirati")
    (tmp_path / "batchjobs.toml").write_text(HTTP)
    run = ("run", "talks.csv", "--engine", "tone")
    batchjobs(*run, "-o", "http", cwd=tmp_path)
    assert {line["sample_rate"] for line in results(tmp_path / "http")} == {48_000}
    (tmp_path / "batchjobs.toml").unlink()
    refused = batchjobs(*run, "-o", "socket", cwd=tmp_path, expect=65).stderr
    assert (
        "talks.csv:2: column 'output_format': 'pcm_48000' does not come over a WebSocket" in refused
    )
    assert 'tts_transport = "http" below [providers.local]' in refused
    manifest_of(tmp_path, 2, dialect="emirati")
    told = batchjobs("plan", "talks.csv", cwd=tmp_path).stderr
    assert "2 rows name a dialect ('emirati' on line 2, 'emirati' on line 3)" in told
    assert "no effect over a WebSocket" in told
    refused = batchjobs(*run, "-o", "socket", "--dialect", "fusha", cwd=tmp_path, expect=65).stderr
    assert "'fusha' has no effect over a WebSocket" in refused
    manifest_of(tmp_path, 2, dialect="نجدي")
    batchjobs(*run, "-o", "own", cwd=tmp_path)
    assert {line["dialect"] for line in results(tmp_path / "own")} == {"نجدي"}
    (tmp_path / "batchjobs.toml").write_text(HTTP)
    refused = batchjobs(*run, "-o", "http2", cwd=tmp_path, expect=65).stderr
    assert "'نجدي' is no dialect" in refused


def test_a_second_interrupt_cuts_requests_off(tmp_path: Path) -> None:
    """The first lets them go on, for as long as the grace; what was sent by then counts as spent."""
    manifest_of(tmp_path, 4)
    (tmp_path / "batchjobs.toml").write_text(HTTP)
    ledger = tmp_path / "ledger.jsonl"
    with run_server(tmp_path, "--engine", "tone", "--ledger", ledger, "--fault", "hang") as url:
        words = ["run", "talks.csv", "--base-url", url, "-c", "1", "-o", "out", "--grace", "600"]
        process = subprocess.Popen(
            [sys.executable, "-m", "batchjobs", *words],
            cwd=tmp_path,
            env=environment(BATCHJOBS_LOCAL_KEY=KEY),
            stderr=subprocess.PIPE,
            text=True,
        )
        said = process.stderr
        assert said is not None
        while not (ledger.exists() and ledger_of(ledger)):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        for line in said:
            if "once more to stop at once" in line:
                process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == -signal.SIGINT
        said.close()
    assert summary(tmp_path / "out")["characters_wasted"] == len(f"{ARABIC[0]} 0")


def test_without_the_extra_nothing_begins(tmp_path: Path) -> None:
    """It is named, and no folder is left behind."""
    manifest_of(tmp_path, 1)
    (tmp_path / "batchjobs.toml").write_text(HTTP)
    hidden = "import sys; sys.modules['httpx'] = None; from batchjobs.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", hidden, "run", "talks.csv", "--engine", "tone", "-o", "out"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 78
    assert "pip install 'batchjobs[http]'" in ended.stderr
    assert not (tmp_path / "out").exists()
