"""The far end: has sessions for an owner elsewhere, writes what they bring, and reports."""

import functools
import logging
import os
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec
import trio
from msgspec import structs

from batchjobs.audio.buffer import ReceivedAudio
from batchjobs.cluster.messages import (
    Cut,
    Deciding,
    Failed,
    Fault,
    Heard,
    Opening,
    Order,
    Proven,
    Report,
    Site,
    Spoke,
    Start,
    Warned,
    to_fault,
)
from batchjobs.cluster.meters import ClipMeter, RecordingMeter
from batchjobs.errors import BatchjobsError, NotBegunError, PermanentError, SessionError
from batchjobs.files import run_folder
from batchjobs.jobs import Kind, Segment
from batchjobs.outputs import writing
from batchjobs.outputs.writing import Parts
from batchjobs.protocol.codec import ChunkEncoding
from batchjobs.protocol.stt import SttResult
from batchjobs.protocol.tts_audio import TtsResult
from batchjobs.runner.spool import AudioSpool
from batchjobs.runner.state import AUDIO_MEMORY_BYTES
from batchjobs.runner.thread_batches import ThreadBatches
from batchjobs.session import (
    RECORDING_CODE,
    Dial,
    Endpoint,
    HttpLine,
    HttpTtsSession,
    SttSession,
    TtsSession,
    dial_tcp,
    hear_segment,
    speak_segment,
)

LEASE_SECONDS: Final = 1.5
"""So long after the last word of its owner a host opens no session any more: a dead owner's open
sessions are those that the ledger counts, and there are no others after two seconds."""
PATIENCE_SECONDS: Final = 5.0
"""So long after it the host cuts off what is open, and ends. An owner that was held up meanwhile, by
a machine that slept, finds its sessions where they were."""

_logger = logging.getLogger(__name__)


class _HostEndpoint(Endpoint):
    """The way to a provider, whose warnings are the owner's to tell."""

    warn: Callable[[str], None]

    def warn_once(self, message: str) -> None:
        """Report what is true of every connection, for the first one only."""
        if message not in self._warned_of:
            self._warned_of.add(message)
            self.warn(message)


class _Open(msgspec.Struct, eq=False):
    """A session that is open.

    Attributes:
        scope: Cuts it off; also before it has begun.
        session: What is sent and received, once there is one.
        is_decided: Whether its outcome stands, and is being written.
    """

    scope: trio.CancelScope
    session: TtsSession | HttpTtsSession | SttSession | None = None
    is_decided: bool = False

    def fail(self, number: int, fault: Fault | None) -> Failed:
        """Say that it has no result, and what was sent in it."""
        if self.session is None:
            return Failed(number=number, fault=fault)
        return Failed(
            number=number,
            fault=fault,
            was_connected=self.session.was_connected,
            sent_characters=self.session.sent_characters,
            sent_audio_seconds=self.session.sent_audio_seconds,
        )


