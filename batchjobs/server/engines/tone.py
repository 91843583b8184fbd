"""The tone engine: texts as pairs of tones, and the same texts exactly out of those tones."""

import functools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from batchjobs.errors import EngineError
from batchjobs.jobs import SpeechSettings
from batchjobs.server.engines.samples import PcmReader
from batchjobs.server.engines.tone_signal import (
    CHECK_BYTES,
    HEADER_BYTES,
    HEADER_SYMBOL_SECONDS,
    PILOT_A,
    PILOT_B,
    PILOT_SECONDS,
    RATES,
    SYMBOL_SECONDS_ALLOWED,
    TONES_HZ,
    decode_text,
    encode_text,
    make_header,
    split_text,
)

_PAYLOAD_SYMBOL_SECONDS = 0.050  # at speed 1: 14 letters a second, less with diacritics
_PAUSE_SECONDS = 0.3
"""After an utterance: six whole frames of `pauses` and two more, which a lossy format may smear."""
_SPACE_PAUSE_SECONDS = 0.5
"""If it ends with white space: of two pauses the longer is cut at, and a cut there tears no word."""
_FADE_SECONDS = 0.003
_AMPLITUDE = 0.18
_BLOCK_SECONDS = 0.5

# -- the decoder's windows ---------------------------------------------------------------------

_WINDOW_SHARE = 0.7  # of a symbol: its middle, so that a start that is 15 % off does no harm
_SCAN_WINDOW_SECONDS = 0.024
_SCAN_HOP_SECONDS = 0.006
_SCAN_REACH = 4  # hops to each side of the change of pilots: 24 ms, the middle of each
_PUSH_SECONDS = 10  # decoded at once, to bound the memory of a long push
_PILOT_SHARE = 0.6  # of the energy in a window; clean pilots have 1.0
_SYMBOL_SHARE = 0.5
_TONE_SHARE = 0.1
_FLOOR = (4 / 32768) ** 2  # mean square below which nothing is heard


# -- synthesis ---------------------------------------------------------------------------------


@functools.lru_cache(maxsize=12)
def _symbols(sample_rate: int, samples: int) -> NDArray[np.int16]:
    """Make all 256 symbols as waves, shape (256, samples)."""
    seconds = np.arange(samples) / sample_rate
    waves = np.sin(2 * np.pi * TONES_HZ[:, None] * seconds) * _envelope(samples, sample_rate)
    both = waves[None, :16] + waves[16:, None]  # [upper half, lower half]
    table: NDArray[np.int16] = np.rint(both.reshape(256, samples) * 32767).astype("<i2")
    return table


@functools.lru_cache(maxsize=12)
def _pilots(sample_rate: int) -> bytes:
    samples = round(PILOT_SECONDS * sample_rate)
    seconds = np.arange(samples) / sample_rate
    envelope = _envelope(samples, sample_rate)
    waves = [
        np.sin(2 * np.pi * TONES_HZ[list(pair), None] * seconds).sum(axis=0) * envelope
        for pair in (PILOT_A, PILOT_B)
    ]
    both: NDArray[np.int16] = np.rint(np.concatenate(waves) * 32767).astype("<i2")
    return both.tobytes()


def _envelope(samples: int, sample_rate: int) -> NDArray[np.float64]:
    fade = round(_FADE_SECONDS * sample_rate)
    rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / fade)
    envelope = np.full(samples, _AMPLITUDE)
    envelope[:fade] *= rise
    envelope[-fade:] *= rise[::-1]
    return envelope


class ToneSynthesiser:
    """Speaks any text as tones; the same text, speed and rate give the same bytes."""

    def synthesise(self, text: str, settings: SpeechSettings) -> Iterator[bytes]:
        """Speak a text; see `interface.Synthesiser`. The voice makes no difference.

        Raises:
            EngineError: A sample rate it does not know.
        """
        rate = settings.sample_rate
        if rate not in RATES:
            raise EngineError(f"the tone engine cannot speak at {rate} Hz")
        for piece in split_text(text):
            yield from _speak(piece, rate, settings.speed)

    def close(self) -> None:
        """Do nothing: nothing is held."""


def _speak(piece: str, rate: int, speed: float) -> Iterator[bytes]:
    payload = encode_text(piece)
    shortest, longest = SYMBOL_SECONDS_ALLOWED
    samples = round(min(max(_PAYLOAD_SYMBOL_SECONDS / speed, shortest), longest) * rate)
    start = make_header(RATES.index(rate), samples, len(payload))
    fixed = _symbols(rate, round(HEADER_SYMBOL_SECONDS * rate))
    table = _symbols(rate, samples)
    codes = np.frombuffer(payload, np.uint8)
    step = int(_BLOCK_SECONDS * rate / samples)
    check = zlib.crc32(payload, zlib.crc32(start)).to_bytes(CHECK_BYTES, "big")
    yield _pilots(rate) + fixed[np.frombuffer(start, np.uint8)].tobytes()
    for first in range(0, len(codes), step):
        yield table[codes[first : first + step]].tobytes()
    pause = _SPACE_PAUSE_SECONDS if piece[-1].isspace() else _PAUSE_SECONDS
    yield fixed[np.frombuffer(check, np.uint8)].tobytes() + bytes(2 * round(pause * rate))


