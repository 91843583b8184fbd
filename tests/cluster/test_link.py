"""The owner's line to a cluster whose workers are scripted: whom it takes, and whom it refuses."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trio
from msgspec import structs

from batchjobs.cluster import link
from batchjobs.cluster.actor import Sealed
from batchjobs.cluster.crew import Crew, Member
from batchjobs.cluster.identity import introduce
from batchjobs.cluster.link import ClusterSettings
from batchjobs.cluster.messages import (
    Cut,
    Opening,
    Orders,
    Reports,
    Welcome,
    decode_orders,
    encode,
    to_fault,
)
from batchjobs.errors import BatchjobsError, ConfigurationError, ServiceUnavailableError
from tests.clocks import PATIENCE_SECONDS
from tests.whole_runs import environment


class ScriptedActor:
    """A host that never has a session.

    Args:
        welcome: Who it says that it is.
        begins: Awaited as it is opened.
    """

    def __init__(
        self, welcome: Welcome, begins: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        self._welcome = welcome
        self._begins = begins
        self.was_opened = False
        self.is_asked = asyncio.Event()

    async def introduce(self) -> bytes:
        """Say who this is."""
        return encode(structs.replace(self._welcome, fault=None))

    async def open(self, _: Sealed) -> bytes:
        """Begin, or not."""
        self.was_opened = True
        if self._begins is not None:
            await self._begins()
        return encode(self._welcome)

    async def actor_execute(self, function: str, args: tuple[Any, ...], **_: object) -> object:
        """Be called."""
        return {"status": "OK", "result": await getattr(self, function)(*args)}

    async def poll(self, _: str, had: int, _content: bytes) -> bytes:
        """Have nothing to report."""
        self.is_asked.set()
        await asyncio.sleep(0.01)
        return encode(Reports(had + 1, []))

    async def take(self, _: str, _content: bytes) -> None:
        """Take orders."""


class ScriptedFuture:
    """What is there of an actor.

    Args:
        actor: The actor; None if it cannot be made.
        key: Its key.
    """

    status = "finished"

    def __init__(self, actor: ScriptedActor | None, key: str) -> None:
        self._actor = actor
        self.key = key

    def __await__(self) -> Generator[object, None, ScriptedActor]:
        """Give the actor."""
        yield from asyncio.sleep(0).__await__()
        if self._actor is None:
            raise ModuleNotFoundError("No module named 'batchjobs'")
        return self._actor


Actors: TypeAlias = dict[str, ScriptedActor | None]


class ScriptedClient:
    """Stands in the place of Dask's.

    Args:
        actors: What each worker has, by its address; None where none can be made.
    """

    status = "running"

    def __init__(self, actors: Actors) -> None:
        self.scheduler = self
        self.scheduler_comm = object()
        self.actors = actors
        self.looks = 0
        self.is_deaf = False

    async def identity(self, n_workers: int) -> Mapping[str, object]:
        """Say which workers there are."""
        self.looks += 1
        if self.is_deaf:
            raise OSError("nobody answers")
        return {"workers": self.actors}

    def submit(self, *_: object, workers: list[str], key: str, **_more: object) -> object:
        """Make an actor."""
        return ScriptedFuture(self.actors[workers[0]], key)

    def rpc(self, address: str) -> ScriptedActor | None:
        """Give what is there to be called."""
        return self.actors[address]

    async def has_looked_again(self) -> None:
        """Wait until the owner has looked at its workers a few times."""
        until = self.looks + 3
        while self.looks < until:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.005)


Begin: TypeAlias = Callable[[Actors], ScriptedClient]


async def follow(
    folder: Path,
    talk: Callable[[Begin], Coroutine[Any, Any, None]],
    crew: Crew | None = None,
) -> None:
    """Follow a scripted cluster until the talk is over.

    Raises:
        BatchjobsError: The cluster was refused.
    """
    opening = Opening(token="t", folder=str(folder), note="", sites=())
    line = link._Link(ClusterSettings(address="tcp://127.0.0.1:1"), opening, crew or Crew({}))

    async def main() -> None:
        line._stop = asyncio.Event()
        following: list[asyncio.Task[None]] = []

        def begin(actors: Actors) -> ScriptedClient:
            client = ScriptedClient(actors)
            stand_in: Any = client
            following.append(asyncio.create_task(line._follow(stand_in)))
            return client

        talking = asyncio.create_task(talk(begin))
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.wait([talking, *following], return_when=asyncio.FIRST_COMPLETED)
                line._stop.set()
                await following[0]
                await talking
        finally:
            talking.cancel()
            await line._dismiss("the test is over")

    await trio.to_thread.run_sync(asyncio.run, main())


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look at the workers often."""
    monkeypatch.setattr(link, "_FOLLOW_SECONDS", 0.01)


FULL = structs.replace(introduce(), fault=to_fault(ConfigurationError("no key there")))
OLDER = structs.replace(introduce(), package="0.0.1")


