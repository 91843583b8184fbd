"""Audiobooks: chapters at their places, tags and cover, as another program sees them."""

import json
import math
import re
import resource
import sys
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING

import mutagen
import numpy as np
import pytest

from batchjobs.api.run import run
from batchjobs.audiobook import bind
from batchjobs.audiobook.album import Album, SpokenChapter
from batchjobs.audiobook.blocks import read_blocks
from batchjobs.audiobook.cover import read_picture
from batchjobs.audiobook.files import Maker, Volume
from batchjobs.audiobook.filters import Level
from batchjobs.errors import (
    DiskError,
    ManifestError,
    MissingExtraError,
    OutputError,
    RecordingError,
    UsageError,
)
from batchjobs.options import Options
from batchjobs.options.audiobook import BindSettings
from batchjobs.outputs.reports import read_results
from tests.books import picture
from tests.clocks import PATIENCE_SECONDS
from tests.commands import process
from tests.recordings import read_pcm
from tests.whole_runs import batchjobs

if TYPE_CHECKING:
    import subprocess
from tests.audiobook.recordings import CHAPTERS
from tests.builders import write_recording


def test_an_m4b_has_its_chapters_where_they_begin(spoken_run: Path, tmp_path: Path) -> None:
    """To the frame, with their titles; and the book's title, author and cover."""
    made = bind(str(spoken_run), BindSettings(pause_seconds=1.5), output=str(tmp_path / "a.m4b"))
    file = mutagen.File(made.path)
    starts, at = [], 0.0
    for row in read_results(spoken_run):
        starts.append(at)
        at += int(str(row["frames"])) / 24_000 + 1.5
    assert [c.title for c in file.chapters] == list(CHAPTERS)
    assert [c.start for c in file.chapters] == pytest.approx(starts, abs=1 / 24_000)
    assert file.info.length == pytest.approx(at - 1.5, abs=0.1)
    assert made.seconds == pytest.approx(at - 1.5, abs=1e-6)
    assert file.tags["\xa9nam"] == ["كتاب: جيّد"]
    assert file.tags["\xa9ART"] == ["فلان"]
    assert bytes(file.tags["covr"][0]) == picture()
    assert made.path.read_bytes()[4:12] == b"ftypM4B "
    assert [path.name for path in tmp_path.iterdir()] == ["a.m4b"]


def test_a_file_of_another_kind_is_refused(spoken_run: Path, tmp_path: Path) -> None:
    """An M4B is not called MP3, nor is a folder replaced, and a cover is a picture."""
    for name, hint in (("a.mp3", "--to mp3"), ("a", "BOOK.m4b")):
        with pytest.raises(UsageError) as caught:
            bind(spoken_run, BindSettings(), output=tmp_path / name)
        assert hint in caught.value.hint
    for name in ("single.mp3", "single.M4B", "single.flac"):
        with pytest.raises(UsageError, match="names a file") as caught:
            bind(spoken_run, BindSettings(form="mp3"), output=tmp_path / name)
        assert "single-mp3" in caught.value.hint
    (tmp_path / "b.m4b").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        bind(spoken_run, BindSettings(), output=tmp_path / "b.m4b")
    (tmp_path / "c").write_text("no picture")
    with pytest.raises(UsageError, match="is no picture"):
        bind(spoken_run, BindSettings(cover=tmp_path / "c"), output=tmp_path / "c.m4b")
    with pytest.raises(OutputError):
        bind(spoken_run, BindSettings(), output=tmp_path / "c" / "d.m4b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.m4b", "c"]


@pytest.mark.parametrize(
    "settings",
    [
        BindSettings(loudness_lufs=math.nan),
        BindSettings(true_peak_db=3.0),
        BindSettings(bitrate=1),
        BindSettings(pause_seconds=-1),
    ],
)
def test_a_setting_out_of_its_range_is_refused(spoken_run: Path, settings: BindSettings) -> None:
    """A program is told what the command line is told, before anything is measured."""
    with pytest.raises(UsageError, match=r"the option \w+ is (nan|3\.0|1|-1)"):
        bind(spoken_run, settings)


