"""The owner's line to a Dask cluster: a thread with Dask's event loop, and a conversation a worker."""

import asyncio
import contextlib
import functools
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import msgspec
import trio

from batchjobs.cluster.actor import HostActor, Sealed
from batchjobs.cluster.crew import Crew, Member
from batchjobs.cluster.host import PATIENCE_SECONDS
from batchjobs.cluster.identity import introduce, refuse_stranger
from batchjobs.cluster.messages import (
    Opening,
    Order,
    Orders,
    Report,
    Welcome,
    decode_reports,
    decode_welcome,
    encode,
    to_error,
)
from batchjobs.errors import (
    BatchjobsError,
    ConfigurationError,
    DiskFullError,
    MissingExtraError,
    ServiceUnavailableError,
)
from batchjobs.files.atomic import disk_error
from batchjobs.process.signals import SignalNote

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster, Nanny

_logger = logging.getLogger(__name__)
_Result = TypeVar("_Result")

_CONNECT_SECONDS: Final = 10.0
_CALL_SECONDS: Final = 5.0
"""So long a worker may take for an answer, beyond what it waits on purpose, or cannot be reached: its host cuts
what is open then."""
_LATE_SECONDS: Final = 1.0
"""A deadline that is met so late was missed by us, who stood still."""
_OPEN_SECONDS: Final = 30.0
"""So long the first answer may take: a worker imports this package for it."""
_AGAIN_SECONDS: Final = 0.05
_UNREACHED_SECONDS: Final = 60.0
"""Before a worker that could not be reached at first is tried again."""
_FOLLOW_SECONDS: Final = 0.5
"""Between two looks at who is there."""
_GATHERING_SECONDS: Final = 0.02
"""Between two questions to one worker, while orders and reports gather: either side pays half a millisecond
for one."""
_LONGEST_GATHERING_SECONDS: Final = 0.05
"""The same where answers take long: the processors are busy, or the way is long."""
_END_SECONDS: Final = 5.0
_HEEDING_SECONDS: Final = 0.1
"""Between two looks whether a signal came, at the start and the end."""
_SILENT_TRACKER: Final = "ignore:resource_tracker"
_LOGGERS: Final = ("distributed", "distributed.client", "tornado.application")
_CALM: Final[dict[str, object]] = {
    "distributed.comm.timeouts.connect": "5s",
    "distributed.comm.retry.count": 0,
    # Nothing is to be seen on other ports: their pages are empty.
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "logging": dict.fromkeys(_LOGGERS, "critical"),
    # A scheduler and two nannies took 3 % of a processor while nothing happened, with these 0.8 %.
    "distributed.admin.tick.interval": "500ms",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.scheduler.work-stealing": False,
    # So long after a worker's death Dask closes the nanny of that name, if its next worker has died just then.
    "distributed.deploy.lost-worker-timeout": "365 days",
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.terminate": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
}


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which cluster.

    Attributes:
        workers: How many processes of this machine; 0 for a cluster that is there.
        address: Of that cluster's scheduler.
        ca: The file of its certificate authority.
        certificate: The file of our certificate.
        key: The file of our certificate's key.
    """

    workers: int = 0
    address: str = ""
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def require_cluster() -> None:
    """See that Dask is installed.

    Raises:
        MissingExtraError: It is not.
    """
    for package in ("distributed", "cryptography"):
        if find_spec(package) is None:
            raise MissingExtraError("work in several processes", package=package, extra="cluster")


@asynccontextmanager
async def join_cluster(
    settings: ClusterSettings, opening: Opening, crew: Crew, noted: SignalNote
) -> AsyncIterator[None]:
    """Have hosts on every worker of a cluster, for as long as the block lasts.

    Args:
        settings: Which cluster.
        opening: What hosts have to know.
        crew: Takes them in.
        noted: Signals that came: after one nobody waits for a host, and after two not for an orderly end.

    Raises:
        BatchjobsError: There is no such cluster, or none of its workers can be used.
    """
    link = _Link(settings, opening, crew)
    with noted.heed_second():
        link.start()
        try:
            await link.wait_ready(noted)
            yield
        finally:
            with trio.CancelScope(shield=True):
                await link.end(noted)


class _Link:
    """The thread with Dask's event loop.

    Args:
        settings: Which cluster.
        opening: What hosts have to know.
        crew: Takes them in.
    """

    def __init__(self, settings: ClusterSettings, opening: Opening, crew: Crew) -> None:
        self._settings = settings
        self._opening = opening
        self._crew = crew
        self._trio = trio.lowlevel.current_trio_token()
        self._is_ready = trio.Event()
        self._is_over = trio.Event()
        self._error: BatchjobsError | None = None
        self._refused: dict[str, BatchjobsError] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._employed: dict[str, asyncio.Task[None]] = {}
        self._has_member = False
        self._began_at = 0.0
        self._address = settings.address
        self._cluster: LocalCluster | None = None
        self._nannies: list[Nanny] = []
        self._idle: set[object] = set()

    # -- in trio's thread ---------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        # What a terminal sends to all of its processes is this one's to answer: those that Dask
        # starts inherit from this thread what is blocked. The tracker that Python starts before the
        # first of them would let the signals through again in the thread that starts it.
        if self._settings.workers:
            _start_tracker()
        blocked = {signal.SIGINT, signal.SIGHUP, signal.SIGTERM}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            threading.Thread(target=self._run, name="batchjobs-dask", daemon=True).start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    async def wait_ready(self, noted: SignalNote) -> None:
        """Wait until a host is there, or none is needed.

        Raises:
            BatchjobsError: None can be.
        """
        while not self._is_ready.is_set() and not noted.number:
            with trio.move_on_after(_HEEDING_SECONDS):
                await self._is_ready.wait()
        if self._error is not None:
            raise self._error

    async def end(self, noted: SignalNote) -> None:
        """Part with the cluster; workers that are being started end with this process, if that is urgent."""
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._stop.set)
        with trio.move_on_after(_END_SECONDS):
            while not (self._is_over.is_set() or noted.is_urgent):
                with trio.move_on_after(_HEEDING_SECONDS):
                    await self._is_over.wait()
        if not self._is_over.is_set():
            self._kill_workers()

    def _kill_workers(self) -> None:
        """Kill workers that do not end, say as they start: Python waits for them as it ends itself.

        SIGTERM, which it would send, is blocked in them.
        """
        if self._cluster is None:
            return
        for nanny in {*self._nannies, *self._cluster.workers.values()}:
            if nanny.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(nanny.pid, signal.SIGKILL)

    # -- in Dask's thread ---------------------------------------------------------------------------

    def _tell(self, act: Callable[[], object]) -> None:
        with contextlib.suppress(trio.RunFinishedError):
            self._trio.run_sync_soon(act)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BatchjobsError as error:
            self._fail(error)
        except Exception as error:  # whatever it is, no session may wait for ever
            _logger.exception("the line to the cluster failed")
            shown = f"the line to the cluster failed: {type(error).__name__}: {error}"
            self._fail(ServiceUnavailableError(shown))
        finally:
            self._tell(self._is_ready.set)
            self._tell(self._is_over.set)

    def _fail(self, error: BatchjobsError) -> None:
        self._error = self._error or error
        self._tell(lambda: self._crew.fail(error))
        self._tell(self._is_ready.set)

    async def _main(self) -> None:
        import dask.config
        import distributed  # noqa: F401  # before what follows: else all that it is set by is gone after it

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        for name in _LOGGERS:  # what is to be told is told by us
            logging.getLogger(name).setLevel(logging.CRITICAL)
        with dask.config.set(_CALM):
            async with AsyncExitStack() as stack:
                client = await self._connect(stack)
                stack.enter_context(client.as_current())
                try:
                    await self._follow(client)
                except BatchjobsError as error:
                    self._fail(error)  # before what may take a while
                finally:
                    await self._dismiss("the cluster is given up")  # noqa: ASYNC102  # asyncio: nothing cancels it

    async def _connect(self, stack: AsyncExitStack) -> "Client":
        """Start a cluster here, or find one.

        Raises:
            BatchjobsError: There is none.
        """
        from distributed import Client, LocalCluster
        from distributed.security import Security

        settings = self._settings
        security = None
        if settings.workers:
            # Keys travel on this line, and anybody here may find its port.
            security = Security.temporary()  # type: ignore[no-untyped-call]
            cluster = LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=settings.workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                protocol="tls://",
                security=security,
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                silence_logs=logging.CRITICAL,
                memory_limit=None,
                asynchronous=True,
            )
            # We close it ourselves. Where that takes too long, Dask would try again as the process ends, where
            # its loop is no more, and show a traceback.
            cluster.shutdown_on_close = False
            try:
                await stack.enter_async_context(cluster)
            except (OSError, TimeoutError, RuntimeError) as error:
                raise _explain_start(error) from error
            self._cluster = cluster
            self._nannies = list(cluster.workers.values())
            address = cluster.scheduler_address
        else:
            address = settings.address
            if settings.ca is not None:
                security = Security(  # type: ignore[no-untyped-call]
                    tls_ca_file=str(settings.ca),
                    tls_client_cert=str(settings.certificate),
                    tls_client_key=str(settings.key),
                    require_encryption=True,
                )
        self._address = address
        client: Client = Client(  # type: ignore[no-untyped-call]
            address,
            asynchronous=True,
            security=security,
            direct_to_workers=True,
            set_as_default=False,
            timeout=_CONNECT_SECONDS,
            name="batchjobs",
        )
        try:
            await stack.enter_async_context(client)
        except (OSError, TimeoutError, ValueError, RuntimeError, TypeError) as error:
            raise ServiceUnavailableError(
                f"no cluster answers at {address}: {error}",
                hint="start one with 'dask scheduler' and 'dask worker', or look at the address",
            ) from error
        return client

    async def _follow(self, client: "Client") -> None:
        """Have a host on each worker that is there, as they come and go, until this is to end.

        Raises:
            ServiceUnavailableError: The scheduler is gone.
        """
        assert self._stop is not None
        self._began_at, connection = asyncio.get_running_loop().time(), client.scheduler_comm
        while not self._stop.is_set():
            there = await self._find_workers(client)
            if client.scheduler_comm is not connection:
                await self._outlive_break(client)  # whatever it is now, all actors went with it
                connection = client.scheduler_comm
            elif there is not None:
                await self._look_at(client, there)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FOLLOW_SECONDS):
                    await self._stop.wait()

    async def _find_workers(self, client: "Client") -> set[str] | None:
        """Ask the scheduler for the addresses of the workers; None if it does not answer.

        Those that are known are talked with all the same: once it is gone its connection breaks, too.

        Raises:
            ServiceUnavailableError: It has never answered.
        """
        assert client.scheduler is not None
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                identity = await client.scheduler.identity(n_workers=-1)
        except (OSError, TimeoutError) as error:
            if not self._has_member and self._since_start() > _OPEN_SECONDS:
                raise _gone(self._address) from error
            return None
        return set(identity["workers"])

    async def _look_at(self, client: "Client", there: set[str]) -> None:
        """Have a host on each of these workers, and on no other.

        Raises:
            BatchjobsError: None of them can be used.
        """
        await self._start_again()
        for address in there - set(self._employed):
            task = asyncio.create_task(self._employ(client, address))
            self._employed[address] = task
        for address in set(self._employed) - there:
            self._employed.pop(address).cancel("it has left the cluster")
            self._refused.pop(address, None)
        self._give_up_waiting(there)

    def _since_start(self) -> float:
        return asyncio.get_running_loop().time() - self._began_at

    async def _outlive_break(self, client: "Client") -> None:
        """Wait until the scheduler is there again: Dask tries to reach it for a while.

        The scheduler lets go of all actors whose owner's connection breaks. One that noticed nothing
        keeps them, and their hosts end as they hear of nobody: before that no session may take the
        place of theirs.

        Raises:
            ServiceUnavailableError: It does not come.
        """
        assert self._stop is not None
        _logger.warning(
            "the connection to the scheduler at %s broke; waiting for it", self._address
        )
        await self._dismiss("the connection to the scheduler broke")
        over_at = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while client.status == "connecting" and not self._stop.is_set():  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(_AGAIN_SECONDS)
        if client.status != "running" and not self._stop.is_set():
            raise _gone(self._address)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(over_at):
                await self._stop.wait()

    async def _start_again(self) -> None:
        """Start the workers anew that nobody starts any more.

        A nanny starts another process in the place of one that died, but for one that dies just as
        it starts: then it gives up (38 kills on a busy machine, and both were gone). The cluster forgets
        nannies that are closed, and starts none in their place unless it is asked to.
        """
        if self._cluster is None:
            return
        nannies = dict(self._cluster.workers)
        idle = {name for name, nanny in nannies.items() if not _has_process(nanny)}
        given_up = idle & self._idle  # at two looks, one after the other
        self._idle = idle - given_up
        for name in given_up:
            del self._cluster.workers[name]
            with contextlib.suppress(OSError, TimeoutError, RuntimeError):
                await asyncio.wait_for(nannies[name].close(), _CALL_SECONDS)
        if len(self._cluster.workers) < self._settings.workers:
            self._cluster.scale(self._settings.workers)  # type: ignore[no-untyped-call]

    def _give_up_waiting(self, there: set[str]) -> None:
        """Refuse a cluster at its start, if none of its workers can be used.

        Raises:
            BatchjobsError: None can.
        """
        if self._has_member:
            return
        if there and there <= set(self._refused):
            raise next(iter(self._refused.values()))
        if not there and self._since_start() > _CONNECT_SECONDS:
            raise ServiceUnavailableError(
                f"the cluster at {self._settings.address or 'this machine'} has no worker",
                hint="start some with 'dask worker', and run the same command again",
            )

    async def _dismiss(self, reason: str) -> None:
        tasks = list(self._employed.values())
        self._employed.clear()
        self._refused.clear()
        for task in tasks:
            task.cancel(reason)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _employ(self, client: "Client", address: str) -> None:
        """Have a host on a worker, and talk with it as long as it is there."""
        try:
            member, line = await self._hire(client, address)
        except BatchjobsError as error:
            self._refuse(address, error)  # it is looked at again once it has been started anew
        except OSError as error:  # a deadline, too
            shown = f"the worker at {address} cannot be reached: {_describe(error)}"
            hint = "this machine has to reach it directly, not only the scheduler"
            self._refuse(address, ConfigurationError(shown, hint=hint))
            await asyncio.sleep(_UNREACHED_SECONDS)
            del self._employed[address]
        except Exception as error:  # noqa: BLE001  # of whatever kind, that worker is of no use
            shown = f"the worker at {address} cannot be used: {_describe(error)}"
            hint = "is batchjobs installed there?"
            self._refuse(address, ConfigurationError(shown, hint=hint))
        else:
            await self._talk(member, line, address)

    async def _hire(self, client: "Client", address: str) -> "tuple[Member, _Line]":
        """Have a host made on a worker.

        Raises:
            BatchjobsError: It cannot begin, or is not what we are.
        """
        future = self._make_host(client, address)
        async with asyncio.timeout(_OPEN_SECONDS):
            actor = await future  # in front of the real one, as Dask gives it
        welcome = await self._open(actor)
        line = _Line(_Caller(client, address, future), self._opening.token)
        return Member(name=welcome.host, post=line.post), line

    async def _talk(self, member: Member, line: "_Line", address: str) -> None:
        """Talk with a host until that fails, or it is dismissed."""
        assert self._stop is not None
        reason = ""
        self._has_member = True
        self._tell(lambda: self._crew.add(member))
        self._tell(self._is_ready.set)
        try:
            await line.talk(lambda reports: self._tell(lambda: self._crew.hear(member, reports)))
        except asyncio.CancelledError as cancelled:
            reason = str(cancelled)
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, that host is lost
            reason = _describe(error)
        finally:
            if not self._stop.is_set():
                self._tell(lambda: self._crew.lose(member, reason))
            if self._employed.get(address) is asyncio.current_task():
                del self._employed[address]

    def _refuse(self, address: str, error: BatchjobsError) -> None:
        is_known = address in self._refused
        self._refused[address] = error
        if self._has_member and not is_known:
            _logger.warning("%s", error.describe())

    def _make_host(self, client: "Client", address: str) -> "Future[HostActor]":
        return client.submit(
            HostActor,
            actor=True,
            workers=[address],
            allow_other_workers=False,
            pure=False,
            retries=0,
            key=f"batchjobs-host-{secrets.token_hex(8)}",
        )

    async def _open(self, actor: HostActor) -> Welcome:
        """Let a host begin.

        Raises:
            BatchjobsError: It cannot, or is not what we are.
        """
        async with asyncio.timeout(_OPEN_SECONDS):
            refuse_stranger(introduce(), decode_welcome(await actor.introduce()))
            welcome = decode_welcome(await actor.open(Sealed(encode(self._opening))))
        if welcome.fault is not None:
            raise to_error(welcome.fault)
        return welcome


def _start_tracker() -> None:
    """Start what tidies up after the processes that Python starts; it is to say nothing of a sudden end."""
    sys.warnoptions.append(_SILENT_TRACKER)
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.remove(_SILENT_TRACKER)


def _gone(address: str) -> ServiceUnavailableError:
    return ServiceUnavailableError(
        f"the cluster's scheduler at {address} is gone",
        hint="start it again, and run the same command: it continues",
    )


def _explain_start(error: Exception) -> BatchjobsError:
    """Say why the workers of this machine did not start: Dask has files of its own, in a temporary folder."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.filename:
            found = disk_error(cause, Path(cause.filename))
            if isinstance(found, DiskFullError):
                return found
        cause = cause.__cause__
    return ServiceUnavailableError(
        f"the workers could not be started: {error}",
        hint="run the same command again, or without --workers; in a program it has to stand below "
        "if __name__ == '__main__'",
    )


