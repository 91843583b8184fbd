#!/usr/bin/env bash
# pydub: set_frame_rate() to a lower rate.
#
# One would guess: AudioSegment.set_frame_rate(16_000) resamples: what is above half of the new rate, which the new
# file cannot hold, is gone. That is what every resampler is for, and what makes of a studio's 44.1 or 48 kHz what
# speech models want.
#
# It is so: it takes what stands at the new places, between two samples on a straight line, and filters nothing. From
# 48 to 16 kHz that is every third sample as it is. What was above half of the new rate is folded down into the band,
# at its full level where the old rate is a multiple of the new one, 1 to 2 dB down from 44.1 kHz: a tone of 10 kHz
# is one of 6 kHz at 16 kHz, and 7 kHz stands at 1 kHz in a telephone's 8 kHz, in the middle of the vowels. Of speech it
# is the "s" and "ص" that lie up there. So each clip that was made this way has a noise below its consonants that was
# not in the room, and that clips which came through FFmpeg or soxr have not. Nothing is raised.
#
# Seen on 2026-11-29 with pydub 0.25.1 on CPython 3.11, and soxr 0.5.0.post1 to hold it against. Source: this output;
# pydub/audio_segment.py, set_frame_rate, which calls audioop.ratecv with no weights. It needs Python 3.12 or older:
# newer ones have no audioop.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet pydub==0.25.1 soxr==0.5.0.post1 numpy==2.4.6

cat > "$work/fold.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import soxr
from pydub import AudioSegment

print("pydub", version("pydub"), "soxr", version("soxr"))


def decibels(ratio):
    return 20 * np.log10(max(ratio, 1e-6))


def loudest(samples, rate):
    """Give the frequency that is the loudest."""
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return int(power.argmax()) * rate / len(samples)


def by_pydub(samples, rate, to_rate):
    sound = AudioSegment(samples.tobytes(), sample_width=2, frame_rate=rate, channels=1)
    return np.array(sound.set_frame_rate(to_rate).get_array_of_samples(), np.float64)


holds = []
for rate, to_rate, pitch in (
    (48_000, 16_000, 10_000),
    (48_000, 16_000, 9_000),
    (32_000, 16_000, 12_000),
    (24_000, 8_000, 7_000),
    (16_000, 8_000, 5_000),
    (44_100, 16_000, 11_000),
    (44_100, 16_000, 9_000),
    (22_050, 8_000, 6_000),
):
    tone = (np.sin(np.arange(2 * rate) * 2 * np.pi * pitch / rate) * 16_000).astype("<i2")
    got = by_pydub(tone, rate, to_rate)
    other = soxr.resample(tone.astype(np.float64), rate, to_rate)[1_000:-1_000]  # without the edges
    level, filtered = (decibels(each.std() / tone.std()) for each in (got, other))
    found = loudest(got, to_rate)
    print(f"{pitch:6} Hz, {rate} to {to_rate} Hz: {level:4.1f} dB at {found:.0f} Hz by pydub, {filtered:.0f} dB by soxr")
    holds += [abs(found - abs(to_rate - pitch)) < 2, level > (-0.1 if rate % to_rate == 0 else -5), filtered < -60]
if not all(holds):
    sys.exit(f"CHANGED, not so: {holds}")
print("as seen: what is too high for the new rate is folded down, not filtered")
PYTHON
"$work/venv/bin/python" -W ignore "$work/fold.py"
