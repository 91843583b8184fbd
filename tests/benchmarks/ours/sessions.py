"""This project's session layer, as installed: fixed workers, every check on, nothing written."""

from collections.abc import AsyncGenerator
from dataclasses import replace

import trio

from batchjobs import text
from batchjobs.jobs import Kind as Job
from batchjobs.jobs import Segment, SpeechSettings
from batchjobs.plausibility.clips import SpeechRates
from batchjobs.process.tuning import tune_process
from batchjobs.protocol.codec import ChunkEncoding
from batchjobs.providers import BUILT_IN
from batchjobs.session import (
    Endpoint,
    HttpLine,
    HttpTtsSession,
    SttSession,
    TtsSession,
    chunk_seconds_of,
)
from batchjobs.websocket.masking import install_fast_masker
from tests.benchmarks import program
from tests.benchmarks.meter import Meter, resident_bytes
from tests.benchmarks.wire import TRANSCRIPT, WAV_HEADER_BYTES

# What the service is known for: it drains at `closeConnection`, and answers every chunk.
PROVIDER = replace(BUILT_IN["munsit"], close_drains=True, transcript_per_chunk=True, pace=0.0)
SPEECH = SpeechSettings(voice_id="v", model_id="m")


class Sessions:
    """Runs all sessions of one program.

    Args:
        arguments: What the program was told.
    """

    def __init__(self, arguments: program.Arguments) -> None:
        self._arguments = arguments
        base_url = f"{arguments.url}/{arguments.kind.name}"
        encoding = ChunkEncoding(arguments.encoding)
        is_newer = arguments.kind.name == "listen"
        self._endpoint = Endpoint(
            replace(
                PROVIDER,
                tts_transport="http" if arguments.http else "websocket",
                stt_protocol="listen" if is_newer else "transcription",
            ),
            base_url=base_url,
            key=program.KEY,
            encoding=encoding,
            library_hooks=True,
        )
        self.line = HttpLine(self._endpoint)
        self._rates = SpeechRates()
        self._header_bytes = 0 if is_newer else WAV_HEADER_BYTES
        self._chunks: list[bytes] = []
        if not arguments.kind.is_speech:
            seconds = chunk_seconds_of(self._endpoint.provider)
            self._chunks = program.frames(seconds) if is_newer else program.recording()
        self._todo = iter(range(arguments.sessions))
        self.open: list[TtsSession] = []
        self.messages = self.bytes = 0

    def all_open(self) -> bool:
        """Whether every session has sent its text and waits for audio."""
        return sum(one.sent_characters > 0 for one in self.open) == self._arguments.sessions

    async def work(self, worker: int) -> None:
        """Do one session after the other."""
        await trio.sleep(self._arguments.start_seconds(worker))
        for _ in self._todo:
            if self._arguments.kind.is_speech:
                await self._speak()
            else:
                await self._transcribe()

    async def _speak(self) -> None:
        spoken = self._arguments.kind.text
        segment = Segment(key="k", kind=Job.TTS, text=spoken, speech=SPEECH)
        judge = self._rates.make_judge(voice=SPEECH.voice_id, spoken=spoken, speed=SPEECH.speed)
        if self._arguments.http:
            result = await HttpTtsSession(self.line, segment, judge=judge).run()
            self.messages += len(result.pcm) // self._arguments.kind.message_bytes
            self.bytes += len(result.pcm)
            return
        texts = text.split_messages(spoken)
        session = TtsSession(self._endpoint, segment, texts=texts, judge=judge)
        self.open.append(session)
        result = await session.run()
        self.open.remove(session)
        self.messages += result.evidence.messages
        self.bytes += len(result.pcm)

    async def _transcribe(self) -> None:
        result = await SttSession(self._endpoint, chunks=self._recording()).run()
        assert result.text
        words = len(TRANSCRIPT.split())
        is_newer = self._endpoint.provider.stt_protocol == "listen"
        self.messages += (
            len(result.word_end_seconds) // words if is_newer else result.evidence.messages
        )

    async def _recording(self) -> AsyncGenerator[bytes, None]:
        for pcm in self._chunks:
            self.bytes += len(pcm) + self._header_bytes
            yield pcm


async def run(sessions: Sessions, arguments: program.Arguments, meter: Meter) -> None:
    """Run all workers to their end, beside a sampler of the loop's lag."""
    async with trio.open_nursery() as sampler:
        sampler.start_soon(meter.sample_trio)
        sampler.start_soon(sessions.line.run)
        async with trio.open_nursery() as workers:
            for worker in range(arguments.concurrency):
                workers.start_soon(sessions.work, worker)
        sampler.cancel_scope.cancel()


async def hold(sessions: Sessions, arguments: program.Arguments) -> int:
    """Open all sessions, and give the memory that they take in all while nothing happens."""
    before = resident_bytes()
    async with trio.open_nursery() as workers:
        for worker in range(arguments.sessions):
            workers.start_soon(sessions.work, worker)
        while not sessions.all_open():  # noqa: ASYNC110  # nothing tells of a text sent
            await trio.sleep(0.05)
        held = resident_bytes() - before
        workers.cancel_scope.cancel()
    return held


def main() -> None:
    """Measure."""
    arguments = program.arguments_of(__doc__)
    text.split_messages(arguments.kind.text)  # imports what it needs
    install_fast_masker()
    tune_process()
    if arguments.http:
        import httpx  # noqa: F401  # before anything is measured
    meter = Meter()
    if arguments.hold:
        with meter:
            held = trio.run(hold, Sessions(arguments), arguments)
        count = arguments.sessions
        meter.report(sessions=count, messages=0, bytes=0, held_bytes=held)
        return
    with meter:
        sessions = Sessions(arguments)  # with its TLS context, as the peers make theirs
        trio.run(run, sessions, arguments, meter)
    program.conclude(meter, arguments, sessions.messages, sessions.bytes)


if __name__ == "__main__":
    main()
