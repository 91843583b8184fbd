"""CSV manifests that are broken as bytes: encodings, line ends, quotes, headers."""

import json
from collections.abc import Iterator

from tests.faults.corpus import GOOD, Bad, ManifestCase, csv_case, jsonl_case, refused_case

__all__ = ["encodings", "headers", "line_ends", "quotes"]

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


def encodings() -> Iterator[ManifestCase]:
    """Make manifests in encodings, good and bad."""
    plain = f"id,text\na,{GOOD}\nb,{GOOD}\n"
    for code in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"):
        for form, text in (("m.csv", plain), ("m.jsonl", '{"id":"a","text":"b"}\n')):
            yield refused_case(f"{code} {form}", text.encode(code), "UTF-16 or UTF-32", file=form)
    for raw in _NO_UTF8:
        shown = raw.hex()
        row = b'{"id":"b","text":"b' + raw + b'"}\n'
        yield refused_case(
            f"{shown} in CSV", b"id,text\na,x\nb,y" + raw + b"\n", ":3:", "not UTF-8"
        )
        yield refused_case(
            f"{shown} in JSONL",
            b'{"id":"a","text":"x"}\n' + row,
            ":2:",
            "not UTF-8",
            file="m.jsonl",
        )
        yield refused_case(
            f"{shown} in the header", b"id,text" + raw + b"\na,x\n", ":1:", "not UTF-8"
        )
    for code in ("cp1256", "iso8859-6", "latin-1"):
        word = "café" if code == "latin-1" else "سلام"
        yield refused_case(code, f"id,text\na,{word}\n".encode(code), "not UTF-8")
    yield csv_case("byte order mark", "\ufeff" + plain, 2)
    yield jsonl_case("byte order mark", '\ufeff{"id":"a","text":"b"}', good=1)
    for place, text in (
        ("header", "id,te\0xt\na,x\n"),
        ("text", "id,text\na,x\0y\n"),
        ("id", "id,text\na\0,x\n"),
        ("end", "id,text\na,x\n\0"),
    ):
        yield refused_case(f"NUL in the {place}", text, "NUL")
    yield refused_case("NUL in JSONL", b'{"id":"a","text":"b\0c"}\n', "NUL", file="m.jsonl")
    for name, content in {"empty": b"", "only a mark": b"\xef\xbb\xbf"}.items():
        yield refused_case(name, content, "is empty")
        yield refused_case(f"{name}, JSONL", content, "is empty", file="m.jsonl")
    for content in (b"\n", b" \n\t\n", b"\r\n\r\n", b"\n" * 5_000):
        yield refused_case(f"blank {content[:9]!r}", content, "is blank")
    for content in (b"id,text\n", b"id,text", b"id;text\r\n", b"id,text\n\n\n", b"\nid,text\n"):
        yield refused_case(f"only a header {content!r}", content, "no row")
    yield refused_case("spreadsheet", b"PK\x03\x04" + bytes(99), "spreadsheet")
    for name in ("m.jsonl", "m.data"):
        yield refused_case(
            f"JSON array, {name}", '[{"id":"a","text":"b"}]', "JSON array", file=name
        )
    yield refused_case("PNG", b"\x89PNG\r\n\x1a\n" + bytes(range(1, 99)), "not UTF-8")
    yield refused_case("HTML", "<!doctype html>\n<p>Not found</p>\n", "header is missing")
    yield refused_case("prose", "This is a text.\nIt has no header.\n", "header is missing")


def line_ends() -> Iterator[ManifestCase]:
    """Make manifests with all ends of lines."""
    for end in ("\n", "\r\n", "\r"):
        yield csv_case(f"lines end {end!r}", f"id,text{end}a,x{end}b,y{end}", 2)
        yield csv_case(f"lines end {end!r}, the last has none", f"id,text{end}a,x{end}b,y", 2)
        yield csv_case(
            f"blank lines {end!r}", f"{end}id,text{end}{end}a,x{end}{end}{end}b,y{end}", 2
        )
        yield csv_case(
            f"a quoted text over lines {end!r}", f'id,text{end}a,"x{end}y{end}z"{end}b,y', 2
        )
    yield csv_case("mixed line ends", "id,text\r\na,x\nb,y\rc,z\r\n", 3)
    for no_end in "\v\f\x1c\x1d\x1e\x85\u2028\u2029":
        yield csv_case(f"{no_end!r} ends no line of CSV", f"id,text\na,x{no_end}y\nb,z\n", 2)
        row = f'{{"id":"a","text":"x{no_end}y"}}'
        if no_end >= " ":
            yield jsonl_case(
                f"{no_end!r} ends no line of JSONL", row, '{"id":"b","text":"z"}', good=2
            )
        else:
            bad = (Bad(line=1, words=("not JSON",)),)
            yield jsonl_case(f"{no_end!r} in JSONL", row, '{"id":"b","text":"z"}', good=1, bad=bad)
    for delimiter in ",;\t":
        yield csv_case(
            f"delimiter {delimiter!r}", f"id{delimiter}text\na{delimiter}x\nb{delimiter}y\n", 2
        )


