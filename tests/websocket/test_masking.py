"""The fast masker gives what wsproto's gives, or stays out of the way."""

import logging

import pytest
import wsproto.frame_protocol
from hypothesis import given, settings
from hypothesis import strategies as st

from batchjobs.websocket import masking

_theirs = wsproto.frame_protocol.XorMaskerSimple


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put wsproto's own masker in place before each test, and what was there back after it."""
    monkeypatch.setattr(wsproto.frame_protocol, "XorMaskerSimple", _theirs)


@settings(max_examples=100)
@given(
    key=st.binary(min_size=4, max_size=4),
    key_type=st.sampled_from([bytes, bytearray]),
    data_type=st.sampled_from([bytes, bytearray]),
    parts=st.lists(st.binary(max_size=600), max_size=8),
    filler=st.integers(0, 5_000),
)
def test_ours_and_theirs_mask_alike_however_the_data_is_cut(
    key: bytes,
    key_type: type[bytes | bytearray],
    data_type: type[bytes | bytearray],
    parts: list[bytes],
    filler: int,
) -> None:
    """Any data in any pieces, small and large, with any kind of key gives wsproto's bytes."""
    ours, theirs = masking._NumpyMasker(key_type(key)), _theirs(key_type(key))
    for part in [*parts, b"\xa5" * filler, *parts]:
        masked = ours.process(data_type(part))
        assert isinstance(masked, bytearray)
        assert masked == theirs.process(bytearray(part))


def test_masking_twice_gives_the_data_back_and_leaves_the_data_alone() -> None:
    """Masking is its own inverse, and what is masked is not changed in place."""
    key = bytearray(b"\x01\x80\xfe\x7f")
    data = bytearray("السَّلامُ عَلَيْكُم ـ 123".encode() * 100)
    kept = bytes(data)
    masked = masking._NumpyMasker(key).process(data)
    assert data == kept
    assert key == b"\x01\x80\xfe\x7f"
    assert masking._NumpyMasker(key).process(masked) == kept


def test_frames_go_through_the_fast_masker_once_it_is_installed() -> None:
    """The library itself makes frames with it, and reads them back."""
    assert masking.install_fast_masker()
    assert vars(wsproto.frame_protocol)["XorMaskerSimple"] is masking._NumpyMasker
    client = wsproto.frame_protocol.FrameProtocol(client=True, extensions=[])
    server = wsproto.frame_protocol.FrameProtocol(client=False, extensions=[])
    text = "نَصٌّ " * 50_000
    frame = client.send_data(text)
    for start in range(0, len(frame), 7_001):
        server.receive_bytes(bytes(frame[start : start + 7_001]))
    heard = "".join(str(part.payload) for part in server.received_frames())
    assert heard == text


def test_to_install_it_twice_is_to_install_it_once() -> None:
    """The second call sees that the work is done."""
    assert masking.install_fast_masker()
    assert masking.install_fast_masker()


class _WrongBytes:
    """A masker that does something else."""

    def __init__(self, key: bytes) -> None:
        """Take the key as wsproto's does."""

    def process(self, data: bytes) -> bytes:
        """Give what came."""
        return bytes(data)


class _OtherMethod:
    """A masker that is called otherwise."""

    def __init__(self, key: bytes) -> None:
        """Take the key as wsproto's does."""


class _OtherArguments:
    """A masker that wants to know more."""

    def __init__(self, key: bytes, mode: str) -> None:
        """Take more than the key."""


class _OtherKey(_WrongBytes):
    """A masker that wants another key."""

    def __init__(self, key: bytes) -> None:
        """Take no key of four bytes."""
        raise ValueError(key)


@pytest.mark.parametrize(
    "found", [None, 3, _WrongBytes, _OtherMethod, _OtherArguments, _OtherKey], ids=str
)
def test_a_wsproto_that_has_changed_keeps_its_own_masker(
    found: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What does not give the same bytes, or cannot be asked, is left in place, and a line says so."""
    monkeypatch.setattr(wsproto.frame_protocol, "XorMaskerSimple", found)
    with caplog.at_level(logging.WARNING):
        assert not masking.install_fast_masker()
    assert wsproto.frame_protocol.XorMaskerSimple is found
    assert "wsproto has changed" in caplog.text


def test_a_wsproto_without_the_class_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is put where nothing was."""
    monkeypatch.delattr(wsproto.frame_protocol, "XorMaskerSimple")
    assert not masking.install_fast_masker()
    assert not hasattr(wsproto.frame_protocol, "XorMaskerSimple")
