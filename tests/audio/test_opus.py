"""Opus recordings with gaps in their time: silence is where nothing was recorded."""

from pathlib import Path

import numpy as np
import pytest

from batchjobs.audio import decoding
from batchjobs.audio.opus import measure_packet
from tests.audio.ogg_files import cut_pages, move_page, seal, write_ogg

RATE = 16_000
SOUND = (np.sin(np.arange(RATE * 6) / 6) * 9_000).astype("<i2")
HERTZ = 48_000
"""Of positions in Opus."""


def find_silence(path: Path) -> tuple[float, float, float]:
    """Find where silence begins and ends, and how long the recording is, in seconds."""
    samples = np.frombuffer(b"".join(decoding.pcm_chunks(path)), "<i2").astype(float)
    whole = len(samples) // 160 * 160
    quiet = np.flatnonzero(np.abs(samples[:whole]).reshape(-1, 160).mean(axis=1) < 100) / 100
    return quiet[0], quiet[-1] + 0.01, len(samples) / RATE


@pytest.mark.parametrize("seconds", [0.5, 5.0, 70.0])
@pytest.mark.parametrize("is_ended", [True, False])
def test_a_jump_of_the_positions_is_silence(
    tmp_path: Path, seconds: float, *, is_ended: bool
) -> None:
    """A recorder that leaves silence out, or lost its connection, goes on at the right time."""
    pages = cut_pages(write_ogg(SOUND, "OPUS"))
    if not is_ended:
        pages[-1][5] &= 0xFB
    content = b"".join(map(seal, pages[:5]))
    content += b"".join(move_page(page, int(seconds * HERTZ)) for page in pages[5:])
    path = tmp_path / "a.opus"
    path.write_bytes(content)
    assert decoding.probe(path).seconds == pytest.approx(6 + seconds, abs=0.02)
    begin, end, length = find_silence(path)
    assert (begin, end) == pytest.approx((3, 3 + seconds), abs=0.06)
    assert length == pytest.approx(6 + seconds, abs=0.02)


def test_small_jumps_add_up(tmp_path: Path) -> None:
    """Each may be the writer's rounding; together they are time that passed."""
    pages = cut_pages(write_ogg(SOUND, "OPUS"))
    path = tmp_path / "a.opus"
    path.write_bytes(
        b"".join(
            move_page(page, max(0, number - 2) * HERTZ // 25) if page[6:14] != bytes(8) else page
            for number, page in enumerate(pages)
        )
    )
    *_, length = find_silence(path)
    assert length == pytest.approx(6.2, abs=0.11)


def test_packets_are_measured_as_the_format_says() -> None:
    """By their kind, and by how many frames they hold."""
    assert measure_packet(b"") == 0
    assert measure_packet(bytes([0 << 3])) == 480
    assert measure_packet(bytes([11 << 3 | 1])) == 2 * 2_880
    assert measure_packet(bytes([13 << 3 | 2])) == 2 * 960
    assert measure_packet(bytes([31 << 3 | 3, 0x80 | 3])) == 3 * 960
    assert measure_packet(bytes([16 << 3 | 3])) == 0
