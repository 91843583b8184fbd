"""A dataset of runs: what goes into it, where it may stand, and that it is whole or not there."""

import json
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import batchjobs
from batchjobs.checkpoint import Checkpoint, CheckRecord, CheckVerdict, Decision, Review
from batchjobs.errors import DiskFullError, NoRunError, OutputError, RunLockedError, UsageError
from batchjobs.jobs import Doubt, Sign, Status
from batchjobs.options.dataset import DATASET_FORMS, ExportSettings
from tests.dataset.runs import AWKWARD, make_run, texts_of
from tests.whole_runs import environment


def read_rows(dataset: Path, split: str = "") -> list[dict[str, object]]:
    """The rows of a dataset of the form `hf`."""
    found: list[dict[str, object]] = pq.read_table(dataset / split / "metadata.parquet").to_pylist()
    return found


def settings(**changes: object) -> ExportSettings:
    """Settings of an export."""
    return ExportSettings(**changes)  # type: ignore[arg-type]


def test_only_what_is_done_is_exported_and_the_rest_is_told(tmp_path: Path) -> None:
    """Failed, suspect and open rows are left out with a count; suspect ones can be asked for."""
    statuses = {"007": Status.FAILED, "1e5": Status.SUSPECT, "a.b": None}
    run = make_run(tmp_path / "run", statuses=statuses)
    report = batchjobs.export(run)
    assert report.path == tmp_path / "run-hf"
    assert [row["id"] for row in read_rows(report.path)] == ["صباح", "x\ty"]
    assert report.left_out == {"failed": 1, "suspect": 1, "not run yet": 1}
    more = batchjobs.export(run, settings(include=("suspect",)), output=tmp_path / "more")
    assert [row["id"] for row in read_rows(more.path)] == ["1e5", "صباح", "x\ty"]


def test_what_was_dropped_or_rejected_is_left_out(tmp_path: Path) -> None:
    """Decisions of whoever listened hold, unless what they left out is asked for."""
    run = make_run(tmp_path / "run", statuses={"1e5": Status.SUSPECT})
    with Checkpoint.open(run) as checkpoint:
        (row, _), (other, record) = checkpoint.rows.find_outcomes(["007", "1e5"]).values()
        assert record is not None
        dropped = Review(id=row.id, key=row.key, sha256="", decision=Decision.DROP)
        checkpoint.review([dropped])
        rejected = replace(record, doubts=(Doubt(sign=Sign.REJECTED, message="noise"),))
        checkpoint.commit(records=[rejected])
        assert other.id == rejected.id
    report = batchjobs.export(run, settings(include=("suspect",)))
    assert report.left_out == {"rejected": 1, "dropped": 1}
    more = settings(include=("rejected", "dropped"))
    assert batchjobs.export(run, more, output=tmp_path / "more").rows == len(texts_of())


def test_only_what_a_check_found_good_is_exported_if_asked(tmp_path: Path) -> None:
    """The verdict and the error rate are columns, and the card says how many are which."""
    run = make_run(tmp_path / "run")
    with Checkpoint.open(run) as checkpoint:
        outcomes = list(checkpoint.rows.stream_outcomes())
        checkpoint.keep_checks(
            [
                CheckRecord(id=row.id, sha256=record.files[0].sha256, verdict=verdict, cer=cer)
                for (row, record), verdict, cer in zip(
                    outcomes, (CheckVerdict.GOOD, CheckVerdict.BAD), (0.0, 0.5), strict=False
                )
                if record is not None
            ]
        )
    report = batchjobs.export(run)
    found = [(row["verdict"], row["cer"]) for row in read_rows(report.path)]
    assert found == [("good", 0.0), ("bad", 0.5), (None, None), (None, None), (None, None)]
    assert "| not checked | 3 |" in (report.path / "README.md").read_text()
    good = batchjobs.export(run, settings(verdicts=("good",)), output=tmp_path / "good")
    assert [row["id"] for row in read_rows(good.path)] == ["007"]
    assert good.left_out == {"of another verdict, or not checked": 4}


def test_a_run_that_is_still_going_is_exported_as_far_as_it_is(tmp_path: Path) -> None:
    """It is read beside the run, and the report says so."""
    run = make_run(tmp_path / "run", statuses={"007": None})
    with Checkpoint.open(run):
        report = batchjobs.export(run)
    assert (report.rows, report.going) == (4, ("run",))


def test_several_runs_become_one_with_their_names_and_columns_united(tmp_path: Path) -> None:
    """Equal ids stay, told apart by the run; a column has one type, whatever each run had."""
    first = make_run(tmp_path / "a" / "run", [{"id": "1", "text": "one", "n": 1, "m": 2}])
    second = make_run(tmp_path / "b" / "run", [{"id": "1", "text": "two", "n": "x", "m": 2.5}])
    with pytest.raises(UsageError):
        batchjobs.export([first, second])
    report = batchjobs.export([first, second], output=tmp_path / "both")
    rows = read_rows(report.path)
    assert [(row["id"], row["run"], row["text"]) for row in rows] == [
        ("1", "a/run", "one"),
        ("1", "b/run", "two"),
    ]
    assert [(row["n"], row["m"]) for row in rows] == [("1", 2.0), ("x", 2.5)]


