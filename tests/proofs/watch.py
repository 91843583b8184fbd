"""A week of arrivals in virtual time, under kills: ``python -m tests.proofs.watch [FOLDER]``.

Files arrive below a folder that is watched: whole, in halves with minutes or hours between, replaced,
and deleted before, while and after they are heard. The watch runs in a process of its own, with a clock
that jumps, and is killed with SIGKILL at set moments and started again. The service is ours only in its
protocol; it writes down what it hears, and that is held against what arrived.
"""

import argparse
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from batchjobs.api import execute, watching
from batchjobs.api.endpoints import Ways
from batchjobs.api.prepare import open_run_folder
from batchjobs.api.watch import request_of_watch
from batchjobs.options import Options
from batchjobs.options.watching import WatchSettings
from batchjobs.server.engines.tone import ToneRecogniser, ToneSynthesiser
from tests.builders import make_endpoint, make_speech, transcript_message, write_recording
from tests.clocks import make_clock
from tests.runner.runs import QUICK
from tests.streams import Peer, Service

DAY: Final = 86_400.0
_SPEECH: Final = make_speech(16_000)
_HEARING_SECONDS: Final = 4.0
"""So long the service takes for a recording: kills strike it there."""
_INBOX: Final = "صندوق الوارد"


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to a file, and when."""

    at: float
    name: str
    act: str
    number: int


@dataclass(frozen=True, slots=True)
class Week:
    """All that happens in a folder.

    Attributes:
        steps: In the order of time.
        halves: Names of the files that come in two halves.
        unheard: Numbers of recordings that are deleted before, or just when, they could be heard.
        kills: When the watch is killed.
        numbers: Of all recordings that arrive whole.
        seconds: How long it all takes.
    """

    steps: Sequence[Step]
    halves: Sequence[str]
    unheard: frozenset[int]
    kills: Sequence[float]
    numbers: Sequence[int]
    seconds: float


def text_of(number: int) -> str:
    """Give what a recording says: each its own."""
    return f"التسجيل {number} كـــامل ١٢٣"


def make_week(*, files: int, halves: int, deleted: int, kills: int, seconds: float) -> Week:
    """Draw what happens, the same each time."""
    draw = random.Random(14)
    steps: list[Step] = []
    names = [f"سنة {n % 7}/حديث {n:03}.{('wav', 'flac')[n % 2]}" for n in range(files)]
    hour = seconds / 168  # of a week; of a shorter time less
    last = seconds - 8 * hour
    for number, name in enumerate(names):
        at = draw.uniform(0, last)
        if number < halves:
            steps += [Step(at, name, "half", number)]
            at += draw.choice([1.0, 40.0, hour / 6, hour / 2, 4 * hour])
        steps.append(Step(at, name, "whole", number))
    arrivals = [step for step in steps if step.act == "whole"]
    gone = draw.sample(arrivals[halves:], deleted)
    waits = {0: 0.5, 1: 25.0, 2: hour}  # before it is heard, while it is, and after
    for turn, step in enumerate(gone):
        at = step.at + waits[turn % 3]
        steps.append(Step(at, step.name, "delete", step.number))
    replaced = draw.sample([s for s in arrivals[halves:] if s not in gone], max(1, files // 100))
    numbers = list(range(files))
    for step in replaced:  # hours after it was heard another one takes its place
        numbers.append(len(numbers))
        steps.append(Step(step.at + 3 * hour, step.name, "whole", numbers[-1]))
    struck = sorted(draw.sample(arrivals, kills), key=lambda step: step.at)
    return Week(
        steps=sorted(steps, key=lambda step: step.at),
        halves=names[:halves],
        unheard=frozenset(step.number for turn, step in enumerate(gone) if turn % 3 < 2),
        kills=[step.at + draw.uniform(0, 60) for step in struck],
        numbers=numbers,
        seconds=seconds,
    )


def act(folder: Path, step: Step) -> None:
    """Do what happens to a file."""
    path = folder / _INBOX / step.name
    path.parent.mkdir(parents=True, exist_ok=True)
    if step.act == "delete":
        path.unlink(missing_ok=True)
        return
    pcm = b"".join(ToneSynthesiser().synthesise(text_of(step.number), _SPEECH))
    made = write_recording(folder / f"made{path.suffix}", pcm, 16_000)
    content = made.read_bytes()
    path.write_bytes(content[: len(content) // 2] if step.act == "half" else content)


# -- the process that watches --------------------------------------------------------------------


def watch_from(folder: Path, week: Week, began: float, settings: WatchSettings) -> None:
    """Watch from a moment of the week on, until the next kill, or its end."""
    kill_at = next((at for at in week.kills if at > began), None)
    done = folder / "steps"
    skipped = int(done.read_text()) if done.exists() else 0
    ledger = (folder / "ledger.jsonl").open("ab", buffering=0)

    async def hears(peer: Peer) -> None:
        stream = ToneRecogniser().start()
        number = 0
        while True:
            message = await peer.get()
            content = bytes(message["data"]["audioBuffer"])
            text = await trio.to_thread.run_sync(stream.accept, content[44:], 16_000)
            if not number:
                ledger.write(json.dumps({"began": peer.number}).encode() + b"\n")
                await trio.sleep(_HEARING_SECONDS)
            number += 1
            if text:
                ledger.write(json.dumps({"heard": text}).encode() + b"\n")
            await peer.send(transcript_message(text))

    async def arrive() -> None:
        for number, step in enumerate(week.steps[skipped:], start=skipped + 1):
            await trio.sleep(step.at - began - trio.current_time())
            await trio.to_thread.run_sync(act, folder, step)
            done.write_text(str(number))

    async def end(scope: trio.CancelScope) -> None:
        await trio.sleep((kill_at or week.seconds) - began)
        if kill_at is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        scope.cancel()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            service = Service(nursery, talk=hears)

            async def ways(*_: object) -> Ways:
                provider = dataclasses.replace(QUICK, name="local", stt_price_per_hour=1.0)
                return Ways({"local": make_endpoint(service.dial, provider)}, {})

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(execute, "make_ways", ways)
                nursery.start_soon(arrive)
                nursery.start_soon(end, nursery.cancel_scope)
                inbox = folder / _INBOX
                request = request_of_watch(inbox, Options(engine="tone", output="run"), settings)
                with open_run_folder(request) as checkpoint:
                    tell = (folder / "told").open("a", buffering=1)
                    watch = watching.Watch(
                        inbox,
                        request,
                        checkpoint,
                        settings=settings,
                        tell=lambda line: print(line, file=tell),
                    )
                    await watch.run(heeds_signals=False)

    with make_clock() as clock:
        trio.run(main, clock=clock)


# -- the proof -----------------------------------------------------------------------------------


def prove(folder: Path, given: Sequence[str]) -> dict[str, Any]:
    """Let the week pass, in as many processes as it takes, and count what came of it."""
    week = make_week(**_read(given))
    (folder / _INBOX).mkdir(parents=True)
    for began in [0.0, *week.kills]:
        command = [sys.executable, "-m", "tests.proofs.watch", *given]
        done = subprocess.run(
            [*command, "--from", str(began), str(folder)], check=False, timeout=3_600
        )
        is_last = began == max([0.0, *week.kills])
        assert done.returncode == (0 if is_last else -signal.SIGKILL)
    ledger = [json.loads(line) for line in (folder / "ledger.jsonl").read_bytes().splitlines()]
    heard = Counter(entry["heard"] for entry in ledger if "heard" in entry)
    rows = _results(folder)
    results = Counter(row["transcript"] for row in rows)
    wanted = {text_of(number) for number in week.numbers if number not in week.unheard}
    lost = json.loads((folder / "run/summary.json").read_bytes())["attempts_lost"]
    assert set(heard) <= {text_of(number) for number in week.numbers}
    assert results.keys() >= wanted, wanted - results.keys()
    assert set(results.values()) == {1}
    assert sum(heard.values()) - len(heard) <= lost
    return {
        "files": len(week.numbers),
        "in halves": len(week.halves),
        "kills": len(week.kills),
        "deleted, perhaps before they were heard": len(week.unheard),
        "recordings with a transcript": len(results),
        "recordings the service heard": len(heard),
        "heard more than once": sum(count > 1 for count in heard.values()),
        "sessions that kills struck": lost,
        "told": (folder / "told").read_text().splitlines(),
    }


def _results(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "run/results.jsonl").read_bytes().splitlines()]


def _read(arguments: Sequence[str]) -> dict[str, Any]:
    given = _parser().parse_args([*arguments, "-"])
    return {
        "files": given.files,
        "halves": given.halves,
        "deleted": given.deleted,
        "kills": given.kills,
        "seconds": given.days * DAY,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--from", dest="began", type=float)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--halves", type=int, default=20)
    parser.add_argument("--deleted", type=int, default=10)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--days", type=float, default=7.0)
    return parser


def main() -> None:
    """Let the week pass, or one part of it."""
    given = _parser().parse_args()
    sizes = [
        word
        for name in ("files", "halves", "deleted", "kills", "days")
        for word in (f"--{name}", str(getattr(given, name)))
    ]
    if given.began is not None:
        folder = Path(given.folder)
        os.chdir(folder)
        settings = WatchSettings(every_seconds=30.0)
        watch_from(folder, make_week(**_read(sizes)), given.began, settings)
        return
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        found = prove(Path(given.folder or name).absolute() / "week", sizes)
        print(json.dumps(found, ensure_ascii=False, indent=2))
        print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
