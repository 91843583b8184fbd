"""What a failure means, for the service, the job and the run: facts in, decisions out.

Nothing here waits, looks at a clock, or changes anything; `Worker` carries the decisions out.
"""

import enum
import random
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import msgspec
from msgspec import structs

from batchjobs.errors import (
    BatchjobsError,
    LostError,
    MuteError,
    NotBegunError,
    Reaction,
    ServiceUnavailableError,
    SessionError,
    SuspectError,
)
from batchjobs.limits import Breaker, RetryPolicy
from batchjobs.session import CONNECTION_CODE, RECORDING_CODE

_ONE_MORE_TRY_CODES: Final = frozenset({"transcription_error"})
"""Failures told in free text, which may be for good: worth one more try, not more."""
_NOT_BEGUN_SECONDS: Final = 1.0
"""Before a session is ordered again that nobody has begun: its worker, or this process, has much to do."""
_MUTE_TEXTS: Final = 2
"""So many texts without any audio make a service mute that has spoken before."""


class Miss(NamedTuple):
    """A session that failed to reach the service.

    Attributes:
        at: When.
        account: With which of several accounts; empty for the only one.
    """

    at: float
    account: str = ""


class Tries(msgspec.Struct, frozen=True, kw_only=True):
    """What counts of the sessions that were opened for a ticket.

    Attributes:
        attempts: Sessions begun that count: not those that a service had no room for.
        throttled: Sessions that the service had no room for.
        codes: The codes of its failures.
        misses: Sessions that failed to reach the service, of which it is open whether that was an
            outage's fault.
        last_error: The last failure to reach the service.
    """

    attempts: int = 0
    throttled: int = 0
    codes: tuple[str, ...] = ()
    misses: tuple[Miss, ...] = ()
    last_error: SessionError | None = None

    @property
    def has_begun(self) -> bool:
        """Whether a session was opened in this run, or is known of earlier ones."""
        return bool(self.attempts or self.codes or self.throttled)

    def begin(self) -> "Tries":
        """Count a session that begins."""
        return structs.replace(self, attempts=self.attempts + 1)


class TicketFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision has to know of a ticket and its last session.

    Attributes:
        job: The job's id, for messages.
        tries: Its sessions so far, the last one included.
        was_connected: Whether the last one was taken by the service.
        is_as_before: Whether it brought what is kept in doubt already: one more would, too.
        can_be_retried: Whether the run can afford one more retry.
    """

    job: str
    tries: Tries
    was_connected: bool
    is_as_before: bool = False
    can_be_retried: bool = True


class ServiceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision has to know of a service, what the failure says of it included.

    Attributes:
        name: The provider's name, for messages.
        account: Which of several accounts the session was with; empty for the only one.
        has_others: Whether there are other accounts to go on with.
        now: The time.
        is_proven: Whether it has done useful work in this run.
        was_reached: Whether it has taken any session in this run.
        allowed: Sessions that may be open now.
        outage_seconds: How long it has been out of reach; 0 if it is not.
        outage_limit_seconds: After how long the run ends.
        mute_texts: Texts that it took and left without any audio, before it was proven.
        has_spoken: Whether it has given results to earlier runs in this folder.
        speaks_over_http: Whether texts are sent to it over HTTP.
    """

    name: str
    now: float
    is_proven: bool
    was_reached: bool
    allowed: int
    outage_seconds: float = 0.0
    outage_limit_seconds: float = float("inf")
    mute_texts: int = 0
    has_spoken: bool = False
    speaks_over_http: bool = False
    account: str = ""
    has_others: bool = False


class Contact(enum.Enum):
    """What a failed session says of its service."""

    UNKNOWN = enum.auto()
    REACHED = enum.auto()
    JUDGED = enum.auto()
    """It was reached and has judged the job, so it takes the key."""
    LOST = enum.auto()
    """It works for us, and could not be reached."""


# -- decisions -------------------------------------------------------------------------------------


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Try again after a while, at the expense of the run's budget of retries.

    Attributes:
        tries: What counts by now.
        wait_seconds: After how long.
        is_charged: Whether it is at that expense: the loss of a worker is no fault of the service.
    """

    tries: Tries
    wait_seconds: float
    is_charged: bool = True


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Try again after a while; whose fault it was shows a little later, and is charged then."""

    tries: Tries
    wait_seconds: float


class Throttle(msgspec.Struct, frozen=True, kw_only=True):
    """Lower the concurrency, and try again after a while; uses up no attempt.

    The job waits for `wait_seconds`, and all others for `pause_seconds`.
    """

    tries: Tries
    wait_seconds: float
    pause_seconds: float


class Fail(msgspec.Struct, frozen=True, kw_only=True):
    """Give up on a job.

    Attributes:
        error_class: The class by which the failure is counted and shown.
        code: The service's code, if it gave one.
        message: What happened; empty if nothing did that is not known already.
        is_passing: Whether the next run tries again by itself.
    """

    error_class: str
    code: str = ""
    message: str = ""
    is_passing: bool = False


