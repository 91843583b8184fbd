"""Rows that are judged many at a time are what they are one by one, and so is everything around them."""

import csv
import io
import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchjobs.errors import BatchjobsError
from batchjobs.jobs import BadRow, Job
from batchjobs.manifest import Notes, PlainPage, read_pages
from batchjobs.manifest.csv_header import Header
from batchjobs.manifest.csv_rows import _cut, _read
from batchjobs.manifest.plain_pages import PageJudge
from batchjobs.options import Defaults
from tests.faults.corpus import prepare
from tests.faults.corpus_manifests import MANIFESTS
from tests.manifest.reading import PROVIDERS, SENTENCE

_COLUMNS = {
    "id": [
        "",
        "a1",
        "صباح",
        "٣",
        "a-1",
        "1-Mar",
        "1E+12",
        "x y",
        "id",
        " ",
        "\u200f",
        "a\tb",
        "---",
    ],
    "text": [
        SENTENCE,
        "a",
        "٧",
        "ـــ",
        "",
        " ",
        "؟!",
        "#N/A",
        " #REF! ",
        "# 1",
        "\u200d",
        'say "x", y',
        "\ufeffa",
    ],
    "text_file": ["", "", " ", "there.txt"],
    "audio": ["", "", "a.wav"],
    "voice_id": ["", "v", " v ", "صوت", "a\x07b"],
    "speed": ["", "1", "1.0", "٠٫٩", "2", "fast"],
    "output_format": ["", "pcm_16000", "pcm_48000", "mp3"],
    "dialect": ["", "emirati", "mine"],
    "provider": ["", "munsit", "local", "mute", "munsitt", "short"],
    "take": ["", "0", "1", "1.0", "-1", "x"],
    "reference": ["", "ref"],
    "output": [
        "",
        " ",
        "a.wav",
        "a/b.mp3",
        "a/b.wave",
        "../a.wav",
        "/a.wav",
        "a//b.wav",
        "صوت/ص.flac",
        "results.jsonl/a.wav",
    ],
    "note": ["", "n", "ملاحظة, 1", "two\nlines", "%b %d"],
}


def read(
    folder: Path, content: bytes, *, name: str = "talks.csv", voice: str = "v"
) -> tuple[list[Job | BadRow], str, list[str], int]:
    """Read a manifest: its rows, how it was refused, what was noted, and rows that came in pages."""
    path = folder / name
    path.write_bytes(content)
    notes, rows, in_pages, refusal = Notes(), list[Job | BadRow](), 0, ""
    items = read_pages(
        path,
        name=name,
        folder=folder,
        providers=PROVIDERS,
        defaults=Defaults(voice_id=voice),
        notes=notes,
    )
    try:
        for item in items:
            if isinstance(item, PlainPage):
                in_pages += len(item)
                rows += item.list_jobs()
            else:
                rows.append(item)
    except BatchjobsError as error:
        refusal = f"{type(error)}: {error} {error.hint}"
    return rows, refusal, list(notes.tell(name)), in_pages


def compare(folder: Path, content: bytes, **options: str) -> int:
    """Read a manifest in pages and row by row, and see that it is the same; gives what came in pages."""
    *paged, in_pages = read(folder, content, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PageJudge, "find_page", lambda *_: None)
        *single, none = read(folder, content, **options)
    assert none == 0
    assert paged == single
    assert repr(paged) == repr(single)  # 1, 1.0 and true are equal
    return in_pages


