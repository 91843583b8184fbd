"""MP3 lengths: told by the header or counted, never guessed; what would be lost is refused."""

import contextlib
import ctypes
import io
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from batchjobs.audio import decoding, mpeg
from batchjobs.audio.mpeg import read_mpeg
from batchjobs.errors import DecoderMissingError, RecordingError
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


def length(path: Path, content: bytes) -> int:
    """Measure an MP3 in samples, after writing it."""
    path.write_bytes(content)
    with path.open("rb") as file:
        return sum(part.frames for part in read_mpeg(file, 0))


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


def test_a_variable_bit_rate_without_header_is_read_whole(tmp_path: Path) -> None:
    """Where libsndfile's guess would lose the end, FFmpeg is asked."""
    noise_first = tmp_path / "noise_first.mp3"
    noise_first.write_bytes(loud_first())
    assert soundfile.info(noise_first).duration < SECONDS * 0.9
    silence_first = tmp_path / "silence_first.mp3"
    silence_first.write_bytes(without_xing(mp3()))
    for path in (noise_first, silence_first):
        assert decoding.probe(path).seconds == pytest.approx(SECONDS, abs=0.1)
        assert decoding.measure(path)[0] == pytest.approx(48_000 * SECONDS, abs=5_000)


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only FFmpeg reads whole is refused, never read in part."""
    path = tmp_path / "a.mp3"
    path.write_bytes(loud_first())
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(DecoderMissingError) as caught:
        decoding.probe(path)
    assert "batchjobs[book]" in caught.value.hint


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


ID3 = b"ID3\x03\0\0\0\0\x02\0" + bytes(256)
ID3V1 = b"TAG" + bytes(125)
APE = (
    b"APETAGEX" + (2_000).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(16) + bytes(32)
)
LYRICS = b"LYRICSBEGIN" + "IND00003110LYR0001كلمات".encode() + b"000060LYRICS200"


def heard(path: Path) -> list[float]:
    """Listen to both halves of a file; give how loud each half second is."""
    pcm = np.frombuffer(b"".join(decoding.pcm_chunks(path)), "<i2").astype(float)
    return [float(np.abs(pcm[at : at + 8_000]).mean()) for at in range(0, len(pcm) - 8_000, 8_000)]


@pytest.mark.parametrize(
    "between",
    [
        b"",
        ID3,
        ID3V1,
        ID3V1 + ID3,
        APE,
        LYRICS + ID3V1,
        bytes(1_000),
        APE + ID3V1 + ID3,
    ],
)
@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
def test_joined_mp3s_are_heard_one_after_the_other(
    tmp_path: Path, between: bytes, mode: str
) -> None:
    """Whatever stands between them: each claims its own length, and no more."""
    path = tmp_path / "joined.mp3"
    path.write_bytes(ID3 + mp3(mode=mode) + between + mp3(mode=mode) + ID3V1)
    assert decoding.probe(path).seconds == pytest.approx(2 * SECONDS, abs=0.2)
    levels = heard(path)  # each is two seconds of silence, then two of noise
    assert len(levels) in {15, 16}
    assert max(levels[:3] + levels[9:11]) < 300
    assert min(levels[5:7] + levels[13:15]) > 1_000


@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT"])
def test_only_what_holds_frames_is_called_damaged(tmp_path: Path, mode: str) -> None:
    """Odd bytes behind the last frame are nobody's sound; between two files they may have been."""
    path = tmp_path / "odd.mp3"
    path.write_bytes(mp3(mode=mode) + b"odd" * 9)
    assert decoding.probe(path).seconds == pytest.approx(SECONDS, abs=0.1)
    path.write_bytes(mp3(mode=mode) + b"odd" * 9 + mp3(mode=mode))
    with pytest.raises(RecordingError, match="damaged"):
        decoding.probe(path)


def test_parts_of_different_shapes_are_heard(tmp_path: Path) -> None:
    """An announcement in one channel, then stereo; another sample rate; no header between."""
    path = tmp_path / "both.mp3"
    for first, second in (
        (mp3(channels=1), mp3(channels=2)),
        (
            without_xing(mp3(channels=1, mode="CONSTANT")),
            without_xing(mp3(channels=2, mode="CONSTANT")),
        ),
        (mp3(rate=24_000), mp3(rate=44_100, channels=2)),
    ):
        path.write_bytes(first + second)
        recording = decoding.probe(path)
        assert recording.channels == 2
        assert recording.seconds == pytest.approx(2 * SECONDS, abs=0.2)
        levels = heard(path)
        assert max(levels[:3] + levels[9:11]) < 300
        assert min(levels[5:7] + levels[13:15]) > 1_000