class Leave(msgspec.Struct, frozen=True, kw_only=True):
    """Do without the account for the rest of the run; the job goes on at once, and uses up no attempt.

    Attributes:
        tries: What counts now.
        reason: Why the account is of no use.
    """

    tries: Tries
    reason: str


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """End the run: no other job could fare better."""

    error: BatchjobsError


Decision: TypeAlias = Retry | Hold | Throttle | Fail | Leave | Stop


# -- after an attempt ------------------------------------------------------------------------------


def react(
    ticket: TicketFacts,
    service: ServiceFacts,
    error: SessionError,
    policy: RetryPolicy,
    random_source: random.Random,
) -> Decision:
    """Decide what follows from a failed attempt.

    Args:
        ticket: Whose attempt.
        service: Whom it was made with.
        error: How it failed; a result in doubt is a `SuspectError`.
        policy: How many attempts there are, and how far apart.
        random_source: For the jitter of waits.
    """
    stop = find_stop(error) or _find_mute(ticket, service, error)
    if stop is not None:
        return _give_up(stop, ticket, service, error) if error.ends_account else stop
    if error.reaction is Reaction.THROTTLE or isinstance(error, NotBegunError):
        return _use_up_nothing(ticket.tries, service, error, policy)
    tries = structs.replace(ticket.tries, codes=(*ticket.tries.codes, error.code))
    wait = policy.wait_seconds(tries.attempts, error.retry_after_seconds, random_source)
    was_connected, is_proven = ticket.was_connected, service.is_proven
    contact = find_contact(error, was_connected=was_connected, is_proven=is_proven)
    if contact is Contact.LOST:
        undecided = (*tries.misses, Miss(service.now, service.account))
        tries = structs.replace(tries, misses=undecided, last_error=error)
        hold = Hold(tries=tries, wait_seconds=wait)
        outage = _find_outage(service, error)
        return hold if outage is None else _give_up(outage, ticket, service, error)
    is_worth_it = _is_worth_another(ticket, error, policy)
    is_charged = not isinstance(error, LostError)  # the service has no part in that
    if is_worth_it and (ticket.can_be_retried or not is_charged):
        return Retry(tries=tries, wait_seconds=wait if is_charged else 0.0, is_charged=is_charged)
    if _is_away(ticket, service, error):
        # No request differs from this one in what the service has seen of it.
        hint = "nothing was spent; check --base-url and the network, then run this again"
        stop = _stop(f"{service.name}: {error.message}", hint)
        return _give_up(stop, ticket, service, error)
    is_used_up = is_worth_it or tries.attempts >= policy.attempts
    return _fail(error, is_passing=error.reaction is Reaction.RETRY and is_used_up)


def find_stop(error: SessionError) -> Stop | None:
    """Decide whether an error alone says that no other job could fare better."""
    if error.reaction is not Reaction.STOP:
        return None
    return Stop(error=error.ends_as(error.message, hint=error.hint))


def find_contact(error: SessionError, *, was_connected: bool, is_proven: bool) -> Contact:
    """Say what a failed session shows of its service.

    Args:
        error: How it failed.
        was_connected: Whether the service took the connection.
        is_proven: Whether the service has done useful work before.
    """
    if error.reaction is Reaction.STOP or isinstance(error, LostError):
        return Contact.UNKNOWN
    if was_connected:
        is_judged = error.reaction is Reaction.FAIL and error.code != RECORDING_CODE
        return Contact.JUDGED if is_judged else Contact.REACHED
    # A refused handshake says nothing of the job: all others' are the same.
    is_lost = is_proven and error.reaction in {Reaction.RETRY, Reaction.FAIL}
    return Contact.LOST if is_lost else Contact.UNKNOWN


def _find_mute(ticket: TicketFacts, service: ServiceFacts, error: SessionError) -> Stop | None:
    """Decide whether a session without any audio shows that no other would have some.

    If the service has spoken to this run folder before, it may be the text: then another one has
    to be without audio, too.
    """
    enough = _MUTE_TEXTS if service.has_spoken else 1
    if not isinstance(error, MuteError) or service.is_proven or service.mute_texts < enough:
        return None
    name = service.name
    if service.speaks_over_http:
        return _stop(
            f"{name} took the text of '{ticket.job}', and {error.message}",
            f"try 'batchjobs probe {name}', another --model or --voice, or look at the service's "
            "status page; the other texts were not sent",
        )
    return _stop(
        f"{name} connected, initialised and took the text of '{ticket.job}', and {error.message}",
        f"hosted speech sockets have been seen to do so while HTTP speaks: put tts_transport = "
        f"\"http\" below [providers.{name}] in batchjobs.toml ('batchjobs probe {name}' tries both), "
        "or try another --model or --voice; the other texts were not sent",
    )


