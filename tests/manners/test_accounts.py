"""Several keys against services that are not ours: one is refused, one has little room, one works."""

from pathlib import Path

import pytest

import batchjobs
from batchjobs.errors import BudgetReachedError, ConfigurationError
from batchjobs.progress import AccountLeft, SlowedDown
from tests.canary import KEY, key_with, place_in
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


def test_the_budget_of_a_single_account_holds_and_knows_of_earlier_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table for one key sets its limits too, and what was bought before it had a name is spent."""
    texts = [f"مَرْحَبًا ‌بِكُـــم‍ ٤٥ {number} x" for number in range(9)]
    rows = [{"id": f"{number}", "text": text} for number, text in enumerate(texts)]
    monkeypatch.setenv("MUNSIT_API_KEY", KEY)
    service = Service(Manners(closing=Closing.DRAINS), [], KEY)
    config = tmp_path / "batchjobs.toml"
    options = batchjobs.Options(
        provider="munsit",
        output=tmp_path / "run",
        config=config,
        speech=batchjobs.Defaults(voice_id="v"),
    )
    with run_service([service]):
        lines = [
            "[providers.munsit]",
            "tts_price_per_million_characters = 1_000_000",
            "quiet_seconds = 0.5",
            "final_quiet_seconds = 0.2",
            f'base_url = "ws://127.0.0.1:{service.port}/api/v1"',
        ]
        config.write_text("\n".join(lines))
        batchjobs.run(rows[:3], options).raise_for_status()
        account = ["[[providers.munsit.accounts]]", 'key_variable = "MUNSIT_API_KEY"']
        account += ['name = "الأول"', f"budget = {5 * len(texts[0])}"]
        config.write_text("\n".join(lines + account))
        report = batchjobs.run(rows, options)
    with pytest.raises(BudgetReachedError, match="the budget of الأول"):
        report.raise_for_status()
    assert report.summary.done == 5
    assert {session.asked for session in service.sessions if session.asked} == set(texts[:5])


def test_a_key_from_a_file_has_to_know_where_to_go(tmp_path: Path) -> None:
    """Where only accounts have addresses, nothing else speaks in the service's place."""
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    config = tmp_path / "batchjobs.toml"
    config.write_text(
        '[providers.munsit]\nbase_url = ""\n[[providers.munsit.accounts]]\n'
        'key_variable = "KEY_ONE"\nbase_url = "wss://one.example/api/v1"\n'
    )
    options = batchjobs.Options(
        provider="munsit",
        output=tmp_path / "run",
        config=config,
        key_file=tmp_path / "key",
        speech=batchjobs.Defaults(voice_id="ar-najdi-male-2"),
    )
    with pytest.raises(ConfigurationError, match="only these have a 'base_url'"):
        batchjobs.run([{"id": "1", "text": "مَرْحَبًا ٤٥"}], options)
