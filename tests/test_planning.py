"""Plans over real manifests, real checkpoints and real files: what a run would do, and why."""

import csv
import gc
import io
import os
import pathlib
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchjobs.audio import decoding
from batchjobs.checkpoint import AttemptStart, Checkpoint, JobRecord, Row
from batchjobs.errors import OutputError
from batchjobs.files.atomic import publish
from batchjobs.jobs import BadRow, Ending, Evidence, Job, Kind, Pauses, SpeechSettings, Status
from batchjobs.manifest import Defaults, read_rows
from batchjobs.outputs import reports, writing
from batchjobs.planning import (
    TO_BUY,
    TO_DO,
    Action,
    BadRowsError,
    Plan,
    PlanSettings,
    cost_of,
    decode_row,
    is_intact,
    make_plan,
)
from batchjobs.planning.row_builder import Rows
from batchjobs.providers import BUILT_IN, Provider, with_settings
from batchjobs.transcripts.joining import TranscriptPart, joined

_SPOKEN = b"\x01\x02" * 4_000
_EVIDENCE = Evidence(
    ending=Ending.DRAINED,
    messages=1,
    first_result_seconds=0.1,
    longest_gap_seconds=0.1,
    session_seconds=0.2,
)


@dataclass
class Desk:
    """A manifest's folder, its run folder, and what a run does with a plan, without sessions."""

    home: Path
    providers: Mapping[str, Provider]

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.home / "outputs" / "run"

    def rows(self, table: Sequence[Mapping[str, object]]) -> Iterator[Job | BadRow]:
        """Write a manifest and read it."""
        columns = list(dict.fromkeys(name for row in table for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(table)
        path = self.home / "m.csv"
        path.write_text(text.getvalue(), encoding="utf-8", newline="")
        return read_rows(
            path,
            name="m.csv",
            folder=self.home,
            providers=self.providers,
            defaults=Defaults(voice_id="v"),
        )

    def settings(self, **changes: object) -> PlanSettings:
        """Say how to plan."""
        return PlanSettings(name="m.csv", **changes)  # type: ignore[arg-type]

    def plan(self, table: Sequence[Mapping[str, object]], **changes: object) -> dict[str, str]:
        """Plan and adopt; give each row's action by its id."""
        with Checkpoint.open(self.folder) as checkpoint:
            self.made(table, checkpoint, **changes)
            checkpoint.adopt_staged({})
            return {row.id: row.action for row, _ in checkpoint.outcomes()}

    def made(
        self, table: Sequence[Mapping[str, object]], checkpoint: Checkpoint, **changes: object
    ) -> Plan:
        """Plan, and no more."""
        return make_plan(
            self.rows(table),
            checkpoint=checkpoint,
            providers=self.providers,
            settings=self.settings(**changes),
        )

    def run(
        self,
        table: Sequence[Mapping[str, object]],
        *,
        failing: Mapping[str, bool] | None = None,
        **changes: object,
    ) -> list[str]:
        """Plan and run: buy, copy and fail as the plan says; give the ids of what was bought."""
        bought = []
        with Checkpoint.open(self.folder) as checkpoint:
            self.made(table, checkpoint, **changes)
            checkpoint.adopt_staged({})
            for actions in ((*TO_BUY, Action.COPY, Action.BAD), (Action.FOLLOW,)):
                rows = checkpoint.rows_to_do(actions)
                bought += [row.id for row in rows if self.do(checkpoint, row, failing or {})]
            totals = checkpoint.totals()
            assert totals.done + totals.failed + totals.not_run == totals.rows
        return bought

    def do(self, checkpoint: Checkpoint, row: Row, failing: Mapping[str, bool]) -> bool:
        """Do one row; tell whether it was bought."""
        if row.action == Action.BAD or row.id in failing:
            kind = Kind(row.kind) if row.kind else Kind.TTS
            record = JobRecord(id=row.id, key=row.key, kind=kind, status=Status.FAILED)
            record = replace(record, is_passing=failing.get(row.id, False), error_class="x")
            checkpoint.commit(records=[record])
            return False
        if row.action in {Action.COPY, Action.FOLLOW}:
            donors = checkpoint.donors(row.key)
            written = next(
                filter(None, (writing.copied(self.folder, row.output, d) for d in donors)), None
            )
            assert written is not None, f"{row.action} of {row.id} has no donor: a lie of the plan"
            publish(written.targets)
            record = replace(donors[0], id=row.id, output=row.output, files=written.files)
            checkpoint.commit(records=[record])
            return False
        checkpoint.commit(
            starts=[AttemptStart(key=row.key, job=row.id, provider=row.provider, started_at=1.0)]
        )
        if row.kind == Kind.TTS:
            written = writing.spoken(self.folder, row.output, _SPOKEN, 24_000)
        else:
            heard = joined([TranscriptPart(start_seconds=0.0, seconds=row.seconds, text="نَصّ")])
            written = writing.transcribed(
                self.folder, row.output, heard, audio_seconds=row.seconds, evidence=_EVIDENCE
            )
        publish(written.targets)
        record = JobRecord(
            id=row.id,
            key=row.key,
            kind=Kind(row.kind),
            status=Status.DONE,
            output=row.output,
            files=written.files,
            sample_rate=24_000 if row.kind == Kind.TTS else 0,
            frames=len(_SPOKEN) // 2 if row.kind == Kind.TTS else 0,
            pcm_sha256=written.pcm_sha256,
        )
        checkpoint.commit(records=[record])
        return True


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a desk with nothing on it."""
    return Desk(home=tmp_path, providers=BUILT_IN)


def _texts(*texts: str) -> list[dict[str, str]]:
    return [{"id": f"r{number}", "text": text} for number, text in enumerate(texts, 1)]


def _record(path: Path, seconds: float = 1.0) -> bytes:
    content = decoding.encode(
        b"\x10\x20" * round(16_000 * seconds), sample_rate=16_000, format="wav"
    )
    path.write_bytes(content)
    return content


# -- what is to be done ------------------------------------------------------------------------


def test_a_first_run_is_all_new_and_a_second_has_nothing_to_do(desk: Desk) -> None:
    """What is finished is not touched again."""
    table = _texts("واحِد", "two", "ثَلَاثَة ٣")
    assert desk.plan(table) == {"r1": "new", "r2": "new", "r3": "new"}
    assert desk.run(table) == ["r1", "r2", "r3"]
    assert desk.plan(table) == {"r1": "done", "r2": "done", "r3": "done"}
    assert desk.run(table) == []


def test_only_what_an_edit_changed_runs_again(desk: Desk) -> None:
    """A diacritic, a joiner, a tatweel, a voice, a speed: each makes its row another purchase."""
    table: list[dict[str, object]] = [
        {"id": f"r{n}", "text": f"سلام {n}", "voice_id": "v", "speed": "1.0", "note": "a"}
        for n in range(8)
    ]
    desk.run(table)
    table[1]["text"] = "سلامٌ 1"
    table[2]["text"] = "سلا\u200cم 2"
    table[3]["text"] = "سلـام 3"
    table[4]["voice_id"] = "w"
    table[5]["speed"] = "1.1"
    table[6]["speed"] = "1"
    table[7]["note"] = "another"
    expected = ["done", *["changed"] * 5, "done", "done"]
    assert list(desk.plan(table).values()) == expected
    assert desk.run(table) == ["r1", "r2", "r3", "r4", "r5"]


def test_order_and_neighbours_do_not_matter(desk: Desk) -> None:
    """Rows that move, come and go leave the others as they are."""
    table = _texts("one", "two", "three", "four")
    desk.run(table)
    changed = [{"id": "x", "text": "new"}, table[3], table[0], {"id": "y", "text": "new too"}]
    assert desk.plan(changed) == {"x": "new", "r4": "done", "r1": "done", "y": "new"}
    with Checkpoint.read(desk.folder) as checkpoint:
        assert desk.made(changed, checkpoint).orphans == 2


def test_failures_are_retried_if_they_may_pass_and_kept_if_not(desk: Desk) -> None:
    """A passing failure is tried again by itself, a lasting one when asked, a changed one always."""
    table = _texts("one", "two", "three")
    desk.run(table, failing={"r1": True, "r2": False})
    assert desk.plan(table) == {"r1": "retry", "r2": "kept", "r3": "done"}
    assert desk.plan(table, retry_failed=True) == {"r1": "retry", "r2": "retry", "r3": "done"}
    table[1]["text"] = "other"
    assert desk.plan(table)["r2"] == "changed"


@pytest.mark.parametrize("harm", ["gone", "short", "folder", "link"])
def test_a_result_that_is_gone_or_damaged_is_made_again(desk: Desk, harm: str) -> None:
    """A missing file, another size, a folder or a link in its place: bought once more."""
    table = _texts("one", "two")
    desk.run(table)
    path = desk.folder / "audio" / "r1.wav"
    path.rename(desk.home / "away")
    if harm == "short":
        path.write_bytes(b"x")
    elif harm == "folder":
        path.mkdir()
        with pytest.raises(BadRowsError, match="not a plain file"):
            desk.plan(table)
        return
    elif harm == "link":
        path.symlink_to(desk.folder / "audio" / "r2.wav")
        (desk.folder / "audio" / "r2.wav").write_bytes(b"xx")
    assert desk.plan(table)["r1"] == "remake"
    assert "r1" in desk.run(table)


def test_a_damaged_result_with_a_whole_twin_is_copied(desk: Desk) -> None:
    """What another row still has is not bought again."""
    table = _texts("same", "same")
    assert desk.run(table) == ["r1"]
    (desk.folder / "audio" / "r1.wav").unlink()
    assert desk.plan(table) == {"r1": "copy", "r2": "done"}
    (desk.folder / "audio" / "r2.wav").unlink()
    assert desk.plan(table) == {"r1": "remake", "r2": "follow"}
    assert desk.run(table) == ["r1"]


def test_equal_rows_are_bought_once_unless_they_are_different_takes(desk: Desk) -> None:
    """The first buys, the others follow; a take of its own is a purchase of its own."""
    table = [
        {"id": "a", "text": "هَلَا", "take": ""},
        {"id": "b", "text": "هَلَا", "take": "0"},
        {"id": "c", "text": "هَلَا", "take": "1"},
        {"id": "d", "text": "هلا", "take": ""},
    ]
    assert desk.plan(table) == {"a": "new", "b": "follow", "c": "new", "d": "new"}
    assert desk.run(table) == ["a", "c", "d"]
    more = [*table, {"id": "e", "text": "هَلَا", "take": "1"}]
    assert desk.plan(more)["e"] == "copy"
    assert desk.run(more) == []
    assert desk.plan([{"id": "z", "text": "هَلَا"}]) == {"z": "copy"}


def test_a_failed_row_takes_what_another_has_bought_since(desk: Desk) -> None:
    """The same text done for another row settles a failure without a session."""
    table = _texts("same")
    desk.run(table, failing={"r1": False})
    desk.run([{"id": "other", "text": "same"}])
    assert desk.plan(table) == {"r1": "copy"}


def test_a_copy_is_planned_only_if_it_can_be_made(desk: Desk) -> None:
    """From WAV to MP3 costs nothing; from MP3 to WAV is a purchase, and priced as one."""
    desk.run([{"id": "a", "text": "one", "output": "a.wav"}])
    assert desk.plan([{"id": "a", "text": "one", "output": "a.mp3"}]) == {"a": "copy"}
    assert desk.run([{"id": "a", "text": "one", "output": "a.mp3"}]) == []
    assert desk.plan([{"id": "a", "text": "one", "output": "b.mp3"}]) == {"a": "copy"}
    assert desk.plan([{"id": "a", "text": "one", "output": "b.wav"}]) == {"a": "remake"}
    assert desk.plan([{"id": "b", "text": "one", "output": "b.wav"}]) == {"b": "new"}


def test_of_equal_rows_the_exact_format_is_bought(desk: Desk) -> None:
    """An MP3 row follows a WAV row wherever the two stand: one purchase."""
    table = [
        {"id": "a", "text": "one", "output": "a.mp3"},
        {"id": "b", "text": "one", "output": "b.flac"},
        {"id": "c", "text": "one", "output": "c.wav"},
    ]
    assert desk.plan(table) == {"a": "follow", "b": "new", "c": "follow"}
    assert desk.run(table) == ["b"]
    assert list(desk.plan(table).values()) == ["done"] * 3


def test_undoing_an_edit_that_failed_buys_nothing(desk: Desk) -> None:
    """What was paid for before an unlucky edit is still there when the edit is undone."""
    table = [{"id": "a", "text": "one", "speed": "1"}]
    desk.run(table)
    typo = [{"id": "a", "text": "one", "speed": "9"}]
    assert desk.run(typo, skip_bad_rows=True) == []
    assert desk.plan(table) == {"a": "copy"}
    assert desk.run(table) == []
    desk.run(_texts("x") and [{"id": "a", "text": "other"}], failing={"a": False})
    assert desk.run(table) == []
    assert desk.plan(table) == {"a": "done"}


# -- names and places --------------------------------------------------------------------------


def test_equal_rows_without_ids_are_jobs_of_their_own(desk: Desk) -> None:
    """Each has an id and a file; one that was not made yet is not done because its twin is."""
    table = [{"text": "سَلام"}, {"text": "سَلام"}, {"text": "other"}, {"text": "سَلام"}]
    made = desk.plan(table)
    first = next(iter(made))
    twins = [name for name in made if name.startswith(first)]
    assert sorted(twins) == [first, f"{first}-2", f"{first}-3"]
    assert [made[name] for name in sorted(twins)] == ["new", "follow", "follow"]
    with Checkpoint.open(desk.folder) as checkpoint:
        row = next(checkpoint.rows_to_do(["new"]))
        assert desk.do(checkpoint, row, {})
    made = desk.plan(table)
    assert [made[name] for name in sorted(twins)] == ["done", "copy", "copy"]
    assert len(desk.run(table)) == 1
    assert set(desk.plan(table).values()) == {"done"}
    (desk.folder / "audio" / f"{first}-2.wav").unlink()
    made = desk.plan(table)
    assert [made[name] for name in sorted(twins)] == ["done", "copy", "done"]
    moved = [table[2], table[0], table[1], table[3]]
    desk.run(moved)
    assert set(desk.plan(moved).values()) == {"done"}


def test_a_derived_id_does_not_depend_on_its_place(desk: Desk) -> None:
    """A row without an id is the same job when rows come before it."""
    desk.run([{"text": "one"}, {"text": "two"}])
    assert list(desk.plan([{"text": "zero"}, {"text": "two"}, {"text": "one"}]).values()) == [
        "new",
        "done",
        "done",
    ]


def test_a_given_id_may_be_what_a_twin_would_be_called(desk: Desk) -> None:
    """A derived name that somebody uses is not used twice."""
    first = next(iter(desk.plan([{"id": "", "text": "one"}])))
    table = [
        {"id": "", "text": "one"},
        {"id": f"{first}-2", "text": "two"},
        {"id": "", "text": "one"},
    ]
    made = desk.plan(table)
    assert list(made) == [first, f"{first}-2", f"{first}-2-2"]


def test_ids_that_differ_in_case_get_files_that_do_not(desk: Desk) -> None:
    """No file system mixes them up, a second run has nothing to do, whatever the order."""
    names = ["Ali", "ali", "ALI", "مَثَل", "Straße", "STRASSE"]
    table = [{"id": name, "text": f"text {name}"} for name in names]
    assert set(desk.plan(table).values()) == {"new"}
    assert len(desk.run(table)) == 6
    files = {str(path.relative_to(desk.folder)) for path in desk.folder.glob("audio/*")}
    assert len({name.casefold() for name in files}) == 6
    assert set(desk.plan(table).values()) == {"done"}
    assert set(desk.plan(table[::-1]).values()) == {"done"}
    assert set(desk.plan(table[1:3]).values()) == {"done"}
    (desk.folder / "audio" / "Ali.wav").unlink()
    assert desk.run(table) == ["Ali"]


def test_case_twins_in_transcripts_keep_apart_too(desk: Desk) -> None:
    """Their text files and the JSON beside them are four files."""
    _record(desk.home / "a.wav")
    _record(desk.home / "b.wav", 2.0)
    table = [{"id": "x", "audio": "a.wav"}, {"id": "X", "audio": "b.wav"}]
    desk.run(table)
    assert len(list(desk.folder.glob("transcripts/*"))) == 8
    assert set(desk.plan(table).values()) == {"done"}


def test_an_explicit_output_has_one_owner(desk: Desk) -> None:
    """A second row with it, in any spelling, is told both lines."""
    table = [
        {"id": "a", "text": "one", "output": "x/ف.wav"},
        {"id": "b", "text": "two", "output": "X/ف.WAV"},
    ]
    with pytest.raises(BadRowsError) as caught:
        desk.plan(table)
    assert caught.value.rows[0].column == "output"
    assert "m.csv:3: column 'output': 'X/ف.WAV' is already the output of line 2" in str(
        caught.value
    )


def test_equal_rows_with_one_explicit_output_are_told(desk: Desk) -> None:
    """Without ids too, the second row is a bad row with its line, and can be skipped."""
    table = [{"text": "one", "output": "x.wav"}, {"text": "one", "output": "x.wav"}]
    with pytest.raises(BadRowsError) as caught:
        desk.plan(table)
    assert [(row.line, row.column) for row in caught.value.rows] == [(3, "output")]
    assert sorted(desk.plan(table, skip_bad_rows=True).values()) == ["bad", "new"]


def test_a_default_place_that_is_taken_gives_way_to_the_explicit_one(desk: Desk) -> None:
    """Whoever says where a result goes has it there; the other gets a name of its own."""
    table = [{"id": "a", "text": "one", "output": "audio/b.wav"}, {"id": "b", "text": "two"}]
    desk.run(table)
    assert set(desk.plan(table).values()) == {"done"}
    assert len(list(desk.folder.glob("audio/b*.wav"))) == 2
    taken = next(path for path in desk.folder.glob("audio/b-*.wav"))
    third = {"id": "c", "text": "three", "output": f"audio/{taken.name}"}
    with pytest.raises(BadRowsError, match="is already that of line 3"):
        desk.plan([table[0], third, table[1]])


def test_duplicate_ids_name_both_lines(desk: Desk) -> None:
    """An id given twice is told with the line that has it already."""
    table = [{"id": "ا", "text": "one"}, {"id": "b", "text": "two"}, {"id": "ا", "text": "three"}]
    with pytest.raises(BadRowsError) as caught:
        desk.plan(table)
    assert "m.csv:4: column 'id': the id 'ا' is already used on line 2" in str(caught.value)
    assert caught.value.exit_code == 65
    made = desk.plan(table, skip_bad_rows=True)
    assert made == {"ا": "new", "b": "new", "ا-line-4": "bad"}


def test_bad_rows_with_one_name_are_told_apart(desk: Desk) -> None:
    """Equal bad rows, and good rows named as they would be, all have their answers."""
    table = [
        {"id": "a", "text": ""},
        {"id": "a", "text": ""},
        {"id": "a-line-4", "text": "good"},
        {"id": "a", "text": ""},
        {"id": "", "text": "\u00a0"},
        {"id": "", "text": "\u00a0"},
    ]
    made = desk.plan(table, skip_bad_rows=True)
    assert len(made) == 6
    assert made["a-line-4"] == "new"
    assert list(made.values()).count("bad") == 5
    table[1]["id"] = "a-line-5"
    assert len(desk.plan(table, skip_bad_rows=True)) == 6


# -- whose files -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["audio/r1.wav", "audio/r2.wav"])
def test_a_foreign_file_is_never_overwritten(desk: Desk, name: str) -> None:
    """What somebody else put where a result goes stops the run before anything is spent."""
    path = desk.folder / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(OutputError) as caught:
        desk.run(_texts("one", "one"))
    assert caught.value.exit_code == 73
    assert str(path) in caught.value.message
    assert "--output" in caught.value.hint
    assert path.read_bytes() == b"mine"


def test_a_foreign_transcript_is_not_overwritten_on_either_side(desk: Desk) -> None:
    """The JSON beside a transcript is looked at as well as the text."""
    _record(desk.home / "a.wav")
    path = desk.folder / "notes" / "a.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"a\.json"):
        desk.run([{"id": "a", "audio": "a.wav", "output": "notes/a.txt"}])
    path.unlink()
    assert desk.run([{"id": "a", "audio": "a.wav", "output": "notes/a.txt"}]) == ["a"]


@pytest.mark.parametrize("name", [reports.RESULTS, reports.FAILED, reports.SUMMARY])
def test_foreign_reports_are_not_overwritten(desk: Desk, name: str) -> None:
    """A first run in a folder with somebody's own results.jsonl stops; a later one has its own."""
    desk.folder.mkdir(parents=True)
    (desk.folder / name).write_bytes(b"mine")
    with pytest.raises(OutputError, match=name):
        desk.run(_texts("one"))
    (desk.folder / name).unlink()
    desk.run(_texts("one"))
    (desk.folder / name).write_bytes(b"ours")
    assert desk.plan(_texts("one")) == {"r1": "done"}


def test_a_twins_place_is_looked_at_too(desk: Desk) -> None:
    """A row that gets another name is checked where it really goes."""
    table = [{"text": "one"}, {"text": "one"}]
    first = next(iter(desk.plan(table[:1])))
    path = desk.folder / "audio" / f"{first}-2.wav"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match=f"{first}-2.wav"):
        desk.run(table)
    assert path.read_bytes() == b"mine"


def test_an_edited_output_does_not_make_a_foreign_file_ours(desk: Desk) -> None:
    """That a job has run before gives it no right to another path."""
    desk.run([{"id": "a", "text": "one"}])
    (desk.folder / "mine.wav").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"mine\.wav"):
        desk.run([{"id": "a", "text": "one", "output": "mine.wav"}])


