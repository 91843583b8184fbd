"""Recordings in: every format and shape, exactly, in constant memory."""

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from batchjobs.audio import decoding, encoding
from batchjobs.errors import RecordingError
from tests.audio.ogg_files import seal
from tests.audio.waves import Floats, pcm_of, tone
from tests.builders import write_recording
from tests.recordings import read_pcm


def pcm_from(path: Path, **options: Any) -> NDArray[np.float64]:
    """Decode a recording as a job would, to floats."""
    pcm = b"".join(decoding.pcm_chunks(path, **options))
    return np.frombuffer(pcm, "<i2") / 32_768


def level_of(samples: Floats) -> float:
    """Measure a sine's amplitude, edges left out."""
    inner = samples[800:-800]
    return float(np.sqrt(2 * np.mean(inner**2)))


def hertz_of(samples: Floats, rate: int) -> float:
    """Find the loudest frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * rate / len(samples))


SUBTYPES = [
    ("WAV", "PCM_U8", 0.02),
    ("WAV", "PCM_16", 1e-3),
    ("WAV", "PCM_24", 1e-3),
    ("WAV", "PCM_32", 1e-3),
    ("WAV", "FLOAT", 1e-3),
    ("WAV", "DOUBLE", 1e-3),
    ("WAVEX", "PCM_24", 1e-3),
    ("RF64", "PCM_16", 1e-3),
    ("AIFF", "PCM_S8", 0.02),
    ("AIFF", "PCM_16", 1e-3),
    ("AIFF", "PCM_24", 1e-3),
    ("AIFF", "PCM_32", 1e-3),
    ("AIFF", "FLOAT", 1e-3),
    ("AIFF", "DOUBLE", 1e-3),
    ("FLAC", "PCM_S8", 0.02),
    ("FLAC", "PCM_16", 1e-3),
    ("FLAC", "PCM_24", 1e-3),
    ("OGG", "VORBIS", 0.05),
    ("OGG", "OPUS", 0.05),
    ("MP3", "MPEG_LAYER_III", 0.05),
]


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(("major", "subtype", "tolerance"), SUBTYPES)
def test_every_format_is_read_whole(
    tmp_path: Path, major: str, subtype: str, tolerance: float, channels: int
) -> None:
    """Every format, depth and channel count gives the sine that was put in, at its length."""
    if major == "MP3" and channels == 6:
        channels = 2
    if major == "OGG" and channels == 6:
        tolerance = 0.2  # the sixth channel is for low frequencies only
    path = tmp_path / "recording"
    sine = tone(1.5, 48_000)
    soundfile.write(
        path, np.repeat(sine[:, None], channels, axis=1), 48_000, format=major, subtype=subtype
    )
    recording = decoding.probe(path)
    assert (recording.sample_rate, recording.channels) == (48_000, channels)
    assert recording.frames == 72_000
    assert recording.seconds == 1.5
    assert recording.container == {"WAVEX": "wav", "RF64": "wav"}.get(major, major.lower())
    samples = pcm_from(path)
    assert len(samples) == 24_000
    assert level_of(samples) == pytest.approx(0.5, rel=tolerance)
    assert hertz_of(samples, 16_000) == pytest.approx(440, abs=1)


@pytest.mark.parametrize("subtype", [s for m, s, _ in SUBTYPES if m in {"WAV", "AIFF"}])
@pytest.mark.parametrize("major", ["WAV", "AIFF"])
def test_plain_samples_are_those_libsndfile_reads(tmp_path: Path, major: str, subtype: str) -> None:
    """Our own reading of WAV and AIFF agrees with libsndfile's to the last bit."""
    if not soundfile.check_format(major, subtype):
        subtype = "PCM_16"
    path = tmp_path / "recording"
    noise = np.random.default_rng(7).uniform(-1, 1, 4_000)
    soundfile.write(path, noise, 16_000, format=major, subtype=subtype)
    theirs, _ = soundfile.read(path, dtype="float32")
    scaled = np.clip(np.rint(theirs * np.float32(32_768)), -32_768, 32_767)
    assert read_pcm(path) == scaled.astype("<i2").tobytes()


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000])
def test_resampling_keeps_a_sine(tmp_path: Path, rate: int) -> None:
    """From every rate, a sine keeps its frequency, its level and its length."""
    path = tmp_path / "sine.wav"
    soundfile.write(path, tone(2.0, rate, 1_000.0), rate, subtype="PCM_16")
    samples = pcm_from(path)
    assert len(samples) == 32_000
    assert level_of(samples) == pytest.approx(0.5, rel=2e-3)
    assert hertz_of(samples, 16_000) == pytest.approx(1_000, abs=0.6)


