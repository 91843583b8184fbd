"""Recordings in containers: decoded through another library, and believed no more than others."""

import contextlib
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from batchjobs.audio import decoding
from batchjobs.audio.pauses import split_at_pauses
from batchjobs.errors import RecordingError

RATE = 48_000
SECONDS = 6
CASES = [
    ("a.m4a", "mp4", "aac", {}),
    ("a.mp4", "mp4", "alac", {}),
    ("a.mov", "mov", "pcm_s16le", {}),
    ("a.mkv", "matroska", "libopus", {}),
    ("a.webm", "webm", "libopus", {}),
    ("a.mka", "matroska", "flac", {}),
    ("a.wma", "asf", "wmav2", {}),
    ("a.caf", "caf", "pcm_s16le", {}),
    ("صوت.m4a", "mp4", "aac", {"movflags": "faststart"}),
]
EXACT = {"alac", "pcm_s16le", "flac"}


def sound(seconds: float = SECONDS) -> np.ndarray:
    """Two channels: a sweep, and the same at half the level."""
    times = np.arange(round(seconds * RATE)) / RATE
    wave = np.sin(2 * np.pi * (200 + 300 * times) * times) * 12_000
    return np.stack([wave, wave / 2]).astype("<i2")


def write(
    path: Path, name: str, codec: str, options: dict[str, str], *, picture: bool = False
) -> Path:
    """Write a recording with the library."""
    with av.open(str(path), "w", format=name, options=options) as container:
        video = container.add_stream("mpeg4", rate=10) if picture else None
        if video is not None:
            video.width = video.height = 16
            video.pix_fmt = "yuv420p"
        stream = container.add_stream(codec, rate=RATE, layout="stereo")
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = 128_000
        if video is not None:
            for number in range(100):
                image = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
                image.pts = number
                container.mux(video.encode(image))
            container.mux(video.encode(None))
        samples = sound()
        for start in range(0, samples.shape[1], RATE):
            block = np.ascontiguousarray(samples[:, start : start + RATE])
            packed = block.T.reshape(1, -1).copy()
            frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="stereo")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def find(one: np.ndarray, other: np.ndarray) -> int:
    """Give the place where a sound is found in a longer one: by way of their spectra, a second is long."""
    size = len(one) + len(other)
    alike = np.fft.irfft(np.fft.rfft(other, size) * np.conj(np.fft.rfft(one, size)), size)
    return int(np.argmax(alike[: len(other) - len(one) + 1]))


@pytest.mark.parametrize(("name", "form", "codec", "options"), CASES)
def test_a_container_is_heard_like_a_wav(
    tmp_path: Path, name: str, form: str, codec: str, options: dict[str, str]
) -> None:
    """As long, and the same sound, at the same place."""
    path = write(tmp_path / name, form, codec, options)
    recording = decoding.probe(path)
    assert recording.channels == 2
    assert recording.seconds == pytest.approx(SECONDS, abs=0.12)
    heard = np.frombuffer(b"".join(decoding.pcm_chunks(path, sample_rate=RATE)), "<i2").astype(
        float
    )
    meant = sound().mean(axis=0)
    assert len(heard) == pytest.approx(len(meant), abs=RATE * 0.12)
    length = min(len(heard), len(meant)) - RATE // 2
    if codec in EXACT:
        assert np.abs(heard[:length] - meant[:length]).max() <= 1.0
    else:
        one, other = meant[RATE : 2 * RATE], heard[RATE - 4_800 : 2 * RATE + 4_800]
        at = find(one, other)
        assert np.corrcoef(one, other[at : at + RATE])[0, 1] > 0.95
    assert len(b"".join(stretch.pcm for stretch in split_at_pauses(path))) > 0


def test_the_sound_of_a_film_is_heard(tmp_path: Path) -> None:
    """Its pictures are not looked at, and may be longer."""
    path = write(tmp_path / "film.mkv", "matroska", "flac", {}, picture=True)
    assert decoding.probe(path).seconds == pytest.approx(SECONDS, abs=0.1)
    assert sum(map(len, decoding.pcm_chunks(path))) == pytest.approx(32_000 * SECONDS, abs=3_200)


