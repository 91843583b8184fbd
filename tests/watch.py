"""Watches over a whole session of tests: the key may be in nothing that any of them writes."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.canary import leaks_below, place_in

__all__ = ["Watch"]


class Watch:
    """Searches for the key of the tests in whatever they leave behind.

    - what they and their children print, and what they log, as it is captured: streams, log
      records, the pipes of processes, what a test takes out of `capsys`;
    - every file below the session's temporary folder, at its end, and those of folders that a test
      removes, before it does.

    A key that is found where a test can be blamed fails that test; what the search at the end finds
    fails the session. Under pytest-xdist each worker watches its own tests, and the controller the
    reports and the files of all.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._is_worker = hasattr(config, "workerinput")
        self._folder = Path()
        self.leaks: list[str] = []

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Look at what passes through pipes and fixtures, and at folders before they are gone."""
        self._folder = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # set by the plugin
        self._wrap(subprocess.Popen, "communicate", after=_reject)
        self._wrap(pytest.CaptureFixture, "readouterr", after=_reject)
        self._wrap(shutil, "rmtree", before=self._look_into)

    def _wrap(
        self,
        owner: Any,
        name: str,
        *,
        before: Callable[[Any], None] = lambda _: None,
        after: Callable[[Any], None] = lambda _: None,
    ) -> None:
        real = getattr(owner, name)

        def wrapped(first: Any, *arguments: Any, **options: Any) -> Any:
            before(first)
            result = real(first, *arguments, **options)
            after(result)
            return result

        setattr(owner, name, wrapped)

    def _look_into(self, folder: Any) -> None:
        path = Path(folder)
        others = "pytest-of-" in str(path) and not path.is_relative_to(self._folder)
        if not others:  # pytest clears away what older sessions have left
            _reject(leaks_below(path))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Search what a test printed and logged."""
        for title, content in report.sections:
            place = place_in(content)
            leak = f"{report.nodeid}, {title}: {place}"
            if place and leak not in self.leaks:
                self.leaks.append(leak)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Search everything that is left; the workers' folders lie below the controller's."""
        if self._is_worker:
            return
        self.leaks += leaks_below(self._folder)
        if self.leaks:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the key was found."""
        if self.leaks:
            terminalreporter.section("the key of the tests was found", red=True)
            for leak in self.leaks:
                terminalreporter.line(leak)


def _reject(written: Any) -> None:
    """Fail for a key in what was written: a text, bytes, or a sequence of them.

    Raises:
        AssertionError: It is there.
    """
    for part in (written,) if isinstance(written, str | bytes) else written or ():
        place = place_in(part) if isinstance(part, str | bytes) else ""
        assert not place, f"the key of the tests was written: {place}"
