"""Manifests with hostile cells, inputs and rows, and all hostile manifests."""

import gzip
import json
from collections.abc import Iterator

from tests.faults.corpus import (
    GOOD,
    Bad,
    ManifestCase,
    cell_cases,
    csv_case,
    jsonl_case,
    refused_case,
)
from tests.faults.corpus_csv import encodings, headers, line_ends, quotes
from tests.faults.corpus_texts import MARKS_ONLY

__all__ = ["MANIFESTS"]


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
            yield from cell_cases(column, value, words)
        for value in (True, [], {}, [1], {"a": 1}):
            yield from cell_cases(column, value, "must be a number")
        for value in ("1", "1.0", " 1 ", "1e0", "١", "١٫٠", "", " ", None, 1, 1.0, "+1", "01"):
            yield from cell_cases(column, value)
    for value in ("0.69999", "1.2000001", "0", 0.5, 5):
        yield from cell_cases("speed", value, "not between")
    for value in ("1.5", "-1", "1e9", "1000000000", "0.1", -1, 1.5):
        yield from cell_cases("take", value, "no whole number")
    for value in ("nan", "inf", "first", "1_0"):
        yield from cell_cases("take", value, "no number")
    for value in ("0", "3", "3.0", "1e3", "٣", "", None, 7):
        yield from cell_cases("take", value)
    for value in ("PCM_24000", "pcm_44100", "mp3", "24000", "pcm", "pcm_0", "x" * 99):
        yield from cell_cases("output_format", value, "no format")
    for value in ("pcm_8000", "pcm_16000", "pcm_22050", "pcm_24000", "pcm_24000 ", "", " "):
        yield from cell_cases("output_format", value)
    for value in ("nobody", "Local", "wss://evil.example/api/v1", "../local", "x" * 999):
        yield from cell_cases("provider", value, "no provider")
    for column in ("voice_id", "model_id", "provider", "output_format", "output", "id"):
        for value in (1.5, True, [], {}):
            yield from cell_cases(column, value, "must be text")
    for column in ("voice_id", "model_id", "id"):
        for value in ("a\x01b", "a\x1bb", "a\x7fb", "a\x85b", "a\u2028b", "a\nb", "a\tb"):
            yield from cell_cases(column, value, "control character")
    for value in (1, 1.5, True, [], ["x"], {"x": "y"}):
        yield from cell_cases("text", value, "must be text")
    for value in MARKS_ONLY:
        yield from cell_cases("text", value, "nothing to speak")
    yield from cell_cases("text", "", "is empty")
    yield from cell_cases("text", None, "is empty")
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
        yield from cell_cases("text", value)


