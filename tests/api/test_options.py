"""Options that make no sense are refused, and those of the line change no result."""

from pathlib import Path
from typing import Any

import pytest

import batchjobs
from tests.api.manifests import MANIFEST


@pytest.mark.parametrize(
    "options", [{"encoding": "padded"}, {"compress": True}, {"preopen": True}], ids=str
)
def test_the_line_s_options_change_no_transcript(
    options: dict[str, Any], manifest: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Through the local server, what was spoken is heard again however it travels."""
    spoken = batchjobs.run(manifest, batchjobs.Options(engine="tone"))
    recordings = [f"{name},{spoken.folder}/audio/{name}.wav\n" for name in "abc"]
    heard = manifest.with_name("heard.csv")
    heard.write_text("id,audio\n" + "".join(recordings), encoding="utf-8")
    report = batchjobs.run(heard, batchjobs.Options(engine="tone", **options))
    assert report.exit_code == 0
    texts = [line["transcript"] for line in batchjobs.read_results(report.folder)]
    assert "compress" not in caplog.text  # nobody declined
    assert texts == [line.split(",")[1] for line in MANIFEST.splitlines()[1:]]


def test_an_encoding_that_there_is_not_is_told(manifest: Path) -> None:
    """A mistaken name is told before anything begins."""
    with pytest.raises(batchjobs.errors.UsageError, match="no encoding 'wide'") as caught:
        batchjobs.run(manifest, batchjobs.Options(engine="tone", encoding="wide"))
    assert "compact, padded" in caught.value.hint


def test_errors_have_a_message_a_hint_and_an_exit_code(manifest: Path) -> None:
    """What keeps a run from starting is raised as one of our errors."""
    options = batchjobs.Options(provider="munsit", speech=batchjobs.Defaults(voice_id="v"))
    with pytest.raises(batchjobs.errors.ConfigurationError) as caught:
        batchjobs.run(manifest, options)
    assert caught.value.exit_code == 78
    assert "MUNSIT_API_KEY" in caught.value.hint
    assert not Path("outputs/three").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"limit": -1},
        {"concurrency": -5},
        {"concurrency": 10_001},
        {"starts_per_second": -1.0},
        {"budget": float("nan")},
        {"max_characters": -1},
        {"grace_seconds": -1.0},
        {"paragraph_pause_seconds": -0.1},
        {"audio_format": "aac"},
    ],
    ids=str,
)
def test_options_out_of_their_range_are_refused(manifest: Path, wrong: dict[str, Any]) -> None:
    """As on the command line, and before anything is bought."""
    with pytest.raises(batchjobs.errors.UsageError, match=next(iter(wrong)).removeprefix("audio_")):
        batchjobs.run(manifest, batchjobs.Options(engine="tone", **wrong))
    assert not Path("outputs").exists()
