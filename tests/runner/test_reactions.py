"""What a failure means, as a table: facts of the job and of its service, and what is decided."""

import random
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from batchjobs.errors import (
    BatchjobsError,
    KeyRefusedError,
    LostError,
    MisconfiguredError,
    MuteError,
    NotBegunError,
    PermanentError,
    QuotaSpentError,
    ServiceUnavailableError,
    SessionError,
    StopError,
    SuspectError,
    ThrottledError,
    TimedOutError,
    TransientError,
    UntrustedError,
    WrongFormatError,
)
from batchjobs.limits import Breaker, RetryPolicy
from batchjobs.runner.reactions import (
    Contact,
    Decision,
    Fail,
    Hold,
    Leave,
    Miss,
    Retry,
    ServiceFacts,
    Stop,
    Throttle,
    TicketFacts,
    Tries,
    find_contact,
    find_failure,
    react,
    settle_outages,
)
from batchjobs.session import CONNECTION_CODE, RECORDING_CODE

NOW = 1_000.0
POLICY = RetryPolicy(attempts=5)
FRESH = ServiceFacts(name="quick", now=NOW, is_proven=False, was_reached=False, allowed=1)
REACHED = replace(FRESH, was_reached=True)
PROVEN = replace(REACHED, is_proven=True, allowed=8)
ONE_OF_TWO = replace(PROVEN, account="A", has_others=True)
DAY_SECONDS = 86_400.0

FIRST = Tries(attempts=1)
LAST = Tries(attempts=5)


def tried(*codes: str, attempts: int = 2, throttled: int = 0) -> Tries:
    """Make what counts of a job that has failed with these codes before."""
    return Tries(attempts=attempts, codes=codes, throttled=throttled)


def ticket(tries: Tries = FIRST, **others: bool) -> TicketFacts:
    """Make the facts of a job whose session was connected."""
    return TicketFacts(job="a", tries=tries, **{"was_connected": True} | others)


def outside(tries: Tries = FIRST, **others: bool) -> TicketFacts:
    """Make the facts of a job whose session never connected."""
    return ticket(tries, was_connected=False, **others)


def decide(facts: TicketFacts, service: ServiceFacts, error: SessionError) -> Decision:
    """Decide by the usual policy, with dice of its own."""
    return react(facts, service, error, POLICY, random.Random(7))


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    why: str
    error: SessionError
    expected: type[Decision]
    facts: TicketFacts = field(default_factory=ticket)
    service: ServiceFacts = PROVEN


UNKNOWN = TransientError("no", code="transcription_error")
NO_WAY = TransientError("no connection: refused", code=CONNECTION_CODE)
NOT_FOUND = PermanentError("the service answered 404", code="404")

