"""Thousands of live sessions in one process for a minute: memory, lag of the loop, nothing lost.

    python tests/faults/soak.py [--sessions 5000] [--seconds 60]

A server in a process of its own takes as many sessions as there are rows, sends each a small piece
of audio every few seconds until all have been open for the time asked, and ends them; a run of the
product, in this process, does the rows at that concurrency into a temporary folder. Prints a table
with the goals; exits with 1 if one of them is missed.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402  # the folder of the product has to be known before

import batchjobs  # noqa: E402
from batchjobs.process.tuning import tune_process  # noqa: E402
from batchjobs.protocol import messages  # noqa: E402

KEY = "soak-0d55"
SAMPLE_RATE = 1_000
"""The lowest that a WAV of ours holds: a minute of sound is about 14 KiB, held until its end."""
PIECE_SECONDS = 0.6
EVERY_SECONDS = 5.0
SPREAD_SECONDS = 15.0
LONGEST_OPENING_SECONDS = 60.0
TICK_SECONDS = 0.01
LETTERS_A_SECOND = 14
KIB_A_SESSION = 100.0
LAG_P99_MS = 100.0
GROWTH_KIB = 24.0
"""What a session may grow in the minute: the audio it has received, and its pieces' objects."""
SPARE_FILES = 200


# -- the server --------------------------------------------------------------------------------


def frame(opcode: int, payload: bytes) -> bytes:
    """Write one unmasked WebSocket frame, as servers do."""
    size = len(payload)
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + payload


def said(message: messages.Message) -> bytes:
    """Write a message as a text frame."""
    return frame(1, messages.encode(message).encode())


@dataclass(slots=True, kw_only=True)
class Crowd:
    """The sessions of the server.

    Attributes:
        size: How many are awaited.
        seconds: How long all of them stay.
        here: How many are here.
        most: How many have been here at once.
        ended: How many have got everything.
        all_at: When the last one came, by the machine's monotonic clock.
    """

    size: int
    seconds: float
    here: int = 0
    most: int = 0
    ended: int = 0
    all_at: float = float("inf")
    dice: random.Random = field(default_factory=lambda: random.Random(0))

    async def serve(self, stream: trio.SocketStream) -> None:
        """Speak to one client."""
        try:
            await self._speak(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            print("a client left early", file=sys.stderr)

    async def _speak(self, stream: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive_some(4096) or b"\r\n\r\n"
        await stream.send_all(accepting(head))
        await stream.receive_some(4096)  # initConnection
        await stream.send_all(said(messages.Ready()))
        piece = said(messages.Audio(pcm=SOUND, sample_rate=SAMPLE_RATE))
        await stream.send_all(piece)
        self._arrived()
        await trio.sleep(self.dice.uniform(0, EVERY_SECONDS))
        stays = self.dice.uniform(0, SPREAD_SECONDS)
        left = pieces(self.seconds) - 1
        while time.monotonic() < self.all_at + self.seconds + stays:
            await stream.send_all(piece)
            left -= 1
            await trio.sleep(EVERY_SECONDS)
        await stream.send_all(piece * left)  # a voice takes the same time for the same text
        self.here -= 1
        await stream.send_all(frame(8, (1000).to_bytes(2, "big")))
        self.ended += 1
        with trio.move_on_after(10):
            while await stream.receive_some(4096):
                pass

    def _arrived(self) -> None:
        self.here += 1
        self.most = max(self.most, self.here)
        if self.here == self.size and self.all_at == float("inf"):
            self.all_at = time.monotonic()


def pieces(seconds: float) -> int:
    """Give the number of pieces that is enough for whoever comes first and leaves last."""
    return round((seconds + SPREAD_SECONDS + LONGEST_OPENING_SECONDS) / EVERY_SECONDS)


def accepting(head: bytes) -> bytes:
    """Answer an upgrade."""
    import base64
    import hashlib

    lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    key = {name.lower(): value for name, value in lines.items()}[b"sec-websocket-key"]
    proof = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(proof) + b"\r\n\r\n"
    )


def sound() -> bytes:
    """Make a piece of sound that swells and fades."""
    time_axis = np.arange(int(SAMPLE_RATE * PIECE_SECONDS))
    swell = np.sin(np.pi * time_axis / len(time_axis))
    return bytes((9_000 * swell * np.sin(time_axis * 0.9)).astype("<i2").tobytes())


SOUND = sound()


async def serve(size: int, seconds: float) -> None:
    """Serve until the standard input ends; then tell what was seen."""
    crowd = Crowd(size=size, seconds=seconds)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=2_000)
        print(listeners[0].socket.getsockname()[1], flush=True)
        nursery.start_soon(trio.serve_listeners, crowd.serve, listeners)
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()
    seen = {"most": crowd.most, "ended": crowd.ended, "all_at": crowd.all_at}
    print(json.dumps(seen), flush=True)


# -- the run -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Watch:
    """Measures this process as it goes: (time, lag in seconds) and (time, resident KiB)."""

    lags: list[tuple[float, float]] = field(default_factory=list)
    sizes: list[tuple[float, float]] = field(default_factory=list)

    async def lag(self) -> None:
        """Note how late each tick is."""
        due = trio.current_time()
        while True:
            due = max(due + TICK_SECONDS, trio.current_time())
            await trio.sleep_until(due)
            self.lags.append((time.monotonic(), trio.current_time() - due))

    async def size(self) -> None:
        """Note the resident memory a few times a second."""
        while True:
            self.sizes.append((time.monotonic(), resident_kib()))
            await trio.sleep(0.25)

    def lags_ms(self, begin: float, end: float) -> list[float]:
        """Give the lags of a time, sorted, in milliseconds."""
        return sorted(1_000 * lag for at, lag in self.lags if begin <= at < end) or [0.0]

    def kib_at(self, when: float) -> float:
        """Give the memory at a time."""
        return min(self.sizes, key=lambda seen: abs(seen[0] - when))[1]


