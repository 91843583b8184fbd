"""An unchanged manifest is planned by what the checkpoint keeps of it: the plan must be the same."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchjobs.audio import encoding
from batchjobs.checkpoint import Checkpoint, Row
from batchjobs.jobs import BadRow, Job
from batchjobs.options import Options
from batchjobs.planning.fingerprint import fingerprint_of
from batchjobs.planning.make_plan import make_plan
from batchjobs.planning.plan import Action, Plan
from batchjobs.providers import BUILT_IN, change_provider
from tests.builders import write_recording
from tests.planning.desk import Desk

_KEPT = {"fingerprint": "f"}
_SHORT = change_provider(BUILT_IN["local"], {"text_limit_characters": 40}, where="here")

Table = Sequence[Mapping[str, object]]


def _unread() -> Iterator[Job | BadRow]:
    return map(pytest.fail, ["the manifest was read again"])


def _home(desk: Desk) -> str:
    return str(desk.home.resolve())


def _begun(desk: Desk, table: Table, *, doing: int, failing: Mapping[str, bool]) -> None:
    """Plan and adopt, and do some of the rows, as a run does that is killed then."""
    with Checkpoint.open(desk.folder) as checkpoint:
        made = desk.made(table, checkpoint, skip_bad_rows=True, inputs_folder=_home(desk))
        checkpoint.staging.adopt(_KEPT if made.tells_all else {"fingerprint": ""})
        rows = [
            row
            for row in checkpoint.rows.stream_to_do(["new", "changed", "retry", "remake"])
            if row.provider == "local"
        ]
        for row in rows[:doing]:
            desk.do(checkpoint, row, failing)
        if doing >= len(rows) and not failing:
            for row in checkpoint.rows.stream_to_do(["copy", "follow"]):
                desk.do(checkpoint, row, failing)


def _full(desk: Desk, table: Table, **changes: Any) -> tuple[Plan, list[Row]]:
    with Checkpoint.read(desk.folder) as checkpoint:
        made = desk.made(
            table, checkpoint, skip_bad_rows=True, inputs_folder=_home(desk), **changes
        )
        with checkpoint._database.use() as database:
            found = database.execute("SELECT * FROM temp.staged ORDER BY position")
            return made, [Row(*values) for values in found]


def _again(desk: Desk, **changes: Any) -> tuple[Plan, list[Row]]:
    with Checkpoint.open(desk.folder) as checkpoint:
        made = make_plan(
            _unread(),
            checkpoint=checkpoint,
            providers=desk.providers,
            options=Options(skip_bad_rows=True, **changes),
            name="m.csv",
            fingerprint="f",
        )
        checkpoint.staging.adopt({"fingerprint": "f" if made.tells_all else ""})
        return made, [row for row, _ in checkpoint.rows.stream_outcomes()]


_words = st.sampled_from(["سَلامٌ", "سلام ٣", "one", "two", "كِتاب. " * 12])
_rows = st.lists(
    st.one_of(
        st.fixed_dictionaries(
            {"text": _words, "id": st.sampled_from(["", "", "a", "A", "b", "ب", "ب\u200c"])},
            optional={"output": st.sampled_from(["x.wav", "x.mp3", "X.WAV", "y/z.flac"])},
        ),
        st.fixed_dictionaries({"audio": st.sampled_from(["1.wav", "2.wav"])}),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.unmeasured
@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    table=_rows,
    doing=st.integers(0, 9),
    failing=st.dictionaries(st.sampled_from(["a", "b"]), st.booleans(), max_size=2),
    damage=st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=3),
    re_recorded=st.booleans(),
    limit=st.sampled_from([None, None, 1]),
    retries=st.booleans(),
)
def test_the_plan_is_the_one_that_reading_the_manifest_would_give(
    tmp_path_factory: pytest.TempPathFactory,
    table: Table,
    doing: int,
    failing: Mapping[str, bool],
    damage: Sequence[tuple[int, bool]],
    re_recorded: bool,
    limit: int | None,
    retries: bool,
) -> None:
    """After any part of a run, with files lost, cut short or recorded anew: row by row, and in sum."""
    desk = Desk(home=tmp_path_factory.mktemp("desk"), providers=dict(BUILT_IN) | {"local": _SHORT})
    for name, pcm in (("1.wav", b"\x01\x02"), ("2.wav", b"\x01\x02"), ("3.wav", b"\x03\x02")):
        write_recording(desk.home / name, pcm * 8_000)
    _begun(desk, table, doing=doing, failing=failing)
    files = sorted(path for path in desk.folder.rglob("*.*") if "sqlite3" not in path.name)
    for number, is_cut in damage:
        if number < len(files) and is_cut and files[number].exists():
            files[number].write_bytes(b"cut")
        elif number < len(files):
            files[number].unlink(missing_ok=True)
    if re_recorded:
        (desk.home / "3.wav").rename(desk.home / "2.wav")
    with Checkpoint.read(desk.folder) as checkpoint:
        is_told = bool(checkpoint.read_settings()["fingerprint"])
    changes = {"limit": limit, "retry_failed": retries}
    expected = _full(desk, table, **changes)
    if not is_told:
        assert not expected[0].tells_all
        return
    planned = _again(desk, **changes)
    assert _but_for_the_estimate(planned) == _but_for_the_estimate(expected)
    if planned[0].tells_all:  # what was planned so can be planned so once more
        expected = _full(desk, table, **changes)
        again = _again(desk, **changes)
        assert _but_for_the_estimate(again) == _but_for_the_estimate(expected)


def _but_for_the_estimate(planned: tuple[Plan, list[Row]]) -> tuple[Plan, list[Row]]:
    """Leave out how long the speech may be: that is judged by the texts that were looked at."""
    plan, rows = planned
    return dataclasses.replace(plan, speech_seconds=0.0), rows


def test_what_is_done_is_neither_read_nor_staged_again(desk: Desk) -> None:
    """Of a finished run only the files are looked at, and nothing is written but the settings."""
    table = [{"id": f"r{n}", "text": f"نَصٌّ {n}"} for n in range(700)]
    _begun(desk, table, doing=700, failing={})
    seen: list[int] = []
    with Checkpoint.open(desk.folder) as checkpoint:
        made = make_plan(
            _unread(),
            checkpoint=checkpoint,
            providers=desk.providers,
            options=Options(),
            name="m.csv",
            fingerprint="f",
            progress=seen.append,
        )
        assert (made.rows, made.to_do, made.by_action[Action.DONE].rows) == (700, 0, 700)
        assert seen[-1] == 700
        with checkpoint._database.use() as database:
            assert database.execute("SELECT count(*) FROM temp.staged").fetchone() == (0,)


def test_a_row_that_fails_when_it_is_looked_at_again_is_told(desk: Desk) -> None:
    """What is done of a recording that has gone stays; a row not done makes the manifest be read again."""
    write_recording(desk.home / "a.wav", b"12" * 8_000)
    write_recording(desk.home / "c.wav", b"34" * 8_000)
    table = [
        {"id": "a", "audio": "a.wav"},
        {"id": "b", "text": "نَصّ"},
        {"id": "c", "audio": "c.wav"},
    ]
    _begun(desk, table, doing=2, failing={})
    (desk.home / "a.wav").unlink()
    made, rows = _again(desk)
    assert [row.action for row in rows] == ["done", "done", "new"]
    assert (made.absent, made.bad_rows, made.tells_all) == (1, (), True)
    assert "a.wav" in made.absent_rows[0].message
    (desk.home / "c.wav").unlink()
    made, rows = _again(desk)
    assert [row.action for row in rows] == ["done", "done", "bad"]
    assert (made.absent, made.bad_rows, made.tells_all) == (2, (), False)


def test_texts_in_files_make_a_manifest_be_read_every_time(desk: Desk) -> None:
    """What the manifest says has not changed, what it names may have."""
    (desk.home / "t.txt").write_text("أوّل", encoding="utf-8")
    table = [{"id": "a", "text_file": "t.txt"}]
    with Checkpoint.none(desk.folder) as checkpoint:
        assert not desk.made(table, checkpoint).tells_all
        assert desk.made([{"id": "a", "text": "أوّل"}], checkpoint).tells_all


def test_recordings_that_may_be_others_make_a_manifest_be_read_every_time(desk: Desk) -> None:
    """A link may lead elsewhere the next time; a plain file is looked at."""
    content = encoding.encode(b"12" * 8_000, sample_rate=16_000, format="wav")
    (desk.home / "sub").mkdir()
    for name in ("a.wav", "sub/link.wav"):
        (desk.home / name).write_bytes(content)
    (desk.home / "link.wav").symlink_to("sub/link.wav")
    with Checkpoint.none(desk.folder) as checkpoint:
        for name, tells_all in (("a.wav", True), ("link.wav", False), ("./a.wav", False)):
            table = [{"id": "a", "audio": name}]
            made = desk.made(table, checkpoint, inputs_folder=_home(desk))
            assert made.tells_all is tells_all
        assert not desk.made([{"id": "a", "audio": "a.wav"}], checkpoint).tells_all


def test_a_fingerprint_tells_every_fact_apart(tmp_path: Path) -> None:
    """The bytes, the records beside them, and what can be read only once."""
    path = tmp_path / "بيان.csv"
    path.write_bytes("id,text\na,نَصّ\n".encode())
    first = fingerprint_of(path, "m", BUILT_IN)
    assert len(first) == 64
    assert fingerprint_of(path, "m", BUILT_IN) == first
    assert fingerprint_of(path, "n", BUILT_IN) != first
    assert fingerprint_of(path, "m", dict(BUILT_IN) | {"local": _SHORT}) != first
    path.write_bytes("id,text\na,نَصٌّ\n".encode())
    assert fingerprint_of(path, "m", BUILT_IN) != first
    assert fingerprint_of(tmp_path, "m") == ""
    assert fingerprint_of(tmp_path / "none", "m") == ""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a desk with nothing on it."""
    return Desk(home=tmp_path, providers=BUILT_IN)