def test_a_full_disk_leaves_nothing(spoken_run: Path, tmp_path: Path) -> None:
    """It is told as such, and what was begun is gone."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("not ours")
    (tmp_path / ".a.m4b.part").symlink_to(elsewhere)

    shares = [0.0]

    def fill_disk(what: str, share: float) -> None:
        assert shares[-1] <= share <= 1
        shares.append(share)
        if what == "encoding":
            resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, before[1]))

    try:
        with pytest.raises(DiskError):
            bind(spoken_run, BindSettings(), output=tmp_path / "a.m4b", progress=fill_disk)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == [elsewhere]
    assert elsewhere.read_text() == "not ours"


def test_what_an_encoder_does_not_take_is_told(tmp_path: Path) -> None:
    """Such as a sample rate that MP3 does not know."""
    path = tmp_path / "a.wav"
    write_recording(path, bytes(20_000), 10_000)
    chapter = SpokenChapter(title="a", path=path, frames=10_000, sample_rate=10_000)
    maker = Maker(
        Album(chapters=[chapter], sample_rate=10_000),
        BindSettings(form="mp3", pause_seconds=0),
        picture=None,
        progress=lambda _: None,
    )
    volume = Volume(target=tmp_path / "a.mp3", chapters=[chapter], tags={})
    with pytest.raises(OutputError, match="cannot write"):
        maker.make([volume], Level(), 64_000)
    assert list(tmp_path.iterdir()) == [path]


def test_a_quiet_chapter_is_read_as_it_is(tmp_path: Path) -> None:
    """A whisper between two chapters stays one: the book has one gain."""
    path = tmp_path / "a.wav"
    whisper = np.tile([20, 20, -20, -20], 6_000)  # -64 dBFS, and a pause as long
    pcm = np.tile(np.concatenate((whisper, whisper * 0)), 2).astype("<i2").tobytes()
    write_recording(path, pcm, 24_000)
    chapter = SpokenChapter(title="a", path=path, frames=96_000, sample_rate=24_000)
    assert b"".join(read_blocks(chapter, 24_000)) == pcm


def test_rates_are_brought_together(tmp_path: Path) -> None:
    """A chapter at another rate is as long as it was."""
    path = tmp_path / "a.wav"
    write_recording(path, bytes(32_000))
    chapter = SpokenChapter(title="a", path=path, frames=16_000, sample_rate=16_000)
    assert sum(map(len, read_blocks(chapter, 24_000))) == 48_000


def test_a_cover_that_is_lost_is_told(tmp_path: Path) -> None:
    """The book is made without it."""
    rows = [
        {"id": "1", "text": "نصّ أول", "cover": "c.svg", "date": "1920"},
        {"id": "2", "text": "نصّ ثانٍ"},
    ]
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "c.svg").write_text("<svg/>")
    (tmp_path / "d.png").write_bytes(picture()[:20])
    assert read_picture(tmp_path / "d.png") is None
    assert run(manifest, Options(output=tmp_path / "run", engine="tone")).exit_code == 0
    made = bind(tmp_path / "run", BindSettings(), output=tmp_path / "a.m4b")
    assert made.lost_cover.endswith("c.svg")
    assert mutagen.File(made.path).tags["\xa9day"] == ["1920"]
    (tmp_path / "e.png").write_bytes(picture())
    again = bind(tmp_path / "run", BindSettings(cover=tmp_path / "e.png"), output=made.path)
    assert bytes(mutagen.File(again.path).tags["covr"][0]) == picture()
    assert again.lost_cover == ""


@pytest.mark.parametrize("way", ["by name", "from the standard input", "moved"])
def test_a_cover_is_sought_beside_what_names_it(tmp_path: Path, way: str) -> None:
    """A cell's beside its manifest, wherever bind is called; an option's in the current folder."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    theirs, other = picture(), picture() + b"other"
    (home / "c.png").write_bytes(theirs)
    (elsewhere / "d.png").write_bytes(other)
    row = json.dumps({"id": "1", "text": "نصّ أول", "cover": "c.png"})
    (home / "m.jsonl").write_text(row)
    name = "-" if way == "from the standard input" else "m.jsonl"
    run = process("run", name, "--engine", "tone", "-o", "run", "-q", cwd=home, stdin=PIPE)
    run.communicate(row, timeout=PATIENCE_SECONDS)
    assert run.returncode == 0
    if way == "moved":
        home = home.rename(tmp_path / "moved")
    folder = home if way == "moved" else elsewhere
    batchjobs("bind", str(home / "run"), "-o", str(tmp_path / "a.m4b"), cwd=folder)
    assert bytes(mutagen.File(tmp_path / "a.m4b").tags["covr"][0]) == theirs
    given = ("--cover", "d.png", "-o", str(tmp_path / "b.m4b"))
    batchjobs("bind", str(home / "run"), *given, cwd=elsewhere)
    assert bytes(mutagen.File(tmp_path / "b.m4b").tags["covr"][0]) == other


@pytest.mark.parametrize("form", ["mp3", "flac"])
def test_a_set_of_files_has_tags(spoken_run: Path, form: str) -> None:
    """Title, album, author, number and cover each; the names are good names."""
    made = bind(spoken_run, BindSettings(form=form))
    files = sorted(made.path.iterdir())
    assert [path.name for path in files] == [
        f"01 الفصل الأول.{form}",
        f"02 Zwei.{form}",
        f"03 الثالث.{form}",
    ]
    assert made.path.name == f"كتاب- جيّد-{form}"
    tags = mutagen.File(files[1], easy=True).tags
    assert (tags["title"], tags["album"], tags["artist"]) == (["Zwei"], ["كتاب: جيّد"], ["فلان"])
    assert tags["tracknumber"][0].startswith("2")
    whole = mutagen.File(files[1])
    pictures = whole.pictures if form == "flac" else whole.tags.getall("APIC")
    assert pictures[0].data == picture()


