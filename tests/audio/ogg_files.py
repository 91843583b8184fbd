"""Ogg files, cut into their pages and sealed again."""

import io

import numpy as np
import soundfile


def write_ogg(samples: np.ndarray, subtype: str, rate: int = 16_000) -> bytes:
    """Write an Ogg file with libsndfile."""
    content = io.BytesIO()
    soundfile.write(content, samples, rate, format="OGG", subtype=subtype)
    return content.getvalue()


def cut_pages(content: bytes) -> list[bytearray]:
    """Cut a file into its pages."""
    pages = []
    at = 0
    while at < len(content):
        count = content[at + 26]
        end = at + 27 + count + sum(content[at + 27 : at + 27 + count])
        pages.append(bytearray(content[at:end]))
        at = end
    return pages


def seal(page: bytes | bytearray) -> bytes:
    """Give a page the checksum of RFC 3533."""
    sealed = bytearray(page)
    sealed[22:26] = bytes(4)
    crc = 0
    for byte in sealed:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C1_1DB7 if crc & 0x8000_0000 else 0)) & 0xFFFF_FFFF
    sealed[22:26] = crc.to_bytes(4, "little")
    return bytes(sealed)


def move_page(page: bytes | bytearray, samples: int) -> bytes:
    """Move a page to a later position."""
    moved = bytearray(page)
    position = int.from_bytes(page[6:14], "little") + samples
    moved[6:14] = position.to_bytes(8, "little")
    return seal(moved)
