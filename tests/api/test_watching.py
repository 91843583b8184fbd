"""What a watch does when something keeps it from its work, in virtual time: it waits, tells, and goes on."""

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio

from batchjobs.api import execute
from batchjobs.api.endpoints import Ways
from batchjobs.api.prepare import open_run_folder
from batchjobs.api.watch import request_of_watch
from batchjobs.api.watching import Watch, WatchReport
from batchjobs.checkpoint import Checkpoint
from batchjobs.errors import DiskError, DiskFullError
from batchjobs.options import Options
from batchjobs.options.watching import WatchSettings
from batchjobs.outputs import aftercare
from batchjobs.providers import Provider
from batchjobs.server.engines.tone import ToneRecogniser, ToneSynthesiser
from tests.builders import make_endpoint, make_speech, transcript_message, write_recording
from tests.runner.runs import QUICK
from tests.streams import Peer, Service
from tests.whole_runs import ARABIC

HOUR = 3_600.0
SPEECH = make_speech(16_000)
PROVIDER = dataclasses.replace(QUICK, name="local", outage_limit_seconds=600.0)


def record(path: Path, text: str) -> None:
    """Write a recording that says a text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_recording(path, b"".join(ToneSynthesiser().synthesise(text, SPEECH)), 16_000)


@dataclass
class World:
    """A folder that is watched, a service, and what happens to them."""

    folder: Path
    patch: pytest.MonkeyPatch
    provider: Provider = PROVIDER
    is_away: bool = False
    refused: str = ""
    sessions: int = 0
    first_heard: Callable[[], object] = bool
    dials: list[float] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    async def hears(self, peer: Peer) -> None:
        """Transcribe what comes."""
        stream, last = ToneRecogniser().start(), ""
        self.first_heard()
        self.first_heard = bool
        while True:
            content = bytes((await peer.get())["data"]["audioBuffer"])
            text = await trio.to_thread.run_sync(stream.accept, content[44:], 16_000)
            if text and text == self.refused:
                self.sessions += 1
                return
            if text != last:
                self.heard.append(text)
            last = text
            await peer.send(transcript_message(text))

    async def watch(
        self, seconds: float, *steps: tuple[float, Callable[[], object]], **settings: Any
    ) -> WatchReport | None:
        """Watch for so long, while steps are done at their times; None if nothing ended it before."""
        began = trio.current_time()
        report: list[WatchReport] = []
        async with trio.open_nursery() as nursery:
            service = Service(nursery, talk=self.hears)

            async def dial(*where: Any) -> Any:
                self.dials.append(trio.current_time() - began)
                if self.is_away:
                    raise OSError("nobody is there")
                return await service.dial(*where)

            async def ways(*_: object) -> Ways:
                return Ways({"local": make_endpoint(dial, self.provider)}, {})

            async def do(at: float, step: Callable[[], object]) -> None:
                await trio.sleep(at)
                await trio.to_thread.run_sync(step)

            self.patch.setattr(execute, "make_ways", ways)
            os.chdir(self.folder)
            for at, step in steps:
                nursery.start_soon(do, at, step)
            made = WatchSettings(every_seconds=30, **settings)
            request = request_of_watch(Path("in"), Options(engine="tone", output="run"), made)
            with trio.move_on_after(seconds), open_run_folder(request) as checkpoint:
                watch = Watch(
                    Path("in"),
                    request,
                    checkpoint,
                    settings=made,
                    tell=self.told.append,
                )
                report.append(await watch.run(heeds_signals=False))
            nursery.cancel_scope.cancel()
        return report[0] if report else None


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A folder with one recording."""
    record(tmp_path / "in" / "a.wav", ARABIC[0])
    monkeypatch.chdir(tmp_path)
    return World(tmp_path, monkeypatch)


def texts(folder: Path) -> Sequence[str]:
    """The transcripts that are done."""
    with Checkpoint.read(folder / "run") as checkpoint:
        found = [record for _, record in checkpoint.rows.stream_outcomes()]
    return [record.text for record in found if record is not None and record.text]


