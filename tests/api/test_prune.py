"""What no row needs is shown first, and removed only if that is wanted: nothing else ever is."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

import batchjobs
from batchjobs.checkpoint import (
    Checkpoint,
    CheckRecord,
    CheckVerdict,
    JobRecord,
    Row,
    SegmentChanges,
    SegmentRecord,
)
from batchjobs.errors import NoRunError, RunLockedError
from batchjobs.files import run_folder
from batchjobs.jobs import Doubt, Sign, Status
from tests.builders import adopt, write_recording
from tests.commands import Command
from tests.dataset.runs import make_run

ROWS = [
    {"id": f"r{n}", "text": f"نصّ {n}", "seconds": 0.6, "output": f"audio/{n}.wav"} for n in range(4)
]


def outcomes_of(folder: Path) -> list[tuple[Row, JobRecord]]:
    """The rows of a run, and what became of them."""
    with Checkpoint.read(folder) as checkpoint:
        found = list(checkpoint.rows.stream_outcomes())
    return [(row, record) for row, record in found if record is not None]


def keep_rows(folder: Path, *rows: Row) -> None:
    """Take all other rows out of the manifest."""
    with Checkpoint.open(folder) as checkpoint:
        adopt(checkpoint, *(row._replace(position=n) for n, row in enumerate(rows, start=1)))


def files_in(folder: Path) -> set[str]:
    """The files of a run folder, but for its checkpoint."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(run_folder.CHECKPOINT)
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of four rows, of which two are in the manifest no more."""
    folder = make_run(tmp_path / "run", ROWS)
    keep_rows(folder, *(row for row, _ in outcomes_of(folder)[:2]))
    (folder / "audio" / "mine.wav").write_bytes(b"a recording of my own")
    return folder


def test_what_is_not_needed_is_shown_and_stays(run: Path) -> None:
    """Without a word nothing is removed, also while a run goes on."""
    before = files_in(run)
    with Checkpoint.open(run):
        report = batchjobs.prune(run)
    found = report.found["results"]
    sizes = [(run / f"audio/{n}.wav").stat().st_size for n in (2, 3)]
    assert (found.files, found.bytes) == (2, sum(sizes)) == (2, report.bytes)
    assert found.first == ("audio/2.wav", "audio/3.wav")
    assert not report.is_removed
    assert files_in(run) == before


def test_it_is_removed_if_that_is_wanted_and_nothing_else_is(run: Path) -> None:
    """Results of rows, and files that no run has made, are as they were; a second look finds nothing."""
    asked: list[batchjobs.PruneReport] = []

    def refuse(report: batchjobs.PruneReport) -> bool:
        asked.append(report)
        return False

    assert not batchjobs.prune(run, remove=refuse).is_removed
    assert len(files_in(run)) == 5
    report = batchjobs.prune(run, remove=True)
    assert report.is_removed
    assert replace(report, is_removed=False) == asked[0]
    assert files_in(run) == {"audio/0.wav", "audio/1.wav", "audio/mine.wav"}
    assert batchjobs.verify(run).wrong == ()
    assert not batchjobs.prune(run, remove=True).found
    with Checkpoint.read(run) as checkpoint:
        assert [record.id for record in checkpoint.lookups.stream_done()] == ["r0", "r1"]


def test_a_result_that_is_not_as_it_was_stays(run: Path) -> None:
    """Somebody has worked on it since: it is theirs."""
    path = run / "audio" / "2.wav"
    path.write_bytes(path.read_bytes()[:-2] + b"\1\1")
    report = batchjobs.prune(run, remove=True)
    assert report.changed == ("audio/2.wav",)
    assert files_in(run) == {"audio/0.wav", "audio/1.wav", "audio/2.wav", "audio/mine.wav"}


def test_a_link_in_the_place_of_a_result_is_not_followed(run: Path, tmp_path: Path) -> None:
    """What it leads to is not ours."""
    elsewhere = (run / "audio" / "2.wav").rename(tmp_path / "elsewhere.wav")
    (run / "audio" / "2.wav").symlink_to(elsewhere)
    batchjobs.prune(run, remove=True)
    assert elsewhere.exists()
    assert (run / "audio" / "2.wav").is_symlink()


def test_what_a_row_will_be_copied_from_stays(run: Path, tmp_path: Path) -> None:
    """A row that asks for the same and is not done yet, or has another place by now, would buy it."""
    every = outcomes_of(make_run(tmp_path / "again", ROWS))
    kept = [row for row, _ in every[:2]]
    other = every[2][0]._replace(id="other", output="audio/other.wav", place="audio/other.wav")
    moved = every[3][0]._replace(output="audio/moved.wav", place="audio/moved.wav")
    keep_rows(run, *kept, other, moved)
    assert not batchjobs.prune(run, remove=True).found


def test_a_file_that_a_row_has_under_another_case_stays(run: Path) -> None:
    """Where names differ in case only, a file system may hold one file for both."""
    (first, _), (second, record) = outcomes_of(run)
    moved = second._replace(output="AUDIO/2.wav", place="audio/2.wav")
    keep_rows(run, first, moved)
    with Checkpoint.open(run) as checkpoint:
        checkpoint.commit(records=[replace(record, output="AUDIO/2.wav")])
    batchjobs.prune(run, remove=True)
    assert (run / "audio" / "2.wav").exists()


def test_nothing_is_removed_while_a_run_goes_on(run: Path) -> None:
    """The folder is held as by a run; where there is none, none is made."""
    with Checkpoint.open(run), pytest.raises(RunLockedError):
        batchjobs.prune(run, remove=True)
    with pytest.raises(NoRunError):
        batchjobs.prune(run / "nowhere")
    assert not (run / "nowhere").exists()


def keep_in_doubt(folder: Path, row_id: str) -> Path:
    """Put a row's result in doubt, and where such ones are kept."""
    outcome = next(each for each in outcomes_of(folder) if each[0].id == row_id)
    record = outcome[1]
    path = f"{run_folder.SUSPECTS}/{row_id}.wav"
    (folder / path).parent.mkdir(exist_ok=True)
    (folder / record.output).rename(folder / path)
    doubted = replace(
        record,
        status=Status.SUSPECT,
        output=path,
        files=(replace(record.files[0], path=path),),
        doubts=(Doubt(sign=Sign.SHORT, message="short"),),
    )
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.commit(records=[doubted])
    return folder / path


