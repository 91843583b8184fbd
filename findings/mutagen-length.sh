#!/usr/bin/env bash
# mutagen: how long a file is.
#
# One would guess: mutagen.File(path).info.length is how long the file plays: of MP3 it takes off what the encoder put
# at both ends, as the header says, and of MP4 it reads lengths to the sample. So the lengths of chapters, one after
# the other, are the places of their marks. Of a WAV, whose header has all there is to know, it cannot be wrong.
#
# It is so: that holds of MP3 by LAME itself (soundfile writes such) alone. An MP3 that FFmpeg writes has the same
# numbers, behind the name "Lavc" in place of "LAME", and mutagen leaves them: 54 ms too long at 24 kHz, 102 ms at
# 16 kHz. An M4A is too long by the encoder's first frame, which its edit list takes off: 43 and 64 ms. In a book of two
# hundred chapters that are placed by such lengths the last mark is 5 to 20 s late. And a WAV in a telephone's codec
# is counted in blocks as if they were samples: a minute of MS or IMA ADPCM has 0.12 s, one of GSM 6.10 0.19 s. Nothing
# is raised.
#
# Seen on 2026-11-29 with mutagen 1.48.1, on files of PyAV 18.1.0 (FFmpeg 8.1.2) and soundfile 0.14.0 (libsndfile
# 1.2.2). Source: this output; mutagen/mp3/_util.py (LAMEHeader wants the name), mp4/__init__.py (mdhd, no elst) and
# wave.py (frames = bytes of data // block size, whatever the format).
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet mutagen==1.48.1 av==18.1.0 soundfile==0.14.0 numpy==2.4.6

cat > "$work/lengths.py" <<'PYTHON'
import sys
from fractions import Fraction
from importlib.metadata import version

import av
import mutagen
import numpy as np
import soundfile

folder = sys.argv[1]
print("mutagen", mutagen.version_string, "PyAV", version("av"), "FFmpeg", av.ffmpeg_version_info)
print("soundfile", soundfile.__version__, "libsndfile", soundfile.__libsndfile_version__)


def tone(rate, seconds):
    return (np.sin(np.arange(round(rate * seconds)) * 2 * np.pi * 220 / rate) * 9_000).astype("<i2")


def write_by_ffmpeg(path, samples, rate, codec):
    with av.open(path, "w") as file:
        stream = file.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        file.mux([*stream.encode(frame), *stream.encode(None)])


def play(path):
    """Give how long it plays by FFmpeg: an M4A as long as its edit list says, others until their last sample."""
    with av.open(path) as file:
        if path.endswith(".m4a"):
            stream = file.streams.audio[0]
            return float(stream.duration * stream.time_base)
        return sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0))


def report(what, path, written):
    told, played = mutagen.File(path).info.length, play(path)
    print(f"{what:28} written {written:7.3f} s, plays {played:7.3f} s, mutagen {told:7.3f} s")
    return told - written, played - written


holds = []
for rate in (16_000, 24_000, 44_100):
    samples, chapters = tone(rate, 3.21), 200
    path = f"{folder}/chapter"
    soundfile.write(f"{path}-lame.mp3", samples, rate, subtype="MPEG_LAYER_III")
    write_by_ffmpeg(f"{path}.mp3", samples, rate, "libmp3lame")
    write_by_ffmpeg(f"{path}.m4a", samples, rate, "aac")
    lame, _ = report(f"MP3 by libsndfile, {rate} Hz", f"{path}-lame.mp3", len(samples) / rate)
    mp3, plays_mp3 = report(f"MP3 by FFmpeg, {rate} Hz", f"{path}.mp3", len(samples) / rate)
    m4a, plays_m4a = report(f"M4A by FFmpeg, {rate} Hz", f"{path}.m4a", len(samples) / rate)
    print(f"  {chapters} such chapters: MP3 {chapters * mp3:.1f} s, M4A {chapters * m4a:.1f} s too long")
    holds += [abs(each) < 0.001 for each in (lame, plays_mp3, plays_m4a, m4a - 1_024 / rate)]
    holds.append(mp3 > 1_105 / rate)
for subtype, most in (("IMA_ADPCM", 0.5), ("MS_ADPCM", 0.5), ("GSM610", 0.5), ("ULAW", None), ("PCM_16", None)):
    samples = tone(8_000, 60)
    soundfile.write(f"{folder}/call.wav", samples, 8_000, subtype=subtype)
    wrong, plays = report(f"WAV, {subtype}", f"{folder}/call.wav", 60)
    holds += [abs(plays) < 0.1, abs(wrong) < 0.001 if most is None else 60 + wrong < most]
if not all(holds):
    sys.exit(f"CHANGED, not so: {holds}")
print("as seen")
PYTHON
"$work/venv/bin/python" "$work/lengths.py" "$work"
