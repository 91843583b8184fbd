"""A session as its owner sees it, which is cut off while a host has it: what is paid for is waited for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from batchjobs.cluster.crew import Crew
from batchjobs.cluster.host import Host
from batchjobs.cluster.messages import Spoke
from batchjobs.cluster.sessions import CUT_SECONDS, RemoteSession
from batchjobs.errors import LostError
from batchjobs.plausibility.clips import SpeechRates
from batchjobs.runner.sessions import Asked, SpeechElsewhere
from tests.builders import audio_message, make_endpoint, make_segment
from tests.cluster.loopback import LoopbackHost, make_opening
from tests.runner.runs import QUICK, RATE, SPEECH, obeys, speech_for
from tests.streams import Peer, Service, Talk

pytestmark = pytest.mark.usefixtures("standing_clock")

TEXT = "مَرْحَبًا بِكُمْ ١٢٣"
WRITING_SECONDS = 4.0


class Bench:
    """One host, one session with it, and what came of that.

    Attributes:
        host: The host.
        session: The session.
        cut: Cuts it off.
        outcome: What it came to; None if it was cut off.
        took_seconds: How long that took from the cut.
    """

    def __init__(self, folder: Path, nursery: trio.Nursery, talk: Talk) -> None:
        service = Service(nursery, talk=talk)
        endpoints = {"quick": make_endpoint(service.dial, QUICK)}
        crew = Crew(endpoints)
        self.host = LoopbackHost(make_opening(folder, endpoints), service.dial, crew, "host")
        self.session: RemoteSession = crew.make_session(
            Asked(
                provider="quick",
                segment=make_segment(TEXT, speech=SPEECH, key="0" * 64),
                output="audio/a.wav",
                wait_seconds=2.5,
                judge=SpeechRates().make_judge(voice="v", spoken=TEXT, speed=1.0),
                on_proven=lambda: None,
            )
        )
        self.cut = trio.CancelScope()
        self.ended = trio.Event()
        self.outcome: object = None
        crew.add(self.host.member)
        nursery.start_soon(self.host.run)
        nursery.start_soon(self._run)

    async def _run(self) -> None:
        with self.cut:
            try:
                self.outcome = await self.session.run()
            except LostError as error:
                self.outcome = error
        self.ended.set()

    async def wait_end(self) -> float:
        """Cut it off, and say how long its end took."""
        began = trio.current_time()
        self.cut.cancel()
        await self.ended.wait()
        return trio.current_time() - began


@asynccontextmanager
async def bench(folder: Path, talk: Talk = obeys) -> AsyncIterator[Bench]:
    """Have a host for as long as the block lasts."""
    async with trio.open_nursery() as nursery:
        yield Bench(folder, nursery, talk)
        nursery.cancel_scope.cancel()


async def goes_on(peer: Peer) -> None:
    """Speak without an end."""
    await peer.begin()
    text = await peer.text()
    while True:
        await peer.send(audio_message(speech_for(text), RATE))
        await trio.sleep(0.5)


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> trio.Event:
    """Have results written slowly; set once one is."""
    begun, write = trio.Event(), Host._write

    async def write_slowly(self: Host, *arguments: Any) -> Any:
        begun.set()
        await trio.sleep(WRITING_SECONDS)
        return await write(self, *arguments)

    monkeypatch.setattr(Host, "_write", write_slowly)
    return begun


async def test_what_is_being_written_as_it_is_cut_off_is_kept(
    tmp_path: Path, slow_disk: trio.Event
) -> None:
    """Its host says that it is decided: it is paid for, however slow the disk is."""
    async with bench(tmp_path) as found:
        await slow_disk.wait()
        assert await found.wait_end() == pytest.approx(WRITING_SECONDS, abs=0.1)
        assert isinstance(found.outcome, SpeechElsewhere)
        assert (tmp_path / found.outcome.parts.files[0].path).is_file()


async def test_a_host_that_dies_as_it_writes_what_was_cut_off_is_not_waited_for(
    tmp_path: Path, slow_disk: trio.Event
) -> None:
    """What it had is lost and counts whole; the run ends."""
    async with bench(tmp_path) as found:
        await slow_disk.wait()
        found.cut.cancel()
        await trio.sleep(1.0)
        assert not found.ended.is_set()
        found.host.kill()
        assert await found.wait_end() == 0.0
        assert found.outcome is None
        assert found.session.sent_characters == len(TEXT)


async def test_what_is_cut_off_in_the_middle_counts_as_far_as_it_came(tmp_path: Path) -> None:
    """Its host answers at once."""
    async with bench(tmp_path, goes_on) as found:
        await trio.sleep(1.0)
        assert await found.wait_end() < CUT_SECONDS
        assert found.outcome is None
        assert found.session.was_connected
        assert found.session.sent_characters == len(TEXT)


async def test_a_host_that_says_nothing_to_a_cut_is_not_waited_for(tmp_path: Path) -> None:
    """All of it counts as sent; what comes later changes nothing."""
    async with bench(tmp_path, goes_on) as found:
        await trio.sleep(1.0)
        found.host.is_silent = True
        assert await found.wait_end() == pytest.approx(CUT_SECONDS, abs=0.01)
        assert found.session.sent_characters == len(TEXT)


async def test_an_outcome_that_comes_after_a_loss_changes_nothing(
    tmp_path: Path, slow_disk: trio.Event
) -> None:
    """The host lives after all: its session goes again, and is counted once."""
    async with bench(tmp_path) as found:
        await slow_disk.wait()
        crew = found.host._crew
        assert crew is not None
        crew.lose(found.host.member, "it did not answer")
        await found.ended.wait()
        assert isinstance(found.outcome, LostError)
        await trio.sleep(WRITING_SECONDS + 1.0)
        assert any(isinstance(report, Spoke) for report in found.host.reports)
        assert found.session.sent_characters == len(TEXT)
        assert not found.session.was_connected


async def test_reports_that_come_twice_are_heard_once(tmp_path: Path) -> None:
    """The first outcome stands."""
    async with bench(tmp_path) as found:
        await found.ended.wait()
        first = found.session.sent_characters
        (spoke,) = (report for report in found.host.reports if isinstance(report, Spoke))
        found.session.hear(spoke)
        found.session.hear(LostError("late"))
        assert isinstance(found.outcome, SpeechElsewhere)
        assert found.session.sent_characters == first
        assert found.session.was_connected
