#!/usr/bin/env bash
# How many frames an Ogg Vorbis file has, asked of libsndfile and of FFmpeg.
#
# One would guess: decoders agree on the length of a whole, valid file. Ogg carries the count of frames
# in its last page, so that nobody has to guess where the last block ends; and data loaders that sit on
# FFmpeg (torchcodec, which `datasets` decodes with) give as many frames as the file was written with.
#
# It is so: of every clip that libsndfile writes, FFmpeg's decoder leaves out the first 256 frames (its
# first time stamp says 256, and nobody fills them in), and of some it gives up to 512 too many at the
# end, beyond what the last page says. libsndfile gives back exactly as many as it was given, of the same
# files. Nothing is raised and nothing is logged. Lengths kept beside such clips (manifests of datasets,
# alignments) do not fit what a loader gives: 256 frames are 16 ms at 16 kHz.
#
# Seen on 2026-11-28 with PyAV 18.1.0 (libavcodec 62.28.102) and soundfile 0.14.0; torchcodec 0.17.0
# with torch 2.14.1 gives the very same counts. Source: this output.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet av==18.1.0 soundfile==0.14.0 numpy

cat > "$work/frames.py" <<'PYTHON'
import sys

import av
import numpy as np
import soundfile

print("PyAV", av.__version__, "libavcodec", av.library_versions["libavcodec"])
print("soundfile", soundfile.__version__, soundfile.__libsndfile_version__)
print(f"{'clip':34} {'written':>8} {'soundfile':>9} {'FFmpeg':>7} {'first':>6}")


def tone(frames, rate, silence):
    wave = np.sin(np.arange(frames) * (2 * np.pi * 220 / rate)) * 0.25
    edge = round(silence * rate)
    if edge:
        wave[:edge] = wave[-edge:] = 0
    return wave.astype(np.float32)


differences = []
for rate in (16_000, 24_000):
    for frames in (9_600, 10_387, 14_400, 16_761, 25_810, 48_000):
        for silence in (0.0, 0.25):
            path = f"{sys.argv[1]}/clip.ogg"
            soundfile.write(path, tone(frames, rate, silence), rate, subtype="VORBIS")
            samples, _ = soundfile.read(path)
            with av.open(path) as file:
                decoded = list(file.decode(audio=0))
            count = sum(frame.samples for frame in decoded)
            what = f"{frames} at {rate} Hz, {silence} s of silence"
            print(f"{what:34} {frames:8} {len(samples):9} {count:7} {decoded[0].pts:6}")
            assert len(samples) == frames, "libsndfile gives other frames than it was given"
            assert decoded[0].pts == 256, "CHANGED: the first frames are there"
            differences.append(count - frames)

shorter = sum(difference == -256 for difference in differences)
longer = sum(difference > 0 for difference in differences)
print(f"256 fewer: {shorter}, more: {longer}, of {len(differences)}")
if shorter + longer < len(differences):
    sys.exit("CHANGED: FFmpeg gives the frames that were written")
PYTHON

"$work/venv/bin/python" "$work/frames.py" "$work"
