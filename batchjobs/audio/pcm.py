"""16-bit PCM as numbers: to and from float, its header, and what can be measured of it."""

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from batchjobs.errors import OutputError

_FULL_SCALE = 32_768
_LONGEST_WAV_BYTES = 0xFFFF_FFFF - 36

_FIRST_BYTES = 4_096
_EDGE_SECONDS = 0.02
_VOICED_ABOVE = 0.1
_ABRUPT_ABOVE = 0.3
_ABRUPT_FROM_SECONDS = 0.2
_ABRUPT_WITHIN_SECONDS = 30.0
_EDGES_SECONDS = 3.0
"""No more silence than this is looked for at either end."""
_SILENT_BELOW = 0.03
"""Of the loudest: what is said at the end of a breath is above it."""


def to_floats(
    data: bytes, *, sample_format: str = "i2", is_big_endian: bool = False
) -> NDArray[np.float32]:
    """Scale samples as they stand in a file to -1 to 1, as libsndfile does.

    Args:
        data: Whole samples.
        sample_format: As numpy names it (``u1``, ``i1``, ``i2``, ``i4``, ``f4``, ``f8``), or ``i3``;
            ``U1`` and ``A1`` are the curves of telephones (G.711).
        is_big_endian: Whether the first byte of a sample is its highest.

    Returns:
        One number a sample; floats may be beyond full scale, or no numbers.
    """
    order = ">" if is_big_endian else "<"
    if sample_format == "i3":  # as the upper three bytes of four
        wide = np.zeros((len(data) // 3, 4), dtype="u1")
        place = slice(0, 3) if is_big_endian else slice(1, 4)
        wide[:, place] = np.frombuffer(data, dtype="u1").reshape(-1, 3)
        return to_floats(wide.tobytes(), sample_format="i4", is_big_endian=is_big_endian)
    if sample_format in _G711:
        return np.take(_G711[sample_format], np.frombuffer(data, dtype="u1"))
    numbers = np.frombuffer(data, dtype=f"{order}{sample_format}")
    with np.errstate(over="ignore", invalid="ignore"):  # the result is checked where it is used
        scaled = numbers.astype(np.float32)
    if sample_format == "u1":
        scaled -= np.float32(128)
    if not sample_format.startswith("f"):
        scaled /= np.float32(2 ** (8 * numbers.itemsize - 1))
    return scaled


def _expand_mu_law() -> NDArray[np.float32]:
    """Give what each byte of mu-law stands for (ITU-T G.711), of 16 bits."""
    code = ~np.arange(256, dtype=np.uint8)
    size = ((code & 0x0F).astype(np.int32) << 3) + 0x84 << (code >> 4 & 7)
    return (np.where(code & 0x80, 0x84 - size, size - 0x84) / _FULL_SCALE).astype(np.float32)


def _expand_a_law() -> NDArray[np.float32]:
    """Give what each byte of A-law stands for (ITU-T G.711), of 16 bits."""
    code = np.arange(256, dtype=np.uint8) ^ np.uint8(0x55)
    exponent = (code >> 4 & 7).astype(np.int32)
    steps = ((code & 0x0F).astype(np.int32) << 4) + np.where(exponent, 0x108, 8)
    size = steps << np.maximum(exponent - 1, 0)
    return (np.where(code & 0x80, size, -size) / _FULL_SCALE).astype(np.float32)


_G711 = {"U1": _expand_mu_law(), "A1": _expand_a_law()}


def average_channels(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average the channels of a block, frames by channels.

    One after the other, because numpy's own sum depends on the block's shape.

    Returns:
        One number a frame; not finite where the sum is not.
    """
    if block.shape[1] == 1:
        return block[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):  # the result is checked where it is used
        total: NDArray[np.float32] = block[:, 0] + block[:, 1]
        for channel in range(2, block.shape[1]):
            total += block[:, channel]
        total /= np.float32(block.shape[1])
    return total


def quantise(block: NDArray[np.float32]) -> bytes:
    """Round to 16 bits, half to even, clipped, without dither.

    Full scale is 32,768, as libsndfile has it, so 16-bit samples come back exactly.

    Returns:
        Little-endian signed 16-bit samples.
    """
    scaled = np.rint(block * np.float32(_FULL_SCALE))
    whole: NDArray[np.int16] = np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1).astype("<i2")
    return whole.tobytes()


def wav_header(size: int, *, sample_rate: int) -> bytes:
    """Make the 44 bytes before one channel of 16-bit PCM.

    Raises:
        OutputError: More than a WAV can hold.
    """
    if size > _LONGEST_WAV_BYTES:
        raise OutputError(f"a WAV cannot hold {size} bytes", hint="use flac")
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + size,
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        sample_rate,
        2 * sample_rate,
        2,
        16,
        b"data",
        size,
    )


def is_silent(pcm: bytes | bytearray) -> bool:
    """Tell whether 16-bit PCM is digital silence: every sample zero, or none there."""
    # In most audio the first bytes tell; numpy would look at all of it.
    if any(pcm[:_FIRST_BYTES]):
        return False
    return not np.frombuffer(pcm, dtype=np.uint8).any()


def window_frames(sample_rate: int) -> int:
    """Give the frames of 20 ms, by which the loudness of speech is compared."""
    return max(1, round(sample_rate * _EDGE_SECONDS))


def window_powers(pcm: bytes | bytearray, *, sample_rate: int) -> NDArray[np.float64]:
    """Measure the mean square of each 20 ms, counted back from the end; a shorter rest is left out."""
    return _mean_squares(_cut_windows(pcm, window_frames(sample_rate)))


def _cut_windows(pcm: bytes | bytearray, width: int) -> NDArray[np.int16]:
    samples = np.frombuffer(pcm, dtype="<i2", count=len(pcm) // 2)
    return samples[len(samples) % width :].reshape(-1, width)


def _mean_squares(windows: NDArray[np.int16]) -> NDArray[np.float64]:
    numbers = windows.astype(np.float32)
    # To square them in an array of their own and take its mean took six times as long.
    powers: NDArray[np.float64] = np.einsum("ij,ij->i", numbers, numbers).astype(np.float64)
    powers /= windows.shape[1]
    return powers


def ends_abruptly(
    pcm: bytes | bytearray, *, sample_rate: int, earlier_powers: Sequence[float] = ()
) -> bool:
    """Tell whether speech seems to be cut off in mid-sound.

    The last 20 ms are compared with the voiced part: all windows of 20 ms of the last half a minute,
    counted back from the end, that have at least a tenth of the loudest one's RMS. It is evidence,
    not proof: a voice may stop on a loud sound, and a cut may fall into a pause.

    Args:
        pcm: Little-endian signed 16-bit samples of one channel.
        sample_rate: In hertz.
        earlier_powers: The `window_powers` of what came before, if that is not at hand.

    Returns:
        Whether the end's RMS is more than 0.3 times that of the voiced part; False for less than
        0.2 s of audio.
    """
    # More would hold the event loop: ten minutes took 90 ms.
    width = window_frames(sample_rate)
    windows = round(_ABRUPT_WITHIN_SECONDS / _EDGE_SECONDS)
    pcm = pcm[max(0, len(pcm) // 2 - windows * width) * 2 :]
    earlier_powers = earlier_powers[-windows:]
    frames = len(pcm) // 2 + len(earlier_powers) * width
    last_powers = window_powers(pcm, sample_rate=sample_rate)
    if frames < sample_rate * _ABRUPT_FROM_SECONDS or not len(last_powers):
        return False
    powers = np.concatenate((np.asarray(earlier_powers, np.float64), last_powers))
    voiced = powers[powers >= powers.max() * _VOICED_ABOVE**2]
    return bool(powers[-1] > voiced.mean() * _ABRUPT_ABOVE**2)


def silent_edges_seconds(
    pcm: bytes | bytearray, *, sample_rate: int, earlier_powers: Sequence[float] = ()
) -> float:
    """Measure the silence at both ends of speech, up to three seconds at either.

    Args:
        pcm: Little-endian signed 16-bit samples of one channel.
        sample_rate: In hertz.
        earlier_powers: The `window_powers` of what came before, if that is not at hand.

    Returns:
        Seconds in whole windows of 20 ms, before the first and after the last that has at least
        0.03 times the RMS of the loudest of those looked at.
    """
    width = window_frames(sample_rate)
    most = round(_EDGES_SECONDS / _EDGE_SECONDS)
    # By every fourth frame: all of them took ten times as long.
    windows = _cut_windows(pcm, width)[:, ::4]
    last = _mean_squares(windows[-most:])
    first = np.asarray(earlier_powers[:most], np.float64)
    if not len(first):
        first = _mean_squares(windows[:most])
    loudest = max(first.max(initial=0.0), last.max(initial=0.0))
    if not loudest:
        return 0.0
    before, after = (_count_silent(powers, loudest) for powers in (first, last[::-1]))
    return (before + after) * width / sample_rate


def _count_silent(powers: NDArray[np.float64], loudest: float) -> int:
    """Count the silent windows before the first that is not."""
    heard = np.flatnonzero(powers >= loudest * _SILENT_BELOW**2)
    return int(heard[0]) if len(heard) else len(powers)
