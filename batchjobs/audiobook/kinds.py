"""The kinds of files that an audiobook is made of, and how FFmpeg makes and reads each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

M4B: Final = "m4b"
MOST_LISTED_CHAPTERS: Final = 255
"""Nero's list of chapters (``chpl``) has one byte for their number; FFmpeg leaves out the others."""
_MOVFLAGS: Final = "movflags"


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
        has_loose_bitrate: Whether what comes out is another one: FFmpeg's AAC encoder lets frames be
            up to half as large again, and made 79 kbit/s of 64 asked for.
        is_lossy: Whether other samples come out than went in.
    """

    muxer: str
    demuxer: str
    codec: str
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    codec_options: Mapping[str, str] = field(default_factory=dict)
    loss_db: float = 0.0
    has_bitrate: bool = True
    has_loose_bitrate: bool = False
    is_lossy: bool = True

    def options_for(self, chapters: int) -> dict[str, str]:
        """Give the muxer's options for a file of so many chapters.

        An M4B has two lists of chapters. Where one cannot hold them all they would disagree, and
        players that read that one show the last hours as one chapter: then only QuickTime's is
        written, which has no such bound.
        """
        options = dict(self.muxer_options)
        if chapters > MOST_LISTED_CHAPTERS and _MOVFLAGS in options:
            options[_MOVFLAGS] += "+disable_chpl"
        return options


KINDS: Final = {
    M4B: FileKind(
        muxer="mp4",  # of those for AAC, only this one takes a cover through the library
        demuxer="mov",
        codec="aac",
        muxer_options={_MOVFLAGS: "+faststart", "brand": "M4B "},
        # FFmpeg's default search, twoloop, errs in single frames: on espeak's speech at 64 kbit/s it
        # came out 23 dB above its noise with peaks up to 4 dB too high; this one 32 dB, with peaks
        # as they were, in half the time.
        codec_options={"aac_coder": "fast"},
        has_loose_bitrate=True,
    ),
    # LAME scales by 0.95 by default, and FFmpeg has no option for it.
    "mp3": FileKind(muxer="mp3", demuxer="mp3", codec="libmp3lame", loss_db=0.4455),
    "flac": FileKind(muxer="flac", demuxer="flac", codec="flac", has_bitrate=False, is_lossy=False),
}
