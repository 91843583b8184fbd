"""The benchmark runs, its programs do the work they are measured for, and its verdicts are right."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks import table
from tests.benchmarks.case import (
    Case,
    Figure,
    Measure,
    Program,
    Row,
    difference,
    highest_held,
    ratio,
    share_of_ideal,
    value,
)
from tests.benchmarks.cases import CASES
from tests.benchmarks.driver import BenchmarkError, measured, run_all
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.server import start_server
from tests.benchmarks.session_cases import CASES as SESSION_CASES
from tests.benchmarks.table import Goal, Line
from tests.benchmarks.wire import kind_of, speech_messages
from tests.clocks import PATIENCE_SECONDS
from tests.commands import ROOT

REPORT_KEYS = {
    "cpu_seconds",
    "wall_seconds",
    "peak_bytes",
    "sessions",
    "messages",
    "bytes",
    "server_cpu_seconds",
    "server_share",
}


def benchmark(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the benchmark's command in its quick form."""
    return subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--quick", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def ours(kind: str, *, sessions: int = 2) -> Program:
    """Make our own program of a few sessions."""
    arguments = ("--url", "{ws}", "--kind", kind, "--sessions", str(sessions))
    return Program(module="ours.sessions", arguments=arguments)


def run_case(folder: Path, programs: dict[str, Program], *, lossy: bool = False) -> None:
    """Run programs once against a server of their own."""
    case = Case(name="trial", programs=programs, rows=())
    with start_server(folder, lossy=lossy) as server:
        measured(case, server, folder, rounds=1, is_quick=False, tell=lambda line: None)


@pytest.mark.long
@pytest.mark.unmeasured
def test_the_quick_form_runs_every_case_of_sessions(tmp_path: Path) -> None:
    """The command runs every peer to its end, and writes every row, count and version."""
    names = [case.name for case in SESSION_CASES]
    done = benchmark("--json", tmp_path / "figures.json", "--programs", "--only", *names)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in content["rows"]] == [
        row.name for case in SESSION_CASES for row in case.rows
    ]
    # A busy machine keeps up with not even the fewest sessions that are paced.
    assert not [row for row in content["rows"] if not row["value"] > 0 and row["name"] != "paced"]
    assert "not installed" not in content["machine"]["packages"]
    for case in SESSION_CASES:
        reports = content["cases"][case.name]
        assert reports.keys() == case.programs.keys()
        for (report,) in reports.values():
            assert report["sessions"] > 0
            if case.name != "memory":  # whose sessions say nothing
                assert report.keys() >= REPORT_KEYS
                assert report["messages"] % report["sessions"] == 0
    assert table.goals()["tts-ws"].what in done.stdout
    assert "xargs -P, one-shot" in done.stdout


@pytest.mark.parametrize("module", ["ours.sessions", "peers.websockets_json"])
def test_a_program_that_loses_a_message_is_caught(tmp_path: Path, module: str) -> None:
    """Sessions that lack their last message fail the benchmark, ours and the peers' alike."""
    arguments = ("--url", "{ws}", "--kind", "tts", "--sessions", "2")
    with pytest.raises(BenchmarkError, match=module):
        run_case(tmp_path, {"loser": Program(module=module, arguments=arguments)}, lossy=True)


def test_programs_that_do_different_work_are_caught(tmp_path: Path) -> None:
    """Two programs of one case whose sessions differ are not compared."""
    with pytest.raises(BenchmarkError, match=r"long: 20 messages .*; short: 1 messages"):
        run_case(tmp_path, {"long": ours("tts"), "short": ours("tiny")})


def test_a_report_that_the_server_does_not_confirm_is_caught(tmp_path: Path) -> None:
    """A program cannot claim sessions that the server asked about it never saw."""
    other = tmp_path / "other"
    other.mkdir()
    with start_server(other) as elsewhere:
        arguments = ("--url", elsewhere.ws, "--kind", "tiny", "--sessions", "2")
        teller = Program(module="ours.sessions", arguments=arguments)
        with pytest.raises(BenchmarkError, match="the server counted 0"):
            run_case(tmp_path, {"teller": teller})


