"""Plans of whole stories are the same however their rows are read, staged and counted.

A manifest of hostile rows is planned, some of it is done, it is edited, and so on: once by way of pages of
plain rows, with what was counted on the way; and once row by row, with all that is told asked of the database.
"""

import csv
import io
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchjobs.api import prepare
from batchjobs.api.request import Request, request_of
from batchjobs.checkpoint import Checkpoint
from batchjobs.checkpoint.outline import Outline
from batchjobs.checkpoint.staging import Staging
from batchjobs.errors import BatchjobsError
from batchjobs.files import run_folder
from batchjobs.manifest import Notes, PlainPage, read_pages, source
from batchjobs.manifest.plain_pages import PageJudge
from batchjobs.options import Defaults, Options
from batchjobs.planning import stager
from batchjobs.planning.make_plan import RowsMeetError, plan_more
from batchjobs.planning.plan import TO_BUY, Action, Plan
from batchjobs.providers import Provider
from tests.builders import TO_VERSION_5
from tests.faults.corpus_names import IDS, OUTPUTS
from tests.faults.corpus_texts import MARKS_ONLY, SPOKEN
from tests.manifest.reading import PROVIDERS as KNOWN
from tests.manifest.reading import SENTENCE
from tests.planning.desk import Desk, write_sound

PROVIDERS: Final[dict[str, Provider]] = {
    **KNOWN,
    "local": replace(KNOWN["local"], tts_price_per_million_characters=1e6),
}
FAMILIES: Final[tuple[tuple[str, ...], ...]] = (
    *(("a", "A", "ａ", "á", "a\u0301", "Á"), ("ß", "ss", "SS", "ẞ"), ("ﬁ", "fi", "FI")),
    *(
        ("İ", "i", "I", "ı"),
        ("K", "\u212a", "k"),
        ("Σ", "σ", "ς"),
        ("قال", "قَالَ", "قـال", "ق‌ال", "ق‍ال"),
    ),
    *(
        ("١٢", "12", "۱۲", "012"),
        ("a.", "a ", " a", "a"),
        ("con", "CON", "con.txt", "nul"),
        ("a\u202eb", "ab"),
    ),
    *(
        ("إ", "ا\u0655"),
        ("a/b", "a_b", "a\\b", "a:b"),
        ("r1-2", "r1", "r1-line-3"),
        ("1-Mar", "1E+12", "3/4/25"),
    ),
)
"""Ids that are one, or look it, to some file system, reader or spreadsheet."""
IN_FOLDERS: Final = (
    *(
        "f/a.wav",
        "F/A.wav",
        "f/a.WAV",
        "f/á.wav",
        "f/a\u0301.wav",
        "a.wav/b.wav",
        "a.wav",
        "f/a.mp3",
        "f/a.flac",
    ),
    *(
        "audio/r3.wav",
        "audio/R3.wav",
        "audio/a-2.wav",
        "ملف/قَال.wav",
        "f /a.wav",
        "f./a.wav",
        "f/a .wav",
    ),
)
CELLS: Final[dict[str, tuple[str, ...]]] = {
    "voice_id": ("", "", "v", " v ", "صوت", "%b"),
    "model_id": ("", "m", "م\u200d"),
    "speed": ("", "1", "1.0", "٠٫٩", " 1 ", "2", "fast"),
    "stability": ("", "0", "-0", "0.0", "1"),
    "output_format": ("", "pcm_16000", "mp3"),
    "dialect": ("", "emirati", "mine"),
    "provider": ("", "munsit", "local", "local", "short", "mute", "munsitt"),
    "take": ("", "0", "1", "1.0", "٢", "-1"),
    "text_file": ("", "", "", "there.txt", "gone.txt", " "),
    "audio": ("", "", "", "talk.wav", "gone.wav", " "),
    "group": ("", "tape", "شريط"),
    "part": ("", "1", "2", "x"),
    "reference": ("", "ref"),
    "note": (
        "",
        "n",
        "two\nlines",
        "two\r\nlines",
        'say "x", ; y\t',
        "%b %d",
        '"speech":{"audio":',
    ),
    "id2": ("", "x"),
}
EXTRAS: Final = (
    *(
        b"\n",
        b"\r\n",
        b" \n",
        b",,\n",
        b";;\n",
        b'"',
        b"\xff\n",
        b"\0\n",
        "\ufeff".encode(),
        b"text,note\n",
    ),
    *(b"x\n", b"id\n", b"a,b,c,d,e,f,g,h,i\n", b'"a\n', b'"a"b\n', b"\r", "\u2028\n".encode()),
)
CHOICES: Final[tuple[dict[str, Any], ...]] = (
    *({}, {}, {"limit": 3}, {"pilot": 0.4}, {"max_cost_per_row": 30.0}, {"retry_failed": True}),
    *(
        {"select": "coverage", "max_characters": 500},
        {"audio_format": "flac"},
        {"skip_bad_rows": False},
    ),
    {"speech": Defaults(voice_id="w", speed=0.9)},
)

