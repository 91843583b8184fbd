"""What players are told of a book, as mutagen reads it."""

import json
from pathlib import Path

import av
import mutagen
import pytest

from batchjobs.api.run import run
from batchjobs.audiobook import bind
from batchjobs.audiobook.album import Album, SpokenChapter
from batchjobs.audiobook.binding import note_bounds
from batchjobs.audiobook.files import Maker, Volume
from batchjobs.audiobook.filters import Level
from batchjobs.audiobook.tags import find_language
from batchjobs.options import Options
from batchjobs.options.audiobook import BindSettings
from tests.builders import write_recording

FACTS = {
    "book": "كتاب",
    "author": "فلان",
    "date": "1952-05",
    "publisher": "دار النشر",
    "narrator": "قارئ",
    "series": "سلسلة",
    "series_index": "2",
    "description": "حكاية.",
    "language": "ar-EG",
}


def speak(home: Path, rows: list[dict[str, str]]) -> Path:
    """Run a manifest; gives the run's folder."""
    (home / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run(home / "m.jsonl", Options(output=home / "run", engine="tone")).exit_code == 0
    return home / "run"


def marks_of(path: Path) -> list[tuple[str, float]]:
    """The chapters as FFmpeg reads them: from the track that QuickTime knows, where there is one."""
    with av.open(str(path)) as file:
        return [
            (mark["metadata"].get("title", ""), float(mark["start"] * (mark["time_base"] or 0)))
            for mark in file.chapters()
        ]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two chapters of a book of which all is known."""
    rows = [{"id": f"{n}", "text": "نصّ قصير", "title": f"الفصل {n}"} for n in range(2)]
    rows[0] |= FACTS  # what stands in one row is the book's
    return speak(tmp_path_factory.mktemp("tags"), rows)


def test_an_m4b_says_all_that_is_known(spoken: Path, tmp_path: Path) -> None:
    """In the atoms that players of audiobooks read; its sound is Arabic, and it is an audiobook."""
    file = mutagen.File(bind(spoken, output=tmp_path / "a.m4b").path)
    found = {name: file.tags[name][0] for name in file.tags}
    assert found["\xa9nam"] == found["\xa9alb"] == "كتاب"
    assert found["\xa9ART"] == found["aART"] == "فلان"
    assert found["\xa9day"] == "1952-05"
    assert found["\xa9wrt"] == "قارئ"
    assert (found["tvsh"], found["\xa9grp"]) == ("سلسلة", "سلسلة #2")
    assert found["desc"] == found["ldes"] == found["\xa9cmt"] == "حكاية."
    assert found["stik"] == 2
    with av.open(str(tmp_path / "a.m4b")) as opened:
        assert opened.streams.audio[0].metadata["language"] == "ara"


@pytest.mark.parametrize("form", ["mp3", "flac"])
def test_a_set_of_files_says_it_too(spoken: Path, tmp_path: Path, form: str) -> None:
    """In each of its files."""
    made = bind(spoken, BindSettings(form=form), output=tmp_path / "a")
    for path in made.path.iterdir():
        with av.open(str(path)) as file:
            found = {k.lower(): v for k, v in (file.metadata | file.streams[0].metadata).items()}
        assert found["artist"] == "فلان"
        assert (found["narrator"], found["series"], found["series-part"]) == ("قارئ", "سلسلة", "2")
        assert (found["publisher"], found["language"]) == ("دار النشر", "ara")
        assert "حكاية." in {found.get("description"), found.get("comment")}


def test_both_lists_hold_a_long_title_alike(tmp_path: Path) -> None:
    """Cut between letters; mutagen refuses a title that is cut within one."""
    rows = [
        {"id": "1", "text": "أول", "title": "ا" * 128},
        {"id": "2", "text": "ثانٍ", "title": "مُقَدِّمَة " * 30},
        {"id": "3", "text": "ثالث", "title": "قصير"},
    ]
    made = bind(speak(tmp_path, rows))
    nero = [(chapter.title, chapter.start) for chapter in mutagen.File(made.path).chapters]
    assert [title for title, _ in nero] == [title for title, _ in marks_of(made.path)]
    assert nero[0][0] == "ا" * 126 + "…"
    assert nero[1][0].endswith("…")
    assert nero[2][0] == "قصير"
    assert [note.partition(":")[0] for note in made.notes] == ["2 titles cut"]


@pytest.mark.parametrize("count", [255, 256])
def test_more_chapters_than_one_list_holds_are_all_in_the_other(tmp_path: Path, count: int) -> None:
    """And the short one is left out, so that none contradicts; it is said."""
    write_recording(tmp_path / "a.wav", bytes(3_200), 16_000)
    chapters = [
        SpokenChapter(title=f"الفصل {n}", path=tmp_path / "a.wav", frames=1_600, sample_rate=16_000)
        for n in range(count)
    ]
    album = Album(chapters=chapters, sample_rate=16_000)
    settings = BindSettings(pause_seconds=0)
    maker = Maker(album, settings, picture=None, progress=lambda _: None)
    volume = Volume(target=tmp_path / "a.m4b", chapters=chapters, tags={})
    maker.make([volume], Level(), 64_000)
    titles = [chapter.title for chapter in chapters]
    starts = pytest.approx([n / 10 for n in range(count)], abs=1e-3)
    marks = marks_of(tmp_path / "a.m4b")
    assert [title for title, _ in marks] == titles
    assert [start for _, start in marks] == starts
    notes = list(note_bounds(album, "m4b"))
    listed = mutagen.File(tmp_path / "a.m4b").chapters or ()
    if count == 255:
        assert [chapter.title for chapter in listed] == titles
        assert [chapter.start for chapter in listed] == starts
        assert not notes
    else:
        assert not listed
        assert notes[0].startswith("256 chapters: Nero's list")


@pytest.mark.parametrize(
    ("language", "title", "code"),
    [
        ("ar", "", "ara"),
        ("ar_SA", "", "ara"),
        ("ara", "", "ara"),
        ("ger", "", "deu"),
        ("en-GB", "كتاب", "eng"),
        ("", "كتاب كليلة ودمنة", "ara"),
        ("", "کتاب", "und"),
        ("", "A Book", "und"),
        ("no such language", "", "und"),
    ],
)
def test_the_language_is_written_as_files_do(language: str, title: str, code: str) -> None:
    """Whatever a book calls it; Arabic titles tell it where nothing else does."""
    chapter = SpokenChapter(title=title, path=Path("a"), frames=1, sample_rate=1)
    assert find_language(Album(language=language, title=title, chapters=[chapter])) == code