def test_a_place_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    """Nothing that no export made is replaced: foreign folders and files, an edited card, a run."""
    run = make_run(tmp_path / "run")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="something else"):
        batchjobs.export(run, output=other)
    for place in (run, tmp_path):
        with pytest.raises(UsageError, match="holds, a run"):
            batchjobs.export(run, output=place)
    report = batchjobs.export(run)
    again = batchjobs.export(run)
    assert again == report
    (report.path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        batchjobs.export(run)
    (report.path / "notes.txt").unlink()
    card = report.path / "README.md"
    card.write_text(card.read_text().replace("# license: to", "license: cc-by-4.0 # to"))
    with pytest.raises(OutputError, match="edited"):
        batchjobs.export(run)
    assert (other / "thesis.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "run", "run-hf"]


@pytest.mark.parametrize("form", DATASET_FORMS)
def test_the_card_does_not_tell_where_it_was_made(tmp_path: Path, form: str) -> None:
    """A dataset is given away: no home, and no user's name, goes with what describes it."""
    report = batchjobs.export(make_run(tmp_path / "run"), settings(form=form))
    card = (report.path / "README.md").read_text(encoding="utf-8")
    assert str(tmp_path) not in card
    assert f"`{report.path.name}` is this folder" in card


def test_two_exports_to_one_place_do_not_meet(tmp_path: Path) -> None:
    """The second ends at once, and says what is going on."""
    run = make_run(tmp_path / "run")
    place = tmp_path / ".run-hf.part"
    place.mkdir()
    with Checkpoint.open(place), pytest.raises(RunLockedError, match="another export"):
        batchjobs.export(run)


def test_a_damaged_clip_is_left_out_and_named(tmp_path: Path) -> None:
    """No clip is in a dataset whose file is another than the run wrote."""
    run = make_run(tmp_path / "run")
    path = run / "audio" / "a.wav"
    path.write_bytes(path.read_bytes()[:-2] + b"\x01\x01")
    (run / "audio" / "d.ogg").unlink()
    report = batchjobs.export(run)
    assert report.damaged == ("007", "صباح")
    assert [row["id"] for row in read_rows(report.path)] == ["1e5", "a.b", "x\ty"]


@pytest.mark.parametrize(
    "changes",
    [
        {"form": "csv"},
        {"split": "train"},
        {"split": "train=0"},
        {"split": "a=1,a=2"},
        {"split": "../x=1"},
        {"disjoint": "voice"},
        {"form": "parquet", "link": "hard"},
        {"form": "ljspeech", "audio_format": "mp3"},
        {"audio_format": "mp3", "sample_rate": 96_000},
        {"min_seconds": 3.0, "max_seconds": 2.0},
        {"is_shar": True},
        {"include": ("failed",)},
        {"loudness_lufs": 3.0},
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    """It is said before anything is looked at, and nothing is left."""
    run = make_run(tmp_path / "run")
    with pytest.raises(UsageError):
        batchjobs.export(run, settings(**changes))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_where_there_is_no_run_or_nothing_done_no_folder_is_left(tmp_path: Path) -> None:
    """The error says why no row is left."""
    with pytest.raises(NoRunError):
        batchjobs.export(tmp_path / "nowhere")
    run = make_run(tmp_path / "run", statuses=dict.fromkeys(texts_of()))
    with pytest.raises(UsageError, match="5 not run yet"):
        batchjobs.export(run)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_checksums_name_every_file_as_it_is(tmp_path: Path) -> None:
    """``sha256sum -c`` would check the whole dataset."""
    import hashlib

    report = batchjobs.export(make_run(tmp_path / "run"))
    lines = (report.path / "SHA256SUMS").read_text().splitlines()
    told = {path: digest for digest, path in (line.split("  ") for line in lines)}
    files = {path for path in report.path.rglob("*") if path.is_file()}
    kept = {path.relative_to(report.path).as_posix(): path for path in files}
    assert set(told) == set(kept) - {"SHA256SUMS", ".batchjobs-export.json"}
    for name, digest in told.items():
        assert hashlib.sha256(kept[name].read_bytes()).hexdigest() == digest


def test_the_command_says_what_was_made_and_left_out(tmp_path: Path, command: object) -> None:
    """In words and as JSON; the exit code tells of damage."""
    assert callable(command)
    run = make_run(tmp_path / "run", statuses={"007": Status.FAILED})
    ended = command("export", run, "--to", "ljspeech", "-o", tmp_path / "corpus")
    assert ended.code == 0
    assert "4 clips" in ended.out
    assert "3 texts" in ended.out
    assert "left out: 1 row failed" in ended.err
    ended = command("export", run, "--to", "parquet", "--json")
    assert json.loads(ended.out)["rows"] == 4
    (run / "audio" / "d.ogg").unlink()
    assert command("export", run, "-o", tmp_path / "third").code == 1


@pytest.mark.parametrize("form", ["hf", "parquet", "webdataset"])
def test_a_full_disk_is_said_and_the_same_command_continues(tmp_path: Path, form: str) -> None:
    """Nothing stands in the dataset's place until there is room."""
    run = make_run(tmp_path / "run")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    command = [sys.executable, "-m", "batchjobs", "export", "run", "--to", form, "-o", "set"]
    # Not measured: what measures would find no room either.
    kept = {n: v for n, v in environment().items() if not n.startswith("COVERAGE_")}
    ended = subprocess.run(
        command, cwd=tmp_path, env=kept, preexec_fn=limit, capture_output=True, check=False
    )
    assert ended.returncode == DiskFullError.exit_code, ended.stderr
    assert b"Traceback" not in ended.stderr
    assert not (tmp_path / "set").exists()
    assert batchjobs.export(run, settings(form=form), output=tmp_path / "set").rows == len(AWKWARD)


def test_every_form_is_in_the_table() -> None:
    """What can be asked for is there."""
    from batchjobs.dataset.layouts.table import find_layout

    assert all(find_layout(ExportSettings(form=form)) for form in DATASET_FORMS)