@pytest.mark.parametrize("other", [None, FULL, OLDER])
async def test_one_worker_of_no_use_keeps_no_run_from_the_others(
    tmp_path: Path, other: Welcome | None
) -> None:
    """It is looked at first, as it says no at once; the others still import this package."""

    async def talk(begin: Begin) -> None:
        client = begin({"bad": None if other is None else ScriptedActor(other)})
        good = client.actors["good"] = ScriptedActor(introduce(), client.has_looked_again)
        await good.is_asked.wait()

    await follow(tmp_path, talk)


async def test_a_cluster_without_a_worker_of_use_is_refused(tmp_path: Path) -> None:
    """Once all have said no, with the sentence of one of them."""

    async def talk(begin: Begin) -> None:
        client = begin({"a": ScriptedActor(FULL)})
        client.actors["b"] = ScriptedActor(FULL, client.has_looked_again)
        await asyncio.sleep(PATIENCE_SECONDS)

    with pytest.raises(BatchjobsError, match="no key there"):
        await follow(tmp_path, talk)


async def test_a_stranger_is_told_nothing(tmp_path: Path) -> None:
    """Before its version is known to be ours it gets no key, and nothing that it may not understand."""
    stranger = []

    async def talk(begin: Begin) -> None:
        stranger.append(ScriptedActor(OLDER))
        begin({"old": stranger[0]})
        await asyncio.sleep(PATIENCE_SECONDS)

    with pytest.raises(ConfigurationError, match=r"has batchjobs 0\.0\.1"):
        await follow(tmp_path, talk)
    assert not stranger[0].was_opened


async def test_a_worker_that_was_out_of_reach_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have had much to do, or its way was broken for a moment."""
    monkeypatch.setattr(link, "_UNREACHED_SECONDS", 0.05)
    tries: list[None] = []

    async def comes_late() -> None:
        tries.append(None)
        if len(tries) < 3:
            raise OSError("no route to host")

    async def talk(begin: Begin) -> None:
        client = begin({"good": ScriptedActor(introduce())})
        good = client.actors["good"]
        assert good is not None
        await good.is_asked.wait()
        late = client.actors["late"] = ScriptedActor(introduce(), comes_late)
        await late.is_asked.wait()
        assert len(tries) == 3

    await follow(tmp_path, talk)


async def test_workers_out_of_reach_are_told_as_such(tmp_path: Path) -> None:
    """At the start of a run: the sentence says who has to reach whom."""

    async def fails() -> None:
        raise OSError("no route to host")

    async def talk(begin: Begin) -> None:
        begin({"far": ScriptedActor(introduce(), fails)})
        await asyncio.sleep(PATIENCE_SECONDS)

    with pytest.raises(ConfigurationError, match="at far cannot be reached: OSError: no route"):
        await follow(tmp_path, talk)


# -- what breaks -----------------------------------------------------------------------------------


class Watching(Crew):
    """A crew that remembers who came and went."""

    def __init__(self) -> None:
        super().__init__({})
        self.seen: list[str] = []

    def add(self, member: Member) -> None:
        """Take in a host."""
        self.seen.append("came")
        super().add(member)

    def lose(self, member: Member, reason: str) -> None:
        """Part with a host."""
        self.seen.append(reason)
        super().lose(member, reason)


async def test_a_break_of_the_schedulers_line_is_outlived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All hosts went with it; others are made once the lost ones have ended, and not before."""
    monkeypatch.setattr(link, "PATIENCE_SECONDS", 0.5)
    crew = Watching()

    async def talk(begin: Begin) -> None:
        client = begin({"a": ScriptedActor(introduce())})
        first = client.actors["a"]
        assert first is not None
        await first.is_asked.wait()
        again = client.actors["a"] = ScriptedActor(introduce())
        began = asyncio.get_running_loop().time()
        client.scheduler_comm, client.status = object(), "connecting"
        await asyncio.sleep(0.2)
        assert not again.was_opened
        client.status = "running"
        await again.is_asked.wait()
        assert asyncio.get_running_loop().time() - began >= 0.5

    await follow(tmp_path, talk, crew)
    assert crew.seen == ["came", "the connection to the scheduler broke", "came"]


async def test_a_scheduler_that_does_not_come_back_ends_the_run(tmp_path: Path) -> None:
    """With a sentence that says what to do."""

    async def talk(begin: Begin) -> None:
        client = begin({"a": ScriptedActor(introduce())})
        actor = client.actors["a"]
        assert actor is not None
        await actor.is_asked.wait()
        client.scheduler_comm, client.status = object(), "connecting"
        await asyncio.sleep(0.1)
        client.status = "closed"
        await asyncio.sleep(PATIENCE_SECONDS)

    with pytest.raises(ServiceUnavailableError, match=r"scheduler at tcp://127\.0\.0\.1:1 is gone"):
        await follow(tmp_path, talk)


