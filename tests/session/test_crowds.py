"""Handshakes at once are bounded, and a crowd of connections is spread."""

import itertools

import pytest
import trio
import trio.testing

from batchjobs.errors import TransientError
from tests.builders import make_endpoint
from tests.session.scripted import KEY, endpoint_at, run_service, speech
from tests.streams import head_of

pytestmark = pytest.mark.usefixtures("library_hooks")


async def test_at_most_32_handshakes_at_once(autojump_clock: object) -> None:
    """A thousand sessions broken at once do not come back at once."""
    opening = 0
    most = 0

    async def slow(stream: trio.abc.Stream) -> None:
        nonlocal opening, most
        opening += 1
        most = max(most, opening)
        await head_of(stream)
        await trio.sleep(1)
        opening -= 1

    async with run_service(raw=slow) as service:
        endpoint = endpoint_at(service)

        async def one() -> None:
            with pytest.raises(TransientError):
                await speech(endpoint).run()

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(one)
    assert most == 32


async def test_a_crowd_of_connections_is_spread_and_a_few_are_not(autojump_clock: object) -> None:
    """A thousand sessions that start at once dial over a second, a small run's all at once."""
    for sessions, seconds in ((64, 0.0), (1_000, 0.936)):
        dialled: list[float] = []

        async def dial(host: str, port: int, context: object) -> trio.abc.Stream:
            dialled.append(trio.current_time())  # noqa: B023
            raise OSError("nobody there")

        endpoint = make_endpoint(dial, key=KEY)

        async def one() -> None:
            with pytest.raises(TransientError):
                await speech(endpoint).run()  # noqa: B023

        async with trio.open_nursery() as nursery:
            for _ in range(sessions):
                nursery.start_soon(one)
        assert len(dialled) == sessions
        assert max(dialled) - min(dialled) == pytest.approx(seconds)
        gaps = [later - sooner for sooner, later in itertools.pairwise(sorted(dialled)[63:])]
        assert gaps == pytest.approx([0.001] * (sessions - 64), abs=1e-6)
