#!/usr/bin/env bash
# FFmpeg's resampler: two channels made one, in int16 and in float.
#
# One would guess: to make mono of stereo is to take the mean of the two channels, and the sample format that one
# asks for is how the result is written down: s16 and flt differ by the rounding, as they do where the channels stay.
#
# It is so: asked for s16 the resampler takes 0.5 of each channel, asked for flt or fltp 0.707 of each. A voice that
# is the same on both, as most speech recorded in stereo is, comes out 3 dB louder in float than in s16, and up to 1.4
# where it was at full scale: more than a file of integers can hold. Each side of a call is 3 dB louder, too. It is
# the format asked for that counts, not the file's. So two loaders on the same FFmpeg give a model two
# loudnesses of one file, and a threshold for silence or clipping that was tuned on one does not fit the other.
# Nothing is logged. `rematrix_maxval=1` gives 0.5 in float, too.
#
# Seen on 2026-11-29 with PyAV 18.1.0 (FFmpeg 8.1.2), and soundfile 0.14.0 to hold it against. Source: this output;
# libswresample/rematrix.c, auto_matrix: the factors are brought to a sum of 1 where the format is one of integers,
# and left alone otherwise.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet av==18.1.0 soundfile==0.14.0 numpy==2.4.6

cat > "$work/mono.py" <<'PYTHON'
import sys
from importlib.metadata import version

import av
import numpy as np
import soundfile

RATE = 16_000
folder = sys.argv[1]
print("PyAV", version("av"), "FFmpeg", av.ffmpeg_version_info)


def peak_of(samples):
    """Give the peak, full scale being 1."""
    return float(np.abs(samples.astype(np.float64)).max()) / (32_768 if samples.dtype == np.int16 else 1)


def by_filter(path, words):
    """Give the peak of what FFmpeg's filter aresample makes of a file."""
    with av.open(path) as file:
        stream, graph, peak = file.streams.audio[0], av.filter.Graph(), 0.0
        graph.link_nodes(
            graph.add_abuffer(template=stream), graph.add("aresample", words), graph.add("abuffersink")
        ).configure()
        for frame in (*file.decode(stream), None):
            graph.push(frame)
            while True:
                try:
                    peak = max(peak, peak_of(graph.pull().to_ndarray()))
                except (av.error.BlockingIOError, av.error.EOFError):
                    break
        return peak


def by_resampler(path, sample_format):
    with av.open(path) as file:
        resampler = av.AudioResampler(format=sample_format, layout="mono")
        parts = [part for frame in file.decode(audio=0) for part in resampler.resample(frame)]
    return peak_of(np.concatenate([part.to_ndarray().ravel() for part in parts]))


tone = np.sin(np.arange(RATE) * 2 * np.pi * 200 / RATE)
files = {
    "the same on both": np.stack([tone, tone], axis=1) * 0.99,
    "one side silent": np.stack([tone, 0 * tone], axis=1) * 0.99,
}
holds = []
for what, samples in files.items():
    for ending, subtype in (("wav", "PCM_16"), ("mp3", "MPEG_LAYER_III")):
        path = f"{folder}/two.{ending}"
        soundfile.write(path, samples, RATE, subtype=subtype)
        mean = float(np.abs(soundfile.read(path)[0].mean(axis=1)).max())
        whole, real, planar = (by_resampler(path, each) for each in ("s16", "flt", "fltp"))
        limited = by_filter(path, "ochl=mono:osf=flt:rematrix_maxval=1")
        print(f"{what}, {ending}: the mean's peak {mean:.2f}; s16 {whole:.2f}, flt {real:.2f}, fltp {planar:.2f}")
        print(f"  flt with rematrix_maxval=1 {limited:.2f}")
        holds += [abs(whole / mean - 1) < 0.02, abs(limited / mean - 1) < 0.02]
        holds += [abs(each / mean - 2**0.5) < 0.02 for each in (real, planar)]
        if what == "the same on both":
            assert real > 1.3
if not all(holds):
    sys.exit(f"CHANGED, not so: {holds}")
print("as seen: 3 dB more where float is asked for")
PYTHON
"$work/venv/bin/python" "$work/mono.py" "$work"