TABLE = [
    # What a service that works answers.
    Case("a passing error", TransientError("x", code="50001"), Retry),
    Case("a passing error, once more", TransientError("x"), Retry, ticket(tried("", attempts=4))),
    Case("attempts used up", TransientError("x"), Fail, ticket(LAST)),
    Case("more attempts than there are", TransientError("x"), Fail, ticket(Tries(attempts=6))),
    Case("the run's retries used up", TransientError("x"), Fail, ticket(can_be_retried=False)),
    Case("a deadline", TimedOutError("x"), Retry),
    Case("a broken connection", TransientError("x", code="1006"), Retry),
    Case("a result in doubt", SuspectError("short"), Retry),
    Case("the same doubt again", SuspectError("short"), Fail, ticket(is_as_before=True)),
    Case("doubt in the last attempt", SuspectError("short"), Fail, ticket(LAST)),
    Case("a job that it will never take", PermanentError("x", code="40001"), Fail),
    Case("a damaged recording", PermanentError("x", code=RECORDING_CODE), Fail),
    Case("free text", UNKNOWN, Retry),
    Case("free text after another code", UNKNOWN, Retry, ticket(tried("50001"))),
    Case("free text again", UNKNOWN, Fail, ticket(tried("transcription_error"))),
    Case("free text again, later", UNKNOWN, Fail, ticket(tried("transcription_error", "50001"))),
    Case(
        "a code that says what it is, again",
        TransientError("x", code="50001"),
        Retry,
        ticket(tried("50001", "50001", attempts=3)),
    ),
    # What workers come to.
    Case("a worker that is lost", LostError("x"), Retry, outside()),
    Case("a worker lost, without retries", LostError("x"), Retry, outside(can_be_retried=False)),
    Case("a worker lost in the last attempt", LostError("x"), Fail, outside(LAST)),
    Case("a session that a worker has not begun", NotBegunError("x"), Retry, outside()),
    Case("not begun, in the last attempt", NotBegunError("x"), Retry, outside(LAST)),
    Case("not begun, by the first of all", NotBegunError("x"), Retry, outside(), FRESH),
    # No room.
    Case("too many sessions", ThrottledError("x", code="42901"), Throttle),
    Case("too many, in the last attempt", ThrottledError("x"), Throttle, ticket(LAST)),
    Case("too many, in the handshake", ThrottledError("x", code="429"), Throttle, outside()),
    Case("too many, at the very first", ThrottledError("x"), Throttle, outside(), FRESH),
    Case("no retries left", ThrottledError("x"), Throttle, ticket(can_be_retried=False)),
    # The key, the wallet and the certificate are the same for every job.
    Case("a refused key", StopError("x", code="401"), Stop, outside(), FRESH),
    Case("a key refused in the middle", StopError("x", code="40101"), Stop),
    Case("a spent balance", QuotaSpentError("x", code="402"), Stop),
    Case("an untrusted certificate", UntrustedError("x", code="tls"), Stop, outside(), FRESH),
    # With other accounts to go on with, what says nothing of them ends one.
    Case("one of two keys, refused", StopError("x", code="40101"), Leave, ticket(), ONE_OF_TWO),
    Case("one of two balances, spent", QuotaSpentError("x"), Leave, ticket(), ONE_OF_TWO),
    Case("one of two, not trusted", UntrustedError("x"), Leave, outside(), ONE_OF_TWO),
    Case("one of two, a wrong word", MisconfiguredError("x"), Stop, ticket(), ONE_OF_TWO),
    Case("one of two, a wrong format", WrongFormatError("x"), Stop, ticket(), ONE_OF_TWO),
    Case("one of two, away", NO_WAY, Hold, outside(), ONE_OF_TWO),
    Case(
        "one of two, away for too long",
        NO_WAY,
        Leave,
        outside(),
        replace(ONE_OF_TWO, outage_seconds=1_800.5, outage_limit_seconds=1_800.0),
    ),
    Case(
        "one of two, never there",
        NO_WAY,
        Leave,
        outside(LAST),
        replace(FRESH, account="A", has_others=True),
    ),
    # The handshake: before anything has worked it is the address, after that an outage.
    Case("no connection at first", NO_WAY, Retry, outside(), FRESH),
    Case("no connection, five times", NO_WAY, Stop, outside(LAST), FRESH),
    Case("no retries left at first", NO_WAY, Stop, outside(can_be_retried=False), FRESH),
    Case("no connection after a session", NO_WAY, Stop, outside(LAST), REACHED),
    Case("a refused handshake at first", NOT_FOUND, Stop, outside(), FRESH),
    Case("a refused handshake after a session", NOT_FOUND, Stop, outside(), REACHED),
    Case("a broken handshake at first", TransientError("x", code="503"), Retry, outside(), FRESH),
    Case("broken five times", TransientError("x", code="503"), Stop, outside(LAST), FRESH),
    Case("broken after a session", TransientError("x", code="503"), Fail, outside(LAST), REACHED),
    Case("no connection any more", NO_WAY, Hold, outside()),
    Case("no connection in the last attempt", NO_WAY, Hold, outside(LAST)),
    Case("no connection, no retries left", NO_WAY, Hold, outside(can_be_retried=False)),
    Case("a broken handshake any more", TransientError("x", code="503"), Hold, outside()),
    Case("a refused handshake any more", NOT_FOUND, Hold, outside()),
    Case(
        "out of reach up to the limit",
        NO_WAY,
        Hold,
        outside(),
        replace(PROVEN, outage_seconds=900.0, outage_limit_seconds=900.0),
    ),
    Case(
        "out of reach for too long",
        NO_WAY,
        Stop,
        outside(),
        replace(PROVEN, outage_seconds=901.0, outage_limit_seconds=900.0),
    ),
    # Connected, initialised, and not a sound.
    Case("mute at first", MuteError("x"), Stop, service=replace(REACHED, mute_texts=1)),
    Case("mute, and has never worked in this run", MuteError("x"), Retry, service=REACHED),
    Case(
        "mute, but has spoken in this folder",
        MuteError("x"),
        Retry,
        service=replace(REACHED, mute_texts=1, has_spoken=True),
    ),
    Case(
        "mute for two texts",
        MuteError("x"),
        Stop,
        service=replace(REACHED, mute_texts=2, has_spoken=True),
    ),
    Case("mute, and speaks in this run", MuteError("x"), Retry),
]


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.why)
def test_what_is_decided(case: Case) -> None:
    """Each failure leads to one decision, whatever the dice say."""
    assert type(decide(case.facts, case.service, case.error)) is case.expected