def test_a_left_over_of_our_own_is_accepted(desk: Desk) -> None:
    """A run killed between rename and commit left its file: the next one makes it again."""
    table = _texts("one", "one", "three")
    desk.plan(table)
    with Checkpoint.open(desk.folder) as checkpoint:
        row = next(checkpoint.rows_to_do(["new"]))
        start = AttemptStart(key=row.key, job=row.id, provider=row.provider, started_at=1.0)
        checkpoint.commit(starts=[start])
        for name in ("r1", "r2"):
            publish(writing.spoken(desk.folder, f"audio/{name}.wav", _SPOKEN, 24_000).targets)
    assert desk.plan(table) == {"r1": "new", "r2": "follow", "r3": "new"}
    assert desk.run(table) == ["r1", "r3"]


def test_an_output_that_moves_and_moves_back_is_ours_all_the_way(desk: Desk) -> None:
    """Copies of copies too: no file of a run ever stops it."""
    table: list[dict[str, str]] = [{**row, "output": ""} for row in _texts("same", "same")]
    desk.run(table)
    table[1]["output"] = "else/where.wav"
    assert desk.run(table) == []
    table[1]["output"] = ""
    assert desk.run(table) == []
    assert set(desk.plan(table).values()) == {"done"}


def test_a_link_out_of_the_run_folder_is_a_bad_row(desk: Desk) -> None:
    """A folder or file inside that leads out is not written through, by default names or given."""
    outside = desk.home / "outside"
    outside.mkdir()
    desk.folder.mkdir(parents=True)
    (desk.folder / "audio").symlink_to(outside)
    (desk.folder / "x.wav").symlink_to(desk.home / "secret")
    with pytest.raises(BadRowsError) as caught:
        desk.plan([{"id": "a", "text": "one"}, {"id": "b", "text": "two", "output": "x.wav"}])
    assert [row.column for row in caught.value.rows] == ["id", "output"]
    assert list(outside.iterdir()) == []


