"""A service with hosted manners that plays given clips, and a buyer with the runner's rules."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.jobs import Doubt, sum_severity
from batchjobs.limits import QuietTime
from batchjobs.outputs.suspects import is_same_length
from batchjobs.plausibility.clips import SpeechRates
from batchjobs.protocol.tts_audio import TtsResult
from batchjobs.providers import BUILT_IN
from batchjobs.session import Endpoint, TtsSession
from tests.builders import audio_message, make_endpoint, make_segment, make_speech
from tests.proofs.clips import RATE, Clip
from tests.streams import Peer, Service

__all__ = ["Bought", "Buyer", "open_buyer"]

_MESSAGE_SECONDS = 2.0
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Bought:
    """What came of one text.

    Attributes:
        doubts: What speaks against the first take.
        attempts: How often it was bought.
        is_suspect: Whether the run would name it.
        clip: The take that is kept.
        result: What the session said of it.
    """

    doubts: tuple[Doubt, ...]
    attempts: int
    is_suspect: bool
    clip: Clip
    result: TtsResult[ReceivedAudio]


@dataclass
class _Voice:
    """Speaks what it is given; drops what is pending when asked to close, then closes."""

    clip: Clip | None = None

    async def talk(self, peer: Peer) -> None:
        """Speak one text."""
        await peer.begin()
        await peer.text()
        assert self.clip is not None
        step = round(_MESSAGE_SECONDS * RATE) * 2
        for start in range(0, len(self.clip.pcm), step):
            await peer.send(audio_message(self.clip.pcm[start : start + step], RATE))
        await peer.until_asked_to_close()
        await peer.connection.aclose(1000)


@dataclass
class Buyer:
    """Buys texts one after the other, and tries again what is doubted, as the runner does.

    Args:
        endpoint: The way to the service.
        voice: What speaks at its other end.
        quiet: How long its line has to be silent.
    """

    endpoint: Endpoint
    voice: _Voice
    quiet: QuietTime
    rates: SpeechRates = field(default_factory=SpeechRates)
    sessions: int = 0

    async def buy(self, takes: Iterator[Clip]) -> Bought:
        """Buy one text until a take is done, two doubted ones agree, or there was enough of it.

        Args:
            takes: What the service makes of it, an attempt each.
        """
        kept = first = await self._taken(next(takes))
        attempts = 1
        while kept[1].doubts and attempts < _ATTEMPTS:
            attempts += 1
            last = await self._taken(next(takes))
            is_as_before = is_same_length(kept[0].seconds, last[0].seconds)
            kept = min(kept, last, key=lambda one: sum_severity(one[1].doubts))
            if is_as_before:
                break
        return Bought(first[1].doubts, attempts, bool(kept[1].doubts), *kept)

    async def _taken(self, clip: Clip) -> tuple[Clip, TtsResult[ReceivedAudio]]:
        return clip, await self.take(clip)

    async def take(self, clip: Clip, rates: SpeechRates | None = None) -> TtsResult[ReceivedAudio]:
        """Open one session.

        Args:
            clip: What the service says in it.
            rates: What is known of the voices; by default what this buyer has learnt.
        """
        self.voice.clip = clip
        self.sessions += 1
        speech = make_speech(RATE, voice_id=clip.voice, speed=clip.speed)
        judge = (rates or self.rates).make_judge(
            voice=clip.voice, spoken=clip.text, speed=clip.speed
        )
        segment = make_segment(clip.text, speech=speech)
        session = TtsSession(
            self.endpoint,
            segment,
            texts=[clip.text],
            judge=judge,
            quiet_seconds=self.quiet.seconds,
        )
        result = await session.run()
        assert bytes(result.pcm) == clip.pcm
        if rates is None and result.doubts:
            self.quiet.doubt()
        elif rates is None:
            self.quiet.add_session(result.evidence.longest_gap_seconds)
        return result


@asynccontextmanager
async def open_buyer(name: str = "munsit") -> AsyncIterator[Buyer]:
    """Open a way to a voice, with the settings of a provider exactly as they are built in."""
    provider, voice = BUILT_IN[name], _Voice()
    async with trio.open_nursery() as nursery:
        service = Service(nursery, talk=voice.talk)
        endpoint = make_endpoint(service.dial, provider)
        yield Buyer(endpoint, voice, QuietTime(provider.quiet_seconds))
        nursery.cancel_scope.cancel()
