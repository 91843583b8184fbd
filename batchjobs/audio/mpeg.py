"""MPEG audio (MP3, layers I and II): its parts and their true lengths, by its own count of frames.

libsndfile guesses a length from the first frame. Measured: of 10 s at a variable bit rate without a
Xing header, libsndfile 1.2.2 reads 2.9 s and reports no error; of two MP3s joined it reads the first.
"""

from dataclasses import dataclass
from functools import cache
from io import BufferedReader
from typing import Final, NamedTuple

from batchjobs.audio.parts import Part
from batchjobs.audio.source import CONVERT_HINT, KEEP_REST_HINT, read_at, size_of
from batchjobs.audio.trailers import skip_trailers
from batchjobs.errors import RecordingError

_KILOBITS: Final = {  # by (MPEG 1?, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SAMPLE_RATES: Final = (44_100, 48_000, 32_000)
_DIVISORS: Final = {3: 1, 2: 2, 0: 4}
"""Of the sample rate, by the version's two bits: MPEG 1, 2 and 2.5."""
_READ_BYTES: Final = 1 << 17
_WALKED_BYTES: Final = 1 << 20
"""A longer file is not read for what its header says: a look at it would take as long as a copy."""
_FRAMES_IN_A_ROW: Final = 8
"""As many are no accident."""
_FRAME_HEAD_BYTES: Final = 64
"""A frame's header, and the Xing or VBRI header that may stand in the frame."""
_VBRI_AT: Final = 36
_XING: Final = (b"Xing", b"Info")
_SLACK_FRAMES: Final = 4
"""A decoder leaves out the encoder's delay and padding, and a header frame may be counted."""


class Frame(NamedTuple):
    """What a frame's header says.

    Attributes:
        length: In bytes, with its header.
        samples: Per channel.
        sample_rate: In hertz.
        layer: 1 to 3.
        is_mono: Whether it has one channel.
        tag_at: Where a Xing header would stand.
    """

    length: int
    samples: int
    sample_rate: int
    layer: int
    is_mono: bool
    tag_at: int

    @property
    def shape(self) -> tuple[int, int, bool]:
        """What a decoder needs to be the same from frame to frame."""
        return self.sample_rate, self.layer, self.is_mono


@dataclass(frozen=True, slots=True)
class _Run:
    """Frames one after the other.

    Attributes:
        end: Where they end.
        count: How many are whole.
    """

    end: int
    count: int


def read_frame(head: bytes) -> Frame | None:
    """Read a frame's header.

    Returns:
        What it says; None if it is none, or of a free bit rate.
    """
    if len(head) < 4 or head[0] != 0xFF:
        return None
    return _read_header(head[1], head[2], head[3] & 0xC0)


@cache
def _read_header(version_byte: int, rate_byte: int, mode: int) -> Frame | None:
    """Read the bytes behind the first; there are few that differ."""
    version, layer = version_byte >> 3 & 3, 4 - (version_byte >> 1 & 3)
    rate, sampling = rate_byte >> 4, rate_byte >> 2 & 3
    if version_byte < 0xE0 or version == 1 or layer == 4 or rate in {0, 15} or sampling == 3:
        return None
    kilobits = _KILOBITS[version == 3, layer][rate - 1]
    sample_rate = _SAMPLE_RATES[sampling] // _DIVISORS[version]
    padding = rate_byte >> 1 & 1
    is_mono = mode == 0xC0
    if layer == 1:
        length, samples = (12_000 * kilobits // sample_rate + padding) * 4, 384
    else:
        samples = 576 if layer == 3 and version != 3 else 1_152
        length = samples // 8 * 1_000 * kilobits // sample_rate + padding
    side = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}
    return Frame(length, samples, sample_rate, layer, is_mono, 4 + side[version == 3, is_mono])


def read_mpeg(file: BufferedReader, offset: int) -> tuple[Part, ...]:
    """Find the parts of MPEG audio: one, or several that were joined.

    The length of each is told by its Xing header, where the file bears that out, or else found by a
    walk over all frames, which reads the whole file, at some million frames a second.

    Args:
        file: The open file; its position is changed, its name is for messages.
        offset: Where the first frame starts.

    Raises:
        RecordingError: Not MPEG audio, damaged, or cut off.
    """
    size = size_of(file)
    parts = []
    position = offset
    while position < size:
        part, position = _read_part(file, position, size)
        if part.frames:
            parts.append(part)
        position = skip_trailers(file, position, size)
        if position < size and not _is_frame(file, position) and not has_frames(file, position):
            break
    if len(parts) == 1:  # tags are for the decoder to skip
        only = parts[0]
        start = 0 if only.start == offset else only.start
        parts = [Part(start=start, end=size, frames=only.frames, slack=only.slack)]
    if not parts:
        raise RecordingError(f"{file.name} holds no audio", hint="leave this row out")
    return tuple(parts)


def _is_frame(file: BufferedReader, position: int) -> bool:
    return read_frame(read_at(file, position, 4)) is not None


def _read_part(file: BufferedReader, start: int, size: int) -> tuple[Part, int]:
    """Read the part that starts here; give it, and where it ends."""
    head = read_at(file, start, _FRAME_HEAD_BYTES)
    frame = read_frame(head)
    if frame is None:
        raise RecordingError(
            f"{file.name} is damaged at byte {start}, where an MP3 frame should begin"
            if start
            else f"{file.name} is MPEG audio, but not an MP3",
            hint=CONVERT_HINT,
        )
    claim = _read_claim(head, frame)
    if claim is not None and claim.end > size - start:
        raise RecordingError(
            f"{file.name} is truncated: it claims {claim.end} bytes and holds {size - start}",
            hint=KEEP_REST_HINT,
        )
    if claim is not None and _is_borne_out(file, head, frame, claim, start):
        run = _Run(start + claim.end, claim.count)
    else:
        run = _walk(file, start, size, frame, claim)
    # A header that counts other frames than are there would have the decoder stop early.
    is_wrong = claim is not None and abs(claim.count - run.count) > 1
    part = Part(
        start=start + frame.length if is_wrong else start,
        end=run.end,
        frames=run.count * frame.samples,
        slack=_SLACK_FRAMES * frame.samples,
    )
    return part, run.end


def _read_claim(head: bytes, frame: Frame) -> _Run | None:
    """Read the bytes and frames that a Xing or VBRI header claims; None without one."""
    tag = head[frame.tag_at :]
    if tag.startswith(_XING) and len(tag) >= 16 and tag[7] & 3 == 3:
        count, length = int.from_bytes(tag[8:12]), int.from_bytes(tag[12:16])
    elif head.startswith(b"VBRI", _VBRI_AT) and len(head) >= _VBRI_AT + 18:
        tag = head[_VBRI_AT:]
        length, count = int.from_bytes(tag[10:14]), int.from_bytes(tag[14:18])
    else:
        return None
    return _Run(length, count) if count and length else None


def _is_borne_out(file: BufferedReader, head: bytes, frame: Frame, claim: _Run, start: int) -> bool:
    """Tell whether a constant bit rate makes as many bytes of as many frames.

    Of a variable one nothing but a walk can tell; of long files `has_frames` tells when they were read.
    """
    if claim.end > _WALKED_BYTES:
        return True
    second = read_frame(head[frame.length :] or read_at(file, start + frame.length, 4))
    if second is None:
        return False
    # A frame may be padded by a byte, and the header's own may be counted or not.
    return abs(claim.end - claim.count * second.length) <= claim.count + 2 * frame.length


def _walk(file: BufferedReader, start: int, size: int, first: Frame, claim: _Run | None) -> _Run:
    """Walk over the frames that belong together.

    They end at a tag, at a frame of another shape, at another Xing header, or with the file. A frame
    that is such a header holds no sound.
    """
    position, count = start, 0
    lengths: dict[bytes, int] = {}
    tag_at, tag_end = first.tag_at, first.tag_at + 4
    while position < size:
        data = read_at(file, position, _READ_BYTES)
        if len(data) < min(_READ_BYTES, size - position):
            raise RecordingError(
                f"{file.name} became shorter while it was read", hint=KEEP_REST_HINT
            )
        if position + len(data) == size:
            data += bytes(_FRAME_HEAD_BYTES)
        at, last = 0, len(data) - _FRAME_HEAD_BYTES - 1
        while at <= last:
            head = data[at : at + 4]
            length = lengths.get(head)
            if length is None:
                frame = read_frame(head)
                if frame is None and (claim is None or at + position != start + claim.end):
                    _check_end(file, position + at, size, count)
                length = frame.length if frame and frame.shape == first.shape else 0
                lengths[head] = length
            # Before a Xing header stand zeros.
            if not length or (
                not data[at + 5] and count and data[at + tag_at : at + tag_end] in _XING
            ):
                return _Run(position + at, count - (claim is not None))
            at += length
            count += 1
        position += at
    # A recorder that was stopped leaves a part of a frame.
    return _Run(size, count - (position > size) - (claim is not None))


def _check_end(file: BufferedReader, position: int, size: int, count: int) -> None:
    """Refuse what follows the last frame, if it does not begin with tags or zeros."""
    if skip_trailers(file, position, size) == position:
        raise RecordingError(
            f"{file.name} is damaged after {count} MP3 frames, at byte {position}",
            hint=CONVERT_HINT,
        )


def has_frames(file: BufferedReader, position: int) -> bool:
    """Tell whether there are frames behind a position, which may be within one.

    Args:
        file: The open file; its position is changed.
        position: Where to begin.
    """
    data = read_at(file, position, _READ_BYTES)
    at = -1
    while (at := data.find(b"\xff", at + 1)) >= 0:
        place = at
        for _ in range(_FRAMES_IN_A_ROW):
            frame = read_frame(data[place : place + 4])
            if frame is None:
                break
            place += frame.length
        else:
            return True
    return False