def test_a_subclass_is_treated_like_its_parent() -> None:
    """The decision goes by what an error says of itself, not by its exact class."""

    class OddError(TimedOutError):
        """Some finer kind."""

    assert isinstance(decide(ticket(), PROVEN, OddError("x")), Retry)


@pytest.mark.parametrize(
    ("facts", "error", "is_passing"),
    [
        (ticket(LAST), TransientError("x", code="50001"), True),
        (ticket(can_be_retried=False), TransientError("x"), True),
        (ticket(LAST), SuspectError("short"), True),
        (ticket(LAST), PermanentError("x", code="40001"), False),
        (ticket(tried("transcription_error")), UNKNOWN, False),
        (ticket(tried("transcription_error", attempts=5)), UNKNOWN, True),
    ],
)
def test_whether_the_next_run_tries_again(
    facts: TicketFacts, error: SessionError, *, is_passing: bool
) -> None:
    """It does where only attempts were lacking; what failed says what it was."""
    assert decide(facts, PROVEN, error) == Fail(
        error_class=error.label, code=error.code, message=error.message, is_passing=is_passing
    )


def test_a_retry_remembers_the_code() -> None:
    """The attempt counts, and its code decides about later ones."""
    decision = decide(ticket(tried("50001")), PROVEN, TransientError("x", code="1006"))
    assert isinstance(decision, Retry)
    assert decision.tries == tried("50001", "1006")
    assert 0.2 <= decision.wait_seconds <= 2.0


def test_an_attempt_that_cannot_reach_the_service_is_held_in_the_balance() -> None:
    """Its time decides later whether it was an outage's, and its error is told if it was not."""
    decision = decide(outside(), PROVEN, NO_WAY)
    assert isinstance(decision, Hold)
    assert decision.tries == Tries(
        attempts=1, codes=(CONNECTION_CODE,), misses=(Miss(NOW),), last_error=NO_WAY
    )
    assert 0.1 <= decision.wait_seconds <= 1.0


@pytest.mark.parametrize(
    ("asked", "low", "high"),
    [
        (None, 0.1, 1.0),
        (7.0, 7.0, 7.5),
        (0.0, 0.0, 0.5),
        (DAY_SECONDS, 3_600.0, 3_600.5),
    ],
)
def test_how_long_a_retry_waits(asked: float | None, low: float, high: float) -> None:
    """As long as the service asks, up to an hour, or by our own arithmetic."""
    decision = decide(ticket(), PROVEN, TransientError("x", retry_after_seconds=asked))
    assert isinstance(decision, Retry)
    assert low <= decision.wait_seconds <= high


@pytest.mark.parametrize(
    ("asked", "allowed", "throttled", "wait", "pause"),
    [
        (None, 8, 0, 2.0, 0.0),  # only this job waits: the cut makes room for the others
        (None, 8, 1, 4.0, 0.0),
        (None, 8, 5, 60.0, 0.0),
        (None, 8, 500, 60.0, 0.0),
        (None, 1, 0, 2.0, 2.0),  # one session is too many already: nothing starts
        (3.0, 8, 4, 3.0, 3.0),  # asked for: nothing starts either
        (0.0, 8, 0, 0.5, 0.5),  # at once would hammer
        (-5.0, 8, 0, 0.5, 0.5),
        (DAY_SECONDS, 8, 0, 3_600.0, 3_600.0),  # after a day nobody would be awake
    ],
)
def test_how_long_a_throttled_job_and_its_service_wait(
    asked: float | None, allowed: int, throttled: int, wait: float, pause: float
) -> None:
    """The job doubles its own waits; the others wait if the service asks, or has no room at all."""
    error = ThrottledError("x", retry_after_seconds=asked)
    facts = ticket(tried("50001", attempts=3, throttled=throttled))
    assert decide(facts, replace(PROVEN, allowed=allowed), error) == Throttle(
        tries=tried("50001", attempts=2, throttled=throttled + 1),
        wait_seconds=wait,
        pause_seconds=pause,
    )


