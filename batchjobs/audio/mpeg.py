"""An MP3's true length, by its own count of frames: libsndfile guesses it from the first frame.

Measured: of 10 s at a variable bit rate without a Xing header, libsndfile 1.2.2 reads 2.9 s and
reports no error; of two MP3s joined it reads the first.
"""

from dataclasses import dataclass
from io import BufferedReader

from batchjobs.audio.source import CONVERT_HINT, KEEP_REST_HINT
from batchjobs.errors import RecordingError

_KILOBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_KILOBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_SAMPLE_RATES_1 = (44_100, 48_000, 32_000, 0)
_RATE_SHIFTS = {3: 0, 2: 1, 0: 2}
"""By the version's two bits: MPEG 1, 2 and 2.5; each halves the sample rate."""
_TRAILERS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI")


@dataclass(frozen=True, slots=True, kw_only=True)
class MpegLength:
    """How long an MP3 is.

    Attributes:
        frames: Samples per channel, with what the encoder put before and after.
        slack: How many fewer a decoder may give without anything being lost.
    """

    frames: int
    slack: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    length: int
    """In bytes, with its header."""
    samples: int
    tag_at: int
    """Where a Xing header would stand."""


def mpeg_length(file: BufferedReader, offset: int, size: int) -> MpegLength:
    """Find an MP3's length from its Xing header, or by walking over all its frames.

    Args:
        file: The open file; its position is changed, its name is for messages.
        offset: Where the first frame starts.
        size: Bytes of the file.

    Returns:
        The length. A walk reads the whole file, at about a million frames a second.

    Raises:
        RecordingError: Not MPEG layer III, damaged, cut off, or several files joined.
    """
    file.seek(offset)
    head = file.read(64)
    frame = _read_frame(head)
    if frame is None:
        raise RecordingError(f"{file.name} is MPEG audio, but not an MP3", hint=CONVERT_HINT)
    count = _count_xing_frames(file, head[frame.tag_at :], offset, size) or _walk_frames(
        file, offset, size
    )
    # A decoder leaves out the encoder's delay and padding, and a header frame may be counted.
    return MpegLength(frames=count * frame.samples, slack=4 * frame.samples)


def _read_frame(head: bytes) -> _Frame | None:
    """Read a frame's header; None if these bytes are none of layer III."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version = head[1] >> 3 & 3
    rate = _SAMPLE_RATES_1[head[2] >> 2 & 3] >> _RATE_SHIFTS.get(version, 32)
    kilobits = (_KILOBITS_1 if version == 3 else _KILOBITS_2)[head[2] >> 4]
    if not rate or not kilobits:
        return None
    samples = 1152 if version == 3 else 576
    mono = head[3] >> 6 == 3
    side = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}
    return _Frame(
        length=samples // 8 * kilobits * 1000 // rate + (head[2] >> 1 & 1),
        samples=samples,
        tag_at=4 + side[version == 3, mono],
    )


def _count_xing_frames(file: BufferedReader, tag: bytes, offset: int, size: int) -> int:
    """Read the number of frames from a Xing header that fits the file; 0 without one."""
    if not tag.startswith((b"Xing", b"Info")) or len(tag) < 16 or tag[7] & 3 != 3:
        return 0
    frames, length = int.from_bytes(tag[8:12]), int.from_bytes(tag[12:16])
    if not frames or not length:
        return 0
    if length > size - offset:
        raise RecordingError(
            f"{file.name} is truncated: it claims {length} bytes and holds {size - offset}",
            hint=KEEP_REST_HINT,
        )
    file.seek(offset + length)
    if _read_frame(file.read(4)) is not None:
        raise RecordingError(f"{file.name} holds more than its header says", hint=CONVERT_HINT)
    return frames


def _walk_frames(file: BufferedReader, offset: int, size: int) -> int:
    """Count the frames that are there."""
    count = 0
    position = offset
    file.seek(offset)
    while position < size:
        head = file.read(4)
        frame = _read_frame(head)
        if frame is None:
            _check_trailer(file, head, position, count)
            break
        position += frame.length
        count += position <= size  # a recorder that was stopped leaves a part of one
        file.read(frame.length - 4)
    return count


def _check_trailer(file: BufferedReader, head: bytes, position: int, count: int) -> None:
    """Refuse what follows the last frame, if it is neither tags nor zeros."""
    rest = head + file.read(16)
    if rest.startswith(_TRAILERS) or not any(rest):
        return
    raise RecordingError(
        f"{file.name} is damaged after {count} MP3 frames, at byte {position}", hint=CONVERT_HINT
    )
