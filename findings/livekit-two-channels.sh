#!/usr/bin/env bash
# livekit-agents' speech-to-text stream and frames of two channels at another rate.
#
# One would guess: a frame says how many channels it has, so a stream that resamples what is pushed (the
# plugins say `sample_rate=16000`, rooms give 48,000) hands frames on with as many channels as they came
# with, or refuses what it cannot resample. With the stream's own rate two channels do arrive as two.
#
# It is so: at any other rate the samples of both channels, which alternate, are resampled as if they were
# one channel's. The plugin is handed mono of twice the length: speech at half its speed, an octave lower,
# with every second sample from the other channel. Nothing is raised or logged. A transcription service
# hears next to nothing in it and bills twice the seconds; plugins that mix channels by themselves (as
# livekit-plugins-munsit 0.4.0 does) never see that there were two.
#
# Seen on 2026-11-28 with livekit-agents 1.8.9 and livekit (rtc) 1.1.21; source: this output, and
# livekit/agents/stt/stt.py, push_frame, which makes its AudioResampler without num_channels (1 by default).
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet livekit-agents==1.8.9 livekit==1.1.21 numpy

cat > "$work/channels.py" <<'PYTHON'
import asyncio
from importlib.metadata import version

import numpy as np
from livekit import rtc
from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, stt

SECONDS, TONE_HZ, NEEDED = 2, 440, 16_000


class Stream(stt.SpeechStream):
    """Keeps what it is handed, as a plugin would send it."""

    async def _run(self):
        self.frames = [frame async for frame in self._input_ch if isinstance(frame, rtc.AudioFrame)]


class Plugin(stt.STT):
    def __init__(self):
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=False))

    async def _recognize_impl(self, buffer, *, language, conn_options):
        raise NotImplementedError

    def stream(self, *, language=None, conn_options=DEFAULT_API_CONNECT_OPTIONS):
        return Stream(stt=self, conn_options=conn_options, sample_rate=NEEDED)


async def push(rate, channels):
    """Push a tone, the same in every channel; give the channels, seconds and pitch handed on."""
    tone = np.sin(2 * np.pi * TONE_HZ * np.arange(SECONDS * rate) / rate) * 8_000
    samples = np.repeat(tone.astype("<i2"), channels)
    stream = Plugin().stream()
    step = rate // 50 * channels
    for start in range(0, len(samples), step):
        piece = samples[start : start + step]
        stream.push_frame(rtc.AudioFrame(piece.tobytes(), rate, channels, len(piece) // channels))
    stream.end_input()
    async for _ in stream:
        pass
    frames = stream.frames
    await stream.aclose()
    given = np.concatenate([np.frombuffer(frame.data, "<i2") for frame in frames])
    first = given[:: frames[0].num_channels].astype(float)
    spectrum = np.abs(np.fft.rfft(first))
    pitch = np.argmax(spectrum) * NEEDED / len(first)
    return frames[0].num_channels, sum(frame.duration for frame in frames), pitch


async def main():
    print("livekit-agents", version("livekit-agents"), "livekit", version("livekit"))
    found = {}
    for rate, channels in ((16_000, 1), (48_000, 1), (16_000, 2), (48_000, 2), (24_000, 2)):
        found[rate, channels] = given, seconds, pitch = await push(rate, channels)
        print(f"{SECONDS} s of {TONE_HZ} Hz at {rate:6} Hz in {channels}: handed on in {given} as "
              f"{seconds:.2f} s of {pitch:.0f} Hz")
    for rate, channels in ((16_000, 1), (48_000, 1), (16_000, 2)):
        assert found[rate, channels][0] == channels
        assert abs(found[rate, channels][1] - SECONDS) < 0.05
        assert abs(found[rate, channels][2] - TONE_HZ) < 2
    for rate in (48_000, 24_000):
        given, seconds, pitch = found[rate, 2]
        if given == 2 or abs(seconds - 2 * SECONDS) > 0.1 or abs(pitch - TONE_HZ / 2) > 2:
            raise SystemExit("CHANGED: two channels are resampled as two")
    print("two channels at another rate: one channel, twice as long, an octave lower")


asyncio.run(main())
PYTHON
"$work/venv/bin/python" "$work/channels.py"
