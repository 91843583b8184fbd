"""Several keys against services that are not ours: one is refused, one has little room, one works."""

from pathlib import Path

import pytest

import batchjobs
from batchjobs.progress import AccountLeft, SlowedDown
from tests.canary import key_with, place_in
from tests.manners.manners import Closing, Manners
from tests.manners.service import Service, run_service

_TEXTS = [f"مَرْحَبًا ‌بِكُـــم‍ ٤٥، وهذا السطر رقم {number} x" for number in range(40)]
_FULL = {"type": "error", "errorCode": 42901, "errorMessage": "too many sessions"}


def test_three_keys_of_which_one_is_refused_and_one_throttled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All jobs are done, each bought once; keys stand nowhere."""
    keys = {name: key_with(f"-{name}-") for name in ("ONE", "TWO", "THREE")}
    narrow = Manners(closing=Closing.DRAINS, room=1, full=_FULL)
    services = {
        "ONE": Service(Manners(), [], key_with("-another-")),
        "TWO": Service(narrow, [], keys["TWO"]),
        "THREE": Service(Manners(closing=Closing.DRAINS), [], keys["THREE"]),
    }
    events: list[batchjobs.Event] = []
    with run_service(list(services.values())):
        lines = ["[providers.munsit]", "quiet_seconds = 0.5", "final_quiet_seconds = 0.2"]
        for name, service in services.items():
            monkeypatch.setenv(f"KEY_{name}", keys[name])
            lines += [
                "[[providers.munsit.accounts]]",
                f'key_variable = "KEY_{name}"',
                f'base_url = "ws://127.0.0.1:{service.port}/api/v1"',
            ]
        config = tmp_path / "batchjobs.toml"
        config.write_text("\n".join(lines))
        report = batchjobs.run(
            [{"id": f"{number}", "text": text} for number, text in enumerate(_TEXTS)],
            batchjobs.Options(
                provider="munsit",
                output=tmp_path / "run",
                config=config,
                speech=batchjobs.Defaults(voice_id="v"),
            ),
            observe=events.append,
        )
    report.raise_for_status()
    assert report.summary.done == len(_TEXTS)
    (left,) = [event for event in events if isinstance(event, AccountLeft)]
    assert left.account == "KEY_ONE"
    assert {event.account for event in events if isinstance(event, SlowedDown)} == {"KEY_TWO"}
    assert services["ONE"].complaints == ["a handshake without the key"]
    assert not services["TWO"].complaints + services["THREE"].complaints
    sessions = [*services["TWO"].sessions, *services["THREE"].sessions]
    assert len(services["THREE"].sessions) > len(_TEXTS) / 2
    assert {session.asked for session in sessions if session.asked} == set(_TEXTS)
    for event in events:
        assert not place_in(str(event))