Table = list[dict[str, str]]


@dataclass(frozen=True)
class Step:
    """A manifest as it stands at one time, and what is done with it.

    Attributes:
        content: Its bytes.
        added: What comes behind it afterwards; empty for nothing.
        options: How it is run.
        done: The share of what is to be done that is done.
        is_older: Whether the run folder is then one of an earlier version.
        interrupted_at: The row at which planning is broken off first; 0 for none.
    """

    content: bytes
    added: bytes = b""
    options: dict[str, Any] = field(default_factory=dict)
    done: float = 0.0
    is_older: bool = False
    interrupted_at: int = 0


# -- stories -------------------------------------------------------------------------------------


def make_table(dice: Random, rows: int) -> Table:
    """Make rows that are plain but for a few, each kind of odd cell in a column."""
    others = dice.sample(list(CELLS), dice.randint(0, 4))
    columns = dice.sample(["text", *others], 1 + len(others))
    columns[:0] = ["id"] * (dice.random() < 0.8)
    columns += ["output"] * (dice.random() < 0.5)
    usual = {column: dice.choice(CELLS[column][:2]) for column in others}
    has_outputs = dice.random() < 0.5
    width, oddity = dice.choice((1, 3)), dice.choice((0.0, 0.05, 0.3))
    table: Table = []
    for number in range(1, rows + 1):
        row = dict.fromkeys(columns, "") | usual
        row["text"] = f"{SENTENCE} {number}"
        if "id" in row:
            row["id"] = f"r{number:0{width}}"
        if "output" in row and has_outputs:
            row["output"] = f"f{number // 20}/{number:03}.wav"
        for column in columns:
            if dice.random() < oddity:
                row[column] = make_odd(dice, column)
        table.append(row)
    for _ in range(dice.choice((0, 0, 1))):
        place = dice.randrange(len(table))
        changes = dice.choice(({}, {"text": SENTENCE}, {"id": "1-Mar"} if "id" in columns else {}))
        table.insert(place, table[place] | changes)
    return table


def make_odd(dice: Random, column: str) -> str:
    """Make a cell that is not as the others."""
    if column == "id":
        return dice.choice(
            ("", f"R{dice.randint(1, 9)}", dice.choice(IDS).value, *dice.choice(FAMILIES))
        )
    if column == "text":
        known = (
            SENTENCE,
            "",
            "#N/A",
            f"{SENTENCE} {dice.randint(1, 9)}",
            "٧ " * 1_500,
            "a\0b"[: dice.choice((1, 3))],
        )
        return dice.choice((*known, dice.choice(SPOKEN), dice.choice(MARKS_ONLY)))
    if column == "output":
        return dice.choice(("", " ", dice.choice(OUTPUTS).value, *IN_FOLDERS))
    return dice.choice(CELLS[column])


