"""Rows that a program hands over are judged as the same rows of a file are."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from batchjobs.errors import ManifestError, UsageError
from batchjobs.jobs import BadRow, Job
from batchjobs.manifest import read_rows
from batchjobs.options import Defaults
from tests.manifest.reading import PROVIDERS, read_manifest

_GIVEN: list[dict[str, object]] = [
    {"id": "a", "text": "مرحبا", "speed": 1.1, "note": [1, {"two": None}]},
    {"text": "no id"},
    {"id": 7, "audio": "a.wav", "reference": "so", "speed": "ignored"},
    {"id": "b", "text": "x", "speed": 9},
    {"id": "c", "txt": "misspelt"},
    {"id": "d", "text": 5},
    {"id": True, "text": "x"},
    {},
]


def _judged(
    rows: Iterable[Mapping[str, object]], folder: Path, defaults: Defaults | None = None
) -> Iterator[Job | BadRow]:
    return read_rows(
        rows,
        name="rows",
        folder=folder,
        providers=PROVIDERS,
        defaults=defaults or Defaults(voice_id="v"),
    )


def test_rows_from_a_program_are_judged_like_json_lines(tmp_path: Path) -> None:
    """The same rows make the same jobs, ids and complaints, their numbers standing for lines."""
    (tmp_path / "a.wav").touch()
    lines = "".join(json.dumps(row) + "\n" for row in _GIVEN)
    read = read_manifest(tmp_path, lines, ending=".jsonl", defaults=Defaults(voice_id="v"))
    assert list(_judged(_GIVEN, tmp_path)) == read
    assert sum(isinstance(row, Job) for row in read) == 3


@pytest.mark.parametrize(
    "value", [object(), Path("a.wav"), 2**70, "\ud800", {1: "a number as a key"}]
)
def test_a_value_that_json_has_no_form_for_makes_a_bad_row(tmp_path: Path, value: object) -> None:
    """What could not be written to the results is refused at the row, and the others go on."""
    bad, good = _judged([{"id": "a", "text": "x", "note": value}, {"text": "y"}], tmp_path)
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.id) == (1, "a")
    assert "cannot be written as JSON" in bad.message
    assert isinstance(good, Job)


def test_rows_are_taken_one_by_one(tmp_path: Path) -> None:
    """Rows without an end are judged as they come."""
    endless = ({"id": str(number), "text": "x"} for number in itertools.count())
    jobs = list(itertools.islice(_judged(endless, tmp_path), 3))
    assert [job.id for job in jobs] == ["0", "1", "2"]


def test_no_rows_at_all_are_a_mistake(tmp_path: Path) -> None:
    """A program that hands over nothing is told so, as an empty manifest is."""
    with pytest.raises(ManifestError, match="rows: there is no row"):
        list(_judged([], tmp_path))


def test_wrong_defaults_are_refused_before_the_rows(tmp_path: Path) -> None:
    """A default out of its range is the program's mistake, not every row's."""
    with pytest.raises(UsageError, match="the default for 'speed': 5 is not between"):
        list(_judged(_GIVEN, tmp_path, Defaults(speed=5)))


def test_of_several_mistakes_the_first_one_is_told(tmp_path: Path) -> None:
    """The columns are judged in one order, whichever of them could not even be read."""
    wrong: dict[str, object] = {
        "id": "\n",
        "text": 1,
        "provider": "nobody",
        "voice_id": 2,
        "stability": "x",
        "speed": 9,
        "output_format": "mp3",
        "output": "/etc",
        "take": -1,
    }
    right: dict[str, object] = {
        "id": "a",
        "text": "x",
        "provider": "local",
        "voice_id": "v",
        "stability": 0.5,
        "speed": 1,
        "output_format": "pcm_8000",
        "output": "a.wav",
        "take": 1,
    }
    found = []
    for column in wrong:
        (bad,) = _judged([wrong], tmp_path)
        assert isinstance(bad, BadRow)
        found.append(bad.column)
        wrong = wrong | {column: right[column]}
    assert found == list(right)
    (job,) = _judged([wrong], tmp_path)
    assert isinstance(job, Job)
