"""A synthesis on a clock of plain numbers, and messages for it."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.errors import SessionError
from batchjobs.jobs import Doubt, Ending, SpeechSettings, Verdict
from batchjobs.protocol.tts import TtsClient
from batchjobs.providers import Provider
from tests.builders import HOSTED, READY, audio_message
from tests.canary import KEY

_SPEECH = SpeechSettings(voice_id="ar-najdi-male-2", model_id="faseeh-v1-preview", speed=0.9)

TEXTS = ("مَرْحَبًا بِكـم. ", "العدد ١٢٣ في Faseeh\u200d\u200c. ", "End 😀")

FINAL = '{"audio":"","sampleRate":24000,"isFinal":true}'

DRAINING = dataclasses.replace(HOSTED, name="drains", close_drains=True)


@dataclass(slots=True)
class Judge:
    """A judge that says what it was told to say, and remembers what it was asked."""

    minimum_seconds: float = 0.0
    doubts: tuple[Doubt, ...] = ()
    endings: list[Ending] = field(default_factory=list)
    finds_ample: bool = True

    def is_ample(self, pcm: ReceivedAudio, sample_rate: int) -> bool:
        """Say what was told."""
        return self.finds_ample

    def verdict(self, pcm: ReceivedAudio, sample_rate: int, ending: Ending) -> Verdict:
        """Remember the ending, and doubt what was told."""
        assert sample_rate > 0
        assert len(pcm) % 2 == 0
        self.endings.append(ending)
        return Verdict(doubts=self.doubts, support=("it is known",))


def sound(
    seconds: float = 1.0, *, rate: int = 24_000, final: bool = False, fill: bytes = b"\1\2"
) -> str:
    """Write a message with so many seconds of audio."""
    pcm = fill * round(seconds * rate)
    return audio_message(pcm, rate, **({"isFinal": True} if final else {}))


class Session:
    """One machine, a clock, and what was sent."""

    def __init__(
        self,
        provider: Provider = HOSTED,
        *,
        texts: tuple[str, ...] = TEXTS,
        judge: Judge | None = None,
        key: str = KEY,
        start: float = 100.0,
        quiet_seconds: float | None = None,
    ) -> None:
        self.judge = judge or Judge()
        self.now = start
        self.sent: list[str] = []
        self.machine = TtsClient(
            texts=texts,
            speech=_SPEECH,
            provider=provider,
            key=key,
            judge=self.judge,
            sink=ReceivedAudio(),
            now=start,
            quiet_seconds=quiet_seconds,
        )

    def send(self) -> None:
        """Send all that may be sent now."""
        while (payload := self.machine.next_payload()) is not None:
            assert isinstance(payload, str)
            self.sent.append(payload)
            self.machine.note_sent(self.now)

    def after(self, seconds: float) -> "Session":
        """Let time pass, waking the machine whenever it wants to be."""
        end = self.now + seconds
        while not self.machine.course.has_ended and self.machine.wait_until <= end:
            self.now = max(self.now, self.machine.wait_until)
            self.machine.wake(self.now)
            self.send()
        self.now = end
        return self

    def hear(self, *payloads: str | bytes) -> "Session":
        """Receive messages now."""
        for payload in payloads:
            self.machine.receive(payload, self.now)
        self.send()
        return self

    def close(self, code: int | None, reason: str = "") -> "Session":
        """Let the peer close now."""
        self.machine.receive_close(code, reason, self.now)
        return self

    @property
    def kinds(self) -> list[str]:
        """The types of what was sent."""
        return [json.loads(payload)["type"] for payload in self.sent]

    def failure(self) -> SessionError:
        """The error the attempt ended with."""
        assert self.machine.course.has_ended
        with pytest.raises(SessionError) as caught:
            self.machine.course.result()
        assert KEY not in f"{caught.value!r} {caught.value}"
        return caught.value


def open_session(provider: Provider = HOSTED, **options: Any) -> Session:
    """Give a session whose texts have all gone out."""
    session = Session(provider, **options)
    session.send()
    return session.after(0.5).hear(READY)