# -- recognition -------------------------------------------------------------------------------


@functools.lru_cache(maxsize=32)
def _basis(sample_rate: int, samples: int) -> NDArray[np.float32]:
    """Hann-weighted cosines and sines of all tones, shape (samples, 64).

    Scaled so that the squares of a tone's pair add up to that tone's mean square.
    """
    weights = _weights(samples)
    angle = 2 * np.pi * np.arange(samples)[:, None] * TONES_HZ / sample_rate
    both = np.concatenate([np.cos(angle), np.sin(angle)], axis=1)
    scaled: NDArray[np.float32] = (both * weights[:, None] * np.sqrt(2)).astype(np.float32)
    return scaled


@functools.lru_cache(maxsize=32)
def _weights(samples: int) -> NDArray[np.float32]:
    weights = np.hanning(samples + 2)[1:-1]
    scaled: NDArray[np.float32] = (weights / weights.sum()).astype(np.float32)
    return scaled


@functools.lru_cache(maxsize=8)
def _pilot_basis(sample_rate: int, samples: int) -> NDArray[np.float32]:
    tones = np.array([*PILOT_A, *PILOT_B])
    return np.ascontiguousarray(_basis(sample_rate, samples)[:, np.r_[tones, tones + 32]])


@dataclass(slots=True, kw_only=True)
class _Utterance:
    """One whose pilots were heard."""

    position: float
    """Of the next symbol to read, in samples since the stream began."""
    received: bytearray = field(default_factory=bytearray)
    symbol_samples: float = 0.0
    """Of a payload symbol; 0 while the header is not known."""
    payload_bytes: int = 0


