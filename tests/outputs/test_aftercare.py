"""What becomes of recordings that are done: transcripts beside them, themselves moved; nobody's files lost."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from batchjobs.checkpoint import Checkpoint, SourceRecord
from batchjobs.files.run_folder import BESIDE, files_of_result
from batchjobs.jobs import CONTENT_COLUMN, Job, Kind
from batchjobs.options import Options
from batchjobs.outputs.aftercare import Aftercare, Ours
from batchjobs.planning.make_plan import make_plan
from tests.builders import HOSTED, make_file, make_record, make_tone, write_recording

TEXT = "قالَ: «نعم» ثم مضى ١٩٤٨"


class World:
    """A folder with recordings that are done."""

    def __init__(self, tmp_path: Path) -> None:
        self.inbox = tmp_path / "inbox"
        self.inbox.mkdir()
        self.done = tmp_path / "done"
        self.checkpoint = Checkpoint.open(tmp_path / "run")
        self.jobs: list[Job] = []

    def record(self, name: str, seconds: float = 0.5) -> Path:
        """Make a recording and a row of it."""
        path = self.inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_recording(path, make_tone(seconds, 16_000))
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        row_id = f"{len(self.jobs)}"
        row = {"id": row_id, "audio": str(path), CONTENT_COLUMN: sha256}
        self.jobs.append(
            Job(id=row_id, line=1, kind=Kind.STT, provider="hosted", audio=str(path), row=row)
        )
        return path

    def finish(self, text: str = TEXT) -> None:
        """Have all of them done, with transcripts in the run folder."""
        make_plan(
            self.jobs,
            checkpoint=self.checkpoint,
            providers={"hosted": HOSTED},
            options=Options(),
            name="m",
        )
        self.checkpoint.staging.adopt({})
        for outcome in list(self.checkpoint.rows.stream_outcomes()):
            row = outcome.row
            if outcome.record is not None and row.action == "done":
                continue
            files = []
            for name in files_of_result(row.output):
                path = self.checkpoint.folder / name
                path.parent.mkdir(exist_ok=True)
                path.write_text(text + Path(name).suffix, encoding="utf-8")
                files.append(make_file(name, bytes=path.stat().st_size))
            record = make_record(
                id=row.id, key=row.key, output=row.output, kind=Kind.STT, files=tuple(files)
            )
            self.checkpoint.commit(records=[record])

    def care(self, *, moves: bool = False, beside: bool = False) -> Aftercare:
        """Care for them anew, as after a kill."""
        return Aftercare(
            folder=self.inbox,
            checkpoint=self.checkpoint,
            done_folder=self.done if moves else None,
            beside=beside,
            ours=Ours(self.checkpoint.folder),
        )

    def tend(self, care: Aftercare) -> list[str]:
        """Tend all of them; what was told."""
        told: list[str] = []
        for job in self.jobs:
            care.note_known(job.id)
        care.tend_all(told.append)
        return told

    def source(self, path: Path) -> SourceRecord | None:
        """What was read of a recording."""
        return self.checkpoint.lookups.find_source(str(path))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty folder."""
    return World(tmp_path)


def below(folder: Path) -> list[str]:
    """The files below a folder."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_transcripts_stand_beside_their_recordings(world: World) -> None:
    """As text and as subtitles, under the recording's name, where players find them."""
    world.record("سنة ١٩٤٨/حديث.wav")
    world.finish()
    assert world.tend(world.care(beside=True)) == []
    folder = world.inbox / "سنة ١٩٤٨"
    assert below(folder) == ["حديث.srt", "حديث.txt", "حديث.wav"]
    assert (folder / "حديث.txt").read_text(encoding="utf-8") == TEXT + ".txt"
    assert (folder / "حديث.srt").read_text(encoding="utf-8") == TEXT + ".srt"


def test_somebodys_file_is_never_overwritten(world: World) -> None:
    """The transcript takes the recording's whole name, and where that is taken too it is told, once."""
    path = world.record("a.wav")
    world.finish()
    mine, mine_too = path.with_suffix(".txt"), path.with_name("a.wav.txt")
    mine.write_text("my notes")
    path.with_suffix(".srt").symlink_to(world.inbox / "elsewhere.srt")
    care = world.care(beside=True)
    assert world.tend(care) == []
    assert mine.read_text() == "my notes"
    assert mine_too.read_text(encoding="utf-8") == TEXT + ".txt"
    assert not (world.inbox / "elsewhere.srt").exists()
    world.record("b.wav")
    world.finish()
    for name in ("b.txt", "b.wav.txt"):
        (world.inbox / name).write_text("mine")
    care = world.care(beside=True)
    (told,) = world.tend(care)
    assert "b.txt" in told
    assert world.tend(care) == []
    assert (world.inbox / "b.txt").read_text() == "mine"


