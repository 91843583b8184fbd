"""Calls with two sides: real runs through the command line, on both sockets, and killed in the middle."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import srt as srt_parser
import webvtt

from tests.calls import rest, speak, write_channels
from tests.canary import KEY
from tests.clocks import PATIENCE_SECONDS, until
from tests.whole_runs import (
    batchjobs,
    environment,
    ledger_of,
    results,
    run_server,
    summary,
    write_manifest,
)

pytestmark = pytest.mark.unmeasured

LEFT = ("مَرْحَبًا بِكُـــم في الشركة، كيف أساعدك؟ ", "تفضّل؛ رقمها ١٢٣٤ أم 56؟ ", "شكرا.")
RIGHT = ("أُريد أن أسأل عن الفاتورة please. ", "لا\u200dإله می\u200cخواهم <b> & ٧٨ ok. ")
TURNS = [
    ("Left", LEFT[0]),
    ("Right", RIGHT[0]),
    ("Left", LEFT[1]),
    ("Right", RIGHT[1]),
    ("Left", LEFT[2]),
]
"""In the order of time: the first two overlap, and so do the next two."""


def call(path: Path, *, sign: int = 1) -> Path:
    """Write a call whose sides speak at the same time; of the right one upside down, if so asked."""
    left = np.concatenate([speak(LEFT[0]), rest(7), speak(LEFT[1]), rest(8), speak(LEFT[2])])
    first, second = speak(RIGHT[0]), speak(RIGHT[1])
    begin = len(speak(LEFT[0])) + len(rest(7.8)) - len(rest(0.5)) - len(first)
    right = np.concatenate([rest(0.5), first, np.zeros(begin, np.int16), second])
    return write_channels(path, left, sign * right)


def text_of(names: tuple[str, str] = ("Left", "Right")) -> str:
    """The transcript of the call."""
    named = dict(zip(("Left", "Right"), names, strict=True))
    return "\n".join(f"{named[side]}: {said.strip()}" for side, said in TURNS)


def provider(folder: Path, base_url: str, protocol: str = "transcription") -> Path:
    """Write settings for a server that speaks one of the two protocols, with a price."""
    path = folder / f"{protocol}.toml"
    path.write_text(
        f'[providers.calls]\nlike = "local"\nbase_url = "{base_url}"\nengine = ""\n'
        f'key_variable = "BATCHJOBS_LOCAL_KEY"\n'
        f'stt_protocol = "{protocol}"\nstt_price_per_hour = 3.6\ncurrency = "USD"\n'
    )
    return path


def run(folder: Path, *arguments: object, **others: Any) -> subprocess.CompletedProcess[str]:
    """Run a command with the key of the test's server."""
    return batchjobs(*arguments, cwd=folder, BATCHJOBS_LOCAL_KEY=KEY, **others)


def read(folder: Path, name: str) -> str:
    """Read a transcript's file."""
    return (folder / "transcripts" / name).read_text(encoding="utf-8")