def edit(dice: Random, table: Table) -> Table:
    """Move, change, exchange, copy, remove and add rows."""
    table = [dict(row) for row in table]
    for _ in range(dice.randint(0, 4)):
        one, other = dice.choice(table), dice.choice(table)
        column = dice.choice(list(one))
        match dice.randint(0, 7):
            case 0:
                one[column], other[column] = other[column], one[column]
            case 1:
                one[column] = make_odd(dice, column)
            case 2:
                table.remove(one)
                table.insert(dice.randint(0, len(table)), one)
            case 3:
                table.insert(dice.randint(0, len(table)), dict(one))
            case 4 if len(table) > 1:
                table.remove(one)
            case 5:
                table.reverse()
            case 6:
                for row in table:
                    row["id2"] = "x"
            case _:
                table += [{**row, "text": f"{row['text']} +"} for row in table[:5]]
    return table


def write(dice: Random, table: Table, *, is_spoilt: bool) -> bytes:
    """Write CSV in one of its forms, or JSON Lines, perhaps with what does not belong there."""
    content = write_objects(dice, table) if dice.random() < 0.3 else write_csv(dice, table)
    if is_spoilt:
        lines = content.splitlines(keepends=True)
        for _ in range(dice.randint(1, 3)):
            again = dice.choice((lines[0], lines[0], lines[0].upper(), lines[-1]))
            extra = dice.choice((dice.choice(EXTRAS), again))
            lines.insert(dice.randint(1, len(lines)), extra)
        content = b"".join(lines)
    return content.rstrip(b"\r\n") if dice.random() < 0.2 else content


def write_objects(dice: Random, table: Table) -> bytes:
    """Write JSON Lines, perhaps with numbers where they are meant."""
    numbers = {"1": 1, "1.0": 1.0, "0": 0, "-0": -0.0, "2": 2, "12": 12, "": None}
    has_numbers, is_ascii = dice.random() < 0.5, dice.random() < 0.5
    lines = []
    for row in table:
        values = {name: numbers.get(cell, cell) for name, cell in row.items() if has_numbers}
        lines.append(json.dumps({**row, **values}, ensure_ascii=is_ascii))
    return "".join(f"{line}\n" for line in lines).encode(errors="surrogatepass")


def write_csv(dice: Random, table: Table) -> bytes:
    """Write CSV in one of its forms."""
    text = io.StringIO(newline="")
    form = {
        "delimiter": dice.choice(",,;\t"),
        "lineterminator": dice.choice(("\n", "\r\n", "\r")),
        "quoting": dice.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)),
    }
    columns = list(dict.fromkeys(name for row in table for name in row))
    writer = csv.DictWriter(text, columns, **form)  # type: ignore[arg-type]
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue().encode()


def make_story(seed: int, most_rows: int = 40) -> list[Step]:
    """Make steps by chance."""
    dice = Random(seed)
    table, steps = make_table(dice, dice.randint(1, most_rows)), []
    for _ in range(dice.randint(1, 3)):
        added = [
            {**row, "id": f"z{number:03}"}
            for number, row in enumerate(edit(dice, table))
            if "id" in row
        ]
        steps.append(
            Step(
                content=write(dice, table, is_spoilt=dice.random() < 0.3),
                added=write(dice, added, is_spoilt=False) if added and dice.random() < 0.3 else b"",
                options={"skip_bad_rows": True} | dice.choice(CHOICES),
                done=dice.choice((0.0, 0.2, 1.0)),
                is_older=dice.random() < 0.2,
                interrupted_at=dice.choice((0, 0, dice.randint(1, 40))),
            )
        )
        if dice.random() < 0.8:
            table = edit(dice, table)
    return steps


# -- the two ways --------------------------------------------------------------------------------