def _describe(error: Exception) -> str:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _has_process(nanny: "Nanny") -> bool:
    """Whether a worker runs, or is being started."""
    process = nanny.process
    return process is not None and process.status.name in {"init", "starting", "running"}


async def _call(act: Callable[[], Awaitable[_Result]]) -> _Result:
    """Call a host; a connection that broke is made anew: batches are numbered.

    A worker that is dead has left the cluster by the second look, and then nobody calls it.
    """
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + _CALL_SECONDS
    while True:
        try:
            async with asyncio.timeout_at(give_up_at):
                return await act()
        except TimeoutError:
            if loop.time() - give_up_at < _LATE_SECONDS:
                raise
            give_up_at = loop.time() + _CALL_SECONDS
        except OSError:
            if loop.time() > give_up_at:
                raise
            await asyncio.sleep(_AGAIN_SECONDS)


class _Caller:
    """Calls a host as Dask's `Actor` does, but with plain arguments: at two thirds of the price (measured).

    Args:
        client: Dask's.
        address: The worker's.
        future: Keeps the host there for as long as it is held.
    """

    def __init__(self, client: "Client", address: str, future: "Future[HostActor]") -> None:
        self._client = client
        self._address = address
        self._future = future

    async def __call__(self, function: str, /, *arguments: str | int | bytes) -> bytes:
        """Call one of its coroutines.

        Raises:
            LookupError: The host is gone.
            Exception: Whatever it raises, or the connection.
        """
        if self._future.status in {"error", "lost", "cancelled"}:
            raise LookupError("its host is lost")
        worker = self._client.rpc(self._address)
        answer = await worker.actor_execute(
            actor=self._future.key, function=function, args=arguments, kwargs={}
        )
        if answer["status"] != "OK":
            raise answer["exception"]
        result: bytes = answer["result"]
        return result