def test_a_case_that_fails_takes_no_other_with_it() -> None:
    """Hours of measuring are not lost to one broken program: its case is told as failed."""
    broken = Case(name="broken", programs={"none": Program(module="peers.none")}, rows=())
    whole = Case(name="whole", programs={"ours": ours("tiny")}, rows=())
    runs, failures = run_all(
        (broken, whole), rounds=2, is_quick=False, scratch=None, tell=lambda line: None
    )
    assert [failure.split()[0] for failure in failures] == ["broken:"]
    assert [len(one.reports["ours"]) for one in runs] == [2]


def test_an_unknown_case_is_refused() -> None:
    """A name that no case begins with is told, with the names there are."""
    done = benchmark("--only", "nonsense")
    assert done.returncode == 1
    assert "there is no case 'nonsense'; there are tts-ws" in done.stderr


def test_every_row_is_described_once() -> None:
    """What is measured is named in goals.toml and the other way round, and no name is twice."""
    rows = [row.name for case in CASES for row in case.rows]
    assert len(rows) == len(set(rows))
    assert set(rows) == set(table.goals())


MEDIANS = {
    "ours": {"cpu_seconds": 2.0, "wall_seconds": 10.5, "sessions": 200, "lag_p99_seconds": 0.01},
    "peer": {"cpu_seconds": 1.0, "wall_seconds": 20.0, "sessions": 50, "lag_p99_seconds": 0.1},
    "500": {"lag_p99_seconds": 0.01},
    "1000": {"lag_p99_seconds": 0.06},
    "1500": {"lag_p99_seconds": 0.01},
}


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (ratio("cpu_seconds", "ours", "peer"), 0.5),
        (ratio("lag_p99_seconds", "ours", "peer", per_session=False), 0.1),
        (difference("wall_seconds", "peer", "ours"), 9.5),
        (value("wall_seconds", "ours"), 10.5),
        (share_of_ideal("ours", session_seconds=2.0, concurrency=40), 10 / 10.5),
        (highest_held((500, 1000, 1500), lag_seconds=0.05), 500),
    ],
)
def test_a_figure_is_made_of_medians(measure: Measure, expected: float) -> None:
    """Ratios are by session, and a ladder is climbed no further than its first rung that fails."""
    assert measure(MEDIANS).value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("figure", "goal", "verdict"),
    [
        (0.7, Goal(what="", goal=0.8, stretch=0.6), "yes"),
        (0.6, Goal(what="", goal=0.8, stretch=0.6), "stretch"),
        (0.9, Goal(what="", goal=0.8, stretch=0.6), "NO"),
        (0.99, Goal(what="", goal=0.98, at_least=True), "yes"),
        (0.97, Goal(what="", goal=0.98, at_least=True), "NO"),
        (0.97, Goal(what=""), ""),
    ],
)
def test_a_verdict_follows_the_goal(figure: float, goal: Goal, verdict: str) -> None:
    """Less is better unless the goal says at least; a row without a goal is not judged."""
    row = Row(name="trial", measure=value("x", "ours"))
    line = Line(row=row, figure=Figure(value=figure, ours=figure), goal=goal, server_share=0.0)
    assert line.verdict == verdict


def test_the_description_of_the_machine_names_nobody() -> None:
    """Neither the host's name nor any path is in what is published."""
    import socket

    shown = json.dumps(describe_machine())
    assert socket.gethostname() not in shown
    assert str(Path.home()) not in shown
    assert sys.prefix not in shown


@pytest.mark.parametrize("name", ["tts", "tiny", "idle", "paced-7"])
def test_what_is_said_comes_to_what_its_kind_promises(name: str) -> None:
    """The canned audio of a kind of session has as many messages and bytes as it says."""
    kind = kind_of(name)
    pieces = speech_messages(kind)
    assert len(pieces) == kind.messages
    assert sum(map(len, pieces)) == kind.bytes


def test_an_unknown_kind_of_session_is_refused() -> None:
    """A kind of session that nobody has described has no path."""
    with pytest.raises(ValueError, match="nonsense"):
        kind_of("nonsense")


def test_another_checkout_is_measured_beside_this_one(tmp_path: Path) -> None:
    """Each program of ours runs from both, and a checkout that is none is told."""
    done = benchmark("--against", ROOT, "--only", "tiny", "--json", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert [row["name"] for row in content["rows"]] == [
        "tiny: cpu_seconds",
        "tiny: wall_seconds",
        "tiny: peak_bytes",
    ]
    assert content["cases"]["tiny"].keys() == {"here", "there"}
    missing = benchmark("--against", tmp_path, "--only", "tiny")
    assert missing.returncode == 2
    assert "is no checkout" in missing.stderr