def test_a_link_that_comes_back_in_opens_no_way_out(desk: Desk) -> None:
    """A folder that leads out is refused for every row, also after a file in it led back in."""
    outside = desk.home / "outside"
    outside.mkdir()
    (desk.folder / "in").mkdir(parents=True)
    (outside / "back.wav").symlink_to(desk.folder / "in" / "a.wav")
    (desk.folder / "out").symlink_to(outside)
    (desk.folder / "in" / "b.wav").symlink_to(outside / "secret")
    table = [
        {"id": "a", "text": "one", "output": "out/back.wav"},
        {"id": "b", "text": "two", "output": "out/x.wav"},
        {"id": "c", "text": "three", "output": "in/c.wav"},
        {"id": "d", "text": "four", "output": "in/d.wav"},
        {"id": "e", "text": "five", "output": "in/b.wav"},
        {"id": "f", "text": "six", "output": "in/d.wav/x.wav"},
    ]
    (desk.folder / "in" / "d.wav").write_bytes(b"mine")
    with Checkpoint.none(desk.folder) as checkpoint:
        rows = Rows(checkpoint, BUILT_IN, "wav", Pauses())
        jobs = [job for job in desk.rows(table) if isinstance(job, Job)]
        made = [rows.of(job, number) for number, job in enumerate(jobs)]
    assert [row.id for row in made if isinstance(row, BadRow)] == ["b", "e", "f"]


