"""A file is known by what it holds: recordings of every kind, and what only looks like one."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from batchjobs.audio.recognition import HEAD_BYTES, recognise, recognise_head

av = pytest.importorskip("av")

WRITTEN = {
    # FFmpeg's container and codec: what it is called here
    ("wav", "pcm_s16le"): "a WAV file",
    ("w64", "pcm_s16le"): "a Wave64 file",
    ("avi", "pcm_s16le"): "an AVI video",
    ("aiff", "pcm_s16be"): "an AIFF file",
    ("flac", "flac"): "a FLAC file",
    ("ogg", "flac"): "an Ogg file",
    ("mp3", "mp3"): "a recording behind an ID3 tag",
    ("mp2", "mp2"): "an MP3 or MP2 file",
    ("adts", "aac"): "an AAC file",
    ("3gp", "aac"): "an MP4 file",
    ("mov", "aac"): "an MP4 file",
    ("ipod", "aac"): "an MP4 file",
    ("matroska", "pcm_s16le"): "a Matroska file",
    ("asf", "mp3"): "a Windows Media file",
    ("caf", "pcm_s16le"): "a CAF file",
    ("au", "pcm_s16be"): "an AU file",
    ("wv", "wavpack"): "a WavPack file",
    ("tta", "tta"): "a True Audio file",
    ("ac3", "ac3"): "an AC-3 file",
    ("flv", "aac"): "a Flash video",
    ("voc", "pcm_s16le"): "a VOC file",
    ("mpegts", "aac"): "an MPEG transport stream",
    ("vob", "mp2"): "an MPEG video",
}


def write(container: str, codec: str) -> bytes:
    """Write half a second of noise."""
    rate = 44_100
    noise = np.random.default_rng(1).integers(-9_000, 9_000, rate // 2, dtype=np.int16)
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.layout = "mono"
        stream.codec_context.open()
        size = stream.codec_context.frame_size or 1_024
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate)
        for start in range(0, len(noise), size):
            frame = av.AudioFrame.from_ndarray(
                noise[None, start : start + size], format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = rate, start
            for converted in resampler.resample(frame):
                output.mux(stream.encode(converted))
        output.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(("container", "codec"), WRITTEN)
def test_recordings_of_every_kind_are_known(container: str, codec: str) -> None:
    """As FFmpeg writes them, by their first four kilobytes."""
    assert recognise_head(write(container, codec)[:HEAD_BYTES]) == WRITTEN[container, codec]


def test_mp3_without_a_tag_is_known_by_its_frames(tmp_path: Path) -> None:
    """At every rate: each frame has to be followed by another."""
    for rate in (8_000, 16_000, 22_050, 32_000, 44_100, 48_000):
        noise = np.random.default_rng(2).integers(-9_000, 9_000, rate, dtype=np.int16)
        soundfile.write(tmp_path / "x", noise, rate, format="MP3")
        assert recognise(tmp_path / "x") == "an MP3 or MP2 file"


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"#!AMR\n" + bytes(40), "an AMR file"),
        (b"MAC \x96\x0f" + bytes(40), "a Monkey's Audio file"),
        (b"NIST_1A\n   1024\n", "a SPHERE file"),
        (b"\x03ds2" + bytes(40), "a dictation"),
        (b"BW64" + struct.pack("<I", 0xFFFFFFFF) + b"WAVEds64", "a WAV file"),
        (b"\0\0\0\x08wide\0\0\x10\0mdat", "a QuickTime file"),
        (b"\0\0\0\x18ftyp3gp4", "an MP4 file"),
        # A camcorder's packets have a time of four bytes before them.
        ((bytes(4) + b"G" + bytes(187)) * 4, "an MPEG transport stream"),
    ],
)
def test_kinds_that_nobody_here_writes_are_known(head: bytes, what: str) -> None:
    """By their marks, as their specifications have them."""
    assert recognise_head(head) == what


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff",
        "كتاب بترميز آخر".encode("utf-16"),
        "\ufeffid,audio\n".encode("utf-16"),
        b"GIF89a" + bytes(90),
        b"Good morning\n" * 40,
        b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(500),
        b"\x89PNG\r\n\x1a\n",
        b"\0\0\0\x18ftypheic",
        b"\0\0\0\x20ftypavif",
        b"RIFF\x24\0\0\0WEBPVP8 ",
        b"RIFF\x24\0\0\0RMIDdata",
        b"MThd\0\0\0\x06",
        b"PK\x03\x04" + bytes(90),
        b"#EXTM3U\na.mp3\n",
        b"FORM\0\0\0\x10ILBM",
        b"SQLite format 3\0",
        b"export const a: number = 1;\n" * 90,
        b"\xff\xfb\x90\x64" + bytes(4_000),
    ],
)
def test_what_is_no_recording_is_none(head: bytes) -> None:
    """Texts, pictures, archives, playlists, notes, and one frame's mark with nothing behind it."""
    assert recognise_head(head) == ""


def test_random_bytes_are_no_recordings() -> None:
    """Of 20,000 files of noise a few at most have a mark by chance."""
    dice = np.random.default_rng(5)
    found = [recognise_head(dice.bytes(HEAD_BYTES)) for _ in range(20_000)]
    assert sum(map(bool, found)) <= 2
