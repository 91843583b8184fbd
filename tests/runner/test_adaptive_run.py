"""Whole runs against a service that has room for so many sessions and says so to nobody.

All of it is real but the time: planning, checkpoint, files with their syncs, WebSockets over memory
streams. Minutes pass in seconds; `python -m tests.runner.test_adaptive_run` is the long form.
"""

import argparse
import errno
import itertools
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trio

from batchjobs.errors import BudgetReachedError
from batchjobs.limits import ConcurrencyLimit, RetryPolicy
from batchjobs.options import Options
from batchjobs.providers import change_provider
from batchjobs.runner import Runner
from tests.builders import audio_message
from tests.clocks import make_clock
from tests.runner.runs import QUICK, RATE, RunOutcome, job, run_rows, speech_for
from tests.streams import FaultyStream, Peer, Service, answers

pytestmark = [pytest.mark.unmeasured, pytest.mark.long]

WAYS = ("42901", "HTTP 429", "HTTP 429 with Retry-After", "close 1013")
ROUND_TRIP_SECONDS = 0.05
RETRY_AFTER_SECONDS = 3.0
MEAN_SESSION_SECONDS = 2.0
OPTIONS = Options(concurrency=0)
PATIENT = change_provider(QUICK, {"connect_seconds": 60.0, "drain_seconds": 60.0}, where="test")


# -- the service ---------------------------------------------------------------------------------


@dataclass
class Crowded:
    """A service with room for so many sessions; what is more it refuses in its way.

    Args:
        room: Sessions it serves at a time after its start.
        way: How it refuses.
        seed: For the lengths of its sessions.
        away: From when until when nobody can connect.
    """

    room: Callable[[float], int]
    way: str
    seed: int
    away: tuple[float, float] = (0.0, 0.0)
    served: int = 0
    begun: int = 0
    refused: int = 0
    missed: int = 0
    busy: list[tuple[float, int]] = field(default_factory=list)
    """Time since the start, sessions served."""
    _began_at: float = 0.0
    _dice: random.Random = field(default_factory=random.Random)

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return trio.current_time() - self._began_at

    def dial(self, nursery: trio.Nursery) -> Callable[..., Awaitable[FaultyStream]]:
        """Give the way to connect."""
        self._began_at = trio.current_time()
        self._dice.seed(self.seed)
        retry = f"Retry-After: {RETRY_AFTER_SECONDS:.0f}\r\n" if "Retry-After" in self.way else ""
        status = "503 Busy" if "503" in self.way else "429 Too Many Requests"
        head = f"HTTP/1.1 {status}\r\n{retry}Content-Length: 0\r\n\r\n"
        speaking = Service(nursery, talk=self._talk)
        refusing = Service(nursery, raw=answers(head.encode()))

        async def dial(host: str, port: int, context: object) -> FaultyStream:
            await trio.sleep(ROUND_TRIP_SECONDS)
            if self.away[0] <= self.now < self.away[1]:
                self.missed += 1
                raise OSError(errno.ECONNREFUSED, "connection refused")
            self.begun += 1
            if self.way.startswith("HTTP"):
                if not self._has_room():
                    return await refusing.dial(host, port, context)
                self.served += 1
            return await speaking.dial(host, port, context)

        return dial

    def _has_room(self) -> bool:
        if self.served < self.room(self.now):
            return True
        self.refused += 1
        return False

    async def _talk(self, peer: Peer) -> None:
        if self.way.startswith("HTTP"):  # its place was taken in the handshake
            await self._speak(peer)
            return
        if self._has_room():
            self.served += 1
            await self._speak(peer)
            return
        await peer.get()
        if self.way == "42901":
            busy = {"type": "error", "errorCode": 42901, "errorMessage": "too many sessions"}
            await peer.send(busy)
        await peer.connection.aclose(1013 if self.way == "close 1013" else 1000)

    async def _speak(self, peer: Peer) -> None:
        try:
            await peer.begin()
            text = await peer.text()
            await trio.sleep(MEAN_SESSION_SECONDS * self._dice.uniform(0.5, 1.5))
            await peer.send(audio_message(speech_for(text), RATE))
            await peer.until_asked_to_close()
            await peer.connection.aclose(1000)
        finally:
            self.served -= 1

    async def watch(self) -> None:
        """Write down how many are served, ten times a second."""
        while True:
            self.busy.append((self.now, self.served))
            await trio.sleep(0.1)

    # -- what came of it -------------------------------------------------------------------------

    def used(self, since: float, until: float) -> float:
        """Give what share of the room was used on the average."""
        shares = [served / self.room(at) for at, served in self.busy if since < at <= until]
        return sum(shares) / len(shares)

    def least(self, since: float, until: float) -> float:
        """Give the least share used in any ten seconds, without the pauses it asked for."""
        width = 10.0 + (RETRY_AFTER_SECONDS if "Retry-After" in self.way else 0.0)
        return min(self.used(at, at + width) for at in range(int(since), int(until - width)))

    def first(self, since: float, until: float, *, least: float, most: float) -> float:
        """Give the seconds from `since` until a second is used as much as this."""
        for at in range(int(since), int(until)):
            if least <= self.used(at, at + 1.0) <= most:
                return at - since
        return float("inf")

    @property
    def refused_share(self) -> float:
        """Give what share of the sessions was refused."""
        return self.refused / self.begun

    def told(self, seconds: float) -> str:
        """Say what came of it."""
        return (
            f"{self.begun:,} sessions, {self.refused_share:.1%} refused, "
            f"{self.used(0.0, seconds):.0%} used, after a minute {self.used(60.0, seconds):.0%} "
            f"and never less than {self.least(60.0, seconds):.0%}"
        )


