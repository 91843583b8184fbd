"""The service that answers from the can, in a process of its own: made to be no bottleneck.

    python -m tests.benchmarks.server FOLDER

It prints one line of JSON, where it listens and the file of certificates to trust, and ends when
its standard input does. All it says was framed before; of what it hears it reads frame headers, and
unmasks the short messages only.
"""

import argparse
import asyncio
import gc
import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.benchmarks.connection import Connection, Counters, answer_over_http, answers_of

__all__ = ["Canned", "start_server"]

_BACKLOG: Final = 4_096


def _certified(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Make an ECDSA certificate, and a file to trust: the system's authorities and ours.

    With ours alone a context would be made in no time; users load some 150 authorities.
    """
    import trustme

    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    trusted = folder / "trusted.pem"
    system = ssl.get_default_verify_paths().cafile
    known = Path(system).read_bytes() if system else b""
    trusted.write_bytes(known + b"\n" + authority.cert_pem.bytes())
    return context, trusted


async def _serve(folder: Path, *, lossy: bool) -> None:
    loop = asyncio.get_running_loop()
    counters = Counters()
    context, trusted = _certified(folder)
    ports = []
    for security in (None, context):
        server = await loop.create_server(
            lambda: Connection(counters, lossy=lossy),
            "127.0.0.1",
            backlog=_BACKLOG,
            ssl=security,
        )
        ports.append(server.sockets[0].getsockname()[1])
    for name in ("tts", "tiny"):
        answers_of(name)
        answer_over_http(name)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    where = Canned(
        ws=f"ws://127.0.0.1:{ports[0]}", wss=f"wss://127.0.0.1:{ports[1]}", ca=str(trusted)
    )
    print(json.dumps(asdict(where)), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Canned:
    """Where a canned server is.

    Attributes:
        ws: Its base URL without TLS; the kind of session follows as the path's first part.
        wss: The same with TLS.
        ca: The file of certificates to trust.
    """

    ws: str
    wss: str
    ca: str

    def counters(self) -> Counters:
        """Ask the server what it has done so far.

        Raises:
            OSError: It is gone.
        """
        parts = urlsplit(self.ws)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        with closing(connection):
            connection.request("GET", "/counters")
            return Counters(**json.loads(connection.getresponse().read()))


@contextmanager
def start_server(folder: Path, *, lossy: bool = False) -> Iterator[Canned]:
    """Run a canned server while the block lasts.

    Args:
        folder: Where its certificate goes.
        lossy: Whether it keeps the last audio message of every session to itself.
    """
    command = [sys.executable, "-m", __name__, str(folder)] + ["--lossy"] * lossy
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        where = Canned(**json.loads(process.stdout.readline()))
        try:
            yield where
        finally:
            process.stdin.close()
            Path(where.ca).unlink()


def main() -> None:
    """Serve until the standard input ends."""
    parser = argparse.ArgumentParser(description="Answer speech sessions from the can.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lossy", action="store_true", help="lose each session's last message")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.folder, lossy=arguments.lossy))


if __name__ == "__main__":
    main()