class Host:
    """Has sessions for an owner for as long as it hears of it.

    Args:
        opening: What it has to know; every key is there.
        tell: Takes its reports, in trio's thread.
        dial: How to connect; tests give memory streams.
    """

    def __init__(
        self, opening: Opening, tell: Callable[[Report], None], *, dial: Dial = dial_tcp
    ) -> None:
        self._token = opening.token
        self._folder = Path(opening.folder)
        self._tell = tell
        self._endpoints = {site.name: self._make_endpoint(site, dial) for site in opening.sites}
        self._lines = {
            name: HttpLine(endpoint)
            for name, endpoint in self._endpoints.items()
            if endpoint.provider.speaks_over_http
        }
        self._open: dict[int, _Open] = {}
        self._send, self._receive = trio.open_memory_channel[Start](float("inf"))
        self._threads = trio.CapacityLimiter(os.cpu_count() or 2)
        self._batches = ThreadBatches(threads=os.cpu_count() or 2)
        self._spool = AudioSpool(
            self._folder / run_folder.SEGMENTS,
            limit_bytes=AUDIO_MEMORY_BYTES,
            on_error=lambda error: _logger.warning("%s", error),
        )
        self._heard_at = trio.current_time()
        self._end = trio.Event()

    def _make_endpoint(self, site: Site, dial: Dial) -> Endpoint:
        async def dial_in_time(
            host: str, port: int, context: ssl.SSLContext | None
        ) -> trio.abc.Stream:
            self._check_lease()  # it may have waited for its turn
            return await dial(host, port, context)

        endpoint = _HostEndpoint(
            site.provider,
            base_url=site.base_url,
            key=site.key or "",
            dial=dial_in_time,
            encoding=ChunkEncoding(site.encoding),
            compresses=site.compresses,
            library_hooks=site.library_hooks,
        )
        endpoint.warn = lambda message: self._tell(Warned(site=site.name, message=message))
        return endpoint

    # -- what the owner asks for --------------------------------------------------------------------

    def renew(self) -> None:
        """Note that the owner is there; not once it was silent for so long that it counts as gone.

        What a host is told after it stood still itself may be long given up.
        """
        if self._over_at > trio.current_time():
            self._heard_at = trio.current_time()

    def take(self, orders: Iterable[Order]) -> None:
        """Carry out orders; called in trio's thread."""
        self.renew()
        if not self._is_leased:
            return
        for order in orders:
            if isinstance(order, Cut):
                self._cut(order.number)
            else:
                self._open[order.number] = _Open(trio.CancelScope())
                self._send.send_nowait(order)

    def end(self) -> None:
        """Cut off what is open, and end."""
        self._end.set()

    def _cut(self, number: int) -> None:
        found = self._open.get(number)
        if found is None:
            return  # it has ended: its report is on the way
        if found.is_decided:
            self._tell(Deciding(number=number))
        found.scope.cancel()

    # -- the work -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Have sessions until the owner ends it, or is not heard of any more."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._batches.run)
            nursery.start_soon(self._spool.run)
            for line in self._lines.values():
                nursery.start_soon(line.run)
            try:
                async with trio.open_nursery() as sessions:
                    sessions.start_soon(self._open_sessions, sessions)
                    await self._wait_over()
                    sessions.cancel_scope.cancel()
            finally:
                self._batches.close()
            for number, opened in self._open.items():
                self._tell(opened.fail(number, to_fault(_not_begun())))
            nursery.cancel_scope.cancel()

    async def _wait_over(self) -> None:
        """Wait until the owner has ended it, or was not heard of for too long."""
        while (over_at := self._over_at) > trio.current_time():
            with trio.move_on_at(over_at):
                await self._end.wait()
                return

    @property
    def _over_at(self) -> float:
        return self._heard_at + PATIENCE_SECONDS

    @property
    def _is_leased(self) -> bool:
        return trio.current_time() - self._heard_at <= LEASE_SECONDS

    def _check_lease(self) -> None:
        if not self._is_leased:
            raise _not_begun()

    async def _open_sessions(self, nursery: trio.Nursery) -> None:
        async for order in self._receive:
            nursery.start_soon(self._serve, order)

    async def _serve(self, order: Start) -> None:
        """Have one session, and report what came of it, whatever that is."""
        opened = self._open[order.number]
        mark = f"{order.segment.key}.{self._token}-{order.number}"
        try:
            with self._spool.open_buffer(mark) as audio:
                self._tell(await self._have_session(order, audio, opened))
        except trio.Cancelled:  # an owner that comes back may yet ask
            self._tell(opened.fail(order.number, None))
            raise
        except Exception as error:  # one job's mistake ends no host
            _logger.exception("a session failed unexpectedly")
            while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
                error = error.exceptions[0]  # a session's nurseries put groups around everything
            self._tell(opened.fail(order.number, to_fault(error)))
        finally:
            del self._open[order.number]

    async def _have_session(self, order: Start, audio: ReceivedAudio, opened: _Open) -> Report:
        session, meter = self._make_session(order, audio)
        opened.session, fault, is_unseen = session, None, False
        with opened.scope:
            try:
                self._check_lease()
                _check_recording(order.segment)
                result = await session.run()
            except SessionError as error:
                audio.discard()
                fault = to_fault(error)
                is_unseen = error.code == RECORDING_CODE and not _is_file(order.segment.audio)
            else:
                opened.is_decided = True
                with trio.CancelScope(shield=True):  # it was paid for
                    return await self._keep(order, result, meter)
        return structs.replace(opened.fail(order.number, fault), is_unseen=is_unseen)

    def _make_session(
        self, order: Start, audio: ReceivedAudio
    ) -> tuple[TtsSession | HttpTtsSession | SttSession, ClipMeter | RecordingMeter]:
        endpoint, segment = self._endpoints[order.site], order.segment

        def prove() -> None:
            if order.wants_proof:
                self._tell(Proven(number=order.number))

        if segment.kind is Kind.STT:
            heard = RecordingMeter()
            session = hear_segment(
                endpoint,
                segment,
                judge=heard,
                settle_seconds=order.wait_seconds,
                on_proven=prove,
            )
            return session, heard
        assert segment.speech is not None
        meter = ClipMeter(
            spoken=segment.text,
            speed=segment.speech.speed,
            ample_seconds=order.ample_seconds,
        )
        way = self._lines.get(order.site) or endpoint
        speaker = speak_segment(
            way,
            segment,
            judge=meter,
            audio=audio,
            quiet_seconds=order.wait_seconds,
            on_proven=prove,
        )
        return speaker, meter

    async def _keep(
        self,
        order: Start,
        result: TtsResult[ReceivedAudio] | SttResult,
        meter: ClipMeter | RecordingMeter,
    ) -> Report:
        """Write what came to a file that no other attempt has, and report both."""
        parts, fault = Parts(), None
        if order.ending:
            try:
                parts = await self._write(order, result)
            except BatchjobsError as error:
                fault = to_fault(error)
        if isinstance(result, SttResult):
            assert isinstance(meter, RecordingMeter)
            return Heard(
                number=order.number,
                verbatim=result.verbatim,
                evidence=result.evidence,
                doubts=result.doubts,
                revision_seconds=result.revision_seconds,
                settled_seconds=result.settled_seconds,
                word_start_seconds=result.word_start_seconds,
                word_end_seconds=result.word_end_seconds,
                traits=result.traits,
                speech=meter.speech,
                parts=parts,
                fault=fault,
            )
        assert isinstance(meter, ClipMeter)
        return Spoke(
            number=order.number,
            evidence=result.evidence,
            sample_rate=result.sample_rate,
            frames=len(result.pcm) // 2,
            doubts=result.doubts,
            support=result.support,
            judged_as=meter.judged_as,
            sound=meter.sound,
            parts=parts,
            fault=fault,
        )

    async def _write(self, order: Start, result: TtsResult[ReceivedAudio] | SttResult) -> Parts:
        segment = order.segment
        # A worker that counts as lost may still be writing: no two attempts share a file.
        name = run_folder.scratch_path(segment.key, f"{self._token}-{order.number}", order.ending)
        write = functools.partial(
            writing.write_result, self._folder, name, result, seconds=segment.audio_seconds
        )
        if isinstance(result, TtsResult) and order.ending != ".wav":
            # To encode takes the processor, not the hop: each file for itself.
            written = await trio.to_thread.run_sync(write, limiter=self._threads)
        else:
            written = await self._batches.run_sync(write)
        return writing.to_parts(self._folder, written)


def _not_begun() -> NotBegunError:
    return NotBegunError("the owner of the run was not heard of any more")


def _check_recording(segment: Segment) -> None:
    """See that a recording is there, before there is a session about it.

    Raises:
        PermanentError: It is not, as seen from here.
    """
    if segment.audio and not _is_file(segment.audio):
        raise PermanentError(f"cannot read {segment.audio}", code=RECORDING_CODE)


def _is_file(path: str) -> bool:
    return os.access(path, os.R_OK)