# -- recordings --------------------------------------------------------------------------------


def test_a_recording_is_read_once_until_it_changes(desk: Desk) -> None:
    """Same size and time: not read again. Another time: read, and bought only if it differs."""
    path = desk.home / "تسجيل.wav"
    _record(path)
    table = [{"id": "a", "audio": "تسجيل.wav"}]
    assert desk.run(table) == ["a"]
    status = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:100] + bytes(len(content) - 100))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert desk.plan(table) == {"a": "done"}
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert desk.plan(table) == {"a": "changed"}
    path.write_bytes(content)
    assert desk.plan(table) == {"a": "done"}
    _record(path, 2.0)
    assert desk.plan(table) == {"a": "changed"}


def test_equal_recordings_are_bought_once(desk: Desk) -> None:
    """Two files with the same bytes are one transcription."""
    _record(desk.home / "a.wav")
    _record(desk.home / "b.wav")
    table = [{"id": "a", "audio": "a.wav"}, {"id": "b", "audio": "b.wav"}]
    assert desk.plan(table) == {"a": "new", "b": "follow"}
    assert desk.run(table) == ["a"]
    assert desk.plan(table) == {"a": "done", "b": "done"}


def test_recordings_that_cannot_be_run_are_bad_rows(desk: Desk) -> None:
    """Damaged, empty or vanished: each is told before anything is spent."""
    (desk.home / "damaged.wav").write_bytes(b"RIFFxxxx")
    _record(desk.home / "empty.wav", 0.0)
    _record(desk.home / "gone.wav")
    table = [{"id": n, "audio": f"{n}.wav"} for n in ("damaged", "empty", "gone")]
    rows = list(desk.rows(table))
    (desk.home / "gone.wav").unlink()
    with Checkpoint.none(desk.folder) as checkpoint, pytest.raises(BadRowsError) as caught:
        make_plan(rows, checkpoint=checkpoint, providers=desk.providers, settings=desk.settings())
    assert [row.column for row in caught.value.rows] == ["audio"] * 3
    assert "No such file" in str(caught.value)


