"""Hosts without processes: the real ones, in the owner's own loop, and all that is said in bytes."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio
from msgspec import structs

from batchjobs.cluster.actor import POLL_SECONDS
from batchjobs.cluster.crew import Crew, Member
from batchjobs.cluster.host import Host
from batchjobs.cluster.messages import (
    Opening,
    Order,
    Orders,
    Report,
    Reports,
    Site,
    Start,
    decode_opening,
    decode_orders,
    decode_reports,
    encode,
)
from batchjobs.session import Endpoint


def make_opening(folder: Path, endpoints: Mapping[str, Endpoint], token: str = "here") -> Opening:
    """Tell a host of these ways to providers."""
    sites = tuple(
        Site(
            name=name,
            provider=endpoint.provider,
            base_url=endpoint.base_url,
            key=endpoint.key,
            encoding="compact",
            compresses=False,
            library_hooks=False,
        )
        for name, endpoint in endpoints.items()
    )
    opening = Opening(token=token, folder=str(folder), note="", sites=sites)
    return decode_opening(encode(opening))


class LoopbackHost:
    """A host, and the line to it.

    Attributes:
        mount: Where it sees the recordings that its owner names; empty for the same place.
        is_silent: Whether its owner says nothing to it any more.
        orders: What it was told.
        reports: What it has told.
        ended: Set once it has ended by itself.
    """

    def __init__(
        self, opening: Opening, dial: Any, crew: Crew | None, name: str, *, mount: str = ""
    ) -> None:
        self.mount = mount
        self.is_silent = False
        self.orders: list[Order] = []
        self.reports: list[Report] = []
        self.scope = trio.CancelScope()
        self.ended = trio.Event()
        self.host = Host(opening, self._report, dial=dial)
        self.member = Member(name=name, post=self.post)
        self._crew = crew

    def post(self, order: Order) -> None:
        """Bring an order to it."""
        if self.is_silent:
            return
        batch = decode_orders(encode(Orders(1, [order])))
        self.orders += batch.orders
        self.host.take(find_recordings_below(self.mount, batch.orders))

    def _report(self, report: Report) -> None:
        reports = decode_reports(encode(Reports(1, [report]))).reports
        self.reports += reports
        if self._crew is not None and not self.is_silent:
            self._crew.hear(self.member, reports)

    async def run(self) -> None:
        """Run until it ends, or is killed."""
        with self.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ask)
                await self.host.run()
                self.ended.set()
                nursery.cancel_scope.cancel()

    async def _ask(self) -> None:
        """Ask for reports as its owner does."""
        while not self.is_silent:
            self.host.renew()
            await trio.sleep(POLL_SECONDS)

    def kill(self) -> None:
        """Let it die as by SIGKILL, and its owner hear of that."""
        self.is_silent = True
        self.scope.cancel()
        if self._crew is not None:
            self._crew.lose(self.member, "killed")


def find_recordings_below(mount: str, orders: Iterable[Order]) -> list[Order]:
    """Give orders as a host gets them that sees all recordings below another place."""
    return [
        structs.replace(
            order, segment=replace(order.segment, audio=f"{mount}{order.segment.audio}")
        )
        if mount and isinstance(order, Start) and order.segment.audio
        else order
        for order in orders
    ]


class Loopback:
    """Some hosts for one run, as `run_rows` takes them.

    Args:
        hosts: How many there are at first.
        wait_seconds: So long a run without any waits for one.
        mount: Where they see the recordings that their owner names; empty for the same place.
    """

    def __init__(self, hosts: int = 2, wait_seconds: float = 60.0, mount: str = "") -> None:
        self._count = hosts
        self._wait_seconds = wait_seconds
        self._mount = mount
        self.hosts: list[LoopbackHost] = []

    def __call__(
        self, folder: Path, endpoints: Mapping[str, Endpoint], dial: Any, nursery: trio.Nursery
    ) -> Crew:
        """Start them."""
        self._opening = make_opening(folder, endpoints)
        self._dial = dial
        self._nursery = nursery
        self.crew = Crew(endpoints, wait_seconds=self._wait_seconds)
        for _ in range(self._count):
            self.hire()
        return self.crew

    def hire(self) -> LoopbackHost:
        """Start one more."""
        name = f"host-{len(self.hosts)}"
        host = LoopbackHost(self._opening, self._dial, self.crew, name, mount=self._mount)
        self.hosts.append(host)
        self._nursery.start_soon(host.run)
        self.crew.add(host.member)
        return host
