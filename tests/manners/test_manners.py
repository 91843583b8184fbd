"""Whole runs against services of every manner that is known: each job done once, or named.

The services are written on another stack (`service.py`), the runs are real: `batchjobs run` as a
command, or `batchjobs.run_async`, over TCP, with the hosted providers as they are built in. A row
of the table (`table.py`) is a service, what is asked of it, and what must come of that. All rows
run at the same time: most of it is waiting, as long as the providers' settings ask for it.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.canary import place_in
from tests.clusters import hand_made
from tests.manners import sound
from tests.manners.runs import KEYS, Ran, run_all
from tests.manners.table import ALONE, MUTE, NUMEROUS, ROWS, Row

Table = Mapping[str, Ran]

_ROUNDED_SECONDS = 0.01
"""The run counts each session in milliseconds."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """What came of every row."""
    return run_all(tmp_path_factory.mktemp("manners"), ROWS)


def test_the_table_s_clips_end_as_it_says() -> None:
    """At the level of their loudest sounds, or in silence."""
    for text in {text for row in ROWS.values() for text in row.texts.values()}:
        assert sound.end_level(sound.clip(text, loud=True)) > 0.5
        assert sound.end_level(sound.clip(text, loud=False)) < 0.01


@pytest.mark.parametrize("name", [name for name in ROWS if name not in ALONE])
def test_each_job_is_done_once_or_named(name: str, ran: Table) -> None:
    """Whatever a service's manners: nothing is bought twice for nothing, nothing lost is called done."""
    _check(ROWS[name], ran[name])


# -- the same with the sessions in other processes -------------------------------------------------

FEW = (
    "drops what is pending, ends loud",
    "too many sessions",
    "closes with 1000 after a third, every time",
    "the last word revised late",
    "nothing heard, once",
    "speaks and hears",
)
"""Of each kind of ending and reaction one; all of them are marked long."""


def run_elsewhere(folder: Path, rows: Mapping[str, Row]) -> Table:
    """Run rows at the same time, the sessions of all of them in two processes that are not theirs."""
    with hand_made(folder / "cluster", 2, **KEYS) as cluster:
        return run_all(folder, rows, cluster=cluster.address)


@pytest.fixture(scope="module")
def few_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """What came of a few rows, with workers."""
    folder = tmp_path_factory.mktemp("few")
    return run_elsewhere(folder, {name: ROWS[name] for name in FEW})


@pytest.fixture(scope="module")
def all_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """What came of all others, with workers."""
    folder = tmp_path_factory.mktemp("all")
    return run_elsewhere(folder, {name: row for name, row in ROWS.items() if name not in FEW})


@pytest.mark.parametrize("name", FEW)
def test_workers_change_nothing_of_it(name: str, few_elsewhere: Table) -> None:
    """Whatever a service's manners, sessions that other processes have come to the same."""
    _check(ROWS[name], few_elsewhere[name])


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in ROWS if name not in {*FEW, MUTE}])
def test_workers_change_nothing_at_all(name: str, all_elsewhere: Table) -> None:
    """Nor do they with any other service of the table."""
    _check(ROWS[name], all_elsewhere[name])


@pytest.mark.long
def test_a_mute_service_ends_a_run_with_workers(all_elsewhere: Table) -> None:
    """After its first session, by name, as without."""
    _check_mute(all_elsewhere[MUTE])


# -- rows of their own -----------------------------------------------------------------------------


def test_two_hundred_clips_that_end_loud_take_two_hundred_sessions(ran: Table) -> None:
    """With munsit as it is built in; nothing is in doubt, and nothing bought twice."""
    _check(ROWS[NUMEROUS], ran[NUMEROUS])
    assert len(ran[NUMEROUS].sessions) == 200
    assert ran[NUMEROUS].summary["done"] == 200


def test_a_service_that_takes_text_and_says_nothing_ends_the_run(ran: Table) -> None:
    """After its first session, by name, with what to try; the other rows are left as they were."""
    _check_mute(ran[MUTE])


def _check_mute(mute: Ran) -> None:
    assert mute.exit_code == 69
    assert [session.asked for session in mute.sessions] == [ROWS[MUTE].texts["t000"]]
    for word in ("munsit", "no audio", "batchjobs probe", "model", "http"):
        assert word in mute.error
    summary = mute.summary
    assert (summary["done"], summary["attempts"]) == (0, 1)
    assert summary["rows"] == summary["failed"] + summary["not_run"]


# -- what a row has to come to -------------------------------------------------------------------


