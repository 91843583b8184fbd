"""The kinds of files that an audiobook is made of, and how FFmpeg makes and reads each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

M4B: Final = "m4b"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind:
    """A kind of file.

    Attributes:
        muxer: FFmpeg's, which writes it.
        demuxer: FFmpeg's, which reads it again.
        codec: FFmpeg's encoder.
        muxer_options: Of the muxer.
        codec_options: Of the encoder.
        loss_db: By how much the encoder lowers the level.
        has_bitrate: Whether a bit rate can be asked of it.
    """

    muxer: str
    demuxer: str
    codec: str
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    codec_options: Mapping[str, str] = field(default_factory=dict)
    loss_db: float = 0.0
    has_bitrate: bool = True


KINDS: Final = {
    M4B: FileKind(
        muxer="mp4",  # of those for AAC, only this one takes a cover through the library
        demuxer="mov",
        codec="aac",
        muxer_options={"movflags": "+faststart", "brand": "M4B "},
        # FFmpeg's default search, twoloop, errs in single frames: on espeak's speech at 64 kbit/s it
        # came out 23 dB above its noise with peaks up to 4 dB too high; this one 32 dB, with peaks
        # as they were, in half the time.
        codec_options={"aac_coder": "fast"},
    ),
    # LAME scales by 0.95 by default, and FFmpeg has no option for it.
    "mp3": FileKind(muxer="mp3", demuxer="mp3", codec="libmp3lame", loss_db=0.4455),
    "flac": FileKind(muxer="flac", demuxer="flac", codec="flac", has_bitrate=False),
}
