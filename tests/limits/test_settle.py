"""The settling time of transcripts as it is learnt: shorter sessions, and what may be lost."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import trio

from batchjobs.jobs import Ending
from batchjobs.limits import SettleTime
from batchjobs.protocol.stt import SttResult
from batchjobs.providers import BUILT_IN, Provider
from batchjobs.runner import Runner
from batchjobs.session import Endpoint, SttSession
from tests.builders import HOSTED, make_endpoint, make_recording_job, transcript_message
from tests.runner.runs import OPTIONS, run_rows
from tests.streams import Peer, Service

ASKED_SECONDS = 2.5
LEARNING = replace(HOSTED, settle_shrinks=True, chunk_seconds=0.1, pace=0.1)
"""Small chunks, a second apart."""
CHUNKS = 3
ROUGH = "ذهبت الى المدرسه"
REVISED = "ذَهَبْتُ إلى المَدْرَسَةِ"
SAMPLE = 4
EVIDENCE = 200


# -- arithmetic --------------------------------------------------------------------------------


def learnt(gap: float = 0.0, *, shrinks: bool = True) -> SettleTime:
    """Give a settling time that has seen enough."""
    settle = SettleTime(ASKED_SECONDS, shrinks=shrinks)
    for _ in range(EVIDENCE):
        assert settle.next_seconds() == ASKED_SECONDS
        assert not settle.add_session(gap, settled_seconds=ASKED_SECONDS)
    return settle


@pytest.mark.parametrize(("gap", "expected"), [(0.0, 0.5), (0.1, 0.5), (0.3, 1.2), (0.7, 2.5)])
def test_it_shrinks_to_four_times_the_longest_pause(gap: float, expected: float) -> None:
    """Between half a second and what was asked; one session in four goes on waiting in full."""
    settle = learnt(gap)
    times = [settle.next_seconds() for _ in range(8 * SAMPLE)]
    assert times.count(ASKED_SECONDS) >= 8
    assert sorted(set(times)) == pytest.approx(sorted({ASKED_SECONDS, expected}))


def test_it_stays_where_it_is_not_allowed_to_shrink() -> None:
    """The default: nothing in a transcript tells that its last revision is missing."""
    settle = learnt(shrinks=False)
    assert {settle.next_seconds() for _ in range(100)} == {ASKED_SECONDS}
    assert not settle.add_session(2.0, settled_seconds=ASKED_SECONDS)
    assert not any(provider.settle_shrinks for provider in BUILT_IN.values())


def test_only_sessions_that_waited_in_full_are_evidence() -> None:
    """One that closed sooner, or was ended by the service, shows nothing of what would have come."""
    settle = SettleTime(ASKED_SECONDS, shrinks=True)
    for _ in range(5 * EVIDENCE):
        settle.add_session(0.0, settled_seconds=0.5)
        settle.add_session(0.0, settled_seconds=0.0)
    assert settle.next_seconds() == ASKED_SECONDS
    assert settle.taken_sooner == 5 * EVIDENCE


@pytest.mark.parametrize("settled", [0.0, 0.5, ASKED_SECONDS])
def test_a_late_revision_puts_it_back_at_once(settled: float) -> None:
    """In whatever session it shows, and it is learnt anew, with that revision known."""
    settle = learnt()
    assert settle.add_session(0.6, settled_seconds=settled)
    assert not settle.add_session(0.6, settled_seconds=settled)  # told once
    for _ in range(EVIDENCE - 2):
        assert settle.next_seconds() == ASKED_SECONDS
        settle.add_session(0.0, settled_seconds=ASKED_SECONDS)
    for _ in range(2):
        settle.add_session(0.0, settled_seconds=ASKED_SECONDS)
    assert min(settle.next_seconds() for _ in range(SAMPLE)) == pytest.approx(4 * 0.6)


def test_a_doubt_puts_it_back() -> None:
    """A suspect result speaks against what was learnt."""
    settle = learnt()
    settle.doubt()
    assert {settle.next_seconds() for _ in range(SAMPLE)} == {ASKED_SECONDS}


# -- against services --------------------------------------------------------------------------


@dataclass
class Recogniser:
    """A service that revises its transcript some time after each answer.

    Args:
        revises_after: Seconds, for the n-th session, from an answer in the middle to its revision;
            and from the last answer. None is never.
    """

    revises_after: Callable[[int], tuple[float | None, float | None]]
    sessions: int = 0
    answered_at: float = 0.0

    async def talk(self, peer: Peer) -> None:
        """Answer every chunk, and revise."""
        self.sessions += 1
        early, late = self.revises_after(self.sessions)
        for number in range(CHUNKS):
            await peer.get()
            is_last = number == CHUNKS - 1
            await peer.send(transcript_message(ROUGH * (number + 1)))
            self.answered_at = trio.current_time()
            wait = late if is_last else early
            if wait is not None:
                await trio.sleep(wait)
                await peer.send(transcript_message(REVISED * (number + 1)))
                self.answered_at = trio.current_time()
        await peer.get()


async def chunks() -> AsyncGenerator[bytes, None]:
    """Give a recording."""
    for _ in range(CHUNKS):
        yield bytes(3_200)


@dataclass
class Course:
    """What came of a number of sessions one after the other."""

    recogniser: Recogniser
    endpoint: Endpoint
    settle: SettleTime
    texts: list[str] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    """Seconds from the last message to the session's end."""
    doubted: list[int] = field(default_factory=list)
    """Sessions that showed that others were taken too soon."""

    async def go(self, sessions: int) -> None:
        """Do as the runner does."""
        for _ in range(sessions):
            result = await self.once(self.settle.next_seconds())
            if self.settle.add_session(
                result.revision_seconds, settled_seconds=result.settled_seconds
            ):
                self.doubted.append(len(self.texts))

    async def once(self, settle_seconds: float | None) -> SttResult:
        """Have one session."""
        session = SttSession(self.endpoint, chunks=chunks(), settle_seconds=settle_seconds)
        result = await session.run()
        assert result.evidence.ending is Ending.SETTLED
        self.texts.append(result.text)
        self.held.append(trio.current_time() - self.recogniser.answered_at)
        return result


