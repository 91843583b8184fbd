"""A run that outlives its terminal: refused before our eyes, or gone, with a log and a way to stop it."""

import os
import re
from pathlib import Path

from tests.canary import KEY
from tests.clocks import until
from tests.whole_runs import ARABIC, batchjobs, run_server, summary, write_manifest


def is_there(process: int) -> bool:
    """Whether a process is there, and has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_run_goes_on_without_its_terminal(tmp_path: Path) -> None:
    """It says its process, its log, and how to look and stop; and all is done, with no key told."""
    rows = [{"id": f"d{n}", "text": f"{ARABIC[n % 7]} {n}"} for n in range(30)]
    manifest = write_manifest(tmp_path / "far.csv", rows)
    folder = tmp_path / "outputs" / "far"
    with run_server(tmp_path, "--engine", "tone", "--pace", 4) as base_url:
        options = ("--base-url", base_url, "-c", 4, "--detach")
        told = batchjobs("run", manifest, *options, cwd=tmp_path, BATCHJOBS_LOCAL_KEY=KEY)
        found = re.search(r"process (\d+)", told.stdout)
        assert found is not None
        process = int(found[1])
        assert os.getsid(process) == process
        assert f"what it says: {Path('outputs/far/run.log')}" in told.stdout
        assert "ctl outputs/far drain" in told.stdout
        until((folder / "control.sock").exists)
        drained = batchjobs("ctl", folder, "drain", cwd=tmp_path)
        assert "no session starts any more" in drained.stdout
        until(lambda: not is_there(process))
        log = folder / "run.log"
        assert log.stat().st_mode & 0o777 == 0o600
        assert "stopping: asked for by process" in log.read_text(encoding="utf-8")
        assert "continue: " in log.read_text(encoding="utf-8")
        batchjobs("run", manifest, *options[:4], cwd=tmp_path, BATCHJOBS_LOCAL_KEY=KEY)
    assert summary(folder)["done"] == 30
    assert KEY not in log.read_text(encoding="utf-8") + told.stdout + told.stderr
    batchjobs("verify", folder, cwd=tmp_path)


def test_what_is_refused_is_refused_before_our_eyes(tmp_path: Path) -> None:
    """With its sentence and its code, and without a trace; and where nothing is to do, it is said."""
    (tmp_path / "bad.csv").write_text("id,text\na,\n", encoding="utf-8")
    told = batchjobs("run", "bad.csv", "--detach", cwd=tmp_path, expect=65)
    assert "bad.csv:2" in told.stderr
    assert not (tmp_path / "outputs" / "bad").exists()
    (tmp_path / "good.csv").write_text(f"id,text\na,{ARABIC[1]}\n", encoding="utf-8")
    batchjobs("run", "good.csv", "--engine", "tone", cwd=tmp_path)
    told = batchjobs("run", "good.csv", "--engine", "tone", "--detach", cwd=tmp_path)
    assert "nothing to do" in told.stdout