def _find_outage(service: ServiceFacts, error: SessionError) -> Stop | None:
    """Decide whether a service has been out of reach for too long."""
    limit = service.outage_limit_seconds
    if service.outage_seconds <= limit:
        return None
    shown = f"{service.name} has been out of reach for {limit:,.0f} s: {error.message}"
    return _stop(shown, "no job lost an attempt; run this again when it is back")


def _use_up_nothing(
    tries: Tries, service: ServiceFacts, error: SessionError, policy: RetryPolicy
) -> Throttle | Retry:
    """React to a session that came to nothing for want of room, or of time: it is no attempt."""
    if isinstance(error, NotBegunError):
        codes = (*tries.codes, error.code)
        tries = structs.replace(tries, attempts=tries.attempts - 1, codes=codes)
        return Retry(tries=tries, wait_seconds=_NOT_BEGUN_SECONDS, is_charged=False)
    tries = structs.replace(tries, attempts=tries.attempts - 1, throttled=tries.throttled + 1)
    pause = wait = policy.pause_seconds(tries.throttled, error.retry_after_seconds)
    if service.has_others:  # it need not wait for this one
        wait = policy.pause_seconds(tries.throttled, None)
    # Without its asking only this job waits: the cut alone frees enough room for the others, unless
    # one session is too many already.
    pauses_all = error.retry_after_seconds is not None or service.allowed == 1
    return Throttle(tries=tries, wait_seconds=wait, pause_seconds=pause if pauses_all else 0.0)


def _give_up(
    stop: Stop, ticket: TicketFacts, service: ServiceFacts, error: SessionError
) -> Leave | Stop:
    """Do without an account if there are others to go on with; else end the run."""
    if not service.has_others:
        return stop
    tries = ticket.tries
    codes = (*tries.codes, error.code)
    tries = structs.replace(tries, attempts=tries.attempts - 1, codes=codes)
    return Leave(tries=tries, reason=stop.error.message)


def _stop(shown: str, hint: str) -> Stop:
    return Stop(error=ServiceUnavailableError(shown, hint=hint))


def _fail(error: SessionError, *, is_passing: bool) -> Fail:
    return Fail(
        error_class=error.label, code=error.code, message=error.message, is_passing=is_passing
    )


def _is_worth_another(ticket: TicketFacts, error: SessionError, policy: RetryPolicy) -> bool:
    """Whether another attempt may bring something better."""
    tries = ticket.tries
    if error.reaction is not Reaction.RETRY or tries.attempts >= policy.attempts:
        return False
    is_final = error.code in _ONE_MORE_TRY_CODES and error.code in tries.codes
    return not (is_final or ticket.is_as_before)


def _is_away(ticket: TicketFacts, service: ServiceFacts, error: SessionError) -> bool:
    """Whether the service was never there for us."""
    if service.is_proven or isinstance(error, LostError):
        return False
    is_refused = error.reaction is Reaction.FAIL and not ticket.was_connected
    return is_refused or error.code == CONNECTION_CODE or not service.was_reached


# -- before an attempt -----------------------------------------------------------------------------


def settle_outages(
    tries: Tries, find_breaker: Callable[[str], Breaker], account: str = ""
) -> tuple[Tries, int]:
    """Excuse the failures to reach a service that were an outage's.

    An account that cannot be reached holds up no job which goes on with another: there it is excused at once.

    Args:
        tries: What counts so far.
        find_breaker: Finds what knows the outages of an account; it is only asked.
        account: With which the next session is.

    Returns:
        What counts now, and how many of the failures are the job's own, and to be charged.
    """
    undecided: list[Miss] = []
    excused = 0
    for miss in tries.misses:
        breaker = find_breaker(miss.account)
        is_away = breaker.is_open and miss.account != account
        if breaker.is_undecided(miss.at) and not is_away:
            undecided.append(miss)
        elif breaker.excuses(miss.at) or is_away:
            excused += 1
    charged = len(tries.misses) - len(undecided) - excused
    attempts = tries.attempts - excused
    return structs.replace(tries, attempts=attempts, misses=tuple(undecided)), charged


def find_failure(
    tries: Tries, policy: RetryPolicy, *, is_affordable: bool, is_kept: bool
) -> Fail | None:
    """Decide whether a job has no attempt left.

    Args:
        tries: What counts so far.
        policy: How many attempts there are.
        is_affordable: Whether the run could bear the retries that were charged.
        is_kept: Whether something of it is kept in doubt.
    """
    # As long as it is open whose fault a failure was, it is not held against the job.
    if is_affordable and tries.attempts - len(tries.misses) < policy.attempts:
        return None
    if tries.last_error is not None:
        return _fail(tries.last_error, is_passing=True)
    if is_kept:  # by a run that allowed more attempts
        return Fail(error_class=SuspectError.label)
    message = f"the process died in each of its last {tries.attempts} attempts"
    return Fail(error_class="crashed", message=message)
