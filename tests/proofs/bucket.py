"""Proof that a run in a bucket outlives its owner: killed and paused at each of its requests in turn.

    python -m tests.proofs.bucket [STEP]

With a STEP only every so manieth request is taken.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.custody.runs import Scene, check_bought_once, kill_and_take_over, pause_and_take_over
from tests.s3 import Bucket, S3Server
from tests.s3_faults import Act
from tests.whole_runs import run_server

_ROWS: Final = 5
_MOST: Final = 1_000
_FIRST_WORK: Final = 18
"""The requests before this one are those of a run that begins."""


def main() -> None:
    """Run the proof, and tell what came of it."""
    step = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    server = S3Server()
    try:
        with tempfile.TemporaryDirectory() as name:
            _prove(server, Path(name), step)
    finally:
        server.close()


def _prove(server: S3Server, folder: Path, step: int) -> None:
    bucket = server.make_bucket()
    os.environ.update(bucket.environment())
    for act in (Act.KILL_BEFORE, Act.KILL_AFTER):
        for stays in (False, True):
            kills, repeats = _kill_everywhere(bucket, folder, act, step, stays=stays)
            where = "in its folder" if stays else "in another folder"
            print(
                f"{act.name.lower()}, gone on with {where}: {kills} kills, 0 of {_ROWS * kills} rows"
                f" lost, {repeats} sessions that were open bought again",
                flush=True,
            )
    pauses = 0
    for at in range(_FIRST_WORK, _FIRST_WORK + 20, step):
        with _scene(bucket, folder, f"pause-{at}") as scene:
            pause_and_take_over(scene, at)
            pauses += 1
    print(f"paused and taken over: {pauses} times, ended with 75, and nothing written after it")


def _kill_everywhere(
    bucket: Bucket, folder: Path, act: Act, step: int, *, stays: bool
) -> tuple[int, int]:
    kills = repeats = 0
    for at in range(1, _MOST, step):
        name = f"{act.name.lower()}-{'here' if stays else 'there'}-{at}"
        with _scene(bucket, folder, name) as scene:
            if not kill_and_take_over(scene, at, act, stays=stays):
                return kills, repeats
            kills += 1
            repeats += check_bought_once(scene, kills=1)
    raise AssertionError("it never came to its end")


@contextmanager
def _scene(bucket: Bucket, folder: Path, name: str) -> Iterator[Scene]:
    """Give a scene with a server of its own."""
    place = folder / name
    place.mkdir()
    ledger = place / "ledger.jsonl"
    ledger.touch()
    with run_server(place, "--engine", "tone", "--ledger", ledger) as base_url:
        yield Scene(folder=place, bucket=bucket, base_url=base_url, ledger=ledger, rows=_ROWS)


if __name__ == "__main__":
    main()
