"""Every name of the run folder is known here, and spelt nowhere else."""

import ast
from pathlib import Path

import pytest

import batchjobs
from batchjobs.files import run_folder

NAMES = {run_folder.CHECKPOINT, *run_folder.REPORTS}


def test_no_other_file_spells_the_names() -> None:
    """A file of the run folder is renamed in one place; what is told of it may be in documents."""
    root = Path(batchjobs.__file__).parent
    spelt = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and (node.value in NAMES or node.value.startswith(f"{run_folder.SEGMENTS}/"))
    }
    assert spelt == {"files/run_folder.py"}


@pytest.mark.parametrize(
    "output",
    [
        *run_folder.REPORTS,
        "summary.txt",
        "Report.html/a.wav",
        f"{run_folder.CHECKPOINT}-wal/a.wav",
        run_folder.segment_path("a" * 64).upper(),
        run_folder.suspect_path("a", ".wav", ()),
    ],
)
def test_no_result_may_take_a_name_of_the_run(output: str) -> None:
    """Nor a folder of such a name, in whatever case of its letters."""
    assert run_folder.is_reserved(output)


@pytest.mark.parametrize("audio_format", ["wav", "mp3", None])
def test_the_usual_places_are_free(audio_format: str | None) -> None:
    """Results whose rows name no output stand in folders of their own."""
    output = run_folder.usual_path("chapter 1", audio_format)
    assert not run_folder.is_reserved(output)
    assert run_folder.is_in_usual_place(output)
    assert not run_folder.is_in_usual_place(f"more/{output}")


@pytest.mark.parametrize(
    ("output", "files"),
    [
        ("a/b.wav", ["a/b.wav"]),
        ("a/b.txt", ["a/b.txt", "a/b.json", "a/b.srt", "a/b.vtt"]),
        ("B.TXT", ["B.TXT", "B.json", "B.srt", "B.vtt"]),
    ],
)
def test_a_transcript_has_files_beside_it(output: str, files: list[str]) -> None:
    """Its details and subtitles; speech is one file."""
    assert run_folder.files_of_result(output) == files


def test_a_file_beside_is_never_the_file_itself() -> None:
    """A transcript that is called as its details would be has them under a longer name."""
    assert run_folder.path_beside("a.json", ".json") == "a.json.json"


def test_what_is_kept_in_doubt_stands_beside_what_was_kept_before() -> None:
    """Until the better of the two is committed, both are there."""
    taken: set[str] = set()
    for _ in range(3):
        taken.add(run_folder.suspect_path("a", ".wav", taken))
    assert taken == {"suspect/a.wav", "suspect/a~2.wav", "suspect/a~3.wav"}


def test_a_segment_has_a_second_place() -> None:
    """What is kept of it stays until what replaces it is committed."""
    places = {run_folder.segment_path("k", number) for number in (1, 2)}
    assert len(places) == 2
    assert all(run_folder.is_segment_file(place) for place in places)
    assert not run_folder.is_segment_file("audio/k.wav")
