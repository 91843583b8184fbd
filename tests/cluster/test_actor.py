"""What an owner asks of a host by its actor: nothing that is told gets lost or is done twice."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from batchjobs.cluster import actor
from batchjobs.cluster.actor import HostActor, Sealed
from batchjobs.cluster.host import Host
from batchjobs.cluster.messages import (
    Failed,
    Opening,
    Order,
    Orders,
    Report,
    Start,
    decode_reports,
    decode_welcome,
    encode,
)
from tests.builders import make_segment
from tests.clocks import PATIENCE_SECONDS
from tests.runner.runs import SPEECH

TOKEN = "مالك"


def make_opening(folder: Path, **more: str) -> Sealed:
    """Make what a host without any provider is opened with: whatever is ordered fails there."""
    note = folder / "note"
    note.write_text(TOKEN, encoding="utf-8")
    where = {"folder": str(folder), "note": str(note)}
    return Sealed(encode(Opening(token=TOKEN, **where, **more, sites=())))


def order(*numbers: int, batch: int) -> bytes:
    """Order sessions with nobody."""
    segment = make_segment("مرحبا ١٢٣", speech=SPEECH, key="0" * 64)
    orders: list[Order] = [
        Start(number=number, site="nobody", segment=segment, wait_seconds=1.0) for number in numbers
    ]
    return encode(Orders(batch, orders))


def with_host(folder: Path, talk: Callable[[HostActor], Awaitable[None]]) -> None:
    """Open a host, and talk with it."""

    async def main() -> None:
        host = HostActor()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert decode_welcome(await host.open(make_opening(folder))).fault is None
            await talk(host)
        host.__del__()  # as where Dask lets go of it

    asyncio.run(main())


def test_no_report_is_lost_where_a_connection_breaks(tmp_path: Path) -> None:
    """A question whose connection broke still waits as it is asked again: both have the same answer."""

    async def talk(host: HostActor) -> None:
        broken = asyncio.create_task(host.poll(TOKEN, 0))
        again = asyncio.create_task(host.poll(TOKEN, 0))
        await asyncio.sleep(0)
        await host.take(TOKEN, order(1, 2, batch=1))
        had, told = 0, list[Report]()
        answers = await asyncio.gather(broken, again)
        assert answers[0] == answers[1]
        answer = answers[1]
        while True:
            batch = decode_reports(answer)
            had, told = batch.number, told + batch.reports
            if len(told) >= 2:
                break
            answer = await host.poll(TOKEN, had)
        assert [report.number for report in told if isinstance(report, Failed)] == [1, 2]

    with_host(tmp_path, talk)


def test_orders_that_come_twice_are_carried_out_once(tmp_path: Path) -> None:
    """A batch whose answer was lost is sent again: its sessions are not."""

    async def talk(host: HostActor) -> None:
        for batch in (1, 1, 2, 1):
            await host.take(TOKEN, order(batch, batch=batch))
        had, told = 0, list[Report]()
        for _ in range(3):
            answer = decode_reports(await host.poll(TOKEN, had))
            had, told = answer.number, told + answer.reports
        assert [report.number for report in told if isinstance(report, Failed)] == [1, 2]

    with_host(tmp_path, talk)


def test_orders_may_come_with_a_question(tmp_path: Path) -> None:
    """It is answered at once, so that their owner knows; what comes of them is told to the next one."""

    async def talk(host: HostActor) -> None:
        answer = decode_reports(await host.poll(TOKEN, 0, order(1, batch=1)))
        again = decode_reports(await host.poll(TOKEN, 0, order(1, batch=1)))
        assert again == answer
        had, told = answer.number, answer.reports
        while not told:
            answer = decode_reports(await host.poll(TOKEN, had))
            had, told = answer.number, told + answer.reports
        assert decode_reports(await host.poll(TOKEN, had)).reports == []
        assert [report.number for report in told if isinstance(report, Failed)] == [1]

    with_host(tmp_path, talk)


def test_nobody_else_gives_orders(tmp_path: Path) -> None:
    """Another owner's token is not known, nor is any in an actor that was made anew."""

    async def talk(host: HostActor) -> None:
        with pytest.raises(LookupError):
            await host.take("another", order(1, batch=1))
        with pytest.raises(LookupError):
            await HostActor().poll(TOKEN, 0)

    with_host(tmp_path, talk)


