"""Rows that are planned many at a time are those that are made one by one, to the byte."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import orjson
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from batchjobs.checkpoint import Checkpoint, Row
from batchjobs.errors import BatchjobsError
from batchjobs.jobs import BadRow, Job, Kind, SpeechSettings, frame_of_speech_key, make_segment_key
from batchjobs.manifest import PlainPage, read_pages
from batchjobs.options import Defaults, Options
from batchjobs.planning.make_plan import make_plan
from batchjobs.planning.plan import Action, Plan
from tests.manifest.reading import PROVIDERS, SENTENCE
from tests.manifest.test_plain_pages import objects, tables, write

ARABIC = 'قَالَ: «مَرْحَبًا» جديـــد\u200f\u200d\u200c ٣ "a\\b" 50% %b {}'


def plan(
    folder: Path,
    content: bytes,
    *,
    in_pages: bool,
    adopts: bool = False,
    name: str = "talks.csv",
    **changes: Any,
) -> tuple[list[Row], Plan | str]:
    """Plan a manifest; give the staged rows, and the plan or why there is none."""
    path = folder / name
    path.write_bytes(content)
    items = read_pages(
        path,
        name=path.name,
        folder=folder,
        providers=PROVIDERS,
        defaults=Defaults(voice_id="v"),
    )
    run = folder / "run"
    with Checkpoint.open(run) if adopts or run.exists() else Checkpoint.none(run) as checkpoint:
        try:
            made: Plan | str = make_plan(
                items if in_pages else one_by_one(items),
                checkpoint=checkpoint,
                providers=PROVIDERS,
                options=Options(skip_bad_rows=True, **changes),
                name=path.name,
            )
        except BatchjobsError as error:
            return [], f"{type(error)}: {error} {error.hint}"
        rows = list(checkpoint.staging.stream(list(Action)))
        if adopts:
            checkpoint.staging.adopt({})
    return rows, made


def one_by_one(items: Iterable[Job | BadRow | PlainPage]) -> Iterable[Job | BadRow]:
    """Make jobs of pages."""
    for item in items:
        if isinstance(item, PlainPage):
            yield from item.list_jobs()
        else:
            yield item


def compare(folder: Path, content: bytes, **changes: Any) -> tuple[list[Row], Plan | str]:
    """Plan in pages and one by one, and see that it is the same."""
    paged = plan(folder, content, in_pages=True, **changes)
    assert paged == plan(folder, content, in_pages=False, **changes)
    return paged


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=tables())
def test_any_plan_is_the_same_in_pages(tmp_path: Path, content: bytes) -> None:
    """Keys, paths, places, encoded jobs, actions, sums and what is told of them."""
    compare(tmp_path, content)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=objects())
def test_any_plan_of_objects_is_the_same_in_pages(tmp_path: Path, content: bytes) -> None:
    """Likewise, with numbers that are written as they came."""
    compare(tmp_path, content, name="talks.jsonl")


def test_numbers_of_plain_objects_stay_what_they_are(tmp_path: Path) -> None:
    """Equal ones that differ in kind, none, and those with many digits, in somebody's own columns."""
    values = [1, 1.0, True, None, -0.0, 0, 1e16, 1.5e-7, 0.1 + 0.2, 2**63, -(2**63), "1", "\u0660"]
    rows = [
        {"id": n, "text": f"{ARABIC} {n}", "take": 1, "weight": value, "share": 0.5}
        for n, value in enumerate(values * 3)
    ]
    content = "\n".join(json.dumps(row) for row in rows).encode()
    found, _ = compare(tmp_path, content, name="talks.jsonl")
    assert [repr(row.read_job().row["weight"]) for row in found] == [repr(v) for v in values * 3]
    assert {row.read_job().row["id"] for row in found} == set(range(len(rows)))


def test_long_texts_outputs_and_doubles_are_the_same(tmp_path: Path) -> None:
    """Several sessions a row, ids without outputs, outputs in folders, one path twice, one text twice."""
    rows = [[f"r-{n}", f"{ARABIC} {n}", "" if n % 3 else f"a/R{n}.mp3", ""] for n in range(90)]
    rows[40] = ["con", ARABIC * 300, "", "short"]
    rows[60] = ["R-61", ARABIC, "a/r9.mp3", "short"]
    rows[61] = ["r-61", ARABIC, "", "munsit"]
    rows[62] = ["ص-٦٢", ARABIC, "a/b.wav/c.wav", "munsit"]
    rows[63] = ["r-63", ARABIC, "a/b.wav", "munsit"]
    content = write(["id", "text", "output", "provider"], rows)
    found, made = compare(tmp_path, content)
    assert isinstance(made, Plan)
    assert made.by_action[Action.FOLLOW].rows
    assert made.by_action[Action.BAD].rows
    assert {row.layout for row in found} > {""}
    assert compare(tmp_path, content, limit=7, pilot=0.5)[0] != found


def test_a_file_that_is_not_ours_stops_both(tmp_path: Path) -> None:
    """In the usual folder, in one of a row's own, and through a link that leads out."""
    rows = [[f"r{n}", f"{SENTENCE} {n}", f"{n // 10}/{n}.wav" if n < 50 else ""] for n in range(80)]
    content = write(["id", "text", "output"], rows)
    for taken in ("3/33.wav", "audio/r77.wav"):
        file = tmp_path / "run" / taken
        file.parent.mkdir(parents=True)
        file.write_bytes(b"theirs")
        assert "is not this run's" in str(compare(tmp_path, content)[1])
        file.unlink()
    (tmp_path / "run" / "2").symlink_to("/tmp")
    found, _ = compare(tmp_path, content)
    assert [row.action for row in found].count(Action.BAD) == 10


def test_an_edited_manifest_is_the_same_in_pages(tmp_path: Path) -> None:
    """Behind an adopted plan, with rows that changed, moved, went and came."""
    rows = [[f"r{n}", f"{SENTENCE} {n}"] for n in range(70)]
    plan(tmp_path, write(["id", "text"], rows), in_pages=True, adopts=True)
    rows[3][1] = ARABIC
    rows = [["new", SENTENCE], *reversed(rows[:60])]
    found, made = compare(tmp_path, write(["id", "text"], rows))
    assert len(found) == 61
    assert isinstance(made, Plan)


def test_equal_numbers_are_written_alike(tmp_path: Path) -> None:
    """Zero has two signs and one a point, and rows that say the same are the same whichever is first."""
    numbers = ["0", "-0", "0.0", "", "-0.0", "1", "1.0"]
    rows = [[f"r{n}", SENTENCE, numbers[n % len(numbers)]] for n in range(70)]
    content = write(["id", "text", "stability"], rows)
    found, _ = compare(tmp_path, content)
    assert len({repr(row.read_job().speech) for row in found}) == 3


@example(text="".join(map(chr, range(0x3000))))
@given(text=st.text())
def test_texts_are_written_and_hashed_as_they_were(text: str) -> None:
    """Both encoders write one text alike, and a framed text has the key of its synthesis."""
    written = orjson.dumps(text)
    assert written == msgspec.json.encode(text)
    speech = SpeechSettings(voice_id="صوت", model_id="m", speed=1)
    for take in (0, 7):
        before, behind = frame_of_speech_key("munsit", "m", speech, take)
        assert hashlib.sha256(before + written + behind).hexdigest() == make_segment_key(
            kind=Kind.TTS, service="munsit", model="m", speech=speech, text=text, take=take
        )
