"""The command `probe` says what it costs, asks, and prints settings."""

import io
import json
import socket
import sys

import pytest

from tests.canary import KEY
from tests.commands import Command


def test_a_probe_says_what_it_costs_and_prints_settings(command: Command) -> None:
    """The local server out of the box; a hosted one is asked about first, and no is no."""
    ended = command("probe", "local")
    assert ended.code == 0
    lines = ["[providers.local]", 'tts_transport = "websocket"', "close_drains = true"]
    assert ended.out.splitlines()[-4:] == [*lines, 'stt_protocol = "listen"']
    assert "# listen: hears" in ended.out
    assert "# http: speaks" in ended.out
    assert "3 sessions" in ended.err
    assert "no cost" in ended.err
    assert json.loads(command("probe", "local", "--json").out)["close_drains"] is True
    ended = command("probe", "munsit")
    assert ended.code == 78
    assert "MUNSIT_API_KEY" in ended.err
    assert command("probe", "nobody").code == 78


def test_a_probe_that_costs_money_asks_first(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an answer nothing is spent; with --yes it goes on, here to a port that is shut."""
    monkeypatch.setenv("MUNSIT_API_KEY", KEY)
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    ended = command("probe", "munsit", "--voice", "v")
    assert (ended.code, ended.out) == (0, "")
    assert "0.00" in ended.err
    assert "nothing was spent" in ended.err
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    ended = command("probe", "munsit", "--voice", "v")
    assert (ended.code, ended.out) == (2, "")
    assert "nothing was spent" in ended.err
    assert "--yes" in ended.err
    with socket.socket() as shut:
        shut.bind(("127.0.0.1", 0))
        url = f"ws://127.0.0.1:{shut.getsockname()[1]}/api/v1"
        ended = command("probe", "munsit", "--voice", "v", "--base-url", url, "--yes")
    assert ended.code == 69
    assert KEY not in ended.out + ended.err