async def test_a_service_that_is_away_for_hours_is_waited_for(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """It is told once, looked for ever less often, and heard from when it is back."""
    world.is_away = True

    def come_back() -> None:
        world.is_away = False

    ended = await world.watch(
        7 * HOUR,
        (HOUR, lambda: record(world.folder / "in/b.wav", ARABIC[1])),
        (6 * HOUR, come_back),
    )
    assert ended is None
    assert sorted(texts(world.folder)) == sorted(ARABIC[:2])
    assert sorted(world.heard) == sorted(ARABIC[:2])
    waiting = [line for line in world.told if line.startswith("waiting: ")]
    assert len(waiting) == 1
    assert world.told[-1] == "going on"
    assert len([at for at in world.dials if HOUR < at < 6 * HOUR]) < 500


async def test_a_full_disk_is_waited_for_and_a_failing_one_is_not(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """With room again it goes on, and buys nothing twice; what a bad disk loses nobody brings back."""
    errors: list[DiskError] = [DiskFullError("no room"), DiskFullError("no room")]
    real = Checkpoint.commit

    def commit(self: Checkpoint, **content: Any) -> list[int]:
        if errors:
            raise errors.pop(0)
        return real(self, **content)

    world.patch.setattr(Checkpoint, "commit", commit)

    def fail() -> None:
        errors.append(DiskError("it is broken"))
        record(world.folder / "in/b.wav", ARABIC[1])

    ended = await world.watch(3 * HOUR, (2 * HOUR, fail))
    assert world.heard[:1] == [ARABIC[0]]
    assert list(texts(world.folder)) == [ARABIC[0]]
    assert world.told[:1] == ["waiting: no room"]
    assert ended is not None
    assert (ended.exit_code, ended.rounds) == (74, 4)


async def test_a_folder_that_goes_away_for_a_while_loses_nothing(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """It is told; nothing of it counts as deleted, and nothing is read or heard again."""
    inbox, away = world.folder / "in", world.folder / "away"
    ended = await world.watch(
        3 * HOUR, (HOUR, lambda: inbox.rename(away)), (2 * HOUR, lambda: away.rename(inbox))
    )
    assert ended is None
    assert world.heard == [ARABIC[0]]
    assert "cannot be read" in world.told[0]
    assert world.told[1:] == ["going on"]


async def test_what_is_done_is_tended_by_one_at_a_time(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """A move that takes longer than a look, and than a beat of the heart, is not begun a second time."""
    record(world.folder / "in/b.wav", ARABIC[1])
    moves: list[str] = []

    def move(source: Path, *_: Any, **__: Any) -> None:
        moves.append(source.name)
        time.sleep(0.1)  # while which hours pass for the watch
        moves.append(source.name)
        source.unlink()

    world.patch.setattr(aftercare, "move", move)
    await world.watch(HOUR, done_folder=world.folder / "done")
    assert len(moves) == 4
    assert moves[::2] == moves[1::2]


async def test_what_comes_back_before_it_was_heard_is_heard(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """It was deleted while the service was away; its failure does not stand against it."""
    world.is_away = True
    path = world.folder / "in/a.wav"
    content = path.read_bytes()

    def come_back() -> None:
        world.is_away = False
        path.write_bytes(content)

    ended = await world.watch(
        5 * HOUR,
        (100, path.unlink),
        (200, lambda: record(world.folder / "in/b.wav", ARABIC[1])),
        (3 * HOUR, come_back),
    )
    assert ended is None
    assert sorted(texts(world.folder)) == sorted(ARABIC[:2])
    assert sorted(world.heard) == sorted(ARABIC[:2])


async def test_what_was_gone_when_its_turn_came_is_heard_when_it_is_back(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """It was planned, and deleted while the one before it was heard."""
    path = world.folder / "in/b.wav"
    record(path, ARABIC[1])
    content = path.read_bytes()
    world.first_heard = path.unlink
    ended = await world.watch(3 * HOUR, (2 * HOUR, lambda: path.write_bytes(content)))
    assert ended is None
    assert sorted(texts(world.folder)) == sorted(ARABIC[:2])
    assert sorted(world.heard) == sorted(ARABIC[:2])


async def test_what_fails_is_not_tried_again_for_each_recording_that_arrives(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """But after ten minutes, then after four times as long each: attempts may cost money."""
    world.refused = ARABIC[0]

    def arrive(number: int) -> Callable[[], None]:
        return lambda: record(world.folder / f"in/{number}.wav", f"{ARABIC[1]} {number}")

    ended = await world.watch(4 * HOUR, *((600.0 * n, arrive(n)) for n in range(1, 20)))
    assert ended is None
    assert len(world.heard) == 19
    assert world.sessions == 5 * 4  # at once, after 10, 50 and 210 minutes


async def test_a_long_recording_is_not_put_together_again_with_each_that_arrives(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """It is heard in stretches, once."""
    parts = [b"".join(ToneSynthesiser().synthesise(f"{text} ", SPEECH)) for text in ARABIC[:5]]
    long = world.folder / "in/long.wav"
    write_recording(long, bytes(32_000).join(parts), 16_000)
    limits = "audio_limit_seconds = 10\naudio_target_seconds = 5\n"
    (world.folder / "batchjobs.toml").write_text(f"[providers.local]\n{limits}")
    world.provider = dataclasses.replace(
        PROVIDER, audio_limit_seconds=10.0, audio_target_seconds=5.0
    )
    told: list[str] = []
    ended = await world.watch(
        HOUR,
        (1_000, lambda: record(world.folder / "in/b.wav", "one more")),
        (2_000, lambda: told.append(str((world.folder / "run/transcripts/long.txt").stat()))),
        (2_001, lambda: record(world.folder / "in/c.wav", "and one more")),
        (3_000, lambda: told.append(str((world.folder / "run/transcripts/long.txt").stat()))),
    )
    assert ended is None
    assert len(texts(world.folder)) == 4
    assert told[0] == told[1]
    with Checkpoint.read(world.folder / "run") as checkpoint:
        assert checkpoint.lookups.find(["long"])["long"].segments > 1
    assert len(world.heard) == len(set(world.heard))


async def test_half_a_file_is_told_once_and_heard_when_it_is_whole(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    """However long it takes: never in part."""
    half = world.folder / "in/half.wav"
    record(half, ARABIC[1])
    content = half.read_bytes()
    half.write_bytes(content[: len(content) // 2])
    listed = world.folder / "in.left-out.jsonl"
    ended = await world.watch(
        5 * HOUR,
        (3 * HOUR, lambda: world.told.append(f"listed: {'half' in listed.read_text()}")),
        (4 * HOUR, lambda: half.write_bytes(content)),
    )
    assert ended is None
    assert "listed: True" in world.told
    assert not listed.exists()
    assert len([line for line in world.told if "half.wav" in line]) == 1
    assert sorted(world.heard) == sorted(ARABIC[:2])
