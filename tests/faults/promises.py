"""The promises, what is done to each, and by which tests."""

from dataclasses import dataclass

from tests.faults.mistakes import (
    CLOCK,
    CORPUS,
    CRASH,
    DISK,
    DOUBT,
    GENERATE,
    MISTAKES,
    POWER,
    SECURITY,
    SIGNALS,
    STATE,
    Tests,
    is_one_of,
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
    tests: Tests

    def holds(self, nodeid: str) -> bool:
        """Whether a test is one of this row's, and none that makes a mistake."""
        return is_one_of(self.tests, nodeid) and not any(
            mistake.is_parameter and mistake.holds(nodeid) for mistake in MISTAKES
        )


ROWS = (
    Row(
        (1,), "SIGKILL at any time", "real commands, random moments", {CRASH: ("kills_at_random",)}
    ),
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
            STATE: ("of_each_pair",),
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
            f"{CORPUS}_manifests": ("every_hostile_manifest",),
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
        {f"{CORPUS}_messages": ("every_hostile_message",)},
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
            "faults/test_tls": ("no_key_goes", "redirects", "a_key_goes"),
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
