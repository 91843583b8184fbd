"""The fixed corpus of bad input: manifests, names and texts, each with the verdict it must get.

Recordings stand in ``corpus_recordings.py``, server messages in ``corpus_messages.py``. No verdict
was taken from the product: each follows from RELIABILITY's promises and the formats themselves.
"""

import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults.corpus_texts import MARKS_ONLY

__all__ = ["BLANK", "IDS", "MANIFESTS", "OUTPUTS", "Bad", "ManifestCase", "NameCase", "prepare"]

GOOD = "السَّلامُ عَلَيْكُمْ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A row that must be refused: its line, and words of the message (the column among them)."""

    line: int
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestCase:
    """A manifest and its verdict.

    Attributes:
        name: What is hostile about it.
        file: Its file name.
        content: Its bytes.
        good: Rows that must become jobs.
        bad: Rows that must be refused one by one.
        refused: Words of the message if all of it must be refused; empty if it is read.
    """

    name: str
    file: str
    content: bytes
    good: int = 0
    bad: tuple[Bad, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NameCase:
    """An id or an output path; `refused` holds words of the message, empty if it is taken."""

    value: str
    refused: tuple[str, ...] = ()


def prepare(folder: Path) -> None:
    """Put the files and traps into a folder that the manifests name."""
    (folder / "fine.txt").write_bytes("\ufeffنص في ملف\r\nسطر ثانٍ".encode())
    (folder / "wide.txt").write_bytes("نص".encode("utf-16"))
    (folder / "cp1256.txt").write_bytes("نص".encode("cp1256"))
    (folder / "nul.txt").write_bytes(b"a\0b")
    (folder / "void.txt").write_bytes(b"")
    (folder / "blank.txt").write_bytes(" \n\u200f".encode())
    (folder / "huge.txt").write_bytes(b"a" * (16 * 1024 * 1024 + 1))
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe.txt")
    (folder / "out.txt").symlink_to("/etc/hostname")
    (folder / "loop.txt").symlink_to("loop.txt")
    (folder / "dangling.txt").symlink_to("nowhere.txt")
    (folder / "device.txt").symlink_to("/dev/zero")
    (folder / "up").symlink_to("..")


# -- manifests -----------------------------------------------------------------------------------


def _csv(
    name: str,
    text: str | bytes,
    good: int = 0,
    *bad: Bad,
    refused: tuple[str, ...] = (),
    file: str = "m.csv",
) -> ManifestCase:
    content = text.encode() if isinstance(text, str) else text
    return ManifestCase(name=name, file=file, content=content, good=good, bad=bad, refused=refused)


def _jsonl(
    name: str, *lines: str | bytes, good: int = 0, bad: tuple[Bad, ...] = ()
) -> ManifestCase:
    content = b"\n".join(x.encode() if isinstance(x, str) else x for x in lines) + b"\n"
    return ManifestCase(name=name, file="m.jsonl", content=content, good=good, bad=bad)


def _refused(name: str, content: bytes | str, *words: str, file: str = "m.csv") -> ManifestCase:
    return _csv(name, content, refused=words, file=file)


def _cell(column: str, value: object, *words: str) -> Iterator[ManifestCase]:
    """One hostile cell between two good rows; without words it has to be taken."""
    bad = (Bad(line=2, words=(f"'{column}'", *words)),) if words else ()
    rows: list[dict[str, object]] = [
        {"id": "a", "text": GOOD},
        {"id": "b", "text": GOOD, column: value},
        {"id": "c", "text": GOOD},
    ]
    if column in {"text_file", "audio"}:
        del rows[1]["text"]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    yield _jsonl(f"{column}={value!r:.60}, JSON Lines", *lines, good=3 - len(bad), bad=bad)
    if not isinstance(value, str) or any(c in value for c in '"\r\n\0'):
        return
    columns = ["id", "text", column] if column not in {"id", "text"} else ["id", "text"]
    cells = [";".join(str(row.get(name, "")) for name in columns) for row in rows]
    if value.count(";") or (column == "id" and not value):
        return
    moved = tuple(Bad(line=3, words=item.words) for item in bad)
    text = "\n".join([";".join(columns), *cells, ""])
    yield _csv(f"{column}={value!r:.60}, CSV", text, 3 - len(bad), *moved)


_NO_UTF8 = (
    b"\x80",
    b"\xbf",
    b"\xc0\x80",
    b"\xc1\xbf",
    b"\xc3",
    b"\xe2\x82",
    b"\xe0\x80\x80",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf0\x80\x80\x80",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfe",
    b"\xff",
)


def _encodings() -> Iterator[ManifestCase]:
    plain = f"id,text\na,{GOOD}\nb,{GOOD}\n"
    for code in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        for form, text in (("m.csv", plain), ("m.jsonl", '{"id":"a","text":"b"}\n')):
            yield _refused(f"{code} {form}", text.encode(code), "UTF-16 or UTF-32", file=form)
    for raw in _NO_UTF8:
        shown = raw.hex()
        row = b'{"id":"b","text":"b' + raw + b'"}\n'
        yield _refused(f"{shown} in CSV", b"id,text\na,x\nb,y" + raw + b"\n", ":3:", "not UTF-8")
        yield _refused(
            f"{shown} in JSONL",
            b'{"id":"a","text":"x"}\n' + row,
            ":2:",
            "not UTF-8",
            file="m.jsonl",
        )
        yield _refused(f"{shown} in the header", b"id,text" + raw + b"\na,x\n", ":1:", "not UTF-8")
    for code in ("cp1256", "iso8859-6", "latin-1"):
        word = "café" if code == "latin-1" else "سلام"
        yield _refused(code, f"id,text\na,{word}\n".encode(code), "not UTF-8")
    yield _csv("byte order mark", "\ufeff" + plain, 2)
    yield _jsonl("byte order mark", '\ufeff{"id":"a","text":"b"}', good=1)
    for place, text in (
        ("header", "id,te\0xt\na,x\n"),
        ("text", "id,text\na,x\0y\n"),
        ("id", "id,text\na\0,x\n"),
        ("end", "id,text\na,x\n\0"),
    ):
        yield _refused(f"NUL in the {place}", text, "NUL")
    yield _refused("NUL in JSONL", b'{"id":"a","text":"b\0c"}\n', "NUL", file="m.jsonl")
    for name, content in {"empty": b"", "only a mark": b"\xef\xbb\xbf"}.items():
        yield _refused(name, content, "is empty")
        yield _refused(f"{name}, JSONL", content, "is empty", file="m.jsonl")
    for content in (b"\n", b" \n\t\n", b"\r\n\r\n", b"\n" * 5_000):
        yield _refused(f"blank {content[:9]!r}", content, "is blank")
    for content in (b"id,text\n", b"id,text", b"id;text\r\n", b"id,text\n\n\n", b"\nid,text\n"):
        yield _refused(f"only a header {content!r}", content, "no row")
    yield _refused("spreadsheet", b"PK\x03\x04" + bytes(99), "spreadsheet")
    for name in ("m.jsonl", "m.data"):
        yield _refused(f"JSON array, {name}", '[{"id":"a","text":"b"}]', "JSON array", file=name)
    yield _refused("PNG", b"\x89PNG\r\n\x1a\n" + bytes(range(1, 99)), "not UTF-8")
    yield _refused("HTML", "<!doctype html>\n<p>Not found</p>\n", "header is missing")
    yield _refused("prose", "This is a text.\nIt has no header.\n", "header is missing")


def _line_ends() -> Iterator[ManifestCase]:
    for end in ("\n", "\r\n", "\r"):
        yield _csv(f"lines end {end!r}", f"id,text{end}a,x{end}b,y{end}", 2)
        yield _csv(f"lines end {end!r}, the last has none", f"id,text{end}a,x{end}b,y", 2)
        yield _csv(f"blank lines {end!r}", f"{end}id,text{end}{end}a,x{end}{end}{end}b,y{end}", 2)
        yield _csv(f"a quoted text over lines {end!r}", f'id,text{end}a,"x{end}y{end}z"{end}b,y', 2)
    yield _csv("mixed line ends", "id,text\r\na,x\nb,y\rc,z\r\n", 3)
    for no_end in "\v\f\x1c\x1d\x1e\x85\u2028\u2029":
        yield _csv(f"{no_end!r} ends no line of CSV", f"id,text\na,x{no_end}y\nb,z\n", 2)
        row = f'{{"id":"a","text":"x{no_end}y"}}'
        if no_end >= " ":
            yield _jsonl(f"{no_end!r} ends no line of JSONL", row, '{"id":"b","text":"z"}', good=2)
        else:
            bad = (Bad(line=1, words=("not JSON",)),)
            yield _jsonl(f"{no_end!r} in JSONL", row, '{"id":"b","text":"z"}', good=1, bad=bad)
    for delimiter in ",;\t":
        yield _csv(
            f"delimiter {delimiter!r}", f"id{delimiter}text\na{delimiter}x\nb{delimiter}y\n", 2
        )


def _quotes() -> Iterator[ManifestCase]:
    swallow = ("a quote opens here",)
    rows = [f"r{n},text number {n},v{n}" for n in range(1, 41)]
    head = "id,text,voice_id\n"
    for first in range(0, 40, 5):
        for last in range(first + 1, min(40, first + 30), 7):
            lines = list(rows)
            lines[first] = lines[first].replace(",text", ',"text')
            lines[last] = lines[last].replace(f"number {last + 1},", f'number {last + 1}",')
            yield _refused(
                f"two stray quotes, lines {first + 2} and {last + 2}",
                head + "\n".join(lines) + "\n",
                f":{first + 2}:",
                *swallow,
            )
    for place in (0, 7, 39):
        lines = list(rows)
        lines[place] = lines[place].replace(",text", ',"text')
        yield _refused(f"one stray quote, line {place + 2}", head + "\n".join(lines), *swallow)
        lines[place] = '"' + rows[place]
        yield _refused(
            f"a quote before the id, line {place + 2}", head + "\n".join(lines), *swallow
        )
        lines[place] = rows[place] + ',"'
        yield _refused(f"a quote at the end, line {place + 2}", head + "\n".join(lines), *swallow)
    for cell, what in (
        ('he said "stop" there', "quotes inside"),
        ('5"', "an inch mark"),
        ('"all of ""it"""', "doubled quotes"),
        ('"a, b"', "a delimiter in quotes"),
        ('"سطر\nآخر"', "a line break in quotes"),
        ("'single'", "single quotes"),
        ("«أهلاً»", "guillemets"),
        ('a""', "doubled at the end"),
    ):
        yield _csv(what, f"id,text\na,{cell}\nb,next\n", 2)
    after = Bad(line=2, words=("text follows a closing quote",))
    yield _csv("text behind a closing quote", 'id,text\na,"x"y\nb,z\n', 1, after)
    yield _csv("a space behind a closing quote", 'id,text\na,"x" \nb,z\n', 1, after)
    for fields, line in (("a", "a"), ("a,b,c", "a,b,c"), ("a,b,c,d,e", "five"), (",,,d", "four")):
        count = fields.count(",") + 1
        bad = Bad(line=3, words=(f"has {count} field{'s' * (count > 1)}", "header on line 1 has 2"))
        yield _csv(f"{count} fields: {line}", f"id,text\nx,y\n{fields}\nz,w\n", 2, bad)


def _headers() -> Iterator[ManifestCase]:
    for written, meant in {
        "voiceid": "voice_id",
        "voice": "voice_id",
        "Voice_ID": "voice_id",
        "voice id": "voice_id",
        "voice-id": "voice_id",
        "modell_id": "model_id",
        "stabilty": "stability",
        "similarity-boost": "similarity_boost",
        "spede": "speed",
        "Speed": "speed",
        " speed": "speed",
        "outputformat": "output_format",
        "format": "output_format",
        "out_put": "output",
        "takee": "take",
        "provder": "provider",
        "refrence": "reference",
    }.items():
        yield _refused(
            f"header {written!r}", f"id,text,{written}\na,b,c\n", "no such column", meant
        )
        bad = (Bad(line=2, words=(f"'{written}'", "no such column", meant)),)
        row = json.dumps({"id": "b", "text": "x", written: "1"})
        yield _jsonl(f"key {written!r}", '{"id":"a","text":"b"}', row, good=1, bad=bad)
    yield _refused("a name twice", "id,text,text\na,b,c\n", "twice")
    yield _refused("an unknown name twice", "id,text,x,x\na,b,c,d\n", "twice")
    yield _refused("a name missing", "id,text,\na,b,\n", "column 3", "no name")
    yield _refused("a name over lines", 'id,text,"x\ny"\na,b,c\n', "several lines")
    yield _refused("a quote in the header", 'id,"text\na,b\n', "header")
    yield _csv("unknown columns travel", "id,text,speaker,__proto__,row\na,b,c,d,e\n", 1)


def _cells() -> Iterator[ManifestCase]:
    value: object
    numbers = {
        "nan": "no number",
        "NaN": "no number",
        "inf": "no number",
        "-inf": "no number",
        "Infinity": "no number",
        "1e999": "no number",
        "0x1": "no number",
        "1_0": "no number",
        "1,0": "no number",
        "--1": "no number",
        "fast": "no number",
        "1.0.0": "no number",
        "½": "no number",
        "٪": "no number",
        "-1": "not between",
        "2": "not between",
        "1e308": "not between",
        "-0.0000001": "not between",
        "9" * 400: "no number",
    }
    for column in ("stability", "similarity_boost", "speed"):
        for value, words in numbers.items():
            yield from _cell(column, value, words)
        for value in (True, [], {}, [1], {"a": 1}):
            yield from _cell(column, value, "must be a number")
        for value in ("1", "1.0", " 1 ", "1e0", "١", "١٫٠", "", " ", None, 1, 1.0, "+1", "01"):
            yield from _cell(column, value)
    for value in ("0.69999", "1.2000001", "0", 0.5, 5):
        yield from _cell("speed", value, "not between")
    for value in ("1.5", "-1", "1e9", "1000000000", "0.1", -1, 1.5):
        yield from _cell("take", value, "no whole number")
    for value in ("nan", "inf", "first", "1_0"):
        yield from _cell("take", value, "no number")
    for value in ("0", "3", "3.0", "1e3", "٣", "", None, 7):
        yield from _cell("take", value)
    for value in ("PCM_24000", "pcm_44100", "pcm_24000 ", "mp3", "24000", "pcm", "pcm_0", "x" * 99):
        yield from _cell("output_format", value, "no format")
    for value in ("pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000", "", " "):
        yield from _cell("output_format", value)
    for value in ("nobody", "Local", "local ", "wss://evil.example/api/v1", "../local", "x" * 999):
        yield from _cell("provider", value, "no provider")
    for column in ("voice_id", "model_id", "provider", "output_format", "output", "id"):
        for value in (1.5, True, [], {}):
            yield from _cell(column, value, "must be text")
    for column in ("voice_id", "model_id", "id"):
        for value in ("a\x01b", "a\x1bb", "a\x7fb", "a\x85b", "a\u2028b", "a\nb", "a\tb"):
            yield from _cell(column, value, "control character")
    for value in (1, 1.5, True, [], ["x"], {"x": "y"}):
        yield from _cell("text", value, "must be text")
    for value in MARKS_ONLY:
        yield from _cell("text", value, "nothing to speak")
    yield from _cell("text", "", "is empty")
    yield from _cell("text", None, "is empty")
    for value in (
        "=1+1",
        "@SUM(A1)",
        "-1",
        "+1",
        "<script>alert(1)</script>",
        "${x}",
        "%s",
        "\\n a",
    ):
        yield from _cell("text", value)


def _inputs() -> Iterator[ManifestCase]:
    for column in ("text_file", "audio"):
        for value in ("missing.txt", "a/b.txt", "dangling.txt", "نص.txt", "x" * 300, "a\\b"):
            words = () if len(value) < 300 else ("cannot be followed",)
            yield from _cell(column, value, *(words or ("there is no file",)))
        for value in (
            "../m.csv",
            "../../etc/passwd",
            "/etc/passwd",
            "out.txt",
            "up/m.csv",
            "folder/../../x",
            "//etc/passwd",
            "..",
            ".",
            "/",
        ):
            yield from _cell(column, value, "leaves")
        for value in ("pipe.txt", "folder", "folder/"):
            yield from _cell(column, value, "not a plain file")
        for value in ("loop.txt", "fine.txt/x"):
            yield from _cell(column, value, "'")
        for value in ("device.txt", "/dev/zero", "/proc/self/environ", "/dev/stdin"):
            yield from _cell(column, value, "'")
    yield from _cell("text_file", "fine.txt")
    yield from _cell("text_file", "folder/../fine.txt")
    yield from _cell("text_file", "wide.txt", "UTF-16")
    yield from _cell("text_file", "cp1256.txt", "not UTF-8")
    yield from _cell("text_file", "nul.txt", "NUL")
    yield from _cell("text_file", "void.txt", "is blank")
    yield from _cell("text_file", "blank.txt", "is blank")
    yield from _cell("text_file", "huge.txt", "larger than 16 MiB")
    both = (Bad(line=1, words=("is given beside",)),)
    for one, other in (("text", "audio"), ("text", "text_file"), ("text_file", "audio")):
        row = json.dumps({"id": "a", one: "fine.txt", other: "fine.txt"})
        yield _jsonl(f"{one} beside {other}", row, bad=both)
    row = json.dumps({"id": "a", "audio": "fine.txt", "provider": "faseeh"})
    yield _jsonl("no such service", row, bad=(Bad(line=1, words=("offers no speech to text",)),))
    row = json.dumps({"id": "a", "text": "x", "provider": "munsit"})
    yield _jsonl("no voice", row, bad=(Bad(line=1, words=("'voice_id'", "is empty")),))


def _json_rows() -> Iterator[ManifestCase]:
    deep = "[" * 100_000 + "]" * 100_000
    for name, line, words in (
        ("a key twice", '{"id":"b","text":"x","text":"y"}', "twice"),
        ("a key twice below", '{"id":"b","text":"x","more":{"a":1,"a":2}}', "twice"),
        ("NaN", '{"id":"b","text":"x","n":NaN}', "no JSON"),
        ("Infinity", '{"id":"b","text":"x","n":Infinity}', "no JSON"),
        ("-Infinity", '{"id":"b","text":"x","n":[-Infinity]}', "no JSON"),
        ("1e999", '{"id":"b","text":"x","n":1e999}', "too large"),
        ("a lone surrogate", '{"id":"b","text":"x\\ud800"}', "cannot be written"),
        ("a lone low surrogate", '{"id":"b\\udfff","text":"x"}', "cannot be written"),
        ("a surrogate as key", '{"id":"b","text":"x","\\ud83d":1}', "cannot be written"),
        ("2^64", '{"id":"b","text":"x","n":18446744073709551616}', "cannot be written"),
        ("-2^63-1", '{"id":"b","text":"x","n":-9223372036854775809}', "cannot be written"),
        ("5,000 digits", '{"id":"b","text":"x","n":' + "9" * 5_000 + "}", "too long"),
        ("nested too deeply", '{"id":"b","text":"x","n":' + deep + "}", "nested too deeply"),
        ("deep objects", '{"a":' * 50_000 + "1" + "}" * 50_000, "nested too deeply"),
        ("300 levels", '{"id":"b","text":"x","n":' + "[" * 300 + "]" * 300 + "}", ""),
        ("a list", '["b","x"]', "no object"),
        ("a string", '"b"', "no object"),
        ("a number", "7", "no object"),
        ("null", "null", "no object"),
        ("true", "true", "no object"),
        ("a list of an object", '[{"id":"b","text":"x"}]', "no object"),
        ("cut off", '{"id":"b","text":"x', "not JSON"),
        ("a comma too many", '{"id":"b","text":"x",}', "not JSON"),
        ("single quotes", "{'id':'b','text':'x'}", "not JSON"),
        ("bare keys", '{id:"b",text:"x"}', "not JSON"),
        ("a comment", '{"id":"b","text":"x"} // mine', "not JSON"),
        ("two objects", '{"id":"b","text":"x"}{"id":"c","text":"y"}', "not JSON"),
        ("two with a comma", '{"id":"b","text":"x"},', "not JSON"),
        ("a tab inside", '{"id":"b","text":"x\ty"}', "not JSON"),
        ("a bad escape", '{"id":"b","text":"\\x41"}', "not JSON"),
        ("a bad unicode escape", '{"id":"b","text":"\\u12"}', "not JSON"),
        ("CSV", "b,x", "not JSON"),
        ("XML", "<row/>", "not JSON"),
        ("a colon missing", '{"id" "b"}', "not JSON"),
        ("a byte order mark inside", '\ufeff{"id":"b","text":"x"}', "not JSON"),
        ("an empty object", "{}", "is empty"),
        ("only an id", '{"id":"b"}', "is empty"),
    ):
        bad = (Bad(line=2, words=(words,)),)
        lines = ('{"id":"a","text":"one"}', line, '{"id":"z","text":"two"}')
        yield _jsonl(name, *lines, good=2, bad=bad)
    yield _jsonl("blank lines", "", '{"id":"a","text":"x"}', "  ", '{"id":"b","text":"y"}', good=2)
    yield _jsonl("CRLF", '{"id":"a","text":"x"}\r', '{"id":"b","text":"y"}\r', good=2)
    yield _jsonl("null columns", '{"id":null,"text":"x","voice_id":null,"speed":null}', good=1)
    yield _jsonl("a whole number as id", '{"id":9007199254740993,"text":"x"}', good=1)
    yield _jsonl("escaped astral", '{"id":"a","text":"\\ud83c\\udfa7 x"}', good=1)
    yield _jsonl(
        "columns by the hundred",
        json.dumps({f"c{n}x": n for n in range(900)} | {"text": "x"}),
        good=1,
    )


def _packed() -> Iterator[ManifestCase]:
    plain = "id,text\n" + "".join(f"r{n},row number {n} {GOOD}\n" for n in range(400))
    packed = gzip.compress(plain.encode(), mtime=0)
    yield _csv("gzip", packed, 400, file="m.csv.gz")
    yield _csv("gzip without its ending", packed, 400, file="m.csv")
    half = plain.encode().split(b"r200,")
    members = gzip.compress(half[0], mtime=0) + gzip.compress(b"r200," + half[1], mtime=0)
    yield _csv("gzip of two members", members, 400, file="m.csv.gz")
    for size in (3, 9, 12, 100, len(packed) // 2, len(packed) - 9, len(packed) - 1):
        yield _refused(f"gzip cut at {size}", packed[:size], "m.csv.gz", file="m.csv.gz")
    for place in (len(packed) // 2, len(packed) - 6, len(packed) - 2):
        broken = bytearray(packed)
        broken[place] ^= 0x55
        yield _refused(f"gzip damaged at {place}", bytes(broken), "m.csv.gz", file="m.csv.gz")
    yield _refused("no gzip", plain, "is not gzip", file="m.csv.gz")
    bomb = gzip.compress(b"id,text\n" + (b"a," + b"x" * 62_000 + b"\n") * 1_300, mtime=0)
    yield _refused("a bomb", bomb, "bomb", file="m.csv.gz")
    yield _refused("one endless line", b"id,text\na," + b"x" * (17 << 20), "16 MiB")
    endless = b'{"id":"' + b"x" * (17 << 20)
    yield _refused("one endless JSON line", endless, "16 MiB", file="m.jsonl")


MANIFESTS: tuple[ManifestCase, ...] = tuple(
    case
    for family in (
        _encodings,
        _line_ends,
        _quotes,
        _headers,
        _cells,
        _inputs,
        _json_rows,
        _packed,
    )
    for case in family()
)

# -- names ---------------------------------------------------------------------------------------

BLANK = ("is blank",)
_CONTROL = ("control character",)


def _ids() -> Iterator[NameCase]:
    controls = [*range(1, 0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029]
    for point in controls:
        yield NameCase(value=f"a{chr(point)}b", refused=_CONTROL)
    for value in (
        " ",
        "\u00a0",
        "\u200b",
        "\u200d",
        "\u3000",
        "\u0301",
        "\ufeff",
        " \u200f ",
        "\ue000",
        "\uffff",
        "\ufdd0",
        "\U0010ffff",
    ):
        yield NameCase(value=value, refused=BLANK)
    yield NameCase(value="x" * 1_001, refused=("longer than 1000",))
    devices = ["con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), "lpt1", "lpt9"]
    for value in (
        *devices,
        *(f"{name.upper()}.txt" for name in devices),
        *("..", ".", "...", "../../etc/passwd", "/etc/passwd", "a/b", "a/../b", "./a", "a/", "/"),
        *("../outside", "..\\outside", "....//x", "%2e%2e%2fx", "..%c0%afx", "\\\\server\\share"),
        *("C:\\x", "C:x", "file:///x", "~", "~root", "$HOME", "$(touch x)", "`touch x`", "a;b"),
        *("a&b", "a|b", "a>b", "a<b", "a*b", "a?b", "a:b", 'a"b', "a'b", "a,b", "a=b", "a b"),
        *("-rf", "--output", "-", "--", "@x", "=1+1", "+1", "-1", "#", "!", "%s", "%(x)s", "{}"),
        *("{0.__class__}", "\\n", "'; DROP TABLE jobs;--", "<script>alert(1)</script>", "&lt;"),
        *(".hidden", "..hidden", "a.", "a..", "a ", " a", "a.wav", ".wav", ".a.wav.part", "a.part"),
        *("checkpoint.sqlite3", "checkpoint.sqlite3-wal", "summary.json", "results.jsonl"),
        *("audio", "segments", "transcripts", "report.html", "lost+found", "CON ", "nul."),
        *(
            "A",
            "a",
            "AB",
            "ab",
            "Ab",
            "ß",
            "ss",
            "SS",
            "ẞ",
            "ﬁ",
            "fi",
            "K",
            "k",
            "K",
            "İ",
            "i̇",
            "ı",
        ),
        *("é", "e\u0301", "Å", "Å", "A\u030a", "ñ", "n\u0303", "한", "\u1112\u1161\u11ab"),
        *(
            "آ",
            "ا\u0653",
            "أ",
            "ا\u0654",
            "ﻻ",
            "لا",
            "ﷲ",
            "ا\u064e",
            "ا",
            "كـتاب",
            "كتاب",
            "كـــتاب",
        ),
        *("١٢٣", "123", "۱۲۳", "01", "1", "1.0", "می\u200cخواهم", "میخواهم", "می\u200dخواهم"),
        *("a\u200eb", "a\u200fb", "a\u202eb", "a\u2066b\u2069", "a\u00adb", "a\ufeffb", "a\u2060b"),
        *(
            "🎧",
            "👩\u200d👩\u200d👧",
            "👩👩👧",
            "🇸🇦",
            "👍🏽",
            "a\ufe0f",
            "e\u0301\u0301\u0301",
            "東京",
            "\u0301a",
        ),
        *(
            "x" * 100,
            "x" * 101,
            "x" * 255,
            "x" * 1_000,
            "ص" * 50,
            "ص" * 51,
            "ص" * 1_000,
            "🎧" * 250,
        ),
        *(
            "x" * 999 + "y",
            "x" * 1_000 + "",
            "ص" * 999 + "ض",
            "a\u0300" * 400,
            "." * 300,
            "/" * 300,
        ),
        *("\ufffd", "null", "None", "true", "0", "-0"),
        *("a\u3000b", "a\u00a0b", "a\u2003b", "٠٫٥", "«س»", "س؟", "s/ي/../../x", "ملف/../../سر"),
    ):
        yield NameCase(value=value)


def _outputs() -> Iterator[NameCase]:
    for value in (
        *(
            "o.wav",
            "deep/er/and/deeper/o.wav",
            "كتاب/فصل ١.wav",
            "O2.WAV",
            "a b/c d.flac",
            "x.y.ogg",
        ),
        *("-rf.wav", "$HOME/a.wav", "~/a.wav", "a;b.wav", "a'b.wav", "%2e%2e/a.wav", "nul.wav"),
        *("e\u0301.wav", "می\u200cخواهم.wav", "🎧.wav", "a\u202eb.wav", "x" * 236 + ".wav"),
        *("audio/own.wav", "transcripts/t.wav", "a:b.wav"),
    ):
        yield NameCase(value=value)
    dots = ("absolute, or has a part that starts with a dot",)
    for value in (
        *(
            "../o.wav",
            "../../o.wav",
            "/tmp/o.wav",
            "/o.wav",
            "a/../o.wav",
            "a/../../o.wav",
            "./o.wav",
        ),
        *(
            "a//o.wav",
            "a/ /o.wav",
            ".hidden.wav",
            "a/.hidden/o.wav",
            ".wav",
            "...wav",
            "a/...",
            "//o.wav",
        ),
        *("~/.ssh/o.wav", ".o.wav.part", "a/./o.wav", " /o.wav", "o.wav/"),
    ):
        yield NameCase(value=value, refused=dots)
    for value in ("a\\o.wav", "..\\o.wav", "a\to.wav", "a\x7fo.wav", "a\u2028o.wav", "a\x85o.wav"):
        yield NameCase(value=value, refused=("backslash or control",))
    for value in (
        *(
            "segments/o.wav",
            "Segments/o.wav",
            "SEGMENTS/o.wav",
            "results.jsonl/o.wav",
            "report.html/a.wav",
        ),
        *("checkpoint.sqlite3.wav", "checkpoint.sqlite3-wal/o.wav", "Checkpoint.SQLite3-shm.wav"),
        *("summary.json/o.wav", "failed.jsonl/o.wav"),
    ):
        yield NameCase(value=value, refused=("belongs to the run",))
    for value in ("o", "o.exe", "o.txt", "o.wav.exe", "o.wav ", "o.opus", "o.json", "wav", "owav"):
        yield NameCase(value=value, refused=("another ending",))
    for value in ("x" * 240 + ".wav", "ص" * 120 + ".wav", "a/" + "🎧" * 61 + "/o.wav"):
        yield NameCase(value=value, refused=("longer than 240",))
    for value in ("abcdefgh/" * 120 + "o.wav", "ص/" * 400 + "o.wav"):
        yield NameCase(value=value, refused=("longer than 1000",))


IDS: tuple[NameCase, ...] = tuple({case.value: case for case in _ids()}.values())
OUTPUTS: tuple[NameCase, ...] = tuple({case.value: case for case in _outputs()}.values())