@pytest.mark.parametrize(("name", "form", "codec", "options"), CASES)
def test_a_torn_file_is_told(
    tmp_path: Path, name: str, form: str, codec: str, options: dict[str, str]
) -> None:
    """Before it is paid for, wherever it was torn; what is damaged never crashes us."""
    content = write(tmp_path / name, form, codec, options).read_bytes()
    torn = tmp_path / f"torn-{name}"
    for share in (0.02, 0.3, 0.6):
        torn.write_bytes(content[: int(len(content) * share)])
        if form in {"mp4", "mov"}:
            with pytest.raises(RecordingError):
                decoding.probe(torn)
        else:  # the headers of streams claim no length: what is there is all that is known
            with contextlib.suppress(RecordingError):
                list(decoding.pcm_chunks(torn))
    dice = np.random.default_rng(7)
    for _ in range(20):
        damaged = bytearray(content)
        for place in dice.integers(16, len(content), 40):
            damaged[place] ^= 0xFF
        torn.write_bytes(damaged)
        with contextlib.suppress(RecordingError):  # and nothing else
            list(decoding.pcm_chunks(torn))


def test_what_holds_no_sound_is_told(tmp_path: Path) -> None:
    """A film without sound, or of a kind that is not read."""
    with av.open(str(tmp_path / "a.mkv"), "w", format="matroska") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 16
        image = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        container.mux(video.encode(image))
        container.mux(video.encode(None))
    with pytest.raises(RecordingError, match="no audio"):
        decoding.probe(tmp_path / "a.mkv")
    with av.open(str(tmp_path / "b.mkv"), "w", format="matroska") as container:
        stream = container.add_stream("tta", rate=RATE, layout="stereo")
        frame = av.AudioFrame.from_ndarray(
            sound(1).T.reshape(1, -1).copy(), format="s16", layout="stereo"
        )
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(RecordingError, match="'tta"):
        decoding.probe(tmp_path / "b.mkv")


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    path = write(tmp_path / "a.m4a", "mp4", "aac", {})
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(RecordingError) as caught:
        decoding.probe(path)
    assert "batchjobs[book]" in caught.value.hint


@pytest.mark.parametrize(("name", "form"), [("a.m4a", "mp4"), ("a.mka", "matroska")])
def test_titles_in_another_encoding_are_no_damage(tmp_path: Path, name: str, form: str) -> None:
    """Old programs write Latin-1 or Windows-1256 where UTF-8 should be: the sound is whole."""
    path = tmp_path / name
    with av.open(str(path), "w", format=form) as container:
        container.metadata["title"] = "cafXX"
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(sound()[:1].copy(), format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    assert b"cafXX" in content
    path.write_bytes(content.replace(b"cafXX", b"caf\xe9\xc7"))
    assert decoding.probe(path).seconds == pytest.approx(SECONDS, abs=0.12)


def write_tracks(path: Path, default: int, *, unknown: int | None = None) -> Path:
    """Write a film of two tracks, one a second long and one two, of which one is the default."""
    with av.open(str(path), "w", format="matroska") as container:
        tracks = [
            container.add_stream(codec, rate=RATE, layout="mono")
            for codec in ("pcm_s16le", "pcm_s16be")
        ]
        for number, track in enumerate(tracks):
            is_default = av.stream.Disposition.default
            track.disposition = is_default if number == default else av.stream.Disposition(0)
        for seconds, track in enumerate(tracks, 1):
            assert isinstance(track, av.AudioStream)
            samples = np.ones((1, seconds * RATE), "<i2")
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, 0
            container.mux([*track.encode(frame), *track.encode(None)])
    if unknown is not None:
        known = (b"A_PCM/INT/LIT", b"A_PCM/INT/BIG")[unknown]
        content = path.read_bytes()
        assert content.count(known) == 1
        path.write_bytes(content.replace(known, b"A_NOTHING/I/K"))
    return path


@pytest.mark.parametrize("default", [0, 1])
def test_of_several_tracks_the_default_one_is_heard(tmp_path: Path, default: int) -> None:
    """A film is heard as players play it: not a comment that comes first."""
    path = write_tracks(tmp_path / "film.mkv", default)
    assert decoding.probe(path).seconds == pytest.approx(default + 1, abs=0.1)


@pytest.mark.parametrize("unknown", [0, 1])
def test_a_track_that_no_codec_reads_is_passed_over(tmp_path: Path, unknown: int) -> None:
    """What can be read is heard, though the default track is of a codec that is not known."""
    path = write_tracks(tmp_path / "new.mkv", unknown, unknown=unknown)
    assert decoding.probe(path).seconds == pytest.approx(2 - unknown, abs=0.1)


def test_a_codec_that_is_not_known_is_an_error_of_this_file(tmp_path: Path) -> None:
    """It is refused by name, so that the other files of an archive go on."""
    path = write(tmp_path / "a.mka", "matroska", "flac", {})
    path.write_bytes(path.read_bytes().replace(b"A_FLAC", b"A_NONE"))
    with pytest.raises(RecordingError, match="a codec that FFmpeg does not know") as caught:
        decoding.probe(path)
    assert "a.mka" in str(caught.value)
