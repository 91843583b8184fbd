"""The mistakes that are made on purpose, and the tests that notice each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Tests: TypeAlias = Mapping[str, tuple[str, ...]]
"""Files, each with the names in it that begin so; a parameter in brackets belongs to the name."""


def is_one_of(tests: Tests, nodeid: str) -> bool:
    """Say whether a test is among these."""
    path, _, name = nodeid.partition("::")
    name = name.removeprefix("test_")
    return any(
        path == f"tests/{file}.py" and any(name.startswith(start) for start in starts)
        for file, starts in tests.items()
    )


CRASH = "faults/test_crash"
POWER = "faults/test_power"
DISK = "faults/test_disk"
SECURITY = "faults/test_security"
SIGNALS = "faults/test_signals"
CORPUS = "faults/test_corpus"
STATE = "faults/test_state_machine"
CLOCK = "faults/test_clock"
GENERATE = "faults/test_generate"
DOUBT = "faults/test_doubt"


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
    tests: Tests

    @property
    def is_parameter(self) -> bool:
        """Whether a test makes it that in its other cases does not."""
        return any("[" in start for starts in self.tests.values() for start in starts)

    def holds(self, nodeid: str) -> bool:
        """Whether a test makes this mistake."""
        return is_one_of(self.tests, nodeid)


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
            f"{CORPUS}_manifests": ("a_reader", "paths_that"),
            CORPUS: ("texts_that",),
            GENERATE: ("a_sender", "a_reader"),
        },
    ),
)
