"""The local server for runs in this process: started once for all that ask for the same one.

A run starts one of its own, which takes a third of a second; what that does is tested in
``tests/server/test_child.py``, and by every run that is a process.
"""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from typing import Final

import msgspec

from batchjobs.server.child import ChildError, ChildReady, ChildStart, local_server
from batchjobs.server.settings import ServerSettings
from tests.commands import ROOT

__all__ = ["SharedServers"]

_TOKEN: Final = "shared-by-all-tests"


class SharedServers:
    """Starts each local server that is asked for once, and ends them all with the tests."""

    def __init__(self) -> None:
        self._urls: dict[tuple[ServerSettings, bool], str] = {}
        self._processes = ExitStack()

    @staticmethod
    def make_settings(**settings: object) -> ServerSettings:
        """Make the settings of a server; equal ones for all who ask for the same."""
        return ServerSettings(token=_TOKEN, **settings)  # type: ignore[arg-type]  # as they came

    @asynccontextmanager
    async def serve(
        self,
        settings: ServerSettings,
        *,
        library_hooks: bool = True,
        withheld: Collection[str] = (),
    ) -> AsyncIterator[str]:
        """Give the address of a server, as `local_server` does; one with faults is started anew."""
        asked = (replace(settings, token=_TOKEN), library_hooks)
        if settings.faults:  # it counts its sessions
            shared = ""
        elif asked in self._urls:
            shared = self._urls[asked]
        else:
            shared = self._urls[asked] = self._start(*asked)
        if shared:
            yield shared
            return
        own = local_server(settings, library_hooks=library_hooks, withheld=withheld)
        async with own as url:
            yield url

    def _start(self, settings: ServerSettings, library_hooks: bool) -> str:
        """Start a server; an empty address says that it cannot be had."""
        process = self._processes.enter_context(
            subprocess.Popen(
                [sys.executable, "-P", "-m", "batchjobs.server"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                cwd=ROOT,
                start_new_session=True,
            )
        )
        assert process.stdin is not None
        assert process.stdout is not None
        start = ChildStart(server=settings, library_hooks=library_hooks)
        process.stdin.write(msgspec.json.encode(start, enc_hook=str) + b"\n")
        process.stdin.flush()
        reply = msgspec.json.decode(process.stdout.readline(), type=ChildReady | ChildError)
        return reply.base_url if isinstance(reply, ChildReady) else ""

    def close(self) -> None:
        """End them: they live as long as the pipe to them does."""
        self._processes.close()
