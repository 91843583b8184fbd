"""A session as its owner sees it, while a host elsewhere has it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Final, Protocol

import trio

from batchjobs.cluster.messages import (
    Cut,
    Deciding,
    Failed,
    Heard,
    Order,
    Proven,
    Spoke,
    Start,
    to_error,
    unseen_recording,
)
from batchjobs.errors import InternalError, LostError
from batchjobs.jobs import Kind
from batchjobs.plausibility.clips import SpeechJudge
from batchjobs.plausibility.transcripts import TranscriptJudge
from batchjobs.protocol.tts_audio import add_doubts
from batchjobs.runner.sessions import Asked, SpeechElsewhere, TranscriptElsewhere

CUT_SECONDS: Final = 0.6
"""So long a session that is cut off is asked what it has sent; after that all of it counts as sent."""

Ended = Failed | Spoke | Heard


class HostFaultError(Exception):
    """A mistake of ours in another process."""


class Worker(Protocol):
    """Where a session is, as the session sees it."""

    @property
    def name(self) -> str:
        """The machine and the process."""

    def post(self, order: Order) -> None:
        """Send an order."""


class RemoteSession:
    """Has one session run by a host.

    Args:
        number: Its own.
        asked: What is asked, and by whom it is judged.
        find_worker: Gives it to a host; raises if none comes.
        leave: Called with the session when no host has it any more.
    """

    def __init__(
        self,
        number: int,
        asked: Asked,
        find_worker: "FindWorker",
        leave: Callable[["RemoteSession"], None],
    ) -> None:
        self.number = number
        self._asked = asked
        self._find_worker = find_worker
        self._leave = leave
        self._host = ""
        self._ended: Ended | LostError | None = None
        self._news = trio.Event()
        self._is_posted = False
        self._is_deciding = False

    # -- what its attempt asks ------------------------------------------------------------------------

    @property
    def was_connected(self) -> bool:
        """Whether the service took the connection, as far as is known."""
        ended = self._ended
        return ended.was_connected if isinstance(ended, Failed) else not self._is_lost

    @property
    def sent_characters(self) -> int:
        """Characters sent; all of them, as long as the host has not said otherwise."""
        ended = self._ended
        if isinstance(ended, Failed):
            return ended.sent_characters
        if isinstance(ended, Spoke | Heard):
            return ended.evidence.sent_characters
        is_open = self._is_posted and self._asked.segment.kind is Kind.TTS
        return len(self._asked.segment.text) if is_open else 0

    @property
    def sent_audio_seconds(self) -> float:
        """Seconds of audio sent, likewise."""
        ended = self._ended
        if isinstance(ended, Failed):
            return ended.sent_audio_seconds
        if isinstance(ended, Spoke | Heard):
            return ended.evidence.sent_audio_seconds
        is_open = self._is_posted and self._asked.segment.kind is Kind.STT
        return self._asked.segment.audio_seconds if is_open else 0.0

    @property
    def _is_lost(self) -> bool:
        return self._ended is None or isinstance(self._ended, LostError)

    async def run(self) -> SpeechElsewhere | TranscriptElsewhere:
        """Have a host run it, and take what comes of it.

        Raises:
            SessionError: The attempt failed.
            BatchjobsError: There is no host, and none comes.
        """
        worker = await self._find_worker(self)
        self._host = worker.name
        worker.post(self._to_start())
        self._is_posted = True
        try:
            try:
                while self._ended is None:
                    await self._wait_news()
            except trio.Cancelled:  # noqa: ASYNC103  # what is decided meanwhile was paid for
                with trio.CancelScope(shield=True):
                    await self._cut(worker)
                if not isinstance(self._ended, Spoke | Heard):
                    raise
        finally:
            self._leave(self)
        return self._result()

    async def _wait_news(self) -> None:
        await self._news.wait()
        self._news = trio.Event()

    async def _cut(self, worker: Worker) -> None:
        """Cut it off; what is decided there is waited for: it was paid for."""
        worker.post(Cut(number=self.number))
        with trio.move_on_after(CUT_SECONDS) as scope:
            while self._ended is None:
                await self._wait_news()
                if self._is_deciding:
                    scope.deadline = float("inf")  # the host writes it, or is lost

    # -- what its host reports ------------------------------------------------------------------------

    def hear(self, report: Proven | Deciding | Ended | LostError) -> None:
        """Take what a host reports of it, or that the host is lost."""
        if isinstance(report, Proven):
            if self._asked.on_proven is not None:
                self._asked.on_proven()
            return
        if self._ended is not None:
            return
        if isinstance(report, Deciding):
            self._is_deciding = True
        else:
            self._ended = report
        self._news.set()

    # -- inside ---------------------------------------------------------------------------------------

    def _to_start(self) -> Start:
        asked = self._asked
        ending = PurePosixPath(asked.output).suffix.lower() if asked.output else ""
        if asked.segment.kind is Kind.STT and asked.output:
            ending = ".txt"
        segment = asked.segment
        if segment.audio:  # where they stand, another path may be the current one
            segment = replace(segment, audio=str(Path(segment.audio).absolute()))
        return Start(
            number=self.number,
            site=asked.provider,
            segment=segment,
            wait_seconds=asked.wait_seconds,
            ample_seconds=asked.ample_seconds,
            ending=ending,
            wants_proof=asked.on_proven is not None,
        )

    def _result(self) -> SpeechElsewhere | TranscriptElsewhere:
        match self._ended:
            case Spoke() as spoke:
                return self._judge_speech(spoke)
            case Heard() as heard:
                return self._judge_transcript(heard)
            case Failed(is_unseen=True) if Path(self._asked.segment.audio).is_file():
                raise unseen_recording(self._host, self._asked.segment.audio)
            case Failed(fault=fault) if fault is not None:
                error = to_error(fault)
                if audio := self._asked.segment.audio:  # as it is called here
                    error.message = error.message.replace(str(Path(audio).absolute()), audio)
                # A mistake of ours is one job's, as it would be here.
                raise HostFaultError(error.message) if isinstance(error, InternalError) else error
            case LostError() as lost:
                raise lost
            case _:
                raise LostError("the session was cut off, and nobody here has asked for that")

    def _judge_speech(self, spoke: Spoke) -> SpeechElsewhere:
        judge = self._asked.judge
        assert isinstance(judge, SpeechJudge)
        verdict = judge.judge(spoke.sound, spoke.judged_as)
        return SpeechElsewhere(
            frames=spoke.frames,
            sample_rate=spoke.sample_rate,
            evidence=spoke.evidence,
            doubts=add_doubts(spoke.doubts, verdict.doubts),
            support=spoke.support + verdict.support,
            parts=spoke.parts,
            error=None if spoke.fault is None else to_error(spoke.fault),
        )

    def _judge_transcript(self, heard: Heard) -> TranscriptElsewhere:
        judge = self._asked.judge
        assert isinstance(judge, TranscriptJudge)
        verdict = judge.judge(heard.verbatim, heard.speech)
        return TranscriptElsewhere(
            text=heard.verbatim.strip(),
            verbatim=heard.verbatim,
            evidence=heard.evidence,
            doubts=heard.doubts + verdict.doubts,
            support=verdict.support,
            revision_seconds=heard.revision_seconds,
            settled_seconds=heard.settled_seconds,
            word_start_seconds=heard.word_start_seconds,
            word_end_seconds=heard.word_end_seconds,
            silences=heard.speech.silences,
            traits=heard.traits,
            parts=heard.parts,
            error=None if heard.fault is None else to_error(heard.fault),
        )


class FindWorker(Protocol):
    """Gives a session to a host."""

    async def __call__(self, session: RemoteSession, /) -> Worker:
        """Wait for one that takes it.

        Raises:
            BatchjobsError: There is none, and none comes.
        """
