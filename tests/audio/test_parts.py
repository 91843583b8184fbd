"""FLAC and Ogg files of several recordings, or with headers that do not tell their length."""

import io
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from batchjobs.audio import decoding
from batchjobs.audio.parts import Part, Window
from batchjobs.errors import RecordingError
from tests.audio.ogg_files import cut_pages, seal, write_ogg
from tests.recordings import read_pcm

RATE = 16_000
FIRST = (np.sin(np.arange(RATE * 2) / 9) * 9_000).astype("<i2")
SECOND = (np.sin(np.arange(RATE) / 5) * 12_000).astype("<i2")
BOTH = FIRST.tobytes() + SECOND.tobytes()
ID3 = b"ID3\x04\0\0\0\0\2\0" + bytes(256)
ID3V1 = b"TAG" + bytes(125)


def flac(samples: np.ndarray, rate: int = RATE) -> bytes:
    """Write a FLAC with libsndfile."""
    content = io.BytesIO()
    soundfile.write(content, samples, rate, format="FLAC", subtype="PCM_16")
    return content.getvalue()


def muxed(samples: np.ndarray, form: str, codec: str, rate: int = RATE) -> bytes:
    """Write a file with FFmpeg."""
    content = io.BytesIO()
    with av.open(content, "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return content.getvalue()


def with_length(content: bytes, frames: int) -> bytes:
    """Write another length into a FLAC's STREAMINFO."""
    head = int.from_bytes(content[18:26]) >> 36 << 36 | frames
    return content[:18] + head.to_bytes(8) + content[26:]


def test_a_flac_behind_a_tag_is_read(tmp_path: Path) -> None:
    """Taggers put ID3 before FLACs; libsndfile then looks for its frames in the wrong place."""
    path = tmp_path / "a.flac"
    for before, behind in ((ID3, b""), (ID3 + ID3, ID3V1), (b"", ID3V1)):
        path.write_bytes(before + flac(FIRST) + behind)
        assert read_pcm(path) == FIRST.tobytes()
    path.write_bytes(ID3 + flac(FIRST)[:-100])
    with pytest.raises(RecordingError, match="damaged or cut off"):
        decoding.probe(path)


@pytest.mark.parametrize("claimed", [0, 4_096, RATE, 2 * RATE - 1])
def test_a_flac_is_as_long_as_its_frames_say(tmp_path: Path, claimed: int) -> None:
    """A streamed one tells no length, a broken one too little."""
    path = tmp_path / "a.flac"
    path.write_bytes(with_length(flac(FIRST), claimed))
    assert decoding.probe(path).frames == 2 * RATE
    assert read_pcm(path) == FIRST.tobytes()


@pytest.mark.parametrize("between", [b"", ID3V1, ID3, ID3V1 + ID3])
@pytest.mark.parametrize("second", [SECOND, FIRST[::-1]])
def test_joined_flacs_are_heard_one_after_the_other(
    tmp_path: Path, between: bytes, second: np.ndarray
) -> None:
    """Also where both have the same length, so that the last frame ends where the first file says."""
    path = tmp_path / "joined.flac"
    path.write_bytes(flac(FIRST) + between + flac(second))
    assert decoding.probe(path).frames == len(FIRST) + len(second)
    assert read_pcm(path) == FIRST.tobytes() + second.tobytes()


def test_joined_flacs_of_other_sample_rates_are_heard(tmp_path: Path) -> None:
    """The second is brought to the rate of the first."""
    path = tmp_path / "joined.flac"
    path.write_bytes(flac(FIRST) + flac(np.repeat(SECOND, 2), 32_000))
    assert decoding.probe(path).seconds == pytest.approx(3, abs=0.01)
    pcm = np.frombuffer(read_pcm(path), "<i2").astype(float)
    assert len(pcm) == pytest.approx(3 * RATE, abs=2)
    middle = slice(4_000, 12_000)
    assert np.corrcoef(pcm[2 * RATE :][middle], SECOND[middle])[0, 1] > 0.99


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_chained_ogg_streams_are_heard_one_after_the_other(tmp_path: Path, subtype: str) -> None:
    """As radio recorders and `cat` leave them; of any rate and number of channels."""
    path = tmp_path / "chained.ogg"
    stereo = np.stack([SECOND, SECOND], axis=1)
    path.write_bytes(
        write_ogg(FIRST, subtype) + write_ogg(SECOND, subtype) + write_ogg(stereo, subtype, 24_000)
    )
    recording = decoding.probe(path)
    assert recording.channels == 2
    assert recording.seconds == pytest.approx(3 + 2 / 3, abs=0.01)
    pcm = np.frombuffer(read_pcm(path), "<i2").astype(float)
    middle = slice(4_000, 12_000)
    assert np.corrcoef(pcm[2 * RATE :][middle], SECOND[middle])[0, 1] > 0.98


@pytest.mark.parametrize("codec", ["flac", "libopus", "libvorbis", "libspeex"])
def test_what_ffmpeg_writes_into_ogg_is_read(tmp_path: Path, codec: str) -> None:
    """Libsndfile knows no FLAC in Ogg but its own."""
    if codec not in av.codecs_available:
        pytest.skip(f"no encoder of {codec} here")
    path = tmp_path / "a.ogg"
    path.write_bytes(muxed(FIRST, "ogg", codec))
    assert decoding.probe(path).seconds == pytest.approx(2, abs=0.05)
    assert sum(map(len, decoding.pcm_chunks(path))) / 32_000 == pytest.approx(2, abs=0.05)


def clear_end_marks(content: bytes) -> bytes:
    """Take the mark from an Ogg file's last page, as of recorders that are switched off."""
    *others, last = cut_pages(content)
    last[5] &= 0xFB
    return b"".join((*others, seal(last)))


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_without_an_end_mark_is_read(tmp_path: Path, subtype: str) -> None:
    """Every page is whole: only the mark is missing, and it is not called damaged."""
    path = tmp_path / "voice.ogg"
    path.write_bytes(clear_end_marks(write_ogg(FIRST, subtype)))
    assert decoding.probe(path).seconds == pytest.approx(2, abs=0.05)
    assert sum(map(len, decoding.pcm_chunks(path))) / 32_000 == pytest.approx(2, abs=0.05)
    path.write_bytes(path.read_bytes() + write_ogg(SECOND, subtype))
    assert decoding.probe(path).seconds == pytest.approx(3, abs=0.05)


def test_pages_that_are_missing_are_told(tmp_path: Path) -> None:
    """A page that is cut off at the end, and bytes that are no page between others."""
    path = tmp_path / "a.ogg"
    whole = write_ogg(FIRST, "VORBIS")
    path.write_bytes(whole[:-1])
    with pytest.raises(RecordingError, match="page is cut off"):
        decoding.probe(path)
    path.write_bytes(whole + b"\1\2\3\4" * 99 + whole)
    with pytest.raises(RecordingError, match=f"damaged at byte {len(whole)}"):
        decoding.probe(path)
    path.write_bytes(whole + ID3V1)
    assert decoding.probe(path).frames == 2 * RATE
    path.write_bytes(whole + b"\1\2\3\4")
    assert decoding.probe(path).frames == 2 * RATE


WITHOUT_EXTRA = """
import sys
sys.modules["av"] = None
from pathlib import Path
from batchjobs.audio import decoding
try:
    decoding.probe(Path(sys.argv[1]))
except Exception as error:
    print(type(error).__name__, error.hint)
else:
    print("read")
"""


def test_what_needs_the_extra_says_so(tmp_path: Path) -> None:
    """And what libsndfile reads does not need it."""
    path = tmp_path / "a"
    for content, said in (
        (write_ogg(FIRST, "OPUS") + write_ogg(SECOND, "OPUS"), "read"),
        (flac(FIRST) + flac(SECOND), "read"),
        (with_length(flac(FIRST), 0), "DecoderMissingError pip install"),
        (clear_end_marks(write_ogg(FIRST, "OPUS")), "DecoderMissingError pip install"),
    ):
        path.write_bytes(content)
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_EXTRA, str(path)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        assert done.stdout.startswith(said)
        assert done.stderr == ""


def test_a_window_is_a_file_of_its_own(tmp_path: Path) -> None:
    """It neither reads beyond its end nor before its beginning."""
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        window = Window(file, Part(start=2, end=8))
        assert window.read() == b"234567"
        assert window.read(4) == b""
        assert window.seek(-2, io.SEEK_END) == 4
        assert window.read(9) == b"67"
        assert window.seek(-9, io.SEEK_CUR) == 0
        assert window.seek(99) == 99
        assert window.read() == b""
        assert window.readable()
        assert window.seekable()