def write(columns: Sequence[str], rows: Sequence[Sequence[str]], **form: str) -> bytes:
    """Write CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, **{"lineterminator": "\r\n"} | form)  # type: ignore[arg-type]
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """Make CSV of rows most of whose cells are plain, with an odd one here and there."""
    columns = draw(st.lists(st.sampled_from(list(_COLUMNS)), min_size=1, max_size=6, unique=True))
    columns = list(dict.fromkeys(["text", *columns]))
    draw(st.randoms()).shuffle(columns)
    plain = {column: draw(st.sampled_from(_COLUMNS[column])) for column in columns}
    rows = []
    for number in range(draw(st.integers(1, 70))):
        row = plain | {"text": f"{SENTENCE} {number}"}
        if "id" in row and row["id"] not in {"", "id"}:
            row["id"] = f"r{number}"
        if draw(st.integers(0, 19)) == 0:
            odd = draw(st.sampled_from(columns))
            row[odd] = draw(st.sampled_from(_COLUMNS[odd]))
        rows.append(list(row.values()))
    content = write(
        columns,
        rows,
        delimiter=draw(st.sampled_from(",;\t")),
        lineterminator=draw(st.sampled_from(["\n", "\r\n"])),
    )
    extra = draw(
        st.sampled_from(
            [b"", b"\n", b",,\n", b"text,note\n", b'"', b"\xff", b"\0", b"\xef\xbb\xbf"]
        )
    )
    place = content.find(b"\n", draw(st.integers(0, len(content)))) + 1
    return content[:place] + extra + content[place:]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=tables(), voice=st.sampled_from(["", "v"]))
def test_pages_change_nothing_about_rows(tmp_path: Path, content: bytes, voice: str) -> None:
    """Whatever stands among plain rows: jobs, bad rows, their lines, refusals and notes are the same."""
    compare(tmp_path, content, voice=voice)


_VALUES: dict[str, list[object]] = {
    "id": [1, 1, 2, 1.0, True, None, 2**63, 2**70, -(2**63), ["a"]],
    "text": [None, 1, '"', '\\"', "a\0b", "\ud800", {"a": "b"}],
    "audio": [None, 0, {}],
    "voice_id": [None, 1, ["v"]],
    "speed": [1, 1.0, True, None, 0.9, -0.0, 0, 1e400, 2**70, "1"],
    "take": [0, 0.0, False, 1, 1.0, True, None, 1e16],
    "output": [None, "", 1, "a.wav", "f/a.wav\nb.wav"],
    "note": [
        1e16,
        1.5e-7,
        1e22,
        2**53,
        2.0**53,
        -0.0,
        None,
        True,
        1,
        1.0,
        {},
        [1],
        '"speech":',
        "\n",
    ],
    "Text": ["", "x"],
    "tex": ["x"],
    '"': ["", '"'],
}
_EXTRA_LINES = (
    *("", " ", "{}", "[]", '["text"]', '"text"', '{"text":"a"} {"text":"b"}', "\ufeff", "\0", "{"),
    *('{"text":"a"},{"text":"b"}', '{"text":"a"', '"id":"b"}', '{"text":"x},', '{","id":"y"}'),
    *(
        '{"text":"a","text":"b"}',
        '{"id":"id","text":"text"}',
        "nul",
        '{"text":NaN}',
        '{"text":"a\tb"}',
    ),
)


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    """Make JSON Lines of rows most of whose values are plain, with an odd one here and there."""
    known = [*_COLUMNS, "note", '"']
    columns = draw(st.lists(st.sampled_from(known), min_size=1, max_size=5, unique=True))
    columns = list(dict.fromkeys(["text", *columns]))
    draw(st.randoms()).shuffle(columns)
    values = {
        name: [*_COLUMNS.get(name, []), *_VALUES.get(name, [])] for name in (*known, *_VALUES)
    }
    plain = {column: draw(st.sampled_from(values[column])) for column in columns}
    form: dict[str, Any] = {
        "ensure_ascii": draw(st.booleans()),
        "separators": draw(st.sampled_from([(",", ":"), (", ", ": ")])),
    }
    lines = []
    for number in range(draw(st.integers(1, 50))):
        row = plain | {"text": f"{SENTENCE} {number}"}
        if isinstance(row.get("id"), int | str) and row["id"]:
            row["id"] = type(row["id"])(number) if row["id"] == 1 else f"r{number}"
        line = ""
        match draw(st.integers(0, 39)):
            case 0 | 1:
                odd = draw(st.sampled_from(columns))
                row[odd] = draw(st.sampled_from(values[odd]))
            case 2:
                odd = draw(st.sampled_from(list(_VALUES)))
                row[odd] = draw(st.sampled_from(values[odd]))
            case 3:
                row = dict(reversed(row.items()))
            case 4:
                line = draw(st.sampled_from(_EXTRA_LINES))
            case 5:
                again = draw(st.sampled_from([*columns, "new"]))
                line = f"{json.dumps(row, **form)[:-1]},{json.dumps(again)}:{draw(st.sampled_from(_TWICE))}}}"
            case 6:
                line = json.dumps(row, **form).replace('\\"', "\\u0022").replace("a", "\\u0061")
            case _:
                pass
        lines.append(line or json.dumps(row, **form))
    end = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    content = end.join(lines) + draw(st.sampled_from(["", end]))
    return content.encode(errors="surrogatepass")


_TWICE = ('""', "1", '"\\u0022\\u0022\\u0022\\u0022"', "null", '"a"', "{}")


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=objects(), voice=st.sampled_from(["", "v"]))
def test_pages_change_nothing_about_objects(tmp_path: Path, content: bytes, voice: str) -> None:
    """Of JSON Lines: numbers that are equal, what is said twice, values of any kind, order, columns."""
    compare(tmp_path, content, voice=voice, name="talks.jsonl")


@pytest.mark.parametrize(
    "odd",
    [
        '{"id":"x","text":"a","speed":1,"note":"","note":""}',
        '{"id":"x","text":"a","speed":1,"note":"","note":"\\u0022\\u0022\\u0022\\u0022"}',
        '{"id":"x","text":"a","speed":1,"note":123456789012345678901234567890}',
        '{"id":"x","text":"a","speed":1,"note":-1e999}',
        '{"id":"x","text":"a","speed":1,"note":[]}',
        '{"id":"x","text":"a","speed":true,"note":""}',
        '{"id":"x","text":"a","speed":1.0,"note":""}',
        '{"id":true,"text":"a","speed":1,"note":""}',
        '{"id":1.0,"text":"a","speed":1,"note":""}',
        '{"id":"x","text":null,"speed":1,"note":""}',
        '{"id":"id","text":"text","speed":"speed","note":"note"}',
        '{"text":"a","id":"x","speed":1,"note":""}',
        '{"id":"x","text":"a","Text":"b","note":""}',
        '["id","text","speed","note"]',
        '{"id":"x","text":"a","speed":1,"note":""},{"id":"y","text":"b","speed":1,"note":""}',
        '{"id":"x","text":"a",',
        '"speed":1,"note":""}',
        '{"id":"x","text":"a","speed":1,"note":"\\ud800"}',
        '{"id":"x","text":"a\\u0000","speed":1,"note":""}',
    ],
)
@pytest.mark.parametrize("number_id", [True, False])
def test_each_odd_object_is_as_odd_among_plain_ones(
    tmp_path: Path, odd: str, *, number_id: bool
) -> None:
    """One in the middle of thirty that are plain, and in all of them."""
    lines = [
        json.dumps({"id": n if number_id else f"r{n}", "text": SENTENCE, "speed": 1, "note": ""})
        for n in range(30)
    ]
    content = "\n".join([*lines[:15], odd, *lines[15:]])
    assert compare(tmp_path, content.encode(), name="talks.jsonl") >= 15
    compare(tmp_path, "\n".join([odd] * 30).encode(), name="talks.jsonl")
    compare(tmp_path, "\n".join([lines[0], odd] * 30).encode(), name="talks.jsonl")


def test_plain_objects_come_in_pages(tmp_path: Path) -> None:
    """With numbers, escapes and somebody's own columns in them; else nothing here would say anything."""
    rows = [
        {"Id": n, "Text": f'{SENTENCE} "{n}"', "speed": 0.9, "note": None, "seed": n / 7}
        for n in range(2_000)
    ]
    for ascii_only in (False, True):
        lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
        content = "\n".join(lines).encode()
        assert compare(tmp_path, content, voice="v", name="talks.jsonl") == 2_000


