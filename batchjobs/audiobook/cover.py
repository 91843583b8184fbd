"""An audiobook's cover: a picture, read without harm and put into a file."""

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from av.container import OutputContainer

_PICTURES: Final = {b"\x89PNG": "png_pipe", b"\xff\xd8": "jpeg_pipe"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A cover: PNG or JPEG, as FFmpeg calls them, with its size in pixels."""

    codec: str
    width: int
    height: int
    content: bytes


def read_picture(path: Path) -> Picture | None:
    """Read a cover; None if there is none that players show."""
    import av

    try:
        content = path.read_bytes()
        # By its first bytes: guessing, FFmpeg would take a playlist that names other files.
        kind = next((kind for mark, kind in _PICTURES.items() if content.startswith(mark)), None)
        if kind is None:
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
    except (OSError, IndexError, av.error.FFmpegError):
        return None


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
