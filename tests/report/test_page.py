"""The page of a run: whole, worst first, and safe whatever texts stand in it."""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from batchjobs.checkpoint import Checkpoint, Decision, Review
from batchjobs.formatting import money
from batchjobs.jobs import BadRow
from batchjobs.providers import BUILT_IN
from batchjobs.report.clips import find_from_disk, find_from_server
from batchjobs.report.page import make_page, read_asset, read_script
from tests.builders import ARABIC, make_failed_record, make_recording_job, make_row
from tests.checkpoint.test_checks import make_check
from tests.report.listened import (
    HOSTILE,
    make_clip_row,
    make_done,
    make_run,
    make_suspect,
    write_clip,
)


@dataclass
class Seen:
    """What a page holds."""

    content: str
    facts: dict[str, Any]
    rows: list[dict[str, Any]]

    @property
    def ids(self) -> list[str]:
        """The rows' ids, worst first."""
        return [row["id"] for row in sorted(self.rows, key=lambda row: -float(row["rank"]))]


def look_at(folder: Path, most_rows: int = 1_000, served: dict[str, Path] | None = None) -> Seen:
    """Make a run's page, and read it."""
    find = find_from_disk(folder, folder) if served is None else find_from_server(folder, served)
    with Checkpoint.read(folder) as checkpoint:
        page = make_page(
            checkpoint, BUILT_IN, find, most_rows=most_rows, is_served=served is not None
        )
        content = "".join(page.pieces)
    facts, data = re.findall(
        r'<script type="application/json"[^>]*>(.*?)</script>', content, re.DOTALL
    )
    known = json.loads(facts)
    rows = [dict(zip(known["fields"], row, strict=True)) for row in json.loads(data)]
    assert page.shown == len(rows) == known["shown"]
    return Seen(content, known, rows)


def make_talk(folder: Path, texts: Sequence[str] = (ARABIC, "two", "three", "four")) -> Path:
    """Make a run whose first row is in doubt, whose second has failed, and the others are done."""
    files = [write_clip(folder, f"audio/r{n}.wav") for n in range(1, len(texts) + 1)]
    rows = [make_clip_row(n, text) for n, text in enumerate(texts, 1)]
    records = [
        make_suspect(1, files[0]),
        make_failed_record(2, error_message=HOSTILE[0]),
        *(make_done(n, files[n - 1]) for n in range(3, len(texts) + 1)),
    ]
    return make_run(folder, rows, records)


class _Reader(HTMLParser):
    """Reads a page as a browser does: its elements, and the texts of scripts and styles."""

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.within = ""
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.within = tag
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self.within = ""

    def handle_data(self, data: str) -> None:
        if self.within in self.raw:
            self.raw[self.within][-1] += data


def test_a_row_says_what_is_known_of_it(tmp_path: Path) -> None:
    """Its text to the letter, what speaks against it, its clip, its wave form, its hash."""
    seen = look_at(make_talk(tmp_path))
    first, second, third, _ = seen.rows
    assert first["text"] == [ARABIC]
    assert (first["status"], first["classes"]) == ("suspect", ["short"])
    assert first["reasons"] == ["lasts half as long as such texts do"]
    assert first["sha256"] == hashlib.sha256((tmp_path / "audio/r1.wav").read_bytes()).hexdigest()
    assert (first["clip"], first["seconds"], len(first["wave"])) == ("audio/r1.wav", 0.5, 96)
    assert (second["status"], second["classes"], second["clip"]) == ("failed", ["permanent"], "")
    assert second["reasons"] == [HOSTILE[0]]
    assert (third["status"], third["verdict"], third["voice"]) == ("done", "unchecked", "v")
    assert seen.facts["statuses"] == {"suspect": 1, "failed": 1, "done": 2}
    assert seen.facts["run"]


