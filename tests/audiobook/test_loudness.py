"""Audiobooks are as loud as they should be, and no peak goes over."""

import json
from pathlib import Path

import av
import mutagen
import numpy as np
import pytest

import batchjobs
from batchjobs.audiobook import bind
from batchjobs.audiobook.album import SpokenChapter
from batchjobs.audiobook.blocks import read_blocks
from batchjobs.audiobook.filters import Chain, Level, level_filters, make_frame
from batchjobs.audiobook.kinds import KINDS
from batchjobs.audiobook.meter import Meter, join_readings
from batchjobs.audiobook.rehearsal import Aim, Rehearsal, fit, take_excerpts
from batchjobs.options.audiobook import BindSettings
from tests.books import alice, kalila
from tests.builders import write_recording
from tests.recordings import read_pcm


def loudness(path: Path) -> tuple[float, float]:
    """Measure a file with FFmpeg's meter: integrated loudness and true peak."""
    found: dict[str, str] = {}
    with av.open(str(path)) as container:
        graph = av.filter.Graph()
        source = graph.add_abuffer(template=container.streams.audio[0])
        meter, sink = graph.add("ebur128", "metadata=1:peak=true"), graph.add("abuffersink")
        source.link_to(meter)
        meter.link_to(sink)
        graph.configure()
        for frame in [*container.decode(audio=0), None]:
            source.push(frame)
            while True:
                try:
                    found = sink.pull().metadata or found
                except (av.error.BlockingIOError, av.error.EOFError):
                    break
    peak = 20 * float(np.log10(float(found["lavfi.r128.true_peak"])))
    return float(found["lavfi.r128.I"]), peak


@pytest.mark.parametrize(("target", "peak"), [(-19.0, -1.5), (-14.0, -3.0), (-30.0, -1.5)])
def test_loudness_and_true_peak_are_reached(
    spoken_run: Path, tmp_path: Path, target: float, peak: float
) -> None:
    """For the whole book; peaks are held down where the gain would go beyond."""
    settings = BindSettings(form="flac", loudness_lufs=target, true_peak_db=peak, pause_seconds=0)
    made = bind(spoken_run, settings, output=tmp_path / "a")
    whole = b"".join(read_pcm(path) for path in sorted(made.path.iterdir()))
    write_recording(tmp_path / "whole.wav", whole, 24_000)
    measured, highest = loudness(tmp_path / "whole.wav")
    assert measured == pytest.approx(target, abs=0.3)
    assert highest <= peak + 0.1


