"""One transcript more for recordings that follow each other: made of what is done, and of nothing else."""

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import soundfile
import srt
import webvtt

from tests.api.test_review import decide
from tests.builders import TO_VERSION_5
from tests.calls import rest, speak, write_channels
from tests.commands import Command
from tests.tapes import SIDES, write_side, write_tape_manifest

GROUP = "شريط ١٢"
RUN = ("run", "tapes.csv", "--engine", "tone")
OUTPUTS = Path("outputs/tapes")


@pytest.fixture
def lengths(folder: Path) -> list[float]:
    """Three sides of a tape and their manifest, out of order; gives the sides' lengths."""
    found = [
        write_side(folder / f"{n}.wav", text, silence_seconds=1.0 + n / 3)
        for n, text in enumerate(SIDES, 1)
    ]
    write_manifest()
    return found


def write_manifest(**changes: Mapping[str, object]) -> None:
    """Write the manifest of the sides, some of their rows otherwise."""
    rows: list[dict[str, object]] = [
        {
            "id": f"side{n}",
            "audio": f"{n}.wav",
            "group": GROUP,
            "part": part,
            **changes.get(f"side{n}", {}),
        }
        for n, part in ((3, "٣"), (1, 1), (2, " 02 "))
    ]
    write_tape_manifest(Path("tapes.csv"), rows)


def state() -> dict[str, Any]:
    """What summary.json says of the group."""
    (found,) = json.loads((OUTPUTS / "summary.json").read_bytes())["groups"]
    return dict(found)


def transcripts() -> list[str | None]:
    """Where the results say that the group's transcript is."""
    lines = (OUTPUTS / "results.jsonl").read_bytes().splitlines()
    return [json.loads(line)["group_transcript"] for line in lines]


def sessions() -> int:
    """How many sessions all runs have begun."""
    return int(json.loads((OUTPUTS / "summary.json").read_bytes())["attempts"])


def group_files() -> list[Path]:
    """The files of the group's transcript."""
    return sorted(path for path in (OUTPUTS / "transcripts").iterdir() if "شريط" in path.name)


def test_the_time_runs_on_over_the_parts(command: Command, lengths: list[float]) -> None:
    """Each part begins where the recordings before it end, in the text's, JSON's, SRT's and VTT's order."""
    ended = command(*RUN)
    assert ended.code == 0, ended.err
    found = state()
    assert found["transcript"].startswith("transcripts/شريط-١٢-")
    assert (found["parts"], found["waits_for"]) == (3, [])
    assert found["audio_seconds"] == pytest.approx(sum(lengths), abs=0.001)
    assert transcripts() == [found["transcript"]] * 3
    text = OUTPUTS / found["transcript"]
    assert text.read_text("utf-8") == "\n".join(SIDES)
    told = json.loads(text.with_suffix(".json").read_bytes())
    assert (told["group"], told["text"]) == (GROUP, "\n".join(SIDES))
    assert [part["id"] for part in told["parts"]] == ["side1", "side2", "side3"]
    starts = [0.0, lengths[0], lengths[0] + lengths[1]]
    assert [part["start"] for part in told["parts"]] == pytest.approx(starts, abs=0.001)
    own = [json.loads((OUTPUTS / f"transcripts/side{n}.json").read_bytes()) for n in (1, 2, 3)]
    moved = [
        (word["text"], pytest.approx(word["start"] + start, abs=0.002))
        for each, start in zip(own, starts, strict=True)
        for word in each["words"]
    ]
    assert [(word["text"], word["start"]) for word in told["words"]] == moved
    cues = list(srt.parse(text.with_suffix(".srt").read_text("utf-8")))
    assert cues[-1].end.total_seconds() > starts[2]
    assert [cue.start for cue in cues] == sorted(cue.start for cue in cues)
    assert len(webvtt.read(str(text.with_suffix(".vtt")))) == len(cues)
    assert "groups: 1 transcript of 1 group" in ended.out
    assert "1 group checked: all as they were" in command("verify", OUTPUTS).out
    assert "belong" not in command("status", OUTPUTS).out


