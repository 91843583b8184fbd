"""What a run leaves: every column of every row, what came of it, and failures as a manifest."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import DiskError, NoRunError, OutputError
from batchjobs.files.run_folder import FAILED, RESULTS, SUMMARY
from batchjobs.jobs import BadRow, Job, Kind, Status
from batchjobs.manifest import read_rows
from batchjobs.options import Defaults, Options
from batchjobs.outputs.reports import (
    read_results,
    write_results,
)
from batchjobs.outputs.summary import RunSummary, summarise
from batchjobs.planning.make_plan import make_plan
from batchjobs.providers import BUILT_IN
from tests.builders import (
    make_end,
    make_evidence,
    make_file,
    make_record,
    make_start,
    write_recording,
)

_ARABIC = "السَّلامُ \u200fعَلَيْكُـــم\u200d\u200c ٣٤٫٥ \u2028 abc\u202e"
_EVIDENCE = make_evidence(sent_characters=5, received_audio_seconds=1.5)


def _jobs(path: Path, *, input_root: Path | None = None) -> list[Job | BadRow]:
    rows = read_rows(
        path,
        name=path.name,
        folder=path.parent,
        providers=BUILT_IN,
        defaults=Defaults(),
        input_root=input_root,
    )
    return list(rows)


def _planned(checkpoint: Checkpoint, path: Path) -> None:
    make_plan(
        _jobs(path),
        checkpoint=checkpoint,
        providers=BUILT_IN,
        options=Options(skip_bad_rows=True),
        name=path.name,
    )
    checkpoint.staging.adopt({})


def _manifest(folder: Path, *rows: Mapping[str, object]) -> Path:
    path = folder / "m.jsonl"
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8", newline="")
    return path


def _settle(checkpoint: Checkpoint, *, failing: frozenset[str] = frozenset()) -> None:
    """Give every row an outcome."""
    records = []
    for row, _ in checkpoint.rows.stream_outcomes():
        done = make_record(
            id=row.id,
            key=row.key,
            kind=Kind(row.kind or "tts"),
            output=row.output,
            files=(make_file(row.output),),
            provider=row.provider,
            attempts=2,
            evidence=_EVIDENCE,
        )
        if row.kind == Kind.TTS:
            done = replace(done, sample_rate=24_000, frames=36_000, pcm_sha256="p")
        else:
            done = replace(done, text=_ARABIC)
        if not row.kind or row.id in failing:
            done = replace(done, status=Status.FAILED, output="", files=(), error_class="permanent")
            done = replace(done, error_code="40001", error_message=f"لا: {row.id}")
        records.append(done)
    checkpoint.commit(records=records)


def _lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_finished_job_has_all_of_its_row_and_what_came_of_it(tmp_path: Path) -> None:
    """Every column is there as it came, byte for byte, beside the path, the numbers, the evidence."""
    row = {"id": "أ 1", "text": _ARABIC, "split": "train", "n": 3, "list": [1.0, None], "empty": ""}
    with Checkpoint.open(tmp_path / "run") as checkpoint:
        _planned(checkpoint, _manifest(tmp_path, row))
        _settle(checkpoint)
        write_results(checkpoint, RunSummary())
    assert f'"text":"{_ARABIC}"'.encode() in (tmp_path / "run" / RESULTS).read_bytes()
    (found,) = read_results(tmp_path / "run")
    assert row.items() <= found.items()
    assert found["kind"] == "tts"
    assert found["line"] == 1
    assert isinstance(found["files"], list)
    assert found["output"] == found["files"][0]
    assert str(found["output"]).startswith("audio/أ-1-")
    assert (found["sample_rate"], found["frames"], found["audio_seconds"]) == (24_000, 36_000, 1.5)
    assert found["pcm_sha256"] == "p"
    assert found["attempts"] == 2
    assert found["copied_from"] is None
    evidence = found["evidence"]
    assert isinstance(evidence, dict)
    assert (evidence["ending"], evidence["close_code"]) == ("drained", 1000)
    assert "row" not in found


def test_a_transcription_has_its_transcript(tmp_path: Path, wav: Path) -> None:
    """The text stands in its line exactly, and whether there was speech at all."""
    rows = [{"id": "a", "audio": wav.name, "reference": "ثَابِت"}, {"id": "b", "audio": wav.name}]
    with Checkpoint.open(tmp_path / "run") as checkpoint:
        _planned(checkpoint, _manifest(tmp_path, *rows))
        _settle(checkpoint)
        silent = replace(checkpoint.lookups.find(["b"])["b"], text=" ", error_class="no_speech")
        silent = replace(silent, evidence=None, copied_from="a")
        checkpoint.commit(records=[silent])
        write_results(checkpoint, RunSummary())
        assert summarise(checkpoint, BUILT_IN).no_speech == 1
    heard, nothing = read_results(tmp_path / "run")
    assert heard["transcript"] == _ARABIC
    assert heard["reference"] == "ثَابِت"
    assert (heard["no_speech"], nothing["no_speech"]) == (False, True)
    assert nothing["evidence"] is None
    assert nothing["copied_from"] == "a"
    assert "text" not in heard
    assert "sample_rate" not in heard


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    """Give a recording."""
    path = tmp_path / "a.wav"
    write_recording(path, b"\1\0" * 16_000)
    return path


def test_columns_that_our_names_hide_go_below_row(tmp_path: Path) -> None:
    """What a row says under a name of ours is kept apart; what says the same or nothing is not."""
    row = {
        "id": 5,
        "text": "t",
        "kind": "novel",
        "files": ["x"],
        "cost": 0.0,
        "evidence": None,
        "output": "",
        "row": "mine",
        "line": "12",
    }
    plain = {"id": "b", "text": "t", "row": {"x": 1}}
    with Checkpoint.open(tmp_path / "run") as checkpoint:
        _planned(checkpoint, _manifest(tmp_path, row, plain))
        _settle(checkpoint)
        write_results(checkpoint, RunSummary())
    first, second = read_results(tmp_path / "run")
    assert first["id"] == "5"
    assert first["kind"] == "tts"
    assert first["row"] == {
        "id": 5,
        "kind": "novel",
        "files": ["x"],
        "line": "12",
        "row": "mine",
    }
    assert second["row"] == {"x": 1}


def test_a_text_file_is_spelt_out(tmp_path: Path) -> None:
    """What was spoken stands in the result, also if the row only named a file."""
    (tmp_path / "t.txt").write_text(_ARABIC, encoding="utf-8")
    with Checkpoint.open(tmp_path / "run") as checkpoint:
        _planned(checkpoint, _manifest(tmp_path, {"id": "a", "text_file": "t.txt"}))
        _settle(checkpoint)
        write_results(checkpoint, RunSummary())
    (found,) = read_results(tmp_path / "run")
    assert (found["text"], found["text_file"]) == (_ARABIC, "t.txt")


def test_failures_are_a_manifest_with_the_same_ids(tmp_path: Path, wav: Path) -> None:
    """Read again, each failed row is the same job under the same id; mended, a bad one is good."""
    rows: list[dict[str, object]] = [
        {"id": "أ", "text": _ARABIC, "voice_id": "", "voice": "mine", "speed": 1.1},
        {"text": "no id", "voice_id": ""},
        {"text": "no id", "voice_id": ""},
        {"id": 7, "text": "number"},
        {"id": "done", "text": "fine"},
        {"id": "bad", "text": "x", "speed": 9},
        {"id": "bad", "text": "again", "speed": 9},
        {"id": "stt", "audio": wav.name, "error": "mine", "attempts": 99},
    ]
    path = _manifest(tmp_path, *rows)
    with Checkpoint.open(tmp_path / "run") as checkpoint:
        _planned(checkpoint, path)
        ids = [row.id for row, _ in checkpoint.rows.stream_outcomes()]
        _settle(checkpoint, failing=frozenset(ids) - {"done"})
        write_results(checkpoint, RunSummary())
    failed = tmp_path / "run" / FAILED
    again = _jobs(failed, input_root=tmp_path)
    assert [job.id for job in again] == [name for name in ids if name != "done"]
    before = {job.id: job for job in _jobs(path) if isinstance(job, Job)}
    for job in again:
        if isinstance(job, Job) and job.id in before:
            old = before[job.id]
            assert (job.text, job.speech, job.audio) == (old.text, old.speech, old.audio)
    assert [job.column for job in again if isinstance(job, BadRow)] == ["speed", "speed"]
    lines = {str(line["id"]): line for line in _lines(failed)}
    assert lines["أ"]["error"] == {"class": "permanent", "code": "40001", "message": "لا: أ"}
    assert lines["أ"]["attempts"] == 2
    assert lines["bad"]["line"] == 6
    assert lines["stt"]["row"] == {"error": "mine", "attempts": 99}
    assert lines["bad-line-7"]["row"] == {"id": "bad"}
    with Checkpoint.open(tmp_path / "run2") as checkpoint:
        _planned(checkpoint, _manifest(tmp_path, *_lines(failed)))
        _settle(checkpoint, failing=frozenset(ids))
        write_results(checkpoint, RunSummary())
    third = _jobs(tmp_path / "run2" / FAILED, input_root=tmp_path)
    assert [job.id for job in third] == [job.id for job in again]


def test_a_row_that_could_not_even_be_read_is_told(tmp_path: Path) -> None:
    """A line that is no JSON has its line number and its error, and no columns."""
    path = tmp_path / "m.jsonl"
    path.write_text('{"id": "a", "text": "one"}\nnot json\n')
    with Checkpoint.open(tmp_path / "run") as checkpoint:
        _planned(checkpoint, path)
        _settle(checkpoint)
        write_results(checkpoint, RunSummary())
    (failed,) = _lines(tmp_path / "run" / FAILED)
    assert failed["line"] == 2
    assert set(failed) == {"id", "line", "attempts", "error"}


def test_rows_without_an_outcome_stand_in_neither_file(tmp_path: Path) -> None:
    """What was not run, or asks something else now, is neither done nor failed."""
    path = _manifest(tmp_path, {"id": "a", "text": "one"}, {"id": "b", "text": "two"})
    with Checkpoint.open(tmp_path / "run") as checkpoint:
        _planned(checkpoint, path)
        _settle(checkpoint, failing=frozenset("b"))
        rows = [{"id": "a", "text": "other"}, {"id": "b", "text": "other"}]
        _planned(checkpoint, _manifest(tmp_path, *rows))
        write_results(checkpoint, RunSummary(rows=2, manifest=_ARABIC))
        assert summarise(checkpoint, BUILT_IN).not_run == 2
    assert list(read_results(tmp_path / "run")) == []
    assert (tmp_path / "run" / FAILED).read_bytes() == b""
    content = (tmp_path / "run" / SUMMARY).read_bytes()
    summary = json.loads(content)
    assert (summary["rows"], summary["manifest"]) == (2, _ARABIC)
    assert not {"exit_code", "error", "written_at"} & set(summary)
    assert content.endswith(b"}\n")


def test_many_lines_are_written_in_order(tmp_path: Path) -> None:
    """More than a write's worth of lines comes out whole."""
    rows = [{"id": f"r{n}", "text": f"{n} " + "ن" * 1_000} for n in range(1_200)]
    with Checkpoint.open(tmp_path / "run") as checkpoint:
        _planned(checkpoint, _manifest(tmp_path, *rows))
        _settle(checkpoint)
        write_results(checkpoint, RunSummary())
    assert [found["id"] for found in read_results(tmp_path / "run")] == [row["id"] for row in rows]
    assert (tmp_path / "run" / RESULTS).stat().st_size > 2 << 20


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """Each file is whole or as it was; a folder in its place is told."""
    with Checkpoint.open(tmp_path / "run") as checkpoint:
        _planned(checkpoint, _manifest(tmp_path, {"id": "a", "text": "one"}))
        _settle(checkpoint)
        (tmp_path / "run" / RESULTS).mkdir()
        with pytest.raises((OutputError, DiskError)):
            write_results(checkpoint, RunSummary())