@pytest.mark.parametrize(
    ("facts", "service", "error", "kind", "shown"),
    [
        (ticket(), PROVEN, StopError("no key", hint="h"), KeyRefusedError, "no key; h"),
        (ticket(), PROVEN, QuotaSpentError("spent"), ServiceUnavailableError, "spent"),
        (outside(), FRESH, UntrustedError("tls"), ServiceUnavailableError, "tls"),
        (outside(), FRESH, NOT_FOUND, ServiceUnavailableError, "quick: the service answered 404"),
        (
            outside(),
            replace(PROVEN, outage_seconds=1_800.5, outage_limit_seconds=1_800.0),
            NO_WAY,
            ServiceUnavailableError,
            "quick has been out of reach for 1,800 s: no connection: refused",
        ),
        (
            ticket(),
            replace(REACHED, mute_texts=1),
            MuteError("no audio came"),
            ServiceUnavailableError,
            (
                "quick connected, initialised and took the text of 'a', and no audio came; hosted speech "
                'sockets have been seen to do so while HTTP speaks: put tts_transport = "http" below '
                "[providers.quick] in batchjobs.toml ('batchjobs probe quick' tries both)"
            ),
        ),
        (
            ticket(),
            replace(REACHED, mute_texts=1, speaks_over_http=True),
            MuteError("no audio came"),
            ServiceUnavailableError,
            "quick took the text of 'a', and no audio came; try 'batchjobs probe quick', another ",
        ),
    ],
)
def test_what_a_run_ends_with(
    facts: TicketFacts,
    service: ServiceFacts,
    error: SessionError,
    kind: type[BatchjobsError],
    shown: str,
) -> None:
    """The error has the exit code of its kind, and says what happened."""
    decision = decide(facts, service, error)
    assert isinstance(decision, Stop)
    assert type(decision.error) is kind
    assert str(decision.error).startswith(shown)


@pytest.mark.parametrize(
    ("error", "was_connected", "is_proven", "expected"),
    [
        (TransientError("x"), True, False, Contact.REACHED),
        (TransientError("x"), True, True, Contact.REACHED),
        (ThrottledError("x"), True, True, Contact.REACHED),
        (ThrottledError("x"), False, True, Contact.UNKNOWN),
        (PermanentError("x", code="40001"), True, False, Contact.JUDGED),
        (PermanentError("x", code=RECORDING_CODE), True, False, Contact.REACHED),
        (NOT_FOUND, False, False, Contact.UNKNOWN),
        (NOT_FOUND, False, True, Contact.LOST),
        (NO_WAY, False, False, Contact.UNKNOWN),
        (NO_WAY, False, True, Contact.LOST),
        (StopError("x"), True, True, Contact.UNKNOWN),
        (StopError("x"), False, False, Contact.UNKNOWN),
    ],
)
def test_what_a_failure_says_of_its_service(
    error: SessionError, *, was_connected: bool, is_proven: bool, expected: Contact
) -> None:
    """It was there, it took the key as well, it is lost, or nothing is known."""
    assert find_contact(error, was_connected=was_connected, is_proven=is_proven) is expected


def outage(*failed_at: float, ended_at: float | None = None) -> Breaker:
    """Make a breaker that has seen these failures in a row."""
    breaker = Breaker()
    for at in failed_at:
        breaker.add_failure(at)
    if ended_at is not None:
        breaker.add_contact(ended_at, began_at=ended_at)
    return breaker