def test_a_group_waits_for_all_of_its_parts(command: Command, lengths: list[float]) -> None:
    """What is not run yet, and what has failed, is named by part and row; the rest makes no transcript."""
    ended = command(*RUN, "--limit", 2)
    assert state()["transcript"] is None
    assert state()["waits_for"] == [{"part": 2, "id": "side2", "status": "not_run"}]
    assert transcripts() == [None, None]
    assert f"'{GROUP}' waits for part 2 (side2: not_run)" in ended.out
    assert "waits for part 2" in command("status", OUTPUTS).out
    assert group_files() == []
    assert command(*RUN, "--fault", "error:40001#1", "--attempts", 1).code == 1
    assert [each["status"] for each in state()["waits_for"]] == ["failed"]
    assert command(*RUN, "--retry-failed").code == 0
    assert len(group_files()) == 4
    assert lengths


def test_a_transcript_that_is_gone_or_changed_comes_back_without_a_purchase(
    command: Command, lengths: list[float]
) -> None:
    """Deleted, cut short, or edited at the same length and then verified: the next run makes it again."""
    command(*RUN)
    before = {path: path.read_bytes() for path in group_files()}
    bought = sessions()
    edited = next(path for path in before if path.suffix == ".srt")
    for damage in (Path.unlink, lambda path: path.write_bytes(b"1")):
        damage(edited)
        assert command(*RUN).code == 0
        assert {path: path.read_bytes() for path in group_files()} == before
    edited.write_bytes(bytes(len(before[edited])))
    found = command("verify", OUTPUTS)
    assert found.code == 1
    assert f"the group '{GROUP}'" in found.out
    assert command(*RUN).code == 0
    assert {path: path.read_bytes() for path in group_files()} == before
    assert command("verify", OUTPUTS).code == 0
    assert sessions() == bought
    assert lengths


def test_a_part_that_changes_takes_the_transcript_back_first(
    command: Command, lengths: list[float]
) -> None:
    """Once a side is another recording, the old transcript is gone before anything is bought."""
    command(*RUN)
    write_side(Path("2.wav"), "جديدٌ تمامًا.")
    ended = command(*RUN, "--fault", "error:40001", "--attempts", 1)
    assert ended.code == 1
    assert group_files() == []
    assert transcripts() == [None, None]
    assert command(*RUN, "--retry-failed").code == 0
    text = (OUTPUTS / str(state()["transcript"])).read_text("utf-8")
    assert text.splitlines() == [SIDES[0], "جديدٌ تمامًا.", SIDES[2]]
    assert lengths


def test_an_edited_manifest_makes_the_transcript_anew_and_buys_nothing(
    command: Command, lengths: list[float]
) -> None:
    """Parts in another order, a gap, a part taken out: the text follows, and gaps are told."""
    command(*RUN)
    bought = sessions()
    write_manifest(side3={"part": 7}, side2={"part": 9})
    ended = command(*RUN)
    assert f"the group '{GROUP}' has no part 2-6, 8: its time goes on without" in ended.err
    assert state()["missing_numbers"] == "2-6, 8"
    text = OUTPUTS / str(state()["transcript"])
    assert text.read_text("utf-8").splitlines() == [SIDES[0], SIDES[2], SIDES[1]]
    write_manifest(side2={"group": "", "part": ""})
    command(*RUN)
    assert text.read_text("utf-8").splitlines() == [SIDES[0], SIDES[2]]
    assert sessions() == bought
    assert lengths