def resident_kib() -> float:
    """Give this process's resident memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


def share(values: Sequence[float], part: float) -> float:
    """Give a quantile of sorted values."""
    return values[min(len(values) - 1, int(part * len(values)))]


async def run(
    manifest: Path, folder: Path, port: int, sessions: int
) -> tuple[Watch, batchjobs.RunReport]:
    """Run the manifest under watch."""
    watch = Watch()
    options = batchjobs.Options(
        base_url=f"ws://127.0.0.1:{port}/api/v1",
        output=folder / "run",
        concurrency=sessions,
        config=folder / "soak.toml",
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.lag)
        nursery.start_soon(watch.size)
        report = await batchjobs.run_async(manifest, options)
        nursery.cancel_scope.cancel()
    return watch, report


def prepare(folder: Path, sessions: int, seconds: float) -> Path:
    """Write the manifest, and a configuration that awaits seldom pieces."""
    letters = round(pieces(seconds) * PIECE_SECONDS * LETTERS_A_SECOND)
    text = ("a text as long as its sound " * letters)[:letters]
    rows = (f'r{n},"{text} {n}."\n' for n in range(sessions))
    manifest = folder / "rows.csv"
    manifest.write_text("id,text\n" + "".join(rows), encoding="utf-8")
    config = (
        "[providers.local]\ndrain_seconds = 60.0\nready_seconds = 60.0\nconnect_seconds = 60.0\n"
    )
    (folder / "soak.toml").write_text(config, encoding="utf-8")
    return manifest


def tell(watch: Watch, began: float, seen: Mapping[str, float], asked: argparse.Namespace) -> bool:
    """Print the table; true if every goal was reached."""
    full, over = seen["all_at"], seen["all_at"] + asked.seconds
    before, first, last = (watch.kib_at(when) for when in (began, full + 1, over))
    steady, ramp = watch.lags_ms(full + 1, over), watch.lags_ms(began, full)
    ending = watch.lags_ms(over, float("inf"))
    a_session, growth = (last - before) / asked.sessions, (last - first) / asked.sessions
    rows = [
        (
            "sessions live at once",
            f"{seen['most']:.0f}",
            f"{asked.sessions}",
            seen["most"] >= asked.sessions,
        ),
        ("sessions done", f"{asked.done}", f"{asked.sessions}", asked.done == asked.sessions),
        (
            "memory a session",
            f"{a_session:.1f} KiB",
            f"<= {KIB_A_SESSION:g}",
            a_session <= KIB_A_SESSION,
        ),
        (
            "growth a session in that time",
            f"{growth:.2f} KiB",
            f"<= {GROWTH_KIB:g}",
            growth <= GROWTH_KIB,
        ),
        (
            "lag p99, all live",
            f"{share(steady, 0.99):.1f} ms",
            f"< {LAG_P99_MS:g}",
            share(steady, 0.99) < LAG_P99_MS,
        ),
    ]
    met = all(row[3] for row in rows)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    print(
        f"soak: {asked.sessions} sessions, {asked.seconds:g} s, seed 0, commit {commit or 'unknown'}"
    )
    for name, value, goal, is_met in rows:
        print(f"  {name:<32}{value:>14}   goal {goal:<8} {'met' if is_met else 'MISSED'}")
    for name, lags in (("opening", ramp), ("all live", steady), ("ending", ending)):
        shown = f"p50 {share(lags, 0.5):.1f}, p99 {share(lags, 0.99):.1f}, most {lags[-1]:.1f} ms"
        print(f"  lag, {name:<27}{shown}")
    print(f"  all open after                  {full - began:>12.1f} s")
    received = len(SOUND) / 1_024 * (asked.seconds - 1) / EVERY_SECONDS
    print(f"  of that growth, audio received  {received:>12.1f} KiB a session")
    print(
        f"  resident: before {before / 1024:.0f}, all live {first / 1024:.0f}, then {last / 1024:.0f} MiB"
    )
    return met


def main() -> int:
    """Start the server, run, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < asked.sessions + SPARE_FILES:
        print(f"'ulimit -Hn' is {hard}: too low for {asked.sessions} sessions", file=sys.stderr)
        return 2
    if asked.serve:
        trio.run(serve, asked.sessions, asked.seconds)
        return 0
    os.environ["BATCHJOBS_LOCAL_KEY"] = KEY
    tune_process()
    with tempfile.TemporaryDirectory() as name:
        manifest = prepare(Path(name), asked.sessions, asked.seconds)
        words = [sys.executable, __file__, "--serve", "--sessions", str(asked.sessions)]
        words += ["--seconds", str(asked.seconds)]
        server = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        port = int(server.stdout.readline())
        began = time.monotonic()
        watch, report = trio.run(run, manifest, Path(name), port, asked.sessions)
        output, _ = server.communicate("")
        asked.done = report.summary.done
        if report.exit_code:
            first = next((Path(name) / "run" / "failed.jsonl").open(encoding="utf-8"), "")[-300:]
            print(
                f"the run ended with {report.exit_code}: {report.error or first}", file=sys.stderr
            )
        return 0 if tell(watch, began, json.loads(output), asked) else 1


if __name__ == "__main__":
    sys.exit(main())
