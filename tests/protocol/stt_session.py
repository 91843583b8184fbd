"""A transcription on a clock of plain numbers, and messages for it."""

import dataclasses
import json

import pytest

from batchjobs.errors import SessionError
from batchjobs.protocol.stt import SttClient, SttJudge
from batchjobs.providers import Provider
from tests.builders import HOSTED

ANSWERING = dataclasses.replace(HOSTED, name="answers", transcript_per_chunk=True, pace=0.0)

SECOND = bytes(range(250)) * 128

ARABIC = "السَّلامُ عليكـم ١٢٣ ok \u200d\u200c"


class Session:
    """One machine, a clock, and what was sent."""

    def __init__(
        self,
        provider: Provider = HOSTED,
        *,
        start: float = 100.0,
        judge: SttJudge | None = None,
    ) -> None:
        self.now = start
        self.sent: list[bytes] = []
        self.machine = SttClient(provider=provider, now=start, judge=judge)

    def send(self, *chunks: bytes) -> "Session":
        """Send chunks at the provider's pace."""
        for pcm in chunks:
            self.after(max(0.0, self.machine.next_chunk_at - self.now))
            if self.machine.course.has_ended:
                return self
            payload = json.loads(self.machine.write_chunk(pcm))
            assert list(payload) == ["event", "data"]
            assert payload["event"] == "audio_chunk"
            self.sent.append(bytes(payload["data"]["audioBuffer"]))
            self.machine.note_sent(self.now)
        return self

    def end(self) -> "Session":
        """Say that all was sent."""
        self.machine.note_all_sent(self.now)
        return self

    def after(self, seconds: float) -> "Session":
        """Let time pass, waking the machine whenever it wants to be."""
        end = self.now + seconds
        while not self.machine.course.has_ended and self.machine.wait_until <= end:
            self.now = max(self.now, self.machine.wait_until)
            self.machine.wake(self.now)
        self.now = end
        return self

    def hear(self, *payloads: str | bytes) -> "Session":
        """Receive messages now."""
        for payload in payloads:
            self.machine.receive(payload, self.now)
        return self

    def close(self, code: int | None, reason: str = "") -> "Session":
        """Let the peer close now."""
        self.machine.receive_close(code, reason, self.now)
        return self

    def failure(self) -> SessionError:
        """The error the attempt ended with."""
        assert self.machine.course.has_ended
        with pytest.raises(SessionError) as caught:
            self.machine.course.result()
        return caught.value


def send_seconds(provider: Provider = HOSTED, seconds: int = 2) -> Session:
    """Give a session that has sent its recording and heard nothing."""
    return Session(provider).send(*[SECOND] * seconds).end()