def test_results_in_doubt_go_with_their_rows(tmp_path: Path) -> None:
    """Those that a row has stay: they were paid for."""
    folder = make_run(tmp_path / "run", ROWS)
    first, second = (keep_in_doubt(folder, name) for name in ("r0", "r3"))
    keep_rows(folder, *(row for row, _ in outcomes_of(folder)[:3]))
    report = batchjobs.prune(folder, remove=True)
    assert {kind: found.files for kind, found in report.found.items()} == {"suspects": 1}
    assert first.exists()
    assert not second.exists()
    with Checkpoint.read(folder) as checkpoint:
        assert checkpoint.lookups.count_suspects() == 1


@pytest.mark.parametrize("is_done", [True, False])
def test_segments_go_once_every_long_row_is_done(tmp_path: Path, *, is_done: bool) -> None:
    """A long row that is not done may be made of any of them, and of a result of a row that is gone."""
    folder = make_run(tmp_path / "run", ROWS, statuses={} if is_done else {"r1": None})
    path = run_folder.segment_path("a" * 64)
    (folder / path).parent.mkdir()
    size = write_recording(folder / path).stat().st_size
    segment = SegmentRecord(key="a" * 64, job_key="x", path=path, bytes=size)
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.commit(changes=[SegmentChanges(bought=segment)])
        rows = [row for row, _ in checkpoint.rows.stream_outcomes()]
        home = replace(segment, key="b" * 64, path="audio/3.wav")
        checkpoint.commit(changes=[SegmentChanges(homes=(home,))])
    keep_rows(folder, rows[0], rows[1]._replace(layout="pauses 0.25 0.75"), rows[2])
    report = batchjobs.prune(folder, remove=True)
    found = {kind: found.files for kind, found in report.found.items()}
    assert found == ({"results": 1, "segments": 1} if is_done else {})
    assert (folder / path).exists() is (folder / "audio" / "3.wav").exists() is not is_done
    assert report.waiting == int(not is_done)
    with Checkpoint.read(folder) as checkpoint:
        assert len(checkpoint.segments.find(["a" * 64, "b" * 64])) == (0 if is_done else 2)


def make_takes(folder: Path) -> None:
    """Let a check have bought two takes, and set a row's own clip apart."""
    takes = make_run(
        folder / run_folder.TAKES,
        [{"id": f"r0.take{n}", "text": "نصّ 0", "output": f"audio/r0.take{n}.wav"} for n in (1, 2)],
    )
    write_recording(takes / "audio" / "r0.take0.wav")
    apart = f"{run_folder.TAKES}/audio/r0.take0.wav"
    found = [
        CheckRecord(id="r0", sha256=str(n), path=path, take=n, verdict=CheckVerdict.BAD)
        for n, path in enumerate((apart, f"{run_folder.TAKES}/audio/r0.take1.wav"))
    ]
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.keep_checks(found)