def test_a_result_is_no_folder_of_another(desk: Desk) -> None:
    """In either order, and whatever the case: told before anything is spent."""
    table = [
        {"id": "a", "text": "one", "output": "deep/X.wav/y.wav/z.wav"},
        {"id": "b", "text": "two", "output": "deep/x.wav"},
        {"id": "c", "text": "three", "output": "fine.wav/c.wav"},
        {"id": "d", "text": "four", "output": "deep/x.wav/d.mp3"},
    ]
    with pytest.raises(BadRowsError) as caught:
        desk.plan(table)
    assert [row.id for row in caught.value.rows] == ["a", "d"]
    assert "'deep/x.wav' is the output of line 3" in str(caught.value)
    assert set(desk.run(table, skip_bad_rows=True)) == {"b", "c"}


# -- counting ----------------------------------------------------------------------------------


def test_planning_without_a_run_writes_nothing(desk: Desk) -> None:
    """Neither a folder nor a file is made, also for recordings."""
    _record(desk.home / "a.wav")
    before = sorted(desk.home.rglob("*"))
    with Checkpoint.none(desk.folder) as checkpoint:
        made = desk.made([{"id": "a", "audio": "a.wav"}], checkpoint)
    assert made.to_buy.rows == 1
    assert sorted(path for path in desk.home.rglob("*") if path.name != "m.csv") == before