def test_a_count_that_is_too_small_ends_nothing(tmp_path: Path) -> None:
    """A Xing header that counts half the frames, or half the bytes, is not believed."""
    whole = mp3()
    tag = whole.index(b"Xing")
    path = tmp_path / "a.mp3"
    for places in ((8,), (12,), (8, 12)):
        content = bytearray(whole)
        for place in places:
            number = int.from_bytes(content[tag + place : tag + place + 4]) // 2
            content[tag + place : tag + place + 4] = number.to_bytes(4)
        path.write_bytes(content)
        assert decoding.probe(path).seconds == pytest.approx(SECONDS, abs=0.2)
        assert sum(map(len, decoding.pcm_chunks(path))) / 32_000 == pytest.approx(SECONDS, abs=0.2)


def test_a_long_file_is_counted_when_it_is_read(tmp_path: Path) -> None:
    """A look does not read megabytes; but no part is ever taken for the whole."""
    noise = np.random.default_rng(3).standard_normal((48_000 * 60, 2)).astype(np.float32) * 0.2
    content = io.BytesIO()
    soundfile.write(content, noise, 48_000, format="MP3", compression_level=0.0)
    whole = bytearray(content.getvalue())
    assert len(whole) > 1 << 20
    path = tmp_path / "long.mp3"
    path.write_bytes(whole)
    assert decoding.measure(path)[0] == 48_000 * 60
    tag = next(at for name in (b"Xing", b"Info") if (at := whole.find(name)) > 0)
    count = int.from_bytes(whole[tag + 8 : tag + 12])
    whole[tag + 8 : tag + 12] = (count - 40).to_bytes(4)
    path.write_bytes(whole)
    with pytest.raises(RecordingError, match="more than its header says"):
        decoding.measure(path)


def test_a_copy_without_its_end_is_told_by_another_header(tmp_path: Path) -> None:
    """That of Fraunhofer's encoder claims a length too."""
    plain = bytearray(without_xing(mp3(mode="CONSTANT")))
    size = len(plain)
    plain[36:54] = b"VBRI" + bytes(6) + size.to_bytes(4) + (160).to_bytes(4)
    path = tmp_path / "a.mp3"
    path.write_bytes(plain)
    assert decoding.probe(path).seconds == pytest.approx(SECONDS, abs=0.2)
    path.write_bytes(plain[:-2_000])
    with pytest.raises(RecordingError, match="truncated"):
        decoding.probe(path)


@pytest.mark.parametrize("codec", ["mp2"])
@pytest.mark.parametrize("rate", [24_000, 48_000])
def test_layer_two_is_read(tmp_path: Path, codec: str, rate: int) -> None:
    """Radio's MPEG audio, with or without the extra."""
    path = tmp_path / "radio.mp2"
    with av.open(str(path), "w", format="mp2") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        samples = (np.sin(np.arange(rate * 3) / 20) * 9_000).astype("<i2")[np.newaxis]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = rate
        container.mux([*stream.encode(frame), *stream.encode(None)])
    assert decoding.probe(path).seconds == pytest.approx(3, abs=0.1)
    assert min(heard(path)) > 4_000


def test_decoders_say_nothing_on_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither of a length that is off, nor of damage: both are told by us."""
    path = tmp_path / "a.mp3"
    whole = mp3()
    for content in (whole + APE * 60, whole[:5_000] + bytes([9] * 300) + whole[5_300:]):
        path.write_bytes(content)
        with contextlib.suppress(RecordingError):
            list(decoding.pcm_chunks(path))
    ctypes.CDLL(None).perror(b"the usual stream is back")
    assert capfd.readouterr().err.startswith("the usual stream is back")


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
    [b"\xff\xfb\xf4\xc4", b"\xff\xfb\x9c\xc4", b"\xff\xeb\x94\xc4", b"\xff"],
)
def test_other_mpeg_audio_is_refused(tmp_path: Path, head: bytes) -> None:
    """Bit rates, sample rates and versions that do not exist, are no MP3."""
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


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """Somebody else writes it: the walk ends where nothing is to be read any more."""
    path = tmp_path / "shrinks.mp3"
    whole = without_xing(mp3())
    path.write_bytes(whole)
    first = mpeg.read_frame(whole[:4])
    assert first is not None
    with path.open("rb") as file, pytest.raises(RecordingError, match="became shorter"):
        mpeg._walk(file, 0, len(whole) + 5_000_000, first, None)
