"""MP4, Matroska, Windows Media and CAF, which FFmpeg decodes: the extra `book`."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from batchjobs.audio.parts import Part, Window
from batchjobs.audio.source import (
    CONVERT_HINT,
    KEEP_REST_HINT,
    Block,
    Container,
    Recording,
    Source,
    decoding_error,
    size_of,
)
from batchjobs.audio.timeline import TimeLine
from batchjobs.errors import DecoderMissingError, RecordingError, TrackMissingError
from batchjobs.formatting import plural

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.audio.stream import AudioStream
    from av.codec.context import CodecContext
    from av.container import InputContainer
    from av.packet import Packet

_FORMATS: Final = {
    Container.MP4: "mov",
    Container.MATROSKA: "matroska",
    Container.ASF: "asf",
    Container.CAF: "caf",
    Container.FLAC: "flac",
    Container.OGG: "ogg",
    Container.MP3: "mp3",
    Container.WAV: "wav",
    Container.W64: "w64",
    Container.AIFF: "aiff",
    Container.AU: "au",
    Container.AVI: "avi",
    Container.AAC: "aac",
    Container.AMR: "amr",
    Container.AC3: "ac3",
    Container.WAVPACK: "wv",
    Container.FLASH: "flv",
    Container.MPEG_STREAM: "mpeg",
    Container.TRANSPORT_STREAM: "mpegts",
}
"""FFmpeg's names. Given, it guesses nothing: a playlist that names other files is none of these."""
_NAMES: Final = {
    Container.MP4: "an MP4 file (m4a, mp4, mov)",
    Container.MATROSKA: "a Matroska or WebM file",
    Container.ASF: "a Windows Media file (wma, wmv)",
    Container.CAF: "a Core Audio file (caf)",
    Container.FLAC: "a FLAC file whose header does not tell its length",
    Container.OGG: "an Ogg file of a kind",
    Container.MP3: "an MP3 whose header does not tell its length",
    Container.WAV: "a WAV of coded sound",
    Container.W64: "a Wave64 file of coded sound",
    Container.AIFF: "an AIFF of coded sound",
    Container.AU: "an AU of coded sound",
    Container.AVI: "an AVI video",
    Container.AAC: "an AAC file",
    Container.AMR: "an AMR file",
    Container.AC3: "an AC-3 file",
    Container.WAVPACK: "a WavPack file",
    Container.FLASH: "a Flash video",
    Container.MPEG_STREAM: "an MPEG video",
    Container.TRANSPORT_STREAM: "an MPEG transport stream",
}
_CODECS: Final = frozenset(
    """
    aac aac_latm alac mp3 mp3float mp2 mp2float mp1 mp1float speex opus vorbis flac ac3 eac3 wmav1
    wmav2 wmapro amrnb amrwb gsm gsm_ms adpcm_ms adpcm_ima_wav adpcm_ima_qt adpcm_g722 adpcm_g726
    adpcm_g726le g722 g726 g726le g723_1 truespeech wavpack
    """.split()
)
_EVEN_CODECS: Final = frozenset({"aac", "alac", "mp3", "mp3float", "ac3", "eac3"})
"""Each of their packets holds as many samples."""
_STEPS: Final = {"u8": 2.0**-7, "s16": 2.0**-15}
"""Between two samples, of a full scale of 1: what decoders of sound that was coded give has none."""
_LOST_SECONDS: Final = 0.5
"""Headers round lengths, and encoders fill the last packet."""
_MICROSECONDS: Final = 1_000_000
"""FFmpeg's unit of what is said of a whole file."""
_SILENCE_FRAMES: Final = 32_768
_SLACK_SECONDS: Final = 1
"""Packets say about how long it is: encoders fill up the last one, and need some to begin."""


