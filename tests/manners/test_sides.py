"""Calls with two sides against services that are not ours: both sides done once, each exact."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import trio

import batchjobs
from batchjobs.audio.pauses import split_sides
from batchjobs.audio.sides import find_sides
from tests.calls import RATE, rest, speak, write_channels
from tests.canary import KEY
from tests.faults.state_world import hurry_retries
from tests.manners.desk import Recording
from tests.manners.listening import ListenService, Manner, run_listen_service
from tests.manners.manners import Closing, Fault, Hearing, Manners
from tests.manners.service import Service, run_service

SAID: Final = ("مَرْحَبًا بِكُـــم في ١٢٣ شركة", "لا\u200dإله می\u200cخواهم OK <b>")
TEXT: Final = f"Left: {SAID[0]}\nRight: {SAID[1]}"
MANNERS: Final[Mapping[str, Manners]] = {
    "does not drain": Manners(prefix=" "),
    "closes by itself": Manners(closing=Closing.ITSELF, hearing=Hearing.AT_END),
    "answers late": Manners(hearing=Hearing.ENDS_LATE, is_object=True),
    "revises": Manners(hearing=Hearing.REVISES_LATE),
    "fails once": Manners(
        fault=Fault(error={"event": "transcription_error", "data": "overloaded"}, of="Right")
    ),
    "closes after the first chunk": Manners(fault=Fault(close_code=1000, of="Left")),
}
ENDINGS: Final[Mapping[str, Manner]] = {
    "well": Manner(),
    "without a receipt once": Manner(close_code=1000, times=1),
    "broken once": Manner(close_code=1011, closes_in_mid_audio=True, times=1),
}


def write_call(folder: Path) -> list[Recording]:
    """Write a call whose sides speak at once, and say what a service hears of it."""
    left, right = speak("١٢٣٤ كلام الأول"), speak("words of the second")
    path = write_channels(folder / "call.wav", left, np.concatenate([rest(0.3), right]))
    stretches = split_sides(path, find_sides(path), sample_rate=RATE)
    return [
        Recording(name=("Left", "Right")[side], pcm=each.pcm, words=tuple(SAID[side].split()))
        for side, each in stretches
    ]


def transcript_of(folder: Path) -> str:
    """Read the transcript's file."""
    return (folder / "out" / "transcripts" / "call.txt").read_text("utf-8")


def make_options(folder: Path, **others: Any) -> batchjobs.Options:
    """Ask for both sides."""
    (folder / "rows.csv").write_text("id,audio\ncall,call.wav\n")
    return batchjobs.Options(
        output=folder / "out", speech=batchjobs.Defaults(channels="apart"), **others
    )


def test_both_sides_are_whole_on_the_documents_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it drains, closes, answers late, revises or fails: a session a side, and one for each failure."""
    monkeypatch.setenv("MUNSIT_API_KEY", KEY)
    services = {}
    for name, manners in MANNERS.items():
        (tmp_path / name).mkdir()
        services[name] = Service(manners, write_call(tmp_path / name), KEY)
    codes: dict[str, int] = {}

    async def run(name: str) -> None:
        base_url = f"ws://127.0.0.1:{services[name].port}/api/v1"
        config = tmp_path / name / "batchjobs.toml"
        config.write_text('[providers.munsit]\nstt_protocol = "transcription"\n')
        options = make_options(tmp_path / name, provider="munsit", base_url=base_url, config=config)
        report = await batchjobs.run_async(tmp_path / name / "rows.csv", options)
        codes[name] = report.exit_code

    async def run_all() -> None:
        async with trio.open_nursery() as nursery:
            for name in services:
                nursery.start_soon(run, name)

    with run_service(list(services.values())), hurry_retries():
        trio.run(run_all)
    for name, service in services.items():
        assert codes[name] == 0, name
        assert transcript_of(tmp_path / name) == TEXT, name
        failed = sum(session.went_wrong for session in service.sessions)
        assert len(service.sessions) == 2 + failed, name
        assert service.complaints == []


@pytest.mark.parametrize("name", ENDINGS)
def test_both_sides_are_whole_on_the_newer_socket(tmp_path: Path, name: str) -> None:
    """Each has a receipt of its own; their sum is what was billed."""
    write_call(tmp_path)
    finals = (tuple((word, 0.2 * n, 0.2 * n + 0.1) for n, word in enumerate(SAID[0].split())),)
    service = ListenService(ENDINGS[name], finals, KEY)
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    key_file.chmod(0o600)
    with run_listen_service(service) as base_url:
        config = tmp_path / "batchjobs.toml"
        config.write_text(
            f'[providers.newer]\nlike = "munsit"\nbase_url = "{base_url}"\nstt_protocol = "listen"\n'
        )
        options = make_options(tmp_path, provider="newer", config=config, key_file=key_file)
        with hurry_retries():
            assert batchjobs.run(tmp_path / "rows.csv", options).exit_code == 0
    assert transcript_of(tmp_path) == f"Left: {SAID[0]}\nRight: {SAID[0]}"
    found = json.loads((tmp_path / "out" / "transcripts" / "call.json").read_bytes())
    evidence = found["evidence"]
    assert evidence["ending"] == "receipt"
    assert evidence["billed_audio_seconds"] == pytest.approx(
        evidence["sent_audio_seconds"], abs=0.1
    )
    assert service.sessions == 2 + (name != "well")
    assert service.complaints == []