def test_the_worst_stand_first(tmp_path: Path) -> None:
    """In doubt, then bad by how bad, then failed, then what could not be told, then the good."""
    files = [write_clip(tmp_path, f"audio/r{n}.wav") for n in range(1, 8)]
    rows = [make_clip_row(n, "text") for n in range(1, 9)]
    records = [make_done(n, files[n - 1]) for n in range(1, 6)]
    records += [make_suspect(6, files[5]), make_failed_record(7)]
    verdicts: list[dict[str, Any]] = [
        {"verdict": "good", "badness": 0.1},
        {"verdict": "bad", "badness": 0.5},
        {"verdict": "inconclusive", "badness": 9.0},
        {"verdict": "bad", "badness": 50.0},
        {"verdict": "good", "badness": 0.3},
    ]
    checks = [
        msgspec.convert(
            msgspec.to_builtins(make_check(n, sha256=files[n - 1].sha256)) | changes,
            type(make_check()),
        )
        for n, changes in enumerate(verdicts, 1)
    ]
    make_run(tmp_path, rows, records, checks)
    assert look_at(tmp_path).ids == ["r6", "r4", "r2", "r7", "r3", "r5", "r1", "r8"]


def test_a_verdict_shows_what_was_heard_and_how_wrong_it_is(tmp_path: Path) -> None:
    """With its error rates, its reasons, and a class to look for."""
    file = write_clip(tmp_path, "audio/r1.wav")
    check = make_check(1, sha256=file.sha256, heard=HOSTILE[1])
    make_run(tmp_path, [make_clip_row(1, ARABIC)], [make_done(1, file)], [check])
    seen = look_at(tmp_path)
    (row,) = seen.rows
    assert "".join(row["heard"]) == HOSTILE[1]
    assert (row["verdict"], row["cer"], row["wer"]) == ("bad", 0.25, 0.5)
    assert "missing words" in row["classes"]
    assert "4 words are missing" in row["reasons"]
    assert seen.facts["verdicts"] == {"bad": 1}
    assert seen.facts["histograms"]["cer"]["voices"] == {"v": [1] + [0] * 31}


def test_of_very_many_rows_the_worst_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    """What is left out is said."""
    seen = look_at(make_talk(tmp_path), most_rows=2)
    assert [row["id"] for row in seen.rows] == ["r1", "r2"]
    assert (seen.facts["rows"], seen.facts["statuses"]["done"]) == (4, 2)
    assert sum(seen.facts["histograms"]["seconds"]["voices"]["v"]) == 3


def test_an_unusual_rate_stands_before_usual_ones(tmp_path: Path) -> None:
    """Of clips that nobody has checked, those that their voice spoke oddly fast come first."""
    file = write_clip(tmp_path, "audio/r1.wav")
    rows = [make_clip_row(n, "a text of so many letters " * 3) for n in range(1, 21)]
    records = [
        make_done(n, replace(file, path=f"audio/r{n}.wav"), 0.1 if n == 7 else 2 + n / 100)
        for n in range(1, 21)
    ]
    assert look_at(make_run(tmp_path, rows, records)).ids[0] == "r7"


def test_rows_of_every_kind_have_their_place(tmp_path: Path) -> None:
    """A transcript beside its recording, a bad row, and one that was not run yet."""
    recording = tmp_path / "talks" / "حديث #1?.wav"
    write_clip(tmp_path, "talks/حديث #1?.wav", 1.0)
    folder = tmp_path / "outputs" / "run"
    job = msgspec.structs.replace(make_recording_job(recording, "r1"), reference=ARABIC)
    rows = [
        make_row(1, kind="stt", seconds=1.0, key="ab" * 32, job=msgspec.json.encode(job)),
        make_row(
            2,
            kind="",
            place=None,
            job=msgspec.json.encode(BadRow(line=3, column="text", message="is <b>empty</b>")),
        ),
        make_clip_row(3, "later"),
    ]
    heard = make_done(1, write_clip(folder, "transcripts/r1.wav"), 1.0, text=HOSTILE[0])
    make_run(folder, rows, [replace(heard, key="ab" * 32, kind=job.kind)])
    transcript, bad, later = look_at(folder).rows
    assert unquote(transcript["clip"]) == "../../talks/حديث #1?.wav"
    assert "#" not in transcript["clip"]
    assert "?" not in transcript["clip"]
    assert "".join(transcript["text"]) == ARABIC
    assert "".join(transcript["heard"]) == HOSTILE[0]
    assert transcript["wer"] >= 1.0
    assert (transcript["kind"], len(transcript["wave"])) == ("stt", 96)
    assert (bad["reasons"], bad["clip"]) == (["is <b>empty</b>"], "")
    assert (later["status"], later["clip"]) == ("not_run", "")
    served: dict[str, Path] = {}
    assert look_at(folder, served=served).rows[0]["clip"] == "recordings/1.wav"
    assert served == {"recordings/1.wav": recording}


