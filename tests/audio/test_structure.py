"""Containers of every kind: whole, joined by `cat`, and without their end."""

import io
import struct
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from batchjobs.audio import decoding, structure
from batchjobs.errors import RecordingError

RATE = 48_000
LOW, HIGH = 330, 990

CONTAINERS = [
    ("mp4", "aac", {}),
    ("mp4", "aac", {"movflags": "faststart"}),
    ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}),
    ("mov", "pcm_s16le", {}),
    ("3gp", "aac", {}),
    ("matroska", "libopus", {}),
    ("matroska", "flac", {}),
    ("webm", "libopus", {}),
    ("webm", "libopus", {"live": "1"}),
    ("asf", "wmav2", {}),
    ("caf", "pcm_s16le", {}),
    ("avi", "mp3", {}),
    ("flv", "aac", {}),
    ("wv", "wavpack", {}),
]
STREAMED = [
    ("asf", "wmav2"),
    ("avi", "mp3"),
    ("w64", "pcm_s16le"),
    ("wav", "pcm_s16le"),
    ("wav", "adpcm_ms"),
    ("aiff", "pcm_s16be"),
    ("au", "pcm_s16be"),
    ("caf", "pcm_s16be"),
    ("flac", "flac"),
    ("mp3", "libmp3lame"),
    ("matroska", "libopus"),
    ("ogg", "libopus"),
    ("flv", "aac"),
]
STREAMS = [
    ("adts", "aac"),
    ("ac3", "ac3"),
    ("mpegts", "aac"),
    ("mp2", "mp2"),
    ("vob", "mp2"),
]
CODED = ["adpcm_ms", "adpcm_ima_wav", "mp3", "mp2", "adpcm_g726", "g722", "pcm_mulaw", "pcm_alaw"]


def tone(hertz: float, seconds: float, rate: int = RATE) -> np.ndarray:
    """Make a sine of 16 bits."""
    times = np.arange(round(seconds * rate)) / rate
    return (np.sin(2 * np.pi * hertz * times) * 9_000).astype("<i2")