def _check(row: Row, ran: Ran) -> None:
    assert not ran.complaints
    assert not place_in(ran.error)
    _check_statuses(row, ran)
    _check_sessions(row, ran)
    _check_audio(row, ran)
    _check_transcripts(row, ran)


def _check_statuses(row: Row, ran: Ran) -> None:
    """Every row of the manifest has its answer, the answers add up, and the exit code fits."""
    jobs = row.texts.keys() | row.recordings.keys()
    done, failed = ran.lines("results.jsonl"), ran.lines("failed.jsonl")
    named = {
        name: " ".join(filter(None, (line.get("status", "failed"), _class(line))))
        for name, line in failed.items()
    }
    assert named == dict(row.named), failed
    assert done.keys() == jobs - named.keys()
    assert ran.exit_code == row.exit_code, ran.error
    summary = ran.summary
    statuses = Counter(label.split()[0] for label in named.values())
    counted = {name: summary.get(name, 0) for name in ("rows", "done", "failed", "suspect")}
    assert counted == {
        "rows": len(jobs),
        "done": len(done),
        "failed": statuses["failed"],
        "suspect": statuses["suspect"],
    }
    assert summary["not_run"] == 0


def _class(line: Mapping[str, Any]) -> str:
    return "" if line.get("status") == "suspect" else str(line["error"]["class"])


def _check_sessions(row: Row, ran: Ran) -> None:
    """The service was asked as often as it had to be, for exactly what the manifest says."""
    jobs = {text: name for name, text in row.texts.items()}
    jobs |= {name: name for name in row.recordings}
    asked = Counter(session.asked for session in ran.sessions if session.asked)
    wrong = Counter(session.asked for session in ran.sessions if session.went_wrong)
    assert asked.keys() == jobs.keys()
    assert bool(wrong) is bool(row.manners.fault or row.manners.room)  # or it would show nothing
    spare = {what: count - 1 - wrong[what] for what, count in asked.items()}
    for name in row.named:
        least, most = row.attempts
        what = row.texts.get(name, name)
        assert least <= asked[what] <= most
        spare[what] = 0
    assert min(spare.values()) >= 0
    assert sum(spare.values()) <= row.spare_sessions, spare
    characters = sum(session.characters for session in ran.sessions)
    seconds = sum(len(session.audio) for session in ran.sessions) / (2 * sound.RECORDING_RATE)
    assert ran.summary["characters_sent"] == characters
    sent = ran.summary["audio_seconds_sent"]
    assert seconds <= sent + _ROUNDED_SECONDS
    if row.manners.fault is None:  # else more was on its way when the service gave up
        assert sent <= seconds + _ROUNDED_SECONDS
    for session in ran.sessions:
        if session.asked in row.recordings and not session.went_wrong:
            assert session.audio == row.recordings[session.asked].pcm


def _check_audio(row: Row, ran: Ran) -> None:
    """What is done is whole, what is in doubt is kept, to the sample as the service sent it."""
    done = ran.lines("results.jsonl")
    for name, text in row.texts.items():
        if name in done:
            place = ran.folder / done[name]["output"]
            clip = sound.clip(text, loud=row.manners.is_loud)
            assert sound.samples_of(place.read_bytes()) == (clip, sound.RATE), name
    kept = [sound.samples_of(path.read_bytes()) for path in _wavs(ran.folder / "suspect")]
    doubted = [
        name for name, label in row.named.items() if label == "suspect" and name in row.texts
    ]
    assert len(kept) == len(doubted)
    for name in doubted:
        sent = [bytes(each.sent) for each in ran.sessions if each.asked == row.texts[name]]
        assert any((pcm, sound.RATE) in kept for pcm in sent)
        assert not list(_wavs(ran.folder / "audio", f"{name}*"))


def _check_transcripts(row: Row, ran: Ran) -> None:
    """What was heard last is what is written, without what surrounds it."""
    done = ran.lines("results.jsonl")
    for name, recording in row.recordings.items():
        if name in done:
            text = " ".join(recording.words)
            assert done[name]["transcript"] == text
            assert done[name]["no_speech"] is not bool(text)
            written = (ran.folder / done[name]["output"]).read_text(encoding="utf-8")
            assert written.strip("\n") == text
        else:
            assert not list((ran.folder / "transcripts").glob(f"{name}*"))


def _wavs(folder: Path, name: str = "*") -> list[Path]:
    return sorted(folder.rglob(f"{name}.wav")) if folder.is_dir() else []