@st.composite
def bare_lines(draw: st.DrawFn) -> tuple[list[bytes], Header]:
    """Make lines without a quote, most of which have as many fields as the header."""
    width = draw(st.integers(1, 3))
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r\n", "\r"]))
    text = ""
    for _ in range(draw(st.integers(1, 5))):
        fields = width + draw(st.sampled_from([0] * 8 + [1, -1, width + 1]))
        cells = [
            draw(st.sampled_from(["a", "قَ", "", " ", "\u2028", "\x85"])) for _ in range(fields)
        ]
        odd = draw(st.sampled_from([""] * 20 + ["\ufeff", "\r", "\n"]))
        text += ",".join(cells) + odd + end
    if draw(st.booleans()):
        text = text.removesuffix(end)
    header = Header(columns=tuple("abc"[:width]), line=1, delimiter=",")
    return text.encode().splitlines(keepends=True), header


@settings(max_examples=500)
@given(made=bare_lines())
def test_lines_without_a_quote_are_cut_as_the_csv_module_reads_them(
    made: tuple[list[bytes], Header],
) -> None:
    """Whatever ends them, however many fields they have, and whatever only looks like an end."""
    lines, header = made
    cut, read = _cut(b"".join(lines).decode(), len(lines), header), _read(lines, header)
    if (
        read is None and cut is not None
    ):  # a blank line, which is a field to one and no row to the other
        assert len(header.columns) == 1
        assert "" in cut[0]
    elif cut is not None:
        assert cut == list(map(list, read or ()))


