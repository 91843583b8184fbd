"""The ledger: one whole line for each start and end, and no session stopped by a bad disk."""

import hashlib
from pathlib import Path

import orjson
import pytest

from batchjobs.errors import OutputError
from batchjobs.jobs import Kind
from batchjobs.server.session_log import SessionEntry, SessionLog


def _lines(path: Path) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


def test_a_session_leaves_two_lines_with_what_it_took_and_gave(tmp_path: Path) -> None:
    """Counts and hashes are of the text exactly as it came, in however many pieces."""
    path = tmp_path / "ledger.jsonl"
    ledger = SessionLog(path)
    account = SessionEntry(ledger, session=7, kind=Kind.TTS, fault="drop")
    account.voice_id = "ar-najdi-male-2"
    account.add_text("مَرْ")
    account.add_text("حَبًا ٣")
    account.add_sent(bytes(48_000), 24_000)
    account.end(complete=True)
    account.end(complete=False)
    start, end = _lines(path)
    assert (start["event"], start["session"], start["kind"], start["fault"]) == (
        "start",
        7,
        "tts",
        "drop",
    )
    assert end["event"] == "end"
    assert end["characters"] == len("مَرْحَبًا ٣")
    assert end["text_sha256"] == hashlib.sha256("مَرْحَبًا ٣".encode()).hexdigest()
    assert (end["audio_sha256"], end["audio_seconds"], end["complete"]) == ("", 1.0, True)
    assert end["voice_id"] == "ar-najdi-male-2"
    assert path.stat().st_mode & 0o077 == 0


def test_a_transcription_is_known_by_its_audio(tmp_path: Path) -> None:
    """The hash is of the samples received, the seconds are at their own rate."""
    path = tmp_path / "ledger.jsonl"
    account = SessionEntry(SessionLog(path), session=1, kind=Kind.STT, fault="")
    account.add_heard(b"ab" * 8_000, 16_000)
    account.add_heard(b"cd", 16_000)
    account.end(complete=False)
    end = _lines(path)[1]
    assert end["audio_sha256"] == hashlib.sha256(b"ab" * 8_000 + b"cd").hexdigest()
    assert (end["text_sha256"], end["complete"]) == ("", False)
    assert account.audio_seconds == pytest.approx(8_001 / 16_000)


def test_two_ledgers_share_a_file_line_by_line(tmp_path: Path) -> None:
    """Each line is one append, so another server's lines stay whole."""
    path = tmp_path / "ledger.jsonl"
    ledgers = [SessionLog(path), SessionLog(path)]
    for i in range(100):
        ledgers[i % 2].write({"i": i})
    assert [line["i"] for line in _lines(path)] == list(range(100))


def test_a_ledger_that_cannot_be_created_is_an_error(tmp_path: Path) -> None:
    """Who asks for a ledger gets one or hears why not."""
    with pytest.raises(OutputError):
        SessionLog(tmp_path)


def test_a_full_disk_ends_the_ledger_and_not_the_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The write that fails is logged once; what follows is forgotten."""
    ledger = SessionLog(Path("/dev/full"))
    ledger.write({"i": 1})
    ledger.write({"i": 2})
    ledger.close()
    assert caplog.text.count("the ledger cannot be written") == 1


def test_no_ledger_forgets() -> None:
    """Without a path nothing is written anywhere."""
    SessionEntry(SessionLog(None), session=1, kind=Kind.TTS, fault="").end(complete=True)
