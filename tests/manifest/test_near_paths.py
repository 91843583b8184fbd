"""A path that misses a file by its spelling is told which file is there."""

import unicodedata
from pathlib import Path

import pytest

from batchjobs.manifest import near_paths
from tests.manifest.reading import read_bad_row

DECOMPOSED = unicodedata.normalize("NFD", "مُؤتمر é")
COMPOSED = unicodedata.normalize("NFC", DECOMPOSED)


@pytest.mark.parametrize(
    ("there", "given", "words"),
    [
        (f"clips/{DECOMPOSED}.wav", f"clips/{COMPOSED}.wav", "another Unicode form (NFD)"),
        (f"clips/{COMPOSED}.wav", f"clips/{DECOMPOSED}.wav", "another Unicode form (NFC)"),
        ("clips/one.wav", "clips\\one.wav", "with '/' between folders"),
        ("Clips/One.WAV", "clips/one.wav", "with other capitals"),
        ("clips/one.wav", " clips/one.wav", "without spaces about it"),
        (f"Clips/{DECOMPOSED}.wav", f"clips\\{COMPOSED}.wav", "with '/' between folders"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_what_is_there_in_place_of_a_path_is_told(
    tmp_path: Path, there: str, given: str, words: str, form: str
) -> None:
    """Most such paths come from another system: NFD from macOS, backslashes from Windows."""
    path = tmp_path / there
    path.parent.mkdir()
    path.write_bytes(b"RIFF")
    escaped = given.replace("\\", "\\\\")
    content = f'id,audio\n1,"{given}"\n' if form == "csv" else f'{{"audio": "{escaped}"}}\n'
    told = read_bad_row(tmp_path, content).describe("talks")
    assert "there is no file" in told
    assert f"there is '{there}', " in told
    assert words in told


@pytest.mark.parametrize("given", ["clips/two.wav", "..\\clips/one.wav", "clips", "other/one.wav"])
def test_where_nothing_is_alike_nothing_is_said(tmp_path: Path, given: str) -> None:
    """No guess is better than a wrong one, and none leads out of the folder."""
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "one.wav").write_bytes(b"RIFF")
    (tmp_path / "in").mkdir()
    assert near_paths.NearPaths().explain([tmp_path / "in", tmp_path], given) == ""


def test_a_folder_is_listed_once(tmp_path: Path) -> None:
    """A million wrong paths into one folder do not list it a million times."""
    near = near_paths.NearPaths()
    (tmp_path / "a.wav").write_bytes(b"")
    assert near.explain([tmp_path], "A.wav")
    (tmp_path / "b.wav").write_bytes(b"")
    assert not near.explain([tmp_path], "B.wav")
    for number in range(20):
        assert not near.explain([tmp_path / str(number)], "B.wav")
    assert near.explain([tmp_path], "B.wav")