class _Decoder:
    """Reads tones at one sample rate."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._kept: NDArray[np.float32] = np.zeros(0, np.float32)
        self._kept_from = 0
        self._next_hop = _SCAN_REACH
        self._current: _Utterance | None = None
        self._read: list[str] = []

    def push(self, samples: NDArray[np.float32]) -> str:
        """Hear samples, shape (n,), and give the texts that they completed."""
        self._kept = np.concatenate([self._kept, samples])
        self._read = []
        for position in self._find_pilots():
            self._follow()
            # Pilots end whatever was being read: if it was not whole by now, it never will be.
            self._current = _Utterance(position=position)
        self._follow()
        self._forget()
        return "".join(self._read)

    def _find_pilots(self) -> list[float]:
        """Find the positions just after newly heard pilot pairs, in samples since the stream began."""
        window = round(_SCAN_WINDOW_SECONDS * self._rate)
        hop = round(_SCAN_HOP_SECONDS * self._rate)
        first = self._next_hop - _SCAN_REACH
        view = self._kept[first * hop - self._kept_from :]
        hops = (len(view) - window) // hop + 1
        fresh = hops - 2 * _SCAN_REACH - 1
        if fresh < 1:
            return []
        self._next_hop += fresh
        windows = sliding_window_view(view, window)[::hop]
        parts = (windows @ _pilot_basis(self._rate, window)) ** 2
        total = sliding_window_view(view * view, window)[::hop] @ _weights(window) + _FLOOR
        tones = (parts[:, :4] + parts[:, 4:]) / total[:, None]
        pilot_a, pilot_b = tones[:, :2].sum(axis=1), tones[:, 2:].sum(axis=1)
        lead = pilot_a - pilot_b
        reach = _SCAN_REACH
        here, after = lead[reach : reach + fresh], lead[reach + 1 : reach + 1 + fresh]
        changes = (here > 0) & (after <= 0)
        changes &= pilot_a[:fresh] > _PILOT_SHARE
        changes &= pilot_b[2 * reach + 1 : 2 * reach + 1 + fresh] > _PILOT_SHARE
        found = np.flatnonzero(changes)
        between = here[found] / (here[found] - after[found])
        centres = (first + reach + found + between) * hop + window / 2
        return [float(centre) + PILOT_SECONDS * self._rate for centre in centres]

    def _follow(self) -> None:
        """Read the current utterance as far as its samples have come."""
        current = self._current
        if current is None:
            return
        if not current.symbol_samples:
            self._read_header(current)
        if current.symbol_samples:
            self._read_payload(current)

    def _read_header(self, current: _Utterance) -> None:
        samples = HEADER_SYMBOL_SECONDS * self._rate
        heard = self._read_group(current, HEADER_BYTES, samples)
        if heard is None:
            return
        fields = int.from_bytes(heard[:2], "big")
        index, length = fields >> 12, int.from_bytes(heard[2:5], "big")
        shortest, longest = SYMBOL_SECONDS_ALLOWED
        seconds = (fields & 0xFFF) / RATES[index] if index < len(RATES) else 0.0
        # A rounded length may be half a sample off the limit.
        if heard != make_header(index, fields & 0xFFF, length) or not (
            length and shortest - 0.001 <= seconds <= longest + 0.001
        ):
            self._current = None
            return
        current.received += heard
        current.symbol_samples = seconds * self._rate
        current.payload_bytes = length

    def _read_payload(self, current: _Utterance) -> None:
        missing = HEADER_BYTES + current.payload_bytes - len(current.received)
        ready = min(missing, self._count_ready(current, current.symbol_samples))
        if ready > 0:
            symbols = self._read_symbols(current, ready, current.symbol_samples)
            if symbols is None:
                self._current = None
                return
            current.received += symbols
            missing -= ready
        if missing:
            return
        check = self._read_group(current, CHECK_BYTES, HEADER_SYMBOL_SECONDS * self._rate)
        if check is None:
            return
        self._current = None
        if zlib.crc32(current.received).to_bytes(CHECK_BYTES, "big") == check:
            self._read.append(decode_text(bytes(current.received[HEADER_BYTES:])))

    def _read_group(self, current: _Utterance, count: int, symbol_samples: float) -> bytes | None:
        """Read a group of symbols once all have come; an unclear one ends the utterance."""
        if self._count_ready(current, symbol_samples) < count:
            return None
        symbols = self._read_symbols(current, count, symbol_samples)
        if symbols is None:
            self._current = None
        return symbols

    def _count_ready(self, current: _Utterance, symbol_samples: float) -> int:
        """Count the symbols, from the current position on, whose window's samples are here."""
        have = self._kept_from + len(self._kept) - current.position
        return int((have - 2) / symbol_samples + (1 - _WINDOW_SHARE) / 2)

    def _read_symbols(self, current: _Utterance, count: int, symbol_samples: float) -> bytes | None:
        """Read symbols and move on behind them; None if one of them is none."""
        window = int(symbol_samples * _WINDOW_SHARE)
        starts = current.position + symbol_samples * np.arange(count) - self._kept_from
        first = np.rint(starts + (symbol_samples - window) / 2).astype(np.intp)
        segments = sliding_window_view(self._kept, window)[first]
        current.position += symbol_samples * count
        parts = (segments @ _basis(self._rate, window)) ** 2
        tones = parts[:, :32] + parts[:, 32:]
        low, high = tones[:, :16], tones[:, 16:]
        weakest = np.minimum(low.max(axis=1), high.max(axis=1))
        both = low.max(axis=1) + high.max(axis=1)
        total = (segments * segments) @ _weights(window) + _FLOOR
        if np.any(both < _SYMBOL_SHARE * total) or np.any(weakest < _TONE_SHARE * total):
            return None
        codes: NDArray[np.intp] = high.argmax(axis=1) * 16 + low.argmax(axis=1)
        return codes.astype(np.uint8).tobytes()

    def _forget(self) -> None:
        """Drop the samples that nothing needs again."""
        hop = round(_SCAN_HOP_SECONDS * self._rate)
        needed = (self._next_hop - _SCAN_REACH) * hop
        if self._current is not None:
            needed = min(needed, int(self._current.position))
        drop = needed - self._kept_from
        if drop > 0:
            self._kept = self._kept[drop:].copy()
            self._kept_from = needed


class ToneStream:
    """Listens for tones in one session's audio; anything else is heard as no text."""

    def __init__(self) -> None:
        self._rate = 0
        self._reader = PcmReader(sample_rate=RATES[0])
        self._decoder = _Decoder(RATES[0])
        self._text = ""

    def accept(self, pcm: bytes, sample_rate: int) -> str:
        """Hear more audio and give all texts completed so far; see `interface.RecogniserStream`.

        Every rate is read as it is, so nothing waits in a resampler. A change of rate ends the
        utterance that was going on.

        Raises:
            EngineError: A rate too low for the tones, or one that no recording has.
        """
        if sample_rate < RATES[0]:
            raise EngineError(f"the tone engine cannot listen at {sample_rate} Hz")
        if sample_rate != self._rate:
            self._rate = sample_rate
            self._reader = PcmReader(sample_rate=sample_rate)
            self._decoder = _Decoder(sample_rate)
        samples = self._reader.push(pcm, sample_rate)
        step = _PUSH_SECONDS * sample_rate
        for start in range(0, len(samples), step):
            self._text += self._decoder.push(samples[start : start + step])
        return self._text

    def close(self) -> None:
        """Do nothing: nothing is held."""


class ToneRecogniser:
    """Hears what `ToneSynthesiser` spoke, letter by letter."""

    def start(self) -> ToneStream:
        """Begin to listen to a new session."""
        return ToneStream()

    def close(self) -> None:
        """Do nothing: nothing is held."""