def test_exact_files_hold_the_exact_samples_but_for_the_level(
    spoken_run: Path, tmp_path: Path
) -> None:
    """No frame is lost or added."""
    made = bind(spoken_run, BindSettings(form="flac"), output=tmp_path / "a")
    for path, row in zip(sorted(made.path.iterdir()), read_results(spoken_run), strict=True):
        bound = np.frombuffer(read_pcm(path), dtype="<i2").astype(float)
        held = read_pcm(spoken_run / str(row["output"]))
        before = np.frombuffer(held, dtype="<i2") * 10 ** (made.gain_db / 20)
        assert len(bound) == len(before)
        if not made.is_limited:
            assert np.abs(bound - before).max() <= 1.0


def test_missing_chapters_are_refused_and_named(spoken_run: Path, tmp_path: Path) -> None:
    """Unless what is there is to be bound."""
    manifest = tmp_path / "m.jsonl"
    rows = [{"id": "a", "text": "نصّ أول"}, {"id": "b", "text": "نصّ ثانٍ"}]
    manifest.write_text("\n".join(map(json.dumps, rows)))
    options = Options(output=tmp_path / "run", engine="tone", limit=1)
    run(manifest, options)
    with pytest.raises(ManifestError, match="1 chapter is not done: b"):
        bind(tmp_path / "run", BindSettings())
    made = bind(tmp_path / "run", BindSettings(is_partial=True))
    assert (made.chapters, made.missing) == (1, ("b",))
    assert made.path == tmp_path / "run" / "run.m4b"
    (tmp_path / "run" / "audio" / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(RecordingError):
        bind(tmp_path / "run", BindSettings(is_partial=True), output=tmp_path / "b.m4b")
    assert not list(tmp_path.glob(".b*"))
    assert spoken_run.exists()


def test_an_empty_run_is_told(tmp_path: Path) -> None:
    """There is nothing to bind; and no audiobook of another kind."""
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(json.dumps({"id": "a", "text": "x"}))
    run(manifest, Options(output=tmp_path / "run", engine="tone", limit=0))
    with pytest.raises(ManifestError, match="holds no chapters"):
        bind(tmp_path / "run", BindSettings(is_partial=True))
    with pytest.raises(UsageError):
        bind(tmp_path / "run", BindSettings(form="ogg"))


def test_a_missing_extra_is_named(spoken_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError) as caught:
        bind(spoken_run, BindSettings())
    assert "batchjobs[book]" in caught.value.hint


def test_from_a_book_to_an_audiobook_on_the_command_line(tmp_path: Path) -> None:
    """book, run, bind; what is there is not overwritten."""
    (tmp_path / "كتاب.md").write_text("# الأول\n\nنصّ قصير.\n\n# الثاني\n\nآخر.\n")
    shown = batchjobs("book", "كتاب.md", "--list", cwd=tmp_path).stdout
    assert "الثاني" in shown
    assert not (tmp_path / "كتاب.jsonl").exists()
    batchjobs("book", "كتاب.md", cwd=tmp_path)
    batchjobs("book", "كتاب.md", cwd=tmp_path, expect=73)
    (said_by_book,) = re.findall(r"about (\S+) s?.*to listen", shown)
    plan = batchjobs("plan", "كتاب.jsonl", "--engine", "tone", cwd=tmp_path).stdout
    assert re.findall(r"about (\S+) .*of speech", plan) == [said_by_book]  # one estimate
    batchjobs("run", "كتاب.jsonl", "--engine", "tone", cwd=tmp_path)
    done: subprocess.CompletedProcess[str] = batchjobs(
        "bind", "outputs/كتاب", "-o", "x.m4b", "--json", cwd=tmp_path
    )
    assert json.loads(done.stdout)["chapters"] == 2
    assert len(mutagen.File(tmp_path / "x.m4b").chapters) == 2
    said = batchjobs("bind", "outputs/كتاب", "--to", "mp3", cwd=tmp_path).stdout
    assert "2 chapters" in said
    assert "left out" not in said
    (tmp_path / "more.md").write_text("# ثالث\n\nنصّ.\n\n# رابع\n\nغيره.\n")
    batchjobs("book", "more.md", "--chapters", "1", cwd=tmp_path)
    row = json.loads((tmp_path / "more.jsonl").read_text()) | {"cover": "gone.png"}
    rows = [row, {"id": "b", "text": "غيره."}]
    (tmp_path / "more.jsonl").write_text("\n".join(map(json.dumps, rows)))
    batchjobs("run", "more.jsonl", "--engine", "tone", "--limit", "1", cwd=tmp_path)
    batchjobs("bind", "outputs/more", cwd=tmp_path, expect=65)
    quiet = ("--partial", "--loudness", "-8", "--true-peak", "-12")
    part = batchjobs("bind", "outputs/more", *quiet, cwd=tmp_path)
    assert "without: b" in part.stdout
    assert part.stdout.startswith("1 chapter, ")
    assert re.search(
        r"^loudness -\d+\.\d LUFS: -\d+\.\d LUFS (raised|lowered) by ", part.stdout, re.MULTILINE
    )
    assert "quieter than -8 LUFS" in part.stdout
    assert f"no cover: {tmp_path / 'gone.png'}" in part.stderr