class Run:
    """A run of a few calls on one of the two sockets, and what was said of it.

    Args:
        folder: An empty folder.
        protocol: Which socket.
    """

    def __init__(self, folder: Path, protocol: str) -> None:
        self.folder = folder
        self.out = folder / "out"
        call(folder / "call.wav")
        call(folder / "opposite.wav", sign=-1)
        turned = speak(LEFT[0])
        write_channels(folder / "same.wav", turned, -(turned // 2))
        write_channels(folder / "empty.wav", rest(1), speak(RIGHT[1]))
        write_channels(folder / "mono.wav", speak(RIGHT[0]))
        columns = ("id", "audio", "channels", "channel_names", "reference")
        spoken = " ".join(said.strip() for _, said in TURNS)
        rows = [
            ("call", "call.wav", "apart", "", spoken),
            ("opposite", "opposite.wav", "APART", "الموظف، A & <b>", ""),
            ("same", "same.wav", "apart", "", ""),
            ("empty", "empty.wav", "apart", "", ""),
            ("mono", "mono.wav", "apart", "", ""),
            ("left", "call.wav", "left", "", ""),
            ("right", "opposite.wav", "right", "", ""),
            ("two", "same.wav", "2", "", ""),
        ]
        named = [dict(zip(columns, row, strict=True)) for row in rows]
        manifest = write_manifest(folder / "calls.csv", named)
        ledger = folder / "ledger.jsonl"
        with run_server(folder, "--engine", "tone", "--ledger", ledger) as base_url:
            self.config = provider(folder, base_url, protocol)
            ask = (manifest, "-p", "calls", "--config", self.config, "-o", self.out)
            self.planned = run(folder, "plan", *ask).stdout
            self.said = run(folder, "run", *ask, "--pace", 0).stdout
            self.sessions = len(ledger_of(ledger))
            names = ("--channel-names", "Agent,Customer")
            again = run(folder, "plan", *ask, *names, "--json").stdout
            self.planned_again = json.loads(again)
            run(folder, "run", *ask, *names, "--pace", 0)
            self.sessions_again = len(ledger_of(ledger))
        self.found = {line["id"]: line for line in results(self.out)}

    def read(self, name: str) -> str:
        """Read a transcript's file."""
        return read(self.out, name)


@pytest.fixture(scope="module", params=["transcription", "listen"])
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the calls on each socket, once for all that is to be seen of it."""
    return Run(tmp_path_factory.mktemp(request.param), request.param)


def test_both_sides_of_a_call_are_exact_and_in_order(ran: Run) -> None:
    """Though they speak at the same time; upside down, too, and one of them alone."""
    assert ran.read("call.txt") == text_of(("Agent", "Customer"))
    assert ran.found["call"]["transcript"] == text_of(("Agent", "Customer"))
    assert ran.read("opposite.txt") == text_of(("الموظف", "A & <b>"))
    assert ran.read("left.txt") == "".join(LEFT).strip()
    assert ran.read("right.txt") == "".join(RIGHT).strip()
    assert ran.read("mono.txt") == RIGHT[0].strip()
    assert ran.read("two.txt") == LEFT[0].strip()


def test_equal_channels_are_heard_once_and_a_silent_one_is_left_out(ran: Run) -> None:
    """It is said at the end, in the results and in the file."""
    assert ran.read("same.txt") == LEFT[0].strip()
    assert ran.read("empty.txt") == f"Customer: {RIGHT[1].strip()}"
    same, empty = ran.found["same"], ran.found["empty"]
    assert same["evidence"]["sent_audio_seconds"] <= same["audio_seconds"]
    assert empty["evidence"]["sent_audio_seconds"] <= empty["audio_seconds"]
    assert [side["state"] for side in same["sides"]] == ["heard", "same"]
    assert same["sides"][1]["same_as"] == 1
    assert [side["state"] for side in empty["sides"]] == ["silent", "heard"]
    assert json.loads(ran.read("empty.json"))["sides"] == empty["sides"]
    assert "sides" not in ran.found["mono"]
    assert "1 silent channel not sent, 1 recording with the same" in ran.said
    assert summary(ran.out)["sides_silent"] == summary(ran.out)["sides_same"] == 1


def test_json_and_subtitles_say_who_speaks(ran: Run) -> None:
    """Names are escaped, lines of Arabic go from the right, and other programs read them."""
    details = json.loads(ran.read("opposite.json"))
    named = {"Left": "الموظف", "Right": "A & <b>"}
    assert [(turn["speaker"], turn["text"]) for turn in details["segments"]] == [
        (named[side], said.strip()) for side, said in TURNS
    ]
    assert {word["speaker"] for word in details["words"]} == set(named.values())
    starts = [word["start"] for word in details["words"]]
    assert starts == sorted(starts)
    shown = list(srt_parser.parse(ran.read("opposite.srt")))
    assert shown[0].content.startswith("\u2067الموظف: مَرْحَبًا")
    assert "A & <b>: أُريد" in shown[1].content.replace("\u2060", "")
    assert "<v A &amp; &lt;b&gt;>\u2067أُريد" in ran.read("opposite.vtt")
    assert len(webvtt.from_string(ran.read("opposite.vtt")).captions) == len(shown)


def test_new_names_buy_nothing(ran: Run) -> None:
    """They belong to how a transcript is put together; a row's own names stay."""
    assert ran.sessions_again == ran.sessions
    assert ran.planned_again["to_buy"]["seconds"] == 0
    assert ran.planned_again["by_action"]["remake"]["rows"] == 3
    assert ran.planned_again["by_action"]["done"]["rows"] == 5


def test_a_plan_says_that_it_is_the_most(ran: Run) -> None:
    """What of the sides is silent, or the same, is known once they are decoded."""
    assert "at most 2:" in ran.planned
    assert "4 recordings heard channel by channel" in ran.planned


def test_a_reference_is_held_against_what_is_said(ran: Run) -> None:
    """Not against who says it."""
    run(ran.folder, "check", ran.out, "--config", ran.config)
    checked = json.loads(run(ran.folder, "results", ran.out).stdout.splitlines()[0])
    assert (checked["id"], checked["check"]["wer"]) == ("call", 0)
    run(ran.folder, "verify", ran.out)


def test_a_call_killed_in_the_middle_goes_on_and_buys_nothing_twice(tmp_path: Path) -> None:
    """Its segments are durable one by one, of whichever side, also of a short call."""
    call(tmp_path / "call.wav")
    row = {"id": "call", "audio": "call.wav", "channels": "apart"}
    manifest = write_manifest(tmp_path / "calls.csv", [row])
    ledger, out = tmp_path / "ledger.jsonl", tmp_path / "out"
    with run_server(tmp_path, "--engine", "tone", "--ledger", ledger) as base_url:
        config = provider(tmp_path, base_url)
        command = ("run", manifest, "-p", "calls", "--config", config, "-o", out, "-c", 1)
        process = subprocess.Popen(
            [sys.executable, "-m", "batchjobs", *map(str, command), "--pace", "4"],
            cwd=tmp_path,
            env=environment(BATCHJOBS_LOCAL_KEY=KEY),
        )
        until(lambda: ledger.exists() and ledger.read_text().count('"start"') >= 3)
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)
        assert not (out / "transcripts").exists()
        run(tmp_path, *command, "--pace", 0)
        heard = [line for line in ledger_of(ledger) if line["event"] == "end" and line["complete"]]
    assert read(out, "call.txt") == text_of()
    times = Counter(line["audio_sha256"] for line in heard)
    assert len(times) == len(TURNS)
    totals = summary(out)
    assert sum(times.values()) <= len(TURNS) + totals["attempts_lost"]
    assert totals["attempts"] == len(TURNS) + totals["attempts_lost"]
    assert totals["attempts_lost"] <= 1


def test_the_budget_counts_both_sides(tmp_path: Path) -> None:
    """What is sent is the sum of both; a limit that is reached stops in time, and the rest follows."""
    write_channels(tmp_path / "call.wav", speak(LEFT[0] * 2), speak(RIGHT[0] * 2))
    row = {"id": "call", "audio": "call.wav", "channels": "apart"}
    manifest = write_manifest(tmp_path / "calls.csv", [row])
    out = tmp_path / "out"
    with run_server(tmp_path, "--engine", "tone") as base_url:
        config = provider(tmp_path, base_url)
        ask = ("run", manifest, "-p", "calls", "--config", config, "-o", out, "--pace", 0)
        run(tmp_path, *ask, "--max-audio", 8, "-c", 1, expect=80)
        assert summary(out)["audio_seconds_sent"] <= 8
        run(tmp_path, *ask)
    totals = summary(out)
    sent = results(out)[0]["evidence"]["sent_audio_seconds"]
    assert totals["audio_seconds_sent"] == pytest.approx(sent, abs=0.01)
    assert sent > 1.5 * totals["audio_seconds"]


def test_a_copy_is_named_anew_as_well(tmp_path: Path) -> None:
    """Its segments are those of the row that it was copied from, and stay for both of them."""
    write_channels(tmp_path / "call.wav", speak(LEFT[0]), speak(RIGHT[0]))
    rows = [{"id": name, "audio": "call.wav", "channels": "apart"} for name in ("call", "twin")]
    ledger, out = tmp_path / "ledger.jsonl", tmp_path / "out"
    with run_server(tmp_path, "--engine", "tone", "--ledger", ledger) as base_url:
        config = provider(tmp_path, base_url)
        ask = ("-p", "calls", "--config", config, "-o", out, "--pace", 0)
        run(tmp_path, "run", write_manifest(tmp_path / "calls.csv", rows[:1]), *ask)
        manifest = write_manifest(tmp_path / "calls.csv", rows)
        run(tmp_path, "run", manifest, *ask)
        run(tmp_path, "run", manifest, *ask, "--channel-names", "موظّف,عميل")
        assert len([line for line in ledger_of(ledger) if line["event"] == "end"]) == 2
    said = f"موظّف: {LEFT[0].strip()}\nعميل: {RIGHT[0].strip()}"
    assert read(out, "call.txt") == read(out, "twin.txt") == said
