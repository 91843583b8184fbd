"""Sound stands where the file's time line has it: late beginnings, gaps, and stamps that are wrong."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from batchjobs.audio import decoding
from batchjobs.audio.pauses import split_at_pauses
from batchjobs.audio.timeline import TimeLine

RATE = 48_000
PIECE = 960
DAY = 24 * 3600.0
CASES = [
    ("a.m4a", "mp4", "aac"),
    ("a.mp4", "mp4", "alac"),
    ("a.mkv", "matroska", "libopus"),
    ("a.webm", "webm", "libopus"),
    ("a.mka", "matroska", "flac"),
]


def write(
    path: Path, form: str, codec: str, stamp: Callable[[float], float], *, picture: bool = False
) -> Path:
    """Write six seconds of sound, each piece at the moment that a function gives of its own."""
    with av.open(str(path), "w", format=form) as container:
        video = container.add_stream("mpeg4", rate=10) if picture else None
        if video is not None:
            video.width = video.height = 16
            video.pix_fmt = "yuv420p"
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        assert isinstance(stream, av.AudioStream)
        packets = []
        if video is not None:
            for number in range(100):
                image = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
                image.pts = number
                packets += video.encode(image)
            packets += video.encode(None)
        times = np.arange(6 * RATE) / RATE
        samples = (np.sin(2 * np.pi * 440 * times) * 9_000).astype("<i2")
        for at in range(0, len(samples), PIECE):
            sound = np.ascontiguousarray(samples[np.newaxis, at : at + PIECE])
            frame = av.AudioFrame.from_ndarray(sound, format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, at
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for packet in packets:
            if packet.stream is stream:
                assert packet.pts is not None
                assert packet.time_base is not None
                moment = stamp(float(packet.pts * packet.time_base))
                packet.pts = packet.dts = round(moment / packet.time_base)
        container.mux(packets)
    return path


def find_sound(path: Path) -> tuple[list[tuple[float, float]], float]:
    """Find where there is sound in what is sent, in tenths of a second, and how long that is."""
    pcm = np.frombuffer(b"".join(decoding.pcm_chunks(path)), "<i2")
    tenths = pcm[: len(pcm) // 1_600 * 1_600].reshape(-1, 1_600)
    loud = np.abs(tenths.astype(int)).mean(axis=1) > 500
    edges = np.flatnonzero(np.diff(loud.astype(int), prepend=0, append=0)).reshape(-1, 2)
    return [(a / 10, b / 10) for a, b in edges.tolist()], len(pcm) / 16_000


@pytest.mark.parametrize(("name", "form", "codec"), [case for case in CASES if "webm" not in case])
def test_sound_that_begins_after_the_picture_has_the_film_s_times(
    tmp_path: Path, name: str, form: str, codec: str
) -> None:
    """The silence before it is heard, told and cut like any other."""
    path = write(tmp_path / name, form, codec, lambda moment: moment + 5, picture=True)
    assert decoding.probe(path).seconds == pytest.approx(11, abs=0.1)
    sounds, seconds = find_sound(path)
    assert sounds == [(5, 11)]
    assert seconds == pytest.approx(11, abs=0.1)
    (stretch,) = split_at_pauses(path)
    assert stretch.first_frame / 16_000 == pytest.approx(5 - 0.256, abs=0.1)
    assert len(stretch.pcm) / 32_000 == pytest.approx(6.256, abs=0.1)


@pytest.mark.parametrize(("name", "form", "codec"), CASES)
def test_a_file_of_sound_begins_with_it(tmp_path: Path, name: str, form: str, codec: str) -> None:
    """Part of a live stream has the stamps of the stream: players count from its beginning."""
    path = write(tmp_path / name, form, codec, lambda moment: moment + 36_000)
    assert decoding.probe(path).seconds == pytest.approx(6, abs=0.1)
    sounds, seconds = find_sound(path)
    assert sounds == [(0, 6)]
    assert seconds == pytest.approx(6, abs=0.1)


@pytest.mark.parametrize("picture", [False, True])
@pytest.mark.parametrize(("name", "form", "codec"), CASES)
def test_a_gap_is_silence(
    tmp_path: Path, name: str, form: str, codec: str, *, picture: bool
) -> None:
    """A mute without packets: what comes after it keeps its time, and the file is whole."""
    path = write(
        tmp_path / name,
        form,
        codec,
        lambda moment: moment + 7 * (moment > 2.5),
        picture=picture and form != "webm",
    )
    assert decoding.probe(path).seconds == pytest.approx(13, abs=0.1)
    sounds, seconds = find_sound(path)
    assert seconds == pytest.approx(13, abs=0.1)
    assert np.ravel(sounds) == pytest.approx([0, 2.6, 9.5, 13], abs=0.11)
    assert len(list(split_at_pauses(path))) == 2


@pytest.mark.parametrize(("name", "form", "codec"), CASES[2:])
def test_small_gaps_add_up(tmp_path: Path, name: str, form: str, codec: str) -> None:
    """A lost packet each half a second: no word is a tenth of a second early."""
    path = write(tmp_path / name, form, codec, lambda moment: moment + 0.06 * int(moment / 0.5))
    assert decoding.probe(path).seconds == pytest.approx(6.66, abs=0.1)
    assert find_sound(path)[1] == pytest.approx(6.66, abs=0.1)


@pytest.mark.parametrize(("name", "form", "codec"), CASES)
def test_a_broken_stamp_makes_no_years_of_silence(
    tmp_path: Path, name: str, form: str, codec: str
) -> None:
    """The sound goes on as if it were not there, and none is lost."""
    path = write(tmp_path / name, form, codec, lambda moment: moment + 3e8 * (moment > 3))
    sounds, seconds = find_sound(path)
    assert sounds == [(0, 6)]
    assert seconds == pytest.approx(6, abs=0.1)


@pytest.mark.parametrize(("name", "form", "codec"), CASES[2:])
def test_stamps_that_begin_anew_lose_no_sound(
    tmp_path: Path, name: str, form: str, codec: str
) -> None:
    """Two recordings joined byte by byte, each with a gap."""
    path = write(tmp_path / name, form, codec, lambda moment: moment + 2 * (moment > 3))
    path.write_bytes(2 * path.read_bytes())
    assert decoding.probe(path).seconds == pytest.approx(16, abs=0.2)
    sounds, seconds = find_sound(path)
    assert seconds == pytest.approx(16, abs=0.2)
    assert np.ravel(sounds) == pytest.approx([0, 3, 5, 11, 13, 16], abs=0.15)


def place(stamps: list[float], *, start: float = 0.0, piece: float = 0.02) -> list[float]:
    """Give where each of some pieces begins."""
    line, found = TimeLine(start), []
    for stamp in stamps:
        line.end_seconds += line.find_gap(stamp)
        found.append(line.end_seconds)
        line.end_seconds += piece
    return found


def test_pieces_lie_one_behind_the_other() -> None:
    """Whatever the stamps: rounded, jittered, without any, going back a little."""
    assert place([0, 0.021, 0.039, 0.06]) == pytest.approx([0, 0.02, 0.04, 0.06])
    assert place([0, 0.09, 0.02, 0.1, 0.3]) == pytest.approx([0, 0.02, 0.04, 0.06, 0.3])
    line = TimeLine(3.0)
    assert line.find_gap(None) == 0
    assert line.find_gap(5.0) == 2


def test_jitter_adds_no_time() -> None:
    """Stamps that go to and fro are filled up once."""
    stamps = [at * 0.02 + 0.3 * (at % 10 == 5) for at in range(1_000)]
    assert place(stamps)[-1] < 21


def test_there_is_no_more_silence_than_a_day() -> None:
    """In all, however often a file says so."""
    assert place([0, DAY - 1])[-1] == DAY - 1
    assert place([0, 2 * DAY, 2 * DAY + 1])[1:] == pytest.approx([0.02, 1.02])
    assert place([at * 3_600.0 for at in range(100)])[-1] < DAY + 10