def test_no_results_are_told(tmp_path: Path) -> None:
    """A folder without results ends in a sentence with what to do."""
    with pytest.raises(NoRunError) as caught:
        list(read_results(tmp_path))
    assert "run the manifest first" in caught.value.hint


def test_the_summary_adds_up_and_prices_what_was_sent(tmp_path: Path) -> None:
    """Money spent is what all attempts sent; wasted, what those without a result did."""
    path = _manifest(
        tmp_path,
        *({"id": name, "text": name, "provider": "munsit", "voice_id": "v"} for name in "abc"),
    )
    aed = replace(BUILT_IN["faseeh"], currency="AED", tts_price_per_million_characters=1_000.0)
    with Checkpoint.open(tmp_path / "run") as checkpoint:
        _planned(checkpoint, path)
        _settle(checkpoint, failing=frozenset("b"))
        for provider, result, characters in (
            ("munsit", "done", 1_000_000),
            ("munsit", "timeout", 500_000),
            ("faseeh", "done", 2_000),
            ("gone", "done", 5),
        ):
            start = make_start(provider=provider)
            number = checkpoint.commit(starts=[start])[0]
            end = make_end(number, result, characters=characters)
            checkpoint.commit(ends=[end])
        summary = summarise(checkpoint, {**BUILT_IN, "faseeh": aed})
    assert (summary.rows, summary.done, summary.failed, summary.not_run) == (3, 2, 1, 0)
    assert summary.errors == {"permanent": 1}
    assert summary.attempts == 4
    assert summary.characters_sent == 1_502_005
    assert summary.spent == {"USD": 100.005, "AED": 2.0}
    assert summary.wasted == {"USD": 33.335}
    assert summary.audio_seconds == 3.0


def test_both_readings_of_a_table_are_of_one_state(tmp_path: Path) -> None:
    """A job that ends between them is in neither, or in both: no column comes too late."""
    with Checkpoint.open(tmp_path) as writer, Checkpoint.read(tmp_path) as reader:
        with reader.hold_steady():
            before = reader.totals.count_rows().attempts
            writer.commit(starts=[make_start()])
            assert reader.totals.count_rows().attempts == before
        assert reader.totals.count_rows().attempts == before + 1
