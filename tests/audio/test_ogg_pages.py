"""Pages that are damaged or missing: named, where decoders leave them out without a word."""

from pathlib import Path

import numpy as np
import pytest

from batchjobs.audio import decoding
from batchjobs.audio.ogg_pages import make_checksum, walk_pages
from batchjobs.errors import RecordingError
from tests.audio.ogg_files import cut_pages, seal, write_ogg

RATE = 16_000
SOUND = np.random.default_rng(4).integers(-9_000, 9_000, RATE * 6).astype("<i2")


def last_is_open(page: bytes) -> bytes:
    """Take the mark of the last page, so that FFmpeg reads the file."""
    return seal(page[:5] + bytes([page[5] & 0xFB]) + page[6:])


@pytest.mark.parametrize("is_ended", [True, False])
@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_damaged_page_is_told_by_its_place(
    tmp_path: Path, subtype: str, *, is_ended: bool
) -> None:
    """Libsndfile and FFmpeg drop it: a second of words would be lost from a job that is done."""
    pages = [bytes(page) for page in cut_pages(write_ogg(SOUND, subtype))]
    if not is_ended:
        pages[-1] = last_is_open(pages[-1])
    path = tmp_path / "a.ogg"
    path.write_bytes(b"".join(pages))
    assert decoding.probe(path).seconds == pytest.approx(6, abs=0.05)
    damaged = len(pages) // 2
    begin = sum(map(len, pages[:damaged]))
    pages[damaged] = pages[damaged][:-5] + bytes([pages[damaged][-5] ^ 0x55]) + pages[damaged][-4:]
    path.write_bytes(b"".join(pages))
    with pytest.raises(RecordingError, match=f"damaged in the Ogg page at byte {begin}"):
        decoding.probe(path)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_pages_that_were_taken_out_are_counted(tmp_path: Path, subtype: str) -> None:
    """But who comes in later hears from there, and a writer that numbers none is no damage."""
    pages = [bytes(page) for page in cut_pages(write_ogg(SOUND, subtype))]
    headers = sum(page[6:14] == bytes(8) for page in pages)
    path = tmp_path / "a.ogg"
    path.write_bytes(b"".join(pages[: headers + 1] + pages[headers + 2 :]))
    place = sum(map(len, pages[: headers + 1]))
    with pytest.raises(RecordingError, match=f"at byte {place}: 1 Ogg pages are missing"):
        decoding.probe(path)
    path.write_bytes(b"".join(pages[:headers] + pages[headers + 1 :]))
    assert 0.1 < decoding.probe(path).seconds < 6
    path.write_bytes(b"".join(seal(page[:18] + bytes(4) + page[22:]) for page in pages))
    with path.open("rb") as file:
        assert len(list(walk_pages(file))) == len(pages)


def test_checksums_are_those_of_the_format() -> None:
    """Of real pages, and of any bytes."""
    for page in cut_pages(write_ogg(SOUND[:RATE], "OPUS")):
        said = int.from_bytes(page[22:26], "little")
        page[22:26] = bytes(4)
        assert make_checksum(bytes(page)) == said
    data = np.random.default_rng(5).bytes(3_000)
    assert make_checksum(data[:22] + bytes(4) + data[26:]) == int.from_bytes(
        seal(data)[22:26], "little"
    )
