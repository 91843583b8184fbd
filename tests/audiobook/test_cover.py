"""Covers of every kind become what players show, or are refused."""

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from batchjobs.audiobook.cover import read_picture
from tests.books import picture


def encode(codec: str, pixels: str) -> bytes:
    """A picture of 64 x 48 that turns from black to red."""
    shown = np.full((48, 64, 4), (0, 0, 0, 200), np.uint8)  # see-through, where that can be
    shown[:, :, 0] = np.arange(64) * 4
    frame = av.VideoFrame.from_ndarray(shown, format="rgba").reformat(format=pixels)
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, pixels
    encoder.time_base = Fraction(1, 1)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def write_gif() -> bytes:
    """A GIF of one pixel."""
    screen = struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\xff\0\0\0\0\xff"
    return b"GIF89a" + screen + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0;"


@pytest.mark.parametrize(
    ("content", "codec", "size"),
    [
        (picture(), "png", (8, 8)),
        (encode("mjpeg", "yuvj420p"), "mjpeg", (64, 48)),
        (encode("libwebp", "yuv420p"), "mjpeg", (64, 48)),
        (encode("libwebp", "yuva420p"), "png", (64, 48)),
        (encode("bmp", "bgr24"), "mjpeg", (64, 48)),
        (write_gif(), "png", (1, 1)),
    ],
    ids=["png", "jpeg", "webp", "webp, see-through", "bmp", "gif"],
)
def test_a_picture_is_shown_as_jpeg_or_png(
    tmp_path: Path, content: bytes, codec: str, size: tuple[int, int]
) -> None:
    """As it is, or converted, with its colours."""
    (tmp_path / "cover").write_bytes(content)
    found = read_picture(tmp_path / "cover")
    assert found is not None
    assert (found.codec, (found.width, found.height)) == (codec, size)
    is_kept = content[:4] == b"\x89PNG" or content[:2] == b"\xff\xd8"
    assert (found.content == content) == is_kept
    kind = "png_pipe" if codec == "png" else "jpeg_pipe"
    with av.open(io.BytesIO(found.content), "r", format=kind) as image:
        shown = next(image.decode(video=0)).to_ndarray(format="rgb24")
    if size == (64, 48):
        assert shown[24, 60, 0] > 200
        assert shown[24, 2, 0] < 40


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        picture()[:20],
        encode("libwebp", "yuv420p")[:30],
        b"RIFF\x04\0\0\0WAVE",
        b"GIF89a",
        b"#EXTM3U\nfile:///etc/passwd\n",
    ],
)
def test_what_is_no_picture_is_none(tmp_path: Path, content: bytes) -> None:
    """Neither a drawing, nor a torn one, nor a list of files."""
    (tmp_path / "cover").write_bytes(content)
    assert read_picture(tmp_path / "cover") is None
    assert read_picture(tmp_path / "gone") is None
