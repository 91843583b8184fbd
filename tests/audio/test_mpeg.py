"""MP3 lengths: told by the header or counted, never guessed; what would be lost is refused."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from batchjobs.audio import decoding
from batchjobs.audio.mpeg import mpeg_length
from batchjobs.errors import RecordingError
from tests.recordings import read_pcm

SECONDS = 4


def mp3(rate: int = 48_000, channels: int = 1, mode: str = "VARIABLE") -> bytes:
    """Encode silence and then noise, so that a variable bit rate varies."""
    noise = np.random.default_rng(3).standard_normal((rate * SECONDS, channels)) * 0.2
    noise[: rate * SECONDS // 2] = 0
    content = io.BytesIO()
    soundfile.write(
        content,
        noise.astype(np.float32),
        rate,
        format="MP3",
        subtype="MPEG_LAYER_III",
        bitrate_mode=mode,
        compression_level=0.5,
    )
    return content.getvalue()


def without_xing(whole: bytes) -> bytes:
    """Cut the first frame off, which holds the Xing header."""
    return whole[whole.index(whole[:2], 4) :]


def length(path: Path, content: bytes, offset: int = 0) -> float:
    """Measure an MP3 in seconds at 48 kHz, after writing it."""
    path.write_bytes(content)
    with path.open("rb") as file:
        return mpeg_length(file, offset, len(content)).frames


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 12_000, 16_000, 22_050, 24_000, 44_100, 48_000])
def test_header_and_walk_agree(tmp_path: Path, rate: int, channels: int) -> None:
    """The count in the Xing header is the count of a walk over the frames."""
    whole = mp3(rate, channels)
    told = length(tmp_path / "a.mp3", whole)
    walked = length(tmp_path / "b.mp3", without_xing(whole))
    assert told == walked
    assert abs(told - rate * SECONDS) <= 4 * 1152


@pytest.mark.parametrize("trailer", [b"TAG" + bytes(125), b"APETAGEX" + b"\1" * 99, bytes(999)])
def test_a_constant_bit_rate_needs_no_header(tmp_path: Path, trailer: bytes) -> None:
    """An MP3 of constant bit rate without a header is read whole, whatever tags follow it."""
    path = tmp_path / "plain.mp3"
    path.write_bytes(without_xing(mp3(mode="CONSTANT")) + trailer)
    assert decoding.probe(path).seconds == pytest.approx(SECONDS, abs=0.1)
    pcm = b"".join(decoding.pcm_chunks(path))
    assert len(pcm) / 32_000 == pytest.approx(SECONDS, abs=0.1)


def test_a_variable_bit_rate_without_header_is_read_whole_or_refused(tmp_path: Path) -> None:
    """Where the decoder's guess would lose the end, the file is refused."""
    noise_first = tmp_path / "noise_first.mp3"
    noise_first.write_bytes(loud_first())
    with pytest.raises(RecordingError, match="would be read"):
        decoding.probe(noise_first)
    silence_first = tmp_path / "silence_first.mp3"
    silence_first.write_bytes(without_xing(mp3()))
    assert decoding.probe(silence_first).seconds == pytest.approx(SECONDS, abs=0.1)
    assert decoding.measure(silence_first)[0] == pytest.approx(48_000 * SECONDS, abs=5_000)


def loud_first() -> bytes:
    """Make an MP3 without header whose first frames are its largest."""
    noise = np.random.default_rng(3).standard_normal(48_000 * SECONDS) * 0.3
    noise[24_000:] = 0
    content = io.BytesIO()
    soundfile.write(content, noise, 48_000, format="MP3", subtype="MPEG_LAYER_III")
    return without_xing(content.getvalue())


def test_a_cut_mp3_is_refused(tmp_path: Path) -> None:
    """An MP3 shorter than its header says is refused before anything is decoded."""
    path = tmp_path / "cut.mp3"
    whole = mp3()
    for cut in (len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(RecordingError, match="truncated"):
            decoding.probe(path)


def test_joined_mp3s_are_refused(tmp_path: Path) -> None:
    """Two MP3s joined, of which a decoder would read the first, are refused."""
    path = tmp_path / "joined.mp3"
    path.write_bytes(mp3() * 2)
    with pytest.raises(RecordingError, match="more than its header says"):
        decoding.probe(path)


def test_a_recorder_stopped_in_mid_frame_loses_that_frame_only(tmp_path: Path) -> None:
    """A last frame that is not all there is not counted, and nothing is refused for it."""
    whole = without_xing(mp3(mode="CONSTANT"))
    full = length(tmp_path / "a.mp3", whole)
    assert length(tmp_path / "b.mp3", whole[:-5]) == full - 1152


def test_damage_between_frames_is_located(tmp_path: Path) -> None:
    """Bytes that are neither frame nor tag are an error that says where."""
    whole = bytearray(without_xing(mp3()))
    place = whole.index(whole[:2], len(whole) // 2)
    whole[place : place + 4] = b"\x01\x02\x03\x04"
    with pytest.raises(RecordingError, match="damaged after"):
        length(tmp_path / "a.mp3", bytes(whole))


@pytest.mark.parametrize(
    "head",
    [b"\xff\xfd\x94\xc4", b"\xff\xfb\xf4\xc4", b"\xff\xfb\x9c\xc4", b"\xff\xeb\x94\xc4", b"\xff"],
)
def test_other_mpeg_audio_is_refused(tmp_path: Path, head: bytes) -> None:
    """Layer II, and bit rates, sample rates and versions that do not exist, are no MP3."""
    with pytest.raises(RecordingError, match="not an MP3"):
        length(tmp_path / "a.mp3", head + bytes(60 if len(head) > 1 else 0))


@pytest.mark.parametrize("zero", [8, 12])
def test_a_header_that_was_never_filled_in_is_not_believed(tmp_path: Path, zero: int) -> None:
    """A Xing header of a streamed file, with zeros for counts, leads to a walk."""
    whole = bytearray(mp3())
    tag = whole.index(b"Xing")
    told = length(tmp_path / "a.mp3", bytes(whole))
    whole[tag + zero : tag + zero + 4] = bytes(4)
    walked = length(tmp_path / "b.mp3", bytes(whole))
    assert walked - told in {0, 1152}


def test_id3_tags_before_are_skipped(tmp_path: Path) -> None:
    """An MP3 behind its tags is read like one without."""
    plain, tagged = tmp_path / "plain.mp3", tmp_path / "tagged.mp3"
    plain.write_bytes(mp3())
    tagged.write_bytes(b"ID3\x03\0\0\0\0\x02\0" + bytes(256) + mp3())
    assert decoding.probe(tagged).frames == decoding.probe(plain).frames
    assert read_pcm(tagged) == read_pcm(plain)
