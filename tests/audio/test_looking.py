"""One recording out of many: what it does to a decoder is told of it, and of no other."""

from pathlib import Path

import pytest

from batchjobs.audio import decoding, looking
from batchjobs.audio.source import Recording
from batchjobs.errors import RecordingError
from tests.builders import write_recording


def test_a_good_recording_is_looked_at(tmp_path: Path) -> None:
    """As `decoding.probe` does."""
    assert looking.look_at(write_recording(tmp_path / "a.wav")).seconds == 1.0


def test_a_bad_one_says_why(tmp_path: Path) -> None:
    """In the words of whoever found it."""
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(RecordingError, match=r"a\.wav is"):
        looking.look_at(tmp_path / "a.wav")


def test_a_mistake_is_the_recording_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes out of a decoder names the file and can be left out like any other."""

    def break_down(path: Path, **_: object) -> Recording:
        raise AttributeError(f"'NoneType' object has no attribute 'name' in {path.name}")

    monkeypatch.setattr(decoding, "probe", break_down)
    with pytest.raises(RecordingError, match=r"a\.wav cannot be looked at \(AttributeError: "):
        looking.look_at(tmp_path / "a.wav")
