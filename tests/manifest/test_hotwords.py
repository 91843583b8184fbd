"""Hot words: read from cells, an option and a file, checked before anything is spent, each once."""

from dataclasses import replace
from pathlib import Path

import pytest

from batchjobs.errors import UsageError
from batchjobs.jobs import BadRow, Job
from batchjobs.manifest import read_rows
from batchjobs.manifest.columns import RowError, guess_columns
from batchjobs.manifest.hotwords import read_hotwords, read_hotwords_file
from batchjobs.options import Defaults
from batchjobs.providers import BUILT_IN, Provider
from tests.builders import write_recording

ARABIC = ("السَّلامُ", "عليكـم", "می\u200cخواهم", "لـ\u200d", "١٢٣", "\u200fAPI\u200f", "مكتبة trio")
LISTENS = replace(BUILT_IN["munsit"], stt_protocol="listen")


def _read(
    folder: Path, content: str, *, provider: Provider = LISTENS, hotwords: str = ""
) -> list[Job | BadRow]:
    (folder / "rows.csv").write_text(content, encoding="utf-8")
    write_recording(folder / "a.wav", bytes(3_200), 16_000)
    rows = read_rows(
        folder / "rows.csv",
        name="rows.csv",
        folder=folder,
        providers={provider.name: provider},
        defaults=Defaults(provider=provider.name, hotwords=hotwords),
    )
    return list(rows)


def _words(job: Job | BadRow) -> tuple[str, ...]:
    assert isinstance(job, Job), job
    return job.hotwords


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, ()),
        ("", ()),
        (" , ,", ()),
        ("a, b ,a", ("a", "b")),
        (",".join(ARABIC), ARABIC),
        ("\u060c ".join(ARABIC), ARABIC),
        (list(ARABIC), ARABIC),
        ('["a", "b c"]', ("a", "b c")),
        (["a", "a", ""], ("a",)),
        (["\U0001f600" * 40], ("\U0001f600" * 40,)),
        ([f"w{number}" for number in range(200)] * 2, tuple(f"w{n}" for n in range(200))),
    ],
)
def test_words_are_read_to_the_letter_and_each_once(value: object, words: tuple[str, ...]) -> None:
    """Marks, tatweel, joiners and spaces within stay; white space about them does not."""
    assert read_hotwords(value) == words


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (["a,b"], "comma"),
        (["a\nb"], "control character"),
        ("سَ" * 21, "42 characters, marks and joiners included"),
        ([f"w{number}" for number in range(201)], "201 words"),
        ("[a", "no list"),
        (3, "must be words"),
        ({"a": 1}, "must be words"),
        ([1], "must be words"),
    ],
)
def test_what_the_service_would_drop_is_refused(value: object, says: str) -> None:
    """By name, with what to do."""
    with pytest.raises(RowError, match=says) as caught:
        read_hotwords(value)
    assert (caught.value.column, bool(caught.value.hint)) == ("hotwords", True)


def test_a_row_s_own_words_go_before_those_of_all(tmp_path: Path) -> None:
    """A row without any has the option's; a text to be spoken has none."""
    content = f'audio,text,hotwords\na.wav,,"{",".join(ARABIC)}"\na.wav,,\n'
    own, usual = _read(tmp_path, content, hotwords="one,two")
    assert (_words(own), _words(usual)) == (ARABIC, ("one", "two"))


def test_words_that_nobody_would_hear_are_refused(tmp_path: Path) -> None:
    """On the older socket of a service that is paid, and for the model that takes none."""
    content = 'audio,hotwords\na.wav,"a,b"\n'
    for provider, says in (
        (replace(LISTENS, stt_protocol="transcription"), 'stt_protocol = "listen"'),
        (replace(LISTENS, stt_model="munsit-en-ar"), "munsit-en-ar"),
    ):
        (bad,) = _read(tmp_path, content, provider=provider)
        assert isinstance(bad, BadRow)
        assert (bad.column, says in bad.describe("rows.csv")) == ("hotwords", True)
        (bad,) = _read(tmp_path, "audio\na.wav\n", provider=provider, hotwords="a")
        assert isinstance(bad, BadRow)


def test_the_local_server_s_older_socket_is_a_rehearsal(tmp_path: Path) -> None:
    """It costs nothing: the rows run, without the words."""
    (job,) = _read(tmp_path, 'audio,hotwords\na.wav,"a,b"\n', provider=BUILT_IN["local"])
    assert _words(job) == ()


def test_all_mistakes_of_a_row_are_told(tmp_path: Path) -> None:
    """Beside what else is wrong with it."""
    (bad,) = _read(tmp_path, 'audio,output,hotwords\nb.wav,x.wav,"["\n')
    assert isinstance(bad, BadRow)
    assert {each.column for each in bad.further} | {bad.column} == {"audio", "output", "hotwords"}


def test_the_option_is_judged_before_any_row(tmp_path: Path) -> None:
    """It is the option that is wrong, not a row."""
    with pytest.raises(UsageError, match="default for 'hotwords'"):
        _read(tmp_path, "audio\na.wav\n", hotwords="x" * 41)


@pytest.mark.parametrize("name", ["hot_words", "hotword", "Hot words", "keywords"])
def test_columns_like_it_travel_along(name: str) -> None:
    """As they did before there was one."""
    assert guess_columns(name, [name, "audio"]) == ()


def test_a_file_has_a_word_a_line(tmp_path: Path) -> None:
    """A byte order mark and either end of lines do no harm."""
    path = tmp_path / "terms.txt"
    path.write_bytes(("\ufeff" + "\r\n".join([*ARABIC, "", ARABIC[0]])).encode())
    assert read_hotwords_file(path) == ARABIC
    path.write_text("a\nb,c\n")
    with pytest.raises(UsageError, match=r"terms\.txt: 'b,c' holds a comma"):
        read_hotwords_file(path)
    path.write_bytes(b"\xff\xfea\0")
    with pytest.raises(UsageError, match="UTF-16"):
        read_hotwords_file(path)