@contextmanager
def by_pages(dice: Random) -> Iterator[pytest.MonkeyPatch]:
    """Read and stage as ever, with edges of blocks and batches wherever they may be."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "_BLOCK_BYTES", dice.choice((100, 700, 3_000, 256 * 1024)))
        patch.setattr(stager, "_BATCH_ROWS", dice.choice((3, 500)))
        yield patch


@contextmanager
def by_rows(_: Random) -> Iterator[pytest.MonkeyPatch]:
    """Read row by row, and have the database say all that was counted on the way."""

    def forget(outline: Outline, *_: object) -> None:
        outline.has_unique_ids = outline.has_unique_places = False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PageJudge, "find_page", lambda *_: None)
        patch.setattr(Outline, "_look_for_twins", forget)
        patch.setattr(Outline, "has_unique_keys", lambda _: False)
        patch.setattr(Outline, "sum_up", lambda _: None)
        patch.setattr(Outline, "count_manners", lambda *_: None)
        patch.setattr(Staging, "_read_rest", lambda _: None, raising=False)
        yield patch


class Teller:
    """Lives through a story, and tells of it what can be seen."""

    def __init__(self, home: Path) -> None:
        self.desk = Desk(home=home, providers=PROVIDERS)
        self.told: list[object] = []

    def live(self, steps: Sequence[Step], way: Callable[[Random], Any], seed: int) -> list[object]:
        """Live through all of it in a folder of its own."""
        shutil.rmtree(self.desk.folder, ignore_errors=True)
        dice = Random(seed)
        for number, step in enumerate(steps):
            with way(dice):
                self._live(step, seed + number)
        return self.told

    def _live(self, step: Step, seed: int) -> None:
        path = self.desk.home / "m"
        path.write_bytes(step.content)
        request = self._ask(path, step)
        if step.interrupted_at:
            self._break_off(request, step.interrupted_at)
        with Checkpoint.open(self.desk.folder) as checkpoint:
            if self._plan(request, checkpoint):
                self._do(checkpoint, step.done, seed)
            if step.added and checkpoint.has_begun():
                self._add(request, checkpoint, step.added)
        if step.is_older:
            with sqlite3.connect(self.desk.folder / run_folder.CHECKPOINT) as connection:
                connection.executescript(TO_VERSION_5)
            connection.close()

    def _ask(self, path: Path, step: Step) -> Request:
        options = {"speech": Defaults(voice_id="v")} | step.options
        request = request_of(path, Options(output=self.desk.folder, **options), refuses_voice=False)
        return replace(request, providers=PROVIDERS)

    def _break_off(self, request: Request, row: int) -> None:
        """Plan as far as a row, and leave it there, as a signal does."""

        def stop(count: int) -> None:
            if count >= row:
                raise KeyboardInterrupt

        try:
            with prepare.open_run_folder(request) as checkpoint:
                prepare.make_plan(request, checkpoint, stop)
        except (KeyboardInterrupt, BatchjobsError):
            pass

    def _plan(self, request: Request, checkpoint: Checkpoint) -> bool:
        """Plan; tell of the plan and adopt it, or tell why there is none."""
        try:
            plan, fingerprint = prepare.make_plan(request, checkpoint, None)
        except BatchjobsError as error:
            self.told.append(f"{type(error)}: {error} {error.hint}")
            return False
        facts = {"fingerprint": fingerprint, "notes": "\n".join(plan.notes)}
        self._tell(checkpoint, plan, facts)
        return True

    def _tell(self, checkpoint: Checkpoint, plan: Plan, facts: dict[str, str]) -> None:
        self.told += [plan, list(checkpoint.staging.stream(list(Action)))]
        checkpoint.staging.adopt(facts)
        self.told += self._dump(checkpoint)

    def _do(self, checkpoint: Checkpoint, share: float, seed: int) -> None:
        """Do some of what is to be done."""
        self.desk.held = {record.key for record in checkpoint.lookups.stream_done()}
        rows = list(checkpoint.rows.stream_to_do((*TO_BUY, Action.BAD)))
        for row in rows[:12]:
            dice = Random(f"{seed} {row.position}")
            if dice.random() < share and row.kind != "stt":
                failing = {row.id: dice.random() < 0.5} if dice.random() < 0.2 else {}
                self.desk.do(checkpoint, row, failing)
        self.told += self._dump(checkpoint)
        if share and Random(seed).random() < 0.5:
            checkpoint.keep_report(f"{seed}")
        for record in list(checkpoint.lookups.stream_done())[:: 5 if share else 1]:
            if Random(f"{seed} {record.id}").random() < 0.2:
                (self.desk.folder / record.output).unlink(missing_ok=True)

    def _add(self, request: Request, checkpoint: Checkpoint, content: bytes) -> None:
        """Plan rows that come behind the others."""
        notes = Notes()
        rows = read_pages(
            io.BytesIO(content),
            name="m",
            folder=self.desk.home,
            providers=PROVIDERS,
            defaults=Defaults(voice_id="v"),
            notes=notes,
        )
        try:
            plan = plan_more(
                rows,
                checkpoint=checkpoint,
                providers=PROVIDERS,
                options=Options(skip_bad_rows=True),
                name="m",
                looks_back=bool(len(content) % 2),
            )
        except (RowsMeetError, BatchjobsError) as error:
            self.told.append(f"{type(error)}: {error} {error.hint}")
            return
        self.told += notes.tell("m")
        self._tell(checkpoint, plan, {})

    def _dump(self, checkpoint: Checkpoint) -> list[object]:
        """Read all tables."""
        tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY 1"
        with checkpoint._database.use() as connection:  # as nothing but a test wants to see it
            names = [name for (name,) in connection.execute(tables)]
            found = {
                name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr)
                for name in names
            }
        found["meta"] = [
            fact for fact in found["meta"] if fact[0] not in {"fingerprint", "rest", "orphans"}
        ]
        found.pop("sources", None)
        return list(found.items())


def compare(home: Path, seed: int, steps: Sequence[Step]) -> list[object]:
    """Live through a story in both ways, and see that they are the same."""
    (home / "there.txt").write_text("نَصّ", encoding="utf-8")
    if not (home / "talk.wav").exists():
        write_sound(home / "talk.wav", 0.2)
    paged = Teller(home).live(steps, by_pages, seed)
    single = Teller(home).live(steps, by_rows, seed)
    for one, other in zip(paged, single, strict=False):
        assert one == other
    assert len(paged) == len(single)
    return paged


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_a_story_is_the_same_both_ways(tmp_path: Path, seed: int) -> None:
    """Rows, notes, refusals, keys, order, sums and tables, whatever is planned upon what."""
    compare(tmp_path, seed, make_story(seed))


@pytest.mark.long
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1))
def test_long_stories_are_the_same_both_ways(tmp_path: Path, seed: int) -> None:
    """Likewise, of manifests that go over several pages."""
    compare(tmp_path, seed, make_story(seed, most_rows=600 if seed % 4 == 0 else 60))


def test_stories_have_everything_in_them(tmp_path: Path) -> None:
    """Pages, refusals, and rows with nearly every action: else these tests would say nothing."""
    pages = 0
    judge = PageJudge.judge

    def count(*given: Any) -> PlainPage | None:
        nonlocal pages
        page = judge(*given)
        pages += page is not None
        return page

    told: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PageJudge, "judge", count)
        for seed in range(20):
            told += compare(tmp_path, seed, make_story(seed))
    plans = [each for each in told if isinstance(each, Plan)]
    actions = {action for plan in plans for action, work in plan.by_action.items() if work.rows}
    assert pages > 100
    assert any(isinstance(each, str) for each in told)
    assert any(plan.notes for plan in plans)
    assert actions >= {
        Action.NEW,
        Action.DONE,
        Action.COPY,
        Action.FOLLOW,
        Action.BAD,
        Action.LATER,
    }
