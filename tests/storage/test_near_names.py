"""Names that an object may have in place of the one that was given."""

import unicodedata
from contextlib import closing

import pytest

from batchjobs.errors import RecordingError
from batchjobs.storage.input_files import InputFiles
from batchjobs.storage.near_names import list_near_names
from batchjobs.storage.reading import FileFacts
from tests.s3 import Bucket

COMPOSED = unicodedata.normalize("NFC", "مُؤتمر é ١.wav")
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


def look_at(name: str) -> FileFacts:
    """Look at an object as planning does."""
    with closing(InputFiles()) as files, files.borrow(name) as file:
        return file.facts


@pytest.mark.parametrize(
    ("there", "given", "how"),
    [
        (DECOMPOSED, COMPOSED, r"another Unicode form \(NFD\)"),
        (COMPOSED, DECOMPOSED, r"another Unicode form \(NFC\)"),
        ("folder/a.wav", "folder\\a.wav", "with '/' between folders"),
        ("folder/a.wav", "folder/ a.wav ", "without spaces about it"),
        ("a b+١.wav", "a%20b+%D9%A1.wav", "names stand as they are"),
    ],
)
def test_a_name_that_is_nearly_right_is_told(
    bucket: Bucket, there: str, given: str, how: str
) -> None:
    """What is there is named, and how it differs, without a list of the bucket."""
    bucket.put(there, b"sound")
    with pytest.raises(RecordingError, match=how) as told:
        look_at(bucket.url(given))
    assert f"there is '{bucket.url(there)}'" in told.value.hint


def test_what_is_not_there_at_all_is_told_so(bucket: Bucket) -> None:
    """Nothing is guessed where nothing is."""
    with pytest.raises(RecordingError, match="there is no object"):
        look_at(bucket.url("gone é.wav"))


def test_no_guess_leads_upwards() -> None:
    """Signs in place of letters are no way out of a folder."""
    assert list(list_near_names("s3://b/talks/%2e%2e/secret.wav")) == []
