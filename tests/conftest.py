"""What every test shares: async tests run under trio, on a clock that jumps when asked to."""

import contextlib
import inspect
import os
import signal
import sys
from collections.abc import Generator, Iterator

import hypothesis  # before trio, which registers with it when both are there
import pytest
import trio
import trio.testing

from batchjobs.api import endpoints
from tests import tally
from tests.clocks import PATIENCE_SECONDS, make_clock
from tests.commands import command, folder, greeting  # noqa: F401  # for every test file
from tests.forks import ForkServers, from_scratch
from tests.receivers import receiver  # noqa: F401  # likewise
from tests.s3 import bucket, s3_server  # noqa: F401  # likewise
from tests.shared_servers import SharedServers
from tests.watch import Watch

# A shell without job control starts what it puts into the background with SIGINT switched off, and
# nohup does so with SIGHUP. A run that is started so keeps them off, as it should: not what the
# tests of signals are about.
for _number, _usual in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGTERM, signal.SIG_DFL),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


# How long an example takes says more of the machine than of what is tested.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


def pytest_configure(config: pytest.Config) -> None:
    """Let the key of the tests be searched for in all that they write."""
    config.pluginmanager.register(Watch(config), "watch")
    config.addinivalue_line(
        "markers",
        "unmeasured: goes over the same lines thousands of times, which others cover: measuring them"
        " takes longer than the test",
    )
    config.addinivalue_line(
        "markers", "from_scratch: is about how a command starts, which is not forked, then"
    )
    config.addinivalue_line(
        "markers", "long: a course of many seconds; left to CI, and to those who ask for all"
    )


@pytest.fixture(scope="session")
def shared_servers() -> Iterator[SharedServers]:
    """The local servers of this process's runs."""
    servers = SharedServers()
    yield servers
    servers.close()


@pytest.fixture(autouse=True)
def _share_servers(shared_servers: SharedServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the runs of this process share a local server."""
    monkeypatch.setattr(endpoints, "local_server", shared_servers.serve)
    monkeypatch.setattr(endpoints, "ServerSettings", shared_servers.make_settings)


@pytest.fixture(scope="session", autouse=True)
def _fork_commands() -> Iterator[None]:
    """Let commands begin with everything imported."""
    servers = ForkServers()
    with servers.forking():
        yield
    servers.close()


@pytest.fixture(autouse=True)
def _start_commands(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let them begin as anywhere where it is their start that a test is about."""
    is_marked = request.node.get_closest_marker("from_scratch") is not None
    with from_scratch() if is_marked else contextlib.nullcontext():
        yield


@pytest.fixture
def autojump_clock() -> Iterator[trio.testing.MockClock]:
    """Give the test a clock that jumps over every wait, but for one for a thread."""
    with make_clock() as clock:
        yield clock


@pytest.fixture
def standing_clock(autojump_clock: trio.testing.MockClock) -> trio.testing.MockClock:
    """Give the same clock to a test that counts on its standing still while a thread works."""
    return autojump_clock


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure coverage, but of some."""
    with unmeasured() if item.get_closest_marker("unmeasured") else contextlib.nullcontext():
        return (yield)


@contextlib.contextmanager
def unmeasured() -> Iterator[None]:
    """Measure no coverage, neither here nor in the processes that are started."""
    coverage = sys.modules.get("coverage")  # imported by whoever measures
    running = coverage.Coverage.current() if coverage else None
    told = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("COVERAGE_")}
    if running is not None:
        running.stop()
    try:
        yield
    finally:
        if running is not None:
            running.start()
        os.environ.update(told)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Attach what a test has counted to its report."""
    tally.begin()
    try:
        return (yield)
    finally:
        item.user_properties += tally.counted().items()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test under trio, on its clock fixture if it, or its whole file, asks for one."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    clock = pyfuncitem.funcargs.get("autojump_clock")
    assert clock is None or isinstance(clock, trio.testing.MockClock)

    async def body() -> None:
        with trio.fail_after(PATIENCE_SECONDS if clock is None else 1e6):
            await pyfuncitem.obj(**arguments)

    trio.run(body, clock=clock)
    return True
