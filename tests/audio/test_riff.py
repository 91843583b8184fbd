"""Sound that no decoder is needed for: all of it is read, whatever its header claims."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from batchjobs.audio import decoding
from batchjobs.errors import RecordingError
from tests.recordings import read_pcm

RATE = 16_000
FIRST = (np.sin(np.arange(RATE) / 9) * 9_000).astype("<i2")
SECOND = (np.sin(np.arange(RATE // 2) / 5) * 12_000).astype("<i2")
BOTH = FIRST.tobytes() + SECOND.tobytes()
ID3 = b"ID3\x04\0\0\0\0\1\0" + bytes(128)
ID3V1 = b"TAG" + bytes(125)
APE = b"APETAGEX" + struct.pack("<IIII8x", 2_000, 32, 0, 0)
LYRICS = b"LYRICSBEGIN" + "IND00003110LYR0001كلمات".encode() + b"000060LYRICS200"


def whole(samples: np.ndarray, form: str, *, rate: int = RATE, subtype: str = "PCM_16") -> bytes:
    """Write a file with libsndfile."""
    content = io.BytesIO()
    soundfile.write(content, samples, rate, format=form, subtype=subtype)
    return content.getvalue()


def wav(size: int, *behind: bytes, first: bytes = b"") -> bytes:
    """Write a WAV that claims so many bytes of sound."""
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 36, b"WAVE", b"fmt ", 16, 1, 1, RATE, 32_000, 2, 16
    )
    return head + first + b"data" + struct.pack("<I", size) + b"".join(behind)


def chunk(identity: bytes, body: bytes) -> bytes:
    """Make a RIFF chunk."""
    return identity + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


@pytest.mark.parametrize(
    "content",
    [
        wav(FIRST.nbytes, BOTH),
        wav(1_000, BOTH),
        wav(1_001, BOTH),
        wav(0, BOTH),
        wav(0xFFFF_FFFF, BOTH),
        wav(FIRST.nbytes, BOTH, first=chunk(b"LIST", b"INFOISFT\6\0\0\0Lavf60")),
    ],
)
def test_what_stands_behind_the_claim_is_read(tmp_path: Path, content: bytes) -> None:
    """A size that was never corrected does not end the sound: nothing else stands there."""
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert decoding.probe(path).seconds == 1.5
    assert read_pcm(path) == BOTH


@pytest.mark.parametrize(
    "behind",
    [
        b"",
        chunk(b"LIST", b"INFOICMT\5\0\0\0odd!!"),
        chunk(b"bext", bytes(602)) + chunk(b"iXML", b"<BWFXML/>"),
        chunk(b"bext", bytes(602))[:99],
        chunk(b"odd ", b"abc")[:-1] + chunk(b"LIST", b"INFO"),
        ID3,
        ID3V1,
        APE + bytes(2_000 - 32),
        LYRICS + ID3V1,
        bytes(40_000),
        chunk(b"LIST", b"INFO") + ID3 + bytes(999),
    ],
)
def test_what_is_no_sound_is_left_out(tmp_path: Path, behind: bytes) -> None:
    """Chunks, tags and padding behind the sound are not heard."""
    path = tmp_path / "a.wav"
    path.write_bytes(wav(FIRST.nbytes, FIRST.tobytes(), behind))
    assert read_pcm(path) == FIRST.tobytes()
    unpadded = wav(2_001, FIRST.tobytes()[:2_001], chunk(b"LIST", b"INFO"))
    path.write_bytes(unpadded)
    assert read_pcm(path) == FIRST.tobytes()[:2_000]


@pytest.mark.parametrize("behind", [b"", chunk(b"LIST", b"INFO")])
def test_a_size_that_wrapped_around_is_put_right(tmp_path: Path, behind: bytes) -> None:
    """More than 4 GiB in a WAV, whose size has 32 bits: what is there is counted."""
    path = tmp_path / "long.wav"
    size = (1 << 32) + FIRST.nbytes
    with path.open("wb") as file:  # sparse: it takes no room
        file.write(wav(FIRST.nbytes))
        file.seek(44 + size)
        file.write(behind)
        file.truncate(44 + size + len(behind))
    assert decoding.probe(path).frames == size // 2
    path.unlink()  # else everything that looks through the files reads 4 GiB


@pytest.mark.parametrize("form", ["WAV", "AIFF", "W64", "AU", "RF64", "WAVEX"])
@pytest.mark.parametrize("between", [b"", ID3V1, bytes(512)])
def test_joined_files_are_heard_one_after_the_other(
    tmp_path: Path, form: str, between: bytes
) -> None:
    """Of files that `cat` has joined, the second is no less heard than the first."""
    path = tmp_path / "joined"
    path.write_bytes(whole(FIRST, form) + between + whole(SECOND, form) + between)
    assert decoding.probe(path).seconds == 1.5
    assert read_pcm(path) == BOTH


@pytest.mark.parametrize("form", ["WAV", "AIFF", "AU"])
def test_joined_files_of_different_shapes_are_refused(tmp_path: Path, form: str) -> None:
    """What would be heard at the wrong speed, or not at all, is told."""
    path = tmp_path / "joined"
    path.write_bytes(whole(FIRST, form) + whole(SECOND, form, rate=8_000))
    with pytest.raises(RecordingError, match="several recordings in one file"):
        decoding.probe(path)
    path.write_bytes(wav(FIRST.nbytes, FIRST.tobytes()) + whole(SECOND, "AIFF"))
    with pytest.raises(RecordingError, match="as something else"):
        decoding.probe(path)
    path.write_bytes(whole(FIRST, "AIFF") + whole(SECOND, "WAV"))
    with pytest.raises(RecordingError, match="as something else"):
        decoding.probe(path)


def test_a_file_is_found_within_sound_without_an_end(tmp_path: Path) -> None:
    """A streamed WAV tells no end; another one behind it is no sound of the first."""
    path = tmp_path / "streamed.wav"
    path.write_bytes(wav(0xFFFF_FFFF, FIRST.tobytes()) + wav(0, SECOND.tobytes()))
    assert read_pcm(path) == BOTH


def test_a_second_chunk_of_sound_is_heard(tmp_path: Path) -> None:
    """A WAV may have its sound in pieces."""
    path = tmp_path / "pieces.wav"
    pieces = chunk(b"LIST", b"INFO"), chunk(b"data", SECOND.tobytes())
    path.write_bytes(wav(FIRST.nbytes, FIRST.tobytes(), *pieces))
    assert read_pcm(path) == BOTH
    path.write_bytes(path.read_bytes()[:-5_000])
    with pytest.raises(RecordingError, match="truncated"):
        decoding.probe(path)


def test_a_wide_size_that_is_too_small_is_not_believed(tmp_path: Path) -> None:
    """Neither that of an RF64 nor that of a Wave64 or an AU."""
    path = tmp_path / "a"
    content = bytearray(whole(np.concatenate([FIRST, SECOND]), "RF64"))
    place = content.index(b"ds64") + 16
    content[place : place + 8] = struct.pack("<Q", FIRST.nbytes)
    path.write_bytes(content)
    assert read_pcm(path) == BOTH
    content = bytearray(whole(np.concatenate([FIRST, SECOND]), "W64"))
    place = content.index(b"data\xf3\xac") + 16
    content[place : place + 8] = struct.pack("<Q", FIRST.nbytes + 24)
    path.write_bytes(content)
    assert read_pcm(path) == BOTH
    content = bytearray(whole(np.concatenate([FIRST, SECOND]), "AU"))
    for claim in (FIRST.nbytes, 0xFFFF_FFFF):
        content[8:12] = struct.pack(">I", claim)
        path.write_bytes(content)
        assert read_pcm(path) == BOTH


@pytest.mark.parametrize(("frames", "size"), [(True, False), (False, True), (True, True)])
def test_an_aiff_is_read_beyond_both_its_claims(tmp_path: Path, frames: bool, size: bool) -> None:
    """Its number of frames, and the size of its sound, are each believed only if the file says so."""
    content = bytearray(whole(np.concatenate([FIRST, SECOND]), "AIFF"))
    if frames:
        place = content.index(b"COMM") + 10
        content[place : place + 4] = struct.pack(">I", RATE)
    if size:
        place = content.index(b"SSND") + 4
        content[place : place + 4] = struct.pack(">I", FIRST.nbytes + 8)
    path = tmp_path / "a.aiff"
    path.write_bytes(content)
    assert read_pcm(path) == BOTH


@pytest.mark.parametrize("form", ["WAV", "AIFF", "W64", "AU", "RF64"])
def test_a_copy_without_its_end_is_refused(tmp_path: Path, form: str) -> None:
    """Whatever the container, and however little is missing."""
    content = whole(FIRST, form)
    path = tmp_path / "cut"
    for missing in (2, 640, 9_000):
        path.write_bytes(content[:-missing])
        with pytest.raises(RecordingError, match="truncated"):
            decoding.probe(path)


@pytest.mark.parametrize("subtype", ["ULAW", "ALAW"])
@pytest.mark.parametrize("form", ["WAV", "WAVEX", "AIFF", "AU", "W64"])
def test_telephone_recordings_are_those_libsndfile_reads(
    tmp_path: Path, form: str, subtype: str
) -> None:
    """Every one of the 256 codes stands for the same sample."""
    path = tmp_path / "phone"
    ramp = np.arange(-32_768, 32_768, 3).astype("<i2")
    path.write_bytes(whole(ramp, form, subtype=subtype))
    theirs, _ = soundfile.read(path, dtype="int16")
    assert len(set(theirs.tolist())) >= 240
    assert read_pcm(path) == theirs.tobytes()


@pytest.mark.parametrize("magic", [b"BW64", b"RF64"])
def test_broadcast_wavs_are_read(tmp_path: Path, magic: bytes) -> None:
    """BW64 (ITU-R BS.2088) is RF64 by another name, with more chunks."""
    content = whole(FIRST, "RF64")
    path = tmp_path / "a.wav"
    path.write_bytes(magic + content[4:] + chunk(b"axml", b"<ebuCoreMain/>"))
    assert read_pcm(path) == FIRST.tobytes()


def test_big_endian_wavs_are_read(tmp_path: Path) -> None:
    """RIFX, of machines whose numbers begin with the highest byte."""
    path = tmp_path / "a.wav"
    content = io.BytesIO()
    soundfile.write(content, FIRST, RATE, format="WAV", subtype="PCM_16", endian="BIG")
    assert content.getvalue().startswith(b"RIFX")
    path.write_bytes(content.getvalue())
    assert read_pcm(path) == FIRST.tobytes()


def test_files_made_of_empty_files_take_no_minutes(tmp_path: Path) -> None:
    """Nobody has as many."""
    path = tmp_path / "hostile.wav"
    path.write_bytes(wav(0, chunk(b"LIST", b"INFO")) * 502)
    with pytest.raises(RecordingError):
        decoding.probe(path)