@pytest.mark.parametrize(
    ("breaker", "attempts", "undecided", "charged"),
    [
        (outage(1.0, 2.0, 3.0, 4.0, 5.0), 3, (2.0, 4.0), 0),  # open: nobody knows yet
        (outage(1.0, 2.0, 3.0, 4.0, 5.0, ended_at=9.0), 1, (), 0),  # an outage's fault
        (outage(1.0, 2.0, 3.0, 4.0, ended_at=9.0), 3, (), 2),  # none: the job's own
        (outage(2.0), 3, (2.0, 4.0), 0),
        (outage(3.0), 3, (4.0,), 1),
    ],
)
def test_failures_to_reach_a_service_are_excused_or_charged(
    breaker: Breaker, attempts: int, undecided: tuple[float, ...], charged: int
) -> None:
    """Each once it shows whose fault it was; an excused one gives its attempt back."""
    tries = Tries(attempts=3, misses=(Miss(2.0), Miss(4.0)), codes=("a", "b"))
    assert settle_outages(tries, lambda _: breaker) == (
        replace(tries, attempts=attempts, misses=tuple(map(Miss, undecided))),
        charged,
    )


@pytest.mark.parametrize(
    ("tries", "is_affordable", "is_kept", "expected"),
    [
        (Tries(), True, False, None),
        (Tries(attempts=4), True, False, None),
        (
            Tries(attempts=5),
            True,
            False,
            Fail(error_class="crashed", message="the process died in each of its last 5 attempts"),
        ),
        (Tries(attempts=5), True, True, Fail(error_class="suspect")),
        (Tries(attempts=5, misses=(Miss(1.0),), last_error=NO_WAY), True, False, None),
        (
            Tries(attempts=5, last_error=NO_WAY),
            True,
            True,
            Fail(
                error_class="transient",
                code=CONNECTION_CODE,
                message=NO_WAY.message,
                is_passing=True,
            ),
        ),
        (
            Tries(attempts=1, last_error=NO_WAY),
            False,
            False,
            Fail(
                error_class="transient",
                code=CONNECTION_CODE,
                message=NO_WAY.message,
                is_passing=True,
            ),
        ),
    ],
)
def test_when_a_job_has_no_attempt_left(
    tries: Tries, *, is_affordable: bool, is_kept: bool, expected: Fail | None
) -> None:
    """Not while it is open whose fault a failure was; what is told is the last that is known."""
    found = find_failure(tries, POLICY, is_affordable=is_affordable, is_kept=is_kept)
    assert found == expected


# -- several accounts ----------------------------------------------------------------------------


def test_an_account_that_ends_costs_its_job_no_attempt() -> None:
    """The session is not counted, and that the job has begun is still known."""
    decision = decide(ticket(), ONE_OF_TWO, StopError("x", code="40101"))
    assert decision == Leave(tries=Tries(attempts=0, codes=("40101",)), reason="x")
    assert decision.tries.has_begun


def test_a_job_does_not_wait_for_an_account_that_asks_for_a_pause() -> None:
    """The account is let alone for so long; the job may go to another."""
    error = ThrottledError("x", retry_after_seconds=600.0)
    alone, shared = decide(ticket(), PROVEN, error), decide(ticket(), ONE_OF_TWO, error)
    assert isinstance(alone, Throttle)
    assert isinstance(shared, Throttle)
    assert alone.pause_seconds == shared.pause_seconds == alone.wait_seconds == 600.0
    assert shared.wait_seconds < 60.0


def test_an_account_s_outage_is_excused_as_soon_as_another_goes_on() -> None:
    """With the same one it stays open whose fault it was, until it is back."""
    breakers = {"A": Breaker(), "B": Breaker()}
    for _ in range(5):
        breakers["A"].add_failure(NOW)
    tries = Tries(attempts=3, misses=(Miss(NOW, "A"), Miss(NOW, "B")), codes=("a", "b"))
    settled, charged = settle_outages(tries, breakers.__getitem__, "B")
    assert (settled.attempts, settled.misses, charged) == (2, (), 1)
    settled, charged = settle_outages(tries, breakers.__getitem__, "A")
    assert (settled.attempts, settled.misses, charged) == (3, (Miss(NOW, "A"),), 1)


def test_what_no_worker_has_begun_uses_up_nothing() -> None:
    """Neither an attempt nor a retry of the run's; a lost session uses up one attempt."""
    for error, attempts in ((NotBegunError("x"), 0), (LostError("x"), 1)):
        decision = decide(outside(), PROVEN, error)
        assert isinstance(decision, Retry)
        assert (decision.tries.attempts, decision.is_charged) == (attempts, False)
        assert decision.tries.has_begun
