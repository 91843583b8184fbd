"""The quickstart as users start it: every clip playable, every recording transcribed."""

import csv
import re
from pathlib import Path

import pytest

from batchjobs.audio import decoding, pcm
from batchjobs.jobs import SpeechSettings
from batchjobs.server.engines.registry import make_synthesiser
from tests.commands import ROOT
from tests.forks import from_scratch
from tests.recordings import read_pcm
from tests.whole_runs import batchjobs, results, summary

pytestmark = pytest.mark.unmeasured


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of the README's first command."""
    folder = tmp_path_factory.mktemp("quickstart")
    with from_scratch():
        batchjobs("run", ROOT / "manifests" / "quickstart.csv", cwd=folder)
    return folder / "outputs" / "quickstart"


def test_the_quickstart_makes_playable_files_of_every_row(quickstart: Path) -> None:
    """The first command ends with 0 and every file can be decoded to the length it reports."""
    lines = results(quickstart)
    assert len(lines) == 8
    assert summary(quickstart)["done"] == 8
    for line in lines:
        if line["kind"] == "tts":
            frames, rate = decoding.measure(quickstart / str(line["output"]))
            assert rate == line["sample_rate"]
            lossy = str(line["output"]).endswith(".mp3")
            assert frames == pytest.approx(line["frames"], abs=3_000 if lossy else 0)
            assert not pcm.is_silent(read_pcm(quickstart / str(line["output"])))


def test_the_arabic_clips_are_what_espeak_says(quickstart: Path) -> None:
    """Each Arabic clip has the rate asked for and the length of the same text spoken again."""
    with (ROOT / "manifests" / "quickstart.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    engine = make_synthesiser("espeak")
    try:
        for line in results(quickstart):
            row = rows[str(line["id"])]
            if not re.search(r"[\u0600-\u06ff]", row["text"]):
                continue
            settings = SpeechSettings(
                voice_id=row["voice_id"],
                model_id="any",
                speed=float(row["speed"] or 1.0),
                output_format=row["output_format"],
            )
            again = b"".join(engine.synthesise(row["text"], settings))
            assert line["sample_rate"] == settings.sample_rate
            seconds = len(again) / 2 / settings.sample_rate
            # A text is sent sentence by sentence, which may cost or save a pause at each seam.
            assert line["audio_seconds"] == pytest.approx(seconds, rel=0.15)
    finally:
        engine.close()


def test_the_quickstart_transcribes_its_recordings(quickstart: Path) -> None:
    """Both recordings have a transcript that shares most words with what was said."""
    for line in results(quickstart):
        if line["kind"] == "stt":
            transcript = (quickstart / str(line["output"])).read_text(encoding="utf-8")
            assert transcript == line["transcript"]
            said = str(line["reference"]).split()
            heard = transcript.split()
            assert sum(word in heard for word in said) >= 0.8 * len(said)


def test_running_again_opens_no_session(quickstart: Path) -> None:
    """The same command again does nothing, and says that all is done."""
    before = summary(quickstart)["attempts"]
    manifest = ROOT / "manifests" / "quickstart.csv"
    again = batchjobs("run", manifest, "-o", quickstart, cwd=quickstart)
    assert "nothing to do: 8 of 8 jobs were done before" in again.stdout
    assert summary(quickstart)["attempts"] == before
