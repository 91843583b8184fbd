#!/usr/bin/env bash
# libsndfile and FLAC in Ogg, as FFmpeg writes it.
#
# One would guess: libsndfile, which reads FLAC and reads Ogg, reads a file of `ffmpeg -c:a flac a.ogg`, or
# says that it does not know this kind.
#
# It is so: it finds the FLAC in the Ogg, hands it to its FLAC decoder, and fails to open it with error 161,
# "unknown error in flac decoder", as one would read it of a damaged file. FFmpeg reads the same file back to
# the very samples that were put in.
#
# Seen on 2026-11-28 with libsndfile 1.2.2 (in the wheel soundfile 0.13.1) and av 18.1.0, whose FFmpeg writes
# the file. Source: this output.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q av==18.1.0 soundfile==0.13.1 numpy
cat > show.py <<'PY'
import av
import numpy as np
import soundfile

RATE = 16_000
SOUND = (np.sin(np.arange(2 * RATE) / 9) * 9_000).astype("<i2")


def decode(name):
    with av.open(name) as file:
        return np.concatenate([frame.to_ndarray().ravel() for frame in file.decode(audio=0)])


print("libsndfile", soundfile.__libsndfile_version__, "av", av.__version__)
with av.open("ffmpeg.ogg", "w", format="ogg") as file:
    stream = file.add_stream("flac", rate=RATE, layout="mono")
    frame = av.AudioFrame.from_ndarray(SOUND[np.newaxis], format="s16", layout="mono")
    frame.sample_rate, frame.pts = RATE, 0
    file.mux([*stream.encode(frame), *stream.encode(None)])
assert (decode("ffmpeg.ogg") == SOUND).all(), "FFmpeg does not read its own file"
print("FFmpeg reads its own file to the last sample")
try:
    soundfile.read("ffmpeg.ogg")
except soundfile.LibsndfileError as error:
    print("libsndfile:", error.code, error.error_string)
    assert error.code == 161, "another error than was found"
else:
    raise SystemExit("changed: libsndfile reads it now")
PY
venv/bin/python show.py