@contextmanager
def open_container(
    path: Path, file: BufferedReader, container: Container, part: Part, track: int = 0
) -> Iterator[Source]:
    """Open a container's audio: one of its tracks.

    Args:
        path: The recording.
        file: The same, open; nothing else is opened, whatever it refers to.
        container: What its first bytes say that it is.
        part: Where it begins and ends.
        track: Which, from 1; 0 for the default one, or the first that is read here.

    Raises:
        TrackMissingError: There is no such track.
        RecordingError: The extra ``book`` is not installed; the file is damaged or cut off, or holds
            no audio that is read.
    """
    try:
        import av
    except ImportError as error:
        raise DecoderMissingError(
            f"{path} is {_NAMES[container]}, which needs the extra 'book'",
            hint="pip install 'batchjobs[book]', or convert it: ffmpeg -i IN OUT.flac",
        ) from error
    av.logging.set_level(None)
    try:
        frames = part.frames or _count_frames(path, file, container, part, track)
        with _demux(file, container, part, track) as (demuxer, stream):
            recording = Recording(
                path=path,
                container=container,
                sample_rate=stream.rate,
                channels=stream.channels,
                frames=frames,
                track=1 + [each.index for each in demuxer.streams.audio].index(stream.index),
                tracks=len(demuxer.streams.audio),
            )
            slack = stream.rate * _SLACK_SECONDS

            def read(_: int) -> Iterator[Block]:
                return _decode(path, container, demuxer, stream)

            step = _STEPS.get(stream.format.name.removesuffix("p"), 0.0)
            yield Source(recording=recording, least_frames=frames - slack, read=read, step=step)
    except (av.error.FFmpegError, ValueError) as error:
        raise _damage(path, container, error) from error


@contextmanager
def _demux(
    file: BufferedReader, container: Container, part: Part, track: int
) -> "Iterator[tuple[InputContainer, AudioStream]]":
    """Open the file, and find the audio stream to hear."""
    import av

    file.seek(0)
    is_whole = (part.start, part.end) == (0, size_of(file))
    with av.open(
        file if is_whole else Window(file, part),
        "r",
        format=_FORMATS[container],
        metadata_errors="replace",  # titles in another encoding are no damage
    ) as demuxer:
        if not demuxer.streams.audio:
            raise RecordingError(f"{file.name} holds no audio", hint="name the recording itself")
        tracks = demuxer.streams.audio[track - 1 : track] if track else demuxer.streams.audio
        if not tracks:
            found = plural(len(demuxer.streams.audio), "audio track")
            raise TrackMissingError(
                f"{file.name} has {found}, and no number {track}",
                hint="give another number, or none for the default track",
            )
        # Of several tracks players play the default one; some are of codecs that FFmpeg lacks.
        readable = [stream for stream in tracks if _is_readable(_codec_of(stream))]
        if not readable:
            codec = _codec_of(tracks[0])
            raise RecordingError(f"{file.name} holds audio as {codec}", hint=CONVERT_HINT)
        is_default = av.stream.Disposition.default
        chosen = (stream for stream in readable if stream.disposition & is_default)
        yield demuxer, next(chosen, readable[0])


def _codec_of(stream: "AudioStream") -> str:
    # PyAV has no context for a codec that its FFmpeg does not know, whatever its types say.
    context: CodecContext | None = stream.codec_context
    return "a codec that FFmpeg does not know" if context is None else f"'{context.name}'"


def _is_readable(codec: str) -> bool:
    name = codec.strip("'")
    return name in _CODECS or name.startswith("pcm_")