def quotes() -> Iterator[ManifestCase]:
    """Make manifests with quotes in all places."""
    swallow = ("a quote opens here",)
    rows = [f"r{n},text number {n},v{n}" for n in range(1, 41)]
    head = "id,text,voice_id\n"
    for first in range(0, 40, 5):
        for last in range(first + 1, min(40, first + 30), 7):
            lines = list(rows)
            lines[first] = lines[first].replace(",text", ',"text')
            lines[last] = lines[last].replace(f"number {last + 1},", f'number {last + 1}",')
            yield refused_case(
                f"two stray quotes, lines {first + 2} and {last + 2}",
                head + "\n".join(lines) + "\n",
                f":{first + 2}:",
                *swallow,
            )
    for place in (0, 7, 39):
        lines = list(rows)
        lines[place] = lines[place].replace(",text", ',"text')
        yield refused_case(f"one stray quote, line {place + 2}", head + "\n".join(lines), *swallow)
        lines[place] = '"' + rows[place]
        yield refused_case(
            f"a quote before the id, line {place + 2}", head + "\n".join(lines), *swallow
        )
        lines[place] = rows[place] + ',"'
        yield refused_case(
            f"a quote at the end, line {place + 2}", head + "\n".join(lines), *swallow
        )
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
        yield csv_case(what, f"id,text\na,{cell}\nb,next\n", 2)
    after = Bad(line=2, words=("text follows a closing quote",))
    yield csv_case("text behind a closing quote", 'id,text\na,"x"y\nb,z\n', 1, after)
    yield csv_case("a space behind a closing quote", 'id,text\na,"x" \nb,z\n', 1, after)
    for fields, line in (("a", "a"), ("a,b,c", "a,b,c"), ("a,b,c,d,e", "five"), (",,,d", "four")):
        count = fields.count(",") + 1
        bad = Bad(line=3, words=(f"has {count} field{'s' * (count > 1)}", "header on line 1 has 2"))
        yield csv_case(f"{count} fields: {line}", f"id,text\nx,y\n{fields}\nz,w\n", 2, bad)


def headers() -> Iterator[ManifestCase]:
    """Make manifests with headers, good and bad."""
    for written, meant in {
        "voiceid": "voice_id",
        "voice": "voice_id",
        "voice id": "voice_id",
        "voice-id": "voice_id",
        "modell_id": "model_id",
        "stabilty": "stability",
        "similarity-boost": "similarity_boost",
        "spede": "speed",
        "outputformat": "output_format",
        "format": "output_format",
        "out_put": "output",
        "takee": "take",
        "provder": "provider",
        "refrence": "reference",
    }.items():
        yield refused_case(
            f"header {written!r}", f"id,text,{written}\na,b,c\n", "no such column", meant
        )
        bad = (Bad(line=2, words=(f"'{written}'", "no such column", meant)),)
        row = json.dumps({"id": "b", "text": "x", written: "1"})
        yield jsonl_case(f"key {written!r}", '{"id":"a","text":"b"}', row, good=1, bad=bad)
    yield refused_case("a name twice", "id,text,text\na,b,c\n", "twice")
    yield refused_case("an unknown name twice", "id,text,x,x\na,b,c,d\n", "twice")
    for written in ("Voice_ID", "VOICE_ID ", " voice_id"):
        yield csv_case(f"header {written!r}", f"id,text,{written}\na,b,c\n", 1)
        row = json.dumps({"id": "b", "text": "x", written: "v"})
        yield jsonl_case(f"key {written!r}", '{"id":"a","text":"b"}', row, good=2)
    yield csv_case("a name missing", "id,text,\na,b,\n", 1)
    yield refused_case("a name missing, a value there", "id,text,\na,b,c\n", "column 3", "no name")
    yield refused_case("a name over lines", 'id,text,"x\ny"\na,b,c\n', "several lines")
    yield refused_case("a quote in the header", 'id,"text\na,b\n', "header")
    yield csv_case("unknown columns travel", "id,text,speaker,__proto__,row\na,b,c,d,e\n", 1)
