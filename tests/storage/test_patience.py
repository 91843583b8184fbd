"""How long a store is waited for: for as long as it takes, until it was lost or somebody wants out."""

import asyncio
import threading

import pytest

from batchjobs.storage import patience
from batchjobs.storage.patience import NoPatienceError, Patience
from tests.clocks import until

_NEVER_SECONDS = 9_999.0


async def answer(seconds: float, begun: list[float] | None = None) -> float:
    """Answer after a while."""
    if begun is not None:
        begun.append(seconds)
    await asyncio.sleep(seconds)
    return seconds


def test_a_store_that_was_lost_is_not_waited_for_as_long_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Until it answers: then it may take its time."""
    monkeypatch.setattr(patience, "_LOST_SECONDS", 0.05)
    store = Patience("s3://b/x")
    assert store.wait_for(answer(0.1)) == 0.1
    store.lose()
    for _ in range(2):
        with pytest.raises(NoPatienceError):
            store.wait_for(answer(_NEVER_SECONDS))
    assert store.wait_for(answer(0.0)) == 0.0
    assert store.wait_for(answer(0.1)) == 0.1


def test_whoever_wants_out_waits_a_moment_for_each_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was asked before, too; a store that answers is listened to."""
    monkeypatch.setattr(patience, "_SILENCE_SECONDS", 0.05)
    store, begun, ended = Patience("s3://b/x"), [0.0], list[str]()

    def ask() -> None:
        try:
            store.wait_for(answer(_NEVER_SECONDS, begun))
        except NoPatienceError:
            ended.append("given up")

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: len(begun) > 1)
    store.hurry()
    asking.join()
    assert ended == ["given up"]
    assert store.wait_for(answer(0.0)) == 0.0
    with pytest.raises(NoPatienceError):
        store.wait_for(answer(_NEVER_SECONDS))


def test_whoever_wants_out_does_not_wait_for_many_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the end nothing more is asked at all."""
    monkeypatch.setattr(patience, "_HURRY_SECONDS", 0.0)
    store, begun = Patience("s3://b/x"), list[float]()
    store.hurry()
    with pytest.raises(NoPatienceError):
        store.wait_for(answer(0.0, begun))
    assert begun == []


def test_an_error_of_a_request_is_its_own() -> None:
    """A disk that timed out is no store that was not waited for."""

    async def fail() -> None:
        raise TimeoutError("a disk")

    with pytest.raises(TimeoutError, match="a disk"):
        Patience("s3://b/x").wait_for(fail())