def test_planning_beside_a_run_changes_nothing(desk: Desk) -> None:
    """A plan read-only over a finished run may meet recordings that the run never saw."""
    desk.run(_texts("one"))
    _record(desk.home / "a.wav")
    with Checkpoint.read(desk.folder) as checkpoint:
        made = desk.made([*_texts("one"), {"id": "a", "audio": "a.wav"}], checkpoint)
        assert made.by_action[Action.NEW].rows == 1
        assert made.by_action[Action.DONE].rows == 1
        assert checkpoint.source(str(desk.home / "a.wav")) is None
        assert [row.id for row, _ in checkpoint.outcomes()] == ["r1"]


def test_bad_rows_are_counted_and_the_first_hundred_kept(desk: Desk) -> None:
    """All are counted, a hundred are shown, the rest is a number; nothing is adopted."""
    desk.run(_texts("one"))
    table = [{"id": f"b{n}", "text": "", "speed": ""} for n in range(1_200)]
    table[1_199] = {"id": "ok", "text": "fine", "speed": ""}
    with pytest.raises(BadRowsError) as caught:
        desk.plan(table)
    assert caught.value.total == 1_199
    assert len(caught.value.rows) == 100
    assert str(caught.value).endswith("… and 1,099 more")
    assert "--skip-bad-rows" in caught.value.hint
    assert str(caught.value).count("\n") == 100
    with Checkpoint.open(desk.folder) as checkpoint:
        assert [row.id for row, _ in checkpoint.outcomes()] == ["r1"]
        made = desk.made(table, checkpoint, skip_bad_rows=True)
        assert made.by_action[Action.BAD].rows == 1_199
        assert len(made.bad_rows) == 100
        assert made.to_do == 1_200
        assert made.rows == 1_200