def _inputs() -> Iterator[ManifestCase]:
    for column in ("text_file", "audio"):
        for value in ("missing.txt", "a/b.txt", "dangling.txt", "نص.txt", "x" * 300, "a\\b"):
            words = () if len(value) < 300 else ("cannot be followed",)
            yield from cell_cases(column, value, *(words or ("there is no file",)))
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
            yield from cell_cases(column, value, "leaves")
        for value in ("pipe.txt", "folder", "folder/"):
            yield from cell_cases(column, value, "not a plain file")
        for value in ("loop.txt", "fine.txt/x"):
            yield from cell_cases(column, value, "'")
        for value in ("device.txt", "/dev/zero", "/proc/self/environ", "/dev/stdin"):
            yield from cell_cases(column, value, "'")
    yield from cell_cases("text_file", "fine.txt")
    yield from cell_cases("text_file", "folder/../fine.txt")
    yield from cell_cases("text_file", "wide.txt", "UTF-16")
    yield from cell_cases("text_file", "cp1256.txt", "not UTF-8")
    yield from cell_cases("text_file", "nul.txt", "NUL")
    yield from cell_cases("text_file", "void.txt", "is blank")
    yield from cell_cases("text_file", "blank.txt", "is blank")
    yield from cell_cases("text_file", "huge.txt", "larger than 16 MiB")
    both = (Bad(line=1, words=("is given beside",)),)
    for one, other in (("text", "audio"), ("text", "text_file"), ("text_file", "audio")):
        row = json.dumps({"id": "a", one: "fine.txt", other: "fine.txt"})
        yield jsonl_case(f"{one} beside {other}", row, bad=both)
    row = json.dumps({"id": "a", "audio": "fine.txt", "provider": "faseeh"})
    yield jsonl_case(
        "no such service", row, bad=(Bad(line=1, words=("offers no speech to text",)),)
    )
    row = json.dumps({"id": "a", "text": "x", "provider": "munsit"})
    yield jsonl_case("no voice", row, bad=(Bad(line=1, words=("'voice_id'", "is empty")),))


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
        ("an empty object", "{}", "is empty"),
        ("only an id", '{"id":"b"}', "is empty"),
    ):
        bad = (Bad(line=2, words=(words,)),)
        lines = ('{"id":"a","text":"one"}', line, '{"id":"z","text":"two"}')
        yield jsonl_case(name, *lines, good=2, bad=bad)
    yield jsonl_case(
        "blank lines", "", '{"id":"a","text":"x"}', "  ", '{"id":"b","text":"y"}', good=2
    )
    yield jsonl_case("CRLF", '{"id":"a","text":"x"}\r', '{"id":"b","text":"y"}\r', good=2)
    yield jsonl_case("null columns", '{"id":null,"text":"x","voice_id":null,"speed":null}', good=1)
    yield jsonl_case("a whole number as id", '{"id":9007199254740993,"text":"x"}', good=1)
    yield jsonl_case("escaped astral", '{"id":"a","text":"\\ud83c\\udfa7 x"}', good=1)
    yield jsonl_case(
        "columns by the hundred",
        json.dumps({f"c{n}x": n for n in range(900)} | {"text": "x"}),
        good=1,
    )


def _packed() -> Iterator[ManifestCase]:
    plain = "id,text\n" + "".join(f"r{n},row number {n} {GOOD}\n" for n in range(400))
    packed = gzip.compress(plain.encode(), mtime=0)
    yield csv_case("gzip", packed, 400, file="m.csv.gz")
    yield csv_case("gzip without its ending", packed, 400, file="m.csv")
    half = plain.encode().split(b"r200,")
    members = gzip.compress(half[0], mtime=0) + gzip.compress(b"r200," + half[1], mtime=0)
    yield csv_case("gzip of two members", members, 400, file="m.csv.gz")
    for size in (3, 9, 12, 100, len(packed) // 2, len(packed) - 9, len(packed) - 1):
        yield refused_case(f"gzip cut at {size}", packed[:size], "m.csv.gz", file="m.csv.gz")
    for place in (len(packed) // 2, len(packed) - 6, len(packed) - 2):
        broken = bytearray(packed)
        broken[place] ^= 0x55
        yield refused_case(f"gzip damaged at {place}", bytes(broken), "m.csv.gz", file="m.csv.gz")
    yield refused_case("no gzip", plain, "is not gzip", file="m.csv.gz")
    bomb = gzip.compress(b"id,text\n" + (b"a," + b"x" * 62_000 + b"\n") * 1_300, mtime=0)
    yield refused_case("a bomb", bomb, "bomb", file="m.csv.gz")
    yield refused_case("one endless line", b"id,text\na," + b"x" * (17 << 20), "16 MiB")
    endless = b'{"id":"' + b"x" * (17 << 20)
    yield refused_case("one endless JSON line", endless, "16 MiB", file="m.jsonl")


MANIFESTS: tuple[ManifestCase, ...] = tuple(
    case
    for family in (
        encodings,
        line_ends,
        quotes,
        headers,
        _cells,
        _inputs,
        _json_rows,
        _packed,
    )
    for case in family()
)