def _count_frames(
    path: Path, file: BufferedReader, container: Container, part: Part, track: int
) -> int:
    """Count the frames by the packets, without decoding them unless these cannot be believed.

    Raises:
        RecordingError: There is less than the file claims.
    """
    with _demux(file, container, part, track) as (demuxer, stream):
        claimed = _find_claimed_end(demuxer, stream)
        line = _make_time_line(demuxer)
        end, last, packets, samples = 0.0, 0.0, 0, 0
        for packet in demuxer.demux(stream):
            if packet.pts is None or packet.time_base is None:
                continue
            begin = float(packet.pts * packet.time_base)
            last, packets = float((packet.duration or 0) * packet.time_base), packets + 1
            line.end_seconds += line.find_gap(begin) + last
            end = max(end, begin + last)
            samples += _count_samples(packet, stream)
        if part.tells_length and end < claimed - _LOST_SECONDS:
            raise RecordingError(
                f"{file.name} ends early: it claims {claimed:.2f} s and holds {end:.2f} s",
                hint=KEEP_REST_HINT,
            )
        # Of an MP4 the last packet before silence is said to be as long as that.
        usual = max(_SLACK_SECONDS, 2 * line.end_seconds / max(1, packets))
        frames = round((line.end_seconds - max(0.0, last - usual)) * stream.rate)
    if samples <= frames + stream.rate * _SLACK_SECONDS:
        return frames
    with _demux(file, container, part, track) as (demuxer, stream):
        return sum(len(block) for block in _decode(path, container, demuxer, stream))


def _count_samples(packet: "Packet[AudioStream]", stream: "AudioStream") -> int:
    """Count what a packet holds at the least, whatever its stamps say; 0 if that cannot be known."""
    if stream.codec_context.name.startswith("pcm_"):
        return packet.size // (stream.format.bytes * stream.channels)
    return stream.codec_context.frame_size if stream.codec_context.name in _EVEN_CODECS else 0


def _make_time_line(demuxer: "InputContainer") -> TimeLine:
    """Make the time line of the whole file, whose other streams may begin earlier."""
    return TimeLine((demuxer.start_time or 0) / _MICROSECONDS)


def _find_claimed_end(demuxer: "InputContainer", stream: "AudioStream") -> float:
    """Read at which stamp the audio claims to end; 0 where nothing can be said."""
    if stream.duration and stream.time_base:
        return float((stream.duration + (stream.start_time or 0)) * stream.time_base)
    # Of the whole file: its other streams may be longer.
    others = len(demuxer.streams) > 1
    return 0.0 if others or not demuxer.duration else demuxer.duration / _MICROSECONDS


def _decode(
    path: Path, container: Container, demuxer: "InputContainer", stream: "AudioStream"
) -> Iterator[Block]:
    """Give the samples as they come, frames by channels, which may be others after a while."""
    import av

    rate = stream.rate

    line = _make_time_line(demuxer)
    resampler, shape = None, None
    try:
        for frame in demuxer.decode(stream):
            gap = line.find_gap(frame.time)
            yield from _give_silence(round(gap * rate), stream.channels)
            line.end_seconds += gap + frame.samples / frame.sample_rate
            frame.pts = None  # the resampler only changes the format
            if resampler is None or shape != (frame.format.name, frame.layout.name, frame.rate):
                yield from _give_samples(resampler, None)
                shape = (frame.format.name, frame.layout.name, frame.rate)
                resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=rate)
            yield from _give_samples(resampler, frame)
        yield from _give_samples(resampler, None)
    except (av.error.FFmpegError, ValueError) as error:
        raise _damage(path, container, error) from error


def _give_samples(
    resampler: "AudioResampler | None", frame: "AudioFrame | None"
) -> Iterator[Block]:
    """Give the samples of a frame as floats; of none, what the resampler still holds."""
    for plain in resampler.resample(frame) if resampler is not None else ():
        yield plain.to_ndarray().T.astype(np.float32, copy=False)


def _give_silence(frames: int, channels: int) -> Iterator[Block]:
    while frames > 0:
        yield np.zeros((min(frames, _SILENCE_FRAMES), channels), dtype=np.float32)
        frames -= _SILENCE_FRAMES


def _damage(path: Path, container: Container, error: Exception) -> RecordingError:
    reason = str(getattr(error, "strerror", "") or error)
    return decoding_error(f"{path} is {_NAMES[container]} that", reason)