async def run_against(
    folder: Path, service: Crowded, seconds: float, *, options: Options = OPTIONS
) -> RunOutcome:
    """Run more rows than can be done in the time, and stop when it is over."""
    most = max(service.room(float(at)) for at in range(int(seconds)))
    rows = [job(f"{n:05}", f"نعم {n:05}") for n in range(int(most * seconds / 1.5))]

    async def until_over(runner: Runner) -> None:
        await trio.sleep(seconds)
        runner.stop(BudgetReachedError("the test is over"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.watch)
        result = await run_rows(
            folder,
            rows,
            dial=service.dial(nursery),
            provider=PATIENT,
            run_options=options,
            retries=RetryPolicy(attempts=5),
            during=until_over,
            patience=1e6,
        )
        nursery.cancel_scope.cancel()
    results = Counter(result for _, result, _, _ in result.attempts)
    assert results["done"] == result.statuses["done"]
    assert result.statuses.keys() == {"done"}
    assert results.keys() <= {"done", "throttled", "transient"}
    assert results["throttled"] + results["transient"] == service.refused + service.missed
    return result


# -- what it has to come to ----------------------------------------------------------------------


def constant(room: int) -> Callable[[float], int]:
    """Give room that stays as it is."""
    return lambda _: room


def falling(room: int, since: float, until: float) -> Callable[[float], int]:
    """Give room that is a tenth for a while."""
    return lambda at: room // 10 if since <= at < until else room


def is_used_well(service: Crowded, seconds: float) -> bool:
    """Whether 70 to 100 % of the room is used after a minute, 85 % over all, 3 % are refused.

    More than it has room for a service does not serve: who asks for more is refused.
    """
    return (
        service.least(60.0, seconds) >= 0.70
        and service.used(0.0, seconds) >= 0.85
        and service.refused_share <= 0.03
    )


def is_followed(service: Crowded, *, fell: float, rose: float, seconds: float) -> bool:
    """Whether a run is down with the room in 30 s, uses it, and is back up in 120 s."""
    return (
        service.first(fell, rose, least=0.0, most=1.0) <= 30.0
        and service.used(fell + 30.0, rose) >= 0.70
        and service.first(rose, seconds, least=0.70, most=1.0) <= 120.0
        and service.refused_share <= 0.03
    )


# With and without a time to wait; the long form, this file as a command, goes all ways.
@pytest.mark.parametrize("way", ["42901", "HTTP 429 with Retry-After"])
async def test_a_run_finds_the_room_and_uses_it(
    way: str, tmp_path: Path, standing_clock: object
) -> None:
    """However a service refuses: after a minute 70 to 100 % of its room, 85 % over all."""
    service = Crowded(constant(20), way, seed=1)
    await run_against(tmp_path, service, 120.0)
    assert is_used_well(service, 120.0), service.told(120.0)


async def test_a_run_follows_room_that_falls_tenfold(
    tmp_path: Path, standing_clock: object
) -> None:
    """Down within 30 seconds, and back within 120 when the room returns."""
    service = Crowded(falling(20, 60.0, 120.0), "42901", seed=1)
    await run_against(tmp_path, service, 240.0)
    assert is_followed(service, fell=60.0, rose=120.0, seconds=240.0), service.told(240.0)


async def test_handshakes_refused_in_numbers_say_that_there_is_no_room(
    tmp_path: Path, standing_clock: object
) -> None:
    """A service that answers 503 when it is full is used as well as one that says why."""
    service = Crowded(constant(20), "HTTP 503", seed=1)
    await run_against(tmp_path, service, 120.0)
    assert is_used_well(service, 120.0), service.told(120.0)


class Stubborn(ConcurrencyLimit):
    """A limit with a mistake: no refusal impresses it."""

    def add_refusal(self, **_: object) -> None:
        """Learn nothing."""


async def test_a_run_that_learns_nothing_is_caught(
    tmp_path: Path, standing_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checks can fail: a limit that is never cut has far too many refused."""
    monkeypatch.setattr("batchjobs.runner.service.ConcurrencyLimit", Stubborn)
    service = Crowded(constant(20), "42901", seed=1)
    await run_against(tmp_path, service, 30.0)
    assert service.refused_share > 0.1


async def test_after_an_outage_room_is_tried_before_it_is_asked_for(
    tmp_path: Path, standing_clock: object
) -> None:
    """Twenty went in before the outage, five can go in after it: not fifteen are refused."""
    service = Crowded(falling(50, 30.0, 1e9), "42901", seed=1, away=(20.0, 45.0))
    options = replace(OPTIONS, concurrency=20)
    await run_against(tmp_path, service, 72.0, options=options)
    assert service.missed <= 20 + 6
    assert service.used(62.0, 72.0) >= 0.7
    assert service.refused <= 6


def main(arguments: list[str] | None = None) -> int:
    """Print the figures of the long form: more rooms, every way, both courses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", type=int, nargs="+", default=[10, 20, 60, 200])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    passed = True
    for room, way in itertools.product(options.rooms, WAYS):
        steady = Crowded(constant(room), way, options.seed)
        shaken = Crowded(falling(room, 100.0, 160.0), way, options.seed)
        for service in (steady, shaken):
            with tempfile.TemporaryDirectory() as folder, make_clock() as clock:
                trio.run(run_against, Path(folder), service, 300.0, clock=clock)
        fine = is_used_well(steady, 300.0)
        fine &= is_followed(shaken, fell=100.0, rose=160.0, seconds=300.0)
        passed &= fine
        down = shaken.first(100.0, 160.0, least=0.0, most=1.0)
        up = shaken.first(160.0, 300.0, least=0.70, most=1.0)
        shown = f"down in {down:.0f} s, up in {up:.0f} s, {shaken.refused_share:.1%} refused"
        print(f"{room} | {way} | {steady.told(300.0)} | {shown} | {fine}", flush=True)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