def test_the_transcript_of_a_group_that_is_gone_is_told_and_pruned(
    command: Command, lengths: list[float]
) -> None:
    """As a row's that is gone: it stays, is counted at the end, and goes by `prune` if it is as it was."""
    command(*RUN)
    write_manifest(**{f"side{n}": {"group": "other"} for n in (1, 2, 3)})
    ended = command(*RUN)
    assert "1 file belongs to no row any more: transcripts/شريط" in ended.out
    assert len(group_files()) == 4
    assert command("prune", OUTPUTS, "--yes").code == 0
    assert group_files() == []
    assert (OUTPUTS / "transcripts/other.txt").is_file()
    assert command("verify", OUTPUTS).code == 0
    assert lengths


def test_a_group_named_as_a_row_has_a_name_of_its_own(
    command: Command, lengths: list[float]
) -> None:
    """No row's transcript is overwritten by a group's, whichever came first, in any case of its letters."""
    write_manifest(**{f"side{n}": {"group": "Tape"} for n in (1, 2, 3)})
    command(*RUN)
    assert state()["transcript"] == "transcripts/Tape.txt"
    write_manifest(
        side1={"group": "Tape", "id": "TAPE"}, side2={"group": "Tape"}, side3={"group": "Tape"}
    )
    assert command(*RUN).code == 0
    assert str(state()["transcript"]).startswith("transcripts/Tape-")
    assert (OUTPUTS / str(state()["transcript"])).read_text("utf-8") == "\n".join(SIDES)
    assert command("verify", OUTPUTS).code == 0
    assert lengths


def test_a_file_that_is_not_ours_is_not_overwritten(command: Command, lengths: list[float]) -> None:
    """What stands in the group's place before the first run ends it before anything is bought."""
    write_manifest(**{f"side{n}": {"group": "tape"} for n in (1, 2, 3)})
    theirs = OUTPUTS / "transcripts/tape.srt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    ended = command(*RUN)
    assert ended.code == 73
    assert "tape.srt is there already and is not this run's" in ended.err
    assert theirs.read_text() == "theirs"
    assert lengths


def test_a_rejected_part_takes_the_transcript_back_and_an_accepted_one_brings_it(
    command: Command, lengths: list[float]
) -> None:
    """`review` removes it, `accept` makes it again; neither buys anything."""
    command(*RUN)
    decisions = decide(OUTPUTS, {"side2": "reject"})
    assert command("review", OUTPUTS, decisions).code == 0
    assert state()["waits_for"] == [{"part": 2, "id": "side2", "status": "suspect"}]
    assert group_files() == []
    assert command("accept", OUTPUTS, "side2").code == 0
    assert (OUTPUTS / str(state()["transcript"])).read_text("utf-8") == "\n".join(SIDES)
    assert sessions() == 3
    assert lengths


def test_two_rows_of_one_part_are_refused_with_both_lines(
    command: Command, lengths: list[float]
) -> None:
    """Nothing is spent; skipped as a bad row, the second one keeps the group waiting."""
    write_manifest(side2={"part": "٠١"})
    ended = command(*RUN)
    assert ended.code == 65
    assert (
        f"tapes.csv:4: column 'part': part 1 of the group '{GROUP}' is line 3 already" in ended.err
    )
    assert not OUTPUTS.exists()
    assert command(*RUN, "--skip-bad-rows").code == 1
    assert state()["waits_for"] == [{"part": 1, "id": "side2", "status": "failed"}]
    assert lengths


@pytest.mark.parametrize(
    ("columns", "is_told"),
    [
        ({"group": "control"}, False),
        ({"part": "1"}, False),
        ({"Group": "", "Part": "2"}, False),
        ({"group": "أ", "part": "الجزء الأول"}, True),
        ({"group": "a", "part": "0"}, True),
        ({"groups": "a", "parts": "1"}, False),
    ],
)
def test_columns_that_mean_something_else_travel_along(
    command: Command, lengths: list[float], columns: dict[str, str], is_told: bool
) -> None:
    """They are no error, and stand in the results as they came; parts that are no numbers are told."""
    write_tape_manifest(Path("tapes.csv"), [{"id": "a", "audio": "1.wav"} | columns])
    ended = command(*RUN)
    assert (ended.code, "group" in ended.out.casefold() + ended.err) == (0, is_told)
    (line,) = map(json.loads, (OUTPUTS / "results.jsonl").read_bytes().splitlines())
    assert line | columns == line
    assert "group_transcript" not in line
    assert lengths


