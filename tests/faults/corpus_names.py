"""Ids and outputs of every kind that a file system, a shell or a page may stumble over."""

from collections.abc import Iterator

from tests.faults.corpus import NameCase

__all__ = ["IDS", "OUTPUTS"]

_BLANK = ("is blank",)


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
        yield NameCase(value=value, refused=_BLANK)
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
        yield NameCase(value=value, refused=("does not end in",))
    for value in ("x" * 240 + ".wav", "ص" * 120 + ".wav", "a/" + "🎧" * 61 + "/o.wav"):
        yield NameCase(value=value, refused=("longer than 240",))
    for value in ("abcdefgh/" * 120 + "o.wav", "ص/" * 400 + "o.wav"):
        yield NameCase(value=value, refused=("longer than 1000",))


IDS: tuple[NameCase, ...] = tuple({case.value: case for case in _ids()}.values())


OUTPUTS: tuple[NameCase, ...] = tuple({case.value: case for case in _outputs()}.values())
