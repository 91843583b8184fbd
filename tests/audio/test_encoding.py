"""Results out: every format exactly, or as it is heard."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchjobs.audio import decoding, encoding, formats
from batchjobs.errors import OutputError
from tests.audio.waves import pcm_of, tone
from tests.recordings import read_pcm


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    samples=st.lists(st.integers(-32_768, 32_767), min_size=30, max_size=300),
    cut=st.integers(0, 700),
    rate=st.sampled_from([8_000, 16_000, 22_050, 24_000]),
)
def test_wav_and_flac_results_are_exact(
    tmp_path_factory: pytest.TempPathFactory, samples: list[int], cut: int, rate: int
) -> None:
    """Whatever was sent, in whatever pieces, a WAV or FLAC decodes to exactly that."""
    pcm = np.array(samples, "<i2").tobytes()
    for name in ("wav", "flac"):
        assert formats.FORMATS[name].is_exact
        path = tmp_path_factory.getbasetemp() / f"result.{name}"
        path.write_bytes(encoding.encode(pcm, sample_rate=rate, format=name))
        assert read_pcm(path) == pcm
        assert decoding.measure(path) == (len(samples), rate)
        theirs, their_rate = soundfile.read(path, dtype="int16")
        assert (theirs.astype("<i2").tobytes(), their_rate) == (pcm, rate)
    pieces = encoding.wav_pieces([pcm[:cut], pcm[cut:]], sample_rate=rate)
    assert b"".join(pieces) == encoding.encode(pcm, sample_rate=rate, format="wav")


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000])
@pytest.mark.parametrize("name", ["ogg", "mp3"])
def test_lossy_results_keep_what_is_heard(tmp_path: Path, name: str, rate: int) -> None:
    """An OGG or MP3 has the length and, sample against sample, the sound it was given."""
    time = np.arange(rate * 3) / rate
    voice = tone(3.0, rate, 180.0, 0.3) * (1 + np.sin(2 * np.pi * 2.5 * time)) / 2
    path = tmp_path / f"result.{name}"
    path.write_bytes(encoding.encode(pcm_of(voice), sample_rate=rate, format=name))
    assert not formats.FORMATS[name].is_exact
    assert decoding.measure(path) == (rate * 3, rate)
    assert decoding.probe(path).frames == rate * 3
    heard = np.frombuffer(read_pcm(path), "<i2").astype(float)
    assert np.corrcoef(heard, voice)[0, 1] > 0.99


def test_long_ogg_results_do_not_crash() -> None:
    """Minutes in one piece go to the encoder in blocks: all at once would end the process."""
    assert encoding.encode(bytes(8_000_000), sample_rate=24_000, format="ogg").startswith(b"OggS")


def test_results_that_cannot_be_are_refused() -> None:
    """Unknown formats, rates a format has not, and half samples are named."""
    with pytest.raises(OutputError, match="no result format 'm4a'; use wav, flac, ogg, mp3"):
        encoding.encode(b"", sample_rate=24_000, format="m4a")
    with pytest.raises(OutputError, match="mp3 cannot hold 20000 Hz"):
        encoding.encode(b"", sample_rate=20_000, format="mp3")
    with pytest.raises(OutputError, match="ogg cannot hold 200001 Hz"):
        encoding.encode(b"", sample_rate=200_001, format="ogg")
    with pytest.raises(OutputError, match="half a sample"):
        encoding.encode(b"\0" * 3, sample_rate=24_000, format="wav")