def test_a_text_is_no_part(command: Command, folder: Path) -> None:
    """Speech with the same columns, twice the same part even, is spoken as ever."""
    rows = [{"id": name, "text": "مرحبًا", "group": "g", "part": 1} for name in "ab"]
    assert command("run", write_tape_manifest(folder / "tapes.csv", rows), *RUN[2:]).code == 0
    assert json.loads((OUTPUTS / "summary.json").read_bytes())["groups"] == []


def test_rows_without_a_number_are_told_where_others_have_one(
    command: Command, lengths: list[float]
) -> None:
    """One whose part is no whole number is in no transcript, which is said with its line."""
    write_manifest(side2={"part": "2b"}, side3={"part": 2})
    ended = command(*RUN)
    assert ended.code == 0
    assert "1 row has a 'group' and no whole number from 1 in 'part' (line 4)" in ended.err
    assert (OUTPUTS / str(state()["transcript"])).read_text("utf-8").splitlines() == [
        SIDES[0],
        SIDES[2],
    ]
    assert lengths


def test_the_sides_of_calls_keep_their_speakers(command: Command, folder: Path) -> None:
    """Channels that were heard apart stay apart: in the text, the words, and the voice tags, with time gone on."""
    first = write_channels(folder / "1.wav", speak(SIDES[0]), rest(1.0))
    write_channels(folder / "2.wav", rest(1.0), speak("Hello trio, نعم ٣!"))
    columns: dict[str, object] = {"group": "call", "channels": "apart"}
    columns |= {"channel_names": "أحمد,Mona"}
    rows = [columns | {"id": f"c{n}", "audio": f"{n}.wav", "part": n} for n in (1, 2)]
    write_tape_manifest(folder / "tapes.csv", rows)
    ended = command(*RUN)
    assert ended.code == 0, ended.err
    text = OUTPUTS / "transcripts/call.txt"
    assert text.read_text("utf-8").splitlines() == [f"أحمد: {SIDES[0]}", "Mona: Hello trio, نعم ٣!"]
    told = json.loads(text.with_suffix(".json").read_bytes())
    assert {word["speaker"] for word in told["words"]} == {"أحمد", "Mona"}
    (start,) = {part["start"] for part in told["parts"] if part["part"] == 2}
    assert start == pytest.approx(soundfile.info(first).duration, abs=0.001)
    assert min(word["start"] for word in told["words"] if word["speaker"] == "Mona") >= start
    voices = [
        line for line in text.with_suffix(".vtt").read_text("utf-8").splitlines() if "<v " in line
    ]
    assert "<v أحمد>" in voices[0]
    assert "<v Mona>" in voices[-1]


def test_results_of_an_older_schema_are_read_and_go_on(
    command: Command, lengths: list[float]
) -> None:
    """A folder that knew no groups is looked at as it is, and makes their transcripts without a purchase."""
    command(*RUN)
    bought = sessions()
    for path in group_files():
        path.unlink()
    connection = sqlite3.connect(OUTPUTS / "checkpoint.sqlite3")
    connection.executescript(
        f"""{TO_VERSION_5}
           DELETE FROM own_files WHERE path NOT LIKE 'transcripts/side%';
           UPDATE meta SET value = 'of another version' WHERE name = 'fingerprint';"""
    )
    connection.close()
    assert command("results", OUTPUTS).code == 0
    assert command("status", OUTPUTS).code == 0
    assert command(*RUN).code == 0
    assert len(group_files()) == 4
    assert sessions() == bought
    assert lengths