def test_recordings_that_share_a_name_each_have_their_own_transcript(world: World) -> None:
    """The second's stands behind its whole name: the first one's is ours, and not of it."""
    world.record("a.wav", 0.5)
    world.record("a.flac", 0.75)
    world.finish()
    for row_id in ("0", "1"):
        (world.checkpoint.folder / f"transcripts/{row_id}.txt").write_text(f"of {row_id}")
    for _ in range(2):  # and a watch that begins again changes nothing
        care = world.care(beside=True)
        care.waiting |= {"0": "", "1": ""}
        care.tend_all(lambda _: None)
        assert (world.inbox / "a.txt").read_text() == "of 0"
        assert (world.inbox / "a.flac.txt").read_text() == "of 1"


def test_a_transcript_of_ours_is_renewed_unless_somebody_has_edited_it(world: World) -> None:
    """What is as it was written may be written anew; what was corrected by hand is somebody's work."""
    path = world.record("a.wav")
    world.finish("first ")
    world.tend(world.care(beside=True))
    path.with_suffix(".srt").write_text("corrected")
    for ending in (".txt", ".srt"):
        (world.checkpoint.folder / f"transcripts/0{ending}").write_text(f"second {ending}")
    care = world.care(beside=True)
    care.waiting["0"] = ""
    care.tend_all(lambda _: None)
    assert path.with_suffix(".txt").read_text() == "second .txt"
    assert path.with_suffix(".srt").read_text() == "corrected"


def test_what_was_tended_is_not_looked_at_again(world: World) -> None:
    """A watch that begins again leaves transcripts that somebody has deleted where they are: nowhere."""
    path = world.record("a.wav")
    world.finish()
    world.tend(world.care(beside=True))
    path.with_suffix(".txt").unlink()
    care = world.care(beside=True)
    world.tend(care)
    assert not path.with_suffix(".txt").exists()
    assert care.ours.has_path(str(path.with_suffix(".srt")))


def test_half_a_line_of_the_list_is_written_over(tmp_path: Path) -> None:
    """A full disk takes half of one; nothing is lost of those before and after it."""
    path = tmp_path / BESIDE
    ours = Ours(tmp_path)
    ours.add("a", of="", sha256="")
    for name, anew in (("b", False), ("b.txt", True)):
        with path.open("ab") as file:
            file.write('{"path":"حديث'.encode())
        ours = Ours(tmp_path) if anew else ours
        ours.add(name, of="b", sha256="")
    assert all(map(Ours(tmp_path).has_path, ("a", "b", "b.txt")))
    assert path.read_bytes().count(b"\n") == 3


def test_recordings_move_with_their_transcripts(world: World) -> None:
    """To the same path; one that has the name of another, which was heard before, gets a number."""
    world.record("سنة/a.wav", 0.5)
    world.finish()
    world.tend(world.care(moves=True, beside=True))
    world.record("سنة/a.wav", 0.75)
    world.finish()
    world.tend(world.care(moves=True, beside=True))
    assert below(world.inbox) == []
    assert below(world.done / "سنة") == [
        "a.srt",
        "a.txt",
        "a.wav",
        "a~2.srt",
        "a~2.txt",
        "a~2.wav",
    ]


def test_the_same_recording_again_is_not_kept_twice(world: World) -> None:
    """Its content is there: so ends a move to another disk that a kill has cut short."""
    path = world.record("a.wav")
    content = path.read_bytes()
    world.finish()
    world.done.mkdir()
    (world.done / "a.wav").write_bytes(content)
    world.tend(world.care(moves=True))
    assert below(world.inbox) == []
    assert below(world.done) == ["a.wav"]


def test_a_recording_that_has_changed_or_is_not_done_stays(world: World) -> None:
    """Nobody has heard it as it is now."""
    path = world.record("a.wav")
    world.finish()
    path.write_bytes(path.read_bytes() + b"\0\0")
    world.record("b.wav", 0.75)
    assert world.tend(world.care(moves=True, beside=True)) == []
    assert below(world.inbox) == ["a.wav", "b.wav"]
    assert below(world.done) == []


def test_a_folder_that_cannot_be_made_is_told_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watch does not end by it, and moves what waits once it may."""
    world.record("a/b.wav")
    world.finish()
    care = world.care(moves=True, beside=True)

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", refuse)
        (told,) = world.tend(care)
        assert "Permission denied" in told
        assert world.tend(care) == []
    assert below(world.inbox) == ["a/b.wav"]
    assert world.tend(care) == []
    assert below(world.done) == ["a/b.srt", "a/b.txt", "a/b.wav"]


def test_a_link_that_leads_out_is_told(world: World, tmp_path: Path) -> None:
    """Nothing is moved through it."""
    world.record("a/b.wav")
    world.finish()
    (tmp_path / "outside").mkdir()
    world.done.mkdir()
    (world.done / "a").symlink_to(tmp_path / "outside")
    care = world.care(moves=True)
    (told,) = world.tend(care)
    assert "leaves" in told
    assert world.tend(care) == []
    assert below(tmp_path / "outside") == []
