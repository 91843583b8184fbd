"""Messages to a program elsewhere: signed, retried, never holding anything up, their address never shown."""

import hashlib
import hmac
import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import batchjobs
from batchjobs.errors import ConfigurationError, ManifestError
from batchjobs.notices.address import check_address, hide_address, hide_in_words
from batchjobs.notices.courier import Courier
from batchjobs.notices.signature import sign
from tests.clocks import PATIENCE_SECONDS, until
from tests.commands import Command
from tests.receivers import TOKEN, Receiver

SECRET = "كلمة سرّ"


@contextmanager
def courier_to(receiver: Receiver) -> Iterator[Courier]:
    """A courier that tries again soon."""
    courier = Courier(receiver.url, SECRET, first_wait_seconds=0.01)
    yield courier
    courier.close()


def is_genuine(headers: dict[str, str], body: bytes, secret: str) -> bool:
    """Verify a message as the manual says."""
    signed = headers["Batchjobs-Timestamp"].encode() + b"." + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    wanted = headers["Batchjobs-Signature"].removeprefix("v1=")
    is_new = abs(time.time() - int(headers["Batchjobs-Timestamp"])) < 300
    return hmac.compare_digest(digest, wanted) and is_new


def test_a_signature_stays_what_it_is() -> None:
    """Receivers have code that verifies it."""
    headers = sign('{"event":"حدث"}'.encode(), secret="s3cret", timestamp=1_700_000_000)
    assert headers == {
        "Batchjobs-Timestamp": "1700000000",
        "Batchjobs-Signature": "v1="
        + hmac.new(b"s3cret", '1700000000.{"event":"حدث"}'.encode(), "sha256").hexdigest(),
    }


def test_a_secret_may_be_any_bytes(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment holds need not be text."""
    monkeypatch.setitem(os.environb, b"ANY_BYTES", b"\xff\x80s")
    courier = Courier(receiver.url, os.environ["ANY_BYTES"], first_wait_seconds=0.01)
    courier.send(b"1")
    assert courier.close(PATIENCE_SECONDS) == 0
    ((headers, body),) = receiver.messages
    signed = headers["Batchjobs-Timestamp"].encode() + b"." + body
    digest = hmac.new(b"\xff\x80s", signed, hashlib.sha256).hexdigest()
    assert headers["Batchjobs-Signature"] == f"v1={digest}"


def test_a_message_is_posted_until_it_is_taken(receiver: Receiver) -> None:
    """With its signature; what is refused for good is given up, and a redirect is not followed."""
    receiver.statuses = [503, 429, 200, 404, 302, 204]
    with courier_to(receiver) as courier:
        for number in range(4):
            courier.send(f"{number}".encode())
        until(lambda: len(receiver.messages) == 6)
        assert courier.close() == 2
    bodies = [body for _, body in receiver.messages]
    assert bodies == [b"0", b"0", b"0", b"1", b"2", b"3"]
    assert all(is_genuine(headers, body, SECRET) for headers, body in receiver.messages)
    headers, body = receiver.messages[0]
    assert not is_genuine(headers, body + b" ", SECRET)
    assert not is_genuine(headers, body, "another")


def test_the_end_waits_no_longer_than_it_was_told(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """A receiver that hangs is left behind, and what it has not taken is told without the address."""
    receiver.hangs.clear()
    with courier_to(receiver) as courier:
        courier.send(b"1")
        courier.send(b"2")
        until(lambda: receiver.messages)
        with caplog.at_level(logging.WARNING):
            assert courier.close(0.05) == 2
        receiver.hangs.set()
    assert "127.0.0.1" in caplog.text
    assert TOKEN not in caplog.text


def test_the_oldest_message_goes_where_too_many_wait(receiver: Receiver) -> None:
    """Memory is bounded, however long nobody takes any."""
    receiver.hangs.clear()
    with courier_to(receiver) as courier:
        for number in range(150):
            courier.send(f"{number}".encode())
        receiver.hangs.set()
        assert courier.close(PATIENCE_SECONDS) >= 49
    assert receiver.messages[-1][1] == b"149"
    assert len(receiver.messages) <= 101


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "ftp://127.0.0.1/",
        "https://user:word@example.com/",
        "https://example.com/a b",
        "https://example.com/\r\nX: y",
        "https://مثال.example/",
        "https:///hook",
        "https://example.com:port/",
        "https://example..com/hook",
        f"https://{'a' * 64}.example/hook",
        "https://example.com/…",
    ],
)
def test_a_wrong_address_is_refused_without_being_shown(url: str) -> None:
    """Plain text goes to this machine only; the address may hold a secret."""
    with pytest.raises(ConfigurationError) as refused:
        check_address(url)
    assert url not in refused.value.describe()


def test_an_address_is_shown_by_its_host() -> None:
    """In whatever is stored or printed of a command line."""
    assert hide_address("https://h.example:8443/x/T?k=v") == "https://h.example:8443/…"
    assert hide_address("https://u:p@h.example") == "https://h.example"
    assert hide_address("nonsense") == "…"
    words = ["run", "m", "--notify", "https://h/T", "-q", "--notify=https://h/T"]
    assert hide_in_words(words) == [
        "run",
        "m",
        "--notify",
        "https://h/…",
        "-q",
        "--notify=https://h/…",
    ]


def speak(command: Command, receiver: Receiver, *more: object) -> Any:
    """Run two rows by the tone engine, with messages."""
    Path("m.csv").write_text("id,text\na,السلام عليكم\nb,هذا نصّ ثانٍ\n", encoding="utf-8")
    return command("run", "m.csv", "--engine", "tone", "--notify", receiver.url, *more)


def test_a_run_tells_how_it_ended(
    command: Command,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With counts; its command is stored without the address, and an error before it is told, too."""
    monkeypatch.setenv("BATCHJOBS_NOTIFY_SECRET", SECRET)
    ended = speak(command, receiver)
    assert ended.code == 0
    ((headers, body),) = receiver.messages
    assert is_genuine(headers, body, SECRET)
    message = json.loads(body)
    assert (message["event"], message["exit_code"]) == ("run_finished", 0)
    assert (message["rows"], message["done"]) == (2, 2)
    status = command("status", "outputs/m", "--json")
    assert "--notify" in json.loads(status.out)["command"]
    stored = b"".join(path.read_bytes() for path in Path("outputs").rglob("*") if path.is_file())
    assert TOKEN not in ended.out + ended.err + status.out
    assert TOKEN.encode() not in stored
    with pytest.raises(ManifestError):
        batchjobs.run("nothing.csv", batchjobs.Options(notify=receiver.url))
    assert json.loads(receiver.messages[-1][1])["exit_code"] == 65


def test_a_receiver_that_refuses_changes_no_exit_code(
    command: Command,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told on the standard error; without a secret nothing begins."""
    assert speak(command, receiver).code == 78
    assert not Path("outputs").exists()
    monkeypatch.setenv("BATCHJOBS_NOTIFY_SECRET", SECRET)
    receiver.statuses = [404]
    ended = speak(command, receiver)
    assert ended.code == 0
    assert TOKEN not in ended.err


def test_a_limit_calls_for_a_person(
    command: Command,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before the run ends by it."""
    monkeypatch.setenv("BATCHJOBS_NOTIFY_SECRET", SECRET)
    assert speak(command, receiver, "--max-characters", "1").code == 80
    assert receiver.events() == ["attention", "run_finished"]
    assert "--max-characters" in json.loads(receiver.messages[0][1])["reason"]
