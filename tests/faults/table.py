"""The table of faults: every promise, what is done to it, and what the tests counted.

    python -m tests.faults.table

runs the tests that it names, and prints the table, and that of the mistakes made on purpose. What a
test has not counted is a dash: there is no run in it that could lose something.
"""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest

__all__ = ["MISTAKES", "ROWS", "TEN", "Mistake", "Row"]

ROOT = Path(__file__).parents[2]
HEADER = (
    "| promise | fault | how injected | tests | cases | runs | lost | repeated | corrupt | status |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


_Tests: TypeAlias = Mapping[str, tuple[str, ...]]
"""Files, each with the names in it that begin so; a parameter in brackets belongs to the name."""


def _is_one_of(tests: _Tests, nodeid: str) -> bool:
    path, _, name = nodeid.partition("::")
    name = name.removeprefix("test_")
    return any(
        path == f"tests/{file}.py" and any(name.startswith(start) for start in starts)
        for file, starts in tests.items()
    )


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    Attributes:
        promises: Their numbers.
        fault: What happens.
        how: How it is made to happen.
        tests: Which ones.
    """

    promises: tuple[int, ...]
    fault: str
    how: str
    tests: _Tests

    def holds(self, nodeid: str) -> bool:
        """Whether a test is one of this row's, and none that makes a mistake."""
        return _is_one_of(self.tests, nodeid) and not any(
            mistake.is_parameter and mistake.holds(nodeid) for mistake in MISTAKES
        )


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake that is made on purpose, to see that it is noticed.

    Attributes:
        what: The mistake.
        seen: What gives it away.
        tests: The tests that make it, and fail unless it shows.
    """

    what: str
    seen: str
    tests: _Tests

    @property
    def is_parameter(self) -> bool:
        """Whether a test makes it that in its other cases does not."""
        return any("[" in start for starts in self.tests.values() for start in starts)

    def holds(self, nodeid: str) -> bool:
        """Whether a test makes this mistake."""
        return _is_one_of(self.tests, nodeid)


CRASH, POWER, DISK = "faults/test_crash", "faults/test_power", "faults/test_disk"
SECURITY, SIGNALS, CORPUS = "faults/test_security", "faults/test_signals", "faults/test_corpus"
DOUBT = "faults/test_doubt"
STATE, CLOCK, GENERATE = "faults/test_state_machine", "faults/test_clock", "faults/test_generate"

ROWS = (
    Row((1,), "SIGKILL at any time", "real commands, random moments", {CRASH: ("fifty",)}),
    Row((1,), "SIGKILL at every disk call", "strace inject", {CRASH: ("a_kill_at_every",)}),
    Row(
        (1,),
        "SIGKILL at disk calls, no strace",
        "the in-process twin",
        {CRASH: ("the_in_process",)},
    ),
    Row((1,), "SIGKILL in the recovery from one", "strace, nested", {CRASH: ("a_kill_during",)}),
    Row(
        (1,),
        "kill between rename and commit, then the edit undone",
        "strace, edits",
        {CRASH: ("an_edit",)},
    ),
    Row(
        (1,),
        "SIGKILL while something is in doubt: run, retry, accept",
        "strace inject; the in-process twin",
        {DOUBT: ("a_kill_at", "a_process_that")},
    ),
    Row((1,), "power cut, also in an accept", "model over recorded calls", {POWER: ("the_power",)}),
    Row(
        (2,),
        "kill on a slow disk; sessions ahead of commits",
        "slow fsync; counting service",
        {
            CRASH: ("a_slot_released",),
            "runner/test_runner": ("no_session_opens_before", "concurrency_is_reached"),
        },
    ),
    Row(
        (3,),
        "fsync, fdatasync, pwrite fail: EIO, ENOSPC, EROFS",
        "strace inject",
        {DISK: ("a_disk_that_fails",)},
    ),
    Row(
        (3,),
        "the commit fails",
        "a checkpoint that cannot write",
        {
            "runner/test_disk_failures": ("a_failed_commit", "a_checkpoint_that", "a_target_that"),
            "runner/test_recorder": ("after_a_failed_write", "an_unforeseen"),
        },
    ),
    Row((4,), "disk full, then room", "tmpfs in a mount namespace", {DISK: ("a_full_disk",)}),
    Row(
        (4,),
        "results cannot be written: EIO, EDQUOT, EROFS",
        "strace inject on the file",
        {DISK: ("a_result_that",)},
    ),
    Row((4,), "file size limit", "RLIMIT_FSIZE", {DISK: ("a_file_size",)}),
    Row((4,), "read-only disk", "remounted", {DISK: ("a_read_only",)}),
    Row((4,), "few file descriptors", "RLIMIT_NOFILE", {DISK: ("too_few", "connections_leave")}),
    Row(
        (5,),
        "two runs in one folder",
        "50 pairs; a holder killed",
        {
            "cli/test_refusals": ("a_second_run",),
            "checkpoint/test_opening": ("a_second_run", "the_lock_dies"),
            STATE: ("of_fifty_pairs",),
        },
    ),
    Row(
        (6,),
        "a job that crashes the process",
        "SIGKILL thrice in its session",
        {
            CRASH: ("a_job_that_crashes",),
            "runner/test_retries": ("a_job_that_kills",),
        },
    ),
    Row(
        (7,),
        "edits, kills, cancels, damage, second runs between runs",
        "state machine (Hypothesis)",
        {
            STATE: ("whatever", "rows_that_ask"),
            "end_to_end/test_quickstart": ("running_again",),
            "end_to_end/test_edits": ("only_what", "a_deleted"),
        },
    ),
    Row(
        (8,),
        "wrong key, empty wallet, wrong address",
        "scripted and real servers",
        {
            "runner/test_refusals": (
                "a_wrong_key",
                "an_empty_wallet",
                "a_wrong_address",
                "nobody_there",
            ),
            "end_to_end/test_faults": ("a_wrong_key", "a_service_that_is_not"),
        },
    ),
    Row(
        (9,),
        "room for L sessions, found out; L falls tenfold",
        "42901, 429 with and without Retry-After, 1013, in virtual time",
        {"runner/test_adaptive_run": ("a_run_finds", "a_run_follows", "after_an_outage")},
    ),
    Row(
        (9,),
        "a burst of refusals",
        "scripted service; simulation",
        {
            "runner/test_retries": ("throttling", "one_burst"),
            "limits/test_concurrency": ("a_burst", "each_epoch", "an_unknown_room", "a_room_that"),
        },
    ),
    Row(
        (10,),
        "ten minutes out of reach; for ever",
        "refused connections, in fast time",
        {"runner/test_outages": ("a_ten_minute", "a_service_that_stays")},
    ),
    Row(
        (11,),
        "5xx for ever: 30, 60, 95, 100 %",
        "error codes, closes, HTTP 503",
        {"runner/test_retry_budget": ("a_service_that_fails", "failures_of_every")},
    ),
    Row(
        (12,),
        "silence, drips, pings, stalls, endless heads and bodies",
        "streams that misbehave, in virtual time",
        {
            "session/test_connect": (
                "a_tcp_peer",
                "a_dial_that",
                "a_head_that",
                "an_upgrade",
                "an_endless",
            ),
            "session/test_tts_deadlines": (
                *("a_first_message", "no_audio", "a_flood", "pings_feed"),
                *("dripping", "a_service_that_stops", "audio_slower"),
            ),
            "session/test_stt": ("a_service_that_stops", "no_transcript_has"),
            "end_to_end/test_faults": ("a_misbehaving", "a_fault_that_passes"),
        },
    ),
    Row(
        (13,),
        "Close never answered, or in mid-audio",
        "streams that misbehave",
        {
            "session/test_tts": ("a_peer_that_never", "what_comes_while", "a_connection_dropped"),
            "session/test_tts_failures": ("a_close_in_mid", "a_normal_close"),
            "session/test_cancellation": ("a_decided_result",),
        },
    ),
    Row(
        (14,),
        "messages, bodies and audio without end",
        "scripted services",
        {
            "session/test_tts_failures": ("a_message_beyond", "a_message_of"),
            "session/test_connect": ("an_endless",),
            "session/test_crowds": ("at_most_32",),
            "protocol/test_tts_deadlines": ("far_more", "audio_without_end"),
            "protocol/test_stt": ("an_endless",),
            "protocol/test_stt_deadlines": ("transcripts_without",),
            "manifest/test_reading": ("memory",),
            "manifest/test_refused_manifests": ("an_endless_row", "a_decompression"),
        },
    ),
    Row(
        (15,),
        "SIGINT, SIGTERM, SIGHUP: once, twice, while planning, while writing results, nohup",
        "real signals",
        {
            SIGNALS: ("a_signal", "the_grace", "a_second", "what_nohup"),
            "runner/test_stopping": ("the_first_signal", "after_the_grace", "a_third"),
        },
    ),
    Row(
        (15,),
        "stdout, stderr: closed, full, left",
        ">&-, /dev/full, head",
        {SIGNALS: ("looking", "a_run_does", "what_is_refused")},
    ),
    Row(
        (16,),
        "clock set forth and back",
        "eight steps a second; no import of it",
        {CLOCK: ("a_clock", "only_display")},
    ),
    Row(
        (17, 18, 19),
        "hostile manifests",
        "corpus; Hypothesis",
        {
            CORPUS: ("every_hostile_manifest",),
            "manifest/test_any_manifest": ("any_bytes", "csv_comes", "two_stray"),
            "manifest/test_reading": ("gzip",),
            "manifest/test_refused_manifests": ("a_decompression",),
        },
    ),
    Row(
        (17,),
        "texts of anything, spoken and heard again",
        "corpus, in a run",
        {CORPUS: ("texts_are",)},
    ),
    Row(
        (17, 18, 20, 21),
        "generated input of ten kinds",
        "generators with a judge each",
        {GENERATE: ("generated",)},
    ),
    Row(
        (20,),
        "hostile recordings",
        "corpus, also in a run; mutations",
        {
            CORPUS: ("every_hostile_recording", "a_manifest_of"),
            "audio/test_header": ("hostile", "every_truncation", "mutated", "random"),
        },
    ),
    Row(
        (12, 13),
        "hostile messages of a service",
        "corpus, whole sessions",
        {CORPUS: ("every_hostile_message",)},
    ),
    Row(
        (21,),
        "hostile ids, outputs, paths, links",
        "corpus in a run; links put there in mid-run",
        {
            CORPUS: ("hostile_names", "file_names"),
            SECURITY: ("no_path",),
            DISK: ("results_are",),
        },
    ),
    Row(
        (22,),
        "keys in streams, logs, files, argv, tracebacks, children",
        "canaries: in runs, and over the whole suite",
        {
            SECURITY: ("a_key_is", "a_key_in", "a_key_that"),
            "test_canary": ("",),
            "session/test_keys": ("the_key_travels",),
        },
    ),
    Row(
        (23,),
        "expired, foreign, self-signed certificates; redirects; ws://",
        "real sockets and TLS",
        {
            SECURITY: ("no_key_goes", "redirects", "a_key_goes"),
            "session/test_keys": ("the_key_goes",),
        },
    ),
    Row(
        (25,),
        "the local server: token, Host, Origin, n-1, n, n+1, half-open, idle",
        "real sockets",
        {
            "server/test_handshakes": (
                "a_wrong_key",
                "a_first_message_without",
                "a_foreign_host",
                "compression",
                "what_is_no_handshake",
            ),
            "server/test_limits": (
                *("one_session_more", "more_sessions", "connections_that", "a_speech_client"),
                *("an_idle", "a_message_over", "a_huge", "a_text_over"),
                *("a_recording_over",),
            ),
            "server/test_admission": ("",),
        },
    ),
)
"""All but promise 24, whose subject, the report, has tests of its own."""


MISTAKES = (
    Mistake(
        "the folder's fsync left out",
        "power cuts: done, and the file is gone",
        {POWER: ("a_run_that_does_not_wait_for_the_disk_is_noticed[no-folder-sync",)},
    ),
    Mistake(
        "the slot released early",
        "a kill on a slow disk loses more paid sessions than were open",
        {CRASH: ("a_slot_released_before",)},
    ),
    Mistake(
        "a close with 1000 trusted",
        "the state machine finds truncated results",
        {STATE: ("trust_in_a_normal",)},
    ),
    Mistake(
        "retry by exact class",
        "the state machine misses jobs",
        {STATE: ("retries_by_exact",), "runner/test_reactions": ("a_subclass",)},
    ),
    Mistake(
        "resume by row number",
        "the state machine finds other rows' results",
        {STATE: ("a_resume_by",)},
    ),
    Mistake(
        "a torn tail glued",
        "kills at fsyncs leave files with another content",
        {CRASH: ("a_torn_tail",)},
    ),
    Mistake(
        "attempts not counted before they start",
        "a fourth session of a job that crashes; power cuts",
        {
            CRASH: ("attempts_counted_after",),
            POWER: ("a_run_that_does_not_wait_for_the_disk_is_noticed[attempts",),
        },
    ),
    Mistake(
        "what is in doubt moved before the commit that accepts it",
        "kills at fsyncs of `accept`: it is in no place that is known",
        {DOUBT: ("an_accept_that",)},
    ),
    Mistake(
        "the better of two in doubt written over the other",
        "kills at fsyncs of a retry: the record of one with the file of the other",
        {DOUBT: ("a_better_one",)},
    ),
    Mistake(
        "what is in doubt bought by each run, or kept under its final name; accepted unseen",
        "the state machine",
        {STATE: ("buying_again", "what_is_in_doubt", "an_accept_that")},
    ),
    Mistake(
        "the folder's fsync left out of an accept",
        "power cuts: accepted, and the file is gone",
        {POWER: ("an_accept_that",)},
    ),
    Mistake(
        "the wall clock in a limiter",
        "a clock that is set holds a run up",
        {CLOCK: ("a_clock_that_is_set_holds_nothing_up[steps-and",)},
    ),
    Mistake(
        "a budget settled only after",
        "the ledger shows more than the budget",
        {"runner/test_budget": ("a_budget_that_is_settled",)},
    ),
    Mistake(
        "a key in a log line",
        "the canary; also in anything that the suite writes",
        {
            SECURITY: ("a_key_is_in_nothing_that_a_run_writes[query-key-logged",),
            "test_canary": ("a_planted_leak",),
        },
    ),
    # -- the ten that were asked for end here
    Mistake(
        "a file's fsync left out",
        "power cuts",
        {POWER: ("a_run_that_does_not_wait_for_the_disk_is_noticed[no-file-sync",)},
    ),
    Mistake(
        "commit before rename",
        "power cuts; kills at renames",
        {
            CRASH: ("a_commit_before",),
            POWER: ("a_run_that_does_not_wait_for_the_disk_is_noticed[commit-first",),
        },
    ),
    Mistake(
        "commits not synced",
        "power cuts",
        {POWER: ("a_run_that_does_not_wait_for_the_disk_is_noticed[commits-not",)},
    ),
    Mistake("errors of the disk unheard", "strace inject", {DISK: ("a_runner_that",)}),
    Mistake(
        "links followed",
        "a folder swapped in mid-run",
        {
            DISK: (
                "results_are_never_written_through_a_link_put_there_between_runs[links",
                "results_are_never_written_through_a_link_put_there_in_mid_run[links",
            )
        },
    ),
    Mistake(
        "no files kept for the disk",
        "RLIMIT_NOFILE",
        {DISK: ("connections_leave_files_for_the_disk[no files",)},
    ),
    Mistake("no lock", "a second run is let in", {STATE: ("a_folder_without",)}),
    Mistake(
        "copies taken unseen; each failed copy bought",
        "the state machine",
        {STATE: ("copies_of", "failed_copies")},
    ),
    Mistake(
        "refusals not heeded",
        "a tenth of all sessions and more refused",
        {"runner/test_adaptive_run": ("a_run_that_learns",)},
    ),
    Mistake(
        "no breaker; outages held against jobs; no retry budget",
        "probes, failed jobs, attempts counted",
        {
            "runner/test_outages": ("an_outage_that",),
            "runner/test_retry_budget": ("retries_without",),
        },
    ),
    Mistake(
        "a service's words told as they came",
        "the canary",
        {SECURITY: ("a_key_that_a_service_says_aloud_is_struck_out[message-key-echoed",)},
    ),
    Mistake(
        "signals in planning and in writing results; nohup's undone",
        "folders left, results half written, a run ended",
        {
            SIGNALS: (
                "a_signal_while_it_plans_leaves_nothing_behind[15",
                "a_signal_while_the_results_are_written_lets_them_be_written[15-results",
                "what_nohup_switched_off_stays_off[never",
                "sessions_that_are_cut",
            )
        },
    ),
    Mistake("plain prints", "/dev/full spoils the exit code", {SIGNALS: ("a_command_that",)}),
    Mistake(
        "quotes that swallow rows, lenient JSON, paths not followed, texts in NFC or stripped",
        "corpus; generators",
        {
            CORPUS: ("a_reader", "paths_that", "texts_that"),
            GENERATE: ("a_sender", "a_reader"),
        },
    ),
)
TEN = MISTAKES[:10]
"""The ten that were asked for by name."""


class Collector:
    """Takes what the tests of a session have counted."""

    def __init__(self) -> None:
        self.figures: dict[str, Counter[str]] = {}
        self.outcomes: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take one test's."""
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.nodeid] = report.outcome
            self.figures[report.nodeid] = Counter(
                {name: number for name, number in report.user_properties if isinstance(number, int)}
            )

    def line(self, row: Row) -> str:
        """Make a line of the table."""
        names = [name for name in self.outcomes if row.holds(name)]
        figures: dict[str, int] = {}
        cases = 0
        for name in names:
            cases += self.figures[name]["cases"] or 1
            for figure, number in self.figures[name].items():
                figures[figure] = figures.get(figure, 0) + number
        shown = [
            f"{figures[name]:,}" if name in figures else "–"
            for name in ("runs", "lost", "repeated", "corrupt")
        ]
        outcomes = Counter(self.outcomes[name] for name in names)
        status = "BROKEN" if outcomes["failed"] or not names else "kept"
        status += f", {outcomes['skipped']} skipped" if outcomes["skipped"] else ""
        promises = ", ".join(map(str, row.promises))
        where = ", ".join(f"`{file}`" for file in row.tests)
        cells = (promises, row.fault, f"{row.how}: {where}", f"{len(names):,}", f"{cases:,}")
        return f"| {' | '.join((*cells, *shown, status))} |"

    def mistake_line(self, mistake: Mistake) -> str:
        """Make a line of the table of mistakes."""
        names = [name for name in self.outcomes if mistake.holds(name)]
        outcomes = Counter(self.outcomes[name] for name in names)
        status = "caught" if outcomes["passed"] == len(names) > 0 else "MISSED"
        where = ", ".join(
            f"`{file}`: {', '.join(map(_shown, starts))}" for file, starts in mistake.tests.items()
        )
        return f"| {mistake.what} | {mistake.seen} | {where} | {status} |"


def _shown(start: str) -> str:
    """Name a test in few words: for a case of one, the case."""
    name, _, case = start.partition("[")
    return f"[{case}…]" if case else name.replace("_", " ") + "…"


def _wanted() -> Iterator[str]:
    for file in dict.fromkeys(file for row in (*ROWS, *MISTAKES) for file in row.tests):
        yield f"tests/{file}.py"


def _is_named(nodeid: str) -> bool:
    return any(row.holds(nodeid) for row in (*ROWS, *MISTAKES))


class _Chooser:
    """Leaves out the tests that no row names."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if _is_named(item.nodeid)]


def main() -> int:
    """Run the tests and print the table."""
    from tests.faults.crash import commit_id

    collector = Collector()
    plugins = [collector, _Chooser()]
    words = ["-q", "--no-header", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
    code = pytest.main([*words, *_wanted()], plugins=plugins)
    print(f"\ncommit {commit_id()}\n\n{HEADER}")
    for row in ROWS:
        print(collector.line(row))
    print("\n| mistake | gives itself away by | tests | status |\n|---|---|---|---|")
    for mistake in MISTAKES:
        print(collector.mistake_line(mistake))
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