def write(
    samples: np.ndarray, form: str, codec: str, options: dict[str, str] | None = None
) -> bytes:
    """Write a file with FFmpeg."""
    rate = 16_000 if codec.startswith(("adpcm_g7", "g722")) else RATE
    rate = 8_000 if codec == "adpcm_g726" else rate
    samples = samples[:: RATE // rate]
    with (
        tempfile.NamedTemporaryFile() as file,  # which some write twice
        av.open(file.name, "w", format=form, options=options or {}) as container,
    ):
        stream = container.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = 64_000
        for start in range(0, len(samples), rate // 10):
            block = np.ascontiguousarray(samples[np.newaxis, start : start + rate // 10])
            frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        container.close()
        return Path(file.name).read_bytes()


class Pipe(io.RawIOBase):
    """Where nothing can be written twice, as to another program."""

    def __init__(self) -> None:
        self.content = bytearray()

    def writable(self) -> bool:
        """Say that it can be written."""
        return True

    def write(self, data: Any, /) -> int:
        """Keep what is written."""
        self.content += bytes(data)
        return len(data)


def stream_to_pipe(samples: np.ndarray, form: str, codec: str) -> bytes:
    """Write a file whose writer cannot go back to correct its header."""
    pipe = Pipe()
    with av.open(pipe, "w", format=form) as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return bytes(pipe.content)


def pitches(path: Path) -> list[int]:
    """Listen; give the pitch of each half second."""
    pcm = np.frombuffer(b"".join(decoding.pcm_chunks(path)), "<i2").astype(float)
    found = []
    for at in range(0, len(pcm) - 7_000, 8_000):
        piece = pcm[at + 1_000 : at + 7_000]
        found.append(int(np.abs(np.fft.rfft(piece * np.hanning(len(piece)))).argmax()) * 16 // 6)
    return found


def is_like(found: list[int], wanted: list[int]) -> bool:
    """Compare pitches, of which the last half second need not be whole."""
    return len(found) in {len(wanted), len(wanted) + 1} and all(
        abs(one - other) < 30 for one, other in zip(found, wanted, strict=False)
    )


@pytest.mark.parametrize(("form", "codec", "options"), CONTAINERS)
def test_joined_containers_are_heard_one_after_the_other(
    tmp_path: Path, form: str, codec: str, options: dict[str, str]
) -> None:
    """FFmpeg reads the first, or stumbles; each is read by itself."""
    path = tmp_path / "joined"
    one = write(tone(LOW, 2.05), form, codec, options)
    other = write(tone(HIGH, 1.55), form, codec, options)
    path.write_bytes(one)
    assert decoding.probe(path).seconds == pytest.approx(2.05, abs=0.12)
    for between in (b"", b"TAG" + bytes(125)):
        path.write_bytes(one + between + other)
        assert decoding.probe(path).seconds == pytest.approx(3.6, abs=0.25)
        assert is_like(pitches(path), [LOW] * 4 + [HIGH] * 3)


@pytest.mark.parametrize(("form", "codec", "options"), CONTAINERS)
def test_a_copy_without_its_end_is_refused(
    tmp_path: Path, form: str, codec: str, options: dict[str, str]
) -> None:
    """However little is missing, it is told before it is paid for."""
    path = tmp_path / "torn"
    content = write(tone(LOW, 5), form, codec, options)
    for lost in (40, len(content) // 50, len(content) // 3):
        path.write_bytes(content[:-lost])
        if form == "mp4" and options.get("movflags", "").startswith("frag") and lost == 40:
            continue  # the index of a fragmented file, which nobody needs
        with pytest.raises(RecordingError):
            decoding.probe(path)


@pytest.mark.parametrize(("form", "codec"), STREAMS)
def test_streams_without_a_container_are_read(tmp_path: Path, form: str, codec: str) -> None:
    """Radio, television, telephones: whatever FFmpeg reads of them, joined or not."""
    path = tmp_path / "stream"
    path.write_bytes(write(tone(LOW, 3.05), form, codec))
    assert decoding.probe(path).seconds == pytest.approx(3.05, abs=0.15)
    assert is_like(pitches(path), [LOW] * 6)


@pytest.mark.parametrize("codec", CODED)
def test_coded_wavs_are_read_and_joined(tmp_path: Path, codec: str) -> None:
    """Telephones and dictation machines write them."""
    if codec not in av.codecs_available:
        pytest.skip(f"no encoder of {codec} here")
    path = tmp_path / "a.wav"
    one, other = (write(tone(hertz, 2.05), "wav", codec) for hertz in (LOW, HIGH))
    path.write_bytes(one)
    assert decoding.probe(path).seconds == pytest.approx(2.05, abs=0.15)
    assert is_like(pitches(path), [LOW] * 4)
    path.write_bytes(one + other)
    assert is_like(pitches(path), [LOW] * 4 + [HIGH] * 4)
    path.write_bytes(one[:-1_000])
    with pytest.raises(RecordingError, match="truncated"):
        decoding.probe(path)


@pytest.mark.parametrize(("form", "codec"), STREAMED)
def test_streamed_files_are_heard_whole_and_joined(tmp_path: Path, form: str, codec: str) -> None:
    """Headers that tell no length, or a wrong one, of files that were written to a pipe."""
    path = tmp_path / "streamed"
    one, other = (stream_to_pipe(tone(hertz, 2.05), form, codec) for hertz in (LOW, HIGH))
    path.write_bytes(one)
    assert decoding.probe(path).seconds == pytest.approx(2.05, abs=0.15)
    assert is_like(pitches(path), [LOW] * 4)
    path.write_bytes(one + other)
    assert is_like(pitches(path), [LOW] * 4 + [HIGH] * 4)


def test_gsm_in_wav_is_read(tmp_path: Path) -> None:
    """Of call recorders; libsndfile writes it."""
    path = tmp_path / "call.wav"
    soundfile.write(path, tone(LOW, 3.05, 8_000), 8_000, format="WAV", subtype="GSM610")
    assert decoding.probe(path).seconds == pytest.approx(3.05, abs=0.05)
    assert is_like(pitches(path), [LOW] * 6)


def test_a_recording_that_becomes_stereo_is_heard(tmp_path: Path) -> None:
    """A stream may change its channels at any frame, as broadcasts do."""
    path = tmp_path / "radio.aac"
    content = io.BytesIO()
    with av.open(content, "w", format="adts") as container:
        stream = container.add_stream("aac", rate=RATE, layout="stereo")
        assert isinstance(stream, av.AudioStream)
        packed = np.repeat(tone(HIGH, 2.05), 2)[np.newaxis]
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="stereo")
        frame.sample_rate, frame.pts = RATE, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    path.write_bytes(write(tone(LOW, 2.05), "adts", "aac") + content.getvalue())
    assert is_like(pitches(path), [LOW] * 4 + [HIGH] * 4)


def test_a_claim_of_a_caf_that_is_too_small_hides_nothing(tmp_path: Path) -> None:
    """What stands behind it is no chunk: FFmpeg reads on, or the file is refused."""
    path = tmp_path / "a.caf"
    content = bytearray(write(tone(LOW, 4), "caf", "pcm_s16le"))
    place = content.index(b"data") + 4
    content[place : place + 8] = struct.pack(">q", RATE * 2 * 2)
    path.write_bytes(content)
    try:
        seconds = decoding.probe(path).seconds
    except RecordingError:
        return
    assert seconds == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize(
    ("form", "codec", "options"), [case for case in CONTAINERS if case[0] in {"mp4", "caf", "avi"}]
)
def test_what_stands_behind_a_container_is_no_reason_to_refuse_it(
    tmp_path: Path, form: str, codec: str, options: dict[str, str]
) -> None:
    """Cameras and phones append what they like."""
    path = tmp_path / "a"
    path.write_bytes(write(tone(LOW, 2.05), form, codec, options) + b"\1SEFHe\0" * 50)
    assert is_like(pitches(path), [LOW] * 4)


def test_a_file_of_marks_that_begin_nothing_is_refused(tmp_path: Path) -> None:
    """In a bounded number of looks, however many there are."""
    path = tmp_path / "marks.mkv"
    path.write_bytes(bytes.fromhex("1a45dfa300") * 40_000)
    with path.open("rb") as file, pytest.raises(RecordingError, match="torn in many places"):
        structure.read_matroska(file, 0)


def test_what_stands_behind_a_coded_wav_is_told(tmp_path: Path) -> None:
    """Also where it is no WAV at all: nothing of it would be heard."""
    path = tmp_path / "a.wav"
    coded, other = (
        write(tone(LOW, 1.0), "wav", "adpcm_ms"),
        write(tone(HIGH, 1.0), "aiff", "pcm_s16be"),
    )
    path.write_bytes(coded + other)
    with pytest.raises(RecordingError, match="goes on behind a WAV as something else"):
        decoding.probe(path)