def test_bad_rows_that_are_skipped_can_be_read_back(desk: Desk) -> None:
    """A skipped row carries its line, column and message, also beyond a limit."""
    table = [{"id": "a", "text": "one"}, {"id": "b", "text": ""}, {"id": "c", "text": "three"}]
    for limit in (None, 0, 1):
        made = desk.plan(table, skip_bad_rows=True, limit=limit)
        assert made["b"] == "bad"
        with Checkpoint.read(desk.folder) as checkpoint:
            rows = [decode_row(row) for row, _ in checkpoint.outcomes()]
        assert isinstance(rows[0], Job)
        assert isinstance(rows[1], BadRow)
        assert (rows[1].line, rows[1].column) == (3, "text")


def test_a_limit_is_used_up_by_work_only(desk: Desk) -> None:
    """Bad rows, finished and kept ones do not count, so that every limited run gets further."""
    table = [{"id": f"b{n}", "text": ""} for n in range(3)] + _texts("one", "two", "three", "one")
    bought: list[str] = []
    for _ in range(5):
        bought += desk.run(table, skip_bad_rows=True, limit=1)
    assert bought == ["r1", "r2", "r3"]
    assert (
        list(desk.plan(table, skip_bad_rows=True, limit=0).values()) == ["bad"] * 3 + ["done"] * 4
    )


def test_a_row_beyond_the_limit_buys_nothing_for_others(desk: Desk) -> None:
    """Nobody follows a row that waits."""
    table = [
        {"id": "a", "text": "one", "output": "a.mp3"},
        {"id": "b", "text": "one", "output": "b.wav"},
    ]
    assert desk.plan(table, limit=1) == {"a": "new", "b": "later"}
    assert desk.plan(table, limit=0) == {"a": "later", "b": "later"}


def test_what_it_costs_is_summed_per_currency(desk: Desk) -> None:
    """Purchases are priced, copies and followers are not, currencies stay apart, free is named."""
    priced = with_settings(
        BUILT_IN["munsit"], {"stt_price_per_hour": 36.0, "currency": "AED"}, where="x"
    )
    free = with_settings(BUILT_IN["faseeh"], {"tts_price_per_million_characters": 0.0}, where="x")
    other = replace(BUILT_IN["faseeh"], name="other")
    shop = Desk(
        home=desk.home,
        providers={**BUILT_IN, "munsit": priced, "faseeh": free, "other": other},
    )
    _record(desk.home / "a.wav", 2.0)
    text = "ا" * 1_000
    table = [
        {"id": "1", "text": text, "provider": "munsit"},
        {"id": "2", "text": text, "provider": "munsit"},
        {"id": "3", "text": text, "provider": "other"},
        {"id": "4", "text": text, "provider": "faseeh"},
        {"id": "5", "text": text, "provider": "local"},
        {"id": "6", "audio": "a.wav", "provider": "munsit"},
    ]
    seen: list[int] = []
    with Checkpoint.none(desk.folder) as checkpoint:
        made = make_plan(
            shop.rows(table),
            checkpoint=checkpoint,
            providers=shop.providers,
            settings=shop.settings(),
            progress=seen.append,
        )
    assert seen == [6]
    assert made.cost_by_currency == {"AED": 0.0867, "USD": 0.0667}
    assert made.to_buy.rows == 5
    assert made.to_buy.characters == 4_000
    assert made.to_buy.seconds == pytest.approx(2.0)
    assert made.to_buy.currency == "XXX"
    assert made.by_action[Action.FOLLOW].characters == 1_000
    assert made.by_action[Action.FOLLOW].currency == "AED"
    assert made.unpriced == {"faseeh": (Kind.TTS,)}
    assert made.providers == ("faseeh", "local", "munsit", "other")
    assert made.speech_seconds == pytest.approx(4_000 / 13)
    assert set(made.by_action) == set(Action)
    assert cost_of(priced, characters=0, seconds=3_600) == 36.0


def test_the_format_option_names_the_default_files(desk: Desk) -> None:
    """Another format is a copy where it can be one, and never touches a row's own output."""
    table = [
        {"id": "a", "text": "one", "output": ""},
        {"id": "b", "text": "two", "output": "b.wav"},
    ]
    desk.run(table)
    assert desk.plan(table, audio_format="flac") == {"a": "copy", "b": "done"}


def test_a_record_without_files_is_not_intact(desk: Desk) -> None:
    """A result with nothing to show is not there."""
    record = JobRecord(id="a", key="k", kind=Kind.TTS, status=Status.DONE)
    assert not is_intact(desk.folder, record)