class Call(Protocol):
    """Calls a host."""

    async def __call__(self, function: str, /, *arguments: str | int | bytes) -> bytes:
        """Call one of its coroutines."""


class _Line:
    """The conversation with one host.

    Args:
        call: Calls it.
        token: Ours.
    """

    def __init__(self, call: Call, token: str) -> None:
        self._host = call
        self._token = token
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: list[Order] = []
        self._has_orders = asyncio.Event()
        self._is_told = False
        self._number = 0
        self._turn = asyncio.Lock()
        self._is_listening = asyncio.Event()
        self._listens_since = 0.0
        self._gathering_seconds = _GATHERING_SECONDS

    def post(self, order: Order) -> None:
        """Put an order in line; from any thread."""
        with self._lock:
            self._waiting.append(order)
            is_told, self._is_told = self._is_told, True
        if not is_told:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._has_orders.set)

    async def talk(self, hear: Callable[[list[Report]], None]) -> None:
        """Send orders and take reports until that fails."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send())
            group.create_task(self._ask(hear))

    async def _ask(self, hear: Callable[[list[Report]], None]) -> None:
        """Ask for reports, again and again; orders that have gathered meanwhile go with the question."""
        had = 0
        while True:
            async with self._turn:
                asked_at = self._loop.time()
                content = self._take_waiting(is_back_soon=True)
                answer = await self._poll(had, content) if content else None
            if answer is None:
                self._listens_since = asked_at
                self._is_listening.set()
                answer = await self._poll(had)
                self._is_listening.clear()
            else:
                self._measure(self._loop.time() - asked_at)
            batch = decode_reports(answer)
            if batch.number > had:
                had = batch.number
                if batch.reports:
                    hear(batch.reports)
            await asyncio.sleep(asked_at + self._gathering_seconds - self._loop.time())

    async def _send(self) -> None:
        """Send orders while a question waits for its answer: no other will take them along."""
        while True:
            await self._has_orders.wait()
            await self._is_listening.wait()
            gathered = self._loop.time() - self._listens_since
            if gathered < self._gathering_seconds:  # most are answered by then
                await asyncio.sleep(self._gathering_seconds - gathered)
                continue
            async with self._turn:
                if content := self._take_waiting(is_back_soon=False):
                    await _call(functools.partial(self._host, "take", self._token, content))
            await asyncio.sleep(self._gathering_seconds)

    async def _poll(self, had: int, content: bytes = b"") -> bytes:
        return await _call(functools.partial(self._host, "poll", self._token, had, content))

    def _measure(self, seconds: float) -> None:
        """Leave more time between questions if an answer at once takes so long."""
        self._gathering_seconds = min(
            max(_GATHERING_SECONDS, 2.0 * seconds), _LONGEST_GATHERING_SECONDS
        )

    def _take_waiting(self, *, is_back_soon: bool) -> bytes:
        """Make a batch of what is in line; empty if nothing is.

        Args:
            is_back_soon: Whether whoever has taken some looks again soon, and need not be told of more.
        """
        self._has_orders.clear()
        with self._lock:
            orders, self._waiting = self._waiting, []
            self._is_told = is_back_soon and bool(orders)
        if not orders:
            return b""
        self._number += 1
        return encode(Orders(self._number, orders))