def test_pages_change_nothing_about_the_corpus(tmp_path: Path) -> None:
    """Every hostile manifest gets the verdict that it gets row by row."""
    folder = tmp_path / "in"
    folder.mkdir()
    prepare(folder)
    for case in MANIFESTS:
        compare(folder, case.content, name=case.file)


def test_plain_rows_come_in_pages_and_odd_ones_cost_few_of_them(tmp_path: Path) -> None:
    """Of two thousand rows with an odd one in every hundred most still come in pages, none twice."""
    rows = [[f"r{number}", f"{SENTENCE} {number}", f"v{number % 7}"] for number in range(2_000)]
    columns = ["id", "text", "voice_id"]
    assert compare(tmp_path, write(columns, rows)) == 2_000
    for number in range(0, 2_000, 100):
        rows[number][1] = "ـ"
    assert compare(tmp_path, write(columns, rows)) > 1_000
    for number in range(50, 2_000, 100):
        rows[number][1] = "two\nlines"
    assert compare(tmp_path, write(columns, rows)) > 500


def test_more_manners_than_are_remembered_are_read_row_by_row(tmp_path: Path) -> None:
    """A voice for each of two thousand rows takes no memory, and changes nothing."""
    rows = [[SENTENCE, f"v{number}"] for number in range(2_000)]
    assert 0 < compare(tmp_path, write(["text", "voice_id"], rows)) < 2_000


@pytest.mark.parametrize("column", _COLUMNS)
def test_each_odd_cell_is_as_odd_among_plain_rows(tmp_path: Path, column: str) -> None:
    """One in the middle of twenty rows that are plain, and in all of them."""
    for value in _COLUMNS[column]:
        for odd in ({7}, set(range(20))):
            rows = []
            for number in range(20):
                row = {"id": f"r{number}", "text": f"{SENTENCE} {number}", "note": "n"}
                row |= {column: ""} if column not in row else {}
                rows.append(row | {column: value} if number in odd else row)
            compare(tmp_path, write(list(rows[0]), [list(row.values()) for row in rows]))


@pytest.mark.parametrize(
    "again", [["id", "text"], [" ID ", "Text"], ["text", "id"], ["audio", "text"]]
)
def test_a_header_among_plain_rows_is_seen(tmp_path: Path, again: list[str]) -> None:
    """The same once more is passed over and told, another one refused; neither is spoken."""
    rows = [[f"r{number}", f"{SENTENCE} {number}"] for number in range(40)]
    content = write(["id", "text"], [*rows[:20], again, *rows[20:]])
    compare(tmp_path, content)
    found, refusal, noted, _ = read(tmp_path, content)
    assert bool(refusal) != (len(found) == 40 and bool(noted))


def test_long_cells_are_not_remembered(tmp_path: Path) -> None:
    """A column of somebody's own may hold a text a row, and memory does not grow with them."""
    size, count = 200_000, 60
    rows = [[SENTENCE, f"{number}{'x' * size}"] for number in range(count)]
    content = write(["text", "dialect"], rows)
    items = read_pages(
        io.BytesIO(content),
        name="talks.csv",
        folder=tmp_path,
        providers=PROVIDERS,
        defaults=Defaults(voice_id="v"),
    )
    tracemalloc.start()
    assert sum(isinstance(item, Job) for item in items) == count
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < size * count / 2
