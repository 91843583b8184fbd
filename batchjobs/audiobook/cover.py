"""An audiobook's cover: a picture, read without harm and put into a file."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from av.container import OutputContainer

SHOWN_PICTURES: Final = "JPEG, PNG, WebP, GIF or BMP"
_AS_THEY_ARE: Final = {b"\x89PNG": "png_pipe", b"\xff\xd8": "jpeg_pipe"}
"""What players show."""
_CONVERTED: Final = {b"RIFF": "webp_pipe", b"GIF8": "gif", b"BM": "bmp_pipe"}
_FINE_JPEG: Final = {"flags": "+qscale", "global_quality": "354"}
"""FFmpeg's quality 3 of 1 to 31: a photograph as it was, to the eye."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A cover: PNG or JPEG, as FFmpeg calls them, with its size in pixels."""

    codec: str
    width: int
    height: int
    content: bytes


def read_picture(path: Path) -> Picture | None:
    """Read a cover; None if there is none that can be shown.

    Pictures that players do not know become a JPEG, or a PNG if they are see-through or have a
    palette.
    """
    import av

    try:
        content = path.read_bytes()
        if _find_kind(content, _CONVERTED):
            content = _convert(content)
        # By its first bytes: guessing, FFmpeg would take a playlist that names other files.
        kind = _find_kind(content, _AS_THEY_ARE)
        if not kind:
            return None
        with av.open(io.BytesIO(content), format=kind) as image:
            stream = image.streams.video[0]
            if not stream.width:
                return None  # torn
            return Picture(
                codec=stream.codec_context.name,
                width=stream.width,
                height=stream.height,
                content=content,
            )
    except (OSError, IndexError, StopIteration, ValueError, av.error.FFmpegError):
        return None


def _find_kind(content: bytes, kinds: Mapping[bytes, str]) -> str:
    """Find FFmpeg's name of a picture's kind by its first bytes; empty for one of no such kind."""
    return next((kind for mark, kind in kinds.items() if content.startswith(mark)), "")


def _convert(content: bytes) -> bytes:
    """Write a picture, an animation's first, as JPEG or PNG."""
    import av

    with av.open(io.BytesIO(content), "r", format=_find_kind(content, _CONVERTED)) as image:
        frame = next(image.decode(video=0))
    is_drawn = frame.format.name == "pal8" or any(c.is_alpha for c in frame.format.components)
    codec, pixels, options = (
        ("png", "rgba", {}) if is_drawn else ("mjpeg", "yuvj444p", dict(_FINE_JPEG))
    )
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, pixels
    encoder.time_base, encoder.options = Fraction(1, 1), options
    shown = frame.reformat(format=pixels)
    shown.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(shown), *encoder.encode(None)])


def add_cover(container: "OutputContainer", picture: Picture) -> None:
    """Put a picture into a file that is about to be written."""
    import av
    from av.stream import Disposition

    stream = container.add_mux_stream(
        picture.codec, rate=1, width=picture.width, height=picture.height
    )
    stream.time_base = Fraction(1, 1)
    stream.disposition = Disposition.attached_pic
    packet = av.Packet(picture.content)
    packet.stream = stream
    packet.pts = packet.dts = 0
    packet.time_base = Fraction(1, 1)
    packet.is_keyframe = True
    container.start_encoding()
    container.mux(packet)
