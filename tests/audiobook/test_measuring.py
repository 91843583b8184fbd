"""Chapters are measured once: what was measured is kept, and only what changed is measured anew."""

import json
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from batchjobs.api.run import run
from batchjobs.audiobook.album import Album, read_album
from batchjobs.audiobook.measuring import Measuring
from batchjobs.audiobook.meter import join_readings
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import RecordingError
from batchjobs.files.run_folder import CHECKPOINT
from batchjobs.options import Options
from tests.builders import write_recording
from tests.clocks import PATIENCE_SECONDS
from tests.commands import process
from tests.whole_runs import batchjobs


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    """A run of three chapters of noise."""
    rows = [{"id": f"{n}", "text": f"نصّ الفصل رقم {n}", "book": "كتاب"} for n in range(3)]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = Options(output=tmp_path / "run", engine="tone")
    assert run(tmp_path / "m.jsonl", options).exit_code == 0
    return tmp_path / "run"


def measure(folder: Path) -> tuple[Album, float, float]:
    """Measure a run; gives its album, what was measured, and the loudness of the whole."""
    album = read_album(folder, folder)
    measuring = Measuring(folder, folder, album.chapters)
    seen = [0.0]
    loudness = join_readings(measuring.run(seen.append))
    assert seen[-1] == pytest.approx(measuring.open_seconds)
    return album, measuring.open_seconds, loudness.lufs


def test_only_what_changed_is_measured_again(spoken: Path) -> None:
    """And the whole is as loud as if all were."""
    album, first, loud = measure(spoken)
    assert first == pytest.approx(album.seconds)
    assert measure(spoken)[1:] == (0.0, loud)
    frames = album.chapters[1].frames
    noise = np.random.default_rng(0).integers(-9_000, 9_000, frames, dtype="<i2")
    write_recording(album.chapters[1].path, noise.tobytes(), album.chapters[1].sample_rate)
    _, again, changed = measure(spoken)
    assert again == pytest.approx(album.chapters[1].seconds)
    assert changed != loud
    with Checkpoint.open(spoken) as checkpoint, checkpoint._database.transaction() as connection:
        connection.execute("DELETE FROM loudness")
    _, every, loud = measure(spoken)
    assert every == pytest.approx(album.seconds)
    assert loud == changed


def test_while_a_run_goes_on_nothing_is_kept(spoken: Path) -> None:
    """The checkpoint has one writer; the book is measured all the same."""
    with Checkpoint.open(spoken):
        _, seconds, _ = measure(spoken)
        assert seconds > 0
        assert measure(spoken)[1] == seconds
    measure(spoken)
    assert measure(spoken)[1] == 0.0


def test_a_chapter_that_is_gone_is_told_and_the_others_are_kept(spoken: Path) -> None:
    """By its name."""
    gone = read_album(spoken, spoken).chapters[2].path
    gone.unlink()
    with pytest.raises(RecordingError, match=gone.name):
        measure(spoken)
    with Checkpoint.read(spoken) as checkpoint:
        assert f"audio/{gone.name}" not in checkpoint.loudness.find_all()


def test_a_killed_bind_leaves_no_file_and_has_measured_for_good(tmp_path: Path) -> None:
    """SIGKILL while it encodes: the next one measures nothing, and makes the whole book."""
    rows = [{"id": f"{n}", "text": f"نصّ {n} " * 30, "book": "كتاب"} for n in range(4)]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = Options(output=tmp_path / "run", engine="tone")
    assert run(tmp_path / "m.jsonl", options).exit_code == 0
    bound = process("bind", "run", "-o", "a.m4b", cwd=tmp_path)
    until = time.monotonic() + PATIENCE_SECONDS
    part = tmp_path / ".a.m4b.part"
    while not part.exists():
        assert time.monotonic() < until
        assert bound.poll() is None
        time.sleep(0.001)
    bound.send_signal(signal.SIGKILL)
    bound.wait()
    assert not (tmp_path / "a.m4b").exists()
    with closing(sqlite3.connect(tmp_path / "run" / CHECKPOINT)) as database:
        assert database.execute("SELECT count(*) FROM loudness").fetchone() == (4,)
    made = tmp_path / "run"
    assert Measuring(made, made, read_album(made, made).chapters).open_seconds == 0
    assert "4 chapters" in batchjobs("bind", "run", "-o", "a.m4b", cwd=tmp_path).stdout
    assert not part.exists()