def test_resampling_lets_no_alias_through(tmp_path: Path) -> None:
    """A tone that 16 kHz cannot hold is silent after resampling, not another tone."""
    path = tmp_path / "high.wav"
    soundfile.write(path, tone(1.0, 48_000, 10_000.0), 48_000, subtype="PCM_16")
    assert np.abs(pcm_from(path)[400:-400]).max() < 1e-3


def test_a_16_khz_mono_wav_passes_unchanged(tmp_path: Path) -> None:
    """What has the service's shape already is sent as it is, bit for bit."""
    pcm = np.random.default_rng(5).integers(-32_768, 32_768, 40_000).astype("<i2").tobytes()
    for name in ("wav", "flac"):
        path = tmp_path / f"a.{name}"
        write_recording(path, pcm)
        assert b"".join(decoding.pcm_chunks(path)) == pcm


@pytest.mark.parametrize("major", ["WAV", "AIFF", "FLAC", "OGG", "MP3"])
def test_blocks_do_not_show(tmp_path: Path, major: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The PCM is bit-identical however the file is cut into blocks, also of lossy formats."""
    path = tmp_path / "recording"
    noise = np.random.default_rng(2).uniform(-0.5, 0.5, (50_000, 2))
    soundfile.write(path, noise, 44_100, format=major)
    decoded = set()
    for frames in (997, 4_096, 32_768, 10**6):
        monkeypatch.setattr(decoding, "_BLOCK_FRAMES", frames)
        decoded.add(b"".join(decoding.pcm_chunks(path)))
    assert len(decoded) == 1


@pytest.mark.parametrize("chunk_seconds", [0.02, 0.25, 1.0, 7.0])
def test_chunks_are_exact(tmp_path: Path, chunk_seconds: float) -> None:
    """Every chunk has its length; only the last is shorter; together they are everything."""
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(2.6, 24_000), 24_000)
    chunks = list(decoding.pcm_chunks(path, chunk_seconds=chunk_seconds))
    assert {len(chunk) for chunk in chunks[:-1]} <= {round(32_000 * chunk_seconds)}
    assert 0 < len(chunks[-1]) <= round(32_000 * chunk_seconds)
    assert sum(map(len, chunks)) == round(32_000 * 2.6)


def test_chunks_may_divide_evenly(tmp_path: Path) -> None:
    """A recording of whole chunks ends without an empty one, at any sample rate asked for."""
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(2.0, 8_000), 8_000)
    assert [len(c) for c in decoding.pcm_chunks(path, sample_rate=8_000)] == [16_000, 16_000]


def test_channels_are_averaged(tmp_path: Path) -> None:
    """Two channels become their mean, to the bit."""
    path = tmp_path / "a.wav"
    samples = np.random.default_rng(3).integers(-9_000, 9_000, (20_000, 2)) * 2
    soundfile.write(path, samples.astype("<i2"), 16_000)
    assert np.frombuffer(read_pcm(path), "<i2").tolist() == samples.mean(axis=1).tolist()


def test_too_loud_floats_are_clipped(tmp_path: Path) -> None:
    """A float recording beyond full scale is held at it, and does not wrap around."""
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([3.0, -3.0] * 1_000), 16_000, subtype="FLOAT")
    assert set(np.frombuffer(read_pcm(path), "<i2").tolist()) == {32_767, -32_768}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_samples_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    """A float recording with NaN, infinity or absurd values is damaged, and says where."""
    path = tmp_path / "a.wav"
    samples = tone(1.0, 16_000)
    samples[12_345] = value
    soundfile.write(path, np.stack([samples, samples], axis=1), 16_000, subtype="DOUBLE")
    with pytest.raises(RecordingError, match="no number"):
        list(decoding.pcm_chunks(path))


@pytest.mark.parametrize("name", ["flac", "ogg", "mp3", "wav"])
def test_cut_off_files_are_refused_before_they_cost(tmp_path: Path, name: str) -> None:
    """A file cut in the middle, or of its last byte, is refused by a mere look."""
    whole = encoding.encode(pcm_of(tone(3.0, 24_000)), sample_rate=24_000, format=name)
    path = tmp_path / f"cut.{name}"
    for cut in (len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(RecordingError):
            decoding.probe(path)


@pytest.mark.parametrize("name", ["flac", "ogg", "mp3"])
def test_damage_in_the_middle_is_found(tmp_path: Path, name: str) -> None:
    """A file whose middle was overwritten fails when it is decoded, with a RecordingError."""
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, 96_000)
    content = bytearray(encoding.encode(pcm_of(noise), sample_rate=24_000, format=name))
    middle = len(content) // 2
    content[middle : middle + 3_000] = b"\x55" * 3_000
    path = tmp_path / f"bad.{name}"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=r"cannot be decoded after|ends early|damaged"):
        decoding.measure(path)


def test_a_flac_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    """A length that the file does not bear out is not believed, whatever the header says."""
    content = bytearray(encoding.encode(bytes(48_000), sample_rate=24_000, format="flac"))
    path = tmp_path / "huge.flac"
    for place, message in ((23, "cannot be decoded"), (21, "claims 2684")):
        content[place] |= 0x0F
        path.write_bytes(content)
        with pytest.raises(RecordingError, match=message):
            decoding.probe(path)


@pytest.mark.parametrize("claimed", [200_000, 2**40])
def test_an_ogg_that_claims_too_much_is_not_believed(tmp_path: Path, claimed: int) -> None:
    """A last page with a wrong position and a right checksum makes no recording longer."""
    content = bytearray(encoding.encode(bytes(96_000), sample_rate=24_000, format="ogg"))
    start = content.rindex(b"OggS")
    content[start + 6 : start + 14] = claimed.to_bytes(8, "little")
    content[start:] = seal(content[start:])
    path = tmp_path / "huge.ogg"
    path.write_bytes(content)
    assert decoding.probe(path).frames == 48_000
    assert decoding.measure(path) == (48_000, 24_000)


def test_a_file_that_shrinks_while_it_is_read_is_found(tmp_path: Path) -> None:
    """A recording cut while it is being sent ends in an error, not in a short success."""
    path = tmp_path / "a.wav"
    write_recording(path, bytes(32_000 * 10))
    chunks = decoding.pcm_chunks(path)
    next(chunks)
    os.truncate(path, 32_000 * 5 + 1)
    with pytest.raises(RecordingError, match=r"claims 10\.00 s and holds 5\.00 s"):
        list(chunks)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """Folders, pipes, devices and missing files are refused at once, by every function."""
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    for read in (
        decoding.probe,
        decoding.sha256_of,
        decoding.measure,
        pcm_from,
    ):
        for path in (tmp_path, pipe, Path("/dev/zero")):
            with pytest.raises(RecordingError, match="not a plain file"):
                read(path)
        for path in (tmp_path / "none.wav", tmp_path / "a\0b"):
            with pytest.raises(RecordingError, match="does not exist"):
                read(path)
        with pytest.raises(RecordingError, match="cannot be read"):
            read(tmp_path / ("long" * 100))


def test_arabic_names_are_no_obstacle(tmp_path: Path) -> None:
    """A recording may be named in Arabic, diacritics, tatweel and joiners included."""
    path = tmp_path / "تَسْجِيـــل\u200c\u200d ١٢٣ take 4.wav"
    path.write_bytes(encoding.encode(bytes(3_200), sample_rate=16_000, format="flac"))
    assert decoding.probe(path).container == "flac"  # whatever its name says
    assert decoding.sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()


MEASURE = """
import resource, sys
from pathlib import Path
from batchjobs.audio import decoding
frames = int(sys.argv[2]) * 60 * 48_000
path = Path(sys.argv[1])
size = frames * 4
with path.open("wb") as file:
    file.write(b"RIFF" + (36 + size).to_bytes(4, "little") + b"WAVEfmt \\x10\\0\\0\\0\\1\\0\\2\\0")
    file.write((48_000).to_bytes(4, "little") + (192_000).to_bytes(4, "little") + b"\\4\\0\\x10\\0")
    file.write(b"data" + size.to_bytes(4, "little"))
    file.truncate(44 + size)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
total = sum(map(len, decoding.pcm_chunks(path)))
assert total == frames // 3 * 2, total
print(before, peak())
"""


def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    """Ten minutes of 48 kHz stereo take no more memory than one, and little of it."""
    peaks = []
    for minutes in (1, 10):
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, str(tmp_path / "long.wav"), str(minutes)],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONPATH": str(Path(decoding.__file__).parents[2])},
        )
        before, after = map(int, done.stdout.split())
        assert after - before < 40 * 1024
        peaks.append(after)
    assert peaks[1] - peaks[0] < 4 * 1024


def test_unreadable_files_are_refused(tmp_path: Path) -> None:
    """A file that the system refuses to open or read says why."""
    path = tmp_path / "mine.wav"
    write_recording(path, bytes(3_200))
    path.chmod(0)
    if os.access(path, os.R_OK):  # as root: everything may be read, but not this
        path = Path("/proc/self/mem")
        assert stat.S_ISREG(path.stat().st_mode)
    with pytest.raises(RecordingError, match="cannot be read"):
        decoding.probe(path)
