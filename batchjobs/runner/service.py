"""What a run knows of a service by one account: who is open, how many may be, and whether it is there."""

import logging
import math
from collections.abc import Callable, Sequence
from typing import Final, Self

import msgspec
import trio

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.errors import SessionError
from batchjobs.jobs import Kind, Segment
from batchjobs.limits import (
    Breaker,
    Budget,
    ConcurrencyLimit,
    HandshakeRefusals,
    LatencyDrift,
    Price,
)
from batchjobs.options import Options
from batchjobs.plausibility.clips import SpeechJudge
from batchjobs.plausibility.transcripts import TranscriptJudge
from batchjobs.progress import Observer, ServiceBack, ServiceLost, SlowedDown
from batchjobs.protocol.stt import SttResult
from batchjobs.providers import Provider
from batchjobs.runner.learnt import Learnt
from batchjobs.runner.reactions import Contact, ServiceFacts, find_contact
from batchjobs.runner.sessions import Asked, Elsewhere, Result, Session
from batchjobs.session import (
    ConnectionPool,
    Endpoint,
    HttpLine,
    hear_segment,
    speak_segment,
)

_logger = logging.getLogger(__name__)
_AUTO_INITIAL: Final = 4
_AUTO_MAXIMUM: Final = 256


class OwnLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one of several accounts may do by itself.

    Attributes:
        concurrency: Sessions open at once with it; 0 for as many as the provider may have.
        budget: What may be spent with it; None for no limit of its own.
    """

    concurrency: int = 0
    budget: Budget | None = None

    @property
    def is_spent(self) -> bool:
        """Whether its budget was found to have no room."""
        return self.budget is not None and self.budget.is_given_up


class Slot:
    """A place among a service's open sessions, with the price that is set aside for it.

    It is taken once and let go once; ``with slot:`` lets it go at the end, if nothing did before.

    Args:
        service: Among whose sessions it is.
        budgets: Where the price is set aside.
        price: What the session costs at most.
        let_go: Called when the slot is let go.
    """

    def __init__(
        self,
        service: "Service",
        budgets: Sequence[Budget],
        price: Price,
        let_go: Callable[[], None],
    ) -> None:
        self.service = service
        self._budgets = budgets
        self._price: Price | None = price
        self._let_go: Callable[[], None] | None = let_go

    def __enter__(self) -> Self:
        """Hold it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let it go."""
        self.let_go()

    def settle(self, cost: Price) -> None:
        """Count what the session has cost, in place of what was set aside."""
        if self._price is not None:
            for budget in self._budgets:
                budget.settle(self._price, cost)
            self._price = None

    def let_go(self) -> None:
        """Let another session begin, and give back what was set aside and not spent."""
        self.settle(Price())
        if self._let_go is not None:
            self._let_go()
            self._let_go = None


class Service:
    """What the run knows of a service as it goes, by one of the accounts with it.

    Args:
        endpoint: The way to it, with that account.
        options: The run's.
        budget: What the run may spend.
        own: What the account itself may do, where there are several; None for the only one.
        learnt: What is learnt of the service, by whichever account; None for what only this one learns.
        tell: Called with an event when the service is lost, is back, or has too little room.
        notify: Called when another session may be able to start.
        elsewhere: Makes sessions that other processes run; None to run them here.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        options: Options,
        *,
        budget: Budget,
        tell: Observer,
        notify: Callable[[], None],
        own: OwnLimits | None = None,
        learnt: Learnt | None = None,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        provider = endpoint.provider
        self.endpoint = endpoint
        self.learnt = learnt or Learnt(provider)
        self.account = endpoint.account if own else ""
        """Which of several; empty for the only one."""
        self.own = own or OwnLimits()
        asked = self._choose_concurrency(options)
        self.most = asked or _AUTO_MAXIMUM
        self._limit = ConcurrencyLimit(maximum=self.most, initial=asked or _AUTO_INITIAL)
        self.breaker = Breaker()
        self.pool = ConnectionPool(endpoint, self._may_open_another) if options.preopen else None
        self.http = HttpLine(endpoint) if provider.speaks_over_http else None
        self._budget = budget
        self._tell = tell
        self._notify = notify
        self._elsewhere = elsewhere
        self._is_adaptive = not asked
        self._drift = LatencyDrift()
        self._refusals = HandshakeRefusals()
        self._active = 0
        self._is_probing = False
        self._is_proven = False

    @property
    def name(self) -> str:
        """The provider's name."""
        return self.endpoint.provider.name

    @property
    def active(self) -> int:
        """Sessions that hold a slot."""
        return self._active

    @property
    def is_proven(self) -> bool:
        """Whether it has done useful work in this run, with this account."""
        return self._is_proven

    def limit_concurrency(self, options: Options) -> None:
        """Let other options say how many sessions may be open; those that are open go on.

        To find out how many the service takes begins with as many as are open now.
        """
        asked = self._choose_concurrency(options)
        self.most = asked or _AUTO_MAXIMUM
        initial = asked or max(_AUTO_INITIAL, self._active)
        limit = ConcurrencyLimit(maximum=self.most, initial=initial)
        limit.resume(self._limit.hold_until)  # a pause that the service asked for stays
        self._limit = limit
        self._is_adaptive = not asked
        self.rest_pool()
        self._notify()

    def _choose_concurrency(self, options: Options) -> int:
        """Give the sessions that may be open; 0 to find out how many the service takes."""
        asked = ask_concurrency(self.endpoint.provider, options)
        own = self.own.concurrency
        return min(asked, own) if asked and own else asked or own

    # -- who may start --------------------------------------------------------------------------

    def is_ready(self, now: float) -> bool:
        """Whether a session may start now."""
        return self.has_room(now) and now >= self.not_before

    def has_room(self, now: float) -> bool:
        """Whether one more session may open.

        The first goes alone, it may be the key's last; and in an outage one at a time looks
        whether it is over.
        """
        if self.breaker.is_open:
            return not self._is_probing
        allowed = self._limit.room(now) if self._is_proven else 1
        return self._active < (allowed if self.pool is None else max(1, allowed // 2))

    def room(self, now: float) -> int:
        """How many more sessions may open; one, where it is to be seen whether any may."""
        if not self.has_room(now):
            return 0
        return 1 if self.is_in_question else self._limit.room(now) - self._active

    @property
    def is_in_question(self) -> bool:
        """Whether it is to be seen if it works: it has not yet done so, or cannot be reached."""
        return self.breaker.is_open or not self._is_proven

    @property
    def not_before(self) -> float:
        """No session may start before this time."""
        return max(self._limit.hold_until, self.breaker.next_probe_at)

    def take_slot(self, now: float, price: Price) -> Slot:
        """Count a session that starts now.

        Args:
            now: The time.
            price: What is set aside for it, in the run's budget and in the account's own.
        """
        own = self.own.budget
        budgets = [self._budget] if own is None else [self._budget, own]
        is_probe = self.breaker.is_open

        def let_go() -> None:
            self._active -= 1
            if is_probe:
                self._is_probing = False
            self._notify()

        self._active += 1
        self._is_probing = is_probe
        self._limit.add_start(now)
        return Slot(self, budgets, price, let_go)

    def _may_open_another(self, waiting: int) -> bool:
        """Whether the pool may open one more: at most one for each session, and all counted."""
        if self.breaker.is_open or not self._is_proven or waiting >= self._active:
            return False
        return self._active + waiting < self._limit.room(trio.current_time())

    def make_session(self, segment: Segment, audio: ReceivedAudio, output: str) -> Session:
        """Make a session, which is yet to be run: here, or elsewhere.

        Args:
            segment: What it is asked to do.
            audio: Where the audio goes that it receives here.
            output: The result's path below the run folder; empty if nothing of it is written.
        """
        if segment.kind is Kind.STT:
            heard = self.learnt.transcript_rates.make_judge(self.endpoint.provider.stt_model)
            settle_seconds = self.learnt.settle.next_seconds()
            if self._elsewhere is not None:
                asked = self._ask(segment, output, settle_seconds, heard)
                return self._elsewhere.make_session(asked)
            return hear_segment(
                self.endpoint,
                segment,
                judge=heard,
                settle_seconds=settle_seconds,
                pool=self.pool,
                on_proven=self.prove,
            )
        speech = segment.speech
        assert speech is not None
        voice = "/".join(filter(None, (speech.model_id, speech.voice_id, speech.dialect)))
        judge = self.learnt.speech_rates.make_judge(
            voice=voice, spoken=segment.text, speed=speech.speed
        )
        if self._elsewhere is not None:
            asked = self._ask(segment, output, self.learnt.quiet.seconds, judge)
            return self._elsewhere.make_session(asked)
        return speak_segment(
            self.http or self.endpoint,
            segment,
            judge=judge,
            audio=audio,
            quiet_seconds=self.learnt.quiet.seconds,
            pool=self.pool,
            on_proven=self.prove,
        )

    def _ask(
        self,
        segment: Segment,
        output: str,
        wait_seconds: float,
        judge: SpeechJudge | TranscriptJudge,
    ) -> Asked:
        ample_seconds = math.inf
        if isinstance(judge, SpeechJudge) and not self.endpoint.provider.close_drains:
            ample_seconds = judge.ample_seconds
        return Asked(
            provider=self.endpoint.name,
            segment=segment,
            output=output,
            wait_seconds=wait_seconds,
            ample_seconds=ample_seconds,
            judge=judge,
            on_proven=None if self._is_proven else self.prove,
        )

    def rest_pool(self) -> None:
        """Close all connections that wait for sessions; others may be opened again later."""
        if self.pool is not None:
            self.pool.rest()

    def close_pool(self) -> None:
        """Close all connections that wait for sessions, and open no more."""
        if self.pool is not None:
            self.pool.rest(math.inf)

    def price(self, characters: int, seconds: float, billed_seconds: float | None = None) -> Price:
        """What it costs to send so much.

        Args:
            characters: Of text.
            seconds: Of audio.
            billed_seconds: Of audio, as the service says itself; None if it does not.
        """
        paid = seconds if billed_seconds is None else billed_seconds
        money = self.endpoint.provider.cost_of(characters=characters, seconds=paid)
        return Price(money=money, characters=characters, audio_seconds=seconds)

    # -- what it is learnt from -----------------------------------------------------------------

    def prove(self) -> None:
        """Remember that it has done useful work."""
        self._is_proven = self.learnt.is_proven = True
        self._notify()

    def learn_failure(
        self, error: SessionError, *, was_connected: bool, began_at: float, now: float
    ) -> None:
        """Take into account what a failed session says of the service.

        Args:
            error: How it failed.
            was_connected: Whether it was connected.
            began_at: When it began.
            now: The time.
        """
        is_proven = self.learnt.is_proven
        contact = find_contact(error, was_connected=was_connected, is_proven=is_proven)
        if contact is Contact.LOST:
            self._lose(error, began_at=began_at, now=now)
        elif contact is not Contact.UNKNOWN:
            if contact is Contact.JUDGED:
                self._is_proven = self.learnt.is_proven = True
            self.reach(began_at=began_at, now=now)

    def reach(self, *, began_at: float, now: float) -> None:
        """Remember that it was there for a session that began then."""
        self.learnt.was_reached = True
        self._refusals.add(is_refused=False)
        if self.breaker.add_contact(now, began_at=began_at):
            self._limit.resume(now)
            self._tell(ServiceBack(provider=self.name, account=self.account))

    def _lose(self, error: SessionError, *, began_at: float, now: float) -> None:
        """Count a failure to reach it."""
        is_crowded = not self.breaker.is_open and self._refusals.add(is_refused=True)
        if is_crowded and self._is_adaptive:  # handshakes are refused in numbers
            self.throttle(error, began_at=began_at, now=now)
        if self.breaker.add_failure(now):
            self._tell(ServiceLost(provider=self.name, account=self.account, message=error.message))

    def throttle(
        self, error: SessionError, *, began_at: float, now: float, pause_seconds: float = 0.0
    ) -> None:
        """Lower the concurrency: it refused a connection or a session for want of room.

        Args:
            error: How it said so.
            began_at: When that session began.
            now: The time.
            pause_seconds: For how long to start nothing.
        """
        open_ones = self._active + (0 if self.pool is None else len(self.pool))
        self._limit.add_refusal(
            started_at=began_at, now=now, active=open_ones, pause_seconds=pause_seconds
        )
        self.rest_pool()
        allowed = self._limit.room(now)
        self._tell(
            SlowedDown(
                provider=self.name,
                account=self.account,
                concurrency=allowed,
                message=str(error),
            )
        )

    def learn_result(self, result: Result, *, began_at: float, now: float) -> None:
        """Let concurrency and waiting times follow how it does.

        Args:
            result: A result beyond doubt.
            began_at: When its session began.
            now: The time.
        """
        self._limit.add_success()
        if not isinstance(result, SttResult):
            self.learnt.quiet.add_session(result.evidence.longest_gap_seconds)
            has_drifted = self._is_adaptive and self._drift.add(
                result.evidence.first_result_seconds
            )
            if has_drifted:
                self._limit.add_delay(started_at=began_at, now=now)
        elif self.learnt.settle.add_session(
            result.revision_seconds, settled_seconds=result.settled_seconds
        ):
            _logger.warning(
                "%s revised a transcript after %.1f s: the settling time is again what was asked; "
                "%d transcripts of this run were taken sooner",
                self.name,
                result.revision_seconds,
                self.learnt.settle.taken_sooner,
            )

    def doubt(self, kind: Kind) -> None:
        """Forget what was learnt of the ends of such sessions: a result is suspect."""
        (self.learnt.settle if kind is Kind.STT else self.learnt.quiet).doubt()

    def count_mute(self, key: str, *, has_spoken: bool) -> None:
        """Count a text with words that it took and left without any audio.

        Args:
            key: The text's.
            has_spoken: Whether it has given results to earlier runs in this folder.
        """
        self.learnt.mute_keys.add(key)
        self.learnt.has_spoken = has_spoken

    def facts(self, now: float, *, has_others: bool = False) -> ServiceFacts:
        """Say what decisions have to know of it.

        Args:
            now: The time.
            has_others: Whether there are other accounts to go on with.
        """
        learnt = self.learnt
        return ServiceFacts(
            name=self.name,
            account=self.account,
            has_others=has_others,
            now=now,
            is_proven=learnt.is_proven,
            was_reached=learnt.was_reached,
            allowed=self._limit.room(now),
            outage_seconds=self.breaker.open_for(now),
            outage_limit_seconds=self.endpoint.provider.outage_limit_seconds,
            mute_texts=len(learnt.mute_keys),
            has_spoken=learnt.has_spoken,
            speaks_over_http=self.endpoint.provider.speaks_over_http,
        )


def ask_concurrency(provider: Provider, options: Options) -> int:
    """Give the sessions that are to be open with a provider; 0 to find out how many it takes."""
    return provider.concurrency if options.concurrency is None else options.concurrency
