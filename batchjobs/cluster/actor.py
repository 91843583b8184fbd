"""A host as Dask has it: an actor on a worker, in front of trio in a thread of its own.

Dask calls its coroutines in the worker's event loop. Nothing here knows Dask; what comes in and goes
out are bytes.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio
from msgspec import structs

from batchjobs.cluster.host import Host
from batchjobs.cluster.identity import introduce
from batchjobs.cluster.messages import (
    Opening,
    Report,
    Reports,
    Site,
    decode_opening,
    decode_orders,
    encode,
    to_fault,
    unseen_recording,
)
from batchjobs.config import read_key
from batchjobs.errors import BatchjobsError, OutputError
from batchjobs.process import tuning
from batchjobs.websocket import masking

POLL_SECONDS: Final = 0.5
"""So long a question for reports waits for one; each says that the owner is there."""


class Sealed:
    """Bytes that no log shows, wherever they are written into one.

    Args:
        content: The bytes.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __repr__(self) -> str:
        """Show nothing of them."""
        return "Sealed()"


class _Engine:
    """Trio in a thread of its own, with one host.

    Args:
        opening: What the host has to know.
        loop: The worker's.
    """

    def __init__(self, opening: Opening, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._opening = opening
        self._lock = threading.Lock()
        self._waiting: list[Report] = []
        self._has_reports = asyncio.Event()
        self._is_awaited = False
        self._has_begun = asyncio.Event()
        self._failure: Exception | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._host: Host | None = None
        self._thread = threading.Thread(target=self._run, name="batchjobs-host", daemon=True)
        self.is_over = False

    async def start(self) -> None:
        """Begin, and wait until orders can be taken.

        Raises:
            Exception: Whatever keeps a host from beginning.
        """
        self._thread.start()
        await self._has_begun.wait()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            trio.run(self._main)
        finally:
            self.is_over = True
            self._call_loop(self._has_reports.set)

    async def _main(self) -> None:
        tuning.tune_process()
        self._token = trio.lowlevel.current_trio_token()
        try:
            self._host = Host(self._opening, self._report)
        except Exception as error:  # noqa: BLE001  # whatever it is, its owner is to hear it at once
            self._failure = error
            return
        finally:
            self._call_loop(self._has_begun.set)  # also if nobody waits for it any more
        await self._host.run()

    def _call_loop(self, act: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may be closed
            self._loop.call_soon_threadsafe(act)

    def _report(self, report: Report) -> None:
        with self._lock:
            self._waiting.append(report)
            is_awaited, self._is_awaited = self._is_awaited, False
        if is_awaited:  # to wake a loop that finds them as it looks next is not cheap
            self._call_loop(self._has_reports.set)

    def call(self, act: Callable[[Host], None]) -> None:
        """Have something done in trio's thread."""
        assert self._token is not None
        host = self._host
        assert host is not None
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(act, host)

    async def wait_reports(self, seconds: float) -> list[Report]:
        """Give the reports there are; if there are none, wait so long for some."""
        with self._lock:
            self._is_awaited = bool(seconds) and not self._waiting
        if self._is_awaited:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._has_reports.wait()
        self._has_reports.clear()
        with self._lock:
            reports, self._waiting, self._is_awaited = self._waiting, [], False
        return reports


class HostActor:
    """Takes what an owner asks, and answers.

    Dask may make it anew on another worker: that one has no engine, and does nothing.
    """

    def __init__(self) -> None:
        self._engine: _Engine | None = None
        self._token = ""
        self._taken = 0
        self._given = Reports(0, [])
        self._asking = asyncio.Lock()

    def __del__(self) -> None:
        """End with it: Dask lets go of it at once when its owner is gone."""
        if self._engine is not None:
            self._engine.call(Host.end)

    async def introduce(self) -> bytes:
        """Say who this is, before anything is asked that another version may not understand.

        Returns:
            A `Welcome`.
        """
        return encode(await asyncio.to_thread(introduce))

    async def open(self, sealed: Sealed) -> bytes:
        """Begin to have sessions, unless something is in the way.

        Args:
            sealed: An `Opening`.

        Returns:
            A `Welcome`.
        """
        opening = decode_opening(sealed.content)
        try:
            opening = await asyncio.to_thread(_prepare, opening)
            engine = _Engine(opening, asyncio.get_running_loop())
            await engine.start()
        except BatchjobsError as error:
            return encode(introduce(to_fault(error)))
        self._engine = engine
        self._token = opening.token
        return encode(await asyncio.to_thread(introduce))

    async def take(self, token: str, content: bytes) -> None:
        """Take a batch of orders, once."""
        engine = self._check(token)
        if engine.is_over:
            return  # whoever asks for reports hears it
        batch = decode_orders(content)
        if batch.number <= self._taken:
            engine.call(Host.renew)
            return
        self._taken = batch.number
        engine.call(lambda host: host.take(batch.orders))

    async def poll(self, token: str, had: int, content: bytes = b"") -> bytes:
        """Take the orders that come with the question, and give reports, or after a while none.

        With orders it is answered at once: their owner is to know that they came.

        Where a connection breaks, a question still waits here whose answer nobody gets, as its owner
        asks again: both are given the same batch. An owner that was not heard of for a while still gets
        what its host had to report until that ended.

        Args:
            token: The owner's.
            had: The number of the last batch that it has.
            content: Orders, as `take` has them; empty for none.

        Raises:
            LookupError: Nothing more will be reported.
        """
        engine = self._check(token)
        if content:
            await self.take(token, content)
        else:
            engine.call(Host.renew)
        async with self._asking:
            if had >= self._given.number:
                was_over = engine.is_over
                reports = await engine.wait_reports(0.0 if content else POLL_SECONDS)
                if was_over and not reports:
                    raise LookupError("its host has ended")
                self._given = Reports(self._given.number + 1, reports)
            return encode(self._given)

    def _check(self, token: str) -> _Engine:
        if self._engine is None or token != self._token:
            raise LookupError("no run is known here by that token")
        return self._engine


def _prepare(opening: Opening) -> Opening:
    """See that the run folder is the owner's and a recording is there, and find the keys that come from here.

    Raises:
        BatchjobsError: Something is missing.
    """
    note = Path(opening.note)
    try:
        is_same = note.read_text(encoding="utf-8") == opening.token
    except OSError:
        is_same = False
    if not is_same:
        raise OutputError(
            f"the worker {introduce().host} does not see the run folder {opening.folder}",
            hint="it has to be under the same path on every machine: a shared folder",
        )
    if opening.recording and not os.access(opening.recording, os.R_OK):
        raise unseen_recording(introduce().host, opening.recording)
    if any(site.library_hooks for site in opening.sites):
        masking.install_fast_masker()
    else:
        masking.remove_fast_masker()
    return structs.replace(opening, sites=tuple(map(_add_key, opening.sites)))


def _add_key(site: Site) -> Site:
    if site.key is not None:
        return site
    try:
        key = read_key(site.provider, key_file=None, environment=os.environ, is_needed=True)
    except BatchjobsError as error:
        shown = f"the worker {introduce().host}: {error.message}"
        variable = site.provider.key_variable
        hint = f"set {variable} where 'dask worker' is started, or use a cluster with tls://"
        raise type(error)(shown, hint=hint) from None
    return structs.replace(site, key=key)
