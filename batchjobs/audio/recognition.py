"""What a file is by its first bytes, whatever it is called: a recording, or something else.

It says more than is read here, so that recordings that cannot be are told from files that are none.
"""

import os
import re
import stat
from pathlib import Path
from typing import Final

from batchjobs.audio.mpeg import read_frame

HEAD_BYTES: Final = 4_096
"""All that is read of a file: two frames of MPEG audio, or twenty packets of a transport stream."""

ENDINGS: Final = frozenset(
    """
    .wav .wave .bwf .rf64 .w64 .flac .ogg .oga .opus .spx .mp3 .mp2 .mp1 .mpa .mpga .aif .aiff .aifc
    .m4a .m4b .m4r .mp4 .m4v .mov .3gp .3gpp .3g2 .3ga .mkv .mka .webm .weba .wma .wmv .asf .caf .aac
    .adts .ac3 .eac3 .dts .au .snd .amr .awb .avi .wv .ape .tta .mpc .mts .m2ts .mpg .mpeg .vob .flv
    .ogv .ogx .ra .rm .rmvb .voc .sph .gsm .dss .ds2 .qcp .dsf .dff .vox
    """.split()
)
"""Names of recordings. ``.ts`` is not among them: most such files are programs."""

_IMAGES: Final = rb"(?:heic|heix|hevc|hevx|heim|heis|mif1|msf1|avif|avis|crx |jp2 |jpx |jpm )"
_MARKS: Final = tuple(
    (re.compile(mark, re.DOTALL), what)
    for mark, what in (
        (rb"(?:RIFF|RF64|BW64|RIFX)....WAVE", "a WAV file"),
        (rb"RIFF....AVI ", "an AVI video"),
        (rb"RIFF....QLCM", "a QCP file"),
        (rb"riff\x2e\x91\xcf\x11", "a Wave64 file"),
        (rb"FORM....(?:AIF[FC]|8SVX)", "an AIFF file"),
        (rb"fLaC", "a FLAC file"),
        (rb"OggS", "an Ogg file"),
        (rb"ID3[\x02-\x04]", "a recording behind an ID3 tag"),
        (rb"....ftyp(?!" + _IMAGES + rb")", "an MP4 file"),
        (rb"\0[\0-\x0f]..(?:moov|mdat|wide|pnot)", "a QuickTime file"),
        (rb"\x1a\x45\xdf\xa3", "a Matroska file"),
        (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media file"),
        (rb"caff\0\x01", "a CAF file"),
        (rb"#!AMR", "an AMR file"),
        (rb"\.snd\0", "an AU file"),
        (rb"wvpk", "a WavPack file"),
        (rb"MAC ", "a Monkey's Audio file"),
        (rb"TTA[12]", "a True Audio file"),
        (rb"MPCK|MP\+", "a Musepack file"),
        (rb"DSD |FRM8.{8}DSD ", "a DSD file"),
        (rb"FLV\x01", "a Flash video"),
        (rb"\.RMF|\.ra\xfd", "a RealMedia file"),
        (rb"Creative Voice File", "a VOC file"),
        (rb"NIST_1A", "a SPHERE file"),
        (rb"[\x01-\x06]ds[s2]", "a dictation"),
        (rb"ADIF", "an AAC file"),
        (rb"\x0b\x77..[\x00-\x25\x40-\x65\x80-\xa5]", "an AC-3 file"),
        (rb"\x7f\xfe\x80\x01", "a DTS file"),
        (rb"\0\0\x01\xba", "an MPEG video"),
        (rb"G.{187}G.{187}G", "an MPEG transport stream"),
        (rb".{4}G.{191}G.{191}G", "an MPEG transport stream"),
    )
)


def recognise(path: Path) -> str:
    """Say what kind of recording a file is, by at most `HEAD_BYTES` of it.

    Args:
        path: A plain file. Should it have become a pipe or a device meanwhile, it is not waited for.

    Returns:
        Such as ``a WAV file``; empty if it is none that is known.

    Raises:
        OSError: It cannot be read, or is no plain file.
    """
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            return ""
        return recognise_head(os.read(number, HEAD_BYTES))
    finally:
        os.close(number)


def recognise_head(head: bytes) -> str:
    """Say what kind of recording begins with these bytes; empty if it is none that is known.

    Args:
        head: The first `HEAD_BYTES`, or all there are.
    """
    for mark, what in _MARKS:
        if mark.match(head):
            return what
    # Their marks are short, and stand in other files too: the next frame has to follow.
    for what, measure in (("an MP3 or MP2 file", _mpeg_frame), ("an AAC file", _adts_frame)):
        length = measure(head, 0)
        if length and measure(head, length):
            return what
    return ""


def _mpeg_frame(head: bytes, start: int) -> int:
    """Give the length of the frame of MPEG audio that begins here; 0 if none does."""
    frame = read_frame(head[start : start + 4])
    return frame.length if frame else 0


def _adts_frame(head: bytes, start: int) -> int:
    """Give the length of the frame of AAC that begins here; 0 if none does."""
    mark = head[start : start + 7]
    if len(mark) < 7 or mark[0] != 0xFF or mark[1] & 0xF6 != 0xF0 or mark[2] >> 2 & 15 > 12:
        return 0
    length = (mark[3] & 3) << 11 | mark[4] << 3 | mark[5] >> 5
    return length if length > 7 else 0