async def test_a_scheduler_that_does_not_answer_costs_no_session(tmp_path: Path) -> None:
    """As long as its connection stands, workers are talked with directly, and are there."""
    crew = Watching()

    async def talk(begin: Begin) -> None:
        client = begin({"a": ScriptedActor(introduce())})
        actor = client.actors["a"]
        assert actor is not None
        await actor.is_asked.wait()
        client.is_deaf = True
        await client.has_looked_again()
        client.is_deaf = False
        await client.has_looked_again()

    await follow(tmp_path, talk, crew)
    assert crew.seen == ["came"]


async def test_a_worker_that_cannot_be_reached_for_a_moment_is_called_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For as long as its host waits for us; then whatever it has is cut, and it counts as lost."""
    calls: list[None] = []

    async def act() -> str:
        calls.append(None)
        if len(calls) <= away:
            raise OSError("no route")
        return "there"

    away = 5
    monkeypatch.setattr(link, "_CALL_SECONDS", PATIENCE_SECONDS)
    assert await trio.to_thread.run_sync(asyncio.run, link._call(act)) == "there"
    assert len(calls) == away + 1
    away = 1_000_000
    monkeypatch.setattr(link, "_CALL_SECONDS", 0.2)
    with pytest.raises(OSError, match="no route"):
        await trio.to_thread.run_sync(asyncio.run, link._call(act))


async def test_an_owner_that_stood_still_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has missed the answer: that is no fault of the worker."""
    monkeypatch.setattr(link, "_CALL_SECONDS", 0.2)
    monkeypatch.setattr(link, "_LATE_SECONDS", 0.2)
    calls: list[None] = []

    async def act() -> str:
        calls.append(None)
        if len(calls) == 1:
            asyncio.get_running_loop().call_soon(time.sleep, 0.5)
            await asyncio.sleep(60)
        return "there"

    assert await trio.to_thread.run_sync(asyncio.run, link._call(act)) == "there"
    assert len(calls) == 2


class BreakingActor:
    """A host to which every second connection breaks: before it has heard what is said, or after.

    Args:
        count: How many orders it waits for.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._calls = 0
        self.batches: list[Orders] = []
        self.has_all = asyncio.Event()

    async def poll(self, _: str, had: int, content: bytes) -> bytes:
        """Take orders, and have nothing to report for a while if there are none."""
        if not content:
            await asyncio.sleep(0.03)
        await self.take("", content)
        return encode(Reports(had + 1, []))

    async def take(self, _: str, content: bytes) -> None:
        """Take orders."""
        self._calls += 1
        if self._calls % 4 == 1:
            raise OSError("the connection broke")
        if content:
            self.batches.append(decode_orders(content))
        if len({cut.number for batch in self.batches for cut in batch.orders}) == self._count:
            self.has_all.set()
        if self._calls % 4 == 3:
            raise OSError("the connection broke")


async def test_orders_come_one_batch_after_the_other_over_connections_that_break() -> None:
    """A host takes no batch that is older than one that it has: so none is sent before it is there."""

    async def main() -> list[Orders]:
        host = BreakingActor(60)

        async def call(function: str, *arguments: object) -> Any:
            return await getattr(host, function)(*arguments)

        line = link._Line(call, "t")
        talking = asyncio.create_task(line.talk(lambda _: None))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                for number in range(60):
                    line.post(Cut(number=number))
                    await asyncio.sleep(0.001 * (number % 13))
                await host.has_all.wait()
        finally:
            talking.cancel()
        return host.batches

    batches = await trio.to_thread.run_sync(asyncio.run, main())
    numbers = [batch.number for batch in batches]
    assert numbers == sorted(numbers)
    taken = {batch.number: [order.number for order in batch.orders] for batch in batches}
    assert [number for orders in taken.values() for number in orders] == list(range(60))


TWICE = """
import sys
import trio
import dask.config
from batchjobs.cluster import link
from batchjobs.cluster.crew import Crew
from batchjobs.cluster.messages import Opening
from batchjobs.errors import ServiceUnavailableError

async def connect(stack):
    import distributed
    dask.config.get("distributed.client.security-loader")
    raise ServiceUnavailableError("nobody")

async def main():
    opening = Opening(token="t", folder="", note="", sites=())
    line = link._Link(link.ClusterSettings(address="tcp://127.0.0.1:1"), opening, Crew({}))
    line._connect = connect
    await trio.to_thread.run_sync(line._run)
    print(line._error)

for _ in range(2):
    trio.run(main)
"""


def test_a_process_can_have_several_runs_one_after_the_other(tmp_path: Path) -> None:
    """What is set for the first takes nothing away that Dask needs for the second."""
    ended = subprocess.run(
        [sys.executable, "-c", TWICE],
        check=False,
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ended.stdout.split() == ["nobody", "nobody"], ended.stderr