def test_a_decision_is_shown_of_the_clip_that_it_was_about(tmp_path: Path) -> None:
    """One that was bought anew is to be listened to anew."""
    make_talk(tmp_path)
    file = write_clip(tmp_path, "audio/r3.wav", 0.7)
    with Checkpoint.open(tmp_path) as checkpoint:
        found = checkpoint.lookups.find(["r3", "r4"])
        checkpoint.review(
            [
                Review(
                    id=name,
                    key=record.key,
                    sha256=record.files[0].sha256,
                    decision=Decision.DROP,
                    note=ARABIC,
                )
                for name, record in found.items()
            ]
        )
        checkpoint.commit(records=[make_done(3, file, 0.7)])
    *_, third, fourth = look_at(tmp_path).rows
    assert (third["decision"], third["note"]) == ("", "")
    assert (fourth["decision"], fourth["note"]) == ("drop", ARABIC)


def test_what_was_paid_is_told_by_day_voice_and_result(tmp_path: Path) -> None:
    """At the provider's price, of everything that was sent."""
    costs = look_at(make_talk(tmp_path)).facts["costs"]
    ((day, sessions, characters, _, cost),) = costs["day"]
    assert re.fullmatch(r"2023-11-1[45]", day)
    assert (sessions, characters) == (4, 4_000)
    price = BUILT_IN["munsit"].cost_of(characters=4_000)
    assert cost == money(price, "USD")
    assert [line[0] for line in costs["voice"]] == ["v"]
    assert [(line[0], line[1]) for line in costs["result"]] == [("done", 2), ("kept", 2)]


# -- what a page may do ----------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_leaves_its_place(tmp_path: Path, text: str) -> None:
    """As text, heard, reason, voice, note and the run's own name, it adds no element to the page."""
    folder = tmp_path / text.replace("/", "∕")[:60]
    plain = _Reader(look_at(make_talk(tmp_path / "plain")).content)
    file = write_clip(folder, "audio/r3.wav")
    rows = [make_clip_row(1, text, voice=text), make_clip_row(2, text), make_clip_row(3, text)]
    records = [
        make_suspect(1, file, error_code=text),
        make_failed_record(2, error_message=text),
        make_done(3, file),
    ]
    check = make_check(3, sha256=file.sha256, heard=text, reasons=(text,))
    make_run(folder, rows, records, [check])
    seen = look_at(folder)
    reader = _Reader(seen.content)
    assert [tag for tag, _ in reader.elements] == [tag for tag, _ in plain.elements]
    assert reader.raw["script"][-1] == read_script()
    assert [row["text"] for row in seen.rows] == [[text]] * 3
    assert seen.rows[2]["heard"] == [text]
    assert seen.facts["name"] == folder.name


def test_the_policy_allows_this_script_and_this_style_and_nothing_else(tmp_path: Path) -> None:
    """By the hash of what really stands in the page; nothing is fetched from anywhere."""
    content = look_at(make_talk(tmp_path)).content
    reader = _Reader(content)
    (policy,) = [
        attributes["content"]
        for tag, attributes in reader.elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for name, text in (("script", reader.raw["script"][-1]), ("style", reader.raw["style"][0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in rules[f"{name}-src"]
    assert rules["default-src"] == rules["connect-src"] == rules["base-uri"] == "'none'"
    assert rules["media-src"] == "'self'"
    assert "unsafe" not in policy
    assert "http" not in policy
    kinds = [attributes.get("type") for tag, attributes in reader.elements if tag == "script"]
    assert kinds == ["application/json", "application/json", None]
    for tag, attributes in reader.elements:
        assert not {"style", "src", "href"} & set(attributes), tag
        assert not [name for name in attributes if name.startswith("on")], tag


def test_our_own_files_can_stand_in_a_page(tmp_path: Path) -> None:
    """Neither ends its element, and none makes markup of a text."""
    script, style = read_script(), read_asset("page.css")
    assert "</" not in script
    assert "<!--" not in script
    assert "</" not in style
    assert "\r" not in script + style
    for risk in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "Function(",
    ):
        assert risk not in script
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", script + style)