# -- at large ----------------------------------------------------------------------------------


def _many(count: int) -> Iterator[Job]:
    speech = SpeechSettings(voice_id="v", model_id="m")
    for number in range(count):
        text = f"جُملَة رقم {number}"
        yield Job(
            id=f"r{number}",
            line=number + 2,
            kind=Kind.TTS,
            provider="local",
            text=text,
            speech=speech,
            row={"id": f"r{number}", "text": text},
        )


def test_memory_does_not_grow_with_the_manifest(desk: Desk) -> None:
    """Between its 15,000th and its 20,000th row a plan takes less than ten bytes a row."""
    held = []

    def measure(count: int) -> None:
        if count == 14_000:
            tracemalloc.start()
        elif count in {15_000, 20_000}:
            gc.collect()
            # But for the names that pathlib keeps in the interpreter's one table of them.
            others = tracemalloc.Filter(inclusive=False, filename_pattern=pathlib.__file__)
            traces = tracemalloc.take_snapshot().filter_traces([others])
            held.append(sum(trace.size for trace in traces.traces))

    try:
        with Checkpoint.none(desk.folder) as checkpoint:
            made = make_plan(
                _many(20_000),
                checkpoint=checkpoint,
                providers=BUILT_IN,
                settings=desk.settings(),
                progress=measure,
            )
    finally:
        tracemalloc.stop()
    assert made.by_action[Action.NEW].rows == 20_000
    assert held[1] - held[0] < 50_000


_EDITS = st.lists(
    st.tuples(
        st.sampled_from(["text", "move", "drop", "add", "twin", "format", "lose", "fail", "undo"]),
        st.integers(0, 5),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=8,
)


def _edited(table: list[dict[str, str]], edit: str, place: int, choice: int) -> None:
    """Edit a manifest."""
    row = table[place % len(table)]
    match edit:
        case "text":
            row["text"] = f"t{choice}"
        case "move":
            table.append(table.pop(place % len(table)))
        case "drop" if len(table) > 1:
            table.remove(row)
        case "add":
            taken = {row["id"] for row in table}
            name = next(name for name in map("n{}".format, range(99)) if name not in taken)
            table.insert(place, {"id": name, "text": f"t{choice}", "output": ""})
        case "twin" if row["id"] and row["id"].swapcase() not in {r["id"] for r in table}:
            table.append({**row, "id": row["id"].swapcase(), "output": ""})
        case "format":
            taken = {row["output"] for row in table}
            name = f"o/{place}.{('wav', 'mp3', 'flac', 'ogg')[choice]}"
            row["output"] = "" if name in taken else name
        case _:
            pass


@pytest.mark.unmeasured
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(edits=_EDITS, has_ids=st.booleans())
def test_whatever_is_edited_nothing_held_is_bought_again(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[str, int, int]], *, has_ids: bool
) -> None:
    """After any edits a run buys only what no file holds, and a second run has nothing to do."""
    desk = Desk(home=tmp_path_factory.mktemp("edits"), providers=BUILT_IN)
    table = [{"id": f"R{n}" if has_ids else "", "text": f"t{n}", "output": ""} for n in range(4)]
    earlier = [dict(row) for row in table]
    desk.run(table)
    for edit, place, choice in edits:
        if edit == "undo":
            table = [dict(row) for row in earlier]
        elif edit == "lose":
            for path in sorted(desk.folder.glob("audio/*"))[choice : choice + 1]:
                path.unlink()
        _edited(table, edit, place, choice)
        held = _held(desk)
        with Checkpoint.open(desk.folder) as checkpoint:
            desk.made(table, checkpoint, retry_failed=True)
            checkpoint.adopt_staged({})
            for row in checkpoint.rows_to_do(TO_BUY):
                assert Path(row.output).suffix not in held.get(row.key, ())
        name = table[place % len(table)]["id"]
        failing = {name: bool(choice % 2)} if edit == "fail" else {}
        desk.run(table, failing=failing, retry_failed=True)
        desk.run(table, retry_failed=True)
        assert set(desk.plan(table).values()) == {"done"}


def _held(desk: Desk) -> dict[str, set[str]]:
    """Tell which formats could be made of what is on the disk, by key."""
    held: dict[str, set[str]] = {}
    with Checkpoint.read(desk.folder) as checkpoint:
        for record in checkpoint.done_records():
            if is_intact(desk.folder, record):
                endings = {".wav", ".flac", ".mp3", ".ogg"}
                can = {ending for ending in endings if record.can_become(f"x{ending}")}
                held.setdefault(record.key, set()).update(can)
    return held


def test_the_actions_that_touch_rows_are_told_apart() -> None:
    """Whatever buys is something to do; what is done, kept, suspect or later is not."""
    assert set(TO_BUY) < set(TO_DO)
    assert set(Action) - set(TO_DO) == {
        Action.DONE,
        Action.KEPT,
        Action.SUSPECT,
        Action.LATER,
    }
