"""The quiet time as it is learnt: shorter sessions, and no cut audio called done."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
import trio

from batchjobs.jobs import Ending, Verdict
from batchjobs.limits import QuietTime
from batchjobs.plausibility.clips import SpeechRates
from batchjobs.providers import BUILT_IN
from batchjobs.session import Endpoint, TtsSession
from tests.builders import audio_message, make_endpoint, make_segment, make_speech, make_tone
from tests.streams import Peer, Service

HOSTED = BUILT_IN["munsit"]
RATE = 8_000
SPEECH = make_speech(8_000)
TEXT = "هذه جملة طويلة بما يكفي ليعرف المرء كم من الوقت يحتاج إليه صوت"


def test_it_shrinks_after_two_hundred_sessions_and_not_below_half_a_second() -> None:
    """Four times the longest gap, between 0.5 s and what was asked."""
    for gap, expected in ((0.0, 0.5), (0.1, 0.5), (0.2, 0.8), (0.7, 2.5), (2.0, 2.5)):
        quiet = QuietTime(2.5)
        for _ in range(199):
            quiet.add_session(gap)
            assert quiet.seconds == 2.5
        quiet.add_session(gap)
        assert quiet.seconds == pytest.approx(expected)
    small = QuietTime(0.3)
    for _ in range(300):
        small.add_session(0.01)
    assert small.seconds == 0.3


def test_it_goes_back_at_the_first_doubt_and_learns_anew() -> None:
    """A suspect result, or a gap as long as what was taken for the end."""
    for doubtful in (QuietTime.doubt, lambda quiet: quiet.add_session(0.5)):
        quiet = QuietTime(2.5)
        for _ in range(200):
            quiet.add_session(0.1)
        assert quiet.seconds == 0.5
        doubtful(quiet)
        assert quiet.seconds == 2.5
        for _ in range(200):
            quiet.add_session(0.1)
        assert quiet.seconds < 2.5


@dataclass
class Voice:
    """A service that speaks in pieces and pauses between them; gaps may grow as it goes.

    Args:
        gap_seconds: The pause in the middle of the n-th session.
        drops: Whether closeConnection drops what is pending.
    """

    gap_seconds: object
    drops: bool = True
    dice: random.Random = field(default_factory=lambda: random.Random(3))
    sent: int = 0
    last_sent_at: float = 0.0
    whole: bytes = b""

    async def talk(self, peer: Peer) -> None:
        """Speak one text: some tenths of it, a pause, the rest; each piece dies away."""
        await peer.begin()
        text = await peer.text()
        self.sent += 1
        seconds = len(text) / 12 * self.dice.uniform(0.92, 1.08)
        first = seconds * self.dice.uniform(0.3, 0.9)
        pieces = [make_tone(first, RATE), make_tone(seconds - first, RATE)]
        self.whole = b"".join(pieces)
        assert callable(self.gap_seconds)
        await peer.send(audio_message(pieces[0], RATE))
        with trio.move_on_after(self.gap_seconds(self.sent)) as gap:
            await peer.until_asked_to_close()
        if gap.cancelled_caught or not self.drops:
            await peer.send(audio_message(pieces[1], RATE))
            self.last_sent_at = trio.current_time()
        if gap.cancelled_caught:
            await peer.until_asked_to_close()
        await peer.connection.aclose(1000)


class Gullible(SpeechRates):
    """For whom any audio is ample and plausible."""

    minimum_seconds = 0.0

    def make_judge(self, **_: object) -> "Gullible":  # type: ignore[override]  # no ClipJudge
        """Judge any text."""
        return self

    def is_ample(self, pcm: object, sample_rate: int) -> bool:
        """Be content."""
        return True

    def verdict(self, pcm: object, sample_rate: int, ending: Ending) -> Verdict:
        """Doubt nothing."""
        return Verdict()


@dataclass
class Course:
    """What came of a number of sessions one after the other."""

    voice: Voice
    quiet: QuietTime
    rates: SpeechRates = field(default_factory=SpeechRates)
    cut: int = 0
    suspect: int = 0
    held: list[float] = field(default_factory=list)
    """Seconds from the last audio to the session's end."""

    async def go(self, endpoint: Endpoint, sessions: int) -> None:
        """Do as the runner does."""
        for _ in range(sessions):
            judge = self.rates.make_judge(voice="v", spoken=TEXT, speed=1.0)
            segment = make_segment(TEXT, speech=SPEECH)
            session = TtsSession(
                endpoint, segment, texts=[TEXT], judge=judge, quiet_seconds=self.quiet.seconds
            )
            result = await session.run()
            if result.doubts:
                self.suspect += 1
                self.quiet.doubt()
                continue
            self.quiet.add_session(result.evidence.longest_gap_seconds)
            self.cut += bytes(result.pcm) != self.voice.whole
            self.held.append(trio.current_time() - self.voice.last_sent_at)