def test_what_was_reported_until_a_host_ended_is_told_after_it(tmp_path: Path) -> None:
    """An owner that stood still for a while loses no outcome; then it hears that there is no host."""

    async def talk(host: HostActor) -> None:
        await host.take(TOKEN, order(1, batch=1))
        engine = host._engine
        assert engine is not None
        engine.call(lambda each: each.take([]))  # behind the order
        while not engine._waiting:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.001)
        engine.call(Host.end)
        while not engine.is_over:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.001)
        await host.take(TOKEN, order(2, batch=2))
        answer = decode_reports(await host.poll(TOKEN, 0))
        assert [report.number for report in answer.reports if isinstance(report, Failed)] == [1]
        assert decode_reports(await host.poll(TOKEN, 0)) == answer
        with pytest.raises(LookupError, match="has ended"):
            await host.poll(TOKEN, answer.number)

    with_host(tmp_path, talk)


def test_an_owner_that_gives_up_while_a_host_begins_is_no_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk may keep it for as long as it likes: when it has begun, nobody may wait any more."""
    has_come, may_go = threading.Event(), threading.Event()

    class SlowHost(Host):
        def __init__(self, opening: Opening, report: Callable[[Report], None]) -> None:
            has_come.set()
            may_go.wait(PATIENCE_SECONDS)
            super().__init__(opening, report)

        async def run(self) -> None:
            """End at once; without an owner's word it would a little later."""

    monkeypatch.setattr(actor, "Host", SlowHost)
    mistakes: list[object] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: mistakes.append(context))
        asked = asyncio.create_task(HostActor().open(make_opening(tmp_path)))
        await asyncio.to_thread(has_come.wait, PATIENCE_SECONDS)
        hosts = [each for each in threading.enumerate() if each.name == "batchjobs-host"]
        asked.cancel()
        await asyncio.wait([asked])
        may_go.set()
        for host in hosts:
            await asyncio.to_thread(host.join, PATIENCE_SECONDS)
        assert hosts
        assert asked.cancelled()

    asyncio.run(main())
    assert not mistakes


def test_a_host_that_cannot_begin_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is: its owner hears it at once, and waits for nothing."""

    def fail(*_: object) -> None:
        raise ValueError("no such encoding")

    monkeypatch.setattr(actor, "Host", fail)

    async def main() -> None:
        with pytest.raises(ValueError, match="no such encoding"):
            await asyncio.wait_for(HostActor().open(make_opening(tmp_path)), PATIENCE_SECONDS)

    asyncio.run(main())


def test_a_worker_that_sees_another_folder_is_refused(tmp_path: Path) -> None:
    """Its note is missing, or another run's: a sentence, and no host."""
    sealed = make_opening(tmp_path)
    (tmp_path / "note").write_text("another", encoding="utf-8")

    async def main() -> None:
        host = HostActor()
        fault = decode_welcome(await host.open(sealed)).fault
        assert fault is not None
        assert f"does not see the run folder {tmp_path}" in fault.message
        with pytest.raises(LookupError):
            await host.poll(TOKEN, 0)

    asyncio.run(main())


def test_a_worker_that_sees_no_recording_is_refused(tmp_path: Path) -> None:
    """Before anything is spent; one that sees it is taken."""
    recording = tmp_path / "مقابلة.wav"

    async def main() -> None:
        fault = decode_welcome(
            await HostActor().open(make_opening(tmp_path, recording=str(recording)))
        ).fault
        assert fault is not None
        assert f"does not see the recording {recording}" in fault.message
        recording.touch()
        host = HostActor()
        welcome = decode_welcome(await host.open(make_opening(tmp_path, recording=str(recording))))
        assert welcome.fault is None
        host.__del__()

    asyncio.run(main())