def test_takes_go_and_what_they_cost_is_still_known(tmp_path: Path) -> None:
    """Those that were bought, and the clips that made way for one; their checkpoint stays."""
    folder = make_run(tmp_path / "run", ROWS)
    make_takes(folder)
    report = batchjobs.prune(folder)
    assert report.found["takes"].files == 3
    assert all((folder / path).is_file() for path in report.found["takes"].first)
    assert batchjobs.prune(folder, remove=True).is_removed
    assert files_in(folder) == {row["output"] for row in ROWS}
    with Checkpoint.read(folder / run_folder.TAKES) as checkpoint:
        assert checkpoint.has_begun()
        assert not list(checkpoint.lookups.stream_done())
    assert not batchjobs.prune(folder, remove=True).found


def test_takes_that_a_killed_check_needs_stay(tmp_path: Path) -> None:
    """One was about to take its row's place."""
    folder = make_run(tmp_path / "run", ROWS)
    make_takes(folder)
    _, record = outcomes_of(folder)[0]
    path = f"{run_folder.TAKES}/audio/r0.take1.wav"
    with Checkpoint.open(folder) as checkpoint:
        checkpoint.begin_exchange(replace(record, output=path), [])
    assert not batchjobs.prune(folder, remove=True).found
    assert (folder / path).exists()


def test_one_that_is_killed_is_finished_by_the_next(tmp_path: Path) -> None:
    """Wherever it is killed: what is needed is there, and what is not goes in the end."""
    kept = {row["output"] for row in ROWS[:1]}
    for moment in range(4):
        folder = make_run(tmp_path / f"run{moment}", ROWS)
        make_takes(folder)
        keep_rows(folder, outcomes_of(folder)[0][0])
        assert _prune_and_die(folder, moment) == -signal.SIGKILL
        assert kept < files_in(folder)
        batchjobs.prune(folder, remove=True)
        assert files_in(folder) == kept
        with Checkpoint.read(folder) as checkpoint:
            assert checkpoint.lookups.find_unasked() == []
        assert batchjobs.verify(folder).wrong == ()


def _prune_and_die(folder: Path, moment: int) -> int:
    """Prune in a process that kills itself once so many files are gone, or just before the first."""

    def die(report: object = None) -> bool:
        del report
        os.kill(os.getpid(), signal.SIGKILL)
        return False

    def tell(step: str, gone: int, _: int) -> None:
        if step == "removing" and gone == moment:
            die()

    pid = os.fork()
    if not pid:
        batchjobs.prune(folder, remove=True if moment else die, progress=tell)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_it_says_how_far_it_is(run: Path) -> None:
    """Files are read before they go, which takes its time, too."""
    told: list[tuple[str, int, int]] = []
    batchjobs.prune(run, remove=True, progress=lambda *step: told.append(step))
    assert told == [("looking", 1, 0), ("looking", 2, 0), ("removing", 1, 2), ("removing", 2, 2)]


def test_nothing_is_removed_while_a_check_goes_on(run: Path) -> None:
    """It may be hearing the takes; what there is can be looked at all the same."""
    before = files_in(run)
    with Checkpoint.open(run / run_folder.CHECK):
        before |= files_in(run)
        assert batchjobs.prune(run).found["results"].files == 2
        with pytest.raises(RunLockedError, match="check"):
            batchjobs.prune(run, remove=True)
        assert files_in(run) == before
    assert batchjobs.prune(run, remove=True).is_removed


def test_a_row_that_comes_back_is_bought_again(tmp_path: Path) -> None:
    """By a real run: what was removed is not done any more, and nothing is taken for it."""
    rows = [{"id": "a", "text": "السلام عليكم"}, {"id": "b", "text": "صباح الخير يا صديقي"}]
    options = batchjobs.Options(output=tmp_path / "run", engine="tone")
    batchjobs.run(rows, options).raise_for_status()
    then = [record.started_at for _, record in outcomes_of(tmp_path / "run")]
    batchjobs.run(rows[:1], options).raise_for_status()
    assert batchjobs.prune(tmp_path / "run", remove=True).found["results"].files == 1
    report = batchjobs.run(rows, options).raise_for_status()
    assert report.summary.done == len(rows)
    after = outcomes_of(tmp_path / "run")
    bought = [record.id for row, record in after if record.started_at > max(then)]
    assert bought == ["b"]
    assert batchjobs.verify(tmp_path / "run").wrong == ()


def test_the_command_shows_and_removes_only_if_told(run: Path, command: Command) -> None:
    """Where nobody can be asked, it shows; with --yes it removes, and says how much."""
    ended = command("prune", run)
    assert (ended.code, len(files_in(run))) == (0, 5)
    assert "2 files" in ended.out
    assert "audio/2.wav" in ended.out
    assert "--yes removes it" in ended.out
    assert json.loads(command("prune", run, "--json").out)["is_removed"] is False
    ended = command("prune", run, "--yes")
    assert "removed:" in ended.out
    assert len(files_in(run)) == 3
    assert "nothing to remove" in command("prune", run, "--yes").out
