"""Audio of rows that were taken out is told at every look at the run."""

from pathlib import Path

import batchjobs
from tests.commands import Command

RUN = ("run", "t.csv", "--engine", "tone")


def test_audio_of_rows_that_were_taken_out_is_told(command: Command, folder: Path) -> None:
    """Whoever takes audio/* for a dataset would get four clips of a manifest of two rows."""
    manifest = Path("t.csv")
    manifest.write_text("id,text\na,alpha\nb,bravo\nc,charlie\n")
    assert "belong" not in command(*RUN).out
    manifest.write_text("id,text\na,alpha\nb2,bravo\n")
    words = "2 files belong to no row any more: audio/b.wav, audio/c.wav; "
    for line in (RUN, RUN, ("status", "outputs/t"), ("verify", "outputs/t")):
        (told,) = [told for told in command(*line).out.splitlines() if told.startswith(words)]
        way = told.removeprefix(words)
        if " prune " in way:  # what is named is a command, and what is not, is no use to anybody
            assert command("prune", "--help").code == 0
        else:
            assert way == "remove them, or put their rows back"
    assert batchjobs.status("outputs/t").left_files.count == 2
    Path("outputs/t/audio/b.wav").unlink()
    assert "1 file belongs to no row any more: audio/c.wav" in command(*RUN).out
    manifest.write_text("id,text\na,alpha\nb2,bravo\nc,charlie\n")
    assert "belong" not in command(*RUN).out


def test_results_in_another_place_or_format_are_left_too(command: Command, folder: Path) -> None:
    """A format that was changed leaves every clip there twice."""
    Path("t.csv").write_text("id,text\nأ,نصّ أول\nب,نصّ ثانٍ\n", encoding="utf-8")
    command(*RUN)
    told = command(*RUN, "--format", "flac").out
    assert "2 files belong to no row any more: audio/" in told
    assert ".wav" in told
    assert ".flac" not in told