@pytest.fixture(scope="module")
def read_aloud(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two chapters in real voices; gives its folder."""
    home = tmp_path_factory.mktemp("speech")
    texts = (kalila()[1][0], alice()[0][1][0])
    rows = [{"id": f"{n}", "text": text[:250]} for n, text in enumerate(texts)]
    (home / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = batchjobs.run(
        home / "m.jsonl", batchjobs.Options(output=home / "run", engine="espeak")
    )
    assert report.exit_code == 0
    return home / "run"


@pytest.mark.parametrize(
    ("form", "target", "bitrate"),
    [("m4b", -19, 64_000), ("mp3", -19, 64_000), ("m4b", -16, 48_000)],
)
def test_what_is_written_is_as_loud_as_it_should_be(
    read_aloud: Path, tmp_path: Path, form: str, target: float, bitrate: int
) -> None:
    """Speech, decoded again: within half a unit, and no peak beyond the ceiling."""
    settings = BindSettings(form=form, loudness_lufs=target, bitrate=bitrate, pause_seconds=0)
    made = bind(read_aloud, settings, output=tmp_path / ("a.m4b" if form == "m4b" else "a"))
    assert made.is_limited
    assert made.reached_lufs == pytest.approx(target, abs=0.5)
    assert made.peak_db == pytest.approx(-1.6, abs=0.4)
    assert made.peak_db <= -1.45
    if form == "m4b":
        assert loudness(made.path) == pytest.approx((made.reached_lufs, made.peak_db), abs=0.1)


def test_an_encoder_that_adds_peaks_is_tried_again_lower(read_aloud: Path, tmp_path: Path) -> None:
    """And what it came to is told."""
    settings = BindSettings(form="mp3", loudness_lufs=-12, true_peak_db=-3, bitrate=16_000)
    made = bind(read_aloud, settings, output=tmp_path / "a")
    assert made.peak_db <= -2.9
    assert made.reached_lufs < -12.5  # its peaks allow no more
    assert [path.suffix for path in made.path.iterdir()] == [".mp3", ".mp3"]


def test_silence_stays_silence(tmp_path: Path) -> None:
    """There is no gain that makes it louder."""
    path = tmp_path / "a.wav"
    write_recording(path, bytes(48_000), 24_000)
    chapter = SpokenChapter(title="a", path=path, frames=36_000, sample_rate=24_000)
    held = b"".join(read_blocks(chapter, 24_000))
    assert held == bytes(72_000)  # as long as the checkpoint says, whatever the file
    chain, meter = Chain(24_000, level_filters(Level(), 24_000)), Meter()
    meter.push(chain.push(held))
    meter.push(chain.end())
    heard = join_readings([meter.end()])
    aim = Aim(lufs=-19, ceiling_db=-1.5, bitrate=64_000)

    def rehearse() -> Rehearsal:
        raise AssertionError("nothing to rehearse")

    assert fit(rehearse, heard, aim, KINDS["m4b"]) == (Level(), 64_000)
    assert join_readings([Meter().end()]) == heard


def test_pieces_measure_what_the_whole_does(read_aloud: Path, tmp_path: Path) -> None:
    """Readings of chapters, added up, are what FFmpeg's own meter says of all of them as one."""
    paths = sorted((read_aloud / "audio").iterdir())
    readings = []
    for path in paths:
        meter = Meter()
        meter.push([make_frame(read_pcm(path), 22_050)])
        readings.append(meter.end())
    write_recording(tmp_path / "whole.wav", b"".join(map(read_pcm, paths)), 22_050)
    measured, peak = loudness(tmp_path / "whole.wav")
    found = join_readings(readings)
    assert found.lufs == pytest.approx(measured, abs=0.05)
    assert found.peak_db == pytest.approx(peak, abs=0.1)


@pytest.mark.parametrize("bitrate", [48_000, 64_000])
def test_an_m4b_has_the_bit_rate_that_was_asked_for(
    read_aloud: Path, tmp_path: Path, bitrate: int
) -> None:
    """FFmpeg's encoder by itself lets it be a quarter more."""
    settings = BindSettings(bitrate=bitrate, pause_seconds=0)
    made = bind(read_aloud, settings, output=tmp_path / "a.m4b")
    assert mutagen.File(made.path).info.bitrate == pytest.approx(bitrate, rel=0.05)


def test_excerpts_of_a_long_book_are_from_all_over_it(tmp_path: Path) -> None:
    """With its loudest place among them; each begins and ends in silence."""
    chapters, readings = [], []
    for number in range(3):
        noise = np.random.default_rng(number).integers(-2_000, 2_000, 8_000 * 100, dtype="<i2")
        noise[number * 160_000 + 12_000] = 32_000
        write_recording(tmp_path / f"{number}.wav", noise.tobytes(), 8_000)
        chapters.append(
            SpokenChapter(
                title="", path=tmp_path / f"{number}.wav", frames=len(noise), sample_rate=8_000
            )
        )
        meter = Meter()
        for block in read_blocks(chapters[-1], 8_000):
            meter.push([make_frame(block, 8_000)])
        readings.append(meter.end())
        assert readings[-1].peak_seconds == pytest.approx(number * 20 + 1.5, abs=1)
    excerpts = take_excerpts(chapters, readings, 8_000)
    assert not excerpts.are_whole
    assert [len(pcm) for pcm in excerpts.even] == [2 * 5 * 8_000] * 24
    for pcm in [*excerpts.even, *excerpts.loud]:
        samples = np.frombuffer(pcm, "<i2")
        assert samples[0] == samples[-1] == 0
    assert all(np.frombuffer(pcm, "<i2").max() == 32_000 for pcm in excerpts.loud)
    short = take_excerpts(chapters[:1], readings[:1], 8_000)
    assert short.are_whole
    assert len(short.even[0]) == 2 * 800_000