@asynccontextmanager
async def course(voice: Voice, *, drains: bool = False) -> AsyncIterator[tuple[Course, Endpoint]]:
    """Open a way to a voice."""
    provider = replace(HOSTED, close_drains=drains)
    async with trio.open_nursery() as nursery:
        service = Service(nursery, talk=voice.talk)
        endpoint = make_endpoint(service.dial, provider)
        yield Course(voice, QuietTime(provider.quiet_seconds)), endpoint
        nursery.cancel_scope.cancel()


@pytest.mark.unmeasured
async def test_sessions_become_shorter(autojump_clock: object) -> None:
    """After 200 sessions those with ample audio end after half a second, and none is cut."""
    async with course(Voice(lambda _: 0.1)) as (run, endpoint):
        await run.go(endpoint, 200)
        assert min(run.held) > 2.49
        run.held.clear()
        await run.go(endpoint, 100)
    assert (run.cut, run.suspect) == (0, 0)
    assert min(run.held) < 0.6
    assert sum(run.held) / 100 < 1.9


@pytest.mark.unmeasured
@pytest.mark.parametrize("drops", [True, False])
@pytest.mark.parametrize("gap", [0.7, 2.2])
async def test_gaps_that_grow_in_mid_run_cut_nothing(
    autojump_clock: object, gap: float, *, drops: bool
) -> None:
    """A service that begins to pause, and drops what is pending: no cut audio is called done."""
    for seed in range(6):  # the first long gap comes early in one text and late in another
        voice = Voice(lambda n: 0.1 if n <= 30 else gap, drops, random.Random(seed))
        async with course(voice) as (run, endpoint):
            await run.go(endpoint, 30)
            for _ in range(170):
                run.quiet.add_session(0.1)
            assert run.quiet.seconds == 0.5
            await run.go(endpoint, 10)
        assert run.cut == 0
        assert run.quiet.seconds == 2.5


@pytest.mark.unmeasured
async def test_audio_after_a_silence_taken_for_the_end_belongs_to_the_result(
    autojump_clock: object,
) -> None:
    """A judge that finds everything ample is belied by late audio, and the quiet time goes back."""
    async with course(Voice(lambda n: 0.1 if n <= 200 else 0.9, drops=False)) as (run, endpoint):
        await run.go(endpoint, 200)
        run.rates = Gullible()
        await run.go(endpoint, 1)
    assert run.cut == 0
    assert run.quiet.seconds == 2.5


async def test_a_service_that_drains_holds_a_slot_no_longer_than_it_speaks(
    autojump_clock: object,
) -> None:
    """At most 50 ms from the last audio to the session's end."""
    async with course(Voice(lambda _: 0.0, drops=False), drains=True) as (run, endpoint):
        await run.go(endpoint, 20)
    assert (run.cut, run.suspect) == (0, 0)
    assert max(run.held) <= 0.05
