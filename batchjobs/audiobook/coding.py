"""Encoders, and decoders that hear what they made: FFmpeg's, one packet after the other."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from batchjobs.audiobook.filters import Chain, Level, join_frames, level_filters
from batchjobs.audiobook.kinds import FileKind
from batchjobs.audiobook.meter import Meter, Reading

if TYPE_CHECKING:
    import av
    from av.audio.codeccontext import AudioCodecContext
    from av.audio.stream import AudioStream


def open_encoder(kind: FileKind, sample_rate: int, bitrate: int) -> "AudioCodecContext":
    """Open an encoder without a file.

    Args:
        kind: The kind of file that it is of.
        sample_rate: In hertz.
        bitrate: What to ask of it, in bits a second.
    """
    import av

    encoder = av.CodecContext.create(kind.codec, "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout = sample_rate, "mono"
    assert encoder.codec.audio_formats
    encoder.format = encoder.codec.audio_formats[0]
    encoder.options = dict(kind.codec_options)
    if kind.has_bitrate:
        encoder.bit_rate = bitrate
    return encoder


def encode(
    encoder: "AudioCodecContext | AudioStream", batches: "Iterable[list[av.AudioFrame]]"
) -> "Iterator[list[av.Packet[AudioStream]]]":
    """Encode frames, batch by batch; the last one is what was still inside."""
    for frames in batches:
        yield [packet for frame in frames for packet in encoder.encode(frame)]
    yield [*encoder.encode(None)]


def change_level(
    blocks: Iterable[bytes], level: Level, kind: FileKind, sample_rate: int
) -> "Iterator[list[av.AudioFrame]]":
    """Bring samples to a level, block by block, as a kind of file needs it.

    Args:
        blocks: 16-bit mono samples.
        level: What to do to them.
        kind: The kind of file.
        sample_rate: In hertz.
    """
    loss = ("volume", f"{kind.loss_db:.4f}dB:precision=float")
    chain = Chain(sample_rate, [*level_filters(level, sample_rate), loss])
    for block in blocks:
        yield [*chain.push(block)]
    yield [*chain.end()]


class Listener:
    """Decodes what an encoder made, and measures it.

    Args:
        encoder: It has begun.
    """

    def __init__(self, encoder: "AudioCodecContext") -> None:
        self._meter = Meter()
        self._encoder = encoder
        self._decoder: AudioCodecContext | None = None

    def push(self, packets: "Iterable[av.Packet[AudioStream]]") -> None:
        """Listen to packets."""
        frames = []
        for packet in packets:
            if self._decoder is None:
                self._decoder = self._open()
            frames += self._decoder.decode(packet)
        self._hear(frames)

    def end(self) -> Reading:
        """Say what was heard."""
        if self._decoder is not None:
            self._hear([*self._decoder.decode(None)])
        return self._meter.end()

    def _hear(self, frames: "list[av.AudioFrame]") -> None:
        """Hand frames to the meter as one: frames of 1,024 samples take it twice as long (measured)."""
        if frames:
            self._meter.push([join_frames(frames)])

    def _open(self) -> "AudioCodecContext":
        import av

        decoder = av.CodecContext.create(self._encoder.codec.canonical_name, "r")
        assert isinstance(decoder, av.AudioCodecContext)
        decoder.extradata = self._encoder.extradata
        return decoder