@asynccontextmanager
async def course(
    revises_after: Callable[[int], tuple[float | None, float | None]],
    *,
    provider: Provider = LEARNING,
    known: bool = True,
) -> AsyncIterator[Course]:
    """Open a way to a recogniser, with the evidence of 200 sessions without revisions, or none."""
    recogniser = Recogniser(revises_after)
    async with trio.open_nursery() as nursery:
        service = Service(nursery, talk=recogniser.talk)
        endpoint = make_endpoint(service.dial, provider)
        settle = learnt() if known else SettleTime(ASKED_SECONDS, shrinks=True)
        yield Course(recogniser, endpoint, settle)
        nursery.cancel_scope.cancel()


@pytest.mark.unmeasured
async def test_a_service_that_never_revises_is_waited_for_half_a_second(
    autojump_clock: object,
) -> None:
    """After 200 sessions three in four are shorter by two seconds, and none is cut."""
    async with course(lambda _: (None, None), known=False) as run:
        await run.go(EVIDENCE)
        assert min(run.held) > ASKED_SECONDS - 0.01
        run.held.clear()
        await run.go(40)
    assert set(run.texts) == {ROUGH * CHUNKS}
    assert run.held == pytest.approx([0.5, 0.5, 0.5, 2.5] * 10, abs=0.01)
    assert not run.doubted


@pytest.mark.unmeasured
async def test_a_service_that_revises_soon_is_waited_for_four_times_as_long(
    autojump_clock: object,
) -> None:
    """Rough, and 0.3 s later better: every transcript is the better one."""
    async with course(lambda _: (0.3, 0.3), known=False) as run:
        await run.go(EVIDENCE)
        run.held.clear()
        await run.go(40)
    assert set(run.texts) == {REVISED * CHUNKS}
    assert run.held == pytest.approx([1.2, 1.2, 1.2, 2.5] * 10, abs=0.01)


@pytest.mark.unmeasured
async def test_a_service_that_revises_late_is_waited_for_in_full(autojump_clock: object) -> None:
    """What it has shown leaves nothing to save."""
    async with course(lambda _: (0.3, 1.5), known=False) as run:
        await run.go(EVIDENCE + 40)
    assert set(run.texts) == {REVISED * CHUNKS}
    assert min(run.held) > ASKED_SECONDS - 0.01


async def test_a_service_that_becomes_slow_in_mid_session_gets_time_in_that_session(
    autojump_clock: object,
) -> None:
    """Revisions of the middle of a recording show what the end needs: nothing is cut."""
    async with course(lambda n: (None, None) if n <= 6 else (0.45, 0.9)) as run:
        await run.go(20)
    assert run.texts == [ROUGH * CHUNKS] * 6 + [REVISED * CHUNKS] * 14


@pytest.mark.parametrize("first", range(1, 9))
async def test_a_service_that_begins_to_revise_late_is_noticed_by_the_next_full_session(
    first: int, autojump_clock: object
) -> None:
    """Where nothing else shows it, fewer than four transcripts lack a revision, and that is told."""
    async with course(lambda n: (None, None if n < first else 1.5)) as run:
        await run.go(20)
    cut = [
        number
        for number, text in enumerate(run.texts, 1)
        if number >= first and text != REVISED * CHUNKS
    ]
    assert len(cut) < SAMPLE
    assert len(run.doubted) == 1
    assert all(number < run.doubted[0] for number in cut)
    assert run.settle.taken_sooner >= len(cut)


async def test_without_leave_a_session_waits_in_full(autojump_clock: object) -> None:
    """As it was: nothing is shortened unless it is asked for."""
    async with course(lambda _: (None, None)) as run:
        await run.once(None)
    assert run.held == pytest.approx([ASKED_SECONDS], abs=0.01)


async def test_a_run_learns_and_tells(
    tmp_path: Path, standing_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    """The runner hands every session its time, learns from its result, and logs what may be lost."""
    rows = []
    for number in range(12):
        source = tmp_path / f"{number}.wav"
        soundfile.write(source, np.full(1_600, number, dtype=np.int16), 16_000)
        rows.append(make_recording_job(source, f"{number}"))
    sessions = 0

    async def talk(peer: Peer) -> None:
        nonlocal sessions
        sessions += 1
        is_late = sessions > 6
        await peer.get()
        await peer.send(transcript_message(ROUGH))
        if is_late:
            await trio.sleep(1.5)
            await peer.send(transcript_message(REVISED))
        await peer.get()

    async def prepare(runner: Runner) -> None:
        runner._state.accounts["quick"].learnt.settle = learnt()

    run = await run_rows(
        tmp_path / "run",
        rows,
        talk,
        provider=replace(LEARNING, name="quick"),
        run_options=replace(OPTIONS, concurrency=1),
        during=prepare,
        patience=1_000,
    )
    assert (run.statuses, sessions) == ({"done": 12}, 12)
    texts = [
        (tmp_path / "run" / record.output).read_text(encoding="utf-8")
        for record in run.records.values()
    ]
    assert texts.count(REVISED) >= 12 - 6 - (SAMPLE - 1)
    assert caplog.text.count("revised a transcript after 1.5 s") == 1
